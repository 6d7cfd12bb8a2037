# SPDX-License-Identifier: MIT
"""The verdicts on claims as lines of the terminal."""

from __future__ import annotations

import sys
from typing import Iterator, TextIO

from faultline import claim_words
from faultline.claim_plan import INCONCLUSIVE, REFUTED, SUPPORTED
from faultline.claim_words import Row
from faultline.table import INDENT, Look, look_of, pad, put, wrap
from faultline.verdict import Results

COLOURS = {SUPPORTED: "32", REFUTED: "31", INCONCLUSIVE: "33"}
WIDTH = len(INCONCLUSIVE)
REST = INDENT + " " * (WIDTH + 2)


def claim_lines(row: Row, look: Look) -> Iterator[str]:
    """A claim: its verdict and id, then the statement, what was measured, and what has to be said of it."""
    word = pad(row.answer, WIDTH, False)
    if look.colour:
        word = f"\x1b[{COLOURS[row.answer]}m{word}\x1b[0m"
    yield f"{INDENT}{word}  {row.claim}" + (f" · {row.where}" if row.where else "")
    yield from wrap(row.statement, look.width, REST)
    for one in (row.evidence, row.unsure, row.surprise, row.missing):
        if one:
            yield from wrap(f"→ {one}", look.width, REST)


def tally(rows: list[Row]) -> str:
    """ "12 SUPPORTED · 7 REFUTED · 1 INCONCLUSIVE"."""
    return " · ".join(f"{count} {answer}" for answer, count in claim_words.tally(rows).items())


def lines(results: Results, look: Look) -> Iterator[str]:
    """All claims of a run; nothing where it has none."""
    rows = claim_words.rows(results)
    if not rows:
        return
    yield "Claims"
    for row in rows:
        yield from claim_lines(row, look)
    yield ""
    yield f"Claims: {tally(rows)}"


def write(results: Results, stream: TextIO = sys.stdout, width: int | None = None) -> None:
    """Prints them."""
    look = look_of(stream, width)
    put(lines(results, look), look, stream)
