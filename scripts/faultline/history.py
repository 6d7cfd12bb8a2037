# SPDX-License-Identifier: MIT
"""Follow results over runs: keep an index of them, say where a level changed, draw it.

add     puts runs into the index; one that is in it already changes nothing
remove  takes runs out of it, and looks for changes anew without them
show    the first and last value of each series, and its changes
plot    a picture of each, as PNG and SVG

The index is the file of --index, else of $FAULTLINE_HISTORY, else history.sqlite in the current directory. Names may be
patterns (* ? [abc]).

Exit status: 0 fine; 1 a series is SLOWER than before its late changes (only with --fail-on-change); 2 usage; 3 no
series could have been told to be SLOWER (only with --require-judged); 7 a run or the index cannot be read, or nothing
matches.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Sequence, TypeVar

from faultline import changes, command, history_index, history_remove, history_run, history_text, history_view
from faultline.history_index import Filter
from faultline.history_run import is_count
from faultline.history_view import Shown
from faultline.pictures import stem
from faultline.records import RecordsError
from faultline.text import plain, safe

LAST_RUNS = 20
DRAWN_RUNS = 200
INDEX = "history.sqlite"
NO_CHANGE = "no change"


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"'{safe(text)}' is no whole number from 1 on")
    return int(text)


def utf8(text: str) -> str:
    """Text that an index can hold and be asked for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"'{safe(text)}' is not UTF-8") from None
    return text


def index_default() -> Path:
    """Where the index lies unless --index says so."""
    return Path(os.environ.get("FAULTLINE_HISTORY") or INDEX)


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose series."""
    parser.add_argument("--index", metavar="FILE", type=Path, help="the index (default: see above)")
    for name, what in (
        ("scenario", "scenarios of this name"),
        ("cell", "this cell: its id, as tables show it"),
        ("arm", "this arm"),
        ("quantity", "ratio, ns_per_op, or COUNTER_per_op"),
        ("machine", "machines of this name, or with a fingerprint that begins so"),
    ):
        parser.add_argument(f"--{name}", metavar=name[0].upper(), type=utf8, help=f"only {what}")
    parser.add_argument("--changes", action="store_true", help="only series with a change")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="faultline history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add = commands.add_parser("add", help="put runs into the index")
    add.add_argument("--index", metavar="FILE", type=Path, help="the index, made when it is not there")
    add.add_argument("--commit", metavar="TEXT", type=utf8, default="", help="what was measured, such as a commit")
    add.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="the directory of a run")
    remove = commands.add_parser("remove", help="take runs out of the index")
    remove.add_argument("--index", metavar="FILE", type=Path, help="the index (default: see above)")
    remove.add_argument("ids", metavar="ID", type=utf8, nargs="+", help="of a run, as 'add' and 'show' print it")
    show = commands.add_parser("show", help="first and last values, and changes")
    filter_arguments(show)
    show.add_argument("--json", action="store_true", help="as JSON (faultline.history/1)")
    show.add_argument(
        "--fail-on-change",
        metavar="N",
        type=positive,
        nargs="?",
        const=LAST_RUNS,
        help=f"exit with 1 when a series is SLOWER than before the changes told within its last N runs ({LAST_RUNS})",
    )
    show.add_argument("--require-judged", action="store_true",
                      help="exit with 3 when no series has runs enough to be told to be SLOWER")
    plot = commands.add_parser("plot", help="a picture of each series")
    filter_arguments(plot)
    plot.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("history-plots"), help="where to (default: history-plots)"
    )
    plot.add_argument("--runs", metavar="N", type=positive, default=DRAWN_RUNS, help=f"the last N runs ({DRAWN_RUNS})")
    return parser.parse_args(argv)


def complain(text: object) -> None:
    """One line for the user."""
    print(f"faultline history: {safe(text)}", file=sys.stderr)


def say(text: str) -> None:
    """A line on standard output, in what the terminal can show."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    print(text if encoding.startswith("utf") else plain(text))


Found = TypeVar("Found")


def read_or_complain(read: Callable[[Path], Found], path: Path) -> Found | None:
    """What is read of a run; None, with one line for the user, when it cannot be."""
    try:
        return read(path)
    except (RecordsError, OSError) as error:
        complain(error)
        return None


