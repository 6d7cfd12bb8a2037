# SPDX-License-Identifier: MIT
"""What all matplotlib plots share: colours, markers, size in inches, margins that fit their texts, scales, curves,
bars, coloured boxes, and writing to a file.

Colours are those of Okabe and Ito (2008), told apart with every common colour blindness; a marker and a hatch go with
each, so that no plot depends on colour alone.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from faultline.tables import Row, Table
from faultline.text import digits, shorten, size, time_tick, time_unit

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "--", "xx", "\\\\", "++", "||", "///")
GREY = "#808080"
BAND = "#D9D9D9"
MISSING = "#F0F0F0"  # where a box has no figure
SHADES = colormaps["cividis"]  # one scale of lightness, read alike with every colour blindness and without any colour
SHADE_STEPS = 128  # of a scale of colours that is drawn
DARK = 0.179  # relative luminance below which white has more contrast than black (WCAG 2.1, contrast ratio)
FONT = 8.5
LINE_INCH = 0.16  # height of a line of text
CHARACTER_INCH = 0.068  # width of a mean character at FONT
NAME_MOST = 44  # characters of an arm's name in a legend
CELL_MOST = 60  # characters of a cell on an axis
COLUMNS = 3  # panels beside each other
BAR_INCH = 0.17  # height of a bar of a cell's arm
LABEL_MOST = 48  # characters of a cell's label beside its bars
WIDTH_LEAST = 6.6  # inches: a narrower figure would break its title into too many lines
TICKS_SPAN = 4.0  # ends of a logarithmic axis of times from each other, at least: it has two ticks then

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


def second(index: int) -> int:
    """Place in MARKERS or HATCHES: another one beside each colour once the colours come round again."""
    return (index + index // len(COLOURS)) % len(COLOURS)


def style(index: int) -> dict[str, Any]:
    """Colour and marker of the arm with this index among its cell's: 64 pairs."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[second(index)]}


def text_width(text: str, points: float = FONT) -> float:
    """Width of a line of text in inches."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=points), ismath=False)[0]) / 72


def widest(texts: Sequence[str], points: float = FONT) -> float:
    """Width of the widest of these lines, inches."""
    return max((text_width(t, points) for t in texts), default=0.0)


def cells_of(rows: Sequence[Row]) -> list[str]:
    """Cell ids in the table's order."""
    return list(dict.fromkeys(row["cell"] for row in rows))


