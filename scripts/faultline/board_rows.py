# SPDX-License-Identifier: MIT
"""The rows of a board: what each machine says of an arm, and how the machines differ. docs/statistics.md, "Between
machines", has the rules. Logarithms inside, ratios in the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Mapping, Sequence

import numpy as np

from faultline import stats
from faultline.board_machines import Machine, MachineDifference, Shared, difference
from faultline.board_pairs import MachinePair, Shift, shift_of
from faultline.pairing import RATIO
from faultline.stats import Interval
from faultline.text import percent, ratio, safe, signed
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SLOWER, ArmResult, too_many, trials_text

# The first three and "agree" are said of machines, "runs differ" and "runs agree" of the runs at hand and no more.
REAL, SETTINGS, PAGE, RUNS_DIFFER, OPEN, RUNS_AGREE, AGREE, ALONE = FINDINGS = (
    "real difference", "settings", "page size", "runs differ", "cannot tell", "runs agree", "agree", "one machine")
UNDECIDED = (RUNS_DIFFER, OPEN, RUNS_AGREE)  # what leaves open whether the machines differ
FACTOR = 2.0  # changes beyond it are told as a factor
KEYS_NAMED = 4
EMULATED_WHY = "the times of an emulated machine are the emulator's"
BOOTS_FOR_INTERVAL = 6  # of one machine, from which on the spread of the boots themselves gives an interval


@dataclass(frozen=True)
class Value:
    """What one machine says of an arm. ratio, count, time: estimate with its interval (see column); runs: how many say
    it; logs: of each of these runs the log ratios of its trials [trials]; boots: the log ratio of each boot, the median
    over its runs [boots], none where too many boots lack it."""

    verdict: str | None
    why: str | None
    ratio: Interval | None = None
    time: Interval | None = None
    count: Interval | None = None
    per_page: float | None = None
    page_bytes: int | None = None
    bytes_per_op: int | None = None
    runs: int = 1
    logs: tuple[np.ndarray, ...] = ()
    boots: np.ndarray = field(default_factory=lambda: np.array([]))


@dataclass(frozen=True)
class Apart:
    """Two machines (their columns) that differ, and what that comes from. change: the second's value ÷ the first's, of
    ratios with its 95 % interval; None where the first's count is 0. limit: why no more is said than that the runs
    differ."""

    a: int
    b: int
    finding: str
    change: Interval | None
    differs: MachineDifference
    limit: str | None = None

    @property
    def effect(self) -> float:
        """How far the change is from none, on the log scale; endless from or to nothing."""
        return abs(math.log(self.change.estimate)) if self.change and self.change.estimate else math.inf


@dataclass
class BoardRow:
    """One quantity of one arm on all machines. values: None where a machine has not planned it or is not shown."""

    scenario: str
    cell: str
    arm: str
    quantity: str
    values: list[Value | None]
    finding: str
    why: str | None = None
    apart: tuple[Apart, ...] = ()
    by_rule: bool = False  # whether it is open because no rule may judge it, whatever it shows

    @property
    def worst(self) -> Apart | None:
        """The two machines that the finding is told of: those that are farthest apart."""
        same = [one for one in self.apart if one.finding == self.finding]
        return max(same, key=lambda one: one.effect, default=None)

    @property
    def turns(self) -> bool:
        """Whether the arm surely wins on one machine and surely loses on another one, and these surely differ."""
        return self.finding not in (OPEN, ALONE) and {FASTER, SLOWER} <= {
            value.verdict for value in self.values if value is not None}

    @property
    def one_verdict(self) -> str | None:
        """The verdict that all machines with a figure share; None when they do not or one has none."""
        found = {value.verdict for value in self.values if value is not None}
        return found.pop() if len(found) == 1 else None


# ---- what one machine says ----


def hull(intervals: Sequence[Interval]) -> Interval:
    """Of several runs of one machine: the median of their estimates with the hull of their intervals (no end where one
    has none)."""
    if len(intervals) == 1:
        return intervals[0]
    ends = [[getattr(one, end) for one in intervals] for end in ("low", "high")]
    low, high = (None if None in found else pick(found) for found, pick in zip(ends, (min, max)))
    return Interval(float(np.median([one.estimate for one in intervals])), low, high)


def by_boot(values: Sequence[float], boots: Sequence[int]) -> np.ndarray:
    """The median of each boot's values [boots]. boots: which one each value is of."""
    return np.array([np.median([value for value, its in zip(values, boots) if its == boot])
                     for boot in dict.fromkeys(boots)], dtype=float)


