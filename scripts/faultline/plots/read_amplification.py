# SPDX-License-Identifier: MIT
"""Bytes read from storage per byte used, by arm: what advice and readahead make of a cold access."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import digits

name = "read_amplification"
title = "bytes read from storage per byte used, by advice"
scope = "scenario"

START = 0.5  # where bars begin: below the ideal of 1


def shown(table: Table) -> list[Row]:
    """The rows of cold cells whose fetched bytes are known, null arms left out."""
    return [
        row for row in table.cells if row.get("read_amplification") and row["cache"] == "cold" and row["role"] != "null"
    ]


def applies(table: Table) -> bool:
    """Whether something was fetched by at least two arms, and more by one than by another."""
    found = {round(row["read_amplification"], 2) for row in shown(table)}
    return len(canvas.arms_of(shown(table))) >= 2 and len(found) >= 2


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"counted: median, least and most over trials{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """A bar an arm, a gap between cells."""
    height, left = canvas.bars_size(shown(table))
    return Layout(heights=(height,), widths=(6.0,), left=left, right=0.5, top=0.25)


def legend(table: Table) -> list[Any]:
    """The arms as bars, and the ideal."""
    ideal = Line2D([], [], color="black", linewidth=1.0, label="nothing but what is used")
    return [*canvas.fill_entries(canvas.arms_of(shown(table))), ideal]


def factor(value: float) -> str:
    """A factor with its sign."""
    return f"{value:,.0f}×" if value >= 1000 else f"{digits(value)}×"


def draw(table: Table, axes: Any) -> None:
    """Bars from the top, a line at 1."""
    rows, axis = shown(table), axes[0, 0]
    canvas.bars_scale(axis, lambda value: f"{value:,g}×", "bytes read ÷ bytes used")
    axis.set_xlim(START, max(max(canvas.ends_of(row, "read_amplification")[1] for row in rows) * 3, 10))
    for y, row in canvas.bars_places(axis, rows):
        canvas.bar(axis, row, "read_amplification", y, START, factor(row["read_amplification"]))
    axis.axvline(1, color="black", linewidth=1.0)
