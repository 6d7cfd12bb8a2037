# SPDX-License-Identifier: MIT
"""The board of verdicts: every claim, what was measured as a multiple of the threshold, and what follows."""

from __future__ import annotations

from typing import Any

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
LINE_INCH = 0.2
WHERE_MOST = 44  # characters of a condition behind a claim's name
LOOKS = {SUPPORTED: ("#009E73", "o"), REFUTED: ("#D55E00", "s"), INCONCLUSIVE: ("#808080", "D")}


def label(row: Row) -> str:
    """The claim's name, and its condition where it has one."""
    where = f"  {shorten(row['where'], WHERE_MOST)}" if row["where"] else ""
    return f"{row['claim']}{where}"


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
    """A line a claim and condition, its name at the left, its figures at the right."""
    left = max(canvas.widest([label(row) for row in table.claims]) + 0.2, 1.0)
    right = canvas.widest([f"{INCONCLUSIVE}  {figure_text(row)}" for row in table.claims]) + 0.3
    return Layout(
        heights=(LINE_INCH * len(table.claims) + 0.15,), widths=(3.2,), left=left, right=right, top=0.1, bottom=0.5
    )


def legend(table: Table) -> list[Any]:
    """The verdicts."""
    return [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=5, label=answer)
        for answer, (colour, marker) in LOOKS.items()
    ]


def draw(table: Table, axes: Any) -> None:
    """Claims from the top, in the order of the run."""
    axis = axes[0, 0]
    axis.set_xscale("log", base=2)
    axis.set_xlim(*SCALE)
    axis.axvline(1, color="black", linewidth=0.8)
    for y, row in enumerate(table.claims):
        row_draw(axis, row, y)
    axis.set_ylim(len(table.claims) - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_yticks(range(len(table.claims)), labels=[label(row) for row in table.claims])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(TICKS)
    axis.xaxis.set_major_formatter(FuncFormatter(canvas.ratio_label))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("← not as claimed      threshold = 1×      as claimed →")


def row_draw(axis: Any, row: Row, y: float) -> None:
    """One claim: interval, marker, verdict and figures."""
    colour, marker = LOOKS[row["answer"]]
    if row["value"] is not None:
        ends = sorted(multiple(row, row[key]) for key in ("value_low", "value_high"))
        x = multiple(row, row["value"])
        shown = {SCALE[0]: "<", SCALE[1]: ">"}.get(x, marker)
        axis.plot(ends, [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
        axis.plot([x], [y], marker=shown, color=colour, markersize=5, clip_on=False, zorder=3)
    for words, x, shade in ((row["answer"], 8, colour), (figure_text(row), 8 + 72 * canvas.widest([INCONCLUSIVE + "  "]), "black")):
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
