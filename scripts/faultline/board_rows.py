# SPDX-License-Identifier: MIT
"""The rows of a board: what each machine says of an arm, and how the machines differ. docs/statistics.md, "Between
machines", has the rules. Logarithms inside, ratios in the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Mapping, Sequence

import numpy as np

from faultline import change_rows, derive, stats, unpaired
from faultline.board_machines import Difference, Machine, Shared, difference
from faultline.change_rows import RUN_SPREAD, Pair, unseen_spread
from faultline.exact_counts import TRIALS_LEAST, counts_of, equal, selection_why
from faultline.pairing import RATIO
from faultline.stats import Interval
from faultline.text import count, percent, ratio, safe, signed
from faultline.verdict import (
    CANNOT_TELL,
    FASTER,
    INVALID,
    SLOWER,
    ArmResult,
    CellResult,
    null_complaint,
    trials_text,
)

REAL, SETTINGS, PAGE, OPEN, AGREE, ALONE = FINDINGS = (
    "real difference", "settings", "page size", "cannot tell", "agree", "one machine")
FACTOR = 2.0  # changes beyond it are told as a factor
EMULATED_WHY = "the times of an emulated machine are the emulator's"
RUNS_FOR_INTERVAL = 6  # of one machine, from which on the spread of the runs themselves gives an interval


@dataclass(frozen=True)
class Value:
    """What one machine says of an arm. ratio, count, time: estimate with its interval (of several runs the hull of
    theirs); logs: the log ratio of each trial that has one, of all its runs; runs: how many say it."""

    verdict: str | None
    why: str | None
    ratio: Interval | None = None
    time: Interval | None = None
    count: Interval | None = None
    per_page: float | None = None
    bytes_per_op: int | None = None
    runs: int = 1
    logs: np.ndarray = field(default_factory=lambda: np.array([]))


@dataclass(frozen=True)
class Apart:
    """Two machines (their columns) that differ, and what that comes from. change: the second's value ÷ the first's, of
    ratios with its 95 % interval; None where the first's count is 0."""

    a: int
    b: int
    finding: str
    change: Interval | None
    differs: Difference

    @property
    def effect(self) -> float:
        """How far the change is from none, on the log scale; endless from or to nothing."""
        return abs(math.log(self.change.estimate)) if self.change and self.change.estimate else math.inf


@dataclass
class Row:
    """One quantity of one arm on all machines. values: None where a machine has not planned it or is not shown."""

    scenario: str
    cell: str
    arm: str
    quantity: str
    values: list[Value | None]
    finding: str
    why: str | None = None
    apart: tuple[Apart, ...] = ()

    @property
    def worst(self) -> Apart | None:
        """The two machines that the finding is told of: those that are farthest apart."""
        same = [one for one in self.apart if one.finding == self.finding]
        return max(same, key=lambda one: one.effect, default=None)

    @property
    def turns(self) -> bool:
        """Whether the arm surely wins on one machine and surely loses on another one."""
        return {FASTER, SLOWER} <= {value.verdict for value in self.values if value is not None}

    @property
    def one_verdict(self) -> str | None:
        """The verdict that all machines with a figure share; None when they do not or one has none."""
        found = {value.verdict for value in self.values if value is not None}
        return found.pop() if len(found) == 1 else None


# ---- what one machine says ----


def hull(intervals: Sequence[Interval]) -> Interval:
    """Of several runs of one machine: the median of their estimates; from RUNS_FOR_INTERVAL runs on with the interval
    over the runs, before that with the hull of theirs (no end where one has none)."""
    if len(intervals) == 1:
        return intervals[0]
    estimates = [one.estimate for one in intervals]
    if len(intervals) >= RUNS_FOR_INTERVAL:
        return stats.hodges_lehmann(estimates)
    ends = [[getattr(one, end) for one in intervals] for end in ("low", "high")]
    low, high = (None if None in found else pick(found) for found, pick in zip(ends, (min, max)))
    return Interval(float(np.median(estimates)), low, high)


