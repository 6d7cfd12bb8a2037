# SPDX-License-Identifier: MIT
"""The rows of a board: what each machine says of an arm, and how the machines differ. docs/statistics.md, "Between
machines", has the rules. Logarithms inside, ratios in the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Mapping, Sequence

import numpy as np

from faultline import derive, stats, unpaired
from faultline.board_machines import Difference, Machine, Shared, difference
from faultline.change_rows import RUN_SPREAD
from faultline.exact_counts import counts_of, equal
from faultline.pairing import RATIO
from faultline.stats import Interval
from faultline.text import count, percent, safe, signed
from faultline.verdict import (
    CANNOT_TELL,
    FASTER,
    INVALID,
    SLOWER,
    ArmResult,
    CellResult,
    Quantity,
    null_complaint,
)

REAL, SETTINGS, PAGE, OPEN, AGREE, ALONE = FINDINGS = (
    "real difference", "settings", "page size", "cannot tell", "agree", "one machine")
EMULATED_WHY = "the times of an emulated machine are the emulator's"
RUNS_FOR_INTERVAL = 6  # of one machine, from which on the spread of the runs themselves gives an interval


@dataclass(frozen=True)
class Value:
    """What one machine says of an arm. ratio, count, time: estimate with its interval (of several runs the hull of
    theirs); band: the log ratio with what runs of one machine differ by, at 95 and at 90 %; runs: how many say it."""

    verdict: str | None
    why: str | None
    ratio: Interval | None = None
    time: Interval | None = None
    band: tuple[Interval, Interval] | None = None
    count: Interval | None = None
    per_page: float | None = None
    bytes_per_op: int | None = None
    runs: int = 1


@dataclass(frozen=True)
class Apart:
    """Two machines (their columns) that differ, and what that comes from. change: the second's value ÷ the first's;
    None where the first's count is 0."""

    a: int
    b: int
    finding: str
    change: float | None
    differs: Difference

    @property
    def effect(self) -> float:
        """How far the change is from none, on the log scale; endless from or to nothing."""
        return abs(math.log(self.change)) if self.change else math.inf


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


def band_of(quantity: Quantity, level: float) -> Interval:
    """The log ratio of a single run with what its trials do not show: a run may be off as a whole by as much as one of
    its trials is (docs/statistics.md, "A ratio of one run against one")."""
    logs = quantity.logs
    spread = max(RUN_SPREAD, float(logs.std(ddof=1)) if logs.size > 1 else 0.0)
    return unpaired.widened(stats.hodges_lehmann(logs, level), level, spread, max(1, logs.size - 1))


def bands(quantities: Sequence[Quantity]) -> tuple[Interval, Interval]:
    """The log ratio of a machine at 95 and at 90 %: of a single run widened, of several by the runs."""
    if len(quantities) == 1:
        return band_of(quantities[0], 0.95), band_of(quantities[0], 0.90)
    over = hull([q.interval for q in quantities if q.interval is not None])
    return over, over


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
    ratio = hull([q.interval for q in quantities if q.interval is not None]).exp()
    return Value(verdict, why, ratio, time, bands(quantities), bytes_per_op=size, runs=len(quantities))


# ---- how machines differ ----


def kind_of(differs: Difference) -> str:
    """What a difference between two machines comes from, as far as that can be said."""
    if differs.unknown:
        return OPEN
    return PAGE if differs.page else SETTINGS if differs.settings else REAL


def finding_of(apart: Sequence[Apart], equal_all: bool) -> str:
    """The finding of a row: the strongest that two of the machines allow."""
    kinds = {one.finding for one in apart}
    return next((kind for kind in (REAL, SETTINGS, PAGE, OPEN) if kind in kinds), AGREE if equal_all else OPEN)


def is_apart(a: Interval, b: Interval, margin: float) -> bool:
    """Whether the intervals of two machines have more than the margin between them."""
    if None in (a.low, a.high, b.low, b.high):
        return False
    return max(a.low, b.low) - min(a.high, b.high) > margin  # type: ignore[type-var, operator]


def is_together(a: Interval, b: Interval, margin: float) -> bool:
    """Whether the difference of two independent estimates surely lies within the margin: its interval is put together
    from theirs, half-widths as squares (Zou & Donner 2008, "MOVER"), at the level of theirs."""
    if None in (a.low, a.high, b.low, b.high):
        return False
    middle = b.estimate - a.estimate
    down = math.hypot(b.estimate - b.low, a.high - a.estimate)  # type: ignore[operator]
    up = math.hypot(b.high - b.estimate, a.estimate - a.low)  # type: ignore[operator]
    return middle - down >= -margin and middle + up <= margin


def open_why(values: Mapping[int, Value], machines: Sequence[Machine]) -> str:
    """What kept the machines from being told apart or alike: the one whose ratio is known least."""
    short = [i for i, value in values.items() if value.band is None or value.band[0].low is None]
    if short:
        return f"too few trials on {safe(machines[short[0]].label)} for an interval"
    widths = {i: value.band[0].half_width or 0.0 for i, value in values.items() if value.band is not None}
    worst = max(widths, key=lambda i: widths[i])
    few = "several runs of it would tell more" if values[worst].runs == 1 else "it has few runs"
    return f"the ratio on {safe(machines[worst].label)} is known to {percent(math.expm1(widths[worst]))}; {few}"


