# SPDX-License-Identifier: MIT
"""What a page stored to in a large reservation takes: resident memory and page tables, by the distance between
pages."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import size

name = "reserve_cost"
title = "resident memory and page tables for each page touched in a reservation, by the distance between pages"
scope = "scenario"

AXIS = "distance_bytes"
PANELS = {"rss_bytes_per_op": "resident memory", "page_table_bytes_per_op": "page tables"}
HEIGHT_INCH, WIDTH_INCH = 3.0, 4.4
SPREAD = 1.4  # arms of equal counts stand beside each other by this factor


def shown(table: Table) -> list[Row]:
    """The rows that know both counts, null arms left out."""
    return [
        row
        for row in table.cells
        if row["axis"] == AXIS and row["role"] != "null" and all(row.get(key) for key in PANELS)
    ]


def applies(table: Table) -> bool:
    """Whether pages were touched at three or more distances."""
    return len({row["axis_value"] for row in shown(table)}) >= 3


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, "counted, bytes for each page touched: median, least and most over trials")


def layout(table: Table) -> Layout:
    """A panel for each of the two, on one scale."""
    return Layout(
        heights=(HEIGHT_INCH,), widths=(WIDTH_INCH,) * len(PANELS), left=0.85, top=0.3, column_gap=0.3, share_y=True
    )


def legend(table: Table) -> list[Any]:
    """The arms."""
    return [canvas.legend_entry(arm, index, line="-") for arm, index in canvas.arms_of(shown(table)).items()]


def draw(table: Table, axes: Any) -> None:
    """The arms along the distances, both panels on one logarithmic scale of bytes."""
    rows = shown(table)
    arms = canvas.arms_of(rows)
    distances = sorted({row["axis_value"] for row in rows})
    for panel, (key, what) in zip(axes.flat, PANELS.items()):
        for place, (arm, index) in enumerate(arms.items()):
            aside = SPREAD ** (place - (len(arms) - 1) / 2)
            mine = [{**row, "x": row["axis_value"] * aside} for row in rows if row["arm"] == arm]
            canvas.curve(panel, mine, "x", key, index, [x * aside for x in distances])
        panel.set_xscale("log", base=2)
        panel.set_xticks(distances, labels=[size(x) for x in distances])
        panel.minorticks_off()
        panel.set_xlabel(AXIS)
        panel.set_title(what)
    scale(axes[0, 0], rows)


def scale(panel: Any, rows: list[Row]) -> None:
    """A logarithmic scale of bytes. The panels share it."""
    ends = [end for row in rows for key in PANELS for end in canvas.ends_of(row, key)]
    panel.set_yscale("log", base=2)
    panel.set_ylim(min(ends) / 2, max(ends) * 2)
    panel.yaxis.set_major_locator(LogLocator(base=16))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_ylabel("bytes per page touched (logarithmic)")
