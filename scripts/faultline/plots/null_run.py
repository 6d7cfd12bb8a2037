# SPDX-License-Identifier: MIT
"""The run chart of the null arm: what two identical arms differed by, trial after trial."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table

name = "null_run"
title = "what two identical arms differed by, in the order of the trials"
scope = "run"

LINEAR = (
    3.0  # of δ: up to here the scale is linear and always shown, so that a quiet run looks quiet; beyond, logarithmic
)
SCENARIOS_MOST = 12  # named one by one
TICKS = (1, 2, 3, 10, 30, 100, 300, 1000, 10000, 100000)


def shown(table: Table) -> list[Row]:
    """The null arms' trials, in the order in which they were started."""
    return [row for row in table.trials if row["role"] == "null" and row["ratio"] is not None]


def applies(table: Table) -> bool:
    """Whether there are at least two."""
    return len(shown(table)) >= 2


def heading(table: Table) -> str:
    """What the figure shows."""
    return "Two identical arms (null arm ÷ baseline) trial after trial: what this machine does to equal work"


def layout(table: Table) -> Layout:
    """One wide panel."""
    return Layout(heights=(2.9,), widths=(7.4,), left=1.0, right=0.35)


def groups(table: Table) -> dict[str, int]:
    """Scenarios with their index; families of scenarios where there are many."""
    scenarios = dict.fromkeys(row["scenario"] for row in shown(table))
    few = len(scenarios) <= SCENARIOS_MOST
    return {name: i for i, name in enumerate(scenarios if few else dict.fromkeys(map(family, scenarios)))}


def family(scenario: str) -> str:
    """ "cow" of "cow/break"."""
    return scenario.partition("/")[0]


def legend(table: Table) -> list[Any]:
    """The scenarios, the margin."""
    out: list[Any] = [canvas.legend_entry(name, i) for name, i in groups(table).items()]
    deltas = sorted({row["delta"] for row in shown(table)})
    out.append(Patch(color=canvas.BAND, label=f"within δ = {100 * deltas[0]:g} %" if len(deltas) == 1 else "within δ"))
    if any(outside(row) for row in shown(table)):
        out.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markerfacecolor="white",
                color=canvas.GREY,
                markersize=5,
                label="hollow: beyond δ in this trial",
            )
        )
    return out


def outside(row: Row) -> bool:
    """Whether this trial's null ratio lies beyond δ."""
    return not 1 / (1 + row["delta"]) <= row["ratio"] <= 1 + row["delta"]


def draw(table: Table, axes: Any) -> None:
    """Percent, linear about 0 and logarithmic beyond, so that every trial is shown at its place."""
    axis, rows = axes[0, 0], shown(table)
    delta = max(row["delta"] for row in rows)
    changes = [100 * (row["ratio"] - 1) for row in rows]
    straight = 100 * delta * LINEAR
    reach = max(straight, 1.25 * max(abs(c) for c in changes))
    axis.axhspan(-100 * delta / (1 + delta), 100 * delta, color=canvas.BAND, linewidth=0)
    axis.axhline(0, color="black", linewidth=0.8)
    for name, index in groups(table).items():
        mine = [row for row in rows if name in (row["scenario"], family(row["scenario"]))]
        points_draw(axis, mine, canvas.style(index))
    axis.set_yscale("symlog", linthresh=straight, linscale=2)
    low = min(reach, max(straight, -1.25 * min(changes), 0.0))
    axis.set_ylim(-low, reach)
    axis.set_xlim(min(r["sequence"] for r in rows) - 1, max(r["sequence"] for r in rows) + 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    steps = [100 * delta * t for t in TICKS]
    ticks = [*(-step for step in steps if step <= low), 0.0, *(step for step in steps if step <= reach)]
    axis.yaxis.set_major_locator(FixedLocator(ticks))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+g} %" if v else "0"))
    axis.set_xlabel("record of the run, in the order in which they were started")
    axis.set_ylabel("null arm against baseline")


def points_draw(axis: Any, rows: Sequence[Row], kind: dict[str, Any]) -> None:
    """The trials of one scenario: filled within δ, hollow beyond it."""
    for hollow in (False, True):
        some = [r for r in rows if outside(r) == hollow]
        axis.plot(
            [r["sequence"] for r in some],
            [100 * (r["ratio"] - 1) for r in some],
            linestyle="none",
            markersize=4,
            color=kind["color"],
            marker=kind["marker"],
            markerfacecolor="white" if hollow else kind["color"],
        )
