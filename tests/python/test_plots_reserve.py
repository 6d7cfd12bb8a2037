# SPDX-License-Identifier: MIT
"""The picture of what touched pages take: where it applies, and that its points are the counts of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import KIB, MIB, FakeArm
from faultline import canvas, pictures
from faultline.plots import reserve_cost
from faultline.tables import Table
from test_plots import overlaps, table_of

DISTANCES = [4 * KIB, 64 * KIB, 2 * MIB, 1024 * MIB]
RSS = {"noreserve": 256 * 4096, "prot-none": 256 * 4096, "huge": 256 * 2 * MIB}
TABLES = {"noreserve": 256 * 8200, "prot-none": 256 * 8200, "huge": 256 * 8320}


def scenario(**changes: Any) -> fake_run.FakeScenario:
    """Touches of 256 pages at four distances, in three kinds of reservations."""
    given: dict[str, Any] = {
        "name": "techniques/reserve",
        "question": "What do pages that lie far apart in a large reservation cost?",
        "op": "page touched for the first time",
        "base_ns": 2000,
        "cells": fake_run.product(distance_bytes=DISTANCES),
        "arms": [FakeArm("noreserve"), FakeArm("prot-none", 2.0), FakeArm("huge", 60.0)],
        "counts": {"rss_bytes": RSS, "page_table_bytes": TABLES},
        "trials": 6,
        "rounds": 6,
    }
    return fake_run.FakeScenario(**{**given, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("reserve") / "r", scenario())


def test_it_applies_where_both_are_counted_along_the_distance(table: Table, tmp_path: Path) -> None:
    assert reserve_cost.applies(table)
    assert "reserve_cost" in {p.plot.name for p in pictures.pictures(table)}
    assert not reserve_cost.applies(table_of(tmp_path / "n", scenario(counts={})))
    unknown = scenario(counts={"rss_bytes": None, "page_table_bytes": TABLES})
    assert not reserve_cost.applies(table_of(tmp_path / "u", unknown))
    few = scenario(cells=fake_run.product(distance_bytes=DISTANCES[:2]))
    assert not reserve_cost.applies(table_of(tmp_path / "f", few))


def test_points_are_the_counts(table: Table) -> None:
    figure = canvas.figure(table, reserve_cost)
    for panel, counts in zip(figure.axes, (RSS, TABLES)):
        drawn = [line for line in panel.lines if len(line.get_xdata()) == len(DISTANCES)]
        assert [float(line.get_ydata()[0]) for line in drawn] == [count / 256 for count in counts.values()]
        for line in drawn:
            assert list(line.get_xdata()) == pytest.approx(DISTANCES, rel=reserve_cost.SPREAD - 1 + 1e-9)
        low, high = panel.get_ylim()
        assert low < 4096 and high > 2 * MIB  # both panels have one scale


def test_texts_keep_apart(table: Table, tmp_path: Path) -> None:
    names = [f"a kind of reservation with a long name, number {i}" for i in range(6)]
    long = scenario(
        arms=[FakeArm(name) for name in names],
        counts={"rss_bytes": dict.fromkeys(names, 4096 * 256), "page_table_bytes": dict.fromkeys(names, 4096 * 256)},
    )
    for which in (table, table_of(tmp_path / "long", long)):
        assert overlaps(canvas.figure(which, reserve_cost)) == []
