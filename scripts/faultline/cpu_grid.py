# SPDX-License-Identifier: MIT
"""What pictures of a machine's CPUs share: fixed scales of colour, the order of the tree with its brackets, matrices.

The scales are the same for every machine, so that pictures of two machines can be held side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import digits, shorten, time_tick
from faultline.topology import LEVELS, TITLES

OFF, WIDE = 1.10, 1.2  # factors: of a pair from its class; of an interval's end from its middle
FIGURES_MOST, INTERVALS_MOST = 16, 8  # squares a side up to which figures, and their intervals, are written in them
LABELS_INCH = 0.13  # between labels of CPUs
BRACKET_INCH = 0.24
UNSEEN = "#D4D4D4"  # a pair that was not visited: darker than the middle of the residuals' scale
PANELS_MOST = 6
EDGES_MOST = 32  # squares a side up to which they are told apart by lines


@dataclass(frozen=True)
class Scale:
    """How a column is coloured: its bounds, its shades and in how many steps (squares of one step are drawn as one
    path), and the words beside it."""

    column: str
    low: float
    high: float
    shades: Any
    steps: int
    words: str

    def step(self, value: float) -> int:
        """Which shade a value has, from 0."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return min(max(int(share * self.steps), 0), self.steps - 1)

    def colour(self, step: int) -> Any:
        """The colour of a shade."""
        return self.shades((step + 0.5) / self.steps)


# Both read alike with every colour blindness. Times from what two siblings need to more than two sockets do, in steps
# of 7 %; residuals in steps of 4 %, the middle one about 1.
TIME = Scale("ns_per_op", 3.0, 3000.0, canvas.SHADES, 96, "time of an operation")
RESIDUAL = Scale("residual", 0.5, 2.0, colormaps["PuOr_r"], 33, "÷ median of the pair's class")


@dataclass(frozen=True)
class Unit:
    """A line of a matrix: a CPU or a group of them, and the groups that it lies in."""

    index: int
    groups: Mapping[str, Any]


def origin(table: Table) -> str:
    """What has to be said of where the CPUs come from: that the machine is made up; "" for this one."""
    source = str(table.cpus[0]["source"]) if table.cpus else ""
    return f"; {source}" if source.startswith("not this machine") else ""


def scope_of(rows: Sequence[Row]) -> str:
    """What the lines of a matrix are: single CPUs, or the blocks that a large machine has."""
    return next((str(row["scope"]) for row in rows if row["scope"] not in ("class", "pair", "cpu")), "pair")


def units_of(table: Table) -> list[Unit]:
    """The lines of a matrix in the order of the tree; the CPUs seen, by number, where the tree is not known."""
    scope = scope_of(table.pairs)
    if not table.cpus:
        seen = sorted({int(row[end]) for row in table.pairs if row["scope"] == "pair" for end in ("a", "b")})
        return [Unit(cpu, {}) for cpu in seen]
    key = "cpu" if scope == "pair" else scope
    levels = [level for level in LEVELS if level != scope]
    found: dict[int, Unit] = {}
    for row in sorted(table.cpus, key=lambda row: row["position"]):
        index = int(row[key])
        found.setdefault(index, Unit(index, {level: row[level] for level in levels}))
    return list(found.values())


