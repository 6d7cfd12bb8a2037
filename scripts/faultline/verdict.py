# SPDX-License-Identifier: MIT
"""From a run's trials to what may be concluded: estimates, intervals and verdicts of every cell and arm.

FASTER, SLOWER, SAME, INVALID and CANNOT TELL of a run are decided here, those of comparisons in change_rows and
exact_counts; the rules are in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Protocol, Sequence

import numpy as np

from faultline import counted, derive, latency, pairs, stats, topology
from faultline.counted import Counted
from faultline.derive import ArmTrial
from faultline.pairs import ArmPairs
from faultline.records import ArmPlan, CellPlan, Run, ScenarioPlan, Trial
from faultline.stats import Interval
from faultline.text import percent, safe

FASTER, SLOWER, SAME, INVALID, CANNOT_TELL = VERDICTS = ("FASTER", "SLOWER", "SAME", "INVALID", "CANNOT TELL")
FAILED_SHARE = 0.25  # of the trials of an arm without a figure; beyond it what is left may be a selection
CLOCK_FACTOR = 4.0  # cost or grid of the clock changing by more than this is another clock


@dataclass
class Quantity:
    """A paired ratio over trials with its verdict. Logarithms; `logs` is [trials that have it]."""

    logs: np.ndarray
    interval: Interval | None = None
    verdict: str | None = None
    why: str | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    trials_needed: int | None = None


@dataclass
class Quantile:
    """One latency quantile of an arm: ns over trials (or of all trials merged), ratio to the baseline's."""

    name: str
    ns: Interval | None
    reason: str | None
    ratio: Quantity | None = None
    ratio_reason: str | None = None
    by_trial: Mapping[int, float] = field(default_factory=dict)


@dataclass
class ArmResult:
    """An arm of a cell over all its trials."""

    plan: ArmPlan
    is_baseline: bool
    status: str
    reason: str | None
    trials: list[ArmTrial]
    ns_per_op: Interval | None = None
    ratio: Quantity | None = None
    ratio_reason: str | None = None
    mean_ratio: Interval | None = None
    drift: Interval | None = None
    drifts: bool = False
    quantiles: list[Quantile] = field(default_factory=list)
    counts_per_op: dict[str, float] = field(default_factory=dict)
    counts_range: dict[str, tuple[float, float]] = field(default_factory=dict)
    counted: list[Counted] = field(default_factory=list)  # what was asked for besides
    pages_per_fault: float | None = None
    fairness: Interval | None = None  # of the slowest worker beside the quickest; None with fewer than two
    bytes_per_op: int | None = None
    dirtied_bytes: float | None = None  # an operation's, where a sync is within it
    breaking_pages: float | None = None  # what it stores to in pages, where each fault copies one
    is_phase: bool = False  # a part of what the baseline times: its ratio is a share, and asks for no verdict

    @property
    def name(self) -> str:
        """The arm's name as in the scenario."""
        return self.plan.name

    @property
    def competes(self) -> bool:
        """Whether a verdict is asked for: of neither the baseline, nor the null arm, nor a phase."""
        return not (self.is_baseline or self.plan.is_null or self.is_phase)

    @property
    def trials_used(self) -> int:
        """Trials behind the arm's figure: those with a ratio where it has one, else those in which it was measured."""
        return self.ratio.logs.size if self.ratio is not None else sum(t.status == "ok" for t in self.trials)

    @property
    def verdict(self) -> str | None:
        """The verdict of the median ratio, None for arms that do not compete or have no ratio."""
        return self.ratio.verdict if self.ratio is not None and self.competes else None


@dataclass
class CellResult:
    """A cell over all its trials."""

    plan: CellPlan
    scenario: ScenarioPlan
    varied: list[str]
    trials: list[Trial]
    arms: list[ArmResult]
    status: str
    reason: str | None
    invalid: list[str]
    checksum_wrong: bool
    noise_floor: float | None = None
    recipe_pages_per_fault: float | None = None
    pairs: list[ArmPairs] = field(default_factory=list)  # of the arms that were measured on pairs of CPUs

    @property
    def uses_file(self) -> bool:
        """Whether what a file went through is among its conditions."""
        return derive.uses_file(self.trials)

    @property
    def null(self) -> ArmResult | None:
        """The null arm, None in a scenario without one."""
        return next((arm for arm in self.arms if arm.plan.is_null), None)

    @property
    def margin(self) -> float:
        """δ as a margin on the log ratio."""
        return math.log1p(self.scenario.delta)

    @property
    def counts_invalid(self) -> list[str]:
        """Why not even its counts can be believed: these do not depend on whether two identical arms took the same
        time."""
        null = null_complaint(self.null, self.margin)
        return [reason for reason in self.invalid if reason != null]


