# SPDX-License-Identifier: MIT
"""The break-even of copying on write: time of a snapshot against the share of its pages that are written, one line a
method, and the share from which on copying everything is the cheaper one."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import percent, shorten

name = "break_even"
title = "time of a snapshot against the share of its pages written, with the break-even of copying everything"
scope = "scenario"

AXIS = "written_share"
HEIGHT_INCH, LABEL_INCH = 3.2, 0.14  # of a panel; of the line of a crossing's label above it
LABEL_LINES = 3


def shown(table: Table) -> list[Row]:
    """The rows with a time and a share, null arms left out."""
    return [r for r in table.cells if r["axis"] == AXIS and r["axis_value"] and r["ns_per_op"] and r["role"] != "null"]


def groups(table: Table) -> list[str]:
    """The combinations of what is held while the share runs."""
    return list(dict.fromkeys(row["held"] for row in shown(table)))


def crossings(table: Table, held: str | None = None) -> list[Row]:
    """The crossings along the share, from the smallest on; of one group or of all."""
    found = [c for c in table.crossings if c["axis"] == AXIS and c["at"] is not None and held in (None, c["held"])]
    return sorted(found, key=lambda c: c["at"])


def applies(table: Table) -> bool:
    """Whether the share of written pages is the axis, with at least three measured values."""
    return len({row["axis_value"] for row in shown(table)}) >= 3


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return canvas.headline(table, f"95\u00a0% intervals{canvas.conditions(table)}")


def layout(table: Table) -> Layout:
    """A panel a group, all on the same scales; room above each for the labels of crossings."""
    count = len(groups(table))
    across = canvas.columns(count)
    lines = min(LABEL_LINES, max(len(crossings(table, held)) for held in groups(table)))
    return Layout(
        heights=(HEIGHT_INCH,) * -(-count // across),
        widths=(6.2 if across == 1 else 4.4 if across == 2 else 3.8,) * across,
        left=0.85,
        top=0.1 + LABEL_INCH * lines + (0.2 if count > 1 else 0),
        row_gap=0.6 + LABEL_INCH * lines,
        column_gap=0.3,
        share_y=True,
    )


def legend(table: Table) -> list[Any]:
    """The methods, and what a vertical band is."""
    out: list[Any] = [canvas.legend_entry(arm, index, line="-") for arm, index in canvas.arms_of(shown(table)).items()]
    if crossings(table):
        baseline = next(str(row["arm"]) for row in table.cells if row["role"] == "baseline")
        out.append(Patch(color=canvas.GREY, alpha=0.35, label=f"break-even with {shorten(baseline, 24)}, interval"))
    return out


def draw(table: Table, axes: Any) -> None:
    """Each group into its panel; the share on a logarithmic axis, and the time too."""
    panels, rows = list(axes.flat), shown(table)
    for panel, held in zip(panels, groups(table)):
        group_draw(table, held, panel)
    canvas.panels_spare(panels, len(groups(table)))
    canvas.log_times(panels[0].yaxis, [end for row in rows for end in canvas.ends_of(row, "ns_per_op")])
    for row in axes:
        row[0].set_ylabel(f"time per {canvas.op_label(rows[0])} (logarithmic)")


def group_draw(table: Table, held: str, panel: Any) -> None:
    """The lines of one group and the crossings among them."""
    rows = [row for row in shown(table) if row["held"] == held]
    shares = sorted({row["axis_value"] for row in rows})
    for arm, index in canvas.arms_of(rows).items():
        canvas.curve(panel, [row for row in rows if row["arm"] == arm], "axis_value", "ns_per_op", index, shares)
    panel.set_xscale("log")
    panel.set_xticks(shares, labels=[percent(share) for share in shares])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("share of the pages written (logarithmic)")
    if held:
        panel.annotate(
            held, (0, 0), xycoords="axes fraction", xytext=(4, 4), textcoords="offset points", color=canvas.GREY
        )
    crossings_draw(panel, crossings(table, held), canvas.arms_of(table.cells))


def crossings_draw(panel: Any, found: Sequence[Row], indices: dict[str, int]) -> None:
    """Each crossing as a band and a line, its share above the panel, labels stepped so that they keep apart."""
    for step, row in enumerate(found):
        colour = canvas.style(indices[row["arm"]])["color"]
        label = percent(row["at"])
        if row["low"] is not None and row["high"] is not None:
            panel.axvspan(row["low"], row["high"], color=colour, alpha=0.25, linewidth=0)
            label += f" [{percent(row['low'])}, {percent(row['high'])}]"
        panel.axvline(row["at"], color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
        panel.annotate(
            label,
            (row["at"], 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + 72 * LABEL_INCH * (step % LABEL_LINES)),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=colour,
            fontsize=canvas.FONT - 0.5,
        )
