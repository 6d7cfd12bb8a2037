# SPDX-License-Identifier: MIT
"""What was measured on pairs of CPUs: of every pair, every distance class, every CPU, and of the canary over time.

The values are times of an operation, ns, one a round (derive.ns_per_op: the time of the batch ÷ the operations of both
workers together). The unit of a pair is the median of one trial. An interval is of the trials where there are enough of
them; with fewer it is the least and the greatest of them; with one it is of the rounds within that trial, and
says nothing of what another trial would find. Which of the three is named beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Iterable, Mapping, Sequence

import numpy as np

from faultline import derive, modes, stats
from faultline.modes import Mode
from faultline.records import Trial, Visit
from faultline.stats import Interval
from faultline.topology import LEVELS, Pu

OFF = 0.10  # a pair that differs from its class by more than this makes the class not uniform
CLASS_LEAST = 3  # pairs of a class from which on one of them can be told to be the odd one
SURE_LEAST = 2  # pairs that are slow beyond doubt, before a CPU is called slow
SHARE = 0.9  # of the pairs of a slow CPU that are slow: all of them, where they are fewer than ten
GROUPS_LEAST = 3  # groups of a level from which on one of them can be told to be the odd one
TRIALS_LEAST = 6  # medians of trials that have an interval of order statistics at 95 %
QUANTILES = (("q05", 0.05), ("q25", 0.25), ("q75", 0.75), ("q95", 0.95))
UNKNOWN = "unknown class"


@dataclass(frozen=True)
class Values:
    """Times of an operation, ns: every round's [rounds], and the median of each trial [medians] with its number [trials];
    of a class a trial's is the median of its pairs'."""

    rounds: np.ndarray
    medians: np.ndarray
    trials: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Their median with its interval. `interval_of`: "trials", "range" (least and greatest of the trials), "rounds"
    (within the only trial), or None where a single value has none."""

    ns: Interval
    interval_of: str | None
    samples: int
    modes: tuple[Mode, ...]


@dataclass(frozen=True)
class PairResult:
    """A pair of CPUs (OS indices, a < b), and its time ÷ the median of its class."""

    a: int
    b: int
    level_class: str
    values: Values
    found: Estimate
    residual: Interval

    @property
    def is_off(self) -> bool | None:
        """Whether it differs from its class by more than OFF; None where its interval or several modes leave that
        open."""
        low, high = self.residual.low, self.residual.high
        if low is None or high is None or len(self.found.modes) > 1:
            return None
        if low > 1 + OFF or high < 1 / (1 + OFF):
            return True
        return False if high <= 1 + OFF and low >= 1 / (1 + OFF) else None

    @property
    def is_slow(self) -> bool:
        """Whether its median lies above its class by more than OFF."""
        return self.residual.estimate > 1 + OFF


@dataclass(frozen=True)
class ClassResult:
    """A distance class over its pairs that were visited."""

    name: str
    pairs: tuple[PairResult, ...]
    values: Values
    found: Estimate
    quantiles: Mapping[str, float]
    modes_within: int  # pairs whose own rounds have several modes

    @property
    def off(self) -> list[PairResult]:
        """Pairs that surely differ from the class by more than OFF, the farthest first."""
        odd = [pair for pair in self.pairs if pair.is_off]
        return sorted(odd, key=lambda pair: -abs(math.log(pair.residual.estimate)))

    @property
    def uniform(self) -> bool | None:
        """Whether all pairs are within OFF of the class; None for a single pair, and where some leave it open."""
        told = {pair.is_off for pair in self.pairs}
        return None if len(self.pairs) < 2 else False if True in told else None if None in told else True


@dataclass(frozen=True)
class Slow:
    """A CPU (level "cpu", its OS index) or a group of LEVELS (its index) that is slow in its pairs: in all of them, or
    in those within the group alone. `residual`: the median of its pairs'."""

    level: str
    index: int
    residual: float
    pairs: int
    within: bool = False


