# SPDX-License-Identifier: MIT
"""Compare two launchers of faultline, round by round: what became faster or slower from A to B.

A and B each start a faultline program: another build, `env LD_PRELOAD=... faultline`, `prlimit ... faultline`. For each
cell of the scenarios a trial process of each side is started on the same CPUs; the two pass a turn to and fro and
measure a round each, so that what the machine does meanwhile happens to both. Pairs of such processes are added until
the intervals are narrow enough, the budget is spent, or there are 30.

Exit status: 0 fine; 1 a row is SLOWER (see --fail-on); 2 usage, or a side that cannot be started or has no such plan; 3
something could not be told (only with --require-conclusive); 4 a row is INVALID, or there is no room for the files; 5 a
side failed in a pair, or did other work; 6 not comparable; 7 I/O or schema, or nothing was compared. When several
apply: 2, 7, 6, 5, 4, 1, 3. With --bisect, for git bisect run: 0 good, 1 bad, 125 for everything else.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Sequence

from faultline import command, fingerprint
from faultline.compare import FAIL_ON, LIVE, UNDECIDED, Parser, UsageError, names, share
from faultline.live_measure import MEANT, NAME, Settings, Signals, measure
from faultline.live_rows import LiveResults, could_tell
from faultline.live_sides import USAGE, LiveError
from faultline.live_store import SEED_MAX, exit_put, written
from faultline.text import percent, safe
from faultline.trial_pair import WAIT_S, Interrupted


def seconds(value: str) -> float:
    """ "8", "8s", "500ms", "2min" as seconds, above 0."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)?", value)
    found = float(match[1]) * {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}[match[2] or "s"] if match else 0.0
    if not found:
        raise argparse.ArgumentTypeError(f"'{safe(value)}' is no time, such as 10s")
    return found


def count(value: str) -> int:
    """A whole number of pairs, from 1."""
    if not value.isdigit() or not 0 < int(value) <= 1000:
        raise argparse.ArgumentTypeError(f"'{safe(value)}' is no number from 1 to 1000")
    return int(value)


def seed(value: str) -> int:
    """A seed as `faultline run` takes it."""
    if not value.isdigit() or int(value) >= SEED_MAX:
        raise argparse.ArgumentTypeError(f"'{safe(value)}' is no number from 0 to 2^53 - 1")
    return int(value)


def parser_make() -> Parser:
    """The command line."""
    parser = Parser(
        prog=f"{NAME} {LIVE}", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", metavar="A", help="what starts the base's program, as one word")
    parser.add_argument("candidate", metavar="B", help="what starts the candidate's program, as one word")
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="+", help="as for faultline run")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where all is written (default: a new directory here)")
    parser.add_argument("--profile", default="standard", help="quick, standard or thorough (default: standard)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="as for faultline run")
    parser.add_argument("--cell", metavar="KEY=VALUE,...", help="as for faultline run")
    parser.add_argument("--arms", metavar="NAME,...", help="as for faultline run")
    parser.add_argument("--directory", metavar="DIR", help="where files under test are made (default: /var/tmp)")
    parser.add_argument("--seed", metavar="N", type=seed, help="of orders and layouts (default: drawn, and recorded)")
    parser.add_argument("--budget", metavar="TIME", type=seconds, help="begin no pair that is likely to end after it")
    parser.add_argument("--delta", metavar="D", type=share, help="what counts as the same (default: the scenario's)")
    parser.add_argument("--pairs", metavar="N", type=count, help="this many, instead of as many as make it precise")
    parser.add_argument("--control", metavar="N", type=count, default=0, help="as many pairs of A against itself too")
    parser.add_argument(
        "--deadline", metavar="TIME", type=seconds,
        help=f"end a pair that takes longer (default: {WAIT_S:g}s, longer where the plan expects it)",
    )
    parser.add_argument("--vary", metavar="KEY,...", type=names, action="extend", default=[],
                        help=f"differences that are meant besides {' and '.join(MEANT)}: "
                        f"{', '.join(fingerprint.GROUPS)}, a key of the fingerprint or a parameter")
    parser.add_argument("--fail-on", choices=FAIL_ON,
                        help="which rows make the status 1: SLOWER ones (default), FASTER ones too, none")
    parser.add_argument("--require-conclusive", action="store_true", help="status 3 when anything is CANNOT TELL")
    parser.add_argument("--bisect", action="store_true", help="status for git bisect run: 0 good, 1 bad, 125 undecided")
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="width of the table (default: the terminal's)")
    parser.add_argument("--all", action="store_true", help="print every row")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """What a command line asks for; UsageError when it is none."""
    options = parser_make().parse_args(words)
    if options.bisect and options.fail_on:
        raise UsageError("--fail-on: --bisect has statuses of its own")
    return options


def settings_of(options: argparse.Namespace, argv: Sequence[str]) -> Settings:
    """The same as it is measured."""
    return Settings(
        base=options.base, candidate=options.candidate, scenarios=options.scenarios, out=options.out,
        profile=options.profile, seed=options.seed, budget_s=options.budget, delta=options.delta, pairs=options.pairs,
        controls=options.control, deadline_s=options.deadline, directory=options.directory, set=options.set,
        cell=options.cell, arms=options.arms, vary=options.vary, fail_on=options.fail_on or FAIL_ON[0],
        quiet=options.quiet, argv=["faultline", "compare", LIVE, *map(written, argv)],
    )


def floors_tell(results: LiveResults) -> None:
    """What each cell's controls say could be told."""
    families = Counter(cell.scenario for cell, arm in results.arms if arm.change is not None)
    for cell in results.cells:
        floor = could_tell(cell, max(1, families[cell.scenario]))
        if floor is not None:
            print(f"{safe(cell.scenario)} {safe(cell.cell)}: by its controls, a change of {percent(floor)} would have "
                  "been told four times in five")


def path_tell(path: Path) -> None:
    """The directory, whatever bytes its name is made of, as the last line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.buffer.flush()


def tell(results: LiveResults, options: argparse.Namespace, number: int) -> int:
    """The files and the table of what was compared; its exit status. number: the signal that ended it, or 0."""
    from faultline import compare_causes, compare_table, live_compare

    for problem in results.problems:
        print(f"{NAME}: {safe(results.directory)}/{safe(problem)}", file=sys.stderr)
    found = live_compare.comparison_of(results)
    status = compare_causes.exit_status(found, results.live["fail_on"], options.require_conclusive)
    if options.bisect:
        status = compare_causes.bisect_status(found, status)
    if number:
        status = 128 + number
    live_compare.write(found, status, results.directory)
    exit_put(results.directory, results.runs, status)
    compare_table.write(found, sys.stdout, options.width, options.all)
    floors_tell(results)
    path_tell(results.directory)
    return status


def run(words: Sequence[str], signals: Signals) -> int:
    """Everything for one comparison; the exit status."""
    try:
        options = options_of(words)
        return tell(measure(settings_of(options, words), signals), options, signals())
    except Interrupted as error:
        return 128 + error.number
    except UsageError as error:
        status, why = USAGE, str(error)
    except LiveError as error:
        status, why = error.status, str(error)
    print(f"{NAME}: {safe(why)}", file=sys.stderr)
    return UNDECIDED if "--bisect" in words else status


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if argv is None else argv)
    with Signals() as signals:
        status = command.guarded(NAME, lambda: run(words, signals), command.broken(words))
        return 128 + signals() if signals() else status


if __name__ == "__main__":
    sys.exit(main())