def verdict_of(arms: Sequence[ArmResult]) -> tuple[str | None, str | None]:
    """The verdict of a machine and why it is none: that of its runs when they agree."""
    told = [arm.verdict for arm in arms]
    if INVALID in told:
        bad = arms[told.index(INVALID)]
        return INVALID, bad.ratio.why if bad.ratio is not None else bad.reason
    if len(set(told)) == 1:
        why = next((arm.ratio.why for arm in arms if arm.ratio is not None and arm.ratio.why), None)
        return told[0], why
    return CANNOT_TELL, f"its runs say {', '.join(str(one) for one in dict.fromkeys(told))}"


def value_of(arms: Sequence[ArmResult]) -> Value | None:
    """What a machine says of an arm's time and ratio; None when it has not planned it."""
    if not arms:
        return None
    timed = [arm for arm in arms if arm.ns_per_op is not None]
    if not timed:
        why = next((arm.reason for arm in arms if arm.reason), "no trial was recorded")
        return Value(None, f"{arms[0].status}: {why}" if arms[0].status not in why else why)
    quantities = [arm.ratio for arm in timed if arm.ratio is not None and arm.ratio.interval is not None]
    verdict, why = verdict_of(timed)
    time = hull([arm.ns_per_op for arm in timed if arm.ns_per_op is not None])
    size = timed[0].bytes_per_op
    if not quantities:
        return Value(None, timed[0].ratio_reason, time=time, bytes_per_op=size, runs=len(timed))
    share = hull([q.interval for q in quantities if q.interval is not None]).exp()
    logs = np.concatenate([q.logs for q in quantities])
    return Value(verdict, why, share, time, bytes_per_op=size, runs=len(quantities), logs=logs)


# ---- how machines differ ----


def kind_of(differs: Difference) -> str:
    """What a difference between two machines comes from, as far as that can be said."""
    if differs.unknown:
        return OPEN
    return PAGE if differs.page else SETTINGS if differs.settings else REAL


def finding_of(apart: Sequence[Apart], equal_all: bool) -> str:
    """The finding of a row: the strongest that two of the machines allow."""
    kinds = {one.finding for one in apart}
    return next((kind for kind in (REAL, SETTINGS, OPEN, PAGE) if kind in kinds), AGREE if equal_all else OPEN)


def trials_of(value: Value | None) -> int:
    """How many trials are behind a machine's ratio."""
    return 0 if value is None else value.logs.size


def open_why(values: Mapping[int, Value], pairs: int, machines: Sequence[Machine]) -> str:
    """What kept machines that do not differ for sure from being told apart or alike."""
    few = min(values, key=lambda i: trials_of(values[i]))
    fire = [unpaired.can_fire(trials_of(values[i]), trials_of(values[j]), pairs) for i, j in combinations(values, 2)]
    if not any(fire):
        return (f"{trials_text(trials_of(values[few]))} on {safe(machines[few].label)} are too few for {pairs} "
                f"comparison{'s' * (pairs > 1)}")
    spread = {i: float(value.logs.std(ddof=1)) for i, value in values.items() if value.logs.size > 1}
    wide = max(spread, key=lambda i: spread[i])
    return (f"neither apart nor together by δ; trials on {safe(machines[wide].label)} differ by "
            f"{percent(math.expm1(spread[wide]))}")


def is_shown(machines: Sequence[Machine], machine: Machine) -> bool:
    """Whether a machine's times stand on the board: those of emulated ones only among themselves."""
    return not machine.is_emulated or all(one.is_emulated for one in machines)


@dataclass
class Judged:
    """A row of ratios on its way to a finding: each pair of machines that has them, as runs are compared with each
    other (change_rows.Pair), and what the two differ in."""

    row: Row
    told: dict[int, Value]
    pairs: dict[tuple[int, int], Pair]
    differs: dict[tuple[int, int], Difference]


def ratio_row(shared: Shared, arm: str, machines: Sequence[Machine], margin: float) -> Judged:
    """An arm's ratio to the baseline on every machine, judged within each; between them it is still open."""
    values = [value_of(arms) if is_shown(machines, machine) else None
              for machine, arms in zip(machines, shared.arms[arm])]
    row = Row(*shared.key, arm, RATIO, values, ALONE)
    told = {i: v for i, v in enumerate(values) if v is not None and v.ratio is not None and v.verdict != INVALID}
    out = Judged(row, told, {}, {})
    if len(told) < 2:
        row.why = alone_why(values, shared.arms[arm], machines)
    elif any(machines[i].is_emulated for i in told):
        row.finding, row.why = OPEN, EMULATED_WHY
    else:
        for i, j in combinations(told, 2):
            change = change_rows.Row(*shared.key, arm, RATIO, None, None, None, CANNOT_TELL)
            logs = told[i].logs, told[j].logs
            spread = unseen_spread(*logs, RUN_SPREAD)
            out.pairs[i, j] = Pair(change, *logs, margin, None, spread)
            out.differs[i, j] = difference(machines[i], machines[j], shared.plan.params)
    return out


