# SPDX-License-Identifier: MIT
"""A board on the terminal: what to conclude, the machines, the speed-of-light panel, then the rows."""

from __future__ import annotations

import sys
from typing import Iterator, Sequence, TextIO

from faultline import board_words, text
from faultline.board import Board
from faultline.board_axes import turn_text
from faultline.board_rows import AGREE, ALONE, OPEN, RUNS_AGREE, BoardRow
from faultline.table import INDENT, Look, look_of, pad, put, wrap
from faultline.text import columns, shorten

FOLDED = {OPEN: 8, AGREE: 8, RUNS_AGREE: 8, ALONE: 0}  # how many rows are shown of those that ask for nothing
SLOPES_SHOWN = 6  # without --all
NAME_LEAST, NAME_MOST = 12, 30  # columns of an arm's name


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str] | None:
    """Rows in columns under their heads, the first one cut to what is left; None when they do not fit."""
    widths = [max(columns(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rest = sum(widths[1:]) + 2 * len(widths[1:]) + 2 * len(INDENT)
    name = min(widths[0], NAME_MOST, width - rest)
    if name < min(widths[0], NAME_LEAST):
        return None
    widths[0] = name
    return [(INDENT * 2 + "  ".join(pad(shorten(one, w), w, False) for one, w in zip(row, widths))).rstrip()
            for row in [head, *rows]]


def stacked(head: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """A row whose columns do not fit: a line a machine."""
    yield from wrap(f"{row[0]}: {row[-1]}", width, INDENT * 2)
    for machine, value in zip(head[1:-1], row[1:-1]):
        yield from wrap(f"{machine}: {value}", width, INDENT * 3)


def shown_rows(found: Board, everything: bool) -> list[BoardRow]:
    """The rows that are printed, in the board's order."""
    seen: dict[str, int] = {}
    out = []
    for row in found.rows:
        seen[row.finding] = seen.get(row.finding, 0) + 1
        if everything or row.turns or seen[row.finding] <= FOLDED.get(row.finding, len(found.rows)):
            out.append(row)
    return out


def row_lines(found: Board, look: Look, everything: bool) -> Iterator[str]:
    """The rows under the name of their scenario and cell: in columns where they fit, with or without intervals."""
    rows = shown_rows(found, everything)
    head = ["arm", *(machine.label for machine in found.machines), "between them"]
    fits = next(((lines, full) for full in (True, False) for lines in [
        grid(head, [board_words.fields(found, row, full) for row in rows], look.width)] if lines), None)
    if fits:
        yield fits[0][0]
    place = None
    for number, row in enumerate(rows):
        if place != board_words.where(row):
            place = board_words.where(row)
            yield from wrap(place, look.width)
        if fits:
            yield fits[0][number + 1]
        else:
            yield from stacked(head, board_words.fields(found, row), look.width)
        if row.why and (row.apart or row.turns):
            yield from wrap(text.safe(row.why), look.width, INDENT * 3)
    hidden = len(found.rows) - len(rows)
    if hidden:
        more = f"… and {hidden} rows more that agree, cannot be told or stand on one machine only (--all shows them)"
        yield from wrap(more, look.width)


def light_lines(found: Board, look: Look) -> Iterator[str]:
    """The panel, and the commands that would complete it."""
    yield from wrap("Speed of light: absolute times, to be looked at and never divided by", look.width, "")
    head = ["", *(machine.label for machine in found.machines), ""]
    rows = [[row.light.name, *(board_words.light_text(row, machine, value, found.hidden(machine))
                               for machine, value in zip(found.machines, row.values)), ""] for row in found.light]
    lines = grid(head, rows, look.width)
    for row in [] if lines else rows:
        yield from stacked(head, row, look.width)
    yield from lines or []
    for command, names in board_words.light_missing(found):
        yield from wrap(f"to measure what is missing: {command} (on {names})", look.width)


def axis_lines(found: Board, look: Look, everything: bool) -> Iterator[str]:
    """Crossovers, then what a byte costs."""
    if found.crossings:
        yield from wrap("Crossovers: where an arm begins or ceases to win; not compared", look.width, "")
    for row in found.crossings:
        yield from wrap(f"{text.safe(row.arm)}, {board_words.along(row)}", look.width)
        for machine, turn in zip(found.machines, row.values):
            yield from wrap(f"{machine.label}: {text.safe(turn_text(row.axis, turn))}", look.width, INDENT * 3)
    slopes = found.slopes if everything else found.slopes[: SLOPES_SHOWN]
    if slopes:
        yield from wrap("What a further byte costs: absolute, side by side", look.width, "")
    for one in slopes:
        yield from wrap(f"{text.safe(one.arm)}, {board_words.along(one)}", look.width)
        for machine, line in zip(found.machines, board_words.line_texts(one.values)):
            yield from wrap(f"{machine.label}: {line}", look.width, INDENT * 3)
    if len(slopes) < len(found.slopes):
        yield from wrap(f"… and {len(found.slopes) - len(slopes)} more (--all shows them)", look.width)


def time_lines(found: Board, look: Look) -> Iterator[str]:
    """Times of an operation, side by side."""
    yield from wrap("Times of an operation, side by side: absolute, not compared", look.width, "")
    place = None
    for row in found.times:
        if place != board_words.where_timed(row):
            place = board_words.where_timed(row)
            yield from wrap(place, look.width)
        told = " | ".join(board_words.time_texts(row.values))
        yield from wrap(f"{text.safe(row.arm)}: {told}", look.width, INDENT * 2)


def lines(found: Board, look: Look, everything: bool) -> Iterator[str]:
    """The whole text, a line at a time."""
    yield from wrap(board_words.conclusion(found), look.width, "")
    yield from wrap(board_words.counts_line(found), look.width, "")
    yield ""
    for one in board_words.machine_lines(found):
        yield from wrap(one, look.width, "")
    yield ""
    yield from light_lines(found, look)
    yield ""
    keys = board_words.key_differences(found)
    yield from wrap("Difference of the fingerprints" if keys else "The fingerprints do not differ", look.width, "")
    for key, values in keys:
        yield from wrap(f"{key}: {' | '.join(values)}", look.width)
    yield ""
    if found.rows:
        for term in board_words.terms(found):
            yield from wrap(term, look.width, "")
        yield from row_lines(found, look, everything)
        yield ""
    yield from axis_lines(found, look, everything)
    if everything and found.times:
        yield from time_lines(found, look)
    for note in board_words.notes(found):
        yield from wrap(note, look.width, "")


def write(found: Board, stream: TextIO = sys.stdout, width: int | None = None, everything: bool = False) -> None:
    """Prints it."""
    look = look_of(stream, width)
    put(lines(found, look, everything), look, stream)
