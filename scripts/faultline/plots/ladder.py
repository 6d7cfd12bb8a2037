# SPDX-License-Identifier: MIT
"""The ladder of distance classes: every round, on a logarithmic axis, by how often a time occurred: modes are seen."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from faultline import canvas, cpu_grid
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten, time

name = "ladder"
title = "every round by what the two CPUs share, a rung a class"
scope = "scenario"

RUNG_INCH = 0.3
LEAST = 0.1  # of a rung's height: what a single round has, so that it is seen
CLASS_MOST, NOTE_MOST = 34, 44  # characters


def rungs(table: Table) -> list[Row]:
    """The classes' rows, null arms left out."""
    return [row for row in table.pairs if row["scope"] == "class" and row["role"] != "null"]


def applies(table: Table) -> bool:
    """Whether pairs of CPUs were visited."""
    return bool(rungs(table))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    what = "all rounds, by how often a time occurred; line: median with 95\u00a0% interval"
    return canvas.headline(table, what + left_out(table) + cpu_grid.origin(table))


def panels(table: Table) -> list[str]:
    """What is held in each panel, at most PANELS_MOST."""
    return list(dict.fromkeys(str(row["held"]) for row in rungs(table)))[: cpu_grid.PANELS_MOST]


def gnuplot_settings(table: Table) -> list[dict[str, str]]:
    """A picture of gnuplot's a panel."""
    return [{"held": held} for held in panels(table)]


def left_out(table: Table) -> str:
    """How many panels are not drawn; "" for none."""
    count = len({row["held"] for row in rungs(table)})
    return f"; the first {cpu_grid.PANELS_MOST} of {count}" if count > cpu_grid.PANELS_MOST else ""


def rungs_of(table: Table, held: str) -> list[Row]:
    """The rungs of a panel, class by class from the nearest on, arm by arm."""
    mine = [row for row in rungs(table) if row["held"] == held]
    order = list(dict.fromkeys(map(step_of, mine)))
    return sorted(mine, key=lambda row: (order.index(step_of(row)), row["arm_index"]))


def step_of(row: Row) -> tuple[str, str]:
    """What a rung is, apart from its arm: cells that differ in their place may visit the same class."""
    return str(row["class"]), str(row["cell"])


def labels_of(table: Table) -> list[str]:
    """The labels at the left, for their width."""
    return [class_label(row) for row in rungs(table)]


def class_label(row: Row) -> str:
    """ "l3, 16 pairs"."""
    count = f"{row['pairs']:.0f} pair{'s' * (row['pairs'] != 1)}"
    return shorten(f"{row['class']}, {count}", CLASS_MOST)


def note(row: Row) -> str:
    """What stands at the right of a rung: its median, whether its pairs are alike, how many modes it has."""
    parts = [time(row["ns_per_op"])]
    parts += ["not uniform"] if row["uniform"] == 0 else []
    parts += [f"{row['mode_count']:.0f} modes"] if row["mode_count"] > 1 else []
    parts += ["one trial"] if row["interval_of"] == "rounds" else []
    return shorten(" · ".join(parts), NOTE_MOST)


def layout(table: Table) -> Layout:
    """A rung a class and arm, panels below each other on one scale."""
    heights = tuple(max(RUNG_INCH * (len(rungs_of(table, held)) + 0.5), 0.5) for held in panels(table))
    return Layout(
        heights=heights,
        widths=(5.2,),
        left=max(canvas.widest(labels_of(table)) + 0.3, 0.9),
        right=canvas.widest([note(row) for row in rungs(table)]) + 0.25,
        top=0.3,
        bottom=0.55,
        row_gap=0.8,
        share_x="all",
    )


def colour(index: float) -> str:
    """The colour of the arm with this index."""
    return canvas.COLOURS[int(index) % len(canvas.COLOURS)]


def legend(table: Table) -> list[Any]:
    """The arms as areas, and the estimate."""
    arms = canvas.arms_of(rungs(table))
    areas: list[Any] = [Patch(color=colour(i), label=shorten(a, canvas.NAME_MOST)) for a, i in arms.items()]
    return [*areas, Line2D([], [], color="black", marker="|", markersize=6, linewidth=1.3, label="median, interval")]


def draw(table: Table, axes: Any) -> None:
    """The nearest class on top."""
    values = [end for row in rungs(table) for end in (row["least"], row["most"])]
    for axis, held in zip(axes[:, 0], panels(table)):
        mine = rungs_of(table, held)
        for y, row in enumerate(mine):
            rung_draw(axis, table, row, y)
        labels_draw(axis, mine)
        canvas.log_times(axis.xaxis, values, 1.1)
        axis.set_ylim(len(mine) - 0.35, -0.85)
        axis.set_title(shorten(held, 80))
        axis.tick_params(labelbottom=True)
    axes[-1, 0].set_xlabel(f"time per {canvas.op_label(table.cells[0])} (logarithmic)")


def labels_draw(axis: Any, rows: Sequence[Row]) -> None:
    """A class beside the middle of its arms' rungs, and a line between classes."""
    steps = [step_of(row) for row in rows]
    ticks = []
    for step in dict.fromkeys(steps):
        places = [y for y, one in enumerate(steps) if one == step]
        ticks.append((sum(places) / len(places) - 0.3, class_label(rows[places[0]])))
        axis.axhline(places[-1] + 0.15, color="#E4E4E4", linewidth=0.6)
    axis.set_yticks([y for y, _ in ticks], labels=[label for _, label in ticks])
    axis.tick_params(axis="y", length=0)
    axis.grid(False, axis="y")


def rung_draw(axis: Any, table: Table, row: Row, y: int) -> None:
    """How often each time occurred, as a height; below it the median with its interval."""
    keys = ("cell", "arm", "class")
    bins = [one for one in table.ladder if all(one[key] == row[key] for key in keys)]
    most = max(one["share"] for one in bins)
    x: list[float] = []
    heights: list[float] = []
    for one in bins:
        height = 0.75 * (LEAST + (1 - LEAST) * one["share"] / most)
        x += [one["ns_low"], one["ns_low"], one["ns_high"], one["ns_high"]]
        heights += [0, height, height, 0]
    axis.fill_between(x, [y] * len(x), [y - height for height in heights], color=colour(row["arm_index"]), linewidth=0)
    low, high = canvas.ends_of(row, "ns_per_op")
    axis.plot([low, high], [y + 0.06] * 2, color="black", linewidth=1.6, solid_capstyle="butt", zorder=3)
    axis.plot(row["ns_per_op"], y + 0.06, color="black", marker="|", markersize=6, zorder=4)
    kind: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (6, 0), "textcoords": "offset points"}
    kind |= {"va": "center", "fontsize": canvas.FONT - 1, "annotation_clip": False}
    axis.annotate(note(row), (1, y - 0.3), **kind)
