# SPDX-License-Identifier: MIT
"""What a live comparison says, from its files: the change of every arm with its verdict.

The unit is the pair of trials that took turns. A pair gives each arm one log ratio, candidate ÷ base, over
neighbouring rounds (trial_pair.pair_log_ratio); over pairs Hodges–Lehmann with the exact signed-rank interval, and the
rule of verdicts (docs/statistics.md) with all arms of a scenario as one family, baseline and null arm included.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from faultline import derive, stats, verdict
from faultline.live_sides import BASE, CANDIDATE, FAILED, LEFT_OUT, LeftOut
from faultline.live_store import CONTROLS, LIVE, PairLine, pairs_load
from faultline.records import (
    Arm,
    CellPlan,
    LineError,
    Problem,
    RecordsError,
    Run,
    Trial,
    get,
    json_parse,
    objects,
    run_load,
)
from faultline.stats import Interval
from faultline.text import percent, safe
from faultline.trial_pair import SideError, pair_log_ratio
from faultline.verdict import VERDICTS, Quantity


@dataclass(frozen=True)
class ArmPair:
    """One arm of one pair: log(second ÷ first), None with a reason; median ns an operation of each."""

    log: float | None
    reason: str | None = None
    first_ns: float | None = None
    second_ns: float | None = None


def arm_pair(first: Arm, second: Arm, first_starts: bool) -> ArmPair:
    """An arm as both trials of a pair measured it."""
    bad = next((arm for arm in (first, second) if arm.status != "ok"), None)
    if bad is not None:
        return ArmPair(None, f"{bad.status}: {bad.reason or 'no reason recorded'}")
    if first.ops_per_batch != second.ops_per_batch:
        ops = first.ops_per_batch, second.ops_per_batch
        return ArmPair(None, f"{ops[0]} operations a batch on one side, {ops[1]} on the other")
    ns = derive.ns_per_op(first), derive.ns_per_op(second)
    try:
        log = pair_log_ratio(*(ns if first_starts else ns[::-1]))
    except SideError as error:
        return ArmPair(None, str(error))
    return ArmPair(-log if first_starts else log, None, *(float(np.nanmedian(one)) for one in ns))


def pair_arms(first: Trial, second: Trial, first_starts: bool) -> dict[str, ArmPair]:
    """Every arm of a pair by name."""
    others = {arm.name: arm for arm in second.arms}
    return {arm.name: arm_pair(arm, others[arm.name], first_starts) for arm in first.arms if arm.name in others}


@dataclass
class LiveArm:
    """An arm over all pairs of its cell. change: candidate ÷ base, logarithms inside; None with a reason."""

    name: str
    is_null: bool
    is_baseline: bool
    pairs: list[ArmPair]
    base_ns: Interval | None = None
    candidate_ns: Interval | None = None
    change: Quantity | None = None
    reason: str | None = None

    @property
    def verdict(self) -> str | None:
        """None where there is no ratio."""
        return self.change.verdict if self.change is not None else None


@dataclass
class LiveCellResult:
    """A cell over all its pairs, and over its controls, whose ratios are of the base against itself."""

    scenario: str
    cell: str
    delta: float
    arms: list[LiveArm]
    controls: list[LiveArm]
    failed: list[str]
    invalid: list[str] = field(default_factory=list)

    @property
    def margin(self) -> float:
        """log(1 + δ)."""
        return math.log1p(self.delta)


@dataclass
class LiveResults:
    """Everything that a live comparison says. `live`: live.json."""

    directory: Path
    live: Mapping[str, Any]
    runs: Mapping[str, Run]
    cells: list[LiveCellResult]
    left_out: list[LeftOut]
    problems: list[Problem]

    @property
    def arms(self) -> list[tuple[LiveCellResult, LiveArm]]:
        """All arms of all cells."""
        return [(cell, arm) for cell in self.cells for arm in cell.arms]

    @property
    def counts(self) -> dict[str, int]:
        """How many arms got each verdict, every verdict named."""
        found = Counter(arm.verdict for _, arm in self.arms if arm.verdict)
        return {one: found.get(one, 0) for one in VERDICTS}


def arm_result(name: str, is_null: bool, is_baseline: bool, pairs: Sequence[ArmPair]) -> LiveArm:
    """An arm over its pairs, without its verdict; no figure when too many pairs have none."""
    arm = LiveArm(name, is_null, is_baseline, list(pairs))
    missing = [pair for pair in pairs if pair.log is None]
    if missing:
        arm.reason = f"no ratio in {len(missing)} of {verdict.trials_text(len(pairs), 'pair')}: {missing[0].reason}"
    if not pairs:
        arm.reason = "no pair was measured"
    if pairs and not verdict.too_many(len(missing), len(pairs)):
        arm.base_ns = verdict.median_of(pair.first_ns for pair in pairs)
        arm.candidate_ns = verdict.median_of(pair.second_ns for pair in pairs)
        arm.change = verdict.quantity(pair.log for pair in pairs)
    return arm


def checksum_complaint(pairs: Iterable[tuple[Trial, Trial]]) -> str | None:
    """Which arms did other work on the one side than on the other; both sides of a pair have equal contents and
    orders."""
    wrong: dict[str, int] = {}
    for first, second in pairs:
        sums = {arm.name: arm.checksum for arm in second.arms if arm.status == "ok"}
        for arm in first.arms:
            its = sums.get(arm.name)
            if arm.status == "ok" and None not in (arm.checksum, its) and arm.checksum != its:
                wrong.setdefault(arm.name, first.trial)
    if not wrong:
        return None
    names = ", ".join(sorted(safe(name) for name in wrong))
    return f"the checksum of {names} differs between the sides, first in pair {min(wrong.values())}"


def control_complaints(controls: Sequence[LiveArm], margin: float) -> list[str]:
    """Which arms differ by more than δ beyond doubt where both sides are the base."""
    found = []
    for arm in controls:
        interval = arm.change.interval if arm.change is not None else None
        if interval is None or interval.low is None or interval.high is None:
            continue
        if interval.low > margin or interval.high < -margin:
            low, high = (percent(math.expm1(v)) for v in (interval.low, interval.high))
            found.append(f"the base differs from itself by {low} to {high} in {safe(arm.name)}")
    return found


def environment_complaints(runs: Mapping[str, Run]) -> list[str]:
    """What changed under a run."""
    return [
        f"{name}: {change}"
        for name, run in runs.items()
        for change in verdict.environment_changes(run.trials, verdict.machines_of(run))
    ]


def family_put(cells: Sequence[LiveCellResult]) -> None:
    """The verdicts of one scenario."""
    family = [(cell, arm.change) for cell in cells for arm in cell.arms if arm.change is not None]
    verdict.family_decide(family, "pair")


class Reader:
    """The records of a comparison, by run, cell and trial."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self.trials = {(name, t.scenario, t.cell, t.trial): t for name, run in runs.items() for t in run.trials}

    def pair(self, line: PairLine) -> tuple[Trial, Trial] | None:
        """Both records of a pair, None when one is missing."""
        keys = ((name, line.scenario, line.cell, line.trial) for name in (line.first, line.second))
        first, second = (self.trials.get(key) for key in keys)
        return None if first is None or second is None else (first, second)


