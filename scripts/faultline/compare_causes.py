# SPDX-License-Identifier: MIT
"""What makes a comparison end with 4, 5, 6 or 7 although there are rows: of every run, whatever rows were asked for.

The status itself is comparison.exit_status; here it is put into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from faultline.comparison import Comparison, exit_status
from faultline.pairing import FAILED, UNLIKE
from faultline.records import Problem
from faultline.sources import Stored
from faultline.text import safe
from faultline.verdict import INVALID, environment_changes, machines_of

BAD = (4, 5, 6, 7)  # statuses with which rows are not to be relied on as they stand
LEFT_OUT = {UNLIKE: (6, "something is not the same on both sides"), FAILED: (5, "a side failed")}  # each has a note


@dataclass(frozen=True)
class Cause:
    """A reason for a status. what: in general; where: with the run."""

    status: int
    what: str
    where: str


def damage(problems: Sequence[Problem], place: str = "") -> list[Cause]:
    """Records that were lost. place: what goes before the first of them."""
    errors = [one for one in problems if one.severity == "error"]
    where = f"{place}{len(errors)} lost or damaged, first {errors[0]}" if errors else ""
    return [Cause(7, "records are damaged", where)] if errors else []


def damage_of(run: Stored) -> list[Cause]:
    """Records that a run has lost."""
    return damage(run.run.problems, f"{run.label}: ")


def failures_of(run: Stored) -> list[Cause]:
    """Trials that failed, and arms that did other work than their baseline."""
    arms = [(cell, arm) for cell in run.results.cells for arm in cell.arms]
    failed = [(cell, arm, trial) for cell, arm in arms for trial in arm.trials if trial.status == "failed"]
    out = []
    if failed:
        cell, arm, trial = failed[0]
        where = f"{cell.scenario.name} {cell.plan.cell}, {arm.name}: {trial.reason or 'no reason recorded'}"
        out.append(Cause(5, "a trial failed", f"{run.label}: failed {len(failed)}×, first {where}"))
    for cell in (cell for cell in run.results.cells if cell.checksum_wrong):
        where = f"{run.label}: {cell.scenario.name} {cell.plan.cell}: {'; '.join(cell.invalid)}"
        out.append(Cause(5, "an arm did other work than its baseline", where))
    return out


def invalid_of(run: Stored) -> list[Cause]:
    """What makes a run invalid as a whole."""
    results, what = run.results, "a run is invalid as a whole"
    out = []
    if results.null_rejected:
        out.append(Cause(4, what, f"{run.label}: identical arms differ in {', '.join(results.null_rejected)}"))
    if results.environment_invalid:
        changed = environment_changes(results.run.trials, machines_of(results.run))
        out.append(Cause(4, what, f"{run.label}: {'; '.join(changed) or 'no comparison of it is valid'}"))
    return out


def causes(found: Comparison) -> list[Cause]:
    """All of them, the gravest first."""
    out = [cause for run in found.runs for part in (damage_of, failures_of, invalid_of) for cause in part(run)]
    out += damage(found.problems)
    if found.has(INVALID):
        out.append(Cause(4, "rows are INVALID", ""))
    left = {one.kind for one in found.left_out}
    out += [Cause(status, what, "") for kind, (status, what) in LEFT_OUT.items() if kind in left]
    return sorted(out, key=lambda one: -one.status)


def notes(found: Comparison) -> list[str]:
    """The causes that no other note tells."""
    told = (one for one in causes(found) if one.status in (4, 5) and one.where)
    return [f"Status {one.status}: {one.what}: {safe(one.where)}" for one in told]


def warning(found: Comparison) -> str | None:
    """Why the rows are not to be relied on, None where the exit status has nothing against them."""
    status = exit_status(found)
    if status not in BAD or not found.rows:
        return None
    what = dict.fromkeys(one.what for one in causes(found))
    return f"Status {status}" + (f": {'; '.join(what)}" if what else "")
