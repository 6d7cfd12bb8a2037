# SPDX-License-Identifier: MIT
"""The pictures: which apply, that they are drawn of the tables alone, that their texts do not lie on each other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import fake_run
from conftest import PICTURES, ROOT
from fake_run import FakeArm
from faultline import canvas, pictures, plots, records, stats, tables, verdict
from faultline.tables import Table

GNUPLOT = pytest.mark.skipif(shutil.which("gnuplot") is None, reason="gnuplot is not installed")


def table_of(directory: Path, *scenarios: fake_run.FakeScenario) -> Table:
    found = verdict.conclude(records.run_load(fake_run.write(directory, list(scenarios))))
    tables.write(directory, tables.texts(found))
    return tables.table_of(tables.texts(found))


@pytest.fixture(scope="module")
def table(whole_table: Table) -> Table:
    return whole_table


def test_plots_are_found_by_file_name() -> None:
    assert {"board", "crossover", "null_run", "recipe"} <= set(plots.names())
    for name in plots.names():
        module = plots.load(name)
        assert module.name == name and module.scope in ("run", "scenario") and module.title
    with pytest.raises(ValueError, match="no plot named 'pie'"):
        plots.load("pie")


def test_each_plot_applies_where_it_should(table: Table) -> None:
    assert {(p.plot.name, p.scenario) for p in pictures.pictures(table)} == PICTURES


def test_no_picture_holds_a_raster(whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    assert not [picture.stem for picture, svg in whole_drawn if b"<image" in svg]


def texts_of(figure: Any) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, with its box in pixels. Ticks beyond the limits keep their text but are not drawn."""
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    renderer = drawing.get_renderer()
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = {id(label) for axis in axes for t in (*axis.majorTicks, *axis.minorTicks) for label in (t.label1, t.label2)}
    drawn = {
        id(label) for axis in axes if axis.axes.axison for t in axis._update_ticks() for label in (t.label1, t.label2)
    }  # noqa: SLF001
    hidden = {id(text) for panel in figure.axes if not panel.axison for text in panel.findobj(Text)}
    return [
        (t.get_text(), t.get_window_extent(renderer))
        for t in figure.findobj(Text)
        if t.get_visible() and t.get_text().strip() and id(t) not in hidden and (id(t) not in ticks or id(t) in drawn)
    ]


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other by more than a hair, and texts that leave the picture."""
    boxes = texts_of(figure)
    bad = []
    for i, (one, a) in enumerate(boxes):
        if a.x0 < -2 or a.y0 < -2 or a.x1 > figure.bbox.width + 2 or a.y1 > figure.bbox.height + 2:
            bad.append((one, "the edge"))
        for other, b in boxes[i + 1 :]:
            common = Bbox.intersection(a, b)
            if common is not None and common.width > 2 and common.height > 2:
                bad.append((one, other))
    return bad


def check_overlaps(found: Table) -> None:
    for picture in pictures.pictures(found):
        figure = canvas.figure(picture.table, picture.plot)
        assert overlaps(figure) == [], picture.stem


def test_texts_keep_apart(table: Table) -> None:
    check_overlaps(table)


@pytest.mark.parametrize("cells", (1, 30))
def test_texts_keep_apart_for_any_number_of_cells(cells: int, tmp_path: Path) -> None:
    arms = [
        FakeArm("pread"),
        FakeArm("mapped with a long name that goes on and on for fifty letters", 0.02),
        FakeArm("second", 60.0),
        FakeArm("third", 1.0),
        FakeArm("fourth of them", 0.4),
    ]
    scenario = fake_run.read_or_map(
        cells=fake_run.product(block_bytes=[64 << i for i in range(cells)]),
        arms=arms,
        trials=6,
        rounds=4,
        trial_noise=0.2,
        question="A question so long that it has to be broken into several lines, as nobody would read it otherwise?",
    )
    check_overlaps(table_of(tmp_path / "r", scenario))


def test_texts_keep_apart_in_many_groups_and_recipes(tmp_path: Path) -> None:
    cells = fake_run.product(
        file_bytes=[4096 << 2 * i for i in range(4)],
        recipe=["write-4KiB", "write-1MiB", "refill-hugepage"],
        pattern=["sequential", "random"],
    )
    check_overlaps(table_of(tmp_path / "r", fake_run.read_or_map(cells=cells, trials=6, rounds=4)))


def test_pictures_are_the_same_for_the_same_table(whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    picture, svg = whole_drawn[0]
    assert picture.render("svg") == svg and picture.render("png")[:4] == b"\x89PNG"
    assert picture.render("pdf")[:4] == b"%PDF"


def test_figures_beside_each_other_have_the_same_scale(table: Table) -> None:
    picture = next(p for p in pictures.pictures(table, ["crossover"]) if p.scenario == "access/read-or-map")
    figure = canvas.figure(picture.table, picture.plot)
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == 8 and len({axis.get_ylim() for axis in shown}) == 2


def test_a_picture_is_wide_enough_for_its_title(tmp_path: Path) -> None:
    found = table_of(tmp_path / "r", fake_run.read_or_map(cells=[{}], trials=6, rounds=4))
    figure = canvas.figure(found, plots.load("board"))
    assert figure.get_figwidth() >= canvas.WIDTH_LEAST


def test_many_arms_are_told_apart() -> None:
    assert len({tuple(canvas.style(i).values()) for i in range(64)}) == 64
    assert len({(canvas.fill(i)["facecolor"], canvas.fill(i)["hatch"]) for i in range(64)}) == 64


def test_uncertainty_is_drawn(table: Table) -> None:
    """The interval's ends are among what the board draws."""
    picture = next(p for p in pictures.pictures(table, ["board"]) if p.scenario == "access/scan-by-size")
    figure = canvas.figure(picture.table, picture.plot)
    drawn = {round(float(x), 6) for line in figure.axes[0].lines for x in line.get_xdata()}
    for row in picture.table.cells:
        if row["role"] == "candidate":
            assert {round(row["ratio_low"], 6), round(row["ratio_high"], 6)} <= drawn