def cell_result(
    plan: CellPlan, delta: float, lines: Sequence[PairLine], reader: Reader, changes: list[str]
) -> LiveCellResult:
    """A cell over its pairs, without verdicts. `plan`: the cell in the base's plan."""
    results: dict[bool, list[LiveArm]] = {}
    whole: list[tuple[Trial, Trial]] = []
    for is_control in (False, True):
        mine = [line for line in lines if line.is_control is is_control and line.status == "ok"]
        found = [(pair, line.starter == "first") for line in mine if (pair := reader.pair(line)) is not None]
        tables = [pair_arms(*pair, first_starts) for pair, first_starts in found]
        whole += [pair for pair, _ in found]
        results[is_control] = [
            arm_result(arm.name, arm.is_null, i == 0, [table[arm.name] for table in tables if arm.name in table])
            for i, arm in enumerate(plan.arms)
            if tables or not is_control
        ]
    cell = LiveCellResult(plan.scenario, plan.cell, delta, results[False], results[True], [])
    cell.failed = [f"pair {line.trial}: {line.reason}" for line in lines if line.status != "ok"]
    trials = [trial for pair in whole for trial in pair]
    own, between = verdict.checksum_complaint(trials), checksum_complaint(whole)
    cell.invalid = [why for why in (own, between) if why] + control_complaints(cell.controls, cell.margin) + changes
    return cell


