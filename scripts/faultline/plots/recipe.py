# SPDX-License-Identifier: MIT
"""The page cache's past: time a page and pages a fault, by the recipe that filled the cache."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import count, shorten, time, time_tick

name = "recipe"
title = "time a page and pages a fault, by recipe"
scope = "scenario"

BAR_INCH = 0.17
LABEL_MOST = 48
PAGES_LEAST = 0.5  # where the bars of the right panel begin: below one page a fault


def shown(table: Table) -> list[Row]:
    """The rows with a time a page, null arms left out."""
    return [row for row in table.cells if row["ns_per_page"] is not None and row["role"] != "null"]


def applies(table: Table) -> bool:
    """Whether at least two recipes were measured on whole pages."""
    return len({row["recipe"] for row in shown(table)}) >= 2


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    first = table.cells[0]
    return f"{first['question']} ({first['scenario']}, time with 95\u00a0% interval)"


def label(cell: str) -> str:
    """A cell on the axis."""
    return shorten(canvas.cell_values(cell), LABEL_MOST)


def faulting(table: Table) -> bool:
    """Whether any arm faulted: without one there is no right panel."""
    return any(row["pages_per_fault"] is not None for row in shown(table))


def layout(table: Table) -> Layout:
    """A bar an arm, a gap between cells."""
    rows = shown(table)
    cells = canvas.cells_of(rows)
    height = BAR_INCH * (len(rows) + 0.8 * len(cells)) + 0.1
    left = max(canvas.widest([label(c) for c in cells] + [canvas.cell_keys(cells[0])]) + 0.25, 0.8)
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
    return [
        Patch(
            facecolor=canvas.COLOURS[i % 8],
            hatch=canvas.HATCHES[i % 8],
            edgecolor="white",
            label=shorten(arm, canvas.NAME_MOST),
        )
        for arm, i in canvas.arms_of(shown(table)).items()
    ]


def draw(table: Table, axes: Any) -> None:
    """Times at the left, pages a fault at the right, cells from the top."""
    rows = shown(table)
    times, pages = axes[0, 0], axes[0, 1] if faulting(table) else None
    start = 10.0 ** (-1 if min(row["ns_per_page"] for row in rows) < 1 else 0)
    y, ticks = 0.0, []
    for cell in canvas.cells_of(rows):
        mine = [row for row in rows if row["cell"] == cell]
        ticks.append(y + (len(mine) - 1) / 2)
        for row in mine:
            bar(times, row, "ns_per_page", y, start, time(row["ns_per_page"]))
            if pages is not None:
                pages_draw(pages, row, y)
            y += 1
        y += 0.8
    times.set_yticks(ticks, labels=[label(cell) for cell in canvas.cells_of(rows)])
    times.set_ylim(y - 1.0, -0.8)
    times.set_xlim(start, max(row["ns_per_page_high"] or row["ns_per_page"] for row in rows) * 4)
    times.set_xlabel("time per page (logarithmic)")
    times.text(
        0,
        1,
        canvas.cell_keys(rows[0]["cell"]) + "  ",
        transform=times.transAxes,
        ha="right",
        va="bottom",
        color=canvas.GREY,
    )
    scale(times, lambda ns, _: time_tick(ns))
    if pages is not None:
        most = max(row["pages_per_fault"] or 1 for row in rows)
        pages.set_xlim(PAGES_LEAST, most * 4)
        pages.set_xlabel("pages per fault (logarithmic)")
        scale(pages, lambda pages_each, _: f"{pages_each:g}")


def scale(axis: Any, formatter: canvas.Formatter) -> None:
    """A logarithmic scale with plain labels, bars without a grid across them."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(10, numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(formatter))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)


def bar(axis: Any, row: Row, column: str, y: float, start: float, figure: str) -> None:
    """A bar with its interval and its figure behind it."""
    index = int(row["arm_index"]) % 8
    axis.barh(
        y,
        row[column] - start,
        left=start,
        height=0.86,
        color=canvas.COLOURS[index],
        hatch=canvas.HATCHES[index],
        edgecolor="white",
        linewidth=0,
    )
    end = row[column]
    if row.get(column + "_low") is not None:
        axis.plot(
            [row[column + "_low"], row[column + "_high"]],
            [y, y],
            color="black",
            linewidth=1.1,
            marker="|",
            markersize=4,
        )
        end = row[column + "_high"]
    axis.annotate(figure, (end, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=canvas.FONT - 1)


def pages_draw(axis: Any, row: Row, y: float) -> None:
    """Pages a fault, or the word that there was none."""
    if row["pages_per_fault"] is not None:
        bar(axis, row, "pages_per_fault", y, PAGES_LEAST, count(row["pages_per_fault"]))
    else:
        word = "no fault" if row["minor_faults_per_op"] == 0 else "unknown"
        axis.annotate(
            word,
            (PAGES_LEAST, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=canvas.FONT - 1,
            color=canvas.GREY,
        )
