# SPDX-License-Identifier: MIT
"""Where a whole's time goes: its phases stacked beside the whole, and each by itself on a logarithmic scale."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import percent, shorten, time, time_tick

name = "phases"
title = "phases of a whole, stacked and on a logarithmic scale"
scope = "scenario"

BAR_INCH = 0.55
DOT_INCH = 0.2
FIGURE_ROOM = 3.0  # how far a logarithmic scale goes beyond the last interval, for the figure behind it


def phases(table: Table, cell: str) -> list[Row]:
    """The measured phases of a cell, in their order."""
    return [
        row
        for row in table.cells
        if row["cell"] == cell and row["role"] == "phase" and row["ns_per_op"]
    ]


def whole(table: Table, cell: str) -> Row | None:
    """The whole that they are parts of."""
    rows = [row for row in table.cells if row["cell"] == cell and row["role"] == "baseline"]
    return rows[0] if rows and rows[0]["ns_per_op"] else None


def cells(table: Table) -> list[str]:
    """The cells that have a whole and parts of it."""
    return [cell for cell in canvas.cells_of(table.cells) if whole(table, cell) and phases(table, cell)]


def applies(table: Table) -> bool:
    """Whether any cell has phases."""
    return bool(cells(table))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"95\u00a0% intervals{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """A row a cell: the bars at the left, a line a phase at the right."""
    most = max(len(phases(table, cell)) for cell in cells(table))
    names = [shorten(row["arm"], canvas.NAME_MOST) for cell in cells(table) for row in phases(table, cell)]
    return Layout(
        heights=tuple(max(2 * BAR_INCH + 0.2, DOT_INCH * most) for _ in cells(table)),
        widths=(4.3, 2.6),
        left=0.7,
        right=0.85,
        top=0.35,
        bottom=0.5,
        row_gap=0.75,
        column_gap=canvas.widest(names) + 0.45,
    )


def legend(table: Table) -> list[Any]:
    """The phases as parts of a bar."""
    rows = {row["arm"]: row for cell in cells(table) for row in phases(table, cell)}
    return [Patch(**look(row), label=shorten(arm, canvas.NAME_MOST)) for arm, row in rows.items()]


def look(row: Row) -> dict[str, Any]:
    """Colour and hatch of a phase: the baseline, which is the whole, needs none."""
    return {**canvas.fill(int(row["arm_index"]) - 1), "linewidth": 0.4}


def draw(table: Table, axes: Any) -> None:
    """Each stack on a scale of its own, as cells span orders of magnitude; the phases by themselves on one for all."""
    for line, cell in enumerate(cells(table)):
        stack_draw(table, cell, axes[line, 0])
        dots_draw(table, cell, axes[line, 1])


def stack_draw(table: Table, cell: str, axis: Any) -> None:
    """The phases end to end above the whole with its interval.

    A phase is as wide as its paired ratio says: the machine's speed, which wanders between trials, is not in it. The
    tick over their end is the interval of their sum.
    """
    parts, total = phases(table, cell), whole(table, cell)
    assert total is not None
    left = 0.0
    for row in parts:
        width = (row["ratio"] or 0.0) * total["ns_per_op"]
        axis.barh(1, width, left=left, height=0.7, **look(row))
        left += width
    axis.barh(0, total["ns_per_op"], height=0.7, color=canvas.BAND, edgecolor=canvas.GREY, linewidth=0.6)
    low, high = canvas.error_bars(axis, total, "ns_per_op")
    axis.errorbar(total["ns_per_op"], 0, xerr=[[low], [high]], color="black", capsize=3, linewidth=1.1)
    axis.set_yticks([1, 0], labels=["phases", shorten(total["arm"], 10)])
    axis.set_ylim(-0.6, 1.6)
    end = sum_draw(axis, total, left)
    axis.set_xlim(0, max(end + 0.45 * max(end, total["ns_per_op"]), total["ns_per_op"] + high) * 1.05)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: time_tick(ns) if ns else "0"))
    axis.locator_params(axis="x", nbins=6)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("time per operation (linear)")
    axis.set_title(cell if cell != "all" else "")


def sum_draw(axis: Any, total: Row, left: float) -> float:
    """The sum of the phases with its interval at the end of the stack, as it was estimated; returns where it ends."""
    if total["phases_sum"] is None:
        return left
    low, high = (total["ns_per_op"] * end for end in canvas.ends_of(total, "phases_sum"))
    axis.plot([low, high], [1, 1], color="black", linewidth=1.1, marker="|", markersize=5)
    between = ", ".join(percent(end).removesuffix(" %") for end in canvas.ends_of(total, "phases_sum"))
    canvas.figure_write(axis, f"{percent(total['phases_sum'])} [{between}] of the whole", max(high, left), 1)
    return max(high, left)


def dots_draw(table: Table, cell: str, axis: Any) -> None:
    """Each phase with its interval, from the top in their order."""
    parts = phases(table, cell)
    for y, row in enumerate(parts):
        low, high = canvas.error_bars(axis, row, "ns_per_op")
        axis.errorbar(
            row["ns_per_op"],
            y,
            xerr=[[low], [high]],
            marker="o",
            markersize=4.5,
            capsize=2.5,
            color=look(row)["facecolor"],
        )
        canvas.figure_write(axis, time(row["ns_per_op"]), canvas.ends_of(row, "ns_per_op")[1], y)
    axis.set_yticks(range(len(parts)), labels=[shorten(row["arm"], canvas.NAME_MOST) for row in parts])
    axis.set_ylim(len(parts) - 0.5, -0.5)
    ends = [end for one in cells(table) for row in phases(table, one) for end in canvas.ends_of(row, "ns_per_op")]
    canvas.log_times(axis.xaxis, [*ends, max(ends) * FIGURE_ROOM], room=1.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("time per operation (logarithmic)")
