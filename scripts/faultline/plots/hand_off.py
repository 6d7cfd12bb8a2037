# SPDX-License-Identifier: MIT
"""The ladder of hand-overs: what it costs to hand a payload to another worker, a rung a channel, a marker a size."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D

from faultline import canvas, cpu_grid
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import shorten, size

name = "hand_off"
title = "cost of a hand-over by channel and payload, a rung a channel"
scope = "scenario"

RUNG_INCH = 0.34


def shown(table: Table) -> list[Row]:
    """The measured channels, null arms left out."""
    return [r for r in table.cells if r["method"] == "hand_off" and r["role"] != "null" and r["ns_per_op"] is not None]


def applies(table: Table) -> bool:
    """Whether several channels were measured."""
    return len({row["arm"] for row in shown(table)}) >= 2


def held(row: Row) -> str:
    """What a cell is apart from its payload: the panel it belongs to."""
    return canvas.held_of(row["cell"], "payload_bytes")


def panels(table: Table) -> list[str]:
    """The panels, at most PANELS_MOST."""
    return list(dict.fromkeys(map(held, shown(table))))[: cpu_grid.PANELS_MOST]


def payloads(table: Table) -> list[float]:
    """Sizes of the payload, ascending; 0 where the records do not say."""
    return sorted({row.get("payload_bytes") or 0 for row in shown(table)})


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    count = len(set(map(held, shown(table))))
    rest = f"; the first {cpu_grid.PANELS_MOST} of {count}" if count > cpu_grid.PANELS_MOST else ""
    return canvas.headline(table, f"median with 95\u00a0% interval{rest}")


def layout(table: Table) -> Layout:
    """A rung a channel, panels below each other on one scale."""
    arms = canvas.arms_of(shown(table))
    return Layout(
        heights=(RUNG_INCH * len(arms) + 0.1,) * len(panels(table)),
        widths=(6.0,),
        left=max(canvas.widest([shorten(arm, canvas.NAME_MOST) for arm in arms]) + 0.25, 0.9),
        right=0.35,
        top=0.3,
        bottom=0.55,
        row_gap=0.75,
        share_x="all",
    )


def style(table: Table, payload: float) -> dict[str, Any]:
    """Colour and marker of a payload."""
    return canvas.style(payloads(table).index(payload))


def bytes_text(payload: float) -> str:
    """A size with its unit."""
    return "of unknown size" if not payload else size(payload) if payload >= 1024 else f"{payload:.0f}\u00a0B"


def legend(table: Table) -> list[Any]:
    """The payloads."""
    return [
        Line2D([], [], linestyle="none", markersize=5, label=f"payload {bytes_text(p)}", **style(table, p))
        for p in payloads(table)
    ]


def draw(table: Table, axes: Any) -> None:
    """The arms in the scenario's order, the baseline on top."""
    rows = shown(table)
    arms = canvas.arms_of(rows)
    names = list(arms)
    ends = [end for row in rows for end in canvas.ends_of(row, "ns_per_op")]
    for axis, panel in zip(axes[:, 0], panels(table)):
        mine = [row for row in rows if held(row) == panel]
        for place, payload in enumerate(payloads(table)):
            some = [row for row in mine if (row.get("payload_bytes") or 0) == payload]
            aside = 0.16 * (place - (len(payloads(table)) - 1) / 2)
            sides = [canvas.error_bars(axis, row, "ns_per_op") for row in some]
            axis.errorbar(
                [row["ns_per_op"] for row in some],
                [names.index(row["arm"]) + aside for row in some],
                xerr=list(zip(*sides)) or None,
                linestyle="none",
                markersize=5,
                elinewidth=1.2,
                **style(table, payload),
            )
        canvas.log_times(axis.xaxis, ends)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_yticks(range(len(names)), labels=[shorten(arm, canvas.NAME_MOST) for arm in names])
        axis.tick_params(axis="y", length=0)
        axis.tick_params(labelbottom=True)
        axis.set_title(panel)
    axes[-1, 0].set_xlabel("time per hand-over (logarithmic)")