@dataclass(eq=False)
class Results:
    """Everything concluded from a run. One is equal to itself alone."""

    run: Run
    cells: list[CellResult]
    page_bytes: int | None
    null: Interval | None
    null_rejected: list[str]
    noise_floor: float | None
    noise_worst: float | None

    @property
    def grade(self) -> str | None:
        """A to F, None without null arms in enough trials."""
        return stats.noise_grade(self.noise_floor)

    @property
    def arms(self) -> list[ArmResult]:
        """All arms of all cells."""
        return [arm for cell in self.cells for arm in cell.arms]

    @property
    def measured(self) -> bool:
        """Whether a single arm has a time."""
        return any(arm.ns_per_op is not None for arm in self.arms)

    @property
    def environment_changes(self) -> list[str]:
        """What changed under the run: machine, boot, instance."""
        return environment_changes(self.run.trials, machines_of(self.run))

    @property
    def environment_invalid(self) -> bool:
        """Whether the machine, its boot or the instance changed under the run, or no comparison of it is valid."""
        told = [arm.verdict for arm in self.arms if arm.verdict]
        return bool(self.environment_changes) or (bool(told) and set(told) == {INVALID})

    def verdict_counts(self) -> dict[str, int]:
        """How many competing arms got each verdict, every verdict named."""
        found = Counter(arm.verdict for arm in self.arms if arm.verdict)
        return {verdict: found.get(verdict, 0) for verdict in VERDICTS}


def varied_keys(cells: Sequence[CellPlan]) -> list[str]:
    """Parameters in which the cells of a scenario differ, in table order: those that their ids name. What follows from
    them by itself (a pass that touches every block of the working set) is none of them."""
    first = cells[0].params
    named = {part.partition("=")[0] for cell in cells for part in cell.cell.split(",")}
    return [key for key in first if key in named and any(cell.params.get(key) != first[key] for cell in cells[1:])]


def arm_status(trials: Sequence[ArmTrial]) -> tuple[str, str | None]:
    """Status of an arm over its trials, with the reason of the first trial that was not ok.

    A trial that was voided is skipped: it is missing, but nothing has failed in it.
    """
    if not trials:
        return "not measured", "no trial was recorded"
    bad = [t for t in trials if t.status != "ok"]
    if not bad:
        return "ok", None
    status = "failed" if any(t.status == "failed" for t in bad) else bad[0].status
    where = f"in {len(bad)} of {trials_text(len(trials))}, first in trial {bad[0].trial}"
    reason = f"{status} {where}: {bad[0].reason or 'no reason recorded'}"
    return (status if too_many(len(bad), len(trials)) else "ok"), reason


def too_many(missing: int, trials: int) -> bool:
    """Whether so many of these trials are missing that the others may be a selection."""
    return missing > FAILED_SHARE * trials


def interval_of(values: Iterable[float | None]) -> Interval | None:
    """Hodges–Lehmann over what is there, None for nothing."""
    kept = [v for v in values if v is not None]
    return stats.hodges_lehmann(kept) if kept else None


def median_of(values: Iterable[float | None]) -> Interval | None:
    """Median with its order-statistic interval over what is there, None for nothing."""
    kept = [v for v in values if v is not None]
    return stats.median_interval(kept) if kept else None


def quantity(logs: Iterable[float | None]) -> Quantity | None:
    """A ratio over trials, its verdict still open; None when no trial has it."""
    kept = np.array([v for v in logs if v is not None], dtype=float)
    return Quantity(kept, stats.hodges_lehmann(kept)) if kept.size else None


def phase_of(plan: ArmPlan) -> str:
    """Which part of a whole an arm times, of a file's use or of a merge; "whole" in records that know no parts."""
    parts = [str(plan.params.get(name, "whole")) for name in ("phase", "merge_step")]
    return next((part for part in parts if part != "whole"), "whole")


