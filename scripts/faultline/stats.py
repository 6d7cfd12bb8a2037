# SPDX-License-Identifier: MIT
"""Statistics over trials: exact rank methods for few values, and what follows from them.

The unit is the trial. Values are one-dimensional float arrays [trials], finite, in any unit (log ratios as a rule).
An interval that its method cannot give (too few values) has low = high = None; nothing is ever guessed.

Sources: Hodges & Lehmann (1963) for the estimator and its interval from Walsh averages; Wilcoxon (1945) for the
signed-rank test; Holm (1979); Theil (1950) and Sen (1968); Schuirmann (1987) for two one-sided tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Sequence

import numpy as np

ALPHA = 0.05  # family-wise error of one scenario's verdicts
POWER = 0.80  # with which a "smallest detectable effect" would be seen
EXACT_UP_TO = 300  # values: the exact distribution is cheap up to here, and beyond it equals the normal one
SLOPES_UP_TO = 1500  # values: above it the slope is of medians of values that follow each other
WALSH_UP_TO = 1500  # values: above it Walsh averages are selected without being listed


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided interval, in the unit of the values; None where there is none."""

    estimate: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """(high − low) / 2, or None without an interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def exp(self) -> "Interval":
        """The same on the ratio scale, for an interval of log ratios."""
        return Interval(*(None if v is None else math.exp(v) for v in (self.estimate, self.low, self.high)))


def values_check(values: Sequence[float]) -> np.ndarray:
    """The values as a float array [n]; ValueError when empty, not one-dimensional or not finite."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("need at least one value in one dimension")
    if not np.isfinite(array).all():
        raise ValueError("values must be finite")
    return array


@lru_cache(maxsize=512)
def signed_rank_cdf(n: int) -> np.ndarray:
    """P(T ≤ t) for t = 0 … n(n+1)/2 of the signed-rank sum T of n untied values under symmetry about 0.

    By dynamic programming: rank r is in T with probability 1/2, independently of the others. Only sums of positive
    numbers occur, so the relative error stays near the machine's rounding.
    """
    top = n * (n + 1) // 2
    mass = np.zeros(top + 1)
    mass[0] = 1.0
    for rank in range(1, n + 1):
        shifted = np.zeros(top + 1)
        shifted[rank:] = mass[: top + 1 - rank]
        mass = (mass + shifted) / 2
    return np.minimum(np.cumsum(mass), 1.0)


def signed_rank_p(n: int, t: int) -> float:
    """P(T ≤ t) for n values: exact to EXACT_UP_TO values, beyond it by the normal distribution with continuity."""
    if t < 0:
        return 0.0
    top = n * (n + 1) // 2
    if t >= top:
        return 1.0
    if n <= EXACT_UP_TO:
        return float(signed_rank_cdf(n)[t])
    sigma = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return NormalDist().cdf((t + 0.5 - top / 2) / sigma)


def signed_rank_k(n: int, level: float) -> int:
    """Which Walsh average bounds the interval: the largest k with P(T ≤ k − 1) ≤ (1 − level)/2; 0 when there is
    none."""
    tail = (1 - level) / 2
    if n <= EXACT_UP_TO:
        return int(np.searchsorted(signed_rank_cdf(n), tail * (1 + 1e-12), side="right"))
    sigma = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return max(0, math.floor(n * (n + 1) / 4 + NormalDist().inv_cdf(tail) * sigma + 0.5))


def walsh_averages(values: Sequence[float]) -> np.ndarray:
    """All (x_i + x_j)/2 with i ≤ j, sorted: [n(n+1)/2]."""
    array = values_check(values)
    i, j = np.triu_indices(array.size)
    return np.sort((array[i] + array[j]) / 2)


def walsh_count(ordered: np.ndarray, bound: float, strict: bool) -> int:
    """How many Walsh averages of the sorted values lie below `bound` (≤ when not strict), without listing them."""
    side = "left" if strict else "right"
    up_to = np.searchsorted(ordered, 2 * bound - ordered, side=side)
    pairs = int(up_to.sum())
    diagonal = int(np.searchsorted(ordered, bound, side=side))
    return (pairs + diagonal) // 2


def walsh_select(ordered: np.ndarray, k: int) -> float:
    """The k-th smallest Walsh average (k from 1) of many sorted values, by bisection to the last bit or so."""
    low, high = float(ordered[0]), float(ordered[-1])
    if walsh_count(ordered, low, False) >= k:
        return low
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if walsh_count(ordered, middle, False) >= k:
            high = middle
        else:
            low = middle
    return high


