# SPDX-License-Identifier: MIT
"""Fairness: how far the slowest worker gets while the quickest gets all the way, an arm a line."""

from __future__ import annotations

from typing import Any

from faultline import canvas
from faultline.canvas import Layout
from faultline.conclusion import FAIR
from faultline.tables import Row, Table

name = "fairness"
title = "operations of the slowest worker ÷ those of the quickest, by cell"
scope = "scenario"

STEP_INCH = 0.17


def even(table: Table) -> list[Row]:
    """The rows of arms with several timed workers, null arms left out."""
    return [row for row in table.cells if row["fairness"] is not None and row["role"] != "null"]


def applies(table: Table) -> bool:
    """Whether there are workers to compare."""
    return bool(even(table))


def by_default(table: Table) -> bool:
    """Where all are even, a sentence is enough."""
    return any(row["fairness"] < FAIR for row in even(table))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    what = "operations a second of the slowest worker ÷ those of the quickest, median and 95\u00a0% interval"
    return canvas.headline(table, what + canvas.conditions(table))


def lines_of(table: Table) -> list[list[Row]]:
    """The rows of each cell."""
    return canvas.by_cell(even(table))


def figure_text(row: Row) -> str:
    """ "0.83 [0.80, 0.85]"."""
    known = row["fairness_low"] is not None
    return f"{row['fairness']:.2f}" + (f" [{row['fairness_low']:.2f}, {row['fairness_high']:.2f}]" if known else "")


def layout(table: Table) -> Layout:
    """A line an arm, a gap between cells, the figures at the right."""
    cells = lines_of(table)
    labels = [canvas.cell_label(rows[0]["cell"]) for rows in cells]
    return Layout(
        heights=(max(STEP_INCH * (len(even(table)) + 0.6 * len(cells)) + 0.1, 0.5),),
        widths=(5.2,),
        left=max(canvas.widest([*labels, canvas.cell_keys(cells[0][0]["cell"])]) + 0.25, 0.8),
        right=canvas.widest([figure_text(row) for row in even(table)]) + 0.25,
        top=0.28,
        bottom=0.5,
    )


def legend(table: Table) -> list[Any]:
    """The arms."""
    return [canvas.legend_entry(arm, index) for arm, index in canvas.arms_of(even(table)).items()]


def draw(table: Table, axes: Any) -> None:
    """Cells from the top, in plan order, on the one scale there is: from 0 to 1."""
    axis = axes[0, 0]
    axis.set_xlim(0, 1)
    axis.axvspan(FAIR, 1, color=canvas.BAND, linewidth=0)
    y, ticks = 0.0, []
    for rows in lines_of(table):
        ticks.append(y + (len(rows) - 1) / 2)
        for row in rows:
            row_draw(axis, row, y)
            y += 1
        y += 0.6
        axis.axhline(y - 0.8, color="#E4E4E4", linewidth=0.6)
    axis.set_ylim(y - 0.8, -0.8)
    axis.grid(False, axis="y")
    axis.set_yticks(ticks, labels=[canvas.cell_label(rows[0]["cell"]) for rows in lines_of(table)])
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"slowest ÷ quickest worker (1: even; band: {FAIR:g} and above)")
    canvas.keys_write(axis, table.cells[0]["cell"])


def row_draw(axis: Any, row: Row, y: float) -> None:
    """One arm: its interval, its estimate, and both in figures at the right."""
    kind = canvas.style(int(row["arm_index"]))
    if row["fairness_low"] is not None:
        axis.plot([row["fairness_low"], row["fairness_high"]], [y, y], color=kind["color"], linewidth=1.6)
    marks = {"linestyle": "none", "markersize": 5.2, "clip_on": False, "zorder": 3}
    axis.plot([row["fairness"]], [y], marker=kind["marker"], color=kind["color"], **marks)
    axis.annotate(
        figure_text(row),
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=canvas.FONT - 1,
        annotation_clip=False,
    )
