# SPDX-License-Identifier: MIT
"""Say which statements about mapping and reading hold on this machine: SUPPORTED, REFUTED or INCONCLUSIVE, each with
what was measured.

  faultline verdicts DIR                    of a run that is there
  faultline verdicts --run [OPTION...]      of the claims measured now; options and scenarios as of `faultline run`
                                            (default: the scenarios of the folder `claims`, --profile quick)

Exit status: that of the run with --run where it is not 0; 3 a claim that was measured is INCONCLUSIVE, or none was
measured (only with --strict); 2 usage; 7 unreadable or damaged records, or the run puts no claim to the test.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Sequence

from faultline import claim_table, claims, command, verdict
from faultline.claim_plan import INCONCLUSIVE
from faultline.command import Complaint
from faultline.records import run_load
from faultline.text import safe

FOLDER = "claims"  # of the scenarios that exist for claims
UNDECIDED, BROKEN = 3, 7
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # to the run, which ends with what there is


def parser_make() -> argparse.ArgumentParser:
    """The command line but for what is handed to `faultline run`."""
    parser = argparse.ArgumentParser(
        prog="faultline verdicts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="the directory of a run")
    parser.add_argument("--run", action="store_true", help="measure now; everything behind it goes to 'faultline run'")
    parser.add_argument("--strict", action="store_true", help="exit with 3 when a claim that was measured is INCONCLUSIVE")
    parser.add_argument(
        "--width", type=int, metavar="COLUMNS", help="width of the lines (default: the terminal's, else 100)"
    )
    return parser


def arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command line, and what follows --run in it."""
    words = list(argv)
    handed = words[words.index("--run") + 1 :] if "--run" in words else []
    parser = parser_make()
    options = parser.parse_args(words[: len(words) - len(handed)])
    if options.run == (options.directory is not None):
        parser.error("either the directory of a run, or --run to measure now")
    return options, handed


def run_words(handed: Sequence[str]) -> list[str]:
    """The command that measures: the folder of claims in the quick profile, unless something else is asked for."""
    program = os.environ.get("FAULTLINE_PROGRAM")
    if not program:
        raise Complaint("which program measures is not known: FAULTLINE_PROGRAM is not set")
    resumed = any(word in ("--resume", "--plan") for word in handed)
    with_values = {i + 1 for i, word in enumerate(handed) if word.startswith("--") and takes_value(word)}
    named = any(not word.startswith("-") for i, word in enumerate(handed) if i not in with_values)
    scenarios = [] if named or resumed else [FOLDER]
    profile = [] if resumed or any(word.split("=")[0] == "--profile" for word in handed) else ["--profile", "quick"]
    return [program, "run", *scenarios, *profile, *handed]


def takes_value(word: str) -> bool:
    """Whether an option of `faultline run` is followed by its value."""
    alone = ("--allow-evict", "--make-filesystems", "--no-report", "--quiet", "--help")
    return "=" not in word and word not in alone


def measure(handed: Sequence[str]) -> tuple[int, Path | None]:
    """Measures, its progress as it comes; the status, and the directory of the run where it says one."""
    process = subprocess.Popen(
        run_words(handed), stdout=subprocess.PIPE, text=True, errors="surrogateescape", process_group=0
    )  # in a group of its own: a signal of the terminal reaches it once, by way of us
    before = {one: signal.signal(one, lambda number, _: process.send_signal(number)) for one in HANDED_ON}
    try:
        output = process.communicate()[0]
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    lines = output.splitlines()
    directory = Path(lines[-1]) if lines else None
    if directory is None or not directory.is_dir():
        print(output, end="")
        directory = None
    return process.returncode if process.returncode >= 0 else 128 - process.returncode, directory


def undecided(found: Sequence[claims.Decision]) -> bool:
    """Whether a claim that was measured is open, or none was: what the profile or the machine leaves out is no failure
    to decide."""
    measured = [one for one in found if one.evidence is not None]
    return not measured or any(one.answer == INCONCLUSIVE for one in measured)


def board(directory: Path, options: argparse.Namespace) -> int:
    """Prints the verdicts of one run."""
    results = verdict.conclude(run_load(directory))
    found = claims.decisions(results)
    if not found:
        raise Complaint(f"{safe(directory)}: no scenario of this run has a claim")
    claim_table.write(results, sys.stdout, options.width)
    for problem in results.run.problems:
        print(f"faultline verdicts: {safe(directory)}/{safe(problem)}", file=sys.stderr)
    if any(problem.severity == "error" for problem in results.run.problems):
        return BROKEN
    return UNDECIDED if options.strict and undecided(found) else 0


def verdicts(argv: Sequence[str]) -> int:
    """Everything."""
    options, handed = arguments(argv)
    if not options.run:
        return board(options.directory, options)
    status, directory = measure(handed)
    if directory is None:
        return status
    told = board(directory, options)
    print(directory)
    return status or told


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return command.guarded("faultline verdicts", lambda: verdicts(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
