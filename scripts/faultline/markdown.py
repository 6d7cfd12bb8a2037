# SPDX-License-Identifier: MIT
"""summary.md: the results for a job's page, cut at 60 KiB so that no service refuses it."""

from __future__ import annotations

import re
from typing import Iterator

from faultline import conclusion, page, table
from faultline.text import safe
from faultline.verdict import CellResult, Results, scenarios_of

BYTES_MOST = 60 * 1024
CUT_NOTE = "\n*Cut here to stay below 60 KiB; everything is in summary.json and cells.csv.*\n"


def escape(value: object) -> str:
    """Text in which nothing is Markdown or HTML."""
    plain = safe(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$@])", r"\\\1", plain)


def code(value: str) -> str:
    """Text as it is, in a table."""
    return "`" + safe(value).replace("`", "'").replace("|", "¦") + "`"


def cell_lines(cell: CellResult) -> Iterator[str]:
    """The rows of a cell, its conditions in the first column of its first row."""
    for number, arm in enumerate(cell.arms):
        values = table.row(cell, arm)
        title = code(cell.plan.cell) if number == 0 else ""
        yield "| " + " | ".join([title, escape(values[0]), *map(escape, values[1:])]) + " |"


def blocks(results: Results) -> Iterator[str]:
    """The document in parts that make sense by themselves: conclusions first, tables after them."""
    counts = " · ".join(f"{n} {verdict}" for verdict, n in results.verdict_counts().items())
    noise = escape(conclusion.noise_sentence(results))
    yield f"# faultline: {escape(results.run.manifest.run)}\n\n{counts}\n\n{noise}\n"
    harness = conclusion.harness_sentence(results)
    yield f"\n{escape(harness)}\n" if harness else ""
    for warning in page.warnings(results):
        yield f"\n> {escape(warning)}\n"
    for scenario, cells in scenarios_of(results):
        sentences = "\n".join(f"- {escape(s)}" for s in conclusion.scenario_sentences(cells))
        terms = f"{escape(scenario.name)} · {escape(table.terms(cells))}"
        yield f"\n## {escape(scenario.question)}\n\n{terms}\n\n{sentences}\n"
    for scenario, cells in scenarios_of(results):
        yield (
            f"\n### {escape(scenario.name)}\n\n| cell | {' | '.join(table.HEADER)} |\n"
            f"| --- | --- | ---: | ---: | --- | ---: | --- |\n"
        )
        for cell in cells:
            yield "\n".join(cell_lines(cell)) + "\n"


def markdown(results: Results) -> str:
    """The document, at most BYTES_MOST bytes of UTF-8, cut between blocks."""
    out, used = [], 0
    room = BYTES_MOST - len(CUT_NOTE.encode())
    for block in blocks(results):
        used += len(block.encode())
        if used > room:
            return "".join(out) + CUT_NOTE
        out.append(block)
    return "".join(out)
