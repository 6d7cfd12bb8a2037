# SPDX-License-Identifier: MIT
"""What a run says of the statements that its scenarios put to the test: SUPPORTED, REFUTED or INCONCLUSIVE, decided for
each condition under which they were measured. The rules are in docs/claims.md.

The unit is the trial. A factor of times has the 95 % Hodges–Lehmann interval of its logarithm over trials, a count the
range from the least to the most of them. SUPPORTED: all of it is on the claimed side of the threshold, which itself
counts as claimed; REFUTED: none of it is; anything else, a control that did not come out as it must, too few trials or
an arm without a figure is INCONCLUSIVE, with the reason; and so is a factor that would come out otherwise if it were
wrong by as much as two identical arms may differ beside it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from typing import Any, Iterable, Mapping, Sequence

from faultline import derive, stats
from faultline.claim_plan import AT_LEAST, COUNT, FASTER, INCONCLUSIVE, REFUTED, SUPPORTED, Claim, Expectation, Side, Test
from faultline.records import ScenarioPlan
from faultline.stats import Interval
from faultline.text import digits, percent
from faultline.verdict import ArmResult, CellResult, Results, too_many, trials_text

COUNT_TRIALS_LEAST = 3  # trials of a count: it is exact, or its range says how far it is from that


@dataclass(frozen=True)
class Evidence:
    """What one test found. value: the factor or the count, with its interval or range; None where there is none.
    why: what kept it INCONCLUSIVE."""

    test: Test
    answer: str
    value: Interval | None = None
    trials: int = 0
    why: str | None = None


@dataclass(frozen=True)
class Decision:
    """A claim under one condition. held: what varies but for what the claim itself compares; {} when nothing does.
    evidence: None where no cell of the scenario could be planned. unmeasured: the conditions that the scenario has
    besides, none of whose cells could be."""

    claim: Claim
    scenario: str
    held: Mapping[str, Any]
    answer: str
    why: str | None
    evidence: Evidence | None
    positive: Evidence | None
    negative: Evidence | None
    expected: str | None
    unmeasured: tuple[str, ...] = ()

    @property
    def surprising(self) -> bool:
        """Whether it is decided, and otherwise than the kernel's source has it for this machine and condition."""
        return self.expected is not None and INCONCLUSIVE not in (self.answer, self.expected) and (
            self.answer != self.expected
        )


@dataclass(frozen=True)
class Found:
    """A value with its interval or range, and the trials behind it. null: of a factor, log of that of two identical arms
    where it was measured; None of a count, or where there are none."""

    value: Interval
    trials: int
    null: Interval | None = None


class Missing(Exception):
    """There is no value; the text is the reason."""


def answer_of(value: Interval, rule: str, threshold: float) -> str:
    """The verdict on an interval that has both ends."""
    assert value.low is not None and value.high is not None
    if rule == AT_LEAST:
        return SUPPORTED if value.low >= threshold else REFUTED if value.high < threshold else INCONCLUSIVE
    return SUPPORTED if value.high <= threshold else REFUTED if value.low > threshold else INCONCLUSIVE


def most(null: Interval) -> float:
    """log of the factor by which two identical arms may differ."""
    assert null.half_width is not None
    return abs(null.estimate) + null.half_width


def biased(found: Found) -> Interval:
    """The interval as wide as it is when what favours one of two identical arms may favour either of these two. Both are
    estimates with noise of their own, which adds up as that of independent ones does."""
    value, null = found.value, found.null
    if null is None:
        return value
    assert value.low is not None and value.high is not None and null.half_width is not None
    low, high = (
        math.exp(math.hypot(math.log(end / value.estimate), null.half_width) + abs(null.estimate))
        for end in (value.low, value.high)
    )
    return Interval(value.estimate, value.estimate / low, value.estimate * high)


def bias_complaint(found: Found, test: Test) -> str:
    """Why a factor that is clear of its threshold decides nothing."""
    assert found.null is not None
    wide = biased(found)
    return (
        f"two identical arms differ by up to {percent(math.expm1(most(found.null)))} here, which could carry the factor over "
        f"{test.threshold:g}×: [{digits(wide.low)}, {digits(wide.high)}]"
    )


