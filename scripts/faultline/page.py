# SPDX-License-Identifier: MIT
"""report.html: one file, no network, readable on a phone, on paper, in the light and in the dark."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import groupby
from pathlib import Path
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from faultline import claim_words, conclusion, gaps, origin, pair_words, strips, table
from faultline.pictures import Picture
from faultline.text import cut, listed, safe
from faultline.verdict import ArmResult, CellResult, Results, scenarios_of

BYTES_MOST = 2_000_000
CAPTION_BYTES = 1_000  # kept for naming a picture that does not fit
NAMES_MOST = 8  # pictures named at the top as left out; more are counted, and all are named where they belong
NOTE_BYTES = 4_000  # kept for that
FONT = re.compile(r"font: ([\d.]+px) 'DejaVu Sans', 'Verdana', 'Arial', sans-serif")  # its family is the style sheet's
GAPS_MOST = 120  # rows on what has no figure
CAPTION_MOST = 150  # characters of a caption that stands in for its picture
WARNINGS_MOST = 20
TEMPLATES = Path(__file__).parent / "templates"


class Room(NamedTuple):
    """How much the page shows: cells in all tables, scenarios, rows of any other list or sentences, characters of a
    text."""

    cells: int
    scenarios: int = 1000
    rows: int = 1000
    text: int = 4000


# The first that fits is taken; what it leaves out is in cells.csv and summary.json. The last fits whatever a run holds.
ROOMS = (Room(300), Room(100), Room(30), Room(0), Room(0, 100, 50, 300), Room(0, 10, 20, 150), Room(0, 0, 20, 100))


def compact(svg: str) -> str:
    """The same picture in fewer bytes: without metadata, comments, groups that say nothing and blanks between elements,
    places to 1/100 point. Texts are not touched."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    out: list[str] = []
    dropped: list[bool] = []  # of each open group, whether its start was left out
    for tag, text in re.findall(r"(<[^>]*>)([^<]*)", svg):
        tag = tag_compact(tag)
        if tag.startswith("</g"):
            tag = "" if dropped.pop() else tag
        elif tag.startswith("<g") and not tag.endswith("/>"):
            dropped.append(tag == "<g>")
            tag = "" if dropped[-1] else tag
        out.append(("" if tag == "<g/>" else tag) + ("" if text.isspace() else text))
    return "".join(out)


def tag_compact(tag: str) -> str:
    """One tag. Only definitions are referred to by their names, groups are not."""
    tag = re.sub(r"\s+", " ", FONT.sub(r"font-size:\1", tag))
    tag = re.sub(r' id="[^"]*"', "", tag) if tag.startswith("<g ") else tag
    tag = re.sub(r' transform="rotate\(-0 [^"]*"| (?=")|(?<=[:;]) ', "", tag)
    return re.sub(r"(\.\d*?[1-9])0+(?!\d)|\.0+(?!\d)", r"\1", re.sub(r"(\.\d\d)\d+", r"\1", tag))


