# SPDX-License-Identifier: MIT
"""The sweep over a count: when it applies, what it draws, that its texts keep apart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import fake_run
from fake_run import FakeArm
from faultline import canvas, pictures
from faultline.plots import sweep
from faultline.tables import Table
from test_plots import overlaps, table_of


def scenario(**changes: Any) -> fake_run.FakeScenario:
    """A call whose time grows with the number of siblings; another that does not."""
    arms = [
        FakeArm("dontneed", 1.0, "dontneed"),
        FakeArm("mprotect", lambda p: 0.5 if p["siblings"] else 0.8, "mprotect"),
    ]
    return fake_run.FakeScenario(
        **{
            **dict(
                name="teardown/siblings",
                question="What do threads that merely run add?",
                op="call over the range",
                arms=arms,
                cells=fake_run.product(siblings=[0, 1, 3, 7, 15], range_bytes=[4096, 4 << 20]),
                base_ns=lambda p: 1500 + 13000 * p["siblings"] + p["range_bytes"] / 20,
                trials=8,
            ),
            **changes,
        }
    )


def drawn(table: Table) -> Any:
    return canvas.figure(table, sweep)


def test_it_applies_to_a_varied_count_alone(tmp_path: Path) -> None:
    def applies(name: str, **varied: list[int]) -> bool:
        made = scenario(cells=fake_run.product(**varied), trials=1, rounds=4)
        return sweep.applies(table_of(tmp_path / name, made))

    assert applies("a", siblings=[0, 1, 3], range_bytes=[4096, 8192]) and applies("b", siblings=[0, 1])
    assert not applies("c", siblings=[1]) and not applies("d", range_bytes=[4096, 8192])
    assert not sweep.applies(table_of(tmp_path / "e", fake_run.scan(trials=1, rounds=4)))


@pytest.mark.parametrize("key", sweep.COUNTS)
def test_each_count_is_an_axis(key: str, tmp_path: Path) -> None:
    cells = fake_run.product(**{key: [1, 2, 64]})
    found = table_of(tmp_path / "r", scenario(cells=cells, arms=[FakeArm("a")], trials=2, rounds=4))
    assert sweep.axis_of(found) == key
    figure = drawn(found)
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [1, 2, 64]
    assert figure.axes[0].get_xlabel() == key


def test_times_and_intervals_are_drawn(tmp_path: Path) -> None:
    found = table_of(tmp_path / "r", scenario())
    figure = drawn(found)
    assert sweep.panels(found) == ["range_bytes=4KiB", "range_bytes=4MiB"]
    for panel, held in zip(figure.axes, sweep.panels(found)):
        for line, arm in zip(panel.lines, ("dontneed", "mprotect")):
            rows = [r for r in found.cells if r["arm"] == arm and canvas.held_of(r["cell"], "siblings") == held]
            assert [float(x) for x in line.get_xdata()] == [r["siblings"] for r in rows] == [0, 1, 3, 7, 15]
            assert [float(y) for y in line.get_ydata()] == [r["ns_per_op"] for r in rows]
        band = {round(float(y), 3) for b in panel.collections for path in b.get_paths() for y in path.vertices[:, 1]}
        rows = [r for r in sweep.shown(found) if canvas.held_of(r["cell"], "siblings") == held]
        ends = {round(r[e], 3) for r in rows for e in ("ns_per_op_low", "ns_per_op_high")}
        assert ends <= band
        assert panel.get_xscale() == "symlog" and panel.get_yscale() == "log"


def test_a_count_without_a_time_breaks_the_line(tmp_path: Path) -> None:
    found = table_of(tmp_path / "r", scenario(arms=[FakeArm("dontneed")], cells=fake_run.product(siblings=[0, 1, 2])))
    rows = [r for r in sweep.shown(found) if r["siblings"] != 1]
    panel = Figure().subplots()
    canvas.curve(panel, rows, "siblings", "ns_per_op", 0, [0.0, 1.0, 2.0])
    assert [math.isnan(y) for y in panel.lines[0].get_ydata()] == [False, True, False]


def test_an_arm_stands_where_its_cell_does(tmp_path: Path) -> None:
    """A pread beside a queue has a depth of its own, and is drawn at that of the cell it competes in."""
    given = [FakeArm("pread", params={"queue_depth": 1}), FakeArm("uring", 0.5)]
    found = table_of(tmp_path / "r", scenario(arms=given, cells=fake_run.product(queue_depth=[1, 16])))
    figure = drawn(found)
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[1, 16], [1, 16]]


def test_few_and_near_values_are_linear(tmp_path: Path) -> None:
    found = table_of(
        tmp_path / "r", scenario(cells=fake_run.product(siblings=[0, 1]), base_ns=lambda p: 1000 + 500 * p["siblings"])
    )
    figure = drawn(found)
    assert figure.axes[0].get_xscale() == "linear" and figure.axes[0].get_yscale() == "linear"
    assert figure.axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize(
    "cells",
    (
        fake_run.product(siblings=[0, 1]),
        fake_run.product(vmas=[1, 10, 100, 1000, 10000, 60000], range_bytes=[4096, 64 << 20]),
        fake_run.product(mappers=[0, 1, 2, 4, 8, 16, 32, 64], recipe=["write-4KiB", "write-1MiB", "refill-read"]),
        fake_run.product(queue_depth=list(range(1, 33)), pattern=["random", "sequential"]),
    ),
)
def test_texts_keep_apart(cells: list[dict[str, Any]], tmp_path: Path) -> None:
    arms = [FakeArm("dontneed"), FakeArm("an arm with a long name that goes on for quite a while", 40.0)]
    found = table_of(tmp_path / "r", scenario(cells=cells, arms=arms, trials=6, rounds=4))
    figure = drawn(found)
    assert overlaps(figure) == []


def test_it_is_among_the_pictures(tmp_path: Path) -> None:
    found = table_of(tmp_path / "r", scenario())
    assert "sweep-teardown-siblings" in {picture.stem for picture in pictures.pictures(found)}