def is_shown(machines: Sequence[Machine], machine: Machine) -> bool:
    """Whether a machine's times stand on the board: those of emulated ones only among themselves."""
    return not machine.is_emulated or all(one.is_emulated for one in machines)


def ratio_row(shared: Shared, arm: str, machines: Sequence[Machine], margin: float) -> Row:
    """An arm's ratio to the baseline on every machine, judged within each."""
    values = [value_of(arms) if is_shown(machines, machine) else None
              for machine, arms in zip(machines, shared.arms[arm])]
    row = Row(*shared.key, arm, RATIO, values, ALONE)
    told = {i: v for i, v in enumerate(values) if v is not None and v.ratio is not None and v.verdict != INVALID}
    if len(told) < 2:
        row.why = alone_why(values, shared.arms[arm], machines)
        return row
    if any(machines[i].is_emulated for i in told):
        row.finding, row.why = OPEN, EMULATED_WHY
        return row
    found, same = [], True
    for i, j in combinations(told, 2):
        (a, near_a), (b, near_b) = told[i].band, told[j].band  # type: ignore[misc]
        same = same and is_together(near_a, near_b, margin)
        if is_apart(a, b, margin):
            differs = difference(machines[i], machines[j], shared.plan.params)
            found.append(Apart(i, j, kind_of(differs), math.exp(b.estimate - a.estimate), differs))
    row.apart = tuple(found)
    row.finding = finding_of(found, same)
    row.why = apart_why(row, machines) if found else None if row.finding == AGREE else open_why(told, machines)
    return row


def alone_why(values: Sequence[Value | None], arms: Sequence[Sequence[ArmResult]], machines: Sequence[Machine]) -> str:
    """Why fewer than two machines can be put beside each other."""
    hidden = any(value is None and its for value, its in zip(values, arms))
    if hidden:
        return EMULATED_WHY
    lost = [f"{safe(machine.label)}: {value.verdict or safe(value.why)}" for machine, value in zip(machines, values)
            if value is not None and (value.ratio is None or value.verdict == INVALID)]
    return "; ".join(lost) or "only one machine measured it"


def apart_why(row: Row, machines: Sequence[Machine]) -> str:
    """ "B ÷ A is 1.31×, which differ in cpu_model, kernel_release" of the two machines that are farthest apart."""
    worst = row.worst
    assert worst is not None
    a, b = (safe(machines[i].label) for i in (worst.a, worst.b))
    change = "from none" if worst.change is None else "to none" if worst.change == 0 else signed(math.log(worst.change))
    if worst.differs.unknown:
        return f"{a} to {b}: {change}, and the fingerprint of one is missing"
    keys = {REAL: worst.differs.machine, SETTINGS: worst.differs.settings,
            PAGE: ("page_bytes", *worst.differs.settings)}[worst.finding]
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
    return None


def count_value(machine: Machine, arms: Sequence[ArmResult], cells: Sequence[CellResult], name: str) -> Value | None:
    """A count per operation of one machine, and per page where operations visit whole ones."""
    values = counts_of(arms, name)
    if not values:
        return None
    found = Interval(float(np.median(values)), min(values), max(values))
    arm = next(arm for arm in arms if arm.bytes_per_op is not None) if any(
        arm.bytes_per_op is not None for arm in arms) else arms[0]
    pages = derive.pages_per_op(arm.plan.params, arm.bytes_per_op, machine.page_bytes)
    complaint = count_complaint(arms, cells, name, found)
    return Value(None, complaint, count=found, per_page=found.estimate / pages if pages else None,
                 bytes_per_op=arm.bytes_per_op, runs=len(arms))


def page_rule(values: Sequence[Value]) -> str | None:
    """What the page's size makes of a count, in words: whether it is the same on all machines a page; None where that
    is unknown."""
    each = [value.per_page for value in values]
    if any(one is None for one in each):
        return None
    first = each[0]
    assert first is not None
    same = all(equal(one, first) for one in each if one is not None)
    return f"{count(first)} a page on all of them" if same else "a page: " + ", ".join(count(one) for one in each)


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
            found.append(Apart(i, j, kind_of(differs), told[j] / told[i] if told[i] else None, differs))
    row.apart = tuple(found)
    row.finding = finding_of(found, not bad)
    why = [apart_why(row, machines)] if found else []
    rule = page_rule([value for i, value in enumerate(values) if i in told and value is not None])
    why += [rule] if rule and any(one.differs.page for one in found) else []
    row.why = "; ".join([*why, *bad]) or None
    return row


def rows_of(cells: Sequence[Shared], machines: Sequence[Machine], names: Sequence[str], delta: float | None) -> list[Row]:
    """All rows: of every arm that competes its ratio, of every arm but the null one its exact counts."""
    out: list[Row] = []
    for shared in cells:
        margin = math.log1p(delta if delta is not None else shared.first.scenario.delta)
        for arm, columns in shared.arms.items():
            one = next(arms[0] for arms in columns if arms)
            if one.plan.is_null:
                continue
            if one.competes:
                out.append(ratio_row(shared, arm, machines, margin))
            out += [row for row in (count_row(shared, arm, name, machines) for name in names) if row is not None]
    return out