def tag_prefix(tag: str, prefix: str) -> str:
    """One tag with a prefix before its id and before those that it refers to."""
    return re.sub(r'(\bid="|url\(#|href="#)(?=[^"])', lambda found: found[1] + prefix, tag)


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An SVG file's root element, for use within HTML: ids made unique by a prefix, described for those who cannot
    see it."""
    body = svg.decode("utf-8")
    body = compact(body[body.index("<svg") :])
    body = re.sub(r"<[^>]*>", lambda tag: tag_prefix(tag[0], prefix), body)
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return body.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)


def figures(drawn: Sequence[tuple[Picture, bytes]], room: int) -> dict[str, list[dict[str, Any]]]:
    """Pictures by scenario, of `room` bytes together; the others are only named. The run's own come first, then the
    first of each scenario, then the second ones."""
    from markupsafe import Markup

    out: dict[str, list[dict[str, Any]]] = {}
    for number, (picture, svg) in enumerate(drawn):
        body = inline(svg, f"p{number}-", picture.caption)
        caption = cut(picture.caption, CAPTION_MOST)
        entry = {"caption": caption, "file": f"plots/{picture.stem}.svg", "svg": Markup(body)}
        out.setdefault(picture.scenario, []).append(entry)
    ranked = [(i if scenario else -1, entry) for scenario, found in out.items() for i, entry in enumerate(found)]
    for _, entry in sorted(ranked, key=lambda pair: pair[0]):
        room -= len(entry["svg"].encode()) + CAPTION_BYTES
        if room < 0:
            room += len(entry["svg"].encode())
            entry["svg"] = None
    return out


def left_out(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """Which pictures do not fit, "" when all do."""
    names = [entry["file"] for entries in found.values() for entry in entries if entry["svg"] is None]
    more = ", named where they belong" if len(names) > NAMES_MOST else ""
    pictures = f"{len(names)} picture{'s' * (len(names) > 1)}"
    return f"Left out for want of room: {pictures}: {listed(names, NAMES_MOST)}{more}." if names else ""


def css_class(column: int, verdict: str | None) -> str:
    """How a column of the table looks."""
    if column == table.VERDICT:
        return f"verdict v-{verdict.split()[0] if verdict else 'none'}"
    return "number" if column in table.RIGHT else ""


def arm_view(cell: CellResult, arm: ArmResult, shown: Sequence[int]) -> dict[str, Any]:
    """One line of the table, and under it why it could not be told."""
    why = arm.ratio.why if arm.ratio is not None and not cell.invalid else None
    missing = arm.ratio_reason if (arm.competes or arm.is_phase) and arm.ratio is None else arm.reason
    values = table.row(cell, arm)
    return {
        "fields": [(values[i], css_class(i, arm.verdict)) for i in shown],
        "null": arm.plan.is_null,
        "why": safe(why or missing or ""),
    }


def cell_view(cell: CellResult, shown: Sequence[int]) -> dict[str, Any]:
    """One cell."""
    return {"title": table.cell_title(cell, False), "arms": [arm_view(cell, arm, shown) for arm in cell.arms]}


def pairs_view(cells: Sequence[CellResult]) -> dict[str, Any] | None:
    """The table of the distance classes of CPUs; None without pairs."""
    found = pair_words.rows(cells)
    kinds = ["number" if i in pair_words.RIGHT else "" for i in range(len(pair_words.HEADER))]
    return {
        "head": list(zip(pair_words.HEADER, kinds)),
        "cells": [(cell, [list(zip(row, kinds)) for row in rows]) for cell, rows in found],
    } if found else None


def counted_view(cells: Sequence[CellResult]) -> list[list[tuple[str, str]]]:
    """The table of the counters that were asked for, its head first: the arm, its cell, the counts."""
    rows = table.counted_rows(cells)
    place = ""
    out = []
    for cell, arm, *values in rows:
        place = cell or place
        out.append([(arm, ""), (place, "words"), *((value, "number") for value in values)])
    return out


def most_each(counts: Sequence[int], room: int) -> int:
    """The largest number of cells that each scenario may show so that all of them together show at most `room`."""
    each = max(counts, default=0)
    while sum(min(count, each) for count in counts) > room:
        each -= 1
    return each


def few(sentences: Sequence[str], room: Room) -> list[str]:
    """As many sentences as there is room for, and how many more there are."""
    more = [f"… and {len(sentences) - room.rows} more."] if len(sentences) > room.rows else []
    return [*sentences[: room.rows], *more]


def few_rows(rows: Sequence[tuple[str, str]], room: Room, where: str) -> list[tuple[str, str]]:
    """As many rows of a list as there is room for, then how many more there are in the file `where`."""
    more = [("…", f"and {len(rows) - room.rows} more, in {where}")] if len(rows) > room.rows else []
    return [*rows[: room.rows], *more]


def scenario_views(
    results: Results, drawn: Mapping[str, list[dict[str, Any]]], room: Room
) -> Iterable[dict[str, Any]]:
    """The scenarios with their conclusion, pictures and table, as far as there is room."""
    scenarios = scenarios_of(results)[: room.scenarios]
    most = most_each([len(cells) for _, cells in scenarios], room.cells)
    for scenario, cells in scenarios:
        sentences = few(conclusion.scenario_sentences(cells), room)
        if len(cells) > most:
            sentences.append(f"The table shows {most} of {len(cells)} cells; all are in cells.csv.")
        shown = table.columns_of([table.row(cell, arm) for cell in cells for arm in cell.arms])
        yield {
            "name": safe(scenario.name),
            "question": safe(scenario.question),
            "terms": table.terms(cells),
            "sentences": sentences,
            "figures": drawn.get(safe(scenario.name), []),
            "head": [(table.HEADER[i], "number" if i in table.RIGHT else "") for i in shown],
            "cells": [cell_view(cell, shown) for cell in cells[:most]],
            "counted": counted_view(cells[:most]),
            "counted_notes": few(table.counted_notes(cells), room),
            "pairs": pairs_view(cells[:most]),
        }


def strips_view(results: Results, room: Room) -> list[tuple[str, int, list[strips.Strip]]]:
    """The rows of the board by scenario: its name, the number of its section from 1, the rows; as far as there is
    room."""
    numbers = {safe(scenario.name): number for number, (scenario, _) in enumerate(scenarios_of(results), 1)}
    grouped = groupby(strips.strips(results), key=lambda strip: strip.scenario)
    rows = [(name, numbers[name], list(found)[: room.rows]) for name, found in grouped]
    return [row for row in rows if row[1] <= room.scenarios]


def is_board(figure: Mapping[str, Any]) -> bool:
    """Whether a picture of the run is the one of its claims."""
    return bool(figure["file"] == "plots/verdict_board.svg")


def claims_view(results: Results, figures: Sequence[dict[str, Any]], room: Room) -> dict[str, Any] | None:
    """The board of claims, as many as there is room for; None without any. figures: the run's own pictures."""
    found = claim_words.rows(results)
    return {
        "tally": list(claim_words.tally(found).items()),
        "rows": [vars(one) for one in found[: room.rows]],
        "more": max(0, len(found) - room.rows),
        "figures": [figure for figure in figures if is_board(figure)],
    } if found else None


