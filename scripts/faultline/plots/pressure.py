# SPDX-License-Identifier: MIT
"""Memory pressure over time: blocks a second, bytes read per byte used, and pages that come back after reclaim."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, NullFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten

name = "pressure"
title = "what happened over time: blocks a second, bytes read per byte used, refaults a second"
scope = "scenario"

PANELS = (
    ("blocks_per_s", "blocks per second"),
    ("read_amplification", "bytes read ÷ used"),
    ("refaults_per_s", "refaults per second"),
)
CELLS_MOST = 6  # columns drawn; a sweep with more is for the board
LINEAR_BELOW = {"read_amplification": 0.1, "refaults_per_s": 10.0}  # these may be 0: linear from there down


def shown(table: Table) -> list[Row]:
    """The steps of the time line, null arms left out."""
    return [row for row in table.timeline if row["role"] != "null"]


def applies(table: Table) -> bool:
    """Whether batches were kept one by one under a memory limit, in a number of cells that fits."""
    limited = any(row.get("memory_limit") for row in table.cells)
    return limited and 1 <= len(canvas.cells_of(shown(table))) <= CELLS_MOST


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    limits = sorted({row["memory_limit"] for row in table.cells if row.get("memory_limit")})
    limit = canvas.size_label(limits[0]) if len(limits) == 1 else "of each cell"
    return canvas.headline(table, f"memory limit {limit}; time of the arm's own batches")


def layout(table: Table) -> Layout:
    """Three panels below each other, a column a cell."""
    across = len(canvas.cells_of(shown(table)))
    return Layout(
        heights=(1.7, 1.3, 1.3),
        widths=((6.0,), (3.6, 3.6))[across - 1] if across <= 2 else (2.9,) * across,
        left=0.95,
        right=0.3,
        top=0.3,
        row_gap=0.18,
        column_gap=0.3,
        share_x="col",
        share_y="row",
    )


def legend(table: Table) -> list[Any]:
    """The arms."""
    return [canvas.legend_entry(arm, index, line="-") for arm, index in canvas.arms_of(shown(table)).items()]


def draw(table: Table, axes: Any) -> None:
    """A column a cell, an arm a line."""
    rows = shown(table)
    for column, cell in enumerate(canvas.cells_of(rows)):
        for line, (key, label) in enumerate(PANELS):
            axis = axes[line, column]
            for arm, index in canvas.arms_of(rows).items():
                mine = [r for r in rows if r["cell"] == cell and r["arm"] == arm and r[key] is not None]
                axis.plot(
                    [r["t_s"] * 1e3 for r in mine],
                    [r[key] for r in mine],
                    markersize=3,
                    linewidth=1.1,
                    **canvas.style(index),
                )
            if column == 0:
                axis.set_ylabel(label)
        axes[0, column].set_title(shorten(canvas.held_of(cell), 40), color=canvas.GREY)
        axes[-1, column].set_xlabel("ms since the start (logarithmic)")
        scale_time(axes[-1, column])
    for line, (key, _) in enumerate(PANELS):  # panels of one row share their axis
        scale(axes[line, 0], key, [row[key] for row in rows if row[key] is not None])
    for axis in axes[1]:
        axis.axhline(1, color="black", linewidth=0.8)  # nothing read that is not used


def scale_time(axis: Any) -> None:
    """Logarithmic: what one arm does in a millisecond takes another a hundred."""
    axis.set_xscale("log")
    canvas.log_ticks(axis.xaxis, lambda ms: f"{ms:g}", (1.0, 2.0, 5.0))


def short(value: float) -> str:
    """A tick: 20, 5k, 1M."""
    for scale_by, unit in ((1e6, "M"), (1e3, "k")):
        if value >= scale_by:
            return f"{value / scale_by:g}{unit}"
    return f"{value:g}"


def scale(axis: Any, key: str, values: list[float]) -> None:
    """Logarithmic; where there are zeros, linear at the bottom."""
    if key in LINEAR_BELOW and min(values, default=0) < LINEAR_BELOW[key]:
        axis.set_yscale("symlog", linthresh=LINEAR_BELOW[key], linscale=0.4)
        axis.set_ylim(-0.15 * LINEAR_BELOW[key], max(max(values, default=1) * 1.6, 2))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        canvas.log_axis(axis.yaxis, values or [1.0], short, room=1.6)