def add(options: argparse.Namespace, index: Path) -> int:
    """Adds runs in the order in which they were started, each as a whole; 7 when one could not be read. One at a time
    is in memory."""
    started = [(read_or_complain(history_run.started_of, path), path) for path in options.runs]
    broken = any(when is None for when, _ in started)
    with ExitStack() as stack:
        connection = None
        for _, path in sorted((when, path) for when, path in started if when is not None):
            run = read_or_complain(history_run.read, path)
            broken |= run is None
            if run is not None:
                connection = connection or stack.enter_context(history_index.index_open(index, write=True))
                done = history_index.run_add(connection, run, options.commit)
                say(f"{safe(path)}: {done} as {run.id}" + ("; nothing changed" if done.startswith("there") else ""))
    return 7 if broken else 0


def remove(options: argparse.Namespace, index: Path) -> int:
    """Takes runs out, all that are named or none."""
    if not index.exists():
        complain(f"{index}: no such index")
        return 7
    with history_index.index_open(index, write=True) as connection:
        names = history_remove.runs_remove(connection, options.ids)
    for id_, name in zip(dict.fromkeys(options.ids), names):
        say(f"{safe(name)}: {id_} is removed")
    return 0


def wanted(options: argparse.Namespace) -> Filter:
    """The filter of a command line."""
    return Filter(options.scenario, options.cell, options.arm, options.quantity, options.machine)


def nothing(index: Path) -> int:
    """Says that no series is left."""
    complain(f"{index}: no series matches")
    return 7


def by_default(one: Shown) -> bool:
    """What is shown when no quantity is asked for: of counts only those that changed."""
    return bool(one.changes) or not is_count(one.series.quantity)


def show_status(options: argparse.Namespace, index: Path, found: Sequence[Shown], regressed: bool) -> int:
    """The exit status of what is shown. That nothing could have become SLOWER is said where it was asked for."""
    asked = options.fail_on_change is not None or options.require_judged
    if not asked or any(one.is_watched for one in found):
        return int(regressed)
    complain(f"{index}: no series can be SLOWER yet: none that goes on is a ratio with {changes.RUNS_LEAST} runs")
    return 3 if options.require_judged else 0


def show(options: argparse.Namespace, index: Path) -> int:
    """Prints what matches."""
    with history_index.index_open(index) as connection, history_index.snapshot(connection):
        found = history_view.view(connection, wanted(options))
        regressed = options.fail_on_change is not None and any(
            history_view.is_regression(connection, one, options.fail_on_change) for one in found
        )
    if not found:
        return nothing(index)
    status = show_status(options, index, found, regressed)
    kept = [one for one in found if one.changes or not options.changes]
    if options.json:
        print(json.dumps(history_text.document(kept), indent=1, allow_nan=False))
        return status
    seen = [one for one in kept if options.quantity or by_default(one)]
    for line in history_text.lines(seen):
        say(line)
    if not kept:
        say(NO_CHANGE)
    elif len(seen) < len(kept):
        say(f"\n{len(kept) - len(seen)} series of counts that did not change are left out (--quantity names one)")
    return status


def plot(options: argparse.Namespace, index: Path) -> int:
    """Draws what matches; ratios unless a quantity is named."""
    from faultline import files, history_picture

    options.quantity = options.quantity or "ratio"
    with history_index.index_open(index) as connection, history_index.snapshot(connection):
        found = history_view.view(connection, wanted(options))
        if not found:
            return nothing(index)
        kept = [one for one in found if one.changes or not options.changes]
        if not kept:
            say(NO_CHANGE)
        used: set[str] = set()
        for chain in history_view.chains(kept):
            drawn = history_view.drawn_of(connection, chain, options.runs)
            series = drawn.last.series
            name = stem("history", "-".join((series.quantity, series.scenario, series.cell, series.arm)))
            while name in used:
                name += "_"
            used.add(name)
            for form in ("png", "svg"):
                target = options.out / f"{name}.{form}"
                files.replace(target, history_picture.render(drawn, form))
                say(safe(target))
    return 0


def run(options: argparse.Namespace) -> int:
    """What the command line asks for; the exit status."""
    commands = {"add": add, "remove": remove, "show": show, "plot": plot}
    return commands[options.command](options, options.index or index_default())


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return command.guarded("faultline history", lambda: run(arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
