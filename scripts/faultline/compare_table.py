# SPDX-License-Identifier: MIT
"""A comparison on the terminal: the difference of the fingerprints, what to conclude, then the rows by effect."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Iterator, Sequence, TextIO

from faultline import compare_words, text
from faultline.change_rows import ORDER, Row
from faultline.compare_words import HEADER, RIGHT
from faultline.comparison import Comparison
from faultline.table import COLOURS, INDENT, Look, look_of, pad, put, wrap
from faultline.text import columns, shorten
from faultline.verdict import CANNOT_TELL, SAME

FOLDED = {CANNOT_TELL: 12, SAME: 4}  # how many rows are shown of those that ask for nothing
CHOICES = ((0, 1, 2, 3, 4, 5), (0, 1, 4, 5))  # columns of HEADER that are tried, the verdict always last
ARM_LEAST, ARM_MOST = 8, 30  # columns of an arm's name


@dataclass(frozen=True)
class Shape:
    """Which columns are shown, how wide each is, and how wide a line."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    total: int


def shape_of(rows: Sequence[Sequence[str]], width: int) -> Shape:
    """The columns that fit: the arm's name gives way first, then the values of the sides."""
    widths = [max(columns(row[i]) for row in [HEADER, *rows]) for i in range(len(HEADER))]
    shape = None
    for shown in CHOICES:
        rest = sum(widths[i] for i in shown[1:]) + 2 * (len(shown) - 1) + 2 * len(INDENT)
        arm = max(ARM_LEAST, min(widths[0], ARM_MOST, width - rest))
        shape = Shape(shown, (arm, *(widths[i] for i in shown[1:])), arm + rest)
        if shape.total <= width:
            break
    assert shape is not None
    return shape


def line(values: Sequence[str], shape: Shape, colour: str | None) -> str:
    """One row, its verdict in that colour."""
    out = [pad(shorten(values[i], width), width, i in RIGHT) for i, width in zip(shape.shown, shape.widths)]
    if colour:
        out[-1] = f"\x1b[{colour}m{out[-1].rstrip()}\x1b[0m"
    return INDENT * 2 + "  ".join(out).rstrip()


def shown_rows(found: Comparison, everything: bool) -> list[Row]:
    """The rows that the table shows: of those that did not change or cannot be told the first ones."""
    out = []
    for verdict in ORDER:
        rows = compare_words.rows_of(found, verdict)
        out += rows if everything else rows[: FOLDED.get(verdict)]
    return out


def row_lines(found: Comparison, look: Look, everything: bool) -> Iterator[str]:
    """The rows, under the name of their scenario and cell, by verdict and then by effect."""
    rows = shown_rows(found, everything)
    told = [compare_words.fields(row) for row in rows]
    shape = shape_of(told, look.width)
    yield line(HEADER, shape, None)
    yield INDENT + "─" * (min(look.width, shape.total) - len(INDENT))
    place = None
    for row, values in zip(rows, told):
        if place != compare_words.where(row):
            place = compare_words.where(row)
            yield from wrap(place, look.width)
        yield line(values, shape, COLOURS.get(row.verdict) if look.colour else None)
        if row.why and row.verdict not in (*FOLDED, "INVALID"):
            yield from wrap(text.safe(row.why), look.width, INDENT * 3)
    hidden = len(found.rows) - len(rows)
    if hidden:
        more = f"… and {hidden} rows more that did not change or cannot be told (--all shows them)"
        yield from wrap(more, look.width)


def beside_lines(found: Comparison, look: Look) -> Iterator[str]:
    """Times of different machines, side by side."""
    if found.beside:
        yield from wrap("Times an operation side by side, of different machines: not compared", look.width, "")
    place = None
    for one in found.beside:
        if place != (one.scenario, one.cell):
            place = one.scenario, one.cell
            yield from wrap(f"{text.safe(one.scenario)} {text.safe(one.cell)}", look.width)
        told = f"{text.safe(one.arm)}: {text.time(one.base.estimate)} | {text.time(one.candidate.estimate)}"
        yield from wrap(told, look.width, INDENT * 2)


def lines(found: Comparison, look: Look, everything: bool) -> Iterator[str]:
    """The whole text, a line at a time."""
    for number in (0, 1):
        yield from wrap(compare_words.side_line(found, number), look.width, "")
    yield "Difference of the fingerprints"
    for one in compare_words.differences(found):
        yield from wrap(one, look.width)
    yield ""
    yield from wrap(compare_words.conclusion(found), look.width, "")
    yield from wrap(compare_words.counts(found), look.width, "")
    yield ""
    if found.rows:
        yield from wrap(" · ".join(compare_words.terms(found)), look.width, "")
        yield from row_lines(found, look, everything)
        yield ""
    yield from beside_lines(found, look)
    for note in compare_words.notes(found):
        yield from wrap(note, look.width, "")


def write(found: Comparison, stream: TextIO = sys.stdout, width: int | None = None, everything: bool = False) -> None:
    """Prints it."""
    look = look_of(stream, width)
    put(lines(found, look, everything), look, stream)
