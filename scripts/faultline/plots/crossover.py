# SPDX-License-Identifier: MIT
"""The crossover: time of an operation along an axis such as the file's size, the ratio below it, and where arms
cross."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from faultline import canvas
from faultline.canvas import Layout
from faultline.plots import sweep
from faultline.tables import Row, Table
from faultline.text import field, shorten, size_near

name = "crossover"
title = "time and ratio along the axis (file size, block, touches …), with the points where arms cross"
scope = "scenario"

# Axes that a plot of their own shows: break_even, alias_ladder, sweep.
OWN = frozenset(("written_share", "alias_bytes", *sweep.COUNTS))
GROUPS_MOST = 12  # groups drawn; a sweep with more is for the board
TIME_INCH, RATIO_INCH, GAP_INCH = 2.7, 1.5, 0.55  # the gap holds the labels of one pair and the heading of the next


def shown(table: Table) -> list[Row]:
    """The rows with a time and a place on the axis, null arms left out."""
    return [
        row for row in table.cells if row["axis"] and row["axis_value"] and row["ns_per_op"] and row["role"] != "null"
    ]


def groups(table: Table) -> list[str]:
    """The combinations of what is held while the axis runs."""
    return list(dict.fromkeys(row["held"] for row in shown(table)))


def gnuplot_settings(table: Table) -> list[dict[str, str]]:
    """A picture of gnuplot's a group."""
    return [{"held": held} for held in groups(table)]


def applies(table: Table) -> bool:
    """Whether there is an axis with at least three measured values."""
    rows = shown(table)
    values = {row["axis_value"] for row in rows}
    return len(values) >= 3 and len(groups(table)) <= GROUPS_MOST and rows[0]["axis"] not in OWN


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"95\u00a0% intervals{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """A pair of panels a group, a gap between pairs."""
    count = len(groups(table))
    across = canvas.columns(count)
    down = -(-count // across)
    width = 6.2 if across == 1 else 4.6 if across == 2 else 3.9
    heights = ((TIME_INCH, RATIO_INCH, GAP_INCH) * down)[:-1]
    return Layout(
        heights=heights,
        widths=(width,) * across,
        left=0.85,
        right=0.35,
        top=0.3 if count > 1 else 0.15,
        row_gap=0.15,
        column_gap=0.35,
        share_y="row",
    )


def legend(table: Table) -> list[Any]:
    """The arms and what a vertical band is."""
    rows = shown(table)
    out: list[Any] = [canvas.legend_entry(arm, index, line="-") for arm, index in canvas.arms_of(rows).items()]
    if any(c["at"] is not None for c in table.crossings):
        out.append(Patch(color=canvas.GREY, alpha=0.35, label="crossing point, interval"))
    return out


def draw(table: Table, axes: Any) -> None:
    """Each group into its pair of panels."""
    across = axes.shape[1]
    used = set()
    for number, held in enumerate(groups(table)):
        top, column = 3 * (number // across), number % across
        group_draw(table, held, axes[top, column], axes[top + 1, column], first_column=column == 0)
        used |= {(top, column), (top + 1, column)}
    canvas.panels_spare([axes[place] for place in sorted(set(np.ndindex(axes.shape)) - used)], 0)


def group_draw(table: Table, held: str, times: Any, ratios: Any, first_column: bool) -> None:
    """Times above, ratios below, on the same axis."""
    rows = [row for row in shown(table) if row["held"] == held]
    planned = sorted({row["axis_value"] for row in table.cells if row["held"] == held and row["axis_value"]})
    for arm, index in canvas.arms_of(rows).items():
        mine = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["axis_value"])
        canvas.curve(times, mine, "axis_value", "ns_per_op", index, planned)
        compared = [row for row in mine if row["ratio"] is not None]
        canvas.curve(ratios, compared, "axis_value", "ratio", index, planned)
    values = [row["axis_value"] for row in rows]
    for axis in (times, ratios):
        canvas.axis_numbers(axis, rows[0]["axis"], values)
    times.set_xlabel("")
    times.tick_params(axis="x", labelbottom=False)
    canvas.log_times(times.yaxis, [end for row in shown(table) for end in canvas.ends_of(row, "ns_per_op")])
    ratio_scale(ratios, shown(table))
    if first_column:
        times.set_ylabel(f"time per {canvas.op_label(rows[0])}")
        ratios.set_ylabel("÷ baseline")
    if held:
        times.set_title("\n".join(wrapped(held)), color=canvas.GREY)
    crossings_draw([c for c in table.crossings if c["held"] == held and c["at"] is not None], table, times, ratios)


def wrapped(held: str) -> list[str]:
    """What is held, in lines that fit above a panel."""
    return [shorten(part, 46) for part in held.split(",")] if len(held) > 46 else [held]


def ratio_scale(axis: Any, rows: Sequence[Row]) -> None:
    """A logarithmic scale about 1, as wide as the ratios of all groups and never narrower than 1/2× to 2×."""
    found = [row[key] for row in rows for key in ("ratio", "ratio_low", "ratio_high") if row[key]] or [1.0]
    reach = max(2.0, max(found) * 1.15, 1.15 / min(found))
    axis.set_yscale("log", base=2)
    axis.set_ylim(1 / reach, reach)
    axis.yaxis.set_major_locator(LogLocator(base=2 if reach <= 8 else 4 if reach <= 64 else 16))
    axis.yaxis.set_major_formatter(FuncFormatter(canvas.ratio_label))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.axhline(1, color="black", linewidth=0.8)


def crossings_draw(found: Sequence[Row], table: Table, times: Any, ratios: Any) -> None:
    """Each crossing as a band over both panels, named in the lower one, labels stepped so that they keep apart."""
    indices = canvas.arms_of(table.cells)
    for step, row in enumerate(sorted(found, key=lambda r: r["at"])):
        colour = canvas.style(indices[row["arm"]])["color"]
        for axis in (times, ratios):
            if row["low"] is not None and row["high"] is not None:
                axis.axvspan(row["low"], row["high"], color=colour, alpha=0.3, linewidth=0)
            axis.axvline(row["at"], color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
        where = size_near(row["at"]) if row["axis"].endswith("_bytes") else field(row["axis"], round(row["at"], 1))
        ratios.annotate(
            where,
            (row["at"], 0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3 + 10 * (step % 3)),
            textcoords="offset points",
            color=colour,
            fontsize=canvas.FONT - 0.5,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        )
