# SPDX-License-Identifier: MIT
"""What all matplotlib plots share: colours, markers, size in inches, margins that fit their texts, and writing to a
file.

Colours are those of Okabe and Ito (2008), told apart with every common colour blindness; a marker and a hatch go with
each, so that no plot depends on colour alone.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.font_manager import FontProperties  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.textpath import text_to_path  # noqa: E402

from faultline.tables import Row, Table  # noqa: E402
from faultline.text import shorten, size  # noqa: E402

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "--", "xx", "\\\\", "++", "||", "///")
GREY = "#808080"
BAND = "#D9D9D9"
FONT = 8.5
LINE_INCH = 0.16  # height of a line of text
CHARACTER_INCH = 0.068  # width of a mean character at FONT
NAME_MOST = 44  # characters of an arm's name in a legend
TITLE_WIDTH = 100

matplotlib.rcParams.update(
    {
        "font.size": FONT,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "svg.fonttype": "none",
        "svg.hashsalt": "faultline",
        "legend.frameon": False,
        "axes.titlesize": FONT,
        "axes.titlelocation": "left",
        "text.parse_math": False,
        "hatch.linewidth": 0.6,
    }
)


warnings.filterwarnings(
    "ignore", message="Glyph .* missing from current font"
)  # a name's box is better than no picture


@dataclass(frozen=True)
class Layout:
    """A figure in inches: panels as heights[rows] × widths[columns], and the margins that its texts need."""

    heights: Sequence[float]
    widths: Sequence[float] = (6.0,)
    left: float = 0.9
    right: float = 0.3
    top: float = 0.2  # below the title and the legend
    bottom: float = 0.55
    row_gap: float = 0.25
    column_gap: float = 0.7
    share_x: bool | str = False
    share_y: bool | str = False


def style(index: int) -> dict[str, Any]:
    """Colour and marker of the arm with this index among its cell's."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def text_width(text: str, points: float = FONT) -> float:
    """Width of a line of text in inches."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=points), ismath=False)[0]) / 72


def widest(texts: Sequence[str], points: float = FONT) -> float:
    """Width of the widest of these lines, inches."""
    return max((text_width(t, points) for t in texts), default=0.0)


def unit_rows(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows that have a number in this column."""
    return [row for row in rows if row[key] is not None]


def cells_of(rows: Sequence[Row]) -> list[str]:
    """Cell ids in the table's order."""
    return list(dict.fromkeys(row["cell"] for row in rows))


def arms_of(rows: Sequence[Row]) -> dict[str, int]:
    """Arm names with their index, in the table's order."""
    return {row["arm"]: int(row["arm_index"]) for row in sorted(rows, key=lambda r: r["arm_index"])}


def conditions(table: Table) -> str:
    """What the page cache went through, where it is the same in every cell: "recipe write-1MiB, warm"; else ""."""
    found = {(row["recipe"], row["cache"]) for row in table.cells}
    return ", ".join(("", *(f"recipe {recipe}, {cache}" for recipe, cache in found))) if len(found) == 1 else ""


def cell_keys(cell: str) -> str:
    """The parameters that a cell's id names: "block_bytes · pattern"; "" for the only cell."""
    return " · ".join(part.partition("=")[0] for part in cell.split(",") if "=" in part)


def cell_values(cell: str) -> str:
    """Their values: "4KiB · random"."""
    return " · ".join(part.partition("=")[2] if "=" in part else part for part in cell.split(","))


def size_label(value: float, _: Any = None) -> str:
    """A tick that is a number of bytes."""
    return size(int(value)) if value >= 1 and value == int(value) else f"{value:g}"


def axis_numbers(axis: Any, name: str, values: Sequence[float]) -> None:
    """Ticks at the measured values of a logarithmic parameter axis, thinned so that labels keep apart."""
    axis.set_xscale("log", base=2)
    ordered = sorted(set(values))
    step = -(-len(ordered) // 9)
    axis.set_xticks(
        ordered[::step], labels=[size_label(v) if name.endswith("_bytes") else f"{v:g}" for v in ordered[::step]]
    )
    axis.minorticks_off()
    axis.set_xlabel(name)


def ratio_label(value: float, _: Any = None) -> str:
    """A tick of a ratio: 1/8×, 1×, 8×."""
    return f"{value:g}×" if value >= 1 else f"1/{1 / value:g}×"


def error_bars(axis: Any, row: Row, name: str) -> tuple[float, float]:
    """Lengths of the interval's two sides about the estimate; 0 where there is none."""
    low, high = row[name + "_low"], row[name + "_high"]
    return (row[name] - low if low is not None else 0.0, high - row[name] if high is not None else 0.0)


def legend_entry(arm: str, index: int, line: str = "none") -> Line2D:
    """An arm's line of the legend."""
    return Line2D([], [], linestyle=line, markersize=5, label=shorten(arm, NAME_MOST), **style(index))


def legend_shape(labels: Sequence[str], width: float) -> tuple[int, int]:
    """(columns, lines) of a legend that fits into this width."""
    entry = widest(labels) + 0.5
    fit = max(1, min(len(labels), int(width / entry)))
    return fit, -(-len(labels) // fit)


def figure(table: Table, plot: Any) -> Any:
    """The figure of a plot module: its layout, title, panels and legend. The caller closes it."""
    layout: Layout = plot.layout(table)
    width = layout.left + sum(layout.widths) + layout.column_gap * (len(layout.widths) - 1) + layout.right
    panels = sum(layout.heights) + layout.row_gap * (len(layout.heights) - 1)
    handles = plot.legend(table)
    column_count, line_count = legend_shape([str(h.get_label()) for h in handles], width - 0.4) if handles else (1, 0)
    title = textwrap.wrap(plot.heading(table), max(30, int((width - 0.3) / (CHARACTER_INCH * 1.2))))
    head = 0.12 + LINE_INCH * 1.2 * len(title) + LINE_INCH * 1.15 * line_count + (0.12 if handles else 0.0)
    height = head + layout.top + panels + layout.bottom
    made = plt.figure(figsize=(width, height))
    axes = made.subplots(
        len(layout.heights),
        len(layout.widths),
        squeeze=False,
        sharex=layout.share_x,
        sharey=layout.share_y,
        gridspec_kw={
            "height_ratios": layout.heights,
            "width_ratios": layout.widths,
            "left": layout.left / width,
            "right": 1 - layout.right / width,
            "top": 1 - (head + layout.top) / height,
            "bottom": layout.bottom / height,
            "hspace": layout.row_gap / (sum(layout.heights) / len(layout.heights)),
            "wspace": layout.column_gap / (sum(layout.widths) / len(layout.widths)),
        },
    )
    made.text(
        0.12 / width, 1 - 0.1 / height, "\n".join(title), va="top", ha="left", fontsize=FONT + 1.5, linespacing=1.15
    )
    if handles:
        made.legend(
            handles=handles,
            loc="upper left",
            ncols=column_count,
            borderaxespad=0,
            handletextpad=0.4,
            columnspacing=1.2,
            bbox_to_anchor=(0.1 / width, 1 - (0.14 + LINE_INCH * 1.2 * len(title)) / height),
        )
    plot.draw(table, axes)
    return made


def render(table: Table, plot: Any, form: str = "svg") -> bytes:
    """The plot as a file's content: svg, png or pdf; the same bytes for the same table."""
    made = figure(table, plot)
    try:
        stream = io.BytesIO()
        stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
        made.savefig(stream, format=form, dpi=150, metadata={"Title": plot.heading(table), **stamp})
        return stream.getvalue()
    finally:
        plt.close(made)


Formatter = Callable[[float, Any], str]