@pytest.mark.parametrize(("slowest", "shown"), ((0.5, True), (0.93, False)))
def test_workers_that_fall_behind_are_drawn(slowest: float, shown: bool, tmp_path: Path) -> None:
    scenario = fake_run.read_or_map(trials=8, cells=fake_run.product(block_bytes=[64, 4096]))
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", [scenario])))
    for cell in found.cells:
        cell.arms[0].fairness = stats.Interval(0.97, None, None)
        cell.arms[1].fairness = stats.Interval(slowest, slowest - 0.1, slowest + 0.05)
    table = tables.table_of(tables.texts(found))
    assert any(one.plot.name == "fairness" for one in pictures.pictures(table)) == shown
    (picture,) = pictures.pictures(table, ["fairness"])
    figure = canvas.figure(picture.table, picture.plot)
    drawn = {round(float(x), 6) for line in figure.axes[0].lines for x in line.get_xdata()}
    assert {0.97, slowest, round(slowest - 0.1, 6), round(slowest + 0.05, 6)} <= drawn
    check_overlaps(table)


def test_what_lies_beyond_the_scale_is_written(tmp_path: Path) -> None:
    found = table_of(
        tmp_path / "r", fake_run.read_or_map(arms=[FakeArm("pread"), FakeArm("far", 200.0)], cells=[{}], trials=8)
    )
    svg = next(pictures.pictures(found, ["board"])).render("svg").decode()
    assert "200× [" in svg or "201× [" in svg or "199× [" in svg


def gnuplot(script: str, settings: str) -> subprocess.CompletedProcess[str]:
    path = ROOT / "scripts" / "faultline" / "gnuplot" / f"{script}.gp"
    return subprocess.run(
        ["gnuplot", "-e", settings, str(path)], capture_output=True, text=True, check=False, timeout=60
    )


@GNUPLOT
@pytest.mark.parametrize(
    ("script", "scenario"),
    (
        ("board", "access/recipe"),
        ("board", "access/read-or-map"),
        ("crossover", "access/scan-by-size"),
        ("crossover", "access/read-or-map"),
    ),
)
def test_gnuplot_draws_from_the_tables_alone(
    script: str, scenario: str, whole: verdict.Results, tmp_path: Path
) -> None:
    tables.write(tmp_path, tables.texts(whole))
    done = gnuplot(script, f"run='{tmp_path}'; scenario='{scenario}'; columns=110")
    assert done.returncode == 0 and done.stderr == ""
    wanted = {
        "board": ("recipe=write-4KiB" if "recipe" in scenario else "mapped, populated, copied", "null", "slower >"),
        "crossover": ("time per", "64KiB", "time ÷ time of the baseline"),
    }[script]
    assert all(word in done.stdout for word in wanted)
    for form in ("svg", "png", "pdf"):
        target = tmp_path / f"{script}.{form}"
        done = gnuplot(script, f"run='{tmp_path}'; scenario='{scenario}'; output='{target}'")
        assert done.returncode == 0 and done.stderr == "" and target.stat().st_size > 2000


