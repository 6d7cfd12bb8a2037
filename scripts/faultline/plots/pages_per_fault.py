# SPDX-License-Identifier: MIT
"""What a fault costs and what that makes a page: time against the pages that one fault brings in, by arm and recipe."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten

name = "pages_per_fault"
title = "time a page and time a fault, against pages a fault"
scope = "scenario"

SERIES_MOST = 8  # colours there are
RECIPES_MOST = 8  # markers there are
DODGE, RECIPE_DODGE = (
    1.07,
    1.035,
)  # arms, and recipes, with equal pages a fault stand beside each other by these factors


def shown(table: Table) -> list[Row]:
    """The rows with a time a page that faulted, null arms left out."""
    return [
        row
        for row in table.cells
        if row["ns_per_page"] is not None and row["pages_per_fault"] is not None and row["role"] != "null"
    ]


def series(row: Row) -> str:
    """What a row is apart from its recipe: the other varied parameters and the arm, "load · shared"."""
    parts = [part.partition("=") for part in row["cell"].split(",")]
    return " · ".join([value for key, _, value in parts if value and key != "recipe"] + [row["arm"]])


def names_of(rows: list[Row], key: Any) -> list[str]:
    """The distinct values of `key`, in the table's order."""
    return list(dict.fromkeys(key(row) for row in rows))


def applies(table: Table) -> bool:
    """Whether several recipes, and faults of several sizes, were measured in few enough series."""
    rows = shown(table)
    recipes = names_of(rows, recipe)
    sizes = {round(row["pages_per_fault"], 3) for row in rows}
    return 2 <= len(recipes) <= RECIPES_MOST and len(sizes) >= 2 and len(names_of(rows, series)) <= SERIES_MOST


def recipe(row: Row) -> str:
    """The row's recipe."""
    return str(row["recipe"])


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, "time with 95\u00a0% interval, by pages that one fault brings in")


def layout(table: Table) -> Layout:
    """Time a page at the left, time a fault at the right."""
    return Layout(heights=(3.0,), widths=(3.6, 3.6), left=0.85, right=0.3, top=0.2, bottom=0.5, column_gap=0.95)


def legend(table: Table) -> list[Any]:
    """Colours are arms, markers are recipes."""
    rows = shown(table)
    colours = [
        Line2D([], [], linestyle="-", linewidth=4, color=canvas.COLOURS[i], label=shorten(text, canvas.NAME_MOST))
        for i, text in enumerate(names_of(rows, series))
    ]
    markers = [
        Line2D([], [], linestyle="none", marker=canvas.MARKERS[i], color=canvas.GREY, markersize=5, label=text)
        for i, text in enumerate(names_of(rows, recipe))
    ]
    return colours + markers


def fault_scale(row: Row) -> float:
    """Pages a fault: what turns a time a page into a time a fault."""
    return float(row["pages_per_fault"])


def draw(table: Table, axes: Any) -> None:
    """The same points twice: what a page pays, and what the fault takes that it shares."""
    rows = shown(table)
    panel(axes[0, 0], rows, lambda row: 1.0, "time per page touched")
    panel(axes[0, 1], rows, fault_scale, "time per fault")


def panel(axis: Any, rows: list[Row], scale: Any, label: str) -> None:
    """One panel: a point with its interval for each row, both axes logarithmic."""
    arms, recipes = names_of(rows, series), names_of(rows, recipe)
    ends = []
    for row in rows:
        index = arms.index(series(row))
        beside, behind = index - (len(arms) - 1) / 2, recipes.index(recipe(row)) - (len(recipes) - 1) / 2
        x = row["pages_per_fault"] * DODGE**beside * RECIPE_DODGE**behind
        low, high = canvas.error_bars(axis, row, "ns_per_page")
        y = row["ns_per_page"] * scale(row)
        ends += [y, (row["ns_per_page"] - low) * scale(row), (row["ns_per_page"] + high) * scale(row)]
        axis.errorbar(
            [x],
            [y],
            yerr=[[low * scale(row)], [high * scale(row)]],
            linestyle="none",
            marker=canvas.MARKERS[recipes.index(recipe(row))],
            markersize=5,
            color=canvas.COLOURS[index],
            linewidth=1.1,
            capsize=2,
        )
    canvas.log_times(axis.yaxis, ends)
    pages_scale(axis, [row["pages_per_fault"] for row in rows])
    axis.set_xlabel("pages per fault (logarithmic)")
    axis.set_ylabel(label + " (logarithmic)")


def pages_scale(axis: Any, pages: list[float]) -> None:
    """Powers of two, thinned so that their labels keep apart."""
    low, high = min(pages) / 1.6, max(pages) * 1.6
    axis.set_xscale("log", base=2)
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(LogLocator(base=2 if high / low < 128 else 4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
