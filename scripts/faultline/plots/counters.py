# SPDX-License-Identifier: MIT
"""What was counted per operation, by arm; what nobody could count is named."""

from __future__ import annotations

from typing import Any, Sequence

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import count as count_text
from faultline.text import shorten

name = "counters"
title = "counts per operation by arm, with their range, unknown ones named"
scope = "scenario"

END = "_per_op"
NOT_COUNTED = frozenset(("ns", "bytes"))  # what else is told an operation
PANELS_MOST = 4
LINE_INCH = 0.15
ZERO = 2.5  # factor below the least count at which zeros stand


def shown(table: Table) -> list[Row]:
    """The measured arms, null arms left out."""
    return [row for row in table.cells if row["role"] != "null" and row["status"] == "ok"]


def unknown(rows: Sequence[Row]) -> list[str]:
    """Counters that no arm of these knows."""
    names = dict.fromkeys(name for row in rows for name in str(row.get("counts_unknown") or "").split())
    return [name for name in names if all(row.get(name + END) is None for row in rows)]


def counters(rows: Sequence[Row]) -> list[str]:
    """Counters that are above zero in an arm, in the table's order."""
    names = [key[: -len(END)] for key in rows[0] if key.endswith(END)] if rows else []
    return [name for name in names if name not in NOT_COUNTED and any(row[name + END] for row in rows)]


def differing(rows: Sequence[Row]) -> list[str]:
    """Those in which two arms of a cell differ by more than a tenth: what may explain their times."""
    out = []
    for counter in counters(rows):
        for cell in canvas.cells_of(rows):
            known = [r[counter + END] for r in rows if r["cell"] == cell and r[counter + END] is not None]
            if len(known) > 1 and max(known) > 1.1 * min(known):
                out.append(counter)
                break
    return out


def applies(table: Table) -> bool:
    """Whether two arms of a cell differ in at least two counts."""
    return len(differing(shown(table))) >= 2


def cells(table: Table) -> list[str]:
    """The cells that are drawn: the first ones."""
    return canvas.cells_of(shown(table))[:PANELS_MOST]


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    count = len(canvas.cells_of(shown(table)))
    rest = f"; the first {PANELS_MOST} of {count} cells" if count > PANELS_MOST else ""
    lost = unknown(shown(table))
    missing = f"; unknown here: {', '.join(lost)}" if lost else ""
    return canvas.headline(table, f"counts per operation: median over trials, least to most{rest}{missing}")


def height(table: Table) -> float:
    """Of a panel: a line an arm and counter."""
    arms = len(canvas.arms_of(shown(table)))
    return LINE_INCH * (arms + 1) * len(counters(shown(table))) + 0.1


def layout(table: Table) -> Layout:
    """A panel a cell, below each other, on one scale."""
    return Layout(
        heights=(height(table),) * len(cells(table)),
        widths=(5.6,),
        left=max(canvas.widest(counters(shown(table))) + 0.25, 0.9),
        right=0.8,
        top=0.3,
        bottom=0.55,
        row_gap=0.8,
        share_x="all",
    )


def legend(table: Table) -> list[Any]:
    """The arms."""
    return [canvas.legend_entry(arm, index) for arm, index in canvas.arms_of(shown(table)).items()]


def draw(table: Table, axes: Any) -> None:
    """Counters from the top, a line an arm in each; zeros stand at the left edge."""
    rows, names = shown(table), counters(shown(table))
    arms = list(canvas.arms_of(rows))
    drawn = [row for row in rows if row["cell"] in cells(table)]
    values = [v for row in drawn for c in names for v in ends_of(row, c) if v]
    zero = min(values) / ZERO
    for axis, cell in zip(axes[:, 0], cells(table)):
        found = {row["arm"]: row for row in drawn if row["cell"] == cell}
        for place, counter in enumerate(names):
            for line, arm in enumerate(arms):
                if arm in found:
                    point_draw(axis, found[arm], counter, place * (len(arms) + 1) + line, zero)
            axis.axhline(place * (len(arms) + 1) - 1, color="#E4E4E4", linewidth=0.6)
        canvas.log_axis(axis.xaxis, [zero, 3 * max(values)], tick, 1.3)
        axis.set_ylim(len(names) * (len(arms) + 1) - 1, -1)
        middles = [place * (len(arms) + 1) + (len(arms) - 1) / 2 for place in range(len(names))]
        axis.set_yticks(middles, labels=names)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(labelbottom=True)
        axis.grid(False, axis="y")
        axis.set_title(shorten(cell, 80))
    axes[-1, 0].set_xlabel("count per operation (logarithmic; 0 at the left edge)")


def tick(value: float) -> str:
    """A count on the axis."""
    return f"{value:g}" if 1e-4 <= value < 1e5 else f"{value:.0e}"


def ends_of(row: Row, counter: str) -> tuple[float | None, float | None]:
    """Least and most over the trials, the count itself where all agree; None where it is unknown."""
    value = row[counter + END]
    low, high = row.get(f"{counter}{END}_low"), row.get(f"{counter}{END}_high")
    return (value if low is None else low), (value if high is None else high)


def point_draw(axis: Any, row: Row, counter: str, y: float, zero: float) -> None:
    """A count with its range and its figure; "unknown" where it is."""
    value = row[counter + END]
    kind = canvas.style(int(row["arm_index"]))
    if value is None:
        axis.annotate("unknown", (zero, y), va="center", fontsize=canvas.FONT - 2, color=canvas.GREY)
        return
    low, high = (max(end or 0.0, zero) for end in ends_of(row, counter))
    at = max(value, zero)
    axis.plot([low, high], [y, y], color=kind["color"], linewidth=1.4, solid_capstyle="butt")
    face = kind["color"] if value else "white"
    axis.plot(at, y, markersize=4, markerfacecolor=face, linestyle="none", clip_on=False, zorder=3, **kind)
    canvas.figure_write(axis, count_text(value), high, y)
