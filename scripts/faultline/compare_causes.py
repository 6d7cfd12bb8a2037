# SPDX-License-Identifier: MIT
"""With which status a comparison ends, and why: of every run, whatever rows were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from faultline.comparison import Comparison
from faultline.pairing import FAILED, UNLIKE
from faultline.records import Problem
from faultline.sources import Stored
from faultline.text import safe
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SLOWER, environment_changes, machines_of

FAIL_ON = {"slower": (SLOWER,), "any": (SLOWER, FASTER), "never": ()}
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
    """All that makes a comparison end with one of BAD, the gravest first."""
    out = [cause for run in found.runs for part in (damage_of, failures_of, invalid_of) for cause in part(run)]
    out += damage(found.problems)
    if not found.compared:
        out.append(Cause(7, "nothing was compared", ""))
    if found.refused:
        out.append(Cause(6, "the sides may not be compared", ""))
    if found.has(INVALID):
        out.append(Cause(4, "rows are INVALID", ""))
    left = {one.kind for one in found.left_out}
    out += [Cause(status, what, "") for kind, (status, what) in LEFT_OUT.items() if kind in left]
    return sorted(out, key=lambda one: -one.status)


def exit_status(found: Comparison, fail_on: str = "slower", insist: bool = False) -> int:
    """That of the gravest cause; without one 1 a change that was asked for, 3 undecided (only if insisted), 0."""
    against = causes(found)
    if against:
        return against[0].status
    if any(found.has(one) for one in FAIL_ON[fail_on]):
        return 1
    return 3 if insist and (found.has(CANNOT_TELL) or found.left_out) else 0


def bisect_status(found: Comparison, status: int) -> int:
    """What git bisect run understands: 0 good, 1 bad, 125 undecided."""
    if status in (0, 3):
        return 125 if found.has(CANNOT_TELL) or found.left_out else 0
    return 1 if status == 1 else 125


def bisect_doubt(found: Comparison, status: int, fail_on: str) -> int:
    """The same, but undecided where nothing else speaks than a ratio whose baseline's time moved more than the arm's:
    what is sought has not happened to the arm."""
    decisive = [row for row in found.rows if row.verdict in FAIL_ON[fail_on]]
    if status == 1 and all(row.by_baseline for row in decisive):
        return 125
    return 125 if status == 0 and any(row.by_baseline for row in found.rows) else status


def notes(found: Comparison) -> list[str]:
    """The causes that no other note tells."""
    told = (one for one in causes(found) if one.status in (4, 5) and one.where)
    return [f"Status {one.status}: {one.what}: {safe(one.where)}" for one in told]


def warning(found: Comparison) -> str | None:
    """Why the rows are not to be relied on, None where the exit status has nothing against them."""
    against = causes(found)
    if not against or not found.rows:
        return None
    return f"Status {against[0].status}: {'; '.join(dict.fromkeys(one.what for one in against))}"
