# SPDX-License-Identifier: MIT
"""The map of the machine: its packages, nodes, caches and cores as boxes in each other, every CPU coloured by what was
measured on its pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

from matplotlib.patches import Patch, Rectangle

from faultline import canvas, cpu_grid
from faultline.canvas import Layout
from faultline.cpu_grid import RESIDUAL, TIME, Scale
from faultline.tables import Row, Table
from faultline.text import digits
from faultline.topology import LEVELS, TITLES

name = "machine"
title = "map of the machine, every CPU by the median time of its pairs"
scope = "scenario"

LEAVES = ((16, 0.5), (64, 0.34), (128, 0.26), (10**9, 0.14))  # CPUs up to which one has this side, inches
NUMBER_INCH, FIGURE_INCH = 0.24, 0.45  # side from which a CPU has its number, and its figure
GAP, TITLE = 0.05, 0.15  # about boxes, and for the name of a group, inches
SHAPE = 1.4  # width ÷ height that a group's boxes are laid out for
GREYS = dict(zip(LEVELS, ("#FFFFFF", "#F2F2F2", "#EAEAEA", "#E0E0E0", "#D6D6D6", "#CCCCCC")))  # darker inwards


@dataclass
class Box:
    """A group or a CPU: its size and its place within its parent, inches, from the upper left corner."""

    level: str
    words: str
    cpu: int | None
    children: list["Box"]
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0


def first_rows(table: Table) -> list[Row]:
    """The CPUs' rows of the first arm: the baseline of the first of what is held."""
    rows = [row for row in table.pairs if row["scope"] == "cpu" and row["role"] != "null"]
    first = rows[0] if rows else None
    return [r for r in rows if first is not None and (r["held"], r["arm"], r["cell"]) == panel_of(first)]


def panel_of(row: Row) -> tuple[str, str, str]:
    """What a map is of."""
    return row["held"], row["arm"], row["cell"]


def applies(table: Table) -> bool:
    """Whether pairs of CPUs were visited on a machine whose tree is known."""
    return bool(table.cpus) and bool(first_rows(table))


def by_default(table: Table) -> bool:
    """Whether there are several pairs: of one both CPUs have the same colour."""
    return applies(table) and cpu_grid.has_several_pairs(table)


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    first = first_rows(table)[0]
    what = f"{first['arm']}, {first['cell']}: of each CPU the median over the pairs it was visited in"
    return canvas.headline(table, what + cpu_grid.origin(table))


def scales(table: Table) -> list[Scale]:
    """The maps: times, and what is left of them beside their classes where these have several pairs."""
    several = any(row["scope"] == "class" and row["pairs"] > 1 for row in table.pairs)
    return [TIME, RESIDUAL] if several else [TIME]


def boxes(rows: Sequence[Row], levels: Sequence[str], leaf: float) -> list[Box]:
    """The CPUs in boxes of the first level, these in the next; levels that hold nothing apart are left out."""
    if not levels:
        return [Box("cpu", f"{row['cpu']:.0f}", int(row["cpu"]), [], leaf, leaf) for row in rows]
    level, *rest = levels
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[level], []).append(row)
    if None in groups or all(len(group) == 1 for group in groups.values()):
        return boxes(rows, rest, leaf)
    found = []
    for index, group in groups.items():
        inner = boxes(group, rest, leaf)
        names = f"{TITLES[level]} {index:g}"
        if len(inner) == 1 and inner[0].children:  # the same CPUs: one box with both names
            one = inner[0]
            found.append(placed(Box(level, f"{names}, {one.words}", None, one.children)))
        else:
            found.append(placed(Box(level, names, None, inner)))
    return found