def by_cell(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each cell that has any."""
    return [[row for row in rows if row["cell"] == cell] for cell in cells_of(rows)]


def arms_of(rows: Sequence[Row]) -> dict[str, int]:
    """Arm names with their index, in the table's order."""
    return {row["arm"]: int(row["arm_index"]) for row in sorted(rows, key=lambda r: r["arm_index"])}


def conditions(table: Table) -> str:
    """What the page cache went through: ", recipe write-1MiB, warm"; "" where it is not the same in every cell with a file,
    or where there is no file."""
    found = {(row["recipe"], row["cache"]) for row in table.cells if row["recipe"]}
    return ", ".join(("", *(f"recipe {recipe}, {cache}" for recipe, cache in found))) if len(found) == 1 else ""


def cell_keys(cell: str) -> str:
    """The parameters that a cell's id names: "block_bytes · pattern"; "" for the only cell."""
    return " · ".join(part.partition("=")[0] for part in cell.split(",") if "=" in part)


def cell_values(cell: str) -> str:
    """Their values: "4KiB · random"."""
    return " · ".join(part.partition("=")[2] if "=" in part else part for part in cell.split(","))


def cell_label(cell: str) -> str:
    """The same on an axis, where there is not room for any length."""
    return shorten(cell_values(cell), CELL_MOST)


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


def headline(table: Table, what: str) -> str:
    """The text above a scenario's figure: its question, its name, and in brackets what the figure shows."""
    first = table.cells[0]
    return f"{first['question']} ({first['scenario']}{', ' if what else ''}{what})"


def op_label(row: Row) -> str:
    """What one operation is, short enough for an axis: what stands before a colon in its description."""
    return shorten(str(row["op"]).partition(":")[0], 24)


def columns(count: int) -> int:
    """Panels beside each other: as near to a square as COLUMNS allows."""
    return min(COLUMNS, math.ceil(math.sqrt(count)))


def varied(cell: str) -> dict[str, str]:
    """What a cell's id names: {"siblings": "1", "range_bytes": "4KiB"}."""
    return dict(part.split("=", 1) for part in cell.split(",") if "=" in part)


def held_of(cell: str, *but: str) -> str:
    """What a cell's id names besides these parameters: "range_bytes=4KiB"; "" for nothing."""
    return ", ".join(f"{key}={value}" for key, value in varied(cell).items() if key not in but)


def log_ticks(axis: Any, label: Callable[[float], str], subs: Sequence[float] = (1.0,), most: int = 8) -> None:
    """Plain labels on an x or y axis that is logarithmic: at the decades, or at these multiples of them."""
    axis.set_major_locator(LogLocator(10, subs=subs, numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def log_axis(axis: Any, values: Sequence[float], label: Callable[[float], str], room: float = 1.3) -> None:
    """Makes an x or y axis logarithmic, so wide that it holds these values and at least two ticks."""
    low, high = min(values) / room, max(values) * room
    spread = max(1.0, math.sqrt(TICKS_SPAN / (high / low)))
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low / spread, high * spread)})
    ratio = high / low * spread**2
    log_ticks(axis, label, (1.0, 2.0, 5.0) if ratio < 50 else (1.0, 3.0) if ratio < 1000 else (1.0,), 12)


def log_times(axis: Any, values: Sequence[float], room: float = 1.3) -> None:
    """The same for times in ns."""
    log_axis(axis, values, time_tick, room)


def ends_of(row: Row, name: str) -> tuple[float, float]:
    """Both ends of the interval; the estimate where there is none, as of a count that is the same in every trial."""
    low, high = row.get(name + "_low"), row.get(name + "_high")
    return row[name] if low is None else low, row[name] if high is None else high


def curve(axis: Any, rows: Sequence[Row], key: str, column: str, index: int, places: Sequence[float]) -> None:
    """An arm's line over `key` with its interval as a band, broken where one of the places has no row."""
    found = {float(row[key]): row for row in rows}
    nothing = (math.nan, math.nan)
    middle = [found[x][column] if x in found else math.nan for x in places]
    low, high = zip(*(ends_of(found[x], column) if x in found else nothing for x in places))
    kind = style(index)
    axis.fill_between(places, low, high, color=kind["color"], alpha=0.25, linewidth=0)
    axis.plot(places, middle, markersize=4, linewidth=1.3, **kind)


def panels_spare(axes: Sequence[Any], used: int) -> None:
    """Takes away the panels of a grid that nothing is drawn in."""
    for axis in axes[used:]:
        axis.set_axis_off()


def fill(index: int) -> dict[str, Any]:
    """Colour and hatch of the area of the arm with this index."""
    return {
        "facecolor": COLOURS[index % len(COLOURS)],
        "hatch": HATCHES[second(index)],
        "edgecolor": "white",
        "linewidth": 0.0,
    }


def fill_entries(arms: Mapping[str, int]) -> list[Any]:
    """The arms as areas in a legend."""
    return [Patch(**fill(index), label=shorten(arm, NAME_MOST)) for arm, index in arms.items()]


def bars_label(cell: str) -> str:
    """A cell beside its bars."""
    return shorten(cell_values(cell), LABEL_MOST)


def bars_size(rows: Sequence[Row]) -> tuple[float, float]:
    """(height of a panel with a bar a row and a gap between cells, margin for their labels), inches."""
    cells = cells_of(rows)
    margin = max(widest([bars_label(c) for c in cells] + [cell_keys(cells[0])]) + 0.25, 0.8)
    return BAR_INCH * (len(rows) + 0.8 * len(cells)) + 0.1, margin


