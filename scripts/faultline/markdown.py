# SPDX-License-Identifier: MIT
"""summary.md: the results for a job's page, at most 60 KiB so that no service refuses it."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Iterator, NamedTuple, Sequence

from faultline import claim_table, claim_words, conclusion, page, pair_words, table
from faultline.text import cut, listed, safe
from faultline.verdict import CellResult, Results, scenarios_of

BYTES_MOST = 60 * 1024
ROOM_FOR_NOTE = 300  # bytes that fitting() keeps for saying what is left out
NAMES_MOST = 12  # scenarios named as left out; more are counted
NAME_MOST = 60  # characters of a scenario's name there
TEXT_MOST = 2000  # characters of any text
REFUSED_MOST = 20  # lines on what was not run


def escape(value: object) -> str:
    """Text in which nothing is Markdown or HTML, and no address becomes a link by itself."""
    plain = cut(safe(value), TEXT_MOST).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$@]|:(?=//)|(?<=\bwww)\.)", r"\\\1", plain)


def code(value: str) -> str:
    """Text as it is, in a table."""
    return "`" + cut(safe(value), TEXT_MOST).replace("`", "'").replace("|", "¦") + "`"


def cell_lines(cell: CellResult, shown: Sequence[int]) -> Iterator[str]:
    """The rows of a cell in these columns; what is the same for all of them stands in the first."""
    for number, arm in enumerate(cell.arms):
        values = table.row(cell, arm)
        title = code(cell.plan.cell) if number == 0 else ""
        fields = ["" if number and i == table.RECIPE else escape(values[i]) for i in shown]
        yield "| " + " | ".join([title, *fields]) + " |"


def head(results: Results) -> str:
    """What the whole run says."""
    counts = " · ".join(f"{n} {verdict}" for verdict, n in results.verdict_counts().items())
    noise, harness = conclusion.noise_sentence(results), conclusion.harness_sentence(results)
    said = [one for one in (counts, *table.undecided(results), noise, harness) if one]
    out = title(results) + "".join(f"\n{escape(one)}\n" for one in said)
    refused = table.refused(results)
    more = [f"… and {len(refused) - REFUSED_MOST} more, in manifest.json"] if len(refused) > REFUSED_MOST else []
    warnings = [*page.warnings(results), *refused[:REFUSED_MOST], *more]
    return out + "".join(f"\n> {escape(one)}\n" for one in warnings)


def title(results: Results) -> str:
    """The first line."""
    return f"# faultline: {escape(cut(results.run.manifest.run, NAME_MOST))}\n"


class Block(NamedTuple):
    """A piece of a table that is left out or shown as a whole. what: how a note names it, "" for the head of what
    follows."""

    text: str
    what: str


def claim_blocks(results: Results) -> list[Block]:
    """The verdicts on claims: a head, then a row each; [] without claims."""
    found = claim_words.rows(results)
    top = f"\n## Claims\n\n{escape(claim_table.tally(found))}\n\n| verdict | claim | what was measured |\n| --- | --- | --- |\n"
    rows = [Block(claim_row(one), f"claim {number} of {len(found)}") for number, one in enumerate(found, 1)]
    return [Block(top, ""), *rows] if found else []


def claim_row(one: claim_words.Row) -> str:
    """A claim in that table."""
    where = f" · {escape(one.where)}" if one.where else ""
    said = [escape(words) for words in (one.evidence, one.unsure, one.surprise, one.missing) if words]
    return f"| {one.answer} | {code(one.claim)}{where}<br>{escape(one.statement)} | {'<br>'.join(said)} |\n"


def conclusions(cells: Sequence[CellResult]) -> str:
    """What a scenario says."""
    sentences = "\n".join(f"- {escape(s)}" for s in conclusion.scenario_sentences(cells))
    terms = f"{escape(cells[0].scenario.name)} · {escape(table.terms(cells))}"
    return f"\n## {escape(cells[0].scenario.question)}\n\n{terms}\n\n{sentences}\n"


def table_blocks(cells: Sequence[CellResult]) -> list[Block]:
    """The table of a scenario: its head, then a block a cell; what was counted; pairs of CPUs."""
    shown = table.columns_of([table.row(cell, arm) for cell in cells for arm in cell.arms])
    titles = " | ".join(table.HEADER[i] for i in shown)
    rules = " | ".join("---:" if i in table.RIGHT else "---" for i in shown)
    top = f"\n### {escape(cells[0].scenario.name)}\n\n| cell | {titles} |\n| --- | {rules} |\n"
    rows = [
        Block("\n".join(cell_lines(cell, shown)) + "\n", f"cell {number} of {len(cells)}")
        for number, cell in enumerate(cells, 1)
    ]
    return [Block(top, ""), *rows, *counted_block(cells), *pair_blocks(cells)]


def counted_block(cells: Sequence[CellResult]) -> list[Block]:
    """The counters that were asked for, as one block; none when nothing was."""
    rows, notes = table.counted_rows(cells), table.counted_notes(cells)
    if not rows and not notes:
        return []
    lines = [[code(cell) if cell else "", *map(escape, values)] for cell, *values in rows[1:]]
    out = "\nCounted, per operation\n" if rows else ""
    if rows:
        rules = ["---", "---", *["---:"] * (len(rows[0]) - 2)]
        table_lines = [list(map(escape, rows[0])), rules, *lines]
        out += "\n" + "".join(f"| {' | '.join(one)} |\n" for one in table_lines)
    return [Block(out + "".join(f"\n{escape(note)}\n" for note in notes), "what was counted")]


def pair_blocks(cells: Sequence[CellResult]) -> list[Block]:
    """The table of the distance classes of CPUs: its head, then a block a cell; [] without pairs."""
    found = pair_words.rows(cells)
    titles = " | ".join(escape(title) for title in pair_words.HEADER)
    rules = " | ".join("---:" if i in pair_words.RIGHT else "---" for i in range(len(pair_words.HEADER)))
    top = f"\n#### Pairs of CPUs by what they share\n\n| cell | {titles} |\n| --- | {rules} |\n"
    blocks = [
        Block(pair_lines(cell, rows), f"pairs of CPUs, cell {number} of {len(found)}")
        for number, (cell, rows) in enumerate(found, 1)
    ]
    return [Block(top, ""), *blocks] if found else []


def pair_lines(cell: str, rows: Sequence[Sequence[str]]) -> str:
    """The rows of a cell, which is named in the first."""
    return "".join(
        f"| {code(cell) if i == 0 else ''} | {' | '.join(map(escape, row))} |\n" for i, row in enumerate(rows)
    )


def note(lost: Sequence[str], tables: Sequence[str]) -> str:
    """What is left out, and where it is."""
    parts = (("what is said of", lost), ("the tables of", tables))
    what = "; ".join(f"{words} {listed(names, NAMES_MOST)}" for words, names in parts if names)
    return f"\n*Left out to stay below 60 KiB: {what}. Every figure is in summary.json and cells.csv.*\n"


def name_of(value: str) -> str:
    """A scenario in that note."""
    return escape(cut(value, NAME_MOST))


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode())


def fitting(head: str, blocks: Sequence[str], everything: str) -> str:
    """A document of its head and as many of these blocks, in order, as stay below BYTES_MOST bytes of UTF-8; those that
    do not are counted. everything: the file that has them all."""
    out = head
    for number, block in enumerate(blocks):
        if size(out) + size(block) > BYTES_MOST - ROOM_FOR_NOTE:
            left = len(blocks) - number
            return out + f"\n*Left out to stay below 60 KiB: {left} lines. Everything is in {everything}.*\n"
        out += block
    return out


def markdown(results: Results) -> str:
    """The document, at most BYTES_MOST bytes of UTF-8: first what the run and each scenario say, then tables. A table
    that does not fit is left out and named; the first one is cut after a cell."""
    scenarios = scenarios_of(results)
    longest = max((size(name_of(scenario.name)) for scenario, _ in scenarios), default=0)
    room = BYTES_MOST - size(note(["x"], ["x"])) - 2 * (NAMES_MOST + 1) * (longest + 40)
    out = head(results)
    lost: list[str] = []
    without: list[str] = []
    if size(out) > room:
        unfinished = conclusion.unfinished_sentence(results)
        out, lost = title(results) + (f"\n> {escape(unfinished)}\n" if unfinished else ""), ["the run"]
    blocks = claim_blocks(results)
    fits = blocks_that_fit(blocks, room - size(out))
    out += "".join(block.text for block in fits)
    if len(fits) < len(blocks):
        lost.append("claims" + (f" (from {blocks[len(fits)].what} on)" if fits else ""))
    for scenario, cells in scenarios:
        text = conclusions(cells)
        if size(out) + size(text) <= room:
            out += text
        else:
            lost.append(name_of(scenario.name))
    for number, (scenario, cells) in enumerate(scenarios):
        blocks = table_blocks(cells)
        fits = blocks_that_fit(blocks, room - size(out))
        if len(fits) < len(blocks) and number:
            fits = []
        out += "".join(block.text for block in fits)
        if len(fits) < len(blocks):
            rest = next(block.what for block in blocks[len(fits) :] if block.what)
            without.append(name_of(scenario.name) + (f" (from {rest} on)" if fits else ""))
    return out + (note(lost, without) if lost or without else "")


def blocks_that_fit(blocks: Sequence[Block], room: int) -> list[Block]:
    """The first of these blocks, as many as the room holds, without a head at their end."""
    used = accumulate(size(block.text) for block in blocks)
    fits = [block for block, end in zip(blocks, used) if end <= room]
    while fits and not fits[-1].what:
        fits.pop()
    return fits