def placed(box: Box) -> Box:
    """The box with its children laid out in lines and its size set; in equally long lines where there are any."""
    count = len(box.children)
    wide, high = max(c.width for c in box.children), max(c.height for c in box.children)
    across = min(range(1, count + 1), key=lambda n: (count % n > 0, unlike(n * wide, -(-count // n) * high)))
    head = TITLE if box.level != "core" else 0.0
    for i, child in enumerate(box.children):
        child.x, child.y = GAP + i % across * (wide + GAP), GAP + head + i // across * (high + GAP)
    words = canvas.text_width(short_words(box), canvas.FONT - 2) + 2 * GAP if head else 0.0
    box.width = max(GAP + across * (wide + GAP), words)
    box.height = GAP + head + -(-count // across) * (high + GAP)
    return box


def short_words(box: Box) -> str:
    """The name that a box is at least wide enough for: of large groups in full, of caches their number."""
    return box.words if box.level in ("package", "numa_node") else box.words.rpartition(" ")[2]


def unlike(width: float, height: float) -> float:
    """How far a shape is from the one that is aimed at."""
    return abs(math.log(width / height / SHAPE))


def whole(table: Table) -> Box:
    """The machine as one box."""
    count = len(table.cpus)
    leaf = next(side for most, side in LEAVES if count <= most)
    ordered = sorted(table.cpus, key=lambda row: row["position"])
    return placed(Box("core", "", None, boxes(ordered, LEVELS, leaf)))


def layout(table: Table) -> Layout:
    """A map below the other, each with its scale."""
    box = whole(table)
    height = max(box.height, 1.5)
    return Layout(
        heights=(height,) * len(scales(table)),
        widths=(max(box.width, 2.4), 0.16),
        left=0.2,
        right=1.15,
        top=0.3,
        bottom=0.25,
        row_gap=0.5,
        column_gap=0.25,
    )


def legend(table: Table) -> list[Any]:
    """What a CPU without colour is, and the frame of one that is off."""
    out: list[Any] = []
    if len(first_rows(table)) < len(table.cpus):
        out.append(Patch(facecolor="white", edgecolor=canvas.GREY, hatch="////", linewidth=0.3, label="not visited"))
    if RESIDUAL in scales(table):
        words = "most of its pairs more than 10\u00a0% off (95\u00a0% interval over pairs)"
        out.append(Patch(facecolor="white", edgecolor="black", linewidth=1.4, label=words))
    return out


def draw(table: Table, axes: Any) -> None:
    """Times above, residuals below."""
    rows = {int(row["a"]): row for row in first_rows(table)}
    for (axis, beside), scale in zip(axes, scales(table)):
        box = whole(table)
        width, height = axis.get_position().width * axis.figure.get_figwidth(), axis.get_position().height
        axis.set_xlim(0, width)
        axis.set_ylim(height * axis.figure.get_figheight(), 0)
        axis.set_axis_off()
        words = "median time" if scale is TIME else "time ÷ median of the pair's class"
        axis.text(0, 1.0, words, transform=axis.transAxes, va="bottom")
        for child in box.children:
            box_draw(axis, child, 0.0, 0.0, rows, scale)
        cpu_grid.scale_draw(beside, scale)


def box_draw(axis: Any, box: Box, x: float, y: float, rows: dict[int, Row], scale: Scale) -> None:
    """A box and those in it."""
    x, y = x + box.x, y + box.y
    if box.cpu is not None:
        cpu_draw(axis, box, (x, y), rows.get(box.cpu), scale)
        return
    look: dict[str, Any] = {"facecolor": GREYS[box.level], "edgecolor": canvas.GREY, "linewidth": 0.5}
    axis.add_patch(Rectangle((x, y), box.width, box.height, **look))
    if box.level != "core":
        names = [box.words, box.words.rpartition(", ")[2], short_words(box)]
        words = next((w for w in names if canvas.text_width(w, canvas.FONT - 2) <= box.width - GAP), "")
        axis.text(x + GAP, y + TITLE / 2 + 0.03, words, va="center", fontsize=canvas.FONT - 2)
    for child in box.children:
        box_draw(axis, child, x, y, rows, scale)


def cpu_draw(axis: Any, box: Box, at: tuple[float, float], row: Row | None, scale: Scale) -> None:
    """A CPU: its colour, its number, its figure and range where there is room, a frame where it is surely off."""
    side = box.width
    value = row[scale.column] if row is not None else None
    colour = scale.colour(scale.step(value)) if value is not None else (1.0, 1.0, 1.0)
    off = scale is RESIDUAL and row is not None and cpu_grid.is_off(row)
    look: dict[str, Any] = {"edgecolor": "black" if off else canvas.GREY, "linewidth": 1.2 if off else 0.3}
    look |= {"hatch": "////"} if value is None else {}
    axis.add_patch(Rectangle(at, side, side, facecolor=colour, zorder=3 if off else 2, **look))
    text: dict[str, Any] = {"ha": "center", "va": "center", "color": canvas.ink(colour), "zorder": 4}
    middle = at[0] + side / 2
    if side >= FIGURE_INCH and value is not None and row is not None:
        unit = "\u00a0ns" if scale is TIME else "×"
        axis.text(middle, at[1] + side * 0.24, box.words, fontsize=canvas.FONT - 1, **text)
        axis.text(middle, at[1] + side * 0.55, digits(value) + unit, fontsize=canvas.FONT - 2.5, **text)
        if row[scale.column + "_low"] is not None:
            ends = "–".join(digits(end) for end in canvas.ends_of(row, scale.column))
            axis.text(middle, at[1] + side * 0.81, ends, fontsize=canvas.FONT - 4, **text)
    elif side >= NUMBER_INCH:
        axis.text(middle, at[1] + side / 2, box.words, fontsize=canvas.FONT - 2.5, **text)
