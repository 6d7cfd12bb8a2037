# SPDX-License-Identifier: MIT
"""A comparison for people: compare.md for a job's page, compare.html as one file without network."""

from __future__ import annotations

from typing import Any, Iterator

from faultline import compare_words, text
from faultline.change_rows import Row
from faultline.compare_words import HEADER, RIGHT
from faultline.comparison import Comparison
from faultline.markdown import code, escape, fitting
from faultline.page import TEMPLATES
from faultline.text import safe

ROWS_MOST = 2000  # of the page
NOTES_MOST = 30
LINE_MOST = 600  # characters of a note


def notes(found: Comparison) -> list[str]:
    """The notes, as many and as much of them as a page holds."""
    every = [text.shorten(note, LINE_MOST) for note in compare_words.notes(found)]
    more = len(every) - NOTES_MOST
    return every[:NOTES_MOST] + ([f"… and {more} notes more, in compare.json and on the terminal"] if more > 0 else [])


def markdown_head(found: Comparison) -> str:
    """Everything before the rows."""
    out = f"# faultline compare\n\n**{escape(text.shorten(compare_words.conclusion(found), LINE_MOST))}**\n\n"
    out += f"{escape(compare_words.counts(found))}\n\n"
    out += "".join(f"- {escape(text.shorten(compare_words.side_line(found, i), LINE_MOST))}\n" for i in (0, 1))
    out += "\nDifference of the fingerprints:\n\n"
    listed = compare_words.differences(found)
    shown = [*listed[:NOTES_MOST], *(["…"] if len(listed) > NOTES_MOST else [])]
    out += "".join(f"- {escape(one)}\n" for one in shown)
    return out + "".join(f"\n> {escape(note)}\n" for note in notes(found))


def markdown_row(row: Row) -> str:
    """One row."""
    return "| " + " | ".join([code(compare_words.where(row)), *map(escape, compare_words.fields(row))]) + " |\n"


def beside_blocks(found: Comparison) -> Iterator[str]:
    """Times of different machines: a head, then a line each."""
    if found.beside:
        yield ("\nTimes an operation side by side, of different machines: not compared\n\n"
               "| scenario, cell | arm | base | candidate |\n| --- | --- | ---: | ---: |\n")
    for one in found.beside:
        times = (escape(text.time(side.estimate)) for side in (one.base, one.candidate))
        yield f"| {code(f'{one.scenario} {one.cell}')} | {escape(one.arm)} | {' | '.join(times)} |\n"


def markdown(found: Comparison) -> str:
    """compare.md, at most markdown.BYTES_MOST bytes of UTF-8: rows that do not fit are counted."""
    rules = " | ".join("---:" if i in RIGHT else "---" for i in range(len(HEADER)))
    titles = f"| scenario, cell | {' | '.join(HEADER)} |\n| --- | {rules} |\n"
    head = f"\n{escape(' · '.join(compare_words.terms(found)))}\n\n{titles}"
    blocks = ([head] if found.rows else []) + [markdown_row(row) for row in found.rows] + list(beside_blocks(found))
    return fitting(markdown_head(found), blocks, "compare.json")


def row_view(row: Row) -> dict[str, Any]:
    """One row of the page; the verdict's column is styled as the report's."""
    verdict_class = f"verdict v-{row.verdict.split()[0]}"
    values = compare_words.fields(row)
    return {
        "where": compare_words.where(row),
        "fields": [(v, verdict_class if i == len(values) - 1 else "number" if i in RIGHT else "")
                   for i, v in enumerate(values)],
        "why": safe(row.why or ""),
    }


def html(found: Comparison) -> str:
    """compare.html."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("compare.html.j2").render(
        conclusion=compare_words.conclusion(found),
        verdicts=found.counts,
        sides=[compare_words.side_line(found, i) for i in (0, 1)],
        warnings=notes(found),
        differences=[
            (safe(one.key), compare_words.values(one.base), compare_words.values(one.candidate),
             "declared" if one.declared else "blocking" if one.blocking else "informational")
            for one in found.differences
        ],
        head=[(title, "number" if i in RIGHT else "") for i, title in enumerate(HEADER)],
        rows=[row_view(row) for row in found.rows[:ROWS_MOST]],
        hidden=max(0, len(found.rows) - ROWS_MOST),
        terms=" · ".join(compare_words.terms(found)),
        beside=[(f"{safe(one.scenario)} {safe(one.cell)}", safe(one.arm), text.time(one.base.estimate),
                 text.time(one.candidate.estimate)) for one in found.beside[:ROWS_MOST]],
    )
