# SPDX-License-Identifier: MIT
"""What a live comparison says, from its files: the change of every arm with its verdict.

The unit is the pair of trials that took turns. A pair gives each arm one log ratio, candidate ÷ base, over
neighbouring rounds (trial_pair.pair_log_ratio); over pairs Hodges–Lehmann with the exact signed-rank interval, and the
rule of verdicts (docs/statistics.md) with all arms of a scenario as one family, baseline and null arm included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from faultline import derive, stats, verdict
from faultline.live_sides import BASE, CANDIDATE
from faultline.live_store import CONTROLS, PairLine, pairs_load
from faultline.pairing import LEFT_OUT, Key, LeftOut
from faultline.records import (
    Arm,
    CellPlan,
    LineError,
    Problem,
    RecordsError,
    ScenarioPlan,
    Trial,
    get,
    json_load,
    objects,
    run_load,
)
from faultline.sources import Stored
from faultline.stats import Interval
from faultline.text import percent, safe
from faultline.trial_pair import SideError, pair_log_ratio
from faultline.verdict import Quantity


@dataclass(frozen=True)
class ArmPair:
    """One arm of one pair: log(second ÷ first), None with a reason; median ns an operation of each. failed: on one side
    at least; absent: neither side could measure it, which is no failure."""

    log: float | None
    reason: str | None = None
    first_ns: float | None = None
    second_ns: float | None = None
    failed: bool = False
    absent: bool = False


def arm_pair(first: Arm, second: Arm, first_starts: bool) -> ArmPair:
    """An arm as both trials of a pair measured it."""
    bad = [arm for arm in (first, second) if arm.status != "ok"]
    if bad:
        worst = next((arm for arm in bad if arm.status == "failed"), bad[0])
        failed = worst.status == "failed"
        why = f"{worst.status}: {worst.reason or 'no reason recorded'}"
        return ArmPair(None, why, failed=failed, absent=not failed and len(bad) == 2)
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

    @property
    def is_absent(self) -> bool:
        """Whether neither side can measure it."""
        return bool(self.pairs) and all(pair.absent for pair in self.pairs)


@dataclass
class LiveCellResult:
    """A cell over all its pairs, and over its controls, whose ratios are of the base against itself. failed: what did
    not deliver, or did other work; invalid: why nothing in it counts; between: what of that concerns counts too and
    lies in neither run alone."""

    scenario: str
    cell: str
    delta: float
    arms: list[LiveArm]
    controls: list[LiveArm]
    failed: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """Scenario and id."""
        return self.scenario, self.cell

    @property
    def margin(self) -> float:
        """log(1 + δ)."""
        return math.log1p(self.delta)


@dataclass
class LiveResults:
    """Everything that a live comparison says. `live`: live.json; runs: by name, with what each says by itself."""

    directory: Path
    live: Mapping[str, Any]
    runs: Mapping[str, Stored]
    cells: list[LiveCellResult]
    left_out: list[LeftOut]
    problems: list[Problem]

    @property
    def arms(self) -> list[tuple[LiveCellResult, LiveArm]]:
        """All arms of all cells."""
        return [(cell, arm) for cell in self.cells for arm in cell.arms]


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


def same_work(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether parameters agree in all that both programs know."""
    return all(first[key] == second[key] for key in first.keys() & second.keys())


def checksum_complaint(pairs: Iterable[tuple[Trial, Trial]]) -> str | None:
    """Which arms did other work on the one side than on the other; both sides of a pair have equal contents and
    orders. Where a parameter was declared to differ the work may."""
    wrong: dict[str, int] = {}
    for first, second in pairs:
        others = {arm.name: arm for arm in second.arms if arm.status == "ok"}
        for arm in first.arms:
            its = others.get(arm.name)
            if arm.status != "ok" or its is None or None in (arm.checksum, its.checksum):
                continue
            if same_work(first.params, second.params) and same_work(arm.params, its.params):
                if arm.checksum != its.checksum:
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


def own_complaints(runs: Mapping[str, Stored], key: Key) -> tuple[list[str], list[str]]:
    """Why a cell does not count in one of the runs by itself, and why not in all of them beside each other."""
    cells = {name: cell for name, run in runs.items() for cell in run.results.cells
             if (cell.scenario.name, cell.plan.cell) == key}
    own = [f"{name}: {why}" for name, cell in cells.items() for why in cell.invalid]
    if any(verdict.clock_changes(cell.trials) for cell in cells.values()):
        return own, []
    return own, verdict.clock_changes([trial for cell in cells.values() for trial in cell.trials])


def family_put(cells: Sequence[LiveCellResult]) -> None:
    """The verdicts of one scenario."""
    family = [(cell, arm.change) for cell in cells for arm in cell.arms if arm.change is not None]
    verdict.family_decide(family, "pair")