@GNUPLOT
def test_gnuplot_and_matplotlib_show_the_same_figures(whole: verdict.Results, tmp_path: Path) -> None:
    tables.write(tmp_path, tables.texts(whole))
    out = gnuplot("board", f"run='{tmp_path}'; scenario='access/scan-by-size'; columns=110").stdout
    read = tables.table_of(tables.texts(whole)).of("access/scan-by-size")
    for row in read.cells:
        if row["role"] == "candidate":
            ratio = row["ratio"]
            assert (f"{ratio:.3f}" if 0.1 <= ratio < 2 else f"{ratio:.3g}") in out


@GNUPLOT
@pytest.mark.parametrize(
    ("settings", "status", "message"),
    (
        ("x=1", 2, "say which run"),
        ("run='/nowhere'", 7, "no table of cells"),
        ("run='{run}'; scenario='none'", 7, "none"),
        ("run='{run}'; output='a.gif'", 2, "neither .svg nor .png nor .pdf"),
        ('run="it\'s"', 2, "quote"),
    ),
)
@pytest.mark.parametrize("script", ("board", "crossover"))
def test_gnuplot_says_what_is_wrong(
    script: str, settings: str, status: int, message: str, whole: verdict.Results, tmp_path: Path
) -> None:
    tables.write(tmp_path, tables.texts(whole))
    done = gnuplot(script, settings.replace("{run}", str(tmp_path)))
    assert done.returncode == status and message in done.stderr


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faultline.plot", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_command_draws_and_names_files(whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    done = command(run, "board", "--format", "png", "--scenario", "access/recipe")
    assert done.returncode == 0 and done.stdout.strip() == str(run / "plots" / "board-access-recipe.png")
    assert (run / "cells.csv").exists()
    assert "board" in command("--list").stdout


@pytest.mark.parametrize(
    ("words", "status"),
    (
        ((), 2),
        (("/nowhere",), 7),
        (("{run}", "pie"), 2),
        (("{run}", "recipe", "--gnuplot"), 2),
        (("{run}", "board", "--scenario", "none"), 7),
    ),
)
def test_command_statuses(words: tuple[str, ...], status: int, whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    done = command(*(str(run) if word == "{run}" else word for word in words))
    assert done.returncode == status and done.stderr and "Traceback" not in done.stderr


def test_stale_tables_are_made_anew(whole_run: Path, tmp_path: Path) -> None:
    import os

    run = shutil.copytree(whole_run, tmp_path / "run")
    (run / "cells.csv").write_text("scenario\n")
    os.utime(run / "cells.csv", (1, 1))
    assert command(run, "board", "--scenario", "access/recipe").returncode == 0
    assert len((run / "cells.csv").read_text().splitlines()) > 10


@pytest.mark.parametrize("source", ("trials.jsonl", "manifest.json", "machine.json"))
def test_tables_older_than_any_source_are_made_anew(source: str, tmp_path: Path) -> None:
    import os

    from faultline import plot

    run = tmp_path / "run"
    table_of(run, fake_run.recipe(trials=2, rounds=4))
    for path in run.iterdir():
        os.utime(path, (1000, 1000))
    before = (run / "cells.csv").stat().st_mtime_ns
    plot.tables_load(run)
    assert (run / "cells.csv").stat().st_mtime_ns == before
    os.utime(run / source, (2000, 2000))
    plot.tables_load(run)
    assert (run / "cells.csv").stat().st_mtime_ns > before


def test_only_an_unknown_name_is_a_wrong_command(
    whole_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from faultline import plot

    def broken(options: object) -> int:
        raise ValueError("a fault of the program")

    assert plot.main([str(whole_run), "pie"]) == 2 and "no plot named 'pie'" in capsys.readouterr().err
    monkeypatch.setattr(plot, "plot", broken)
    assert plot.main([str(whole_run)]) == 7 and "a fault of the program" in capsys.readouterr().err
