# SPDX-License-Identifier: MIT
"""How many times the operations of one worker several workers do, beside the ideal line; with the edges of what the
CPUs belong to, where the workers were put on them in an order of the machine's tree."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from faultline import canvas, topology
from faultline.canvas import Layout
from faultline.tables import Row, Table

name = "scaling"
title = "speed-up by number of workers, beside the ideal line"
scope = "scenario"

PANEL = (3.4, 3.0)  # width, height, inches
SINGLE = 5.4  # width of a panel that is alone


def measured(table: Table) -> list[Row]:
    """The rows that have a speed-up."""
    return [row for row in table.cells if row.get("speedup") is not None]


def applies(table: Table) -> bool:
    """Whether several workers were measured beside one."""
    return bool(measured(table))


def kind(row: Row) -> str:
    """What a row's crowd is like, beside its number: the panel it belongs to."""
    return canvas.held_of(row["cell"], "workers")


def kinds(table: Table) -> list[str]:
    """The panels, in the table's order."""
    return list(dict.fromkeys(kind(row) for row in measured(table)))


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"95\u00a0% intervals{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """Panels side by side, on the same scales."""
    count = len(kinds(table))
    columns = min(count, canvas.COLUMNS)
    return Layout(
        heights=(PANEL[1],) * -(-count // columns),
        widths=(PANEL[0] if count > 1 else SINGLE,) * columns,
        left=0.75,
        right=0.35,
        top=0.35,
        bottom=0.55,
        row_gap=0.85,
        column_gap=0.35,
        share_y=True,
    )


def legend(table: Table) -> list[Any]:
    """The arms, and the ideal."""
    arms = [canvas.legend_entry(arm, index, "-") for arm, index in canvas.arms_of(measured(table)).items()]
    return arms + [Line2D([], [], color=canvas.GREY, linestyle="--", label="ideal: as many times as workers")]


def draw(table: Table, axes: Any) -> None:
    """A line an arm through 1 at one worker."""
    panels = list(axes.flat)
    most = int(max(row["workers"] for row in measured(table)))
    for panel, one in zip(panels, kinds(table)):
        panel.plot([1, most], [1, most], color=canvas.GREY, linestyle="--", linewidth=1, zorder=1)
        lines_draw(panel, [row for row in measured(table) if kind(row) == one])
        scales_set(panel, table, most)
        edges_draw(panel, table, [row for row in measured(table) if kind(row) == one])
        panel.set_title(one)
    canvas.panels_spare(panels, len(kinds(table)))
    for row in axes:
        row[0].set_ylabel("operations a second ÷ those of one worker")


def lines_draw(panel: Any, rows: list[Row]) -> None:
    """The arms of one panel, each a little aside so that their intervals can be told apart."""
    arms = canvas.arms_of(rows)
    for place, (arm, index) in enumerate(arms.items()):
        mine = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["workers"])
        aside = 1 + 0.015 * (place - (len(arms) - 1) / 2)
        x = [1.0] + [row["workers"] * aside for row in mine]
        y = [1.0] + [row["speedup"] for row in mine]
        sides = [(0.0, 0.0)] + [canvas.error_bars(panel, row, "speedup") for row in mine]
        panel.errorbar(
            x, y, yerr=list(zip(*sides)), capsize=2.5, markersize=4.5, linewidth=1.2, zorder=3, **canvas.style(index)
        )


def edges_of(table: Table, rows: list[Row]) -> dict[int, str]:
    """The numbers of workers at which the CPUs taken come to an edge, with its words; {} where their order is not
    known."""
    orders = [str(row.get("cpus") or "").split() for row in rows]
    order = [int(cpu) for cpu in max(orders, key=len, default=[])]
    groups = {(int(row["cpu"]), level): row[level] for row in table.cpus for level in topology.LEVELS}
    if len(order) < 2 or not all((cpu, "core") in groups for cpu in order):
        return {}
    sizes: dict[str, dict[float, int]] = {level: {} for level in topology.LEVELS}
    for (_, level), group in groups.items():
        sizes[level][group] = sizes[level].get(group, 0) + 1
    spread = any(row.get("place") == "spread" for row in rows)
    return topology.boundaries(order, lambda cpu, level: groups[(cpu, level)], sizes, spread)


def edges_draw(panel: Any, table: Table, rows: list[Row]) -> None:
    """A line at each edge, its words along it: above the curves at the left, below them at the right."""
    most = max(row["workers"] for row in measured(table))
    for at, words in edges_of(table, rows).items():
        panel.axvline(at, color="black", linewidth=0.8, linestyle=":", zorder=1)
        y, side = (0.98, "top") if at * at <= most else (0.02, "bottom")
        kind: dict[str, Any] = {"rotation": 90, "ha": "right", "va": side, "fontsize": canvas.FONT - 2, "zorder": 4}
        kind |= {"xycoords": ("data", "axes fraction"), "xytext": (-1.5, 0), "textcoords": "offset points"}
        panel.annotate(words, (at, y), **kind)


def scales_set(panel: Any, table: Table, most: int) -> None:
    """Both axes logarithmic with base 2, ticks at the numbers of workers."""
    ticks = sorted({1} | {int(row["workers"]) for row in measured(table)})
    low = min([1.0] + [row["speedup_low"] or row["speedup"] for row in measured(table)])
    high = max([float(most)] + [row["speedup_high"] or row["speedup"] for row in measured(table)])
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    panel.set_xlim(0.92, most * 1.1)
    panel.set_ylim(low / 1.12, high * 1.12)
    panel.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    panel.minorticks_off()
    levels = [level for level in (0.03125, 0.0625, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8, 16, 32, 64, 128, 256)]
    panel.set_yticks([level for level in levels if low / 1.12 <= level <= high * 1.12])
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("workers")
