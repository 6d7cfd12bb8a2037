# SPDX-License-Identifier: MIT
"""The board of verdicts: every claim, what was measured as a multiple of the threshold, and what follows."""

from __future__ import annotations

import math
from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from faultline import canvas, text
from faultline.canvas import Layout
from faultline.claim_plan import AT_LEAST, COUNT, INCONCLUSIVE, REFUTED, SUPPORTED
from faultline.claim_words import limit
from faultline.tables import Row, Table
from faultline.text import shorten

name = "verdict_board"
title = "every claim, what was measured beside its threshold, and the verdict"
scope = "run"

SCALE = (1 / 16, 16.0)  # multiples of the threshold; what lies beyond is an arrow
TICKS = tuple(2.0**e for e in range(-4, 5, 2))
LINE_INCH = 0.17
PANEL_INCH = 2.4
LINES_MOST = 46  # of a column; more are set in two
WHERE_MOST = 34  # characters of a condition behind a claim's name
LOOKS = {SUPPORTED: ("#009E73", "o"), REFUTED: ("#D55E00", "s"), INCONCLUSIVE: ("#808080", "D")}


def lines_of(table: Table) -> list[list[Row]]:
    """A line for each claim and verdict: its conditions, the one nearest to the threshold first."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in table.claims:
        groups.setdefault((row["scenario"], row["claim"], row["answer"]), []).append(row)
    return [sorted(rows, key=distance) for rows in groups.values()]


def distance(row: Row) -> float:
    """How far a value is from the threshold, as a logarithm; what has no figure comes first."""
    if row["value"] is None:
        return 0.0
    return abs(math.log(multiple(row, row["value"])))


def label(rows: Sequence[Row], lines: Sequence[Sequence[Row]]) -> str:
    """The claim's name; where it came out like that, if not everywhere."""
    name = str(rows[0]["claim"])
    if sum(other[0]["claim"] == name for other in lines) == 1:
        return name
    where = str(rows[0]["where"]) if len(rows) == 1 else f"{len(rows)} conditions"
    return f"{name}  {shorten(where, WHERE_MOST)}"


def columns(lines: Sequence[Sequence[Row]]) -> list[list[Sequence[Row]]]:
    """The lines of each column, which are as long as each other."""
    count = 1 if len(lines) <= LINES_MOST else 2
    each = -(-len(lines) // count)
    return [list(lines[i : i + each]) for i in range(0, len(lines), each)]


def figure_text(row: Row) -> str:
    """ "7.9× [7.6, 8.2], claimed ≥ 3×"."""
    is_count = row["kind"] == COUNT
    sign, written = ("", text.count) if is_count else ("×", text.digits)
    claimed = f"claimed {'≥' if row['rule'] == AT_LEAST else '≤'} {limit(row['kind'], row['threshold'])}"
    if row["value"] is None:
        return f"no figure, {claimed}"
    ends = ""
    if row["value_low"] != row["value_high"]:
        ends = f" [{written(row['value_low'])}, {written(row['value_high'])}]"
    return f"{written(row['value'])}{sign}{ends}, {claimed}"


def multiple(row: Row, value: float) -> float:
    """The value as a multiple of the threshold, turned so that the claimed side is the right one, within SCALE. A
    threshold of 0 is met or not: at an end of the scale."""
    threshold = row["threshold"]
    turned = row["rule"] != AT_LEAST
    if threshold == 0 or value <= 0:
        claimed = (value <= threshold) if turned else (value >= threshold)
        return SCALE[1] if claimed else SCALE[0]
    ratio = threshold / value if turned else value / threshold
    return min(max(ratio, SCALE[0]), SCALE[1])


def applies(table: Table) -> bool:
    """Whether the run has claims."""
    return bool(table.claims)


def heading(table: Table) -> str:
    """What the figure shows."""
    return "What people say, on this machine: what was measured as a multiple of what was claimed"


def layout(table: Table) -> Layout:
    """A line a claim and verdict, its name at the left, its figures at the right; in two columns where there are many."""
    lines = lines_of(table)
    parts = columns(lines)
    left = max(canvas.widest([label(rows, lines) for rows in lines]) + 0.2, 1.0)
    right = canvas.widest([f"{INCONCLUSIVE}  {figure_text(rows[0])}" for rows in lines]) + 0.3
    return Layout(
        heights=(LINE_INCH * len(parts[0]) + 0.15,),
        widths=(PANEL_INCH,) * len(parts),
        left=left,
        right=right,
        top=0.1,
        bottom=0.5,
        column_gap=left + right,
    )


def legend(table: Table) -> list[Any]:
    """The verdicts."""
    return [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=5, label=answer)
        for answer, (colour, marker) in LOOKS.items()
    ]


def draw(table: Table, axes: Any) -> None:
    """Claims from the top, in the order of the run."""
    lines = lines_of(table)
    parts = columns(lines)
    for axis, part in zip(axes[0], parts):
        column_draw(axis, part, lines, len(parts[0]))


def column_draw(axis: Any, part: Sequence[Sequence[Row]], lines: Sequence[Sequence[Row]], most: int) -> None:
    """One column, with room for so many lines."""
    axis.set_xscale("log", base=2)
    axis.set_xlim(*SCALE)
    axis.axvline(1, color="black", linewidth=0.8)
    for y, rows in enumerate(part):
        line_draw(axis, rows, y)
    axis.set_ylim(most - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_yticks(range(len(part)), labels=[label(rows, lines) for rows in part])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(TICKS)
    axis.xaxis.set_major_formatter(FuncFormatter(canvas.ratio_label))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("← not claimed   threshold = 1×   claimed →")


def line_draw(axis: Any, rows: Sequence[Row], y: float) -> None:
    """One line: interval and marker of each condition, the verdict, and the figures of the one nearest to the
    threshold."""
    colour, _ = LOOKS[rows[0]["answer"]]
    for row in rows:
        mark_draw(axis, row, y)
    figures = figure_text(rows[0])
    offset = 8 + 72 * canvas.widest([INCONCLUSIVE + "  "])
    for words, x, shade in ((rows[0]["answer"], 8, colour), (figures, offset, "black")):
        axis.annotate(
            words,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(x, 0),
            textcoords="offset points",
            va="center",
            color=shade,
            fontsize=canvas.FONT - 0.5,
            annotation_clip=False,
        )


def mark_draw(axis: Any, row: Row, y: float) -> None:
    """The interval and the marker of one condition."""
    if row["value"] is None:
        return
    colour, marker = LOOKS[row["answer"]]
    ends = sorted(multiple(row, row[key]) for key in ("value_low", "value_high"))
    x = multiple(row, row["value"])
    shown = {SCALE[0]: "<", SCALE[1]: ">"}.get(x, marker)
    axis.plot(ends, [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
    axis.plot([x], [y], marker=shown, color=colour, markersize=4.5, clip_on=False, zorder=3)
