# SPDX-License-Identifier: MIT
"""A board for people: board.md for a job's page, board.html as one file without network, board.svg."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from faultline import board_words, text
from faultline.board import Board, findings
from faultline.board_axes import turn_text
from faultline.board_rows import AGREE, OPEN, PAGE, REAL, RUNS_AGREE, RUNS_DIFFER, SETTINGS, BoardRow
from faultline.command import Complaint
from faultline.markdown import code, escape, fitting, size
from faultline.page import BYTES_MOST as PAGE_BYTES
from faultline.page import TEMPLATES, inline, inlined
from faultline.text import safe

ROWS_MOST = (2000, 500, 100, 20, 0)  # of each table of the page, the first number that leaves room
KEPT = 20  # rows of what has no place on the page without the others: machines, keys of the fingerprints
NOTES_MOST = 30
LINE_MOST = 600  # characters of a note
CONCLUSION_MOST = 3000
CLASSES = {REAL: "v-SLOWER", SETTINGS: "v-CANNOT", PAGE: "v-CANNOT", RUNS_DIFFER: "v-CANNOT", OPEN: "v-CANNOT",
           AGREE: "v-SAME", RUNS_AGREE: "v-CANNOT"}


def cut(lines: Sequence[str], most: int, what: str) -> list[str]:
    """The first lines, each of a bearable length, and how many there are beyond."""
    more = len(lines) - most
    out = [text.shorten(line, LINE_MOST) for line in lines[:most]]
    return out + ([f"… and {more} {what} more, in board.json and on the terminal"] if more > 0 else [])


def picture(found: Board) -> bytes | None:
    """board.svg; None where no ratio stands on two machines."""
    from faultline import board_picture, canvas

    return canvas.render(found, board_picture) if board_picture.drawable(found) else None  # type: ignore[arg-type]


# ---- Markdown ----


def table_head(titles: Sequence[str]) -> str:
    """The head of a Markdown table."""
    return f"| {' | '.join(map(escape, titles))} |\n|{' --- |' * len(titles)}\n"


def table_row(values: Sequence[str]) -> str:
    """One row of it."""
    return f"| {' | '.join(map(escape, values))} |\n"


def light_table(found: Board) -> list[list[str]]:
    """The panel: its rows, a piece each."""
    return [[row.light.name, *(board_words.light_text(row, machine, value, found.hidden(machine))
                               for machine, value in zip(found.machines, row.values))] for row in found.light]


def labels(found: Board) -> list[str]:
    """The heads of the machines' columns."""
    return [machine.label for machine in found.machines]


def blocks(found: Board) -> Iterator[str]:
    """The document, the most important first: each block is whole by itself or a row of a table."""
    yield f"# faultline board\n\n**{escape(text.shorten(board_words.conclusion(found), CONCLUSION_MOST))}**\n\n"
    yield f"{escape(board_words.counts_line(found))}\n\n"
    yield "".join(f"- {escape(text.shorten(line, LINE_MOST))}\n" for line in board_words.machine_lines(found))
    for note in cut(board_words.notes(found), NOTES_MOST, "notes"):
        yield f"\n> {escape(note)}\n"
    yield "\n## Speed of light\n\nAbsolute times, to be looked at and never divided by.\n\n"
    yield table_head(["", *labels(found)])
    yield from map(table_row, light_table(found))
    for command, names in board_words.light_missing(found):
        yield f"\nTo measure what is missing: {code(command)} on {escape(names)}\n"
    keys = board_words.key_differences(found)
    if keys:
        yield "\n## Difference of the fingerprints\n\n" + table_head(["key", *labels(found)])
        yield from (table_row([key, *values]) for key, values in keys)
    yield from row_blocks(found)
    yield from axis_blocks(found)
    if found.times:
        yield "\n## Times of an operation, side by side\n\nAbsolute, not compared.\n\n"
        yield table_head(["scenario, cell (operation)", "arm", *labels(found)])
        yield from (table_row([board_words.where_timed(row), safe(row.arm), *board_words.time_texts(row.values)])
                    for row in found.times)


