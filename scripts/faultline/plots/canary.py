# SPDX-License-Identifier: MIT
"""The canary: one pair of CPUs visited again and again, its time at every visit: a machine that moves is seen."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Patch

from faultline import canvas, cpu_grid
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten

name = "canary"
title = "one pair of CPUs visited again and again, over time"
scope = "scenario"

X_RUN = "time since the first record was started, s"
X_END_TO_END = "time within the trials, end to end, s (dotted: the next trial)"
SPARSE = 1 / 3  # of the run that a cell's trials fill: below it they are set end to end
PAUSE = 0.04  # of their lengths together, between trials that are set end to end
BAND = 1.10  # factor about the median that the band shows: what makes a class not uniform


def shown(table: Table) -> list[Row]:
    """The visits, null arms left out."""
    return [row for row in table.canary if row["role"] != "null"]


def cells(table: Table) -> list[str]:
    """The panels' cells, at most PANELS_MOST."""
    return canvas.cells_of(shown(table))[: cpu_grid.PANELS_MOST]


def applies(table: Table) -> bool:
    """Whether a canary was visited at least three times."""
    return len({(row["cell"], row["t_s"]) for row in shown(table)}) >= 3


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    first = shown(table)[0]
    count = len(canvas.cells_of(shown(table)))
    rest = f"; the first {cpu_grid.PANELS_MOST} of {count} cells" if count > cpu_grid.PANELS_MOST else ""
    pair = f"CPUs {first['a']:.0f} and {first['b']:.0f} ({first['class']})"
    what = f"{pair} at every visit, with 95\u00a0% interval of its rounds"
    return canvas.headline(table, what + rest + cpu_grid.origin(table))


def layout(table: Table) -> Layout:
    """A strip a cell."""
    return Layout(
        heights=(1.7,) * len(cells(table)), widths=(7.0,), left=0.85, right=0.3, top=0.35, bottom=0.55, row_gap=1.0
    )


def legend(table: Table) -> list[Any]:
    """The arms, and what the bands are."""
    arms = [canvas.legend_entry(arm, index) for arm, index in canvas.arms_of(shown(table)).items()]
    return [*arms, Patch(color=canvas.BAND, label="±10\u00a0% about the arm's median")]


def offsets(rows: list[Row]) -> dict[float, float]:
    """What is taken from the times of each trial so that they stand end to end; {} where they fill the run anyhow."""
    spans: dict[float, tuple[float, float]] = {}
    for row in sorted(rows, key=lambda row: row["t_s"]):
        first, _ = spans.get(row["trial"], (row["t_s"], 0.0))
        spans[row["trial"]] = (first, row["t_s"])
    lengths = sum(last - first for first, last in spans.values())
    run = max(last for _, last in spans.values()) - min(first for first, _ in spans.values())
    if len(spans) < 2 or lengths == 0 or lengths > SPARSE * run:
        return {}
    out, at = {}, 0.0
    for trial, (first, last) in spans.items():
        out[trial] = first - at
        at += last - first + PAUSE * lengths
    return out


def draw(table: Table, axes: Any) -> None:
    """Time from the start of the run, or of the trials end to end with a line between them; a point a visit."""
    for axis, cell in zip(axes[:, 0], cells(table)):
        mine = [row for row in shown(table) if row["cell"] == cell]
        medians = {
            row["arm"]: row["ns_per_op"]
            for row in table.pairs
            if row["cell"] == cell and row["scope"] == "pair" and (row["a"], row["b"]) == (mine[0]["a"], mine[0]["b"])
        }
        moved = offsets(mine)
        starts = sorted(min(r["t_s"] - moved[t] for r in mine if r["trial"] == t) for t in moved)
        pause = PAUSE * (max((r["t_s"] - moved[r["trial"]] for r in mine), default=0.0) if moved else 0.0)
        for start in starts[1:]:
            axis.axvline(start - pause / 2, color=canvas.GREY, linewidth=0.8, linestyle=":")
        for arm, index in canvas.arms_of(mine).items():
            middle = medians[arm]
            axis.axhspan(middle / BAND, middle * BAND, color=canvas.BAND, linewidth=0, zorder=0)
            points_draw(axis, [row for row in mine if row["arm"] == arm], index, moved)
        ends = [end for row in mine for end in canvas.ends_of(row, "ns_per_op")]
        canvas.log_times(axis.yaxis, ends)
        axis.grid(False, axis="x")
        axis.set_title(shorten(cell, 80))
        axis.set_ylabel("time per operation")
        axis.set_xlabel(X_END_TO_END if moved else X_RUN)


def points_draw(axis: Any, rows: list[Row], index: int, moved: dict[float, float]) -> None:
    """The visits of one arm with their intervals."""
    kind = canvas.style(index)
    sides = [canvas.error_bars(axis, row, "ns_per_op") for row in rows]
    axis.errorbar(
        [row["t_s"] - moved.get(row["trial"], 0.0) for row in rows],
        [row["ns_per_op"] for row in rows],
        yerr=list(zip(*sides)),
        linestyle="none",
        markersize=2.6,
        elinewidth=0.6,
        zorder=3,
        **kind,
    )