# ---- where ----


def cell_at(cells: Sequence[CellResult], wanted: Mapping[str, Any]) -> CellResult:
    """The one cell with these values of varied parameters; Missing when there is none."""
    found = [cell for cell in cells if all(cell.plan.params.get(key) == value for key, value in wanted.items())]
    if len(found) != 1:
        text = ", ".join(f"{key}={value}" for key, value in wanted.items())
        raise Missing(f"{'no cell was' if not found else 'more than one cell was'} planned with {text}")
    return found[0]


def varied_of(cell: CellResult) -> dict[str, Any]:
    """The cell's values of what varies."""
    return {key: cell.plan.params[key] for key in cell.varied}


def arm_at(cells: Sequence[CellResult], place: Mapping[str, Any], side: Side) -> tuple[CellResult, ArmResult]:
    """The arm of a side, in the cell of that place but for what the side itself says; Missing with the reason when it
    has no figure."""
    cell = cell_at(cells, {**place, **side.at})
    arm = next((arm for arm in cell.arms if arm.name == side.arm), None)
    if arm is None:
        raise Missing(f"{side.arm} is not in this run")
    if arm.status != "ok":
        raise Missing(f"{side.arm}: {arm.reason or arm.status}")
    return cell, arm


# ---- values ----


def by_rounds(cell: CellResult, mine: ArmResult, other: ArmResult) -> dict[int, float]:
    """log(time of one arm ÷ time of another) of one cell, by trial, as the ratio to the baseline is made: round by
    round, the order of the two within a round taken out."""
    out = {}
    for trial in cell.trials:
        pair = [arm for name in (mine.name, other.name) for arm in trial.arms if arm.name == name]
        if len(pair) == 2 and all(arm.status == "ok" for arm in pair):
            log = derive.stratified(derive.paired(*pair), pair[0].order < pair[1].order)
            if log is not None:
                out[trial.trial] = log
    return out


def absolute(arm: ArmResult) -> dict[int, float]:
    """log(ns an operation), by trial."""
    return {t.trial: math.log(t.ns_per_op) for t in arm.trials if t.ns_per_op}


def enough(found: Mapping[int, float], trials: int) -> list[float]:
    """The values in the order of trials; Missing when too many trials have none."""
    if not found or too_many(trials - len(found), trials):
        raise Missing(f"only {len(found)} of {trials_text(trials)} have a figure")
    return [found[trial] for trial in sorted(found)]


