# SPDX-License-Identifier: MIT
"""The map of rings: its figures are bytes a second, on one scale for all panels, each in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import KIB, MIB, FakeArm
from faultline import canvas, plots
from faultline.tables import Table
from faultline.text import digits
from test_plots import overlaps, table_of

RINGS, MESSAGES = [16 * KIB, MIB, 16 * MIB], [24, 1000, 16000]
MAP = plots.load("ring_map")


def scenario(**changes: Any) -> fake_run.FakeScenario:
    """Messages through rings, of which one arm cannot be had."""
    arms = [
        FakeArm("mirrored", 1.0, "ring", params={"wrap": "mirrored"}),
        FakeArm("split", 1.02, "ring", params={"wrap": "split"}),
        FakeArm("modulo", lambda p: 7 + p["payload_bytes"] / 100, "ring", params={"wrap": "modulo"}),
        FakeArm("same-way", status="unsupported", reason="no such views", method="ring"),
    ]
    settings: dict[str, Any] = dict(
        name="techniques/ring",
        question="What is a ring buffer that is mapped twice worth?",
        op="message: into the ring and out of it",
        arms=arms,
        cells=fake_run.product(payload_bytes=MESSAGES, ring_bytes=RINGS),
        base_ns=lambda p: 9 + p["payload_bytes"] / 30,
        trials=6,
        rounds=6,
    )
    return fake_run.FakeScenario(**{**settings, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("rings") / "r", scenario())


def test_speeds_are_bytes_a_second(table: Table) -> None:
    """GB/s are bytes per ns; the ends of an interval change places."""
    for row in MAP.shown(table):
        if row["ns_per_op"] is None:
            continue
        payload = float(row["payload_bytes"])
        assert MAP.speed(row) == pytest.approx(payload / row["ns_per_op"])
        low, high = payload / row["ns_per_op_high"], payload / row["ns_per_op_low"]
        assert MAP.texts(row) == (digits(payload / row["ns_per_op"]), f"[{digits(low)}, {digits(high)}]")
        assert low <= MAP.speed(row) <= high


def test_each_figure_is_in_its_place(table: Table) -> None:
    """Rings ascend from the left and messages from the top; one colour is one speed in every panel."""
    figure, norm = canvas.figure(table, MAP), MAP.norm_of(table)
    across, down = MAP.sizes(table, "ring_bytes"), MAP.sizes(table, "payload_bytes")
    assert across == ["16KiB", "1MiB", "16MiB"] and [MAP.bytes_of(size) for size in down] == MESSAGES
    titles = {axis.get_title(loc="left"): axis for axis in figure.axes}
    for row in MAP.shown(table):
        held = canvas.varied(row["cell"])
        place = (across.index(held["ring_bytes"]), down.index(held["payload_bytes"]))
        axis = titles[row["arm"]]
        here = [text.get_text() for text in axis.texts if text.xy == place]
        if row["ns_per_op"] is None:
            assert here == ["unsupported"]
            continue
        assert here == [text for text in MAP.texts(row) if text]
        boxes = {(round(p.get_x() + 0.5), round(p.get_y() + 0.5)): p.get_facecolor() for p in axis.patches}
        assert boxes[place] == pytest.approx(canvas.SHADES(norm(MAP.speed(row))))


def test_texts_keep_apart(table: Table, tmp_path: Path) -> None:
    """Also with three sides, and names that are too long."""
    sides = fake_run.product(ring_side=["both", "producer", "consumer"], payload_bytes=MESSAGES, ring_bytes=RINGS)
    arms = [FakeArm(f"a way to wrap with a very long name, number {i}", 1.0 + i, "ring") for i in range(5)]
    many = table_of(tmp_path / "many", scenario(cells=sides, arms=arms))
    assert len(MAP.panels(many)) == MAP.PANELS_MOST and "the first 12 of 15 panels" in MAP.heading(many)
    for which in (table, many):
        assert MAP.applies(which) and overlaps(canvas.figure(which, MAP)) == []


def test_it_applies_to_rings_alone(table: Table, tmp_path: Path) -> None:
    one = table_of(tmp_path / "one", scenario(cells=fake_run.product(payload_bytes=MESSAGES)))
    other = table_of(tmp_path / "other", scenario(arms=[FakeArm("slots", 1.0, "spsc_ring")]))
    assert MAP.applies(table) and not MAP.applies(one) and not MAP.applies(other)
