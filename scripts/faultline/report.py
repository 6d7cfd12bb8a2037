# SPDX-License-Identifier: MIT
"""Say what a run means: print its table, and write summary.json, cells.csv, trials.csv, crossings.csv, summary.md,
report.html, plots/*.svg, junit.xml and badge.json into its directory.

Exit status: 0 fine; 3 something could not be told (only with --strict); 4 identical arms differ, the machine, its
boot or the instance changed, or no comparison is valid; 5 a trial failed or a checksum was wrong; 7 unreadable or
damaged records, or nothing was measured.
When several apply: 7, 5, 4, 3.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from faultline import claim_table, command, files, table, verdict
from faultline.records import run_load
from faultline.text import safe
from faultline.verdict import Results


def new_file(word: str) -> Path:
    """A path that can be written as a file of its own: renaming onto a device or a link would take that away."""
    path = Path(word)
    try:
        taken = path.is_symlink() or (path.exists() and not path.is_file())
    except OSError as error:  # too long a name, for instance
        raise argparse.ArgumentTypeError(safe(error)) from None
    if taken:
        raise argparse.ArgumentTypeError(f"{safe(word)} is no file")
    return path


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="faultline report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the directory of a run")
    parser.add_argument("--no-plots", action="store_true", help="draw no pictures (the page is written without them)")
    parser.add_argument("--table-only", action="store_true", help="print the table and write nothing")
    parser.add_argument(
        "--openmetrics", metavar="FILE", type=new_file, help="write the figures in the OpenMetrics text format too"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 3 when a comparison is CANNOT TELL or INVALID")
    parser.add_argument(
        "--width", type=int, metavar="COLUMNS", help="width of the table (default: the terminal's, else 100)"
    )
    return parser.parse_args(argv)


def data_write(results: Results, directory: Path) -> dict[str, str]:
    """Writes what programs read; returns the contents of the tables by file name."""
    from faultline import markdown, summary, tables

    files.replace_json(directory / "summary.json", summary.summary(results))
    contents = tables.texts(results)
    tables.write(directory, contents)
    files.replace_json(directory / "badge.json", summary.badge(results))
    files.replace(directory / "junit.xml", summary.junit(results))
    files.replace_text(directory / "summary.md", markdown.markdown(results))
    return contents


def pages_write(results: Results, directory: Path, contents: dict[str, str], draw: bool) -> None:
    """Draws the pictures into plots/ and writes the page that shows them."""
    from faultline import page, tables

    drawn = []
    if draw:
        from faultline import pictures

        drawn = [(p, p.render("svg")) for p in pictures.pictures(tables.table_of(contents))]
        for picture, svg in drawn:
            files.replace(directory / "plots" / f"{picture.stem}.svg", svg)
    files.replace_text(directory / "report.html", page.html(results, drawn))


def report(options: argparse.Namespace) -> int:
    """Everything for one run; RecordsError or OSError when it cannot be read or written."""
    directory: Path = options.directory
    results = verdict.conclude(run_load(directory))
    try:
        table.write(results, sys.stdout, options.width)
        claim_table.write(results, sys.stdout, options.width)
    except BrokenPipeError:  # whoever read it has seen enough: the files are still wanted
        command.output_end()
    for problem in results.run.problems:
        print(f"faultline report: {safe(directory)}/{safe(problem)}", file=sys.stderr)
    if options.openmetrics is not None:
        from faultline import openmetrics

        files.replace_text(options.openmetrics, openmetrics.exposition(results))
    if not options.table_only:
        contents = data_write(results, directory)
        pages_write(results, directory, contents, not options.no_plots)
    if not results.measured:
        print(f"faultline report: {safe(directory)}: nothing was measured", file=sys.stderr)
    return verdict.exit_status(results, options.strict)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return command.guarded("faultline report", lambda: report(arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
