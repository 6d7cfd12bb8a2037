# SPDX-License-Identifier: MIT
"""The rows of a comparison, and how a family of timed ones gets its verdicts: docs/statistics.md, "Comparing runs"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from faultline import unpaired
from faultline.pairing import BOOT, INSTANCE, TRIAL
from faultline.stats import ALPHA, Interval, detectable_effect, holm
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER, decided

RUN_SPREAD = 0.0035  # log ratio: what runs are taken to differ by at least (docs/statistics.md)
UNITS_FLOOR = {BOOT: 3, INSTANCE: 5}  # units a side below which nothing is told, however small the family
ORDER = {v: i for i, v in enumerate((SLOWER, FASTER, INVALID, CANNOT_TELL, SAME))}  # of the rows
LIVE = "a live comparison, or several runs a side that take turns, would tell"


@dataclass
class Row:
    """One quantity of one arm on both sides. change is candidate ÷ base; base and candidate: each side's own value with
    its range over units (of counts over trials)."""

    scenario: str
    cell: str
    arm: str
    quantity: str
    base: Interval | None
    candidate: Interval | None
    change: Interval | None
    verdict: str
    why: str | None = None
    unit: str | None = None
    units: tuple[int, int] | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    by_baseline: bool = False  # a ratio: whether it was rather its baseline's time that moved
    baseline_kept: bool = True  # a ratio: whether its baseline's time is known not to have risen

    @property
    def effect(self) -> float:
        """How far the change is from none, on the log scale; endless from or to nothing."""
        if self.change is not None and self.change.estimate > 0:
            return abs(math.log(self.change.estimate))
        return math.inf if self.base is not None and self.candidate is not None else 0.0


@dataclass
class Pair:
    """A timed row on its way to a verdict: log values [units] a side, the margin, and what else is known."""

    row: Row
    base: np.ndarray
    candidate: np.ndarray
    margin: float
    invalid: str | None
    spread: float = 0.0  # standard deviation of what separates two runs and no unit shows

    @property
    def freedom(self) -> int:
        """Degrees of freedom with which the spread is known."""
        return max(1, self.base.size + self.candidate.size - 2)

    def interval(self, level: float) -> Interval:
        """The shift with its interval, the unseen spread included."""
        return unpaired.widened(unpaired.shift(self.base, self.candidate, level), level, self.spread, self.freedom)

    def directions(self) -> tuple[float, float]:
        """One-sided p for "faster by more than δ" and "slower by more than δ": the exact one, or the one with the
        unseen spread where that is larger."""
        exact = (unpaired.p_less(self.base, self.candidate, -self.margin),
                 unpaired.p_greater(self.base, self.candidate, self.margin))
        if not self.spread:
            return exact
        seen = unpaired.shift(self.base, self.candidate)
        mirrored = Interval(-seen.estimate, *(None if v is None else -v for v in (seen.high, seen.low)))
        return tuple(max(p, unpaired.p_widened(i, -self.margin, self.spread, self.freedom))
                     for p, i in zip(exact, (seen, mirrored)))  # type: ignore[return-value]


def median_and_range(values: np.ndarray) -> Interval | None:
    """The median of log values with their range, as times or ratios."""
    if not values.size:
        return None
    return Interval(float(np.median(values)), float(values.min()), float(values.max())).exp()


def unseen_spread(base: np.ndarray, candidate: np.ndarray, floor: float) -> float:
    """Standard deviation that the shift between two single runs has beyond what its trials [trials] show. Each run may
    be off as a whole by as much as one of its trials is, and at least by `floor`."""
    each = [float(values.std(ddof=1)) if values.size > 1 else 0.0 for values in (base, candidate)]
    return math.hypot(*(max(floor, one) for one in each))


def units_text(number: int, level: str) -> str:
    """ "1 run", "3 boots"."""
    return f"{number} {level}{'s' * (number != 1)}"


def units_least(pairs: int, level: str) -> int:
    """Fewest units a side that could tell anything in that many comparisons."""
    return max(unpaired.units_least(pairs), UNITS_FLOOR.get(level, 0))


def few_why(n: int, m: int, level: str, pairs: int) -> str | None:
    """Why that few units could never tell anything, None when they could."""
    least = units_least(pairs, level)
    if unpaired.can_fire(n, m, pairs) and min(n, m) >= UNITS_FLOOR.get(level, 0):
        return None
    return (f"{n} against {units_text(m, level)}; {least} a side are needed for {pairs} "
            f"comparison{'s' * (pairs > 1)}")


def family_decide(family: Sequence[Pair], level: str) -> None:
    """Verdicts of one family: Holm over the family, then equivalence, then what was missing. p of a pair is twice the
    smaller one-sided p, because the direction is not fixed beforehand."""
    sides = [pair.directions() for pair in family]
    raw = [min(1.0, 2 * min(both)) for both in sides]
    for pair, (faster, slower), p, adjusted in zip(family, sides, raw, holm(raw)):
        row, interval = pair.row, pair.interval(0.95)
        row.change, row.p, row.p_holm = interval.exp(), p, adjusted
        few = few_why(pair.base.size, pair.candidate.size, level, len(family))
        effect = None if few else detectable_effect(interval, ALPHA / len(family))
        row.detectable = None if effect is None else math.expm1(pair.margin + effect)
        too_few = min(pair.base.size, pair.candidate.size) < UNITS_FLOOR.get(level, 0)
        found = None if too_few else decided(adjusted, faster, slower, pair.interval(0.90), pair.margin)
        row.verdict = INVALID if pair.invalid else found or CANNOT_TELL
        if pair.invalid:
            row.why = pair.invalid
        elif found is None:
            row.why = few or open_why(pair, level, len(family))


def open_why(pair: Pair, level: str, pairs: int) -> str:
    """What kept a verdict open although the test could have told, and what would tell."""
    if level == TRIAL:
        return f"single runs differ by themselves: {LIVE}"
    n, m = pair.base.size, pair.candidate.size
    need = unpaired.units_needed(unpaired.shift(pair.base, pair.candidate), n, m, pair.margin, pairs)
    if need is None or need > unpaired.UNITS_MOST:
        return f"over {unpaired.UNITS_MOST} {level}s a side would be needed"
    return f"about {units_text(need, level)} a side would tell"
