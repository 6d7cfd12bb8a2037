# SPDX-License-Identifier: MIT
"""Draw the pictures of a run from its tables: into DIR/plots, or in the terminal.

NAME is one of the plots (`--list` names them); without it all that apply are drawn. With --gnuplot those that gnuplot
can draw too are drawn by it from the same tables; --terminal draws them as text.

Exit status: 0 fine; 2 no such plot; 7 unreadable records, nothing to draw, or gnuplot failed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Sequence

from faultline import command, files, freshness, pictures, plots, tables
from faultline.records import RecordsError, run_load
from faultline.tables import FILES, Table
from faultline.text import safe

SCRIPTS = Path(__file__).parent / "gnuplot"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="faultline plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="the directory of a run")
    parser.add_argument("name", metavar="NAME", nargs="?", help="which plot (default: all that apply)")
    parser.add_argument("--scenario", metavar="NAME", help="of this scenario only")
    parser.add_argument("--format", choices=("svg", "png", "pdf"), default="svg", help="of the files (default: svg)")
    parser.add_argument("--gnuplot", action="store_true", help="draw by gnuplot instead of matplotlib")
    parser.add_argument("--terminal", action="store_true", help="draw as text on standard output, by gnuplot")
    parser.add_argument("--list", action="store_true", help="name the plots and what they show")
    options = parser.parse_args(argv)
    if options.directory is None and not options.list:
        parser.error("the following arguments are required: DIR")
    return options


def tables_load(directory: Path) -> Table:
    """The tables of a run, made from its records when they are absent or no longer what those say."""
    if freshness.is_current(directory, tuple(FILES)):
        try:
            return tables.table_of({name: (directory / name).read_text(encoding="utf-8") for name in FILES})
        except (ValueError, KeyError):
            pass  # written by another version: made anew below
    from faultline import verdict

    contents = tables.texts(verdict.conclude(run_load(directory)))
    tables.write(directory, contents)
    return tables.table_of(contents)


def gnuplot_names() -> list[str]:
    """The plots that gnuplot can draw."""
    return sorted(path.stem for path in SCRIPTS.glob("*.gp"))


def quoted(value: object) -> str:
    """A gnuplot string."""
    return "'" + str(value).replace("'", "''") + "'"


def gnuplot_run(name: str, settings: dict[str, object]) -> None:
    """Runs one gnuplot script with these variables; CalledProcessError when it fails, FileNotFoundError without
    gnuplot."""
    assignments = "; ".join(f"{k} = {v if isinstance(v, int) else quoted(v)}" for k, v in settings.items())
    subprocess.run(["gnuplot", "-e", assignments, str(SCRIPTS / f"{name}.gp")], check=True)


def gnuplot_draw(directory: Path, wanted: Sequence[pictures.Picture], form: str, terminal: bool) -> None:
    """Draws pictures by gnuplot, each once for every setting that the plot names in `gnuplot_settings`."""
    for picture in wanted:
        groups = picture.plot.gnuplot_settings(picture.table) if hasattr(picture.plot, "gnuplot_settings") else [{}]
        for number, group in enumerate(groups):
            settings: dict[str, object] = {"run": directory, "scenario": picture.scenario, **group}
            target = directory / "plots" / f"{picture.stem}{f'-{number + 1}' if len(groups) > 1 else ''}-gnuplot.{form}"
            settings |= {"columns": shutil.get_terminal_size((100, 24)).columns} if terminal else {"output": target}
            target.parent.mkdir(exist_ok=True)
            sys.stdout.flush()
            gnuplot_run(picture.plot.name, settings)
            if not terminal:
                print(safe(target))


def matplotlib_draw(directory: Path, wanted: Sequence[pictures.Picture], form: str) -> None:
    """Draws pictures by matplotlib and names the files."""
    for picture in wanted:
        target = directory / "plots" / f"{picture.stem}.{form}"
        files.replace(target, picture.render(form))
        print(safe(target))


def plot(options: argparse.Namespace) -> int:
    """Draws what is asked for; the exit status."""
    table = tables_load(options.directory)
    by_gnuplot = options.gnuplot or options.terminal
    names = [options.name] if options.name else gnuplot_names() if by_gnuplot else plots.names()
    if by_gnuplot and not set(names) <= set(gnuplot_names()):
        raise plots.NoSuchPlot(f"gnuplot draws {', '.join(gnuplot_names())} only")
    wanted = [p for p in pictures.pictures(table, names) if options.scenario in (None, p.scenario)]
    if not wanted:
        print(f"faultline plot: {safe(options.directory)}: nothing that {', '.join(names)} could draw", file=sys.stderr)
        return 7
    if by_gnuplot:
        gnuplot_draw(options.directory, wanted, options.format, options.terminal)
    else:
        matplotlib_draw(options.directory, wanted, options.format)
    return 0


def run(options: argparse.Namespace) -> int:
    """What the command line asks for; the exit status."""
    if options.list:
        for name in plots.names():
            print(f"{name:18} {plots.load(name).title}{' (gnuplot too)' if name in gnuplot_names() else ''}")
        return 0
    try:
        return plot(options)
    except plots.NoSuchPlot as error:
        print(f"faultline plot: {safe(error)}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        raise RecordsError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return command.guarded("faultline plot", lambda: run(arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