def hodges_lehmann(values: Sequence[float], level: float = 0.95) -> Interval:
    """Median of the Walsh averages, with the exact signed-rank interval [W(k), W(M+1−k)], M = n(n+1)/2.

    No interval exists below 6 values at 95 % and below 5 at 90 %. Ties only widen what the interval covers.
    """
    array = values_check(values)
    n = array.size
    total = n * (n + 1) // 2
    k = signed_rank_k(n, level)
    if n <= WALSH_UP_TO:
        walsh = walsh_averages(array)
        estimate = float(np.median(walsh))
        low, high = (float(walsh[k - 1]), float(walsh[total - k])) if k else (None, None)
    else:
        ordered = np.sort(array)
        estimate = (walsh_select(ordered, (total + 1) // 2) + walsh_select(ordered, total // 2 + 1)) / 2
        low, high = walsh_select(ordered, k), walsh_select(ordered, total + 1 - k)
    return Interval(estimate, low, high)


def p_less(values: Sequence[float], bound: float) -> float:
    """One-sided exact signed-rank p of "the centre is ≥ bound" against "it is below".

    T = number of Walsh averages ≥ bound, p = P(T' ≤ T). Without ties this is the textbook test; a Walsh average that
    equals the bound counts against the alternative, so that ties and zeros only make p larger, and so that the test at
    level a rejects exactly when the upper end of the two-sided interval at 1 − 2a lies below the bound.
    """
    ordered = np.sort(values_check(values))
    n = ordered.size
    below = walsh_count_exact(ordered, bound)
    return signed_rank_p(n, n * (n + 1) // 2 - below)


def walsh_count_exact(ordered: np.ndarray, bound: float) -> int:
    """How many Walsh averages lie below `bound`, with the very rounding of walsh_averages where they can be listed."""
    if ordered.size <= WALSH_UP_TO:
        return int(np.searchsorted(walsh_averages(ordered), bound, side="left"))
    return walsh_count(ordered, bound, True)


def p_greater(values: Sequence[float], bound: float) -> float:
    """The mirror image of p_less: "the centre is ≤ bound" against "it is above"."""
    return p_less(-values_check(values), -bound)


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Median with the distribution-free interval of order statistics [x(k), x(n+1−k)] (binomial, exact)."""
    ordered = np.sort(values_check(values))
    n = ordered.size
    tail = (1 - level) / 2
    k, mass = 0, 0.0
    while k < n // 2:
        mass += math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))
        if mass > tail:
            break
        k += 1
    low, high = (float(ordered[k - 1]), float(ordered[n - k])) if k else (None, None)
    return Interval(float(np.median(ordered)), low, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given; reject where adjusted ≤ α."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return adjusted


def theil_sen(values: Sequence[float]) -> float:
    """Median slope between all pairs of equally spaced values, per step; 0 for a single value. NaN values are left
    out. Many values are first put together: the medians of as many that follow each other as bring them down to
    SLOPES_UP_TO."""
    array = np.asarray(values, dtype=float)
    if array.size > SLOPES_UP_TO:
        each = -(-array.size // SLOPES_UP_TO)
        parts = [part[np.isfinite(part)] for part in np.split(array, range(each, array.size, each))]
        return theil_sen([float(np.median(part)) if part.size else math.nan for part in parts]) / each
    steps = np.flatnonzero(np.isfinite(array))
    if steps.size < 2:
        return 0.0
    i, j = pairs_of(steps.size)
    kept = array[steps]
    return float(np.median((kept[j] - kept[i]) / (steps[j] - steps[i])))


@lru_cache(maxsize=8)
def pairs_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the first and of the second of all pairs of so many values. Trials of a run have as many rounds."""
    return np.triu_indices(count, 1)


def equivalent(near: Interval, margin: float) -> bool:
    """Two one-sided tests at 5 %: whether the 90 % interval lies strictly inside ± margin (False without an
    interval)."""
    return near.low is not None and near.high is not None and -margin < near.low and near.high < margin


def standard_error(interval: Interval, level: float = 0.95) -> float | None:
    """The standard error that a normal estimate with this interval would have."""
    half = interval.half_width
    return None if half is None else half / NormalDist().inv_cdf((1 + level) / 2)


def detectable_effect(interval: Interval, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """Smallest shift (same unit) that a two-sided test at `alpha` would find with this power, given this spread."""
    error = standard_error(interval)
    return None if error is None else (NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)) * error


def trials_least(pairs: int, alpha: float = ALPHA) -> int:
    """Fewest trials with which a family of that many pairs can yield any FASTER or SLOWER: ceil(log2(2·pairs/α))."""
    return max(1, math.ceil(math.log2(2 * max(1, pairs) / alpha)))


def steps_needed(interval: Interval, margin: float, pairs: int) -> tuple[float, float, float] | None:
    """Standard error of the effect, its distance from the margin, and by how many standard errors it has to be away to
    be told with power 80 %; None when it lies on the margin or is unknown. Beyond the margin: against it at α/pairs;
    within: to show equivalence at 5 %. Normal approximation."""
    error = standard_error(interval)
    distance = abs(abs(interval.estimate) - margin)
    if error is None or distance == 0:
        return None
    normal = NormalDist()
    beyond = abs(interval.estimate) > margin
    alpha = ALPHA / (2 * max(1, pairs)) if beyond else ALPHA
    return error, distance, normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)


def trials_needed(interval: Interval, n: int, margin: float, pairs: int) -> int | None:
    """Trials at which the observed effect would be told, with power 80 %; None when it lies on the margin or unknown.

    Beyond the margin: against it at α/pairs; within: to show equivalence at 5 %. Normal approximation, never below the
    least number with which the rule can fire.
    """
    steps = steps_needed(interval, margin, pairs)
    if steps is None:
        return None
    error, distance, z = steps
    need = math.ceil((z * error * math.sqrt(n) / distance) ** 2)
    return max(need, trials_least(pairs) if abs(interval.estimate) > margin else 5)


GRADES = (("A", 0.005), ("B", 0.01), ("C", 0.02), ("D", 0.05))


def noise_floor(null: Interval) -> float | None:
    """What a null arm says about a cell: its own offset plus the smallest effect its spread lets through (log
    ratio)."""
    effect = detectable_effect(null)
    return None if effect is None else abs(null.estimate) + effect


def noise_grade(floor: float | None) -> str | None:
    """A to D by the smallest detectable effect (log ratio), F beyond 5 %; None when it is unknown."""
    if floor is None:
        return None
    return next((grade for grade, limit in GRADES if floor <= math.log1p(limit)), "F")