def partitions(units: Sequence[Unit]) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """The levels worth a bracket, from the largest on: name, and of each group its first line, its last and its number.
    Levels that group alike are one; those with a single group, or with a line a group, are none."""
    found: list[tuple[str, list[tuple[int, int, str]]]] = []
    for level in LEVELS:
        values = [unit.groups.get(level) for unit in units]
        if None in values or not values:
            continue
        starts = [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
        if len(starts) < 2 or len(starts) == len(units):
            continue
        ends = [*starts[1:], len(values)]
        groups = [(first, end - 1, f"{values[first]:g}") for first, end in zip(starts, ends)]
        if found and [g[:2] for g in found[-1][1]] == [g[:2] for g in groups]:
            if found[-1][1] == groups:  # with the same numbers: both names
                found[-1] = (f"{found[-1][0]}, {TITLES[level]}", groups)
        else:
            found.append((TITLES[level], groups))
    return found


Panel = tuple[str, str]


def panels_of(rows: Sequence[Row]) -> list[Panel]:
    """What is held and the arm of each panel, null arms left out; at most PANELS_MOST."""
    return list(dict.fromkeys((str(r["held"]), str(r["arm"])) for r in rows if r["role"] != "null"))[:PANELS_MOST]


def panel_title(panel: Panel) -> str:
    """The words above a panel."""
    return shorten(f"{panel[1]}{f' ({panel[0]})' if panel[0] else ''}", 52)


def rest(rows: Sequence[Row]) -> str:
    """How many panels are left out; "" for none."""
    count = len({(r["held"], r["arm"]) for r in rows if r["role"] != "null"})
    return f"; the first {PANELS_MOST} of {count}" if count > PANELS_MOST else ""


def matrix_rows(table: Table) -> list[Row]:
    """The rows that the squares are of: those of blocks where there are any."""
    scope = scope_of(table.pairs)
    return [row for row in table.pairs if row["scope"] == scope and row["role"] != "null"]


def has_several_pairs(table: Table) -> bool:
    """Whether there is more than one square to compare."""
    return len({(row["a"], row["b"]) for row in matrix_rows(table)}) > 1


def heading(table: Table, what: str) -> str:
    """The question, what the figure shows, and of which machine."""
    scope = scope_of(table.pairs)
    lines = "CPUs" if scope == "pair" else f"{TITLES[scope]} numbers: the median of their pairs of CPUs"
    order = "in the order of the tree" if table.cpus else "by number: the machine's tree is not known"
    return canvas.headline(table, f"{what}; {lines}, {order}{rest(matrix_rows(table))}{origin(table)}")


def side_inch(count: int, panels: int) -> float:
    """Length of a matrix's side."""
    if count <= FIGURES_MOST:
        return max(1.6, (0.5 if count <= INTERVALS_MOST else 0.36 if panels == 1 else 0.31) * count)
    return 5.4 if panels == 1 else 4.2


def layout(table: Table) -> Layout:
    """Two matrices beside each other, and the scale at the right of each line of them."""
    units, panels = units_of(table), panels_of(matrix_rows(table))
    side, across = side_inch(len(units), len(panels)), min(2, len(panels))
    room = BRACKET_INCH * len(partitions(units)) + 0.45
    down = -(-len(panels) // across)
    return Layout(
        heights=(side,) * down,
        widths=(*(side,) * across, 0.16),
        left=room + 0.15,
        right=1.15,
        top=room + 0.25,
        bottom=0.3,
        row_gap=room + 0.45,
        column_gap=room + 0.15,
    )


def is_partial(table: Table) -> bool:
    """Whether a panel lacks a pair."""
    rows, count = matrix_rows(table), len(units_of(table))
    whole = count * (count - 1) / 2 + (0 if scope_of(table.pairs) == "pair" else count)
    sets = [{(r["a"], r["b"]) for r in rows if (r["held"], r["arm"]) == panel} for panel in panels_of(rows)]
    return min(len(one) for one in sets) < whole


def legend(table: Table, scale: Scale) -> list[Any]:
    """What a square may look like besides its colour."""
    out: list[Any] = []
    if is_partial(table):
        out.append(Patch(facecolor=UNSEEN, edgecolor=canvas.GREY, linewidth=0.3, label="pair not visited"))
    if scale is RESIDUAL:
        out.append(Patch(facecolor="white", edgecolor="black", linewidth=1.2, label="surely more than 10\u00a0% off"))
    if len(units_of(table)) > INTERVALS_MOST:
        dot = Line2D([], [], linestyle="none", marker="o", color=canvas.GREY, markersize=2.5)
        dot.set_label("interval reaches beyond ±20\u00a0%, or there is none")
        out.append(dot)
    return out


def draw(table: Table, axes: Any, scale: Scale) -> None:
    """All panels, and the scale beside the first line of them."""
    units, rows = units_of(table), matrix_rows(table)
    spare = [axis for line in axes for axis in line[:-1]]
    for axis, panel in zip(spare, panels_of(rows)):
        mine = [row for row in rows if (row["held"], row["arm"]) == panel and row[scale.column] is not None]
        matrix_draw(axis, units, mine, scale)
        axis.set_title(panel_title(panel), pad=BRACKET_INCH * 72 * len(partitions(units)) + 20)
    canvas.panels_spare(spare, len(panels_of(rows)))
    scale_draw(axes[0, -1], scale)
    canvas.panels_spare([line[-1] for line in axes], 1)


def matrix_draw(axis: Any, units: Sequence[Unit], rows: Sequence[Row], scale: Scale) -> None:
    """One matrix: both halves, the diagonal of single CPUs left white."""
    place = {unit.index: i for i, unit in enumerate(units)}
    best: dict[tuple[int, int], Row] = {}
    for row in sorted(rows, key=lambda row: row["samples"]):  # of a pair in several cells the one with most rounds
        if row["a"] in place and row["b"] in place:
            one, other = sorted((place[int(row["a"])], place[int(row["b"])]))
            best[(one, other)] = row
    axis.set_facecolor(UNSEEN)
    squares = np.full((len(units), len(units)), -1)
    for (x, y), row in best.items():
        squares[x, y] = squares[y, x] = scale.step(row[scale.column])
    squares_draw(axis, squares, scale)
    both = {at: row for (x, y), row in best.items() for at in ((x, y), (y, x))}
    if len(units) <= FIGURES_MOST:
        for at, row in both.items():
            figure_draw(axis, at, row, scale, len(units))
    if len(units) > INTERVALS_MOST:
        dots_draw(axis, [(at, row) for at, row in both.items() if is_wide(row, scale.column)], scale, len(units))
    frames = [(*at, 1) for at, row in both.items() if scale is RESIDUAL and is_off(row)]
    if frames:
        wide = 1.2 if len(units) <= EDGES_MOST else 0.3
        axis.add_patch(squares_path(frames, fill=False, edgecolor="black", linewidth=wide, zorder=4))
    if rows and rows[0]["scope"] == "pair":
        axis.add_patch(squares_path([(i, i, 1) for i in range(len(units))], facecolor="white", linewidth=0))
    axis_draw(axis, units)


def squares_draw(axis: Any, squares: np.ndarray, scale: Scale) -> None:
    """The squares of each shade as one path, those beside each other as one stretch."""
    count = len(squares)
    lines = count <= EDGES_MOST
    stretches: dict[int, list[tuple[int, int, int]]] = {}
    for y, line in enumerate(squares):
        cuts = [0, *(x for x in range(1, count) if lines or line[x] != line[x - 1]), count]
        for x, end in zip(cuts, cuts[1:]):
            if line[x] >= 0:
                stretches.setdefault(int(line[x]), []).append((x, y, end - x))
    for step, found in stretches.items():
        colour = scale.colour(step)
        look = {"edgecolor": "white", "linewidth": 0.6} if lines else {"edgecolor": colour, "linewidth": 0.25}
        axis.add_patch(squares_path(found, facecolor=colour, **look))


def squares_path(stretches: Sequence[tuple[int, int, int]], **look: Any) -> PathPatch:
    """Squares in a row (x, y, how many), as one path."""
    corners, codes = [], []
    for x, y, wide in stretches:
        left, right, top, bottom = x - 0.5, x + wide - 0.5, y - 0.5, y + 0.5
        corners += [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return PathPatch(Path(corners, codes), **look)


def is_wide(row: Row, column: str) -> bool:
    """Whether a figure's interval reaches beyond a factor of WIDE, or is not known."""
    low, high = row[column + "_low"], row[column + "_high"]
    return low is None or high is None or high > WIDE * row[column] or low < row[column] / WIDE


def is_off(row: Row) -> bool:
    """Whether a residual surely differs from 1 by more than OFF."""
    if row["scope"] == "pair":
        return bool(row["off"])
    low, high = row["residual_low"], row["residual_high"]
    return low is not None and high is not None and (low > OFF or high < 1 / OFF)


def shade_of(row: Row, scale: Scale) -> str:
    """Black or white, on the square of this row."""
    return canvas.ink(scale.colour(scale.step(row[scale.column])))


def figure_draw(axis: Any, at: tuple[int, int], row: Row, scale: Scale, count: int) -> None:
    """The figure of a square, and its interval where there is room."""
    small = count <= INTERVALS_MOST and row[scale.column + "_low"] is not None
    text = {"ha": "center", "va": "center", "color": shade_of(row, scale), "textcoords": "offset points"}
    axis.annotate(digits(row[scale.column]), at, xytext=(0, 3.5 if small else 0), fontsize=canvas.FONT - 2, **text)
    if small:
        ends = "–".join(digits(end) for end in canvas.ends_of(row, scale.column))
        axis.annotate(ends, at, xytext=(0, -4.5), fontsize=canvas.FONT - 4.2, **text)


def dots_draw(axis: Any, found: Sequence[tuple[tuple[int, int], Row]], scale: Scale, count: int) -> None:
    """A dot in each of these squares: in a corner where figures stand in them."""
    aside = 0.36 if count <= FIGURES_MOST else 0.0
    for shade in ("black", "white"):
        mine = [at for at, row in found if shade_of(row, scale) == shade]
        if mine:
            x, y = zip(*((x + aside, y - aside) for x, y in mine))
            size = min(2.2, 90 / count)
            axis.plot(x, y, linestyle="none", marker="o", markersize=size, color=shade, markeredgewidth=0)


def axis_draw(axis: Any, units: Sequence[Unit]) -> None:
    """Numbers of the lines at the left and above, thinned so that they keep apart, and the brackets of the tree."""
    count = len(units)
    axis.set_xlim(-0.5, count - 0.5)
    axis.set_ylim(count - 0.5, -0.5)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    height = axis.get_position().height * axis.figure.get_figheight()
    labels = [str(unit.index) for unit in units]
    step = next(s for s in (1, 2, 4, 8, 16, 32, 64, 128) if s * height / count >= LABELS_INCH)
    across = max(canvas.widest(labels, canvas.FONT - 2) + 0.05, LABELS_INCH)
    step_x = next(s for s in (1, 2, 4, 8, 16, 32, 64, 128, 256) if s * height / count >= across)
    axis.set_yticks(range(0, count, step), labels=labels[::step])
    axis.set_xticks(range(0, count, step_x), labels=labels[::step_x])
    axis.tick_params(length=1.5, pad=1, labelsize=canvas.FONT - 2, top=True, bottom=False, labeltop=True)
    axis.tick_params(labelbottom=False)
    brackets_draw(axis, units, height)


def brackets_draw(axis: Any, units: Sequence[Unit], inches: float) -> None:
    """The tree at both sides: the largest groups outermost, with their numbers where there is room."""
    levels, count = partitions(units), len(units)
    far = 0.34 / inches
    for place, (title, groups) in enumerate(reversed(levels)):
        at = -(far + place * BRACKET_INCH / inches)
        least = min(end + 0.84 - start for start, end, _ in groups) * inches / count
        forms = ([f"{title} {number}" for _, _, number in groups], [number for _, _, number in groups])
        fits = next((form for form in forms if canvas.widest(form, canvas.FONT - 2) < least), [""] * len(groups))
        for (start, end, _), text in zip(groups, fits):
            low, high = 1 - (end + 0.92) / count, 1 - (start + 0.08) / count
            line = {"color": "black", "linewidth": 0.9, "clip_on": False, "transform": axis.transAxes}
            inner = at + 0.04 / inches
            axis.plot([inner, at, at, inner], [low, low, high, high], **line)
            axis.plot([1 - low, 1 - low, 1 - high, 1 - high], [1 - inner, 1 - at, 1 - at, 1 - inner], **line)
            kind = {"fontsize": canvas.FONT - 2, "transform": axis.transAxes}
            if text:
                axis.text(at - 0.03 / inches, (low + high) / 2, text, rotation=90, ha="right", va="center", **kind)
                axis.text(1 - (low + high) / 2, 1 - at + 0.02 / inches, text, ha="center", va="bottom", **kind)
        if fits is not forms[0]:  # no room for the level's name at each group: it stands once, beside the upper bracket
            axis.text(1.01, 1 - at, title, ha="left", va="center", fontsize=canvas.FONT - 2, transform=axis.transAxes)


def scale_draw(axis: Any, scale: Scale) -> None:
    """The scale of colours, its steps as they are used, with its words."""
    edges = np.geomspace(scale.low, scale.high, scale.steps + 1)
    colours = [scale.colour(step) for step in range(scale.steps)]
    axis.barh(edges[:-1], 1, height=np.diff(edges) * 1.2, align="edge", color=colours, linewidth=0)
    axis.set_yscale("log")
    if scale is TIME:
        canvas.log_ticks(axis.yaxis, time_tick, (1.0, 3.0), 12)
    else:
        ticks = (0.5, 0.67, 0.8, 1 / OFF, 1, OFF, 1.25, 1.5, 2.0)
        axis.set_yticks(ticks, labels=[f"{value:.3g}×" for value in ticks])
        axis.minorticks_off()
    axis.set_ylim(scale.low, scale.high)
    axis.set_xlim(0, 1)
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.set_ylabel(scale.words)
    axis.grid(False)
    axis.spines[:].set_visible(False)
