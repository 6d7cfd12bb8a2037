# SPDX-License-Identifier: MIT
"""Time of a load by how far apart the two views of its memory lie: a line an arm, one view alone and lines that were
flushed from the caches as references."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from faultline import canvas
from faultline.canvas import Layout
from faultline.plots.sweep import COUNTS_LOG
from faultline.tables import Row, Table
from faultline.text import shorten, size

name = "alias_ladder"
title = "time of a load by the distance of two views of the same memory"
scope = "scenario"

AXIS = "alias_bytes"
METHODS = ("alias_load", "flushed_load")
HEIGHT_INCH, WIDTH_INCH = 3.4, 6.6
TICK_BITS = 4  # a tick every 16-fold
POINTS_LEAST = 3


def shown(table: Table) -> list[Row]:
    """The rows with a time, null arms left out."""
    mine = [row for row in table.cells if row["method"] in METHODS and row["role"] != "null"]
    return [row for row in mine if row["ns_per_op"] and row[AXIS]]


def is_reference(row: Row) -> bool:
    """One view alone, and lines that nobody has brought back: what the distance of views does not matter to."""
    return row["through"] == "same" or (row["method"], row["through"]) == ("flushed_load", "copy")


def applies(table: Table) -> bool:
    """Whether loads through a second view were measured at several distances."""
    return len({row[AXIS] for row in shown(table) if not is_reference(row)}) >= POINTS_LEAST


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, "95\u00a0% intervals" + hash_note(table))


def hash_note(table: Table) -> str:
    """What the ticks above the curves say, where there are any."""
    return "; triangles: both addresses have one way hash" if equal_places(table) else ""


def equal_places(table: Table) -> list[float]:
    """Distances at which the way hashes of the two views' addresses are known to be equal."""
    mine = [r for r in shown(table) if r["method"] == "alias_load" and r["through"] == "other"]
    return [float(row[AXIS]) for row in mine if row.get("occurred_per_op") == 1]


def layout(table: Table) -> Layout:
    """One panel."""
    del table
    return Layout(heights=(HEIGHT_INCH,), widths=(WIDTH_INCH,), left=0.85, right=0.3, top=0.3, bottom=0.6)


def look(row: Row) -> dict[str, Any]:
    """Colour, marker and line of an arm: references are dashed."""
    return {**canvas.style(int(row["arm_index"])), "linestyle": "--" if is_reference(row) else "-"}


def legend(table: Table) -> list[Any]:
    """The arms."""
    arms = {row["arm"]: row for row in shown(table)}
    return [
        Line2D([], [], label=shorten(arm, canvas.NAME_MOST), markersize=4, linewidth=1.3, **look(row))
        for arm, row in sorted(arms.items(), key=lambda pair: pair[1]["arm_index"])
    ]


def draw(table: Table, axes: Any) -> None:
    """Each arm as a curve with its interval as a band; where hashes are equal, a triangle at the top."""
    axis, rows = axes[0, 0], shown(table)
    places = sorted({float(row[AXIS]) for row in rows})
    for arm in canvas.arms_of(rows):
        mine = sorted((row for row in rows if row["arm"] == arm), key=lambda row: float(row[AXIS]))
        at = [float(row[AXIS]) for row in mine]
        low, high = zip(*(canvas.ends_of(row, "ns_per_op") for row in mine))
        kind = look(mine[0])
        axis.fill_between(at, low, high, color=kind["color"], alpha=0.25, linewidth=0)
        axis.plot(at, [row["ns_per_op"] for row in mine], markersize=4, linewidth=1.3, **kind)
    canvas.log_times(axis.yaxis, [end for row in rows for end in canvas.ends_of(row, "ns_per_op")], room=1.8)
    distance_axis(axis, places)
    equal = equal_places(table)
    axis.plot(equal, [0.97] * len(equal), linestyle="", marker="v", markersize=4, color=canvas.GREY, clip_on=False,
              transform=axis.get_xaxis_transform())
    axis.set_ylabel(f"time per {canvas.op_label(rows[0])} (logarithmic)")


def distance_axis(axis: Any, places: list[float]) -> None:
    """Logarithmic, with a tick every few bits from the least distance on."""
    if max(places) / min(places) >= COUNTS_LOG:
        axis.set_xscale("log", base=2)
        first, last = int(min(places)).bit_length() - 1, int(max(places)).bit_length()
        ticks = [float(1 << bits) for bits in range(first, last, TICK_BITS)]
    else:
        ticks = places
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(ticks, labels=[size(int(tick)) for tick in ticks])
    axis.set_xlabel(f"{AXIS} (logarithmic)")
