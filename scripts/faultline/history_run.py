# SPDX-License-Identifier: MIT
"""What a run contributes to a history: who and where it was, and the figures of its arms.

Read from summary.json, manifest.json and machine.json. Where summary.json is missing, or is not what the records say
now, the figures are concluded anew from them, as the report does; nothing is written into the run's directory.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping

from faultline import freshness, records, summary, verdict
from faultline.records import ArmPlan, LineError, Manifest, RecordsError, get, json_load, objects
from faultline.text import safe

COUNT_SUFFIX = "_per_op"
MEASURED = ("ns_per_op", "ratio")  # the other quantities are counts


@dataclass(frozen=True)
class Figure:
    """One quantity of an arm in a run. quantity: ns_per_op, ratio or COUNTER_per_op; low, high: None without an
    interval; role: baseline, candidate, phase or null."""

    scenario: str
    scenario_hash: str
    cell: str
    arm: str
    method: str
    method_version: int | None
    role: str
    delta: float
    quantity: str
    estimate: float
    low: float | None
    high: float | None
    verdict: str | None
    trials: int


@dataclass(frozen=True)
class RunFigures:
    """A run as the history keeps it. started: UTC, ISO 8601 to the millisecond, so that texts sort as times do;
    fingerprint: hash of `blocking`, which is None where machine.json is missing; expected, finished: records that were
    planned (None where nothing says that) and that can be used; stopped: why it ended, "" where it did not."""

    name: str
    started: str
    seed: int | None
    machine: str
    fingerprint: str
    blocking: Mapping[str, Any] | None
    tool_version: str
    program: str
    profile: str
    noise_grade: str
    boot: str
    instance: str
    expected: int | None
    finished: int
    stopped: str
    figures: tuple[Figure, ...]

    @property
    def id(self) -> str:
        """12 hexadecimal digits of what tells this run from every other one (names of directories do not)."""
        return digest([self.name, self.started, self.seed, self.fingerprint])[:12]

    @property
    def digest(self) -> str:
        """64 hexadecimal digits of all that is kept."""
        return digest(asdict(self))


def is_count(quantity: str) -> bool:
    """Whether a quantity is a count per operation."""
    return quantity not in MEASURED


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def time_read(text: str | None) -> str:
    """The start of a run in UTC to the millisecond; LineError when it is none, or names no zone."""
    try:
        local = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        found = local.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise LineError(f'"started" is no time: {safe(text)}') from None
    if local.tzinfo is None:
        raise LineError(f'"started" names no time zone: {safe(text)}')
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


def summary_of(directory: Path) -> Mapping[str, Any]:
    """summary.json as stored, or made anew, also where an earlier version of the program left out what is needed here;
    RecordsError when it cannot be."""
    if freshness.is_current(directory, (freshness.SUMMARY,)):
        stored = json_load(directory / freshness.SUMMARY, "faultline.summary")
        if "damage" in stored and all("counts_invalid" in cell for cell in objects(stored, "cells")):
            return stored
    return json.loads(json.dumps(summary.summary(verdict.conclude(records.run_load(directory)))))


def instance_of(directory: Path) -> str:
    """The instance that the first sound record names, "" when none does. Where records differ in it, the summary says
    so and no figure of the run is valid."""
    path = directory / "trials.jsonl"
    for _, line, whole in records.lines_split(path) if path.exists() else ():
        try:
            value = records.json_parse(records.line_verify(line)[0]) if whole else None
            return str(value.get("instance") or "") if isinstance(value, dict) else ""
        except LineError:
            continue
    return ""


def interval_read(value: Mapping[str, Any]) -> tuple[float, float | None, float | None]:
    """An interval of summary.json."""
    number = (int, float)
    low, high = get(value, "low", number, none=True), get(value, "high", number, none=True)
    return ordered(get(value, "estimate", number), low, high)


def ordered(estimate: float, low: float | None, high: float | None) -> tuple[float, float | None, float | None]:
    """The same, as float; LineError when the estimate lies outside its interval."""
    if (low is not None and low > estimate) or (high is not None and high < estimate):
        raise LineError(f"an estimate ({estimate:g}) lies outside its interval")
    return float(estimate), None if low is None else float(low), None if high is None else float(high)


def quantities(arm: Mapping[str, Any]) -> Iterator[tuple[str, float, float | None, float | None]]:
    """(quantity, estimate, low, high) of what an arm of summary.json has."""
    for name in MEASURED:
        found = get(arm, name, dict, none=True)
        if found is not None:
            yield (name, *interval_read(found))
    counts, ranges = get(arm, "counts_per_op", dict), get(arm, "counts_range", dict, none=True) or {}
    for name in counts:
        value = get(counts, name, (int, float), none=True)
        if value is not None:
            yield name + COUNT_SUFFIX, *ordered(value, *range_read(ranges, name, value))


def range_read(ranges: Mapping[str, Any], name: str, value: float) -> tuple[float, float]:
    """The ends of a count over the trials, both its value where it does not differ; LineError when they are none."""
    if name not in ranges:
        return value, value
    pair = get(ranges, name, list)
    if len(pair) != 2:
        raise LineError(f'"{safe(name)}" of "counts_range" is no pair')
    low, high = (get({name: end}, name, (int, float)) for end in pair)
    return low, high


def arm_figures(
    manifest: Manifest, cell: Mapping[str, Any], arm: Mapping[str, Any], plans: Mapping[Any, ArmPlan], moved: bool
) -> Iterator[Figure]:
    """The figures of one arm. None is valid where something `moved` under the run, none but counts where the cell is
    not, and these neither where the summary says so; LineError when it breaks the contract or the plan does not know
    it."""
    scenario = manifest.scenarios.get(get(cell, "scenario", str))
    plan = plans.get((cell["scenario"], get(cell, "cell", str), get(arm, "name", str)))
    if scenario is None or plan is None:
        raise LineError(f"the plan has no arm {safe(arm.get('name'))} of {safe(cell['scenario'])} {safe(cell['cell'])}")
    invalid = moved or get(cell, "status", str) == "invalid"
    counts_invalid = moved or get(cell, "counts_invalid", str, none=True) is not None
    for quantity, estimate, low, high in quantities(arm):
        if estimate < 0:
            raise LineError(f"{quantity} of arm {safe(plan.name)} is negative")
        told = get(arm, "verdict", str, none=True) if quantity == "ratio" else None
        yield Figure(
            scenario=scenario.name,
            scenario_hash=scenario.hash or "",
            cell=cell["cell"],
            arm=plan.name,
            method=plan.method,
            method_version=plan.method_version,
            role=get(arm, "role", str),
            delta=scenario.delta,
            quantity=quantity,
            estimate=estimate,
            low=low,
            high=high,
            verdict=verdict.INVALID if (counts_invalid if is_count(quantity) else invalid) else told,
            trials=get(arm, "trials", int),
        )


def figures_of(manifest: Manifest, found: Mapping[str, Any]) -> tuple[Figure, ...]:
    """All figures of a summary; LineError when it is not of this manifest, lost data, or has no figure."""
    if get(found, "run", str) != manifest.run:
        raise LineError(f"is of another run ({safe(found['run'])})")
    lost = get(found, "damage", list)
    if lost:
        raise LineError(f"the run is damaged: {safe(lost[0])}" + (" …" if len(lost) > 1 else ""))
    plans = {(c.scenario, c.cell, a.name): a for c in manifest.cells for a in c.arms}
    moved = bool(get(found, "environment_changes", list))
    figures = [
        figure
        for cell in objects(found, "cells")
        for arm in objects(cell, "arms")
        for figure in arm_figures(manifest, cell, arm, plans, moved)
    ]
    if not figures:
        raise LineError("nothing was measured")
    if len({(f.scenario, f.cell, f.arm, f.quantity) for f in figures}) != len(figures):
        raise LineError("an arm comes twice")
    return tuple(figures)


def machine_of(directory: Path, manifest: Manifest) -> tuple[str, str, Mapping[str, Any] | None, str]:
    """(name, fingerprint, what blocks, boot) of where the run was; LineError when nothing says that, or two hashes
    disagree."""
    path = directory / "machine.json"
    machine = json_load(path, "faultline.machine") if path.exists() else {}
    fingerprint = get(machine, "hash", str, none=True) or manifest.machine
    if not fingerprint:
        raise LineError("says nothing of the machine, and there is no machine.json")
    if manifest.machine not in (None, fingerprint):
        raise LineError("names another machine than machine.json does")
    name, boot = get(machine, "name", str, none=True), get(machine, "boot_id", str, none=True)
    return name or "", fingerprint, get(machine, "blocking", dict, none=True), boot or ""


def started_of(directory: Path) -> str:
    """When a run began, as RunFigures has it, and nothing else of it; RecordsError, one line with the file, when that
    cannot be read."""
    if not directory.is_dir():
        raise RecordsError(f"{directory}: no such run directory")
    path = directory / freshness.MANIFEST
    try:
        return time_read(get(json_load(path, "faultline.manifest"), "started", str, none=True))
    except LineError as error:
        raise RecordsError(f"{path}: {error}") from None


def read(directory: Path) -> RunFigures:
    """A run's contribution; RecordsError or OSError, one line with the file, when there is none."""
    if not directory.is_dir():
        raise RecordsError(f"{directory}: no such run directory")
    path = directory / freshness.MANIFEST
    try:
        manifest = records.manifest_read(json_load(path, "faultline.manifest"), records.parameter_types())
        started = time_read(manifest.started)
        name, fingerprint, blocking, boot = machine_of(directory, manifest)
        path = directory / freshness.SUMMARY
        found = summary_of(directory)
        figures = figures_of(manifest, found)
        grade = get(found, "noise_grade", str, none=True)
        expected, finished = get(found, "expected", int, none=True), get(found, "finished", int)
        stopped = get(found, "stopped", str, none=True)
    except (LineError, RecordsError) as error:
        named = str(error).startswith(f"{directory}{os.sep}")
        raise RecordsError(str(error) if named else f"{path}: {error}") from None
    except (TypeError, ValueError, KeyError) as error:  # a member of another shape than the format's
        raise RecordsError(f"{path}: breaks the format: {safe(error)}") from None
    return RunFigures(
        name=manifest.run,
        started=started,
        seed=manifest.seed,
        machine=name,
        fingerprint=fingerprint,
        blocking=blocking,
        tool_version=str(manifest.tool.get("version") or ""),
        program=str(manifest.tool.get("program") or ""),
        profile=manifest.profile or "",
        noise_grade=grade or "",
        boot=boot,
        instance=instance_of(directory),
        expected=expected,
        finished=finished,
        stopped=stopped or "",
        figures=figures,
    )