def arm_result(
    plan: ArmPlan, is_baseline: bool, cell: CellPlan, trials: Sequence[Trial], page: int | None
) -> ArmResult:
    """One arm over the trials of its cell, without its verdict."""
    pairs = [(trial, arm) for trial in trials for arm in trial.arms if arm.name == plan.name]
    derived = [derive.arm_trial(trial, arm, page) for trial, arm in pairs]
    status, reason = arm_status(derived)
    result = ArmResult(plan, is_baseline, status, reason, derived)
    result.is_phase = not plan.is_null and phase_of(plan) != "whole" == phase_of(cell.arms[0])
    result.bytes_per_op = next((arm.bytes_per_op for _, arm in pairs if arm.status == "ok"), None)
    result.dirtied_bytes = derive.dirtied_bytes(plan.method, plan.params, result.bytes_per_op, page)
    breaking = derive.breaking_bytes(plan.method, {**cell.params, **plan.params}, result.bytes_per_op)
    result.breaking_pages = breaking / page if breaking is not None and page else None
    if status != "ok":
        result.ratio_reason = reason
        return result
    result.ns_per_op = median_of(t.ns_per_op for t in derived)
    result.fairness = median_of(t.fairness for t in derived)
    counts_put(result)
    result.counted = counted.counted_of([arm for _, arm in pairs if arm.status == "ok"])
    if result.counts_per_op.get("minor_faults"):
        result.pages_per_fault = getattr(median_of(t.pages_per_fault for t in derived), "estimate", None)
    quantiles_put(result, max((float(t.clock.get("grid_ns") or 0) for t in trials), default=0.0))
    if not is_baseline:
        ratio_put(result)
    return result


def counts_put(result: ArmResult) -> None:
    """Median over trials of each count per operation, and the range of those that differ between trials."""
    names = {name for t in result.trials for name in t.counts_per_op}
    for name in sorted(names):
        values = [t.counts_per_op[name] for t in result.trials if name in t.counts_per_op]
        result.counts_per_op[name] = float(np.median(values))
        if min(values) != max(values):
            result.counts_range[name] = (min(values), max(values))


def ratio_put(result: ArmResult) -> None:
    """Median ratio, ratio of means and drift over trials; none when too many of the trials have no ratio."""
    missing = [t for t in result.trials if t.log_ratio is None]
    if missing:
        result.ratio_reason = missing[0].ratio_reason
    if 0 < len(missing) < len(result.trials):
        result.ratio_reason = f"no ratio in {len(missing)} of {trials_text(len(result.trials))}: {result.ratio_reason}"
    if too_many(len(missing), len(result.trials)):
        return
    result.ratio = quantity(t.log_ratio for t in result.trials)
    result.mean_ratio = interval_of(t.mean_log_ratio for t in result.trials)
    result.drift = interval_of(t.drift for t in result.trials)


def drift_flag(result: ArmResult, margin: float) -> None:
    """Flags a ratio that moves by more than δ from the first round of a trial to the last, and surely moves."""
    drift = result.drift
    if drift is not None and drift.low is not None and drift.high is not None:
        result.drifts = drift.low > margin or drift.high < -margin


def quantiles_put(result: ArmResult, grid_ns: float) -> None:
    """Latency quantiles: by trial where each trial holds enough operations, else of all trials merged, else
    withheld. All are withheld when too many of the trials have no histogram."""
    ok = [t for t in result.trials if t.status == "ok"]
    whole = derive.merged(ok)
    if whole is None:
        return
    missing = [t for t in result.trials if t.histogram is None]
    if too_many(len(missing), len(result.trials)):
        why = missing[0].latency_reason or missing[0].reason or "no reason recorded"
        reason = f"no latencies in {len(missing)} of {trials_text(len(result.trials))}: {why}"
        result.quantiles = [Quantile(name, None, reason, ratio_reason=reason) for name, _ in latency.QUANTILES]
        return
    for name, q in latency.QUANTILES:
        single = {t.trial: latency.quantile_or_reason(t.histogram, q, grid_ns) for t in ok if t.histogram is not None}
        by_trial = {trial: value for trial, (value, _) in single.items() if value is not None}
        if by_trial and len(by_trial) == len(single):
            found = Quantile(name, stats.median_interval(list(by_trial.values())), None, by_trial=by_trial)
        else:
            value, reason = latency.quantile_or_reason(whole, q, grid_ns)
            found = Quantile(name, None if value is None else Interval(value), reason)
            found.ratio_reason = reason or next(r for _, r in single.values() if r) + " in each trial"
        result.quantiles.append(found)


