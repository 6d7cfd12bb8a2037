# SPDX-License-Identifier: MIT
"""Syncs: what was stored to before one, what the device wrote for it, and the two pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.patches import Rectangle

import fake_run
from fake_run import KIB, MIB, FakeArm
from faultline import canvas, derive, pictures, records, summary, table, tables, verdict
from faultline.plots import amplification, msync_surface
from faultline.tables import Table
from test_plots import overlaps

CALLS = ("msync", "msync_async", "msync_invalidate", "fdatasync", "fsync", "sync_file_range")
FOLIO = {"write-4KiB": 4 * KIB, "write-64KiB": 64 * KIB, "write-1MiB": MIB, "write-2MiB": 2 * MIB}


def arms(*calls: str) -> list[FakeArm]:
    """Calls as arms: MS_ASYNC next to nothing, the others alike."""
    return [
        FakeArm(call.replace("_", "-"), 1.0 if call != "msync_async" else 0.001, "sync", params={"sync": call})
        for call in calls
    ]


def surface(**changes: Any) -> fake_run.FakeScenario:
    """Time grows with the dirty pages."""
    values: dict[str, Any] = dict(
        name="sync/msync",
        question="What does each call that makes stores durable cost?",
        op="sync",
        common={"recipe": "write-4KiB", "file_bytes": 16 * MIB, "working_set_bytes": 16 * MIB},
        arms=arms(*CALLS),
        cells=fake_run.product(range_bytes=[64 * KIB, MIB, 16 * MIB], dirty_share=[0.0, 0.0001, 0.1, 1.0]),
        base_ns=lambda p: 50_000 + p["dirty_share"] * p["range_bytes"],
        bytes_per_op=lambda p: p["range_bytes"],
        trials=8,
    )
    return fake_run.FakeScenario(**{**values, **changes})


def folios() -> fake_run.FakeScenario:
    """Recipes, both orders, and the control without a dirty page."""
    cells = fake_run.product(recipe=list(FOLIO), dirty_share=[0.0, 0.00390625], dirty_order=["contiguous", "scattered"])
    return surface(
        name="sync/amplification",
        arms=arms("msync", "sync_file_range"),
        cells=[c for c in cells if c["dirty_share"] or c["dirty_order"] == "contiguous"],
        common={"range_bytes": 16 * MIB, "file_bytes": 16 * MIB, "working_set_bytes": 16 * MIB},
    )


def written(params: dict[str, Any]) -> int:
    """What a device writes when each of the 16 pages makes its whole folio dirty."""
    if params["dirty_share"] == 0:
        return 0
    folio = FOLIO[params["recipe"]]
    return 16 * max(folio, 4 * KIB) if params["dirty_order"] == "scattered" else max(folio, 16 * 4 * KIB)


def with_device(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the device's count; the last trial saw somebody else write as well."""
    for arm in record["arms"]:
        arm["counts"]["ops"] = 1
        arm["counts"]["device_write_bytes"] = written(record["params"]) + (8 * KIB if record["trial"] == 7 else 0)
    return record


def results_of(directory: Path, scenario: fake_run.FakeScenario, damage: Any = lambda r: r) -> verdict.Results:
    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario], damage=damage)))


@pytest.fixture(scope="module")
def amplified(tmp_path_factory: pytest.TempPathFactory) -> verdict.Results:
    return results_of(tmp_path_factory.mktemp("amplified") / "r", folios(), with_device)


def table_of(results: verdict.Results) -> Table:
    return tables.table_of(tables.texts(results))


@pytest.mark.parametrize(
    ("share", "range_bytes", "page", "pages"),
    (
        (0.0, MIB, 4096, 0),
        (0.0001, MIB, 4096, 1),
        (0.1, MIB, 4096, 26),  # 25.6
        (0.1, 64 * KIB, 4096, 2),  # 1.6
        (1.0, MIB, 4096, 256),
        (1.0, MIB, 65536, 16),
        (0.5, 4096, 65536, 1),
        (0.15625, 64 * KIB, 4096, 3),  # 2.5 is rounded up, as the program does
    ),
)
def test_dirtied_bytes_are_whole_pages(share: float, range_bytes: int, page: int, pages: int) -> None:
    params = {"sync": "msync", "dirty_share": share, "range_bytes": range_bytes}
    assert derive.dirtied_bytes("sync", params, range_bytes, page) == pages * page


def test_dirtied_bytes_only_where_a_sync_is_in_the_operation() -> None:
    params = {"sync": "msync", "dirty_share": 1.0, "range_bytes": MIB, "access": "store"}
    assert derive.dirtied_bytes("sync", {**params, "sync": "none"}, MIB, 4096) is None
    assert derive.dirtied_bytes("sync", params, MIB, None) is None
    assert derive.dirtied_bytes("resync", params, 8, 4096) is None
    assert derive.dirtied_bytes("pwrite", params, 64 * KIB, 4096) == 64 * KIB
    assert derive.dirtied_bytes("mmap", {**params, "access": "load"}, 64 * KIB, 4096) is None
    assert derive.dirtied_bytes("pread", {}, 4096, 4096) is None


def test_amplification() -> None:
    assert derive.amplification(1024.0, 4.0) == 256
    assert derive.amplification(0.0, 4096.0) == 0
    assert derive.amplification(4096.0, 0.0) is None
    assert derive.amplification(None, 4096.0) is None and derive.amplification(1.0, None) is None


