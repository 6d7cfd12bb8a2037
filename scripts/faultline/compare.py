# SPDX-License-Identifier: MIT
"""Put stored runs beside each other: what became faster or slower from BASE to CAND, and what cannot be told.

BASE and CAND are each a run's directory, an archive of one (.tar, .tar.gz, .tar.xz, .zip), or a directory that holds
several of either. The difference of the machines' fingerprints comes first; a blocking one must be declared (--vary).

Exit status: 0 fine; 1 a row is SLOWER (see --fail-on); 2 usage; 3 something could not be told (only with
--require-conclusive); 4 a row or a run is INVALID; 5 a trial failed or a checksum was wrong; 6 not comparable; 7
unreadable or damaged, or nothing was compared. When several apply: 2, 7, 6, 5, 4, 1, 3.
With --bisect, for git bisect run: 0 good, 1 bad, 125 for everything else.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from typing import Any, Callable, NoReturn, Sequence

from faultline import command, files, fingerprint
from faultline.command import UNDECIDED
from faultline.text import safe

OUTPUTS = {"json": "compare.json", "markdown": "compare.md", "junit": "junit.xml", "html": "compare.html",
           "badge": "badge.json"}
NAME = "faultline compare"
LIVE = "--live"
BOARD = "--board"
FAIL_ON = ("slower", "any", "never")  # which rows make the status 1


class UsageError(Exception):
    """The command line is wrong; the text is one line for the user."""


class Parser(argparse.ArgumentParser):
    """Tells what is wrong by an exception, so that --bisect can translate it."""

    def error(self, message: str) -> NoReturn:
        """One line, and what the usage is."""
        raise UsageError(f"{message} ({NAME} --help says more)")


def share(value: str) -> float:
    """ "2%" or "0.02" as a fraction between 0 and 1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", value)
    found = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"'{safe(value)}' is no share between 0 and 1, such as 2%")
    return found


def names(value: str) -> list[str]:
    """ "a,b" as a list."""
    found = [one.strip() for one in value.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"'{safe(value)}' is no list of names")
    return found


def parser_make() -> Parser:
    """The command line."""
    parser = Parser(prog=NAME, description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", metavar="RUN", nargs="*", help="BASE and CAND")
    parser.add_argument(LIVE, action="store_true",
                        help=f"measure two launchers round by round ('{NAME} {LIVE} --help')")
    parser.add_argument(BOARD, action="store_true", help=f"put machines beside each other ('{NAME} {BOARD} --help')")
    parser.add_argument("--base", metavar="RUN", nargs="+", action="extend", default=[], help="runs of the base")
    parser.add_argument("--candidate", metavar="RUN", nargs="+", action="extend", default=[],
                        help="runs of the candidate")
    parser.add_argument("--vary", metavar="KEY,...", type=names, action="extend", default=[],
                        help=f"differences that are meant: {', '.join(fingerprint.GROUPS)}, a key of the fingerprint "
                        "or a parameter")
    parser.add_argument("--delta", metavar="D", type=share, help="what counts as the same, such as 2%% (default: the "
                        "scenario's)")
    parser.add_argument("--scenario", metavar="NAME,...", type=names, action="extend", default=[], help="only these")
    parser.add_argument("--quantity", metavar="NAME,...", type=names, action="extend", default=[],
                        help="only these: ratio, ns_per_op, or names of counts")
    parser.add_argument("--fail-on", choices=FAIL_ON, default=FAIL_ON[0],
                        help="which rows make the status 1: SLOWER ones (default), FASTER ones too, none")
    parser.add_argument("--require-conclusive", action="store_true", help="status 3 when anything is CANNOT TELL")
    parser.add_argument("--bisect", action="store_true", help="status for git bisect run: 0 good, 1 bad, 125 undecided")
    parser.add_argument("--out", metavar="DIR", type=Path, help=f"write {', '.join(OUTPUTS.values())} there")
    for option, name in OUTPUTS.items():
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=f"write {name} as FILE")
    parser.add_argument("--width", type=int, metavar="COLUMNS",
                        help="width of the table (default: the terminal's, else 100)")
    parser.add_argument("--all", action="store_true", help="print every row")
    return parser