@dataclass(frozen=True)
class CanaryVisit:
    """One visit of the canary: t_s since the run's first record was started; the median of its rounds with interval."""

    trial: int
    t_s: float
    ns: Interval
    samples: int


@dataclass(frozen=True)
class Canary:
    """The pair that was visited again and again. drift: factor from the first visit of a trial to its last, over
    trials."""

    a: int
    b: int
    level_class: str
    visits: tuple[CanaryVisit, ...]
    found: Estimate
    drift: Interval | None

    @property
    def span(self) -> float:
        """The slowest visit ÷ the fastest."""
        middles = [visit.ns.estimate for visit in self.visits]
        return max(middles) / min(middles)

    @property
    def moves(self) -> bool:
        """Whether two visits surely differ by more than OFF."""
        lows = [visit.ns.low for visit in self.visits if visit.ns.low is not None]
        highs = [visit.ns.high for visit in self.visits if visit.ns.high is not None]
        return bool(lows) and max(lows) > (1 + OFF) * min(highs)


@dataclass(frozen=True)
class ArmPairs:
    """What one arm of a cell found on pairs of CPUs."""

    arm: str
    classes: tuple[ClassResult, ...]
    slow: tuple[Slow, ...]
    canary: Canary | None
    voided: int  # rounds
    lost: tuple[tuple[int, int], ...] = field(default=())  # pairs without a single valid round

    @property
    def pairs(self) -> list[PairResult]:
        """All pairs, class by class."""
        return [pair for one in self.classes for pair in one.pairs]


def spread_of(values: np.ndarray) -> Interval:
    """The median with its interval of order statistics; with fewer than TRIALS_LEAST values the least and the greatest;
    none for a single one."""
    if values.size >= TRIALS_LEAST:
        return stats.median_interval(values)
    middle = float(np.median(values))
    return Interval(middle) if values.size < 2 else Interval(middle, float(values.min()), float(values.max()))


def estimate(values: Values) -> Estimate:
    """The median of the trials' medians, and how sure it is."""
    if values.medians.size > 1:
        kind: str | None = "trials" if values.medians.size >= TRIALS_LEAST else "range"
        ns = spread_of(values.medians)
    else:
        kind = "rounds" if values.rounds.size > 1 else None
        ns = spread_of(values.rounds)
    return Estimate(ns, kind, int(values.rounds.size), tuple(modes.modes(values.rounds)))


def ratio_of(ns: Interval, middle: float) -> Interval:
    """The interval ÷ a number."""
    return Interval(*(None if value is None else value / middle for value in (ns.estimate, ns.low, ns.high)))


def visits_of(trial: Trial, name: str) -> list[tuple[Visit, np.ndarray]]:
    """The visits of a record with the arm's times in them, ns [rounds that count]."""
    arm = next((one for one in trial.arms if one.name == name and one.status == "ok"), None)
    if arm is None or trial.pairs is None:
        return []
    out, at, times = [], 0, derive.ns_per_op(arm)
    for visit in trial.pairs:
        mine = times[at : at + visit.rounds]
        out.append((visit, mine[np.isfinite(mine)]))
        at += visit.rounds
    return out


def values_of(by_trial: Mapping[int, list[np.ndarray]]) -> Values:
    """The rounds of one pair, by trial."""
    trials = [np.concatenate(parts) for parts in by_trial.values()]
    medians = np.array([float(np.median(one)) for one in trials])
    return Values(np.concatenate(trials), medians, np.array(list(by_trial), dtype=int))


def together(parts: Sequence[Values]) -> Values:
    """Values of several pairs as those of one set: trials are what was measured independently, not pairs of a trial."""
    medians, of = np.concatenate([v.medians for v in parts]), np.concatenate([v.trials for v in parts])
    trials = np.unique(of)
    each = np.array([float(np.median(medians[of == trial])) for trial in trials])
    return Values(np.concatenate([v.rounds for v in parts]), each, trials)