def quantile_ratios_put(arms: Sequence[ArmResult]) -> None:
    """Ratio of each arm's quantiles to the baseline's, trial by trial; none when too few trials have both."""
    base = {q.name: q for q in arms[0].quantiles}
    for arm in arms[1:]:
        for mine in arm.quantiles:
            its = base.get(mine.name)
            shared = sorted(set(mine.by_trial) & set(its.by_trial)) if its is not None else []
            if its is not None and not too_many(len(arm.trials) - len(shared), len(arm.trials)):
                mine.ratio = quantity(math.log(mine.by_trial[t] / its.by_trial[t]) for t in shared)
            elif shared:
                mine.ratio_reason = f"only {len(shared)} of {trials_text(len(arm.trials))} have it on both sides"
            if mine.ratio is None and mine.ratio_reason is None:
                mine.ratio_reason = "the baseline has none"


def machines_of(run: Run) -> frozenset[str]:
    """The fingerprints of the manifest: when the run began and, where that is known, when it had ended."""
    return frozenset(m for m in (run.manifest.machine, run.manifest.machine_after) if m)


def environment_changes(trials: Sequence[Trial], expected: frozenset[str]) -> list[str]:
    """What changed under these trials and makes them incomparable: machine, boot, instance.

    `expected`: the fingerprints of the manifest, when the run began and when it ended.
    """
    found = []
    machines = {t.machine for t in trials} | expected
    if len(machines) > 1:
        found.append("the machine's fingerprint changed")
    if len({t.boot_id for t in trials}) > 1:
        found.append("the machine was booted again")
    if len({t.instance for t in trials}) > 1:
        found.append("the instance changed")
    return found


def clock_changes(trials: Sequence[Trial]) -> list[str]:
    """Whether the clock is another one in some of these trials."""
    found = []
    for key in ("cost_ns", "grid_ns"):
        values = [
            float(t.clock[key]) for t in trials if isinstance(t.clock.get(key), (int, float)) and t.clock[key] > 0
        ]
        if values and max(values) > CLOCK_FACTOR * min(values):
            found.append(f"the clock changed ({key} from {min(values):g} to {max(values):g})")
    return found


def checksum_complaint(trials: Sequence[Trial]) -> str | None:
    """Which arms did other work than others, None when all checksums agree."""
    wrong = [(t.trial, *pair) for t in trials for pair in derive.checksums_differ(t)]
    if not wrong:
        return None
    names, others = (", ".join(sorted({safe(row[i]) for row in wrong})) for i in (1, 2))
    return f"the checksum of {names} differs from that of {others}, first in trial {wrong[0][0]}"


def null_complaint(null: ArmResult | None, margin: float) -> str | None:
    """Whether two identical arms differ by more than δ beyond doubt, in words."""
    interval = null.ratio.interval if null is not None and null.ratio is not None else None
    if interval is None or interval.low is None or interval.high is None:
        return None
    if interval.low <= margin and interval.high >= -margin:
        return None
    low, high = (percent(math.expm1(v)) for v in (interval.low, interval.high))
    return f"two identical arms differ by {low} to {high}"


def cell_status(arms: Sequence[ArmResult], trials: Sequence[Trial], invalid: Sequence[str]) -> tuple[str, str | None]:
    """One word on the cell and the reason for it."""
    if not trials:
        return "not measured", "no trial was recorded"
    if invalid:
        return "invalid", "; ".join(invalid)
    if arms[0].status != "ok":
        return arms[0].status, f"the baseline: {arms[0].reason}"
    other = [f"{arm.name}: {arm.reason}" for arm in arms if arm.status == "failed"]
    return ("failed", "; ".join(other)) if other else ("ok", None)