def family_decide(judged: Sequence[Judged], machines: Sequence[Machine]) -> None:
    """The findings of one scenario's ratios: Holm over all pairs of machines of all its rows, then equivalence."""
    every = [(one, key, pair) for one in judged for key, pair in one.pairs.items()]
    adjusted = stats.holm([min(1.0, 2 * min(pair.directions())) for _, _, pair in every])
    apart: dict[int, list[Apart]] = {}
    for (one, key, pair), p in zip(every, adjusted):
        if p <= stats.ALPHA:
            differs = one.differs[key]
            apart.setdefault(id(one), []).append(Apart(*key, kind_of(differs), pair.interval(0.95).exp(), differs))
    for one in (one for one in judged if one.pairs):
        one.row.apart = tuple(apart.get(id(one), ()))
        one.row.finding = finding_of(one.row.apart, all(map(is_together, one.pairs.values())))
        if one.row.apart:
            one.row.why = apart_why(one.row, machines)
        elif one.row.finding == OPEN:
            one.row.why = open_why(one.told, len(every), machines)


def is_together(pair: Pair) -> bool:
    """Whether two ratios surely lie within δ of each other (two one-sided tests at 5 %)."""
    near = pair.interval(0.90)
    return near.low is not None and near.high is not None and -pair.margin < near.low and near.high < pair.margin


def alone_why(values: Sequence[Value | None], arms: Sequence[Sequence[ArmResult]], machines: Sequence[Machine]) -> str:
    """Why fewer than two machines can be put beside each other."""
    hidden = any(value is None and its for value, its in zip(values, arms))
    if hidden:
        return EMULATED_WHY
    lost = [f"{safe(machine.label)}: {value.verdict or safe(value.why)}" for machine, value in zip(machines, values)
            if value is not None and (value.ratio is None or value.verdict == INVALID)]
    return "; ".join(lost) or "only one machine measured it"


def change_text(change: Interval | None) -> str:
    """ "+3.1 %", "×2.4" of a large one, "from none", "to none"."""
    if change is None:
        return "from none"
    value = change.estimate
    if value == 0:
        return "to none"
    return signed(math.log(value)) if 1 / FACTOR < value < FACTOR else f"×{ratio(value)}"


def apart_why(row: Row, machines: Sequence[Machine]) -> str:
    """ "A to B: +31 %; they differ in cpu_model, kernel_release" of the two machines that are farthest apart."""
    worst = row.worst
    assert worst is not None
    a, b = (safe(machines[i].label) for i in (worst.a, worst.b))
    change = change_text(worst.change)
    if worst.differs.unknown:
        return f"{a} to {b}: {change}, and the fingerprint of one is missing"
    keys = worst.differs.settings or worst.differs.machine
    keys = ("page_bytes", *keys) if worst.differs.page else keys
    named = ", ".join(map(safe, keys[:4])) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
    return f"{a} to {b}: {change}" + (f"; they differ in {named}" if named else "; their fingerprints are alike")


# ---- exact counts ----


def count_complaint(arms: Sequence[ArmResult], cells: Sequence[CellResult], name: str, found: Interval) -> str | None:
    """Why a machine's count is no evidence although it is marked exact; None when it is."""
    for cell in cells:
        null = null_complaint(cell.null, cell.margin)  # that of the times does not touch counts
        why = [reason for reason in cell.invalid if reason != null]
        if why:
            return "; ".join(why)
    if any(one.is_partial for arm in arms for one in arm.counted if one.name == name):
        return "it was on the CPU's counters for part of the time only"
    assert found.low is not None and found.high is not None
    if not equal(found.low, found.high):
        return f"it differs between its trials: {count(found.low)} to {count(found.high)}"
    return selection_why(arms, name, "machine", TRIALS_LEAST)