def differences(mine: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """mine − other of the trials that have both."""
    return {trial: mine[trial] - other[trial] for trial in set(mine) & set(other)}


def log_factors(cells: Sequence[CellResult], place: Mapping[str, Any], test: Test) -> list[float]:
    """log of the factor that the claim is about, by trial. Within a cell the two are compared round by round; two cells
    are, in the same trial, measured right after each other, and end after as many trials as each needs."""
    assert test.other is not None
    cell, arm = arm_at(cells, place, test.side)
    its_cell, its = arm_at(cells, place, test.other)
    for one in (cell, its_cell):
        if one.invalid:
            raise Missing(f"{one.plan.cell}: {'; '.join(one.invalid)}")
    found = by_rounds(cell, arm, its) if cell is its_cell else differences(absolute(arm), absolute(its))
    logs = enough(found, min(len(arm.trials), len(its.trials)))
    return [-log for log in logs] if test.kind == FASTER else logs


def null_of(cell: CellResult) -> Interval | None:
    """log of the factor between its two identical arms; None where there is no interval of it."""
    ratio = cell.null.ratio if cell.null is not None else None
    found = ratio.interval if ratio is not None else None
    return found if found is not None and found.low is not None and found.high is not None else None


def factor(cells: Sequence[CellResult], place: Mapping[str, Any], test: Test) -> Found:
    """The factor with its interval. Of the nulls of two cells the worse one counts."""
    logs = log_factors(cells, place, test)
    found = stats.hodges_lehmann(logs)
    if found.low is None:
        raise Missing(f"{trials_text(len(logs))}, too few for an interval")
    assert test.other is not None
    nulls = (null_of(arm_at(cells, place, side)[0]) for side in (test.side, test.other))
    worst = max((null for null in nulls if null), key=most, default=None)
    return Found(found.exp(), len(logs), worst)


def counts_of(cell: CellResult, arm: ArmResult, counter: str) -> dict[int, float]:
    """A count an operation, by trial; Missing where it is unknown."""
    if cell.counts_invalid:
        raise Missing(f"{cell.plan.cell}: {'; '.join(cell.counts_invalid)}")
    found = {t.trial: t.counts_per_op[counter] for t in arm.trials if counter in t.counts_per_op}
    if not found:
        raise Missing(f"{counter} of {arm.name} is unknown")
    return found


def count(cells: Sequence[CellResult], place: Mapping[str, Any], test: Test) -> Found:
    """The count with its range."""
    assert test.counter is not None
    cell, arm = arm_at(cells, place, test.side)
    mine = counts_of(cell, arm, test.counter)
    other, trials = dict.fromkeys(mine, 0.0), len(arm.trials)
    if test.other is not None:
        its_cell, its = arm_at(cells, place, test.other)
        other, trials = counts_of(its_cell, its, test.counter), len(its.trials)
    values = enough(differences(mine, other), min(len(arm.trials), trials))
    if len(values) < COUNT_TRIALS_LEAST:
        raise Missing(f"{trials_text(len(values))}, {COUNT_TRIALS_LEAST} are needed for a count")
    return Found(Interval(median(values), min(values), max(values)), len(values))


def evidence(cells: Sequence[CellResult], place: Mapping[str, Any], test: Test) -> Evidence:
    """What one test found at one place."""
    try:
        found = (count if test.kind == COUNT else factor)(cells, place, test)
    except Missing as reason:
        return Evidence(test, INCONCLUSIVE, why=str(reason))
    answer = answer_of(found.value, test.rule, test.threshold)
    why = "the threshold lies within the interval" if answer == INCONCLUSIVE else None
    if answer != answer_of(biased(found), test.rule, test.threshold):
        answer, why = INCONCLUSIVE, bias_complaint(found, test)
    return Evidence(test, answer, found.value, found.trials, why)


# ---- the claim ----


def compared(test: Test) -> set[str]:
    """The varied parameters whose values the test itself fixes."""
    return set(test.side.at) | set(test.other.at if test.other else ())


def places(cells: Sequence[CellResult], test: Test) -> list[dict[str, Any]]:
    """The conditions under which a claim is to be decided: each combination of what varies and it does not fix."""
    fixed = compared(test)
    found: list[dict[str, Any]] = []
    for cell in cells:
        held = {key: value for key, value in varied_of(cell).items() if key not in fixed}
        if held not in found:
            found.append(held)
    return found


def without(cell: str, fixed: set[str]) -> str:
    """A cell's name less what the claim itself fixes."""
    return ", ".join(part for part in cell.split(",") if part.partition("=")[0] not in fixed)


def unmeasured(claim: Claim, cells: Sequence[CellResult], results: Results) -> tuple[str, ...]:
    """The conditions of a claim all of whose cells were left out of the plan."""
    fixed, name = compared(claim.test), cells[0].scenario.name
    planned = {without(cell.plan.cell, fixed) for cell in cells}
    refused = (str(one.get("cell")) for one in results.run.manifest.refused if one.get("scenario") == name)
    return tuple(dict.fromkeys(words for cell in refused if (words := without(cell, fixed)) not in planned))


def control_failed(kind: str, control: Evidence, wanted: str, told: str | None) -> str | None:
    """Why a control leaves the claim open; None when it came out as it must, or for the reason told already."""
    if control.answer == wanted or (control.why is not None and control.why == told):
        return None
    return f"the {kind} control {'did not come out: ' + control.why if control.why else 'came out the other way'}"


def version(text: str) -> tuple[int, ...]:
    """The numbers at the start of a kernel's release: "6.18.5-x" → (6, 18, 5)."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def machine_value(machine: Mapping[str, Any], key: str) -> str | None:
    """A value of a machine's description by its dotted key, as text; None where it is not known."""
    for part in ("blocking", "informational"):
        found: Any = machine.get(part)
        for name in key.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if found is not None:
            return str(found)
    return None


def applies(one: Expectation, params: Mapping[str, Any], machine: Mapping[str, Any]) -> bool:
    """Whether an expectation is for this machine and these parameters of a cell."""
    if any(params.get(key) != value for key, value in one.where.items()):
        return False
    if any(machine_value(machine, key) != value for key, value in one.machine.items()):
        return False
    blocking = machine.get("blocking")
    keys = blocking if isinstance(blocking, dict) else {}
    cpu = " ".join(str(keys.get(key) or "") for key in ("cpu_model", "architecture"))
    if one.cpu is not None and one.cpu.lower() not in cpu.lower():
        return False
    return one.kernel_from is None or version(str(keys.get("kernel_release") or "")) >= version(one.kernel_from)


def expected_of(
    claim: Claim, cells: Sequence[CellResult], place: Mapping[str, Any], machine: Mapping[str, Any]
) -> str | None:
    """The verdict to expect at a place, by the first expectation that applies; None without one."""
    try:
        params = cell_at(cells, place).plan.params
    except Missing:
        return None
    return next((one.verdict for one in claim.expected if applies(one, params, machine)), None)


def decide(claim: Claim, cells: Sequence[CellResult], held: Mapping[str, Any], machine: Mapping[str, Any]) -> Decision:
    """A claim under one condition. Its controls stand where its first side does, unless they say otherwise."""
    found = evidence(cells, held, claim.test)
    place = {**held, **claim.test.side.at}
    positive, negative = (evidence(cells, place, test) for test in (claim.positive, claim.negative))
    reasons = (
        found.why,
        control_failed("positive", positive, SUPPORTED, found.why),
        control_failed("negative", negative, REFUTED, found.why),
    )
    why = "; ".join(reason for reason in reasons if reason) or None
    answer = INCONCLUSIVE if why else found.answer
    scenario = cells[0].scenario.name
    expected = expected_of(claim, cells, place, machine)
    return Decision(claim, scenario, held, answer, why, found, positive, negative, expected)


def not_planned(claim: Claim, scenario: ScenarioPlan, results: Results) -> Decision:
    """A claim of a scenario none of whose cells is in the plan."""
    reasons = [str(one.get("reason")) for one in results.run.manifest.refused if one.get("scenario") == scenario.name]
    why = f"nothing of {scenario.name} could be measured here: {reasons[0]}" if reasons else "nothing was planned"
    return Decision(claim, scenario.name, {}, INCONCLUSIVE, why, None, None, None, None)


def decisions_of(scenario: ScenarioPlan, cells: Sequence[CellResult], results: Results) -> Iterable[Decision]:
    """The claims of one scenario, each under all its conditions."""
    for claim in scenario.claims:
        if not cells:
            yield not_planned(claim, scenario, results)
            continue
        left_out = unmeasured(claim, cells, results)
        for held in places(cells, claim.test):
            yield replace(decide(claim, cells, held, results.run.machine), unmeasured=left_out)


@lru_cache(maxsize=1)
def decisions(results: Results) -> tuple[Decision, ...]:
    """All claims of a run, in the order of the plan. Every output asks for them."""
    out: list[Decision] = []
    for name, scenario in results.run.manifest.scenarios.items():
        cells = [cell for cell in results.cells if cell.scenario.name == name]
        out += decisions_of(scenario, cells, results)
    return tuple(out)


def grouped(found: Iterable[Decision]) -> list[list[Decision]]:
    """The decisions of each claim that came out alike, together: one group where the condition does not matter."""
    groups: dict[tuple[str, str, str], list[Decision]] = {}
    for one in found:
        groups.setdefault((one.scenario, one.claim.id, one.answer), []).append(one)
    return list(groups.values())
