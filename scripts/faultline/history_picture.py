# SPDX-License-Identifier: MIT
"""The picture of a history: one quantity of one arm over the runs of a machine, a part for each series, never joined.

A series that follows another one stands at its right, behind a line that says what is not the same. The runs are set at
equal distances, since days without a run say nothing.
"""

from __future__ import annotations

import textwrap
from types import SimpleNamespace
from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.history_run import is_count
from faultline.history_text import value_words
from faultline.history_view import FALLEN, FASTER, RISEN, SLOWER, Change, Drawn, Part, Shown, moved
from faultline.text import safe, shorten, time_unit
from faultline.verdict import INVALID

LINE, MARKED, LEVEL = canvas.COLOURS[0], canvas.COLOURS[1], canvas.COLOURS[6]
ARROWS = {FASTER: "▼", FALLEN: "▼", SLOWER: "▲", RISEN: "▲"}
WIDTH = 8.2  # inches, of the panel
HEIGHT = 2.6
LABELS_MOST = 12  # of runs below the axis
COMMIT_MOST = 12
BREAK_MOST = 34  # characters of a line of what is not the same
BREAK_LINES = 3
BREAK_GAP = 1.0  # places between two series, in runs
BREAKS_NAMED = 4  # more of them are drawn without words
LINE_ROOM = 0.17  # inches of a line of words above the panel


def places(drawn: Drawn) -> list[list[float]]:
    """The place of each point on the axis, by part."""
    out, at = [], 0.0
    for part in drawn.parts:
        out.append([at + i for i in range(len(part.points))])
        at += len(part.points) + BREAK_GAP
    return out


def break_words(one: Shown) -> list[str]:
    """What is not the same as in the series before, in a few lines."""
    said = ", ".join(f"{safe(key)} {value_words(a)} → {value_words(b)}" for key, a, b in one.differs)
    found = textwrap.wrap(said, BREAK_MOST)
    if len(found) <= BREAK_LINES:
        return found
    return [*found[: BREAK_LINES - 1], shorten(found[BREAK_LINES - 1], BREAK_MOST - 2) + " …"]


def heading(drawn: Drawn) -> str:
    """What the picture is of."""
    series = drawn.last.series
    names = ", ".join(shorten(safe(name), 30) for name in drawn.last.machines[:2] if name)
    rest = f", without {drawn.left_out} older runs" if drawn.left_out else ""
    arm, cell = shorten(safe(series.arm), canvas.NAME_MOST), shorten(safe(series.cell), canvas.CELL_MOST)
    return f"{arm}: {safe(series.quantity)} over runs ({safe(series.scenario)}, {cell}; machine {names or '–'}{rest})"


def changes_of(drawn: Drawn) -> list[tuple[Part, list[float], Change]]:
    """The changes whose runs are drawn, with their part and the places of its points."""
    return [
        (part, at, change)
        for part, at in zip(drawn.parts, places(drawn))
        for change in part.shown.changes
        if any(point.run == change.run.number for point in part.points)
    ]


def layout(drawn: Drawn) -> Layout:
    """One panel, with room above it for what breaks say and a line a change."""
    lines = max((len(break_words(part.shown)) for part in drawn.parts[1:]), default=0)
    return Layout(
        heights=(HEIGHT,), widths=(WIDTH,), left=0.95, right=0.35, top=0.2 + LINE_ROOM * (lines + 1.3), bottom=1.25
    )


def legend(drawn: Drawn) -> list[Any]:
    """What the marks are."""
    points = [point for part in drawn.parts for point in part.points]
    has_ends = any(point.low is not None and point.low != point.high for point in points)
    kind = "range over trials" if is_count(drawn.last.series.quantity) else "95\u00a0% interval"
    entries = [
        Line2D([], [], color=LINE, marker="o", markersize=4, label=f"a run{f', with {kind}' if has_ends else ''}")
    ]
    if any(point.verdict == INVALID for point in points):
        entries.append(Line2D([], [], linestyle="none", marker="x", color=canvas.GREY, label="INVALID, not judged"))
    if changes_of(drawn):
        entries.append(Line2D([], [], color=MARKED, linestyle="--", marker="D", markersize=5, label="change of level"))
        entries.append(Line2D([], [], color=LEVEL, linewidth=1.6, label="medians before and after"))
    if len(drawn.parts) > 1:
        entries.append(Line2D([], [], color=canvas.GREY, linewidth=2.5, label="another series: not joined"))
    return entries


def part_draw(axis: Any, part: Part, at: Sequence[float]) -> None:
    """The points of a series with their intervals, joined; INVALID ones as crosses of their own."""
    valid = [(x, p) for x, p in zip(at, part.points) if p.verdict != INVALID]
    others = [(x, p) for x, p in zip(at, part.points) if p.verdict == INVALID]
    axis.vlines(
        [x for x, p in valid if p.low is not None],
        [p.low for _, p in valid if p.low is not None],
        [p.high for _, p in valid if p.low is not None],
        color=LINE,
        linewidth=0.9,
        alpha=0.6,
    )
    size = 3.5 if len(at) <= 80 else 2.0
    line = {"color": LINE, "marker": "o", "markersize": size, "linewidth": 0.8}
    axis.plot([x for x, _ in valid], [p.estimate for _, p in valid], **line)
    axis.plot([x for x, _ in others], [p.estimate for _, p in others], "x", color=canvas.GREY, markersize=4)