def cell_result(
    plan: CellPlan,
    scenario: ScenarioPlan,
    varied: list[str],
    trials: Sequence[Trial],
    machines: frozenset[str],
    page: int | None,
) -> CellResult:
    """A cell over its trials, in the order of trials, without the verdicts that need the whole scenario."""
    ordered = sorted(trials, key=lambda t: t.trial)
    arms = [arm_result(a, i == 0, plan, ordered, page) for i, a in enumerate(plan.arms)]
    quantile_ratios_put(arms)
    margin = math.log1p(scenario.delta)
    for arm in arms:
        drift_flag(arm, margin)
    null = next((arm for arm in arms if arm.plan.is_null), None)
    checksum = checksum_complaint(ordered)
    invalid = [c for c in (checksum, null_complaint(null, margin)) if c]
    invalid += (environment_changes(ordered, machines) + clock_changes(ordered)) if ordered else []
    status, reason = cell_status(arms, ordered, invalid)
    cell = CellResult(plan, scenario, varied, ordered, arms, status, reason, invalid, checksum is not None)
    cell.recipe_pages_per_fault = getattr(
        median_of(derive.recipe_pages_per_fault(t) for t in ordered), "estimate", None
    )
    if null is not None and null.ratio is not None and null.ratio.interval is not None:
        cell.noise_floor = stats.noise_floor(null.ratio.interval)
    return cell


def directions(logs: np.ndarray, margin: float) -> tuple[float, float]:
    """One-sided exact p for "faster by more than δ" and for "slower by more than δ"."""
    return stats.p_less(logs, -margin), stats.p_greater(logs, margin)


def decided(p_holm: float, faster: float, slower: float, near: Interval, margin: float) -> str | None:
    """FASTER or SLOWER by the adjusted p and the smaller of the one-sided ones; SAME where the 90 % interval lies
    within the margin; None when nothing is decided. Logarithms."""
    if p_holm <= stats.ALPHA:
        return FASTER if faster < slower else SLOWER
    return SAME if stats.equivalent(near, margin) else None


class Judged(Protocol):
    """What a verdict asks of a cell: δ as a margin on the log ratio, and why nothing in it counts."""

    @property
    def margin(self) -> float:
        """log(1 + δ)."""

    @property
    def invalid(self) -> list[str]:
        """Empty for a cell that counts."""


def family_decide(family: Sequence[tuple[Judged, Quantity]], unit: str = "trial") -> None:
    """Verdicts of one family of paired ratios: Holm over the family, then equivalence, then what was missing.

    p of a ratio is twice the smaller one-sided p, because the direction is not fixed beforehand. `unit`: what a value
    of it is.
    """
    sides = [directions(q.logs, cell.margin) for cell, q in family]
    raw = [min(1.0, 2 * min(pair)) for pair in sides]
    for (cell, q), (faster, slower), p, adjusted in zip(family, sides, raw, stats.holm(raw)):
        q.p, q.p_holm = p, adjusted
        assert q.interval is not None
        enough = q.logs.size >= stats.trials_least(len(family))
        spread = stats.detectable_effect(q.interval, stats.ALPHA / len(family)) if enough else None
        q.detectable = None if spread is None else cell.margin + spread
        q.verdict = decided(adjusted, faster, slower, stats.hodges_lehmann(q.logs, 0.90), cell.margin)
        if cell.invalid:
            q.verdict, q.why = INVALID, "; ".join(cell.invalid)
        elif q.verdict is None:
            q.verdict = CANNOT_TELL
            q.trials_needed = stats.trials_needed(q.interval, q.logs.size, cell.margin, len(family))
            q.why = cannot_tell_why(q, len(family), unit)


def trials_text(count: int, unit: str = "trial") -> str:
    """ "1 trial", "8 trials"."""
    return f"{count} {unit}{'s' * (count != 1)}"


def cannot_tell_why(q: Quantity, pairs: int, unit: str = "trial") -> str:
    """What kept the verdict open, with the smallest effect that would have shown and the trials it would take."""
    least = stats.trials_least(pairs)
    if q.logs.size < least:
        return f"{trials_text(q.logs.size, unit)}; {least} are needed for {pairs} comparison{'s' * (pairs > 1)}"
    parts = []
    if q.detectable is not None:
        parts.append(f"this run could have seen {percent(math.expm1(q.detectable))}")
    if q.trials_needed is not None:
        parts.append(
            f"about {q.trials_needed} {unit}s would tell"
            if q.trials_needed <= 1000
            else f"over 1000 {unit}s would be needed"
        )
    return "; ".join(parts) or "the effect lies on the margin"


