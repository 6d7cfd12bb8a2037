# SPDX-License-Identifier: MIT
"""Put machines beside each other: what each says of the same scenarios, and which differences between them are real.

A RUN is a run's directory, an archive of one (.tar, .tar.gz, .tar.xz, .zip), or a directory that holds several of
either. Runs of one machine form one column. Machines may differ in anything: ratios are judged within each machine and
then put beside each other, and the board says which of them differ by the machine, by the page size, by settings, and
which cannot be told. That takes runs of several boots of each machine; of fewer it says only whether these runs differ.
Absolute times stand side by side and are never divided.

Exit status: 0 a board was made; 2 usage; 3 every row cannot be told (with --require-conclusive: any row leaves open
whether the machines differ); 4 a row or a run is INVALID; 5 a trial failed or a checksum was wrong; 6 something that
machines share is not the same on all (other parameters, method or tool versions); 7 unreadable or damaged, or nothing
stands beside anything that a rule may judge. When several apply: 2, 7, 6, 5, 4, 3.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Sequence

from faultline import command, files
from faultline.compare import Parser, UsageError, names, share
from faultline.text import safe

NAME = "faultline compare --board"
OUTPUTS = {"json": "board.json", "markdown": "board.md", "html": "board.html", "picture": "board.svg"}


def parser_make() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog=NAME, description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="runs of two machines or more")
    parser.add_argument("--delta", metavar="D", type=share, help="what counts as the same, such as 2%% (default: the "
                        "scenario's)")
    parser.add_argument("--scenario", metavar="NAME,...", type=names, action="extend", default=[], help="only these")
    parser.add_argument("--quantity", metavar="NAME,...", type=names, action="extend", default=[],
                        help="only these rows: ratio, or names of counts")
    parser.add_argument("--require-conclusive", action="store_true",
                        help="status 3 when a row leaves open whether the machines differ")
    parser.add_argument("--out", metavar="DIR", type=Path, help=f"write {', '.join(OUTPUTS.values())} there")
    for option, name in OUTPUTS.items():
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=f"write {name} as FILE")
    parser.add_argument("--width", type=int, metavar="COLUMNS",
                        help="width of the table (default: the terminal's, else 100)")
    parser.add_argument("--all", action="store_true", help="print every row, and all times")
    return parser


def run(words: Sequence[str]) -> int:
    """Everything for one board; the exit status. UsageError, Complaint or OSError when there can be none."""
    options = parser_make().parse_args(words)
    if not options.runs:
        raise UsageError("runs are needed: --board RUN RUN...")
    from faultline import board, board_table, exact_counts, pairing, sources

    known = {pairing.RATIO, *exact_counts.exact_names()}
    for name in options.quantity:
        if name not in known:
            raise UsageError(f"--quantity: there is no '{safe(name)}'; there are {', '.join(sorted(known))}")
    runs, said = sources.side_load(options.runs)
    scenarios = {name for one in runs for name in one.run.manifest.scenarios}
    for name in options.scenario:
        if name not in scenarios:
            raise UsageError(f"--scenario: no run has '{safe(name)}'")
    found = board.board_of(runs, options.delta, options.scenario, options.quantity)
    found.notes += said
    status = board.exit_status(found, options.require_conclusive)
    board_table.write(found, sys.stdout, options.width, options.all)
    write(found, status, options)
    return status


def write(found: Any, status: int, options: argparse.Namespace) -> None:
    """Writes what was asked for; OSError when it cannot be written."""
    from faultline import board_files, board_pages

    paths = {kind: [p for p in (options.out and options.out / name, getattr(options, kind)) if p]
             for kind, name in OUTPUTS.items()}
    svg = board_pages.picture(found) if paths["html"] or paths["picture"] else None
    for path in paths["json"]:
        files.replace_json(path, board_files.document(found, status))
    for path in paths["markdown"]:
        files.replace_text(path, board_pages.markdown(found))
    for path in paths["html"]:
        files.replace_text(path, board_pages.html(found, svg))
    for path in paths["picture"]:
        if svg is None:
            path.unlink(missing_ok=True)  # one of an earlier board would pass for this one's
        else:
            files.replace(path, svg)


def main(words: Sequence[str]) -> int:
    """The command."""

    def body() -> int:
        try:
            return run(words)
        except UsageError as error:
            print(f"{NAME}: {safe(error).replace('faultline compare --help', f'{NAME} --help')}", file=sys.stderr)
            return 2

    return command.guarded(NAME, body, command.BROKEN)