def test_amplification_is_in_summary_and_tables(amplified: verdict.Results) -> None:
    found = summary.summary(amplified)["cells"]
    cell = next(c for c in found if "write-1MiB" in c["cell"] and "scattered" in c["cell"])
    least = 256.0
    most = (16 * MIB + 8 * KIB) / (64 * KIB)
    assert cell["arms"][0]["write_amplification"] == {"estimate": least, "low": least, "high": most}
    assert cell["arms"][0]["dirtied_bytes"] == 64 * KIB
    clean = next(c for c in found if "dirty_share=0.0," in c["cell"])
    assert clean["arms"][0]["write_amplification"] is None and clean["arms"][0]["dirtied_bytes"] == 0
    row = next(r for r in table_of(amplified).cells if "write-64KiB" in r["cell"] and "scattered" in r["cell"])
    assert row["write_amplification"] == 16 and row["dirtied_bytes"] == 64 * KIB


def test_amplification_is_in_the_terminal_table(amplified: verdict.Results) -> None:
    lines = list(table.lines(amplified, table.Look(width=110)))
    assert any("faults/op  written" in line for line in lines)
    assert any("  256×" in line for line in lines) and any("  0 B" in line for line in lines)
    assert any("bytes the device wrote" in line for line in lines)


def test_nothing_is_written_about_arms_without_a_sync(whole: verdict.Results) -> None:
    lines = list(table.lines(whole, table.Look(width=110)))
    assert not any("written" in line for line in lines)


def test_pictures_apply_where_they_should(amplified: verdict.Results, whole: verdict.Results, tmp_path: Path) -> None:
    of_surface = table_of(results_of(tmp_path / "r", surface()))
    assert msync_surface.applies(of_surface) and not amplification.applies(of_surface)
    assert amplification.applies(table_of(amplified)) and not msync_surface.applies(table_of(amplified))
    assert not msync_surface.applies(table_of(whole)) and not amplification.applies(table_of(whole))


def test_surface_shows_every_time_on_one_scale(tmp_path: Path) -> None:
    found = table_of(results_of(tmp_path / "r", surface()))
    made = canvas.figure(found, msync_surface)
    panels = [axis for axis in made.axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in panels] == [a.name for a in arms(*CALLS)]
    boxes = {}
    for axis in panels:
        figures = [(t.get_text(), other.get_text()) for t, other in zip(axis.texts[::2], axis.texts[1::2])]
        patches = [p for p in axis.patches if isinstance(p, Rectangle)]
        assert len(figures) == len(patches) == 12
        title = axis.get_title(loc="left")
        boxes.update({(title, *pair): p.get_facecolor() for pair, p in zip(figures, patches)})
    norm = msync_surface.scale_of(msync_surface.shown(found))
    for row in msync_surface.shown(found):
        drawn = boxes[row["arm"], *canvas.time_box(row, "ns_per_op")]
        assert drawn == pytest.approx(canvas.SHADES(norm(row["ns_per_op"])), abs=0.02)
    labels = [label.get_text() for label in panels[0].get_xticklabels()]
    assert labels == ["0\u00a0%", "1 page", "10\u00a0%", "100\u00a0%"]
    assert overlaps(made) == []


@pytest.mark.parametrize(
    ("calls", "recipes"), ((CALLS[:1], ["write-4KiB"]), (CALLS[:4], ["write-4KiB", "write-1MiB"]))
)
def test_surface_keeps_its_texts_apart(calls: tuple[str, ...], recipes: list[str], tmp_path: Path) -> None:
    cells = fake_run.product(recipe=recipes, range_bytes=[64 * KIB, 16 * MIB], dirty_share=[0.0001, 1.0])
    found = table_of(results_of(tmp_path / "r", surface(arms=arms(*calls), cells=cells, trials=6)))
    made = canvas.figure(found, msync_surface)
    assert len([axis for axis in made.axes if axis.axison]) == len(calls) * len(recipes)
    assert overlaps(made) == []


def test_contrast_of_figures_on_boxes() -> None:
    assert canvas.ink((0, 0, 0)) == "white" and canvas.ink((1, 1, 1)) == "black"
    assert canvas.ink((0.5, 0.5, 0.5)) == "black"  # 21 × 0.264 / 1.05 = 5.3 against 4.0 of white


def test_amplification_draws_bars_range_and_ideal(amplified: verdict.Results) -> None:
    found = table_of(amplified)
    made = canvas.figure(found, amplification)
    (axis,) = made.axes
    bars = sorted(round(p.get_y() + p.get_height(), 6) for p in axis.patches if p.get_height() > 0)
    wanted = [r["write_amplification"] for r in amplification.shown(found) if r["arm"] == "msync"]
    assert bars == pytest.approx(sorted(wanted))
    assert any(list(line.get_ydata()) == [1, 1] for line in axis.lines)
    ends = {round(float(y), 3) for line in axis.lines for y in line.get_ydata()}
    assert round((16 * MIB + 8 * KIB) / (64 * KIB), 3) in ends
    assert "clean file: 0 bytes" in amplification.heading(found)
    assert overlaps(made) == []


def test_pictures_are_found(amplified: verdict.Results) -> None:
    assert "amplification" in {p.plot.name for p in pictures.pictures(table_of(amplified))}
