# SPDX-License-Identifier: MIT
"""Ring by message: how many bytes a second go through a ring of bytes, a panel for each way to deal with its end."""

from __future__ import annotations

from typing import Any

from matplotlib.colors import LogNorm
from matplotlib.patches import Patch

from faultline import canvas
from faultline.canvas import Layout
from faultline.tables import Row, Table
from faultline.text import digits, shorten

name = "ring_map"
title = "bytes a second through a ring, ring by message, a panel an arm"
scope = "scenario"

COLUMNS = 2  # panels beside each other
PANELS_MOST = 12
BOX_INCH = (0.92, 0.42)  # width and height of a box
AXES = ("ring_bytes", "payload_bytes")  # across, down
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

Panel = tuple[str, str]  # (the other varied parameters, the arm)


def shown(table: Table) -> list[Row]:
    """The rows of rings that one worker has for itself, in cells that name ring and message; null arms left out."""
    return [
        row
        for row in table.cells
        if row["method"] == "ring" and row["role"] != "null" and all(key in canvas.varied(row["cell"]) for key in AXES)
    ]


def bytes_of(text: str) -> int:
    """A size as a cell's id spells it: "16KiB" or "1000"."""
    return int(text[:-3]) * UNITS[text[-3:]] if text[-3:] in UNITS else int(text)


def sizes(table: Table, key: str) -> list[str]:
    """The values of `ring_bytes` or `payload_bytes`, ascending, as the cells spell them."""
    return sorted({canvas.varied(row["cell"])[key] for row in shown(table)}, key=bytes_of)


def applies(table: Table) -> bool:
    """Whether there is a speed for at least two rings or messages in a row and a column each."""
    timed = {row["cell"] for row in shown(table) if row["ns_per_op"] is not None}
    return len(timed) >= 2 and min(len(sizes(table, key)) for key in AXES) >= 2


def panel_of(row: Row) -> Panel:
    """The panel that a row belongs to."""
    held = canvas.varied(row["cell"])
    return " · ".join(value for key, value in held.items() if key not in AXES), str(row["arm"])


def panels(table: Table) -> list[Panel]:
    """The panels, those of equal conditions behind each other; at most PANELS_MOST."""
    found = list(dict.fromkeys(map(panel_of, shown(table))))
    conditions = list(dict.fromkeys(held for held, _ in found))
    return sorted(found, key=lambda panel: conditions.index(panel[0]))[:PANELS_MOST]


def speed(row: Row, column: str = "ns_per_op") -> float | None:
    """Bytes of messages per ns, which are GB/s; None without a time."""
    value = row[column]
    return None if value is None else bytes_of(canvas.varied(row["cell"])["payload_bytes"]) / value


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    count = len(set(map(panel_of, shown(table))))
    rest = f"; the first {PANELS_MOST} of {count} panels" if count > PANELS_MOST else ""
    return canvas.headline(table, f"GB/s of messages with 95\u00a0% interval{rest}")


def layout(table: Table) -> Layout:
    """A box a ring and message, panels in two columns, and the scale of colours beside the first row."""
    across, down = (sizes(table, key) for key in AXES)
    shape = min(COLUMNS, len(panels(table)))
    rows = -(-len(panels(table)) // shape)
    return Layout(
        heights=(max(BOX_INCH[1] * len(down), 1.3),) * rows,
        widths=(BOX_INCH[0] * len(across),) * shape + (0.16,),
        left=canvas.widest(down) + 0.45,
        right=0.75,
        top=0.35,
        bottom=0.5,
        row_gap=0.45,
        column_gap=canvas.widest(down) + 0.25,
    )


def legend(table: Table) -> list[Any]:
    """Only where a box has no figure."""
    full = len(panels(table)) * len(sizes(table, AXES[0])) * len(sizes(table, AXES[1]))
    known = sum(row["ns_per_op"] is not None for row in shown(table) if panel_of(row) in panels(table))
    return [] if known == full else [Patch(**canvas.missing_look(), label="no figure, and why (–: not asked for)")]


def norm_of(table: Table) -> LogNorm:
    """One scale for all panels: from the least to the greatest speed, at least a factor of two apart."""
    values = [value for row in shown(table) if (value := speed(row)) is not None]
    low, high = min(values), max(values)
    return LogNorm(low, high) if high >= 2 * low else LogNorm(low / 1.5, high * 1.5)


def texts(row: Row) -> tuple[str, str]:
    """A box's figure and interval, in GB/s: the quickest end of a time is the highest of a speed."""
    low, high = speed(row, "ns_per_op_high"), speed(row, "ns_per_op_low")
    interval = "" if low is None or high is None else f"[{digits(low)}, {digits(high)}]"
    return digits(speed(row) or 0.0), interval


def word(row: Row | None) -> str:
    """What stands where there is no figure: the status, or that the cell was not asked for."""
    if row is None:
        return "–"
    return "no figure" if row["status"] == "ok" else str(row["status"])


def draw_panel(table: Table, axis: Any, panel: Panel, norm: LogNorm) -> None:
    """Rings from the left, messages from the top."""
    across, down = (sizes(table, key) for key in AXES)
    mine = [row for row in shown(table) if panel_of(row) == panel]
    found = {tuple(canvas.varied(row["cell"])[key] for key in AXES): row for row in mine}
    for x, ring in enumerate(across):
        for y, message in enumerate(down):
            row = found.get((ring, message))
            value = speed(row) if row is not None else None
            if row is None or value is None:
                canvas.box(axis, x, y, None, word(row))
            else:
                canvas.box(axis, x, y, canvas.SHADES(norm(value)), *texts(row))
    canvas.boxes_axes(axis, across, down)
    axis.set_title(shorten(" · ".join(part for part in reversed(panel) if part), canvas.NAME_MOST))


def draw(table: Table, axes: Any) -> None:
    """The panels row by row; the last column has the scale."""
    norm, shape = norm_of(table), axes.shape[1] - 1
    places = axes[:, :shape].ravel()
    for axis, panel in zip(places, panels(table)):
        draw_panel(table, axis, panel, norm)
    canvas.panels_spare(places, len(panels(table)))
    canvas.panels_spare(axes[:, shape], 1)
    for axis in axes[-1, :shape]:
        axis.set_xlabel(AXES[0])
    for axis in axes[:, 0]:
        axis.set_ylabel(AXES[1])
    canvas.shades_scale(axes[0, shape], norm, lambda value: f"{value:g}\u00a0GB/s")