def live_load(directory: Path) -> Mapping[str, Any]:
    """live.json; RecordsError when it is absent or none."""
    path = directory / "live.json"
    try:
        value = json_parse(path.read_bytes())
        if not isinstance(value, dict) or value.get("schema") != LIVE:
            raise LineError(f"no {LIVE}")
        delta = get(value, "delta", (int, float), none=True)
        if delta is not None and not 0 < delta < 1:
            raise LineError('"delta" is not between 0 and 1')
        left_out_of(value)
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from None
    except LineError as error:
        raise RecordsError(f"{path}: {error}") from None
    return value


def kind_of(value: Mapping[str, Any]) -> str:
    """Why something is left out, in a word; LineError when it is none of those."""
    kind = get(value, "kind", str)
    if kind not in LEFT_OUT:
        raise LineError(f'"kind" {safe(kind)} is unknown')
    return str(kind)


def left_out_of(live: Mapping[str, Any]) -> list[LeftOut]:
    """What live.json says is not compared; LineError when it is damaged."""
    return [
        LeftOut(get(one, "scenario", str), get(one, "cell", str, none=True), get(one, "reason", str), kind_of(one))
        for one in objects(live, "left_out")
    ]


def conclude(directory: Path) -> LiveResults:
    """Everything that a comparison's files say; RecordsError when they cannot be read."""
    live = live_load(directory)
    lines, problems = pairs_load(directory / "pairs.jsonl")
    names = [BASE, CANDIDATE, *(name for name in CONTROLS if (directory / name).is_dir())]
    runs = {name: run_load(directory / name) for name in names}
    problems += [replace(one, where=f"{name}/{one.where}") for name, run in runs.items() for one in run.problems]
    reader, changes = Reader(runs), environment_complaints(runs)
    cells: list[LiveCellResult] = []
    for scenario in runs[BASE].manifest.scenarios.values():
        delta = live.get("delta") or scenario.delta
        plans = [cell for cell in runs[BASE].manifest.cells if cell.scenario == scenario.name]
        by_cell: dict[str, list[PairLine]] = {}
        for line in lines:
            if line.scenario == scenario.name:
                by_cell.setdefault(line.cell, []).append(line)
        mine = [cell_result(plan, delta, by_cell.get(plan.cell, []), reader, changes) for plan in plans]
        family_put(mine)
        cells += mine
    return LiveResults(directory, live, runs, cells, left_out_of(live), problems)


def could_tell(cell: LiveCellResult) -> float | None:
    """The smallest change that the cell's controls would have let through as seen, the worst of its arms: how far the
    base is from itself, and what its spread lets through; None without controls in enough pairs."""
    floors = [
        floor
        for arm in cell.controls
        if arm.change is not None and arm.change.interval is not None
        for floor in [stats.noise_floor(arm.change.interval)]
        if floor is not None
    ]
    return math.expm1(max(floors)) if floors else None


def exit_status(results: LiveResults, strict: bool) -> int:
    """7 damaged files or nothing compared, 5 a side failed or did other work, 4 INVALID, 1 SLOWER, 3 undecided (only if
    insisted), 0."""
    counts = results.counts
    failed = any(cell.failed for cell in results.cells) or any(one.kind == FAILED for one in results.left_out)
    wrong = any("checksum" in why for cell in results.cells for why in cell.invalid)
    missing = any(arm_failed(arm) for _, arm in results.arms)
    nothing = not any(counts.values())
    damaged = any(problem.severity == "error" for problem in results.problems)
    order = (
        (7, damaged or (nothing and not failed)),
        (5, failed or wrong or missing),
        (4, counts[verdict.INVALID] > 0),
        (1, counts[verdict.SLOWER] > 0),
        (3, strict and counts[verdict.CANNOT_TELL] > 0),
    )
    return next((status for status, applies in order if applies), 0)


def arm_failed(arm: LiveArm) -> bool:
    """Whether it was not only unsupported."""
    return any(pair.reason is not None and pair.reason.startswith("failed") for pair in arm.pairs)
