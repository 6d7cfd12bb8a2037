# SPDX-License-Identifier: MIT
"""report.html: one file, no network, readable on a phone, on paper, in the light and in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from faultline import conclusion, pair_words, table
from faultline.pictures import Picture
from faultline.text import safe
from faultline.verdict import ArmResult, CellResult, Results, scenarios_of

BYTES_MOST = 2_000_000
CAPTION_BYTES = 1_000  # kept for naming a picture that does not fit
FONT = re.compile(r"font: ([\d.]+px) 'DejaVu Sans', 'Verdana', 'Arial', sans-serif")  # its family is the style sheet's
CELLS_MOST = 300  # tables beyond this many cells are left to cells.csv
TEMPLATES = Path(__file__).parent / "templates"
MACHINE_MOST = 40


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


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An SVG file's root element, for use within HTML: ids made unique by a prefix, described for those who cannot
    see it."""
    body = svg.decode("utf-8")
    body = compact(body[body.index("<svg") :])
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', body)
    body = re.sub(r'(url\(#|href="#)', rf"\1{prefix}", body)
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return body.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)


def figures(drawn: Sequence[tuple[Picture, bytes]], room: int) -> dict[str, list[dict[str, Any]]]:
    """Pictures by scenario, of `room` bytes together; the others are only named. The run's own come first, then the
    first of each scenario, then the second ones."""
    from markupsafe import Markup

    out: dict[str, list[dict[str, Any]]] = {}
    for number, (picture, svg) in enumerate(drawn):
        body = inline(svg, f"p{number}-", picture.caption)
        entry = {"caption": picture.caption, "file": f"plots/{picture.stem}.svg", "svg": Markup(body)}
        out.setdefault(picture.scenario, []).append(entry)
    ranked = [(i if scenario else -1, entry) for scenario, found in out.items() for i, entry in enumerate(found)]
    for _, entry in sorted(ranked, key=lambda pair: pair[0]):
        room -= len(entry["svg"].encode()) + CAPTION_BYTES
        if room < 0:
            room += len(entry["svg"].encode())
            entry["svg"] = None
    return out


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


def scenario_views(results: Results, drawn: Mapping[str, list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    """The scenarios with their conclusion, pictures and table."""
    room = CELLS_MOST
    for scenario, cells in scenarios_of(results):
        sentences = conclusion.scenario_sentences(cells)
        if len(cells) > room:
            sentences.append(f"The table shows {room} of {len(cells)} cells; all are in cells.csv.")
        shown = table.columns_of([table.row(cell, arm) for cell in cells for arm in cell.arms])
        yield {
            "name": safe(scenario.name),
            "question": safe(scenario.question),
            "terms": table.terms(cells),
            "sentences": sentences,
            "figures": drawn.get(scenario.name, []),
            "head": [(table.HEADER[i], "number" if i in table.RIGHT else "") for i in shown],
            "cells": [cell_view(cell, shown) for cell in cells[:room]],
            "counted": table.counted_rows(cells[:room]),
            "counted_notes": table.counted_notes(cells),
            "pairs": pairs_view(cells[:room]),
        }
        room = max(0, room - len(cells))


def origin(results: Results) -> str:
    """Where the run comes from, in a line."""
    manifest = results.run.manifest
    parts = [
        f"profile {manifest.profile}",
        f"{len(results.run.trials)} of {manifest.expected} records",
        f"started {manifest.started}",
        f"faultline {manifest.tool.get('version')} ({manifest.tool.get('build')}, {manifest.tool.get('compiler')})",
    ]
    return safe(" · ".join(parts))


def machine_rows(results: Results) -> list[tuple[str, str]]:
    """The blocking keys of the fingerprint, the first ones."""
    blocking = results.run.machine.get("blocking")
    rows = [(safe(k), safe(v)[:300]) for k, v in blocking.items()] if isinstance(blocking, dict) else []
    return rows[:MACHINE_MOST] or [("machine", safe(results.run.manifest.machine))]


def warnings(results: Results) -> list[str]:
    """What a reader must not miss."""
    emulation = conclusion.emulation_sentence(results)
    out = [emulation] if emulation else []
    out += [
        f"{safe(c.scenario.name)} {safe(c.plan.cell)}: {c.status}: {safe(c.reason)}"
        for c in results.cells
        if c.status != "ok"
    ]
    out += [safe(p) for p in results.run.problems]
    return out[:20] + ([f"… and {len(out) - 20} more, in summary.json"] if len(out) > 20 else [])


PICTURE = """{% macro picture(figure) %}
<figure>{% if figure.svg %}<div class="picture">{{ figure.svg }}</div>{% else %}
<figcaption>{{ figure.caption }} (too large for this page: {{ figure.file }})</figcaption>{% endif %}</figure>
{% endmacro %}"""


def html(results: Results, drawn: Sequence[tuple[Picture, bytes]]) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macro = environment.from_string(PICTURE).module.picture  # type: ignore[attr-defined]
    template = environment.get_template("report.html.j2")
    bare = len(template.render(picture=macro, **view(results, {})).encode())
    return template.render(picture=macro, **view(results, figures(drawn, BYTES_MOST - bare)))


def view(results: Results, by_scenario: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the template shows."""
    return dict(
        run=safe(results.run.manifest.run),
        origin=origin(results),
        noise=conclusion.noise_sentence(results),
        harness=conclusion.harness_sentence(results),
        verdicts=results.verdict_counts(),
        warnings=warnings(results),
        scenarios=list(scenario_views(results, by_scenario)),
        run_figures=by_scenario.get("", []),
        machine=machine_rows(results),
    )