def sides_of(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The runs of both sides; UsageError when there are not two sides."""
    given = list(options.given)
    base, candidate = options.base, options.candidate
    if given and (base or candidate):
        raise UsageError("either BASE and CAND, or --base and --candidate")
    if not (base or candidate) and len(given) == 2:
        base, candidate = given[:1], given[1:]
    if not base or not candidate:
        raise UsageError("two sides are needed: BASE CAND, or --base RUN... --candidate RUN...")
    return [Path(one) for one in base], [Path(one) for one in candidate]


def options_check(options: argparse.Namespace) -> None:
    """What argparse cannot tell; UsageError when options do not go together."""
    from faultline import sources

    if options.bisect and options.fail_on == "never":
        raise UsageError("--bisect needs rows that are bad: it does not go with --fail-on never")
    if options.out and sources.is_run(options.out):
        raise UsageError(f"--out: {options.out} is a run, whose own junit.xml and badge.json would be replaced")


def vary_check(vary: Sequence[str], known: set[str]) -> None:
    """Every name of --vary must be one; UsageError otherwise."""
    for name in vary:
        if name not in fingerprint.GROUPS and name not in known:
            raise UsageError(f"--vary: there is no '{safe(name)}'; groups are {', '.join(fingerprint.GROUPS)}")


def compared(options: argparse.Namespace) -> Any:
    """The comparison; UsageError, RecordsError or OSError when there can be none."""
    from faultline import comparison, exact_counts, pairing, schema, sources
    from faultline.records import RecordsError

    paths = sides_of(options)
    try:
        (base, said), (candidate, more) = (sources.side_load(side) for side in paths)
    except (RecordsError, OSError):
        try:
            vary_check(options.vary, fingerprint.known_keys() | set(schema.parameter_types()))
        except schema.SchemaError:
            pass  # it was the reason, or comes second
        raise
    runs = [one.run for one in (*base, *candidate)]
    vary_check(options.vary, fingerprint.keys_of(runs) | fingerprint.known_keys() | pairing.parameters(runs))
    scenarios = {name for run in runs for name in run.manifest.scenarios}
    for name in options.scenario:
        if name not in scenarios:
            raise UsageError(f"--scenario: neither side has '{safe(name)}'")
    known = {pairing.RATIO, pairing.NS, *exact_counts.exact_names()}
    for name in options.quantity:
        if name not in known:
            raise UsageError(f"--quantity: there is no '{safe(name)}'; there are {', '.join(sorted(known))}")
    found = comparison.compare(base, candidate, options.vary, options.delta, options.scenario, options.quantity)
    found.notes += [*said, *more]
    return found


def outputs_of(options: argparse.Namespace) -> dict[str, list[Path]]:
    """The files to be written, by kind."""
    out = {kind: [options.out / name] if options.out else [] for kind, name in OUTPUTS.items()}
    for kind, paths in out.items():
        paths += [getattr(options, kind)] if getattr(options, kind) else []
    return out


def write(found: Any, status: int, outputs: dict[str, list[Path]]) -> None:
    """Writes what was asked for; OSError when it cannot be written."""
    from faultline import compare_files, compare_pages

    for path in outputs["json"]:
        files.replace_json(path, compare_files.document(found, status))
    for path in outputs["markdown"]:
        files.replace_text(path, compare_pages.markdown(found))
    for path in outputs["junit"]:
        files.replace(path, compare_files.junit(found))
    for path in outputs["html"]:
        files.replace_text(path, compare_pages.html(found))
    for path in outputs["badge"]:
        files.replace_json(path, compare_files.badge(found))


def run(options: argparse.Namespace) -> int:
    """Everything for one comparison; the exit status."""
    from faultline import compare_causes, compare_table

    options_check(options)
    found = compared(options)
    status = compare_causes.exit_status(found, options.fail_on, options.require_conclusive)
    if options.bisect:
        status = compare_causes.bisect_doubt(found, compare_causes.bisect_status(found, status), options.fail_on)
    write(found, status, outputs_of(options))
    compare_table.write(found, sys.stdout, options.width, options.all)
    return status


def live_body(words: Sequence[str]) -> Callable[[], int]:
    """The comparison of two launchers."""

    def body() -> int:
        from faultline import live

        return live.main(words)

    return body


def stored_body(words: Sequence[str], misused: int) -> Callable[[], int]:
    """The comparison of stored runs; its status is `misused` when the command line is wrong."""

    def body() -> int:
        try:
            return run(parser_make().parse_args(words))
        except UsageError as error:
            print(f"{NAME}: {safe(error)}", file=sys.stderr)
            return misused

    return body


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if LIVE in words:
        return command.guarded(NAME, live_body([word for word in words if word != LIVE]), command.broken(words))
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, lambda number, _: sys.exit(128 + number))  # so that what was unpacked goes away
    if BOARD in words:
        from faultline import board_command

        return board_command.main([word for word in words if word != BOARD])
    return command.guarded(NAME, stored_body(words, UNDECIDED if "--bisect" in words else 2), command.broken(words))


if __name__ == "__main__":
    sys.exit(main())
