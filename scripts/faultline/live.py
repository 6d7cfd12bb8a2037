# SPDX-License-Identifier: MIT
"""Compare two launchers of faultline, round by round: what became faster or slower from A to B.

A and B each start a faultline program: another build, `env LD_PRELOAD=... faultline`, `prlimit ... faultline`. For each
cell of the scenarios a trial process of each side is started on the same CPUs; the two pass a turn to and fro and
measure a round each, so that what the machine does meanwhile happens to both. Pairs of such processes are added until
the intervals are narrow enough, the budget is spent, or there are 30.

Exit status: 0 fine; 1 an arm is SLOWER; 2 usage, or a side that cannot be started or has no such plan; 3 something
could not be told (only with --require-conclusive); 4 an arm is INVALID, or there is no room for the files; 5 a side
failed, or did other work; 6 not comparable; 7 I/O or schema, or nothing was compared. When several apply: 2, 7, 6, 5,
4, 1, 3. With --bisect, for git bisect run: 0 good, 1 bad, 125 for everything else.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Sequence

from faultline import live_rows, verdict
from faultline.compare import UNDECIDED, share
from faultline.live_measure import NAME, Settings, Signals, measure
from faultline.live_rows import LiveResults
from faultline.live_sides import IO, TRIAL, LiveError
from faultline.records import RecordsError
from faultline.text import percent, safe
from faultline.trial_pair import WAIT_S, Interrupted, SideError


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


def parser_make() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=f"{NAME} --live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
    parser.add_argument("--seed", metavar="N", type=int, help="of orders and layouts (default: a random one, recorded)")
    parser.add_argument("--budget", metavar="TIME", type=seconds, help="begin no pair that would end after this time")
    parser.add_argument("--delta", metavar="D", type=share, help="what counts as the same (default: the scenario's)")
    parser.add_argument("--pairs", metavar="N", type=count, help="this many, instead of as many as make it precise")
    parser.add_argument("--control", metavar="N", type=count, default=0, help="as many pairs of A against itself too")
    parser.add_argument(
        "--deadline", metavar="TIME", type=seconds, default=WAIT_S,
        help=f"end a pair that takes longer (default: {WAIT_S:g}s)",
    )
    parser.add_argument("--require-conclusive", action="store_true", help="status 3 when anything is CANNOT TELL")
    parser.add_argument("--bisect", action="store_true", help="status for git bisect run: 0 good, 1 bad, 125 undecided")
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="width of the table (default: the terminal's)")
    parser.add_argument("--all", action="store_true", help="print every row")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def settings_of(options: argparse.Namespace, argv: Sequence[str]) -> Settings:
    """What a command line asks for."""
    words = [word for one in options.set for word in ("--set", one)]
    words += ["--cell", options.cell] if options.cell else []
    words += ["--arms", options.arms] if options.arms else []
    return Settings(
        base=options.base, candidate=options.candidate, scenarios=options.scenarios, out=options.out,
        profile=options.profile, seed=options.seed, budget_s=options.budget, delta=options.delta, pairs=options.pairs,
        controls=options.control, deadline_s=options.deadline, directory=options.directory, plan_words=words,
        quiet=options.quiet, argv=argv,
    )


def tell(results: LiveResults, options: argparse.Namespace) -> int:
    """The table and the files of what was compared; its exit status."""
    from faultline import compare_table, comparison, live_compare

    for problem in results.problems:
        print(f"{NAME}: {results.directory}/{safe(problem)}", file=sys.stderr)
    status = live_rows.exit_status(results, options.require_conclusive)
    if results.arms:
        found = live_compare.comparison_of(results, options.delta)
        if any(row.verdict == verdict.SLOWER for row in found.rows):
            status = 1 if status in (0, 3) else status  # of counts, too
        if options.bisect:
            status = comparison.bisect_status(found, status)
        compare_table.write(found, sys.stdout, options.width, options.all)
        live_compare.write(found, status, results.directory)
    for cell in results.cells:
        floor = live_rows.could_tell(cell)
        if floor is not None:
            print(f"{safe(cell.scenario)} {safe(cell.cell)}: by the controls, a change of {percent(floor)} could have been told")
    print(results.directory)
    return status


def run(words: Sequence[str], signals: Signals) -> int:
    """Everything for one comparison; the exit status."""
    options = parser_make().parse_args(words)
    try:
        return tell(measure(settings_of(options, words), signals), options)
    except LiveError as error:
        status, why = error.status, str(error)
    except SideError as error:
        status, why = TRIAL, str(error)
    except (RecordsError, OSError) as error:
        status, why = IO, str(error)
    print(f"{NAME}: {safe(why)}", file=sys.stderr)
    return UNDECIDED if options.bisect else status


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    with Signals() as signals:
        try:
            status = run(list(sys.argv[1:] if argv is None else argv), signals)
        except Interrupted as error:
            return 128 + error.number
        return 128 + signals() if signals() else status


if __name__ == "__main__":
    sys.exit(main())
