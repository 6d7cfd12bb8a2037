# SPDX-License-Identifier: MIT
"""summary.md: the results for a job's page, at most 60 KiB so that no service refuses it."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Iterator, Sequence

from faultline import conclusion, page, pair_words, table
from faultline.text import safe
from faultline.verdict import CellResult, Results, scenarios_of

BYTES_MOST = 60 * 1024
NAMES_MOST = 12  # scenarios named as left out; more are counted


def escape(value: object) -> str:
    """Text in which nothing is Markdown or HTML."""
    plain = safe(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$@])", r"\\\1", plain)


def code(value: str) -> str:
    """Text as it is, in a table."""
    return "`" + safe(value).replace("`", "'").replace("|", "¦") + "`"


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
    out = f"# faultline: {escape(results.run.manifest.run)}\n" + "".join(f"\n{escape(one)}\n" for one in said)
    return out + "".join(f"\n> {escape(one)}\n" for one in [*page.warnings(results), *table.refused(results)])


def conclusions(cells: Sequence[CellResult]) -> str:
    """What a scenario says."""
    sentences = "\n".join(f"- {escape(s)}" for s in conclusion.scenario_sentences(cells))
    terms = f"{escape(cells[0].scenario.name)} · {escape(table.terms(cells))}"
    return f"\n## {escape(cells[0].scenario.question)}\n\n{terms}\n\n{sentences}\n"


def table_blocks(cells: Sequence[CellResult]) -> list[str]:
    """The table of a scenario: its head, then a block a cell."""
    shown = table.columns_of([table.row(cell, arm) for cell in cells for arm in cell.arms])
    titles = " | ".join(table.HEADER[i] for i in shown)
    rules = " | ".join("---:" if i in table.RIGHT else "---" for i in shown)
    top = f"\n### {escape(cells[0].scenario.name)}\n\n| cell | {titles} |\n| --- | {rules} |\n"
    return [top, *("\n".join(cell_lines(cell, shown)) + "\n" for cell in cells), *counted_block(cells), *pair_blocks(cells)]


def counted_block(cells: Sequence[CellResult]) -> list[str]:
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
    return [out + "".join(f"\n{escape(note)}\n" for note in notes)]


def pair_blocks(cells: Sequence[CellResult]) -> list[str]:
    """The table of the distance classes of CPUs: its head, then a block a cell; [] without pairs."""
    found = pair_words.rows(cells)
    titles = " | ".join(escape(title) for title in pair_words.HEADER)
    rules = " | ".join("---:" if i in pair_words.RIGHT else "---" for i in range(len(pair_words.HEADER)))
    top = f"\n#### Pairs of CPUs by what they share\n\n| cell | {titles} |\n| --- | {rules} |\n"
    blocks = [
        "".join(f"| {code(cell) if i == 0 else ''} | {' | '.join(map(escape, row))} |\n" for i, row in enumerate(rows))
        for cell, rows in found
    ]
    return [top, *blocks] if found else []


def note(lost: Sequence[str], tables: Sequence[str]) -> str:
    """What is left out, and where it is."""
    parts = (("what is said of", lost), ("the tables of", tables))
    what = "; ".join(f"{words} {listed(names)}" for words, names in parts if names)
    return f"\n*Left out to stay below 60 KiB: {what}. Everything is in report.html, summary.json and cells.csv.*\n"


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMES_MOST} more" if len(names) > NAMES_MOST else ""
    return ", ".join(names[:NAMES_MOST]) + more


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode())


def markdown(results: Results) -> str:
    """The document, at most BYTES_MOST bytes of UTF-8: first what the run and each scenario say, then tables. A table
    that does not fit is left out and named; the first one is cut after a cell."""
    scenarios = scenarios_of(results)
    longest = max((size(escape(scenario.name)) for scenario, _ in scenarios), default=0)
    room = BYTES_MOST - size(note(["x"], ["x"])) - 2 * (NAMES_MOST + 1) * (longest + 40)
    out = ""
    lost: list[str] = []
    without: list[str] = []
    for text, name in [(head(results), "the run"), *((conclusions(cells), s.name) for s, cells in scenarios)]:
        if size(out) + size(text) <= room:
            out += text
        else:
            lost.append(escape(name))
    for number, (scenario, cells) in enumerate(scenarios):
        blocks = table_blocks(cells)
        if size(out) + size("".join(blocks)) <= room:
            out += "".join(blocks)
            continue
        fits = blocks_that_fit(blocks, room - size(out)) if number == 0 else []
        out += "".join(fits)
        cut = "" if len(fits) < 2 else f" (from cell {len(fits)} of {len(cells)} on)"
        cut = " (pairs of CPUs)" if len(fits) > len(cells) else cut
        without.append(escape(scenario.name) + cut)
    return out + (note(lost, without) if lost or without else "")


def blocks_that_fit(blocks: Sequence[str], room: int) -> list[str]:
    """The first of these blocks, as many as the room holds."""
    used = list(accumulate(map(size, blocks)))
    return [block for block, end in zip(blocks, used) if end <= room]