def count_value(machine: Machine, arms: Sequence[ArmResult], cells: Sequence[CellResult], name: str) -> Value | None:
    """A count per operation of one machine, and per page where operations visit whole ones."""
    values = [value for _, value in counts_of(arms, name)]
    if not values:
        return None
    found = Interval(float(np.median(values)), min(values), max(values))
    arm = next(arm for arm in arms if arm.bytes_per_op is not None) if any(
        arm.bytes_per_op is not None for arm in arms) else arms[0]
    pages = derive.pages_per_op(arm.plan.params, arm.bytes_per_op, machine.page_bytes)
    complaint = count_complaint(arms, cells, name, found)
    return Value(None, complaint, count=found, per_page=found.estimate / pages if pages else None,
                 bytes_per_op=arm.bytes_per_op, runs=len(arms))


def count_kind(a: Value, b: Value, differs: Difference) -> str:
    """What a difference of two exact counts comes from. That it comes from the page's size is known when the two are
    equal a page; when they are not, there is more to it, and pages, settings and machine cannot be told apart."""
    if not differs.page or differs.unknown:
        return kind_of(differs)
    return PAGE if None not in (a.per_page, b.per_page) and equal(a.per_page or 0.0, b.per_page or 0.0) else OPEN


def page_rule(values: Sequence[Value]) -> str | None:
    """What a count is a page on each machine, in words; None where an operation visits no whole page."""
    each = [value.per_page for value in values if value.per_page is not None]
    if len(each) < len(values):
        return None
    same = all(equal(one, each[0]) for one in each)
    return f"{count(each[0])} a page on all of them" if same else (
        "the page's size alone does not explain it: " + ", ".join(map(count, each)) + " a page")


def count_row(shared: Shared, arm: str, name: str, machines: Sequence[Machine]) -> Row | None:
    """An exact count on every machine; None where nobody counted it, or nothing but none."""
    values = [count_value(machine, arms, cells, name)
              for machine, arms, cells in zip(machines, shared.arms[arm], shared.columns)]
    known = [value for value in values if value is not None]
    if not any(value.count is not None and value.count.high for value in known):
        return None
    row = Row(*shared.key, arm, name, values, ALONE)
    bad = [f"{safe(machine.label)}: {safe(value.why)}" for machine, value in zip(machines, values)
           if value is not None and value.why]
    told = {i: v.count.estimate for i, v in enumerate(values) if v is not None and v.count is not None and not v.why}
    if len(told) < 2:
        row.finding = OPEN if len(known) > 1 else ALONE
        row.why = "; ".join(bad) or "only one machine counted it"
        return row
    found = []
    for i, j in combinations(told, 2):
        if not equal(told[i], told[j]):
            differs = difference(machines[i], machines[j], shared.plan.params)
            a, b = values[i], values[j]
            assert a is not None and b is not None
            change = Interval(told[j] / told[i]) if told[i] else None
            found.append(Apart(i, j, count_kind(a, b, differs), change, differs))
    row.apart = tuple(found)
    row.finding = finding_of(found, not bad)
    rule = page_rule([value for i, value in enumerate(values) if i in told and value is not None])
    why = [apart_why(row, machines)] if found and row.finding != PAGE else []
    why += [rule] if rule and any(one.differs.page for one in found) else []
    row.why = "; ".join([*why, *bad]) or None
    return row


def rows_of(
    cells: Sequence[Shared], machines: Sequence[Machine], names: Sequence[str], delta: float | None
) -> list[Row]:
    """All rows: of every arm that competes its ratio, of every arm but the null one its exact counts."""
    out: list[Row] = []
    families: dict[str, list[Judged]] = {}
    for shared in cells:
        margin = math.log1p(delta if delta is not None else shared.first.scenario.delta)
        for arm, columns in shared.arms.items():
            one = next(arms[0] for arms in columns if arms)
            if one.plan.is_null:
                continue
            if one.competes:
                judged = ratio_row(shared, arm, machines, margin)
                families.setdefault(shared.key[0], []).append(judged)
                out.append(judged.row)
            out += [row for row in (count_row(shared, arm, name, machines) for name in names) if row is not None]
    for family in families.values():
        family_decide(family, machines)
    return out