def scenario_decide(cells: Sequence[CellResult]) -> None:
    """The family of a scenario's median ratios, and one family for each published quantile."""
    arms = [(cell, arm) for cell in cells for arm in cell.arms if arm.competes]
    family_decide([(cell, arm.ratio) for cell, arm in arms if arm.ratio is not None])
    for name, _ in latency.QUANTILES:
        family_decide(
            [(cell, q.ratio) for cell, arm in arms for q in arm.quantiles if q.name == name and q.ratio is not None]
        )


def run_null(cells: Sequence[CellResult]) -> tuple[Interval | None, list[str]]:
    """The null ratio over all cells and trials, and the cells whose null differs from 0 by more than δ after Holm."""
    nulls = [(cell, cell.null.ratio) for cell in cells if cell.null is not None and cell.null.ratio is not None]
    if not nulls:
        return None, []
    raw = [min(1.0, 2 * min(directions(q.logs, cell.margin))) for cell, q in nulls]
    rejected = [
        f"{cell.scenario.name} {cell.plan.cell}" for (cell, _), p in zip(nulls, stats.holm(raw)) if p <= stats.ALPHA
    ]
    return stats.hodges_lehmann(np.concatenate([q.logs for _, q in nulls])), rejected


def pairs_put(run: Run, cells: Sequence[CellResult]) -> None:
    """What the cells that were measured on pairs of CPUs found there, their null arms included."""
    pus, classes = topology.pus_of(run.machine), topology.classes_of(run.machine)
    began = min((at for at in (pairs.seconds(trial.started) for trial in run.trials) if at is not None), default=0.0)
    for cell in cells:
        found = [pairs.arm_pairs(cell.trials, arm.name, pus, classes, began) for arm in cell.arms]
        cell.pairs = [one for one in found if one is not None]


def conclude(run: Run) -> Results:
    """Everything that may be concluded from a run; cells in plan order, those never measured included."""
    page = derive.page_bytes(run)
    machines = machines_of(run)
    by_cell: dict[tuple[str, str], list[Trial]] = {}
    for trial in run.trials:
        by_cell.setdefault((trial.scenario, trial.cell), []).append(trial)
    cells: list[CellResult] = []
    for name, scenario in run.manifest.scenarios.items():
        plans = [c for c in run.manifest.cells if c.scenario == name]
        varied = varied_keys(plans) if plans else []
        mine = [cell_result(p, scenario, varied, by_cell.get((name, p.cell), []), machines, page) for p in plans]
        scenario_decide(mine)
        cells += mine
    pairs_put(run, cells)
    null, rejected = run_null(cells)
    floors = [cell.noise_floor for cell in cells if cell.noise_floor is not None]
    return Results(
        run, cells, page, null, rejected, float(np.median(floors)) if floors else None, max(floors, default=None)
    )


def scenarios_of(results: Results) -> list[tuple[ScenarioPlan, list[CellResult]]]:
    """The cells by scenario, in plan order, scenarios without cells left out."""
    grouped: dict[str, list[CellResult]] = {}
    for cell in results.cells:
        grouped.setdefault(cell.scenario.name, []).append(cell)
    return [(cells[0].scenario, cells) for cells in grouped.values()]


def exit_status(results: Results, insist: bool) -> int:
    """7 nothing measured or damaged records, 5 a trial failed or a checksum was wrong, 4 the run's nulls differ or its
    environment is invalid, 3 undecided (only if insisted), 0."""
    statuses: list[Any] = [
        (7, not results.measured or any(p.severity == "error" for p in results.run.problems)),
        (
            5,
            any(t.status == "failed" for a in results.arms for t in a.trials)
            or any(c.checksum_wrong for c in results.cells),
        ),
        (4, bool(results.null_rejected) or results.environment_invalid),
        (3, insist and any(a.verdict in (CANNOT_TELL, INVALID) for a in results.arms)),
    ]
    return next((status for status, applies in statuses if applies), 0)
