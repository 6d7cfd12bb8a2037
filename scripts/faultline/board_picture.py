# SPDX-License-Identifier: MIT
"""The picture of a board: ratios of all machines on one fixed logarithmic scale, a line an arm, a marker a machine."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from faultline import board_words, canvas
from faultline.board import Board
from faultline.board_rows import BoardRow, Value
from faultline.canvas import Layout
from faultline.plots.board import SCALE, TICKS
from faultline.text import safe, shorten
from faultline.verdict import FASTER, SAME, SLOWER

ROWS_MOST = 60  # lines, the first of the board
STEP_INCH = (0.30, 0.80)  # least and most height of a line
MARKER_INCH = 0.07  # height that a marker needs not to lie on the next machine's
SHARE = 0.7  # of a line's height that its markers take
NAME_MOST = 64  # characters of a line's name
DECIDED = (FASTER, SLOWER, SAME)


def drawable(found: Board) -> list[BoardRow]:
    """The rows that have a ratio on two machines or more."""
    return [row for row in found.ratios if sum(v is not None and v.ratio is not None for v in row.values) > 1]


def shown(found: Board) -> list[BoardRow]:
    """Those that are drawn."""
    return drawable(found)[:ROWS_MOST]


def heading(found: Board) -> str:
    """What the picture shows."""
    more = len(drawable(found)) - ROWS_MOST
    rest = f", the first {ROWS_MOST} of {len(drawable(found))}" if more > 0 else ""
    return f"Time of an arm ÷ time of its baseline on the same machine, 95\u00a0% interval{rest}"


def label(row: BoardRow) -> str:
    """A line's name: the cell by its values, for there is not room for all."""
    return shorten(safe(f"{row.arm}, {row.scenario} {canvas.cell_values(row.cell)}"), NAME_MOST)


def columns_shown(found: Board) -> list[int]:
    """The machines that have markers."""
    return [i for i, machine in enumerate(found.machines) if not found.hidden(machine)]


def step_inch(found: Board) -> float:
    """Height of a line: more where more machines have their markers in it."""
    least, most = STEP_INCH
    return min(max(least, MARKER_INCH * len(columns_shown(found)) / SHARE), most)


def layout(found: Board) -> Layout:
    """A line a row, names at the left, findings at the right."""
    rows = shown(found)
    left = canvas.widest([label(row) for row in rows]) + 0.25
    right = canvas.widest([board_words.finding_text(row) for row in rows]) + 0.3
    return Layout(heights=(step_inch(found) * len(rows) + 0.1,), widths=(4.6,), left=left, right=right, bottom=0.5)


def legend(found: Board) -> list[Any]:
    """The machines, and what a hollow marker means."""
    out: list[Any] = [canvas.legend_entry(found.machines[i].label, i) for i in columns_shown(found)]
    if any(value is not None and value.ratio is not None and value.verdict not in DECIDED
           for row in shown(found) for value in row.values):
        out.append(Line2D([], [], linestyle="none", marker="o", markerfacecolor="white", color=canvas.GREY,
                          markersize=5, label="hollow: cannot tell or invalid"))
    return out


def draw(found: Board, axes: Any) -> None:
    """The rows from the top, in the board's order."""
    axis, rows = axes[0, 0], shown(found)
    axis.set_xscale("log", base=2)
    axis.set_xlim(*SCALE)
    axis.axvline(1, color="black", linewidth=0.8)
    machines = columns_shown(found)
    for y, row in enumerate(rows):
        for lane, i in enumerate(machines):
            value = row.values[i]
            if value is not None and value.ratio is not None:
                value_draw(axis, value, y + SHARE * ((lane + 0.5) / len(machines) - 0.5), i)
        axis.axhline(y + 0.5, color="#E4E4E4", linewidth=0.6)
        axis.annotate(board_words.finding_text(row), (1, y), xycoords=("axes fraction", "data"), xytext=(8, 0),
                      textcoords="offset points", va="center", fontsize=canvas.FONT - 1, annotation_clip=False)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(False, axis="y")
    axis.set_yticks(range(len(rows)), labels=[label(row) for row in rows])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(TICKS)
    axis.xaxis.set_major_formatter(FuncFormatter(canvas.ratio_label))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("← faster      time ÷ time of the baseline      slower →".replace("  ", "\u00a0\u00a0"))


def value_draw(axis: Any, value: Value, y: float, index: int) -> None:
    """One machine's ratio with its interval; an arrow at the edge when it lies beyond the scale."""
    assert value.ratio is not None
    kind, found = canvas.style(index), value.ratio
    inside = SCALE[0] <= found.estimate <= SCALE[1]
    if inside and found.low is not None and found.high is not None:
        axis.plot([max(found.low, SCALE[0]), min(found.high, SCALE[1])], [y, y], color=kind["color"], linewidth=1.5,
                  solid_capstyle="butt")
    marker = kind["marker"] if inside else ("<" if found.estimate < 1 else ">")
    face = kind["color"] if value.verdict in DECIDED else "white"
    axis.plot([min(max(found.estimate, SCALE[0]), SCALE[1])], [y], linestyle="none", marker=marker, color=kind["color"],
              markerfacecolor=face, markersize=4.5, clip_on=False, zorder=3)
