# SPDX-License-Identifier: MIT
"""The picture of a history: one quantity of one arm over the runs of a machine, a part for each series, never joined.

A series that follows another one stands at its right, behind a line that says what is not the same. The runs are set at
equal distances, since days without a run say nothing.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
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
LEVEL_RUNS = 8  # over which the level before a change is drawn
COMMIT_MOST = 12
BREAK_MOST = 34  # characters of a line of what is not the same
BREAK_LINES = 3
BREAK_SHARE = 0.015  # of the runs: places between two series
BREAK_VALUE = 22  # characters of a value there
EDGE = 0.8  # places beside the first and the last run
CAPTIONS_MOST = 8  # more of them are drawn without words
LINE_ROOM = 0.17  # inches of a line of words above the panel


def places(drawn: Drawn) -> list[list[float]]:
    """The place of each point on the axis, by part."""
    out, at, gap = [], 0.0, break_gap(drawn)
    for part in drawn.parts:
        out.append([at + i for i in range(len(part.points))])
        at += len(part.points) + gap
    return out


def break_gap(drawn: Drawn) -> float:
    """Places left free between two series."""
    return max(1.0, BREAK_SHARE * sum(len(part.points) for part in drawn.parts))


def break_value(found: Any) -> str:
    """A value of a fingerprint, short."""
    return shorten(value_words(found), BREAK_VALUE)


def differs_words(one: Shown) -> list[str]:
    """What is not the same as in the series before, in a few lines."""
    said = ", ".join(f"{safe(key)} {break_value(a)} → {break_value(b)}" for key, a, b in one.differs)
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


@dataclass(frozen=True)
class Caption:
    """Words above the panel at a place of the axis, from `line` on upwards; to_left: they end there."""

    place: float
    words: Sequence[str]
    bold: bool
    to_left: bool
    line: int

    @property
    def top(self) -> int:
        """The first line above it."""
        return self.line + len(self.words)


def span(caption: Caption, scale: float) -> tuple[float, float]:
    """From where to where a caption reaches, inches; scale: inches a place."""
    width = canvas.widest(caption.words) * (1.1 if caption.bold else 1.0) + 0.15
    x = caption.place * scale
    return (x - width, x) if caption.to_left else (x, x + width)


def captions(drawn: Drawn) -> list[Caption]:
    """What is said above the panel, each so low that it meets no other: changes first, then breaks; nothing where there
    are too many."""
    at = places(drawn)
    end = at[-1][-1] + 2 * EDGE
    said = [(x, words, True) for x, words in change_words(drawn)]
    said += [(x, words, False) for x, words in break_words(drawn)]
    found: list[Caption] = []
    for place, words, bold in said if len(said) <= CAPTIONS_MOST else []:
        one = Caption(place, words, bold, (place + EDGE) / end > 0.6, 0)
        while any(meets(one, other, WIDTH / end) for other in found):
            one = replace(one, line=one.line + 1)
        found.append(one)
    return found


def meets(one: Caption, other: Caption, scale: float) -> bool:
    """Whether two captions lie over each other."""
    (a, b), (c, d) = span(one, scale), span(other, scale)
    return a < d and c < b and one.line < other.top and other.line < one.top


def change_words(drawn: Drawn) -> list[tuple[float, list[str]]]:
    """Where changes are, and how far they went."""
    found = []
    for part, at, change in changes_of(drawn):
        word, told = change.direction, change.told
        place = change_place(part, at, change)
        found.append((place, [f"{ARROWS[word]} {word} {moved(told.before, told.after)}"]))
    return found


def change_place(part: Part, at: Sequence[float], change: Change) -> float:
    """Between the runs of a change."""
    return at[[point.run for point in part.points].index(change.run.number)] - 0.5


def break_words(drawn: Drawn) -> list[tuple[float, list[str]]]:
    """Where series begin that are not joined to the one before, and why."""
    pairs = list(zip(drawn.parts, places(drawn)))[1:]
    return [(at[0] - (1 + break_gap(drawn)) / 2, differs_words(part.shown)) for part, at in pairs]


def layout(drawn: Drawn) -> Layout:
    """One panel, with room above it for captions."""
    lines = max((caption.top for caption in captions(drawn)), default=0)
    return Layout(
        heights=(HEIGHT,), widths=(WIDTH,), left=0.95, right=0.35, top=0.12 + LINE_ROOM * lines, bottom=1.05
    )


def legend(drawn: Drawn) -> list[Any]:
    """What the marks are."""
    points = [point for part in drawn.parts for point in part.points]
    has_ends = any(point.low is not None and point.low != point.high for point in points)
    kind = "range over trials" if is_count(drawn.last.series.quantity) else "95\u00a0% interval"
    entries = [
        Line2D([], [], color=LINE, marker="o", markersize=4, label=f"a run{f', with {kind}' if has_ends else ''}")
    ]
    apart = {"INVALID" if point.verdict == INVALID else "too few trials" for point in points if not point.is_valid}
    if apart:
        label = f"{' or '.join(sorted(apart))}, not judged"
        entries.append(Line2D([], [], linestyle="none", marker="x", color=canvas.GREY, label=label))
    if changes_of(drawn):
        entries.append(Line2D([], [], color=MARKED, linestyle="--", marker="D", markersize=5, label="change of level"))
        entries.append(Line2D([], [], color=LEVEL, linewidth=1.6, label="medians before and after"))
    if len(drawn.parts) > 1:
        entries.append(Line2D([], [], color=canvas.GREY, linewidth=2.5, label="another series: not joined"))
    return entries


def part_draw(axis: Any, part: Part, at: Sequence[float]) -> None:
    """The points of a series with their intervals, joined; those that are not judged as crosses of their own."""
    valid = [(x, p) for x, p in zip(at, part.points) if p.is_valid]
    others = [(x, p) for x, p in zip(at, part.points) if not p.is_valid]
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


def change_draw(axis: Any, part: Part, at: Sequence[float], change: Change) -> None:
    """A change: a line between its runs, the medians on both sides, and its first run marked."""
    runs = [point.run for point in part.points]
    index, told, x = runs.index(change.run.number), change.told, change_place(part, at, change)
    confirmed = runs.index(change.confirmed.number) if change.confirmed.number in runs else len(runs) - 1
    axis.axvline(x, color=MARKED, linestyle="--", linewidth=1.0)
    axis.hlines(told.before, at[max(0, index - LEVEL_RUNS)], x, color=LEVEL, linewidth=1.6, zorder=4)
    axis.hlines(told.after, x, at[confirmed], color=LEVEL, linewidth=1.6, zorder=4)
    axis.plot([at[index]], [part.points[index].estimate], "D", color=MARKED, markersize=6, zorder=5)


def caption_write(axis: Any, caption: Caption) -> None:
    """Words above the panel, with a thin line up to them."""
    top = 1.0 + caption.line * LINE_ROOM / HEIGHT
    line = {"color": canvas.GREY, "linewidth": 0.6, "clip_on": False, "zorder": 1}
    line["transform"] = axis.get_xaxis_transform()
    axis.plot([caption.place, caption.place], [1.0, top + 0.8 * len(caption.words) * LINE_ROOM / HEIGHT], **line)
    axis.annotate(
        "\n".join(caption.words),
        (caption.place, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if caption.to_left else 3, 3 + caption.line * LINE_ROOM * 72),
        textcoords="offset points",
        ha="right" if caption.to_left else "left",
        va="bottom",
        fontsize=canvas.FONT - 1,
        fontweight="bold" if caption.bold else "normal",
        linespacing=1.1,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        zorder=6,
    )


def ticks(spots: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """Which runs have a label: those wanted, and at equal distances others that keep apart from them."""
    step = -(-len(spots) // LABELS_MOST)
    found = [i for i, x in enumerate(spots) if x in wanted][:LABELS_MOST]
    return sorted(found + [i for i in range(0, len(spots), step) if all(abs(i - j) >= 0.7 * step for j in found)])


def labels_write(axis: Any, drawn: Drawn, at: Sequence[Sequence[float]]) -> None:
    """Dates below the axis, with commits where runs have them, thinned so that they keep apart."""
    spots = [
        (x, point.started[:10], commit)
        for part, mine in zip(drawn.parts, at)
        for x, point, commit in zip(mine, part.points, part.commits)
    ]
    marked = [change_place(part, mine, change) + 0.5 for part, mine, change in changes_of(drawn)]
    shown = [spots[i] for i in ticks([x for x, _, _ in spots], marked)]
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
    axis.set_xlim(-EDGE, at[-1][-1] + EDGE)
    for part, mine in zip(drawn.parts, at):
        part_draw(axis, part, mine)
    for x, _ in break_words(drawn):
        axis.axvline(x, color=canvas.GREY, linewidth=2.5)
    for part, mine, change in changes_of(drawn):
        change_draw(axis, part, mine, change)
    for caption in captions(drawn):
        caption_write(axis, caption)
    axis.margins(y=0.12)
    axis.grid(False, axis="x")
    labels_write(axis, drawn, at)
    values_write(axis, drawn)


def render(drawn: Drawn, form: str) -> bytes:
    """The picture as a file's content: svg or png."""
    plot = SimpleNamespace(layout=layout, heading=heading, legend=legend, draw=draw)
    return canvas.render(drawn, plot, form)  # type: ignore[arg-type]  # a plot's table is its own affair