def change_draw(axis: Any, part: Part, at: Sequence[float], change: Change, label: bool) -> None:
    """A change: a line between its runs, the two medians, and its first run marked; above the panel how far it went."""
    index = [point.run for point in part.points].index(change.run.number)
    told, x = change.told, at[index] - 0.5
    told_index = next((i for i, p in enumerate(part.points) if p.run == change.confirmed.number), len(at) - 1)
    axis.axvline(x, color=MARKED, linestyle="--", linewidth=1.0)
    axis.hlines(told.before, at[max(0, index - 8)], x, color=LEVEL, linewidth=1.6, zorder=4)
    axis.hlines(told.after, x, at[max(told_index, min(index + 7, len(at) - 1))], color=LEVEL, linewidth=1.6, zorder=4)
    axis.plot([at[index]], [part.points[index].estimate], "D", color=MARKED, markersize=6, zorder=5)
    if label:
        words = f"{ARROWS[change.direction]} {change.direction} {moved(told.before, told.after)}"
        above(axis, x, [words], 0, "bold")


def above(axis: Any, x: float, words: Sequence[str], lines_below: int, weight: str) -> None:
    """Words above the panel at this place, to the side where there is room."""
    low, high = axis.get_xlim()
    right = (x - low) / (high - low) > 0.6
    axis.annotate(
        "\n".join(words),
        (x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if right else 3, 3 + lines_below * LINE_ROOM * 72),
        textcoords="offset points",
        ha="right" if right else "left",
        va="bottom",
        fontsize=canvas.FONT - 1,
        fontweight=weight,
        linespacing=1.1,
    )


def breaks_draw(axis: Any, drawn: Drawn, at: Sequence[Sequence[float]]) -> None:
    """A thick line before each series but the first, with what is not the same."""
    named = len(drawn.parts) - 1 <= BREAKS_NAMED
    for part, mine in zip(drawn.parts[1:], at[1:]):
        x = mine[0] - (1 + BREAK_GAP) / 2
        axis.axvline(x, color=canvas.GREY, linewidth=2.5)
        if named:
            above(axis, x, break_words(part.shown), 1, "normal")


def labels_write(axis: Any, drawn: Drawn, at: Sequence[Sequence[float]]) -> None:
    """Dates below the axis, with commits where runs have them, thinned so that they keep apart."""
    spots = [
        (x, point.started[:10], commit)
        for part, mine in zip(drawn.parts, at)
        for x, point, commit in zip(mine, part.points, part.commits)
    ]
    step = -(-len(spots) // LABELS_MOST)
    shown = spots[::step]
    has_commits = any(commit for _, _, commit in spots)
    axis.set_xticks(
        [x for x, _, _ in shown],
        labels=[day + (f"\n{shorten(safe(commit), COMMIT_MOST)}" if commit else "") for _, day, commit in shown],
        rotation=40,
        ha="right",
        rotation_mode="anchor",
        fontsize=canvas.FONT - 1,
    )
    axis.set_xlabel(f"run: day of its start{', and its commit' if has_commits else ''}")


def values_write(axis: Any, drawn: Drawn) -> None:
    """The quantity with its unit at the left."""
    series = drawn.last.series
    if series.quantity == "ns_per_op":
        scale, unit = time_unit(max(point.estimate for part in drawn.parts for point in part.points))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y / scale:.4g}"))
        axis.set_ylabel(f"time per operation, {unit}")
    elif series.quantity == "ratio":
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.set_ylabel("share of the whole" if series.role == "phase" else "time ÷ time of the baseline")
    else:
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.set_ylabel(f"{shorten(safe(series.quantity), 30)}, count per operation")


def draw(drawn: Drawn, axes: Any) -> None:
    """All of it in the one panel."""
    axis, at = axes[0, 0], places(drawn)
    axis.set_xlim(-0.8, at[-1][-1] + 0.8)
    for part, mine in zip(drawn.parts, at):
        part_draw(axis, part, mine)
    breaks_draw(axis, drawn, at)
    found = changes_of(drawn)
    for part, mine, change in found:
        change_draw(axis, part, mine, change, len(found) <= BREAKS_NAMED)
    axis.margins(y=0.12)
    axis.grid(False, axis="x")
    labels_write(axis, drawn, at)
    values_write(axis, drawn)


def render(drawn: Drawn, form: str) -> bytes:
    """The picture as a file's content: svg or png."""
    plot = SimpleNamespace(layout=layout, heading=heading, legend=legend, draw=draw)
    return canvas.render(drawn, plot, form)  # type: ignore[arg-type]  # a plot's table is its own affair