def column(intervals: Sequence[Interval], boots: Sequence[int]) -> Interval:
    """A machine's figure from those of its runs: from BOOTS_FOR_INTERVAL boots on Hodges–Lehmann over the boots; of
    fewer their median, with the hull of the runs' intervals. boots: which one each run is of."""
    each = by_boot([one.estimate for one in intervals], boots)
    if each.size >= BOOTS_FOR_INTERVAL:
        return stats.hodges_lehmann(each.tolist())
    around = hull(intervals)
    return Interval(float(np.median(each)), around.low, around.high)


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


def boots_kept(values: Sequence[float], boots: Sequence[int], planned: int) -> np.ndarray:
    """The value of each boot; none when too many of the planned ones have none: the others may be a selection."""
    each = by_boot(values, boots)
    return np.array([]) if too_many(planned - each.size, planned) else each


def value_of(arms: Sequence[ArmResult], machine: Machine) -> Value | None:
    """What a machine says of an arm's time and ratio; None when it has not planned it."""
    if not arms:
        return None
    timed = [arm for arm in arms if arm.ns_per_op is not None]
    if not timed:
        why = next((arm.reason for arm in arms if arm.reason), "no trial was recorded")
        return Value(None, f"{arms[0].status}: {why}" if arms[0].status not in why else why)
    boots = [machine.boot_of[id(arm)] for arm in timed]
    time = column([arm.ns_per_op for arm in timed if arm.ns_per_op is not None], boots)
    size = timed[0].bytes_per_op
    found = [(arm.ratio, arm.ratio.interval, boot) for arm, boot in zip(timed, boots)
             if arm.ratio is not None and arm.ratio.interval is not None]
    if not found:
        return Value(None, timed[0].ratio_reason, time=time, bytes_per_op=size, runs=len(timed))
    intervals, boots = [one for _, one, _ in found], [boot for _, _, boot in found]
    verdict, why = verdict_of(timed)
    planned = len({machine.boot_of[id(arm)] for arm in arms})
    return Value(verdict, why, column(intervals, boots).exp(), time, bytes_per_op=size, runs=len(found),
                 logs=tuple(quantity.logs for quantity, _, _ in found),
                 boots=boots_kept([one.estimate for one in intervals], boots, planned))


# ---- how machines differ ----


def kind_of(differs: MachineDifference) -> str:
    """What a difference between two machines comes from, as far as that can be said."""
    if not differs.is_known:
        return OPEN
    return PAGE if differs.page else SETTINGS if differs.settings else REAL


def finding_of(apart: Sequence[Apart], equal_all: str | None) -> str:
    """The finding of a row: the strongest that two of the machines allow; equal_all: what it is when none differ, None
    where that is open."""
    kinds = {one.finding for one in apart}
    return next((kind for kind in (REAL, SETTINGS, OPEN, PAGE, RUNS_DIFFER) if kind in kinds), equal_all or OPEN)


def trials_of(value: Value) -> int:
    """How many trials are behind a machine's ratio: in the run that has the fewest."""
    return min(logs.size for logs in value.logs)


def unclear_why(values: Mapping[int, Value], shifts: Sequence[Shift], pairs: int, machines: Sequence[Machine]) -> str:
    """What kept machines that do not differ for sure from being told apart or alike."""
    few = min(values, key=lambda i: trials_of(values[i]))
    if not any(shift.can_fire(pairs) for shift in shifts):
        return (f"{trials_text(trials_of(values[few]))} on {safe(machines[few].label)} are too few for {pairs} "
                f"comparison{'s' * (pairs > 1)}")
    units = "boots" if all(shift.by_boots for shift in shifts) else "trials"
    samples = {i: [value.boots] if units == "boots" else value.logs for i, value in values.items()}
    spread = {i: max(float(one.std(ddof=1)) for one in its) for i, its in samples.items()
              if all(one.size > 1 for one in its)}
    wide = max(spread, key=lambda i: spread[i])
    return (f"neither apart nor together by δ; {units} on {safe(machines[wide].label)} differ by "
            f"{percent(math.expm1(spread[wide]))}")


def is_shown(machines: Sequence[Machine], machine: Machine) -> bool:
    """Whether a machine's times stand on the board: those of emulated ones only among themselves."""
    return not machine.is_emulated or all(one.is_emulated for one in machines)


@dataclass
class Judged:
    """A row of ratios on its way to a finding: what each machine says, each pair of machines that has them, and what
    the two differ in."""

    row: BoardRow
    told: dict[int, Value]
    pairs: dict[tuple[int, int], MachinePair]
    differs: dict[tuple[int, int], MachineDifference]


@dataclass(frozen=True)
class Between:
    """What all rows of a board are made with. unfit: of two columns, why their boots cannot be compared, if so."""

    machines: Sequence[Machine]
    unfit: Mapping[tuple[int, int], str | None]