def class_result(name: str, members: Mapping[tuple[int, int], Values]) -> ClassResult:
    """One class of these pairs."""
    whole = together(list(members.values()))
    found = estimate(whole)
    middle = float(np.median([float(np.median(one.medians)) for one in members.values()]))
    pairs = []
    for (a, b), values in members.items():
        mine = estimate(values)
        pairs.append(PairResult(a, b, name, values, mine, ratio_of(mine.ns, middle)))
    quantiles = {key: float(np.quantile(whole.rounds, q)) for key, q in QUANTILES}
    return ClassResult(name, tuple(pairs), whole, found, quantiles, sum(len(p.found.modes) > 1 for p in pairs))


def is_slow_group(pairs: Sequence[PairResult]) -> bool:
    """Whether these pairs make what they have in common slow: nearly all are slow, enough of them beyond doubt."""
    slow = [pair for pair in pairs if pair.is_slow]
    return len(slow) >= max(SHARE * len(pairs), SURE_LEAST) and sum(p.is_off is True for p in slow) >= SURE_LEAST


def is_slow_together(pairs: Sequence[PairResult], cpus: set[int]) -> bool:
    """Whether they are slow, and would be without any one of these CPUs: else that one would be the slow one."""
    if not is_slow_group(pairs):
        return False
    seen = {cpu for pair in pairs for cpu in (pair.a, pair.b)} & cpus
    return all(is_slow_group([pair for pair in pairs if cpu not in (pair.a, pair.b)]) for cpu in seen)


def median_residual(pairs: Sequence[PairResult]) -> float:
    """The median of their residuals."""
    return float(np.median([pair.residual.estimate for pair in pairs]))


def touching(pairs: Iterable[PairResult], cpus: set[int]) -> list[PairResult]:
    """The pairs with at least one of these CPUs."""
    return [pair for pair in pairs if pair.a in cpus or pair.b in cpus]


def touches(pair: PairResult, cpus: set[int], within: bool) -> bool:
    """Whether the pair has a CPU of these, or lies within them."""
    return pair.a in cpus and pair.b in cpus if within else pair.a in cpus or pair.b in cpus


def groups_of(pus: Sequence[Pu], level: str) -> dict[int, set[int]]:
    """The CPUs of each group of a level that has several CPUs; {} where the level is not known for all."""
    found: dict[int, set[int]] = {}
    for pu in pus:
        index = pu.groups[level]
        if index is None:
            return {}
        found.setdefault(index, set()).add(pu.cpu)
    return {index: cpus for index, cpus in found.items() if len(cpus) > 1}


def slow_groups(pairs: Sequence[PairResult], pus: Sequence[Pu], level: str) -> list[Slow]:
    """Groups of a level that are slow in all pairs they have a CPU in, or in all that lie within them."""
    out = []
    groups = groups_of(pus, level)
    mine = {index: touching(pairs, cpus) for index, cpus in groups.items()}
    if sum(bool(some) for some in mine.values()) < GROUPS_LEAST:
        return []
    for index, cpus in groups.items():
        inside = [pair for pair in mine[index] if pair.a in cpus and pair.b in cpus]
        if is_slow_together(mine[index], cpus):
            whole = len(inside) == len(mine[index])
            out.append(Slow(level, index, median_residual(mine[index]), len(mine[index]), whole))
        elif is_slow_together(inside, cpus):
            out.append(Slow(level, index, median_residual(inside), len(inside), True))
    return out


def slow_cpus(pairs: Sequence[PairResult]) -> list[Slow]:
    """CPUs that are slow in all their pairs: the one with the most slow pairs first, its pairs then left out, so that
    those it was paired with are judged by their others."""
    out, left = [], list(pairs)
    while True:
        by_cpu: dict[int, list[PairResult]] = {}
        for pair in left:
            by_cpu.setdefault(pair.a, []).append(pair)
            by_cpu.setdefault(pair.b, []).append(pair)
        found = [(len(some), -cpu) for cpu, some in by_cpu.items() if is_slow_group(some)]
        if not found:
            return sorted(out, key=lambda one: one.index)
        cpu = -max(found)[1]
        out.append(Slow("cpu", cpu, median_residual(by_cpu[cpu]), len(by_cpu[cpu])))
        left = [pair for pair in left if cpu not in (pair.a, pair.b)]