class Reader:
    """The records of a comparison, by run, cell and trial."""

    def __init__(self, runs: Mapping[str, Stored]) -> None:
        self.trials = {(name, t.scenario, t.cell, t.trial): t for name, one in runs.items() for t in one.run.trials}
        self.problems: list[Problem] = []

    def pair(self, line: PairLine) -> tuple[Trial, Trial] | None:
        """Both records of a pair, None when one is missing, which is a problem."""
        keys = [(name, line.scenario, line.cell, line.trial) for name in (line.first, line.second)]
        first, second = (self.trials.get(key) for key in keys)
        if first is not None and second is not None:
            return first, second
        run = line.first if first is None else line.second
        where = f"{safe(line.scenario)} {safe(line.cell)}, trial {line.trial}"
        self.problems.append(Problem(f"{run}/trials.jsonl", "error", f"the record of {where} is missing"))
        return None


def cell_result(plan: CellPlan, delta: float, lines: Sequence[PairLine], reader: Reader) -> LiveCellResult:
    """A cell over its pairs, without verdicts and without what its runs say by themselves. `plan`: the cell in the
    base's plan."""
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
    cell = LiveCellResult(plan.scenario, plan.cell, delta, results[False], results[True])
    cell.failed = [f"pair {line.trial}: {line.reason}" for line in lines if line.status != "ok"]
    beside_itself = [(arm.name, pair.reason) for arm in cell.controls for pair in arm.pairs if pair.failed]
    cell.failed += [f"the base beside itself: {name}: {why}" for name, why in beside_itself]
    other_work = checksum_complaint(whole)
    if other_work:
        cell.failed.append(other_work)
        cell.between.append(other_work)
    return cell


def live_load(directory: Path) -> Mapping[str, Any]:
    """live.json; RecordsError when it is absent or none."""
    path = directory / "live.json"
    value: Mapping[str, Any] = json_load(path, "faultline.live")
    try:
        delta = get(value, "delta", (int, float), none=True)
        if delta is not None and not 0 < delta < 1:
            raise LineError('"delta" is not between 0 and 1')
        if not all(isinstance(name, str) for name in get(value, "vary", list)):
            raise LineError('"vary" holds something else than names')
        left_out_of(value)
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


def scenario_cells(
    scenario: ScenarioPlan, live: Mapping[str, Any], runs: Mapping[str, Stored], lines: Sequence[PairLine],
    reader: Reader,
) -> list[LiveCellResult]:
    """All cells of a scenario with their verdicts."""
    by_cell: dict[str, list[PairLine]] = {}
    for line in lines:
        if line.scenario == scenario.name:
            by_cell.setdefault(line.cell, []).append(line)
    cells = []
    for plan in (cell for cell in runs[BASE].run.manifest.cells if cell.scenario == scenario.name):
        cell = cell_result(plan, live.get("delta") or scenario.delta, by_cell.get(plan.cell, []), reader)
        own, between = own_complaints(runs, cell.key)
        cell.between += between
        cell.invalid = own + cell.between + control_complaints(cell.controls, cell.margin)
        cells.append(cell)
    family_put(cells)
    return cells


def conclude(directory: Path) -> LiveResults:
    """Everything that a comparison's files say; RecordsError when they cannot be read."""
    live = live_load(directory)
    lines, problems = pairs_load(directory / "pairs.jsonl")
    names = [BASE, CANDIDATE, *(name for name in CONTROLS if (directory / name).is_dir())]
    runs = {name: Stored(str(directory / name), verdict.conclude(run_load(directory / name)))
            for name in names}
    problems += [replace(one, where=f"{name}/{one.where}") for name, stored in runs.items()
                 for one in stored.run.problems]
    reader = Reader(runs)
    cells = [cell for scenario in runs[BASE].run.manifest.scenarios.values()
             for cell in scenario_cells(scenario, live, runs, lines, reader)]
    return LiveResults(directory, live, runs, cells, left_out_of(live), problems + reader.problems)


def could_tell(cell: LiveCellResult, family: int) -> float | None:
    """By its controls, the smallest change of the worst arm of a cell that its pairs would tell with power 80 % in a
    family of that many: δ, and what the spread of the base beside itself lets through beyond it in as many pairs. None
    without controls in enough pairs."""
    pairs = {arm.name: 0 if arm.change is None else arm.change.logs.size for arm in cell.arms}
    effects = []
    for control in cell.controls:
        found, pairs_here = control.change, pairs.get(control.name, 0)
        if found is None or found.interval is None or pairs_here < stats.trials_least(family):
            continue
        effect = stats.detectable_effect(found.interval, stats.ALPHA / family)
        if effect is not None:
            effects.append(effect * math.sqrt(found.logs.size / pairs_here))
    return math.expm1(cell.margin + max(effects)) if effects else None
