# SPDX-License-Identifier: MIT
"""The board: every arm of every cell as a ratio to the baseline, on one fixed logarithmic scale."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import ratio

name = "board"
title = "ratio of every arm to the baseline, by cell, all boards on one scale"
scope = "scenario"

SCALE = (1 / 16, 16.0)  # the same on every board, so that boards can be held side by side; what lies beyond is written
TICKS = tuple(2.0**e for e in range(-4, 5))
DENSE = 48  # arms from which a line shrinks
GAP = "\u00a0" * 6  # ordinary blanks are drawn as one in SVG
DECIDED = ("FASTER", "SLOWER", "SAME")


def candidates(table: Table) -> list[Row]:
    """The rows with a ratio that competes."""
    return [row for row in table.cells if row["role"] == "candidate" and row["ratio"] is not None]


def applies(table: Table) -> bool:
    """Whether there is a ratio to draw."""
    return bool(candidates(table))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    what = f"time of an arm ÷ time of {baseline(table)}, 95\u00a0% interval"
    return canvas.headline(table, what + canvas.conditions(table))


def baseline(table: Table) -> str:
    """Name of the arm all others are held against."""
    return str(next(row["arm"] for row in table.cells if row["role"] == "baseline"))


def lines_of(table: Table) -> list[list[Row]]:
    """The candidates' rows of each cell, cells without any left out."""
    return canvas.by_cell(candidates(table))


def layout(table: Table) -> Layout:
    """A line an arm, a gap between cells, room for the labels at both sides."""
    cells = lines_of(table)
    arms = sum(len(rows) for rows in cells)
    step = 0.17 if arms <= DENSE else 0.12
    labels = [canvas.cell_label(rows[0]["cell"]) for rows in cells]
    left = max(canvas.widest([*labels, canvas.cell_keys(cells[0][0]["cell"])]) + 0.25, 0.8)
    figures = canvas.widest([figure_text(r) for r in candidates(table)]) + 0.2
    return Layout(
        heights=(step * arms + 0.1 * len(cells) + 0.1,), widths=(5.2,), left=left, right=figures, top=0.28, bottom=0.5
    )


def figure_text(row: Row) -> str:
    """The ratio and its interval at the end of a line, with its verdict in one sign: ? undecided, ! invalid."""
    sign = {"CANNOT TELL": " ?", "INVALID": " !"}.get(row["verdict"], "")
    ends = f" [{ratio(row['ratio_low'])}, {ratio(row['ratio_high'])}]" if row["ratio_low"] is not None else ""
    return f"{ratio(row['ratio'])}×{ends}{sign}"


def legend(table: Table) -> list[Any]:
    """The arms, what a hollow marker means, the null arm's band."""
    arms = canvas.arms_of(candidates(table))
    out: list[Any] = [canvas.legend_entry(arm, index) for arm, index in arms.items()]
    if any(row["verdict"] not in DECIDED for row in candidates(table)):
        out.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markerfacecolor="white",
                color=canvas.GREY,
                markersize=5,
                label="hollow: cannot tell (?) or invalid (!)",
            )
        )
    if any(row["role"] == "null" and row["ratio"] is not None for row in table.cells):
        out.append(Patch(color=canvas.GREY, label="two identical arms (null)"))
    return out


def draw(table: Table, axes: Any) -> None:
    """Cells from the top, in plan order."""
    axis = axes[0, 0]
    axis.set_xscale("log", base=2)
    axis.set_xlim(*SCALE)
    axis.axvline(1, color="black", linewidth=0.8)
    delta = table.cells[0]["delta"]
    axis.axvspan(1 / (1 + delta), 1 + delta, color=canvas.BAND, linewidth=0)
    dense = len(candidates(table)) > DENSE
    y, ticks = 0.0, []
    for rows in lines_of(table):
        top = y
        for row in rows:
            row_draw(axis, row, y, dense)
            y += 1
        ticks.append((top + y - 1) / 2)
        null_draw(axis, table, rows[0]["cell"], top - 0.5, y - 0.5)
        y += 0.6
        axis.axhline(y - 0.8, color="#E4E4E4", linewidth=0.6)
    axis.set_ylim(y - 0.8, -0.8)
    axis.grid(False, axis="y")
    axis.set_yticks(ticks, labels=[canvas.cell_label(rows[0]["cell"]) for rows in lines_of(table)])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(TICKS)
    axis.xaxis.set_major_formatter(FuncFormatter(canvas.ratio_label))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("← faster" + GAP + "time ÷ time of the baseline" + GAP + "slower →")
    canvas.keys_write(axis, table.cells[0]["cell"])


def row_draw(axis: Any, row: Row, y: float, dense: bool) -> None:
    """One ratio: interval and marker, or an arrow at the edge when it lies beyond the scale; its figure at the
    right."""
    kind = canvas.style(int(row["arm_index"]))
    face = kind["color"] if row["verdict"] in DECIDED else "white"
    inside = SCALE[0] <= row["ratio"] <= SCALE[1]
    x = min(max(row["ratio"], SCALE[0]), SCALE[1])
    if row["ratio_low"] is not None and inside:
        axis.plot(
            [max(row["ratio_low"], SCALE[0]), min(row["ratio_high"], SCALE[1])],
            [y, y],
            color=kind["color"],
            linewidth=1.6,
            solid_capstyle="butt",
        )
    marker = kind["marker"] if inside else ("<" if row["ratio"] < 1 else ">")
    axis.plot(
        [x],
        [y],
        linestyle="none",
        marker=marker,
        color=kind["color"],
        markerfacecolor=face,
        markersize=4.2 if dense else 5.2,
        clip_on=False,
        zorder=3,
    )
    axis.annotate(
        figure_text(row),
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=canvas.FONT - (2 if dense else 1),
        annotation_clip=False,
    )


def null_draw(axis: Any, table: Table, cell: str, top: float, bottom: float) -> None:
    """The null arm's interval as a band over the cell's lines."""
    rows: Sequence[Row] = [
        r for r in table.cells if r["cell"] == cell and r["role"] == "null" and r["ratio"] is not None
    ]
    for row in rows:
        low = row["ratio_low"] if row["ratio_low"] is not None else row["ratio"]
        high = row["ratio_high"] if row["ratio_high"] is not None else row["ratio"]
        axis.add_patch(
            Rectangle(
                (low, top),
                high - low,
                bottom - top,
                facecolor=canvas.GREY,
                edgecolor=canvas.GREY,
                linewidth=0.4,
                alpha=0.75,
                zorder=2,
            )
        )