def slow_of(classes: Sequence[ClassResult], pus: Sequence[Pu]) -> list[Slow]:
    """What is slow: the largest groups first, then single CPUs that no such group explains."""
    known = [pair for one in classes if len(one.pairs) >= CLASS_LEAST for pair in one.pairs]
    left = [pair for pair in known if len(pair.found.modes) == 1]
    out: list[Slow] = []
    for level in LEVELS:
        if level != "core":  # the CPUs of one core are named themselves
            found = slow_groups(left, pus, level)
            for one in found:
                cpus = groups_of(pus, level)[one.index]
                left = [p for p in left if not touches(p, cpus, one.within)]
            out += found
    return out + slow_cpus(left)


def seconds(started: str) -> float | None:
    """An ISO 8601 time as seconds; None where it is none."""
    try:
        return datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def canary_of(trials: Sequence[Trial], name: str, began: float) -> Canary | None:
    """The canary's visits in the order of time; None where no pair is one, or its rounds are all void."""
    visits, rounds, medians, drifts, pair = [], [], [], [], None
    for trial in trials:
        mine = [(visit, times) for visit, times in visits_of(trial, name) if visit.canary and times.size]
        if not mine:
            continue
        pair = pair or mine[0][0]
        start = (seconds(trial.started) or began) - began
        visits += [
            CanaryVisit(trial.trial, start + visit.t_ns / 1e9, spread_of(times), int(times.size))
            for visit, times in mine
        ]
        middles = np.array([float(np.median(times)) for _, times in mine])
        rounds += [times for _, times in mine]
        medians.append(float(np.median(middles)))
        if middles.size > 2:
            drifts.append(stats.theil_sen(np.log(middles)) * (middles.size - 1))
    if pair is None:
        return None
    found = estimate(Values(np.concatenate(rounds), np.array(medians), np.arange(len(medians))))
    drift = stats.hodges_lehmann(drifts).exp() if drifts else None
    a, b = sorted((pair.a, pair.b))
    ordered = tuple(sorted(visits, key=lambda visit: visit.t_s))
    return Canary(a, b, pair.level_class or UNKNOWN, ordered, found, drift)


def arm_pairs(
    trials: Sequence[Trial], name: str, pus: Sequence[Pu], order: Sequence[str], began: float
) -> ArmPairs | None:
    """One arm of a cell; None where its records have no pairs. A canary's visits are left to the canary: that pair would
    weigh more than others in what is said of its class. `order`: the names of the classes, the nearest first;
    `began`: when the run's first record was started, in seconds."""
    times: dict[str, dict[tuple[int, int], dict[int, list[np.ndarray]]]] = {}
    seen: set[tuple[int, int]] = set()
    voided = 0
    for trial in trials:
        for visit, mine in visits_of(trial, name):
            key = (min(visit.a, visit.b), max(visit.a, visit.b))
            seen.add(key)
            voided += visit.rounds - mine.size
            if mine.size and not visit.canary:
                group = times.setdefault(visit.level_class or UNKNOWN, {})
                group.setdefault(key, {}).setdefault(trial.trial, []).append(mine)
    if not seen:
        return None
    ranks = {one: i for i, one in enumerate(order)}
    names = sorted(times, key=lambda one: (ranks.get(one, len(ranks)), one))
    classes = [class_result(one, {k: values_of(v) for k, v in sorted(times[one].items())}) for one in names]
    lost = sorted(seen - {(p.a, p.b) for one in classes for p in one.pairs})
    canary = canary_of(trials, name, began)
    return ArmPairs(name, tuple(classes), tuple(slow_of(classes, pus)), canary, voided, tuple(lost))
