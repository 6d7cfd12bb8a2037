# SPDX-License-Identifier: MIT
"""Write amplification of a sync: bytes that the device wrote for each byte stored to, by recipe and order."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import digits, shorten, size

name = "amplification"
title = "bytes written to the device per byte dirtied, by recipe"
scope = "scenario"

GROUP_INCH = 0.95
BAR = 0.38  # of a group's width
START = 0.5  # where bars begin: below the ideal of 1
FIGURES = 2.2  # the part of the scale below them, for their figures
ORDERS = ("contiguous", "scattered")
MARKER: dict[str, Any] = {"markersize": 5, "markerfacecolor": "white", "markeredgecolor": "black", "color": "black"}


def shown(table: Table) -> list[Row]:
    """The rows with an amplification above 0, null arms left out."""
    return [
        row
        for row in table.cells
        if row["method"] == "sync" and row["role"] != "null" and row.get("write_amplification")
    ]


def applies(table: Table) -> bool:
    """Whether at least two recipes were measured."""
    return len({row["recipe"] for row in shown(table)}) >= 2


def control(table: Table) -> str:
    """What the device wrote while a clean file was synced, the most of all such cells; "" when none was measured."""
    found = [row["device_write_bytes_per_op"] for row in table.cells if row["dirtied_bytes"] == 0]
    known = [value for value in found if value is not None]
    return f"; sync of a clean file: {size(max(known)) if max(known) else '0 bytes'}" if known else ""


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"counted, bars: median over trials, lines: least and most{control(table)}")


def arms_of(rows: Sequence[Row]) -> dict[str, int]:
    """The calls by name, the first of them drawn as bars."""
    return canvas.arms_of(rows)


def shares_of(rows: Sequence[Row]) -> list[float]:
    """The dirty shares, ascending: a panel each."""
    return sorted({row["dirty_share"] for row in rows})


def recipes_of(rows: Sequence[Row]) -> list[str]:
    """The recipes in the table's order."""
    return list(dict.fromkeys(row["recipe"] for row in rows))


def layout(table: Table) -> Layout:
    """A group of two bars a recipe, a panel a share."""
    rows = shown(table)
    width = max(GROUP_INCH * len(recipes_of(rows)), 3.0)
    return Layout(
        heights=(2.6,) * len(shares_of(rows)), widths=(width,), left=0.85, right=0.3, top=0.4, bottom=0.5, row_gap=0.75
    )


def orders_of(rows: Sequence[Row]) -> list[str]:
    """Those of the two orders that were measured."""
    return [order for order in ORDERS if any(row["dirty_order"] == order for row in rows)]


def legend(table: Table) -> list[Any]:
    """The orders as bars, further calls as markers, the ideal as a line."""
    rows = shown(table)
    first, *others = arms_of(rows).items()
    bars: list[Any] = [
        Patch(**canvas.fill(i), label=f"{shorten(first[0], canvas.NAME_MOST)}, {order}")
        for i, order in enumerate(ORDERS)
        if order in orders_of(rows)
    ]
    markers = [
        Line2D([], [], linestyle="none", marker=canvas.MARKERS[i], **MARKER, label=shorten(arm, canvas.NAME_MOST))
        for arm, i in others
    ]
    ideal = Line2D([], [], color="black", linewidth=1.0, linestyle="--", label="only what was stored to")
    return [*bars, *markers, ideal]


def factor(value: float) -> str:
    """A factor with its sign."""
    return f"{digits(value)}×"


def draw(table: Table, axes: Any) -> None:
    """Recipes from the left, contiguous beside scattered."""
    rows = shown(table)
    recipes = recipes_of(rows)
    most = max(row["write_amplification_high"] or row["write_amplification"] for row in rows)
    for axis, share in zip(axes[:, 0], shares_of(rows)):
        mine = [row for row in rows if row["dirty_share"] == share]
        for row in mine:
            row_draw(axis, row, recipes.index(row["recipe"]), arms_of(rows), len(orders_of(rows)))
        axis.axhline(1, color="black", linewidth=1.0, linestyle="--", zorder=1)
        axis.set_yscale("log")
        axis.set_ylim(START / FIGURES, most * 2)
        axis.set_xlim(-0.6, len(recipes) - 0.4)
        axis.set_xticks(range(len(recipes)), labels=recipes)
        axis.tick_params(axis="x", length=0)
        axis.grid(False, axis="x")
        canvas.log_ticks(axis.yaxis, lambda value: f"{value:g}×")
        axis.set_ylabel("bytes written ÷ bytes stored to")
        axis.set_title(panel_title(mine))
    axes[-1, 0].set_xlabel("recipe")


def panel_title(rows: Sequence[Row]) -> str:
    """How much was stored to: "64KiB of 16MiB stored to (0.4 %)"."""
    first = rows[0]
    share = f"{first['dirty_share'] * 100:.3g}\u00a0%"
    return f"{size(first['dirtied_bytes'])} of {size(first['range_bytes'])} stored to ({share})"


def row_draw(axis: Any, row: Row, group: int, arms: dict[str, int], orders: int) -> None:
    """A bar with its figure and range for the first call, a marker on it for the others."""
    order = ORDERS.index(row["dirty_order"])
    x = group + ((order - 0.5) * BAR if orders > 1 else 0)
    value = row["write_amplification"]
    if row["arm"] != next(iter(arms)):
        axis.plot(x, value, linestyle="none", marker=canvas.MARKERS[arms[row["arm"]] % 8], zorder=4, **MARKER)
        return
    axis.bar(x, value - START, bottom=START, width=BAR * 0.92, zorder=2, **canvas.fill(order))
    low, high = canvas.ends_of(row, "write_amplification")
    if high > low:
        axis.plot([x, x], [max(low, START), high], color="black", linewidth=1.1, marker="_", markersize=5, zorder=3)
    axis.annotate(
        factor(value),
        (x, START),
        xytext=(0, -3),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=canvas.FONT - 1,
    )
