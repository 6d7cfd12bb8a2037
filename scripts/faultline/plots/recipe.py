# SPDX-License-Identifier: MIT
"""The page cache's past: time a page and pages a fault, by the recipe that filled the cache."""

from __future__ import annotations

from typing import Any

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import count, time, time_tick

name = "recipe"
title = "time a page and pages a fault, by recipe"
scope = "scenario"

PAGES_LEAST = 0.5  # where the bars of the right panel begin: below one page a fault


def shown(table: Table) -> list[Row]:
    """The rows with a time a page, null arms left out."""
    return [row for row in table.cells if row["ns_per_page"] is not None and row["role"] != "null"]


def applies(table: Table) -> bool:
    """Whether at least two recipes were measured on whole pages."""
    return len({row["recipe"] for row in shown(table)}) >= 2


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, "time with 95\u00a0% interval")


def faulting(table: Table) -> bool:
    """Whether any arm faulted: without one there is no right panel."""
    return any(row["pages_per_fault"] is not None for row in shown(table))


def layout(table: Table) -> Layout:
    """A bar an arm, a gap between cells."""
    height, left = canvas.bars_size(shown(table))
    return Layout(
        heights=(height,),
        widths=(4.4, 2.4) if faulting(table) else (5.6,),
        left=left,
        right=0.5,
        top=0.25,
        bottom=0.5,
        column_gap=0.35,
        share_y="row",
    )


def legend(table: Table) -> list[Any]:
    """The arms as bars."""
    return canvas.fill_entries(canvas.arms_of(shown(table)))


def draw(table: Table, axes: Any) -> None:
    """Times at the left, pages a fault at the right, cells from the top."""
    rows = shown(table)
    times, pages = axes[0, 0], axes[0, 1] if faulting(table) else None
    start = 10.0 ** (-1 if min(row["ns_per_page"] for row in rows) < 1 else 0)
    canvas.bars_scale(times, time_tick, "time per page")
    if pages is not None:
        canvas.bars_scale(pages, lambda each: f"{each:g}", "pages per fault")
        pages.set_xlim(PAGES_LEAST, max(row["pages_per_fault"] or 1 for row in rows) * 4)
    for y, row in canvas.bars_places(times, rows):
        canvas.bar(times, row, "ns_per_page", y, start, time(row["ns_per_page"]))
        if pages is not None:
            pages_draw(pages, row, y)
    times.set_xlim(start, max(canvas.ends_of(row, "ns_per_page")[1] for row in rows) * 4)


def pages_draw(axis: Any, row: Row, y: float) -> None:
    """Pages a fault, or the word that there was none."""
    if row["pages_per_fault"] is not None:
        canvas.bar(axis, row, "pages_per_fault", y, PAGES_LEAST, count(row["pages_per_fault"]))
    else:
        word = "no fault" if row["minor_faults_per_op"] == 0 else "unknown"
        canvas.figure_write(axis, word, PAGES_LEAST, y, canvas.GREY)
