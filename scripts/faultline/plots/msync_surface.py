# SPDX-License-Identifier: MIT
"""The surface of a sync: time by the size of the range and the share of it that is dirty, one panel a call."""

from __future__ import annotations

import math
from typing import Any, Sequence

from matplotlib.colors import LogNorm
from matplotlib.patches import Patch

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten, size, time_tick

name = "msync_surface"
title = "time of a sync by range and dirty share"
scope = "scenario"

PANELS_MOST = 3  # beside each other
BOX_WIDTH, BOX_HEIGHT = 0.85, 0.42  # inches

Panel = tuple[str, str]  # the arm, and what else of the cell is held


def shown(table: Table) -> list[Row]:
    """The measured rows of calls over pages stored to before, null arms left out."""
    return [
        row for row in table.cells if row["method"] == "sync" and row["role"] != "null" and row["ns_per_op"] is not None
    ]


def applies(table: Table) -> bool:
    """Whether at least two ranges and two shares were measured."""
    rows = shown(table)
    return all(len({row[key] for row in rows}) >= 2 for key in ("range_bytes", "dirty_share"))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    what = "time of one call with 95\u00a0% interval, one colour scale for all panels"
    return canvas.headline(table, what + canvas.conditions(table))


def held(row: Row) -> str:
    """What of a cell's id is neither range nor share: "recipe=write-1MiB"; "" for nothing."""
    return canvas.held_of(row["cell"], "range_bytes", "dirty_share")


def panels_of(rows: Sequence[Row]) -> list[Panel]:
    """The panels in the table's order: all calls under the same conditions before the next conditions."""
    found = dict.fromkeys((held(row), int(row["arm_index"]), row["arm"]) for row in rows)
    conditions = list(dict.fromkeys(h for h, _, _ in found))
    return [(arm, h) for h, _, arm in sorted(found, key=lambda p: (conditions.index(p[0]), p[1]))]


def values_of(rows: Sequence[Row], key: str) -> list[float]:
    """The values of a parameter, ascending."""
    return sorted({row[key] for row in rows})


def scale_of(rows: Sequence[Row]) -> LogNorm:
    """One scale for all panels, over whole decades of ns."""
    times = [row["ns_per_op"] for row in rows]
    return LogNorm(10.0 ** math.floor(math.log10(min(times))), 10.0 ** math.ceil(math.log10(max(times) * 1.0001)))


def share_label(rows: Sequence[Row], share: float) -> str:
    """ "0 %", "10 %"; "1 page" where the share is so small that it is one page of every range."""
    pages = [row["dirtied_bytes"] / row["page_bytes"] for row in rows if row["dirty_share"] == share]
    if share > 0 and len(set(pages)) == 1 and pages[0] == 1:
        return "1 page"
    return f"{share * 100:.3g}\u00a0%"


def layout(table: Table) -> Layout:
    """Boxes of one size, panels in rows of at most PANELS_MOST."""
    rows = shown(table)
    panels = panels_of(rows)
    ranges, shares = values_of(rows, "range_bytes"), values_of(rows, "dirty_share")
    columns = min(PANELS_MOST, len(panels))
    width = max(BOX_WIDTH * len(shares), max(canvas.text_width(text) for text in map(panel_title, panels)) + 0.1)
    return Layout(
        heights=(BOX_HEIGHT * len(ranges),) * -(-len(panels) // columns),
        widths=(width,) * columns,
        left=canvas.widest([size(r) for r in ranges]) + 0.5,
        right=0.2,
        top=0.35,
        row_gap=0.6,
        column_gap=0.25,
    )


def legend(table: Table) -> list[Any]:
    """A swatch a decade."""
    norm = scale_of(shown(table))
    decades = range(round(math.log10(norm.vmin)), round(math.log10(norm.vmax)) + 1)
    return [Patch(facecolor=canvas.SHADES(norm(10.0**d)), edgecolor="black", label=time_tick(10.0**d)) for d in decades]


def panel_title(panel: Panel) -> str:
    """The arm, and the conditions where there are several."""
    arm, conditions = panel
    return shorten(arm, 28) + (f" ({shorten(canvas.cell_values(conditions), 28)})" if conditions else "")


def draw(table: Table, axes: Any) -> None:
    """A panel a call, the largest range at the top, shares from the left."""
    rows = shown(table)
    panels, norm = panels_of(rows), scale_of(rows)
    ranges, shares = values_of(rows, "range_bytes")[::-1], values_of(rows, "dirty_share")
    flat = list(axes.flat)
    for i, (axis, panel) in enumerate(zip(flat, panels)):
        for row in rows:
            if (row["arm"], held(row)) == panel:
                x, y = shares.index(row["dirty_share"]), ranges.index(row["range_bytes"])
                canvas.box(axis, x, y, canvas.SHADES(norm(row["ns_per_op"])), *canvas.time_box(row, "ns_per_op"))
        first = i % axes.shape[1] == 0
        canvas.boxes_axes(axis, [share_label(rows, s) for s in shares], [size(r) if first else "" for r in ranges])
        axis.set_title(panel_title(panel))
        if first:
            axis.set_ylabel("range_bytes")
        if i + axes.shape[1] >= len(panels):
            axis.set_xlabel("dirty_share")
    canvas.panels_spare(flat, len(panels))
