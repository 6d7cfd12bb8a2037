# SPDX-License-Identifier: MIT
"""What a run was asked for and has no figure of, and what its machine lacks, each with the reason."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple

from faultline.text import safe
from faultline.verdict import Results

NAMED = 3  # cells and arms named in a row; more are counted


class Gap(NamedTuple):
    """Something without a figure."""

    where: str
    what: str
    why: str


def listed(names: list[str], word: str) -> str:
    """ "cells a; b", or "12 cells"."""
    found = list(dict.fromkeys(names))
    one = f"{word}{'s' * (len(found) > 1)}"
    return f"{one} {'; '.join(found)}" if len(found) <= NAMED else f"{len(found)} {one}"


def grouped(rows: Iterator[tuple[str, str, str, str, str]]) -> list[Gap]:
    """Rows of (scenario, cell, arm, status, reason) with the same scenario, arm, status and reason as one; the arm is
    "" for a whole cell."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for scenario, cell, arm, status, reason in rows:
        found.setdefault((scenario, arm, status, reason), []).append(cell)
    return [
        Gap(safe(scenario), safe(f"{f'{arm}, ' if arm else ''}{listed(cells, 'cell')}: {status}"), safe(reason))
        for (scenario, arm, status, reason), cells in found.items()
    ]


def refused(results: Results) -> Iterator[tuple[str, str, str, str, str]]:
    """The cells that were not planned."""
    for one in results.run.manifest.refused:
        yield str(one.get("scenario")), str(one.get("cell")), "", "not run", str(one.get("reason"))


def unmeasured(results: Results) -> Iterator[tuple[str, str, str, str, str]]:
    """Arms without a time, and those whose ratio is missing all the same."""
    for cell in results.cells:
        place = (cell.scenario.name, cell.plan.cell)
        for arm in cell.arms:
            if arm.status != "ok":
                yield *place, arm.name, arm.status, arm.reason or "no reason recorded"
            elif (arm.competes or arm.is_phase) and arm.ratio is None:
                yield *place, arm.name, "no ratio", arm.ratio_reason or "no reason recorded"


def lacking(machine: Mapping[str, Any]) -> list[Gap]:
    """Features that the machine or its kernel does not have."""
    features = machine.get("available")
    missing = features.items() if isinstance(features, dict) else ()
    return [Gap("this machine", safe(f"{name}: not here"), safe(why)) for name, why in missing if why is not True]


def gaps(results: Results) -> list[Gap]:
    """All of them: what the run lacks first."""
    return grouped(refused(results)) + grouped(unmeasured(results)) + lacking(results.run.machine)
