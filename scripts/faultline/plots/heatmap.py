# SPDX-License-Identifier: MIT
"""Recipe by mechanism: the time of a page in every arm, after every past that the page cache may have."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.colors import LogNorm
from matplotlib.patches import Patch

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten, time_tick

name = "heatmap"
title = "time a page, recipe by mechanism, as colours and figures"
scope = "scenario"

COLUMNS_MOST = 10  # what fits on a page
LABEL_WIDTH, LABEL_LINES = 16, 4  # characters and lines of a column's label
COLUMN_INCH, ROW_INCH = 1.2, 0.42


def shown(table: Table) -> list[Row]:
    """All rows but null arms'."""
    return [row for row in table.cells if row["role"] != "null"]


def recipes_of(table: Table) -> list[str]:
    """The recipes, in the table's order."""
    return list(dict.fromkeys(str(row["recipe"]) for row in shown(table)))


def mechanism(row: Row) -> tuple[str, str]:
    """What a row is apart from its recipe: (the other varied parameters' values, the arm)."""
    parts = [part.partition("=") for part in row["cell"].split(",")]
    return " · ".join(value for key, _, value in parts if value and key != "recipe"), str(row["arm"])


def columns_of(table: Table) -> list[tuple[str, str]]:
    """The mechanisms, those of equal conditions side by side."""
    found = list(dict.fromkeys(mechanism(row) for row in shown(table)))
    conditions = list(dict.fromkeys(held for held, _ in found))
    return sorted(found, key=lambda column: conditions.index(column[0]))


def applies(table: Table) -> bool:
    """Whether at least two recipes have a time a page, in few enough mechanisms."""
    timed = {row["recipe"] for row in shown(table) if row["ns_per_page"] is not None}
    return len(timed) >= 2 and len(columns_of(table)) <= COLUMNS_MOST


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, "time per page with 95\u00a0% interval")


def column_label(column: tuple[str, str]) -> str:
    """Conditions and arm in a few short lines."""
    wrapped = (textwrap.wrap(p, LABEL_WIDTH, break_long_words=False, break_on_hyphens=False) for p in column if p)
    lines = [line for part in wrapped for line in part]
    if len(lines) > LABEL_LINES:
        lines = [*lines[: LABEL_LINES - 1], " ".join(lines[LABEL_LINES - 1 :])]
    return "\n".join(shorten(line, LABEL_WIDTH) for line in lines)


def layout(table: Table) -> Layout:
    """A cell a mechanism and recipe, and the scale of colours beside them."""
    columns = columns_of(table)
    lines = max(column_label(column).count("\n") + 1 for column in columns)
    width = max(COLUMN_INCH * len(columns), 2.2)
    return Layout(
        heights=(max(ROW_INCH * len(recipes_of(table)), 1.4),),
        widths=(width, 0.16),
        left=max(canvas.widest(recipes_of(table)) + 0.3, 0.8),
        right=0.85,
        top=0.2,
        bottom=0.25 + canvas.LINE_INCH * lines,
        column_gap=0.25,
    )


def legend(table: Table) -> list[Any]:
    """Only where a box has no figure."""
    known = [row for row in shown(table) if row["ns_per_page"] is not None]
    if len(known) == len(recipes_of(table)) * len(columns_of(table)):
        return []
    return [Patch(**canvas.missing_look(), label="no figure, and why (–: not asked for)")]


def norm_of(table: Table) -> LogNorm:
    """From the least to the greatest time, at least a factor of two apart."""
    values = [row["ns_per_page"] for row in shown(table) if row["ns_per_page"] is not None]
    low, high = min(values), max(values)
    return LogNorm(low, high) if high >= 2 * low else LogNorm(low / 1.5, high * 1.5)


def word(row: Row | None) -> str:
    """What stands where there is no figure: the status, or that the cell was not asked for."""
    if row is None:
        return "–"
    return "no figure" if row["status"] == "ok" else str(row["status"])


def draw(table: Table, axes: Any) -> None:
    """Recipes from the top, mechanisms from the left."""
    recipes, columns, norm = recipes_of(table), columns_of(table), norm_of(table)
    found = {(str(row["recipe"]), mechanism(row)): row for row in shown(table)}
    for y, recipe in enumerate(recipes):
        for x, column in enumerate(columns):
            row = found.get((recipe, column))
            if row is None or row["ns_per_page"] is None:
                canvas.box(axes[0, 0], x, y, None, word(row))
            else:
                colour = canvas.SHADES(norm(row["ns_per_page"]))
                canvas.box(axes[0, 0], x, y, colour, *canvas.time_box(row, "ns_per_page"))
    canvas.boxes_axes(axes[0, 0], [column_label(column) for column in columns], recipes)
    canvas.shades_scale(axes[0, 1], norm, time_tick)