def grid_view(rows: Sequence[Sequence[str]], kind: str = "") -> list[list[tuple[str, str]]]:
    """The fields of plain rows, each with how its column looks."""
    return [[(field, kind) for field in row] for row in rows]


def warnings(results: Results) -> list[str]:
    """What a reader must not miss: first what concerns the run as a whole."""
    whole = (conclusion.unfinished_sentence, conclusion.environment_sentence, conclusion.emulation_sentence)
    out = [sentence for sentence in (of(results) for of in whole) if sentence]
    out += [
        f"{safe(c.scenario.name)} {safe(c.plan.cell)}: {c.status}: {safe(c.reason)}"
        for c in results.cells
        if c.status != "ok"
    ]
    out += [safe(p) for p in results.run.problems]
    more = len(out) - WARNINGS_MOST
    return out[:WARNINGS_MOST] + ([f"… and {more} more, in summary.json"] if more > 0 else [])


def html(results: Results, drawn: Sequence[tuple[Picture, bytes]]) -> str:
    """The whole page, at most BYTES_MOST bytes: of a run too large for that, the cells that tables show are fewer, and
    the pictures that are used least are left out; in the end everything that a run can hold any number of."""
    for room in ROOMS:
        left = BYTES_MOST - NOTE_BYTES - len(render(results, {}, room).encode())
        if left >= CAPTION_BYTES * len(drawn):
            text = render(results, figures(drawn, left), room)
            if len(text.encode()) <= BYTES_MOST:
                return text
    return render(results, {}, ROOMS[-1])


def render(results: Results, by_scenario: Mapping[str, list[dict[str, Any]]], room: Room) -> str:
    """The page with these pictures and as much of everything else as there is room for."""
    import jinja2
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """A value for the page: texts cut, but not what is HTML already."""
        return cut(value, room.text) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(view(results, by_scenario, room))


def inlined(name: str) -> Any:
    """A style sheet or script of the page, not to be escaped."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def hash_of(script: str) -> str:
    """How a Content-Security-Policy names the one script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def view(results: Results, by_scenario: Mapping[str, list[dict[str, Any]]], room: Room) -> dict[str, Any]:
    """What the template shows."""
    manifest, machine = results.run.manifest, results.run.machine
    found = gaps.gaps(results)
    gaps_most = min(GAPS_MOST, room.rows)
    harness = conclusion.harness_sentence(results)
    script = inlined("report.js")
    return dict(
        style=inlined("report.css"),
        script=script,
        script_hash=hash_of(script),
        run=safe(manifest.run),
        origin=origin.line(results),
        sentences=conclusion.run_sentences(results),
        verdicts=results.verdict_counts(),
        warnings=warnings(results),
        left_out=left_out(by_scenario),
        claims=claims_view(results, by_scenario.get("", []), room),
        strips=strips_view(results, room),
        scenarios=list(scenario_views(results, by_scenario, room)),
        scenarios_more=max(0, len(scenarios_of(results)) - room.scenarios),
        machine=few_rows(origin.fingerprint(machine, manifest.machine), room, "machine.json"),
        tree=origin.tree_sentence(machine),
        cpus=grid_view(origin.cpu_table(machine, room.rows)),
        trust=[conclusion.noise_sentence(results), *conclusion.null_sentences(results), *filter(None, [harness])],
        run_figures=[figure for figure in by_scenario.get("", []) if not is_board(figure)],
        gaps=grid_view(found[:gaps_most], "words"),
        gaps_more=max(0, len(found) - gaps_most),
        command=origin.command(manifest),
        program=few_rows(origin.program(manifest), room, "manifest.json"),
    )
