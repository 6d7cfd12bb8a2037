# SPDX-License-Identifier: MIT
"""The sweep: time of an operation against a count of what is there beside it (siblings, mappers, VMAs) or of what one
call holds (requests under way, pieces), a line an arm, a panel for each combination of what else varies."""

from __future__ import annotations

import math
from typing import Any, Sequence

from matplotlib.ticker import FuncFormatter, MaxNLocator

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten, time_tick

name = "sweep"
title = "time per operation against a varied count (siblings, mappers, vmas, queue_depth, pieces)"
scope = "scenario"

COUNTS = ("siblings", "mappers", "vmas", "queue_depth", "pieces")  # what can be counted along; the first that varies is
PANELS_MOST = 12
PANEL_INCH, GAP_INCH = 2.6, 0.75  # the gap holds the numbers of one panel and the heading of the next
TIMES_LOG = 8.0  # largest time ÷ smallest from which the times are logarithmic
COUNTS_LOG = 8.0  # largest count ÷ smallest above 0 from which the counts are
LABEL_GAP_INCH = 0.06  # between the numbers of two ticks: one that would come closer is left out


def axis_of(table: Table) -> str | None:
    """The count that varies from cell to cell; None when none does."""
    cells = [canvas.varied(cell) for cell in canvas.cells_of(table.cells)]
    for key in COUNTS:
        if len({cell[key] for cell in cells if key in cell}) > 1:
            return key
    return None


def shown(table: Table) -> list[Row]:
    """The rows with a time, null arms left out."""
    return [row for row in table.cells if row["ns_per_op"] and row["role"] != "null"]


def panels(table: Table) -> list[str]:
    """The combinations of what is held, in the table's order."""
    axis = axis_of(table)
    return list(dict.fromkeys(canvas.held_of(row["cell"], axis) for row in shown(table))) if axis else []


def count_of(row: Row, axis: str) -> float:
    """The cell's place along the axis: an arm may have a value of its own there, as a pread has a queue of one."""
    return float(canvas.varied(row["cell"])[axis])


def applies(table: Table) -> bool:
    """Whether a count varies, and two of its values have a time."""
    axis = axis_of(table)
    if axis is None or len(panels(table)) > PANELS_MOST:
        return False
    return len({canvas.varied(row["cell"]).get(axis) for row in shown(table)}) > 1


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"95\u00a0% intervals{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """A panel for each combination; all on the same scales."""
    count = len(panels(table))
    columns = canvas.columns(count)
    return Layout(
        heights=(PANEL_INCH,) * -(-count // columns),
        widths=(6.0 if columns == 1 else 4.2 if columns == 2 else 3.5,) * columns,
        left=0.85,
        top=0.3 if count > 1 else 0.15,
        row_gap=GAP_INCH,
        column_gap=0.3,
        share_y=True,
    )


def legend(table: Table) -> list[Any]:
    """The arms."""
    return [canvas.legend_entry(arm, index, line="-") for arm, index in canvas.arms_of(shown(table)).items()]


def draw(table: Table, axes: Any) -> None:
    """Each combination into its panel."""
    axis, flat, held = axis_of(table), list(axes.flat), panels(table)
    assert axis is not None
    rows = [{**row, "count": count_of(row, axis)} for row in shown(table)]
    counts = sorted({row["count"] for row in rows})
    for panel, one in zip(flat, held):
        mine = [row for row in rows if canvas.held_of(row["cell"], axis) == one]
        for arm, index in canvas.arms_of(mine).items():
            canvas.curve(panel, [row for row in mine if row["arm"] == arm], "count", "ns_per_op", index, counts)
        count_axis(panel, axis, counts)
        panel.set_title(shorten(one, 46), color=canvas.GREY)
    for line in axes:
        line[0].set_ylabel(f"time per {canvas.op_label(rows[0])}")
    canvas.panels_spare(flat, len(held))
    time_axis(axes[0, 0], rows)


def count_axis(panel: Any, axis: str, counts: Sequence[float]) -> None:
    """Ticks at the counts that were measured; logarithmic where they span much, with 0 at the left of 1."""
    above = [x for x in counts if x > 0]
    if max(above) / min(above) >= COUNTS_LOG:
        panel.set_xscale("symlog", base=2, linthresh=min(above), linscale=1)
    panel.set_xticks(counts)
    panel.set_xlim(panel.get_xlim())  # as they are now: the labels that fit depend on them
    panel.set_xticks(counts, labels=labels(panel, counts))
    panel.minorticks_off()
    panel.set_xlabel(axis)


def labels(panel: Any, counts: Sequence[float]) -> list[str]:
    """The counts as texts, "" where one would run into its neighbour."""
    inches = panel.transData.transform([(x, 1.0) for x in counts])[:, 0] / panel.figure.dpi
    out, end = [], -math.inf
    for x, middle in zip(counts, inches):
        half = canvas.text_width(f"{x:g}") / 2
        fits = middle - half >= end + LABEL_GAP_INCH
        out.append(f"{x:g}" if fits else "")
        end = middle + half if fits else end
    return out


def time_axis(panel: Any, rows: Sequence[Row]) -> None:
    """Times on a logarithmic scale where they span much, else from 0. The panels share it."""
    found = [end for row in rows for end in canvas.ends_of(row, "ns_per_op")]
    if max(found) / min(found) >= TIMES_LOG:
        canvas.log_times(panel.yaxis, found)
    else:
        panel.set_ylim(0, max(found) * 1.12)
        panel.yaxis.set_major_locator(MaxNLocator(6))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: time_tick(ns) if ns > 0 else "0"))