def bars_places(axis: Any, rows: Sequence[Row]) -> list[tuple[float, Row]]:
    """Labels the cells at the left, from the top; returns the height of each row's bar."""
    places, ticks, y = [], [], 0.0
    for cell in cells_of(rows):
        mine = [row for row in rows if row["cell"] == cell]
        places += [(y + i, row) for i, row in enumerate(mine)]
        ticks.append(y + (len(mine) - 1) / 2)
        y += len(mine) + 0.8
    axis.set_yticks(ticks, labels=[bars_label(cell) for cell in cells_of(rows)])
    axis.set_ylim(y - 1.0, -0.8)
    keys_write(axis, rows[0]["cell"])
    return places


def keys_write(axis: Any, cell: str) -> None:
    """Names above a panel's labels the parameters that they are values of."""
    keys = cell_keys(cell) + "  "
    axis.text(0, 1, keys, transform=axis.transAxes, ha="right", va="bottom", color=GREY)


def bars_scale(axis: Any, label: Callable[[float], str], name: str) -> None:
    """A logarithmic scale with plain labels, bars without a grid across them."""
    axis.set_xscale("log")
    log_ticks(axis.xaxis, label)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"{name} (logarithmic)")


def bar(axis: Any, row: Row, column: str, y: float, start: float, figure: str) -> None:
    """A bar from `start` with its interval, where it has one, and its figure behind it."""
    axis.barh(y, row[column] - start, left=start, height=0.86, **fill(int(row["arm_index"])))
    end = row[column]
    if row.get(column + "_low") is not None:
        ends = (row[column + "_low"], row[column + "_high"])
        axis.plot(ends, [y, y], color="black", linewidth=1.1, marker="|", markersize=4)
        end = ends[1]
    figure_write(axis, figure, end, y)


def figure_write(axis: Any, text: str, x: float, y: float, colour: str = "black") -> None:
    """A figure at the end of what it belongs to."""
    axis.annotate(
        text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=FONT - 1, color=colour
    )


def ink(colour: Sequence[float]) -> str:
    """Black or white, whichever has more contrast on a box of this colour (sRGB, 0 to 1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return "white" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < DARK else "black"


def box(axis: Any, x: float, y: float, colour: Sequence[float] | None, text: str, interval: str = "") -> None:
    """A box of one by one about (x, y), in its colour with its figure and, below that, its interval; hatched with a
    word where it has none."""
    look = {"facecolor": colour, "edgecolor": "white", "linewidth": 1.0} if colour is not None else missing_look()
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **look))
    behind = {"facecolor": MISSING, "edgecolor": "none", "pad": 1.5} if colour is None else None
    shade = "black" if colour is None else ink(colour)
    down = 0.5 * FONT if interval else 0.0
    kind: dict[str, Any] = {"ha": "center", "va": "center", "color": shade, "textcoords": "offset points"}
    axis.annotate(text, (x, y), xytext=(0, down), fontsize=FONT - 0.5, bbox=behind, **kind)
    if interval:
        axis.annotate(interval, (x, y), xytext=(0, -down * 1.1), fontsize=FONT - 2, **kind)


def missing_look() -> dict[str, Any]:
    """A box or a legend's patch that has no figure."""
    return {"facecolor": MISSING, "edgecolor": GREY, "hatch": "///", "linewidth": 0.3}


def time_box(row: Row, column: str) -> tuple[str, str]:
    """A time and its interval in the unit of the time: ("213 ns", "[162, 235]")."""
    scale, unit = time_unit(row[column])
    figure = f"{digits(row[column] / scale)}\u00a0{unit}"
    if row[column + "_low"] is None:
        return figure, ""
    return figure, "[" + ", ".join(digits(end / scale) for end in ends_of(row, column)) + "]"