def row_blocks(found: Board) -> Iterator[str]:
    """The rows: a head, then a row each."""
    if not found.rows:
        return
    terms = "".join(f"{escape(term)}.\n" for term in board_words.terms(found))
    yield f"\n## The board\n\n{terms}\n" + table_head(["scenario, cell", "arm", *labels(found), "between them", "why"])
    for row in found.rows:
        why = text.shorten(safe(row.why or ""), LINE_MOST) if row.apart or row.turns else ""
        yield table_row([board_words.where(row), *board_words.fields(found, row), why])


def axis_blocks(found: Board) -> Iterator[str]:
    """Crossovers and what a byte costs."""
    if found.crossings:
        yield "\n## Crossovers\n\nSide by side, not compared.\n\n"
        yield table_head(["scenario, axis", "arm", *labels(found)])
        for row in found.crossings:
            values = [safe(turn_text(row.axis, value)) for value in row.values]
            yield table_row([board_words.along(row), safe(row.arm), *values])
    if found.slopes:
        yield "\n## What a further byte costs\n\nAbsolute, not compared.\n\n"
        yield table_head(["scenario, axis", "arm", *labels(found)])
        for one in found.slopes:
            yield table_row([board_words.along(one), safe(one.arm), *board_words.line_texts(one.values)])


def markdown(found: Board) -> str:
    """board.md, at most markdown.BYTES_MOST bytes of UTF-8: what does not fit is counted."""
    return fitting("", list(blocks(found)), "board.json")


# ---- HTML ----


def row_view(found: Board, row: BoardRow) -> dict[str, Any]:
    """One row of the page."""
    values = board_words.fields(found, row)
    classes = ["", *(verdict_class(value.verdict if value is not None else None) for value in row.values),
               f"verdict {CLASSES.get(row.finding, '')}".rstrip()]
    return {"where": board_words.where(row), "fields": list(zip(values, classes)), "why": safe(row.why or "")}


def verdict_class(verdict: str | None) -> str:
    """How a machine's figure looks."""
    return f"v-{verdict.split()[0]}" if verdict else ""


def view(found: Board, svg: str | None, rows: int, drawn: bool) -> dict[str, Any]:
    """What the template shows, with at most so many rows in each table. drawn: whether there is a picture, here (svg)
    or beside the page."""
    from markupsafe import Markup

    keys, kept = board_words.key_differences(found), max(rows, KEPT)
    return dict(
        style=inlined("report.css"),
        conclusion=board_words.conclusion(found),
        findings=[(finding, number, CLASSES.get(finding, "")) for finding, number in findings(found.rows).items()],
        machines=cut(board_words.machine_lines(found), kept, "machines"),
        labels=labels(found),
        warnings=cut(board_words.notes(found), NOTES_MOST, "notes"),
        light=light_table(found),
        commands=board_words.light_missing(found),
        picture=Markup(svg) if svg else None,
        picture_hidden=drawn and not svg,
        differences=keys[:kept],
        differences_hidden=max(0, len(keys) - kept),
        terms=board_words.terms(found),
        rows=[row_view(found, row) for row in found.rows[:rows]],
        rows_hidden=max(0, len(found.rows) - rows),
        crossings=[(board_words.along(row), safe(row.arm), [safe(turn_text(row.axis, value)) for value in row.values])
                   for row in found.crossings[:rows]],
        crossings_hidden=max(0, len(found.crossings) - rows),
        slopes=[(board_words.along(row), safe(row.arm), board_words.line_texts(row.values))
                for row in found.slopes[:rows]],
        slopes_hidden=max(0, len(found.slopes) - rows),
        times=[(board_words.where_timed(row), safe(row.arm),
                list(zip(board_words.time_texts(row.values), board_words.per_kib_texts(row.values))))
               for row in found.times[:rows]],
        times_hidden=max(0, len(found.times) - rows),
        paged=len({machine.page_bytes for machine in found.machines}) > 1,
    )


def html(found: Board, svg: bytes | None) -> str:
    """board.html, at most PAGE_BYTES: of a larger board the tables show fewer rows, at last the picture is left out,
    and the page says so. Complaint when even that is too large."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("board.html.j2")
    drawn = inline(svg, "b-", "ratios of all machines") if svg else None
    for picture_ in dict.fromkeys((drawn, None)):
        for rows in ROWS_MOST:
            out = template.render(view(found, picture_, rows, drawn is not None))
            if size(out) <= PAGE_BYTES:
                return out
    raise Complaint(f"board.html would be larger than {PAGE_BYTES} bytes: fewer machines make it smaller")
