# SPDX-License-Identifier: MIT
"""The pictures of faults: what they draw is what the table says, and what has no figure is shown as that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import FakeArm
from faultline import canvas, plots
from faultline.derive import pages_per_op
from faultline.tables import Table
from test_plots import overlaps, table_of

RECIPES = ["write-4KiB", "write-64KiB", "write-1MiB", "write-2MiB", "refill-read", "refill-map", "refill-hugepage"]
PAGES = dict(zip(RECIPES, (16, 16, 53.9, 512, 26.6, 16, 512)))


def scenario(**changes: Any) -> fake_run.FakeScenario:
    """The first touch of every page of 4 MiB by recipe, a line a page."""
    arms = [
        FakeArm("shared", 1.0, "first_touch", faults=lambda p: 1024 / PAGES[p["recipe"]]),
        FakeArm("private", 1.02, "first_touch", faults=lambda p: 1024 / PAGES[p["recipe"]]),
        FakeArm("hugetlb", status="unsupported", reason="no reserved huge pages here", method="first_touch"),
    ]
    common = {
        "per": "pass",
        "pattern": "stride",
        "block_bytes": 64,
        "touches": 1024,
        "working_set_bytes": 4 * fake_run.MIB,
    }
    settings: dict[str, Any] = dict(
        name="faults/by-recipe",
        question="How much does a page's first touch depend on how the file came into the page cache?",
        op="every page of the file touched once",
        common=common,
        arms=arms,
        cells=fake_run.product(recipe=RECIPES, access=["load", "store"]),
        base_ns=lambda p: 1024 * (9 + 3000 / PAGES[p["recipe"]]),
        bytes_per_op=lambda p: 64 * p["touches"],
        trials=6,
        rounds=6,
    )
    return fake_run.FakeScenario(**{**settings, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("faults") / "r", scenario())


def figure_of(table: Table, name: str) -> Any:
    return canvas.figure(table, plots.load(name))


def test_pages_of_an_operation() -> None:
    lines = {"pattern": "stride", "block_bytes": 64, "stride_bytes": 4096}
    assert pages_per_op(lines, 64, 4096) == 1
    assert pages_per_op(lines, 64 * 512, 4096) == 512
    assert pages_per_op({**lines, "stride_bytes": 65536}, 64, 4096) == 1
    assert pages_per_op(lines, 64, 65536) is None  # several of them share a page
    assert pages_per_op(lines, 65536 * 2, 65536) == 2
    assert pages_per_op({"pattern": "random", "block_bytes": 64}, 64, 4096) is None
    assert pages_per_op({"pattern": "random", "block_bytes": 16384}, 16384, 4096) == 4
    assert pages_per_op(lines, None, 4096) is None and pages_per_op(lines, 64, None) is None


def test_the_table_has_times_a_page(table: Table) -> None:
    for row in table.cells:
        if row["status"] == "ok":
            assert row["ns_per_page"] == pytest.approx(row["ns_per_op"] / 1024)
            assert row["pages_per_fault"] == pytest.approx(PAGES[row["recipe"]], rel=0.02)


@pytest.mark.parametrize("name", ("pages_per_fault", "heatmap"))
def test_texts_keep_apart(name: str, table: Table, tmp_path: Path) -> None:
    long = [FakeArm(f"a mechanism with a long name, number {i}", 1.0 + i, faults=4.0 + i) for i in range(3)]
    for which in (table, table_of(tmp_path / "long", scenario(arms=long))):
        figure = figure_of(which, name)
        assert plots.load(name).applies(which) and overlaps(figure) == []


def test_points_are_the_figures(table: Table) -> None:
    """Every point at its pages a fault, up to the dodge, and at its time a page or a fault."""
    module = plots.load("pages_per_fault")
    figure = figure_of(table, "pages_per_fault")
    rows = module.shown(table)
    assert len(rows) == 2 * 2 * len(RECIPES)
    for axis, scale in zip(figure.axes, (lambda r: 1.0, lambda r: r["pages_per_fault"])):
        points = sorted(float(c.lines[0].get_ydata()[0]) for c in axis.containers)
        assert points == pytest.approx(sorted(r["ns_per_page"] * scale(r) for r in rows))
        drawn = sorted(float(c.lines[0].get_xdata()[0]) for c in axis.containers)
        assert drawn == pytest.approx(
            sorted(r["pages_per_fault"] for r in rows), rel=module.DODGE**2 * module.RECIPE_DODGE**3 - 1
        )
        low, high = axis.get_xlim()
        assert low < drawn[0] and drawn[-1] < high


def test_fields_hold_their_figures(table: Table) -> None:
    module = plots.load("heatmap")
    figure = figure_of(table, "heatmap")
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert len(texts) == len(RECIPES) * (2 * 4 + 2)  # a figure and its interval, or a word
    assert texts.count("unsupported") == len(RECIPES) * 2
    for row in module.shown(table):
        if row["ns_per_page"] is not None:
            assert set(canvas.time_box(row, "ns_per_page")) <= set(texts)
    shades = [p.get_facecolor() for p in figure.axes[0].patches]
    assert len(set(shades)) > len(RECIPES)


def luminance(colour: Any) -> float:
    """Relative luminance of a colour of sRGB (WCAG 2.1)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_figures_stand_out_from_their_fields(table: Table) -> None:
    figure = figure_of(table, "heatmap")
    axis = figure.axes[0]
    boxes = {(round(p.get_x() + 0.5), round(p.get_y() + 0.5)): luminance(p.get_facecolor()) for p in axis.patches}
    for text in axis.texts:
        field, ink = boxes[text.xy], 1.0 if text.get_color() == "white" else 0.0
        contrast = (max(field, ink) + 0.05) / (min(field, ink) + 0.05)
        assert contrast >= 4.5, (text.get_text(), contrast)


def test_neither_applies_without_recipes(tmp_path: Path) -> None:
    one = table_of(tmp_path / "one", scenario(cells=fake_run.product(access=["load", "store"])))
    many = table_of(tmp_path / "many", scenario(cells=fake_run.product(recipe=RECIPES[:2], workers=[1, 2, 4, 8, 16])))
    assert not any(plots.load(name).applies(found) for name in ("pages_per_fault", "heatmap") for found in (one, many))
