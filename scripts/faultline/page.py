# SPDX-License-Identifier: MIT
"""report.html: one file, no network, readable on a phone, on paper, in the light and in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from faultline import conclusion, table
from faultline.pictures import Picture
from faultline.text import safe
from faultline.verdict import ArmResult, CellResult, Results, scenarios_of

BYTES_MOST = 2_000_000
FRAME_BYTES = 400_000  # kept for everything but pictures
CELLS_MOST = 300  # tables beyond this many cells are left to cells.csv
TEMPLATES = Path(__file__).parent / "templates"
MACHINE_MOST = 40


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An SVG file's root element, for use within HTML: ids made unique by a prefix, described for those who cannot
    see it."""
    body = svg.decode("utf-8")
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', body)
    body = re.sub(r'(url\(#|href="#)', rf"\1{prefix}", body)
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return body.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)


def figures(drawn: Sequence[tuple[Picture, bytes]]) -> dict[str, list[dict[str, Any]]]:
    """Pictures by scenario, as long as the file stays below BYTES_MOST; later ones are only named."""
    from markupsafe import Markup

    room = BYTES_MOST - FRAME_BYTES
    out: dict[str, list[dict[str, Any]]] = {}
    for number, (picture, svg) in enumerate(drawn):
        body = inline(svg, f"p{number}-", picture.caption)
        fits = len(body.encode()) <= room
        room -= len(body.encode()) if fits else 0
        entry = {"caption": picture.caption, "file": f"plots/{picture.stem}.svg", "svg": Markup(body) if fits else None}
        out.setdefault(picture.scenario, []).append(entry)
    return out


def arm_view(cell: CellResult, arm: ArmResult) -> dict[str, Any]:
    """One line of the table, and under it why it could not be told."""
    why = arm.ratio.why if arm.ratio is not None and not cell.invalid else None
    missing = arm.ratio_reason if arm.competes and arm.ratio is None else arm.reason
    return {
        "line": table.row(cell, arm),
        "verdict": arm.verdict,
        "null": arm.plan.is_null,
        "why": safe(why or missing or ""),
    }


def cell_view(cell: CellResult) -> dict[str, Any]:
    """One cell."""
    return {"title": table.cell_title(cell, False), "arms": [arm_view(cell, arm) for arm in cell.arms]}


def scenario_views(results: Results, drawn: Mapping[str, list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    """The scenarios with their conclusion, pictures and table."""
    room = CELLS_MOST
    for scenario, cells in scenarios_of(results):
        sentences = conclusion.scenario_sentences(cells)
        if len(cells) > room:
            sentences.append(f"The table shows {room} of {len(cells)} cells; all are in cells.csv.")
        yield {
            "name": safe(scenario.name),
            "question": safe(scenario.question),
            "terms": table.terms(cells),
            "sentences": sentences,
            "figures": drawn.get(scenario.name, []),
            "cells": [cell_view(cell) for cell in cells[:room]],
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
    out = [
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
    by_scenario = figures(drawn)
    macro = environment.from_string(PICTURE).module.picture  # type: ignore[attr-defined]
    return environment.get_template("report.html.j2").render(
        picture=macro,
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
