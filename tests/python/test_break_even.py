# SPDX-License-Identifier: MIT
"""The plot of the break-even: where it applies, and that it shows the crossing that the tables hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import FakeArm
from faultline import canvas, pictures
from faultline.plots import break_even
from faultline.tables import Table
from test_plots import overlaps, table_of

SHARES = [0.001, 0.01, 0.1, 0.25, 0.5, 1.0]


def on_write(params: dict[str, Any]) -> float:
    """A copy on write that breaks even with a plain copy at 20 % of the pages."""
    return float(params["written_share"]) / 0.2


def scenario(**changes: Any) -> fake_run.FakeScenario:
    """Snapshots by three methods along the share of pages written."""
    given: dict[str, Any] = {
        "name": "cow/break-even",
        "question": "From which share of written pages on is copying everything at once cheaper?",
        "op": "snapshot",
        "base_ns": 1e6,
        "cells": fake_run.product(written_share=SHARES),
        "arms": [FakeArm("copy"), FakeArm("private-mapping", on_write), FakeArm("fork", 3.0)],
    }
    return fake_run.FakeScenario(**{**given, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("even") / "r", scenario())


def test_it_applies_along_the_share_alone(table: Table, tmp_path: Path) -> None:
    assert break_even.applies(table)
    assert "break_even" in {p.plot.name for p in pictures.pictures(table)}
    other = scenario(cells=fake_run.product(file_bytes=[4096, 65536, 1048576]))
    assert not break_even.applies(table_of(tmp_path / "r", other))
    few = scenario(cells=fake_run.product(written_share=SHARES[:2]))
    assert not break_even.applies(table_of(tmp_path / "f", few))


def test_the_crossing_is_marked_with_its_interval(table: Table) -> None:
    (found,) = break_even.crossings(table)
    assert found["arm"] == "private-mapping"
    assert found["low"] <= 0.2 * 1.02 and found["high"] >= 0.2 * 0.98
    figure = canvas.figure(next(p for p in pictures.pictures(table, ["break_even"])).table, break_even)
    panel = figure.axes[0]
    marked = [line.get_xdata()[0] for line in panel.lines if len(line.get_xdata()) == 2]
    texts = [text.get_text() for text in panel.texts]
    assert found["at"] in marked
    assert any(text.replace("\u00a0", " ").startswith("20 %") for text in texts)


def test_every_method_is_a_line_with_a_band(table: Table) -> None:
    figure = canvas.figure(table, break_even)
    panel = figure.axes[0]
    curves = [line for line in panel.lines if len(line.get_xdata()) == len(SHARES)]
    bands = len(panel.collections)
    assert len(curves) == 3 and bands == 3


@pytest.mark.parametrize("groups", (1, 4))
def test_texts_keep_apart(groups: int, tmp_path: Path) -> None:
    recipes = ["write-4KiB", "write-64KiB", "write-1MiB", "write-2MiB"][:groups]
    cells = fake_run.product(recipe=recipes, written_share=SHARES)
    found = table_of(tmp_path / "r", scenario(cells=cells, trials=6, rounds=4))
    assert len(break_even.groups(found)) == groups
    figure = canvas.figure(found, break_even)
    bad = overlaps(figure)
    assert bad == []