def ratio_row(shared: Shared, arm: str, between: Between, margin: float) -> Judged:
    """An arm's ratio to the baseline on every machine, judged within each; between them it is still open."""
    machines = between.machines
    values = [value_of(arms, machine) if is_shown(machines, machine) else None
              for machine, arms in zip(machines, shared.arms[arm])]
    row = BoardRow(*shared.key, arm, RATIO, values, ALONE)
    told = {i: v for i, v in enumerate(values) if v is not None and v.ratio is not None and v.verdict != INVALID}
    out = Judged(row, told, {}, {})
    if len(told) < 2:
        row.why = alone_why(values, shared.arms[arm], machines)
    elif any(machines[i].is_emulated for i in told):
        row.finding, row.why, row.by_rule = OPEN, EMULATED_WHY, True
    else:
        for i, j in combinations(told, 2):
            out.pairs[i, j] = MachinePair((told[i].boots, told[j].boots), (told[i].logs, told[j].logs), margin,
                                          between.unfit[i, j])
            out.differs[i, j] = difference(machines[i], machines[j], shared.plan.params)
    return out


def findings_put(judged: Sequence[Judged], machines: Sequence[Machine]) -> None:
    """The findings of one scenario's ratios: Holm over all pairs of machines of all its rows that are judged by their
    boots, and again over those that are judged by their runs; then equivalence."""
    every = [(one, key, pair) for one in judged for key, pair in one.pairs.items()]
    shifts = {id(pair): shift_of(pair, len(every)) for _, _, pair in every}
    adjusted: dict[int, float] = {}
    for by_boots in (True, False):
        family = {key: shift.p for key, shift in shifts.items() if shift.by_boots is by_boots}
        adjusted |= zip(family, stats.holm(list(family.values())))
    for one in (one for one in judged if one.pairs):
        its = {key: shifts[id(pair)] for key, pair in one.pairs.items()}
        one.row.apart = tuple(
            apart_of(key, its[key], one.differs[key], pair.why_runs(len(every)))
            for key, pair in one.pairs.items() if adjusted[id(pair)] <= stats.ALPHA)
        one.row.finding = finding_of(one.row.apart, together_of(list(its.values())))
        if one.row.apart:
            one.row.why = apart_why(one.row, machines)
        elif one.row.finding == OPEN:
            one.row.why = unclear_why(one.told, list(its.values()), len(every), machines)
        elif one.row.finding == RUNS_AGREE:
            one.row.why = limit_text(next(why for pair in one.pairs.values() if (why := pair.why_runs(len(every)))))


def apart_of(key: tuple[int, int], shift: Shift, differs: MachineDifference, limit: str | None) -> Apart:
    """Two machines that differ: by their boots, or in their runs only."""
    change = shift.interval(0.95).exp()
    return Apart(*key, kind_of(differs) if shift.by_boots else RUNS_DIFFER, change, differs,
                 None if shift.by_boots else limit)


def together_of(shifts: Sequence[Shift]) -> str | None:
    """How machines are alike: by their boots, or in their runs only; None when they are not for sure."""
    if not all(shift.is_together for shift in shifts):
        return None
    return AGREE if all(shift.by_boots for shift in shifts) else RUNS_AGREE


def limit_text(limit: str) -> str:
    """Why runs say nothing of machines."""
    return f"boots differ by themselves: {limit}"


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


def keys_text(keys: Sequence[str]) -> str:
    """The first keys, and how many more there are."""
    more = f" and {len(keys) - KEYS_NAMED} more" if len(keys) > KEYS_NAMED else ""
    return ", ".join(map(safe, keys[:KEYS_NAMED])) + more


def apart_why(row: BoardRow, machines: Sequence[Machine]) -> str:
    """ "A to B: +31 %; they differ in cpu_model, kernel_release; unknown of one at least: governor" of the two machines
    that are farthest apart."""
    worst = row.worst
    assert worst is not None
    a, b = (safe(machines[i].label) for i in (worst.a, worst.b))
    differs, said = worst.differs, f"{a} to {b}: {change_text(worst.change)}"
    keys = differs.settings or differs.machine
    keys = ("page_bytes", *keys) if differs.page else keys
    if not differs.is_known:
        said += ", and the fingerprint of one is missing"
    else:
        said += f"; they differ in {keys_text(keys)}" if keys else "; their fingerprints are alike"
        said += f"; unknown of one at least: {keys_text(differs.unknown)}" if differs.unknown else ""
    return f"{said}; {limit_text(worst.limit)}" if worst.limit else said