def boxes_axes(axis: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Names the columns below and the rows at the left of boxes at whole numbers, rows from the top."""
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), labels=columns)
    axis.set_yticks(range(len(rows)), labels=rows)
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)


def shades_scale(axis: Any, norm: LogNorm, label: Callable[[float], str]) -> None:
    """The scale of colours of boxes, with its ticks at the right, in steps too small to be seen."""
    edges = np.geomspace(norm.vmin, norm.vmax, SHADE_STEPS + 1)
    middles = np.sqrt(edges[1:] * edges[:-1])
    axis.barh(edges[:-1], 1, height=np.diff(edges) * 1.2, align="edge", color=SHADES(norm(middles)), linewidth=0)
    log_axis(axis.yaxis, [norm.vmin, norm.vmax], label, room=1.0)
    axis.set_ylim(norm.vmin, norm.vmax)
    axis.set_xlim(0, 1)
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.grid(False)
    axis.spines[:].set_visible(False)


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


@dataclass(frozen=True)
class Head:
    """What stands above the panels: the lines of the title, the legend in so many columns; its height, inches."""

    title: Sequence[str]
    handles: Sequence[Any]
    columns: int
    height: float


def head_of(table: Table, plot: Any, width: float) -> Head:
    """The title and the legend of a plot module in a figure of this width, inches."""
    handles = plot.legend(table)
    column_count, line_count = legend_shape([str(h.get_label()) for h in handles], width - 0.4) if handles else (1, 0)
    most = max(30, int((width - 0.3) / (CHARACTER_INCH * 1.2)))
    title = textwrap.wrap(plot.heading(table), most, break_on_hyphens=False)
    height = 0.12 + LINE_INCH * 1.2 * len(title) + LINE_INCH * 1.15 * line_count + (0.12 if handles else 0.0)
    return Head(title, handles, column_count, height)


def head_write(made: Figure, head: Head) -> None:
    """Writes the title and the legend."""
    width, height = made.get_size_inches()
    text = "\n".join(head.title)
    made.text(0.12 / width, 1 - 0.1 / height, text, va="top", ha="left", fontsize=FONT + 1.5, linespacing=1.15)
    if head.handles:
        made.legend(
            handles=head.handles,
            loc="upper left",
            ncols=head.columns,
            borderaxespad=0,
            handletextpad=0.4,
            columnspacing=1.2,
            bbox_to_anchor=(0.1 / width, 1 - (0.14 + LINE_INCH * 1.2 * len(head.title)) / height),
        )


def figure(table: Table, plot: Any) -> Figure:
    """The figure of a plot module: its layout, title, panels and legend."""
    layout: Layout = plot.layout(table)
    natural = layout.left + sum(layout.widths) + layout.column_gap * (len(layout.widths) - 1) + layout.right
    width = max(natural, WIDTH_LEAST)
    panels = sum(layout.heights) + layout.row_gap * (len(layout.heights) - 1)
    top = head_of(table, plot, width)
    height = top.height + layout.top + panels + layout.bottom
    made = Figure(figsize=(width, height))  # not pyplot's, which would keep it until it is closed
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
            "right": 1 - (layout.right + width - natural) / width,
            "top": 1 - (top.height + layout.top) / height,
            "bottom": layout.bottom / height,
            "hspace": layout.row_gap / (sum(layout.heights) / len(layout.heights)),
            "wspace": layout.column_gap / (sum(layout.widths) / len(layout.widths)),
        },
    )
    head_write(made, top)
    plot.draw(table, axes)
    return made


def render(table: Table, plot: Any, form: str = "svg") -> bytes:
    """The plot as a file's content: svg, png or pdf; the same bytes for the same table."""
    stream = io.BytesIO()
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    made = figure(table, plot)
    made.savefig(stream, format=form, dpi=150, metadata={"Title": plot.heading(table), **stamp})
    return stream.getvalue()
