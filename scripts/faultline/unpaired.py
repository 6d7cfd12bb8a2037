# SPDX-License-Identifier: MIT
"""Statistics of two sides that are not paired: exact rank methods for few units, and what follows from them.

Values are one-dimensional float arrays [units] a side, finite, in any unit (logarithms as a rule). The shift is
candidate − base. An interval that its method cannot give (too few units) has low = high = None.

Sources: Mann & Whitney (1947) for the test, Hodges & Lehmann (1963) for the estimator, Lehmann (1963) for its interval
from the pairwise differences; Hollander, Wolfe & Chicken, chapter 4.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from faultline.stats import ALPHA, Interval, standard_error, steps_needed, values_check

EXACT_UP_TO = 60  # units of the larger side: beyond it the normal form equals the exact one to three digits
UNITS_MOST = 1000  # units a side that a "would need" still names


@lru_cache(maxsize=256)
def rank_sum_cdf(n: int, m: int) -> np.ndarray:
    """P(U ≤ u) for u = 0 … n·m of the Mann–Whitney U of n and m untied values whose order is random: every way to
    divide the ranks among the sides is as likely as any other, so this is the permutation test of the ranks.

    By the recurrence N(u; n, m) = N(u − m; n − 1, m) + N(u; n, m − 1) on the shares instead of the counts.
    """
    table = [np.array([1.0]) for _ in range(m + 1)]  # n = 0
    for i in range(1, n + 1):
        row = [np.array([1.0])]
        for j in range(1, m + 1):
            mass = np.zeros(i * j + 1)
            mass[j:] += table[j] * (i / (i + j))
            mass[: i * (j - 1) + 1] += row[j - 1] * (j / (i + j))
            row.append(mass)
        table = row
    return np.minimum(np.cumsum(table[m]), 1.0)


def is_exact(n: int, m: int) -> bool:
    """Whether the exact distribution is used for sides of these sizes."""
    return max(n, m) <= EXACT_UP_TO


def sigma(n: int, m: int) -> float:
    """Standard deviation of U without ties."""
    return math.sqrt(n * m * (n + m + 1) / 12)


def rank_sum_p(n: int, m: int, u: int) -> float:
    """P(U ≤ u): exact up to EXACT_UP_TO units a side, beyond it by the normal distribution with continuity."""
    if u < 0:
        return 0.0
    if u >= n * m:
        return 1.0
    if is_exact(n, m):
        return float(rank_sum_cdf(n, m)[u])
    return NormalDist().cdf((u + 0.5 - n * m / 2) / sigma(n, m))


def rank_sum_k(n: int, m: int, level: float) -> int:
    """Which pairwise difference bounds the interval: the largest k with P(U ≤ k − 1) ≤ (1 − level)/2; 0 without one."""
    tail = (1 - level) / 2
    if is_exact(n, m):
        return int(np.searchsorted(rank_sum_cdf(n, m), tail * (1 + 1e-12), side="right"))
    return max(0, math.floor(n * m / 2 + NormalDist().inv_cdf(tail) * sigma(n, m) + 0.5))


def differences(base: Sequence[float], candidate: Sequence[float]) -> np.ndarray:
    """All candidate − base, sorted: [n·m]."""
    return np.sort((values_check(candidate)[:, None] - values_check(base)[None, :]).ravel())


def shift(base: Sequence[float], candidate: Sequence[float], level: float = 0.95) -> Interval:
    """Median of the pairwise differences, with the exact interval [D(k), D(nm + 1 − k)].

    No interval exists for 3 against 3 at 95 %, nor for 2 against 3 at 90 %. Ties only widen what the interval covers.
    """
    found = differences(base, candidate)
    k = rank_sum_k(len(base), len(candidate), level)
    low, high = (float(found[k - 1]), float(found[found.size - k])) if k else (None, None)
    return Interval(float(np.median(found)), low, high)


def p_less(base: Sequence[float], candidate: Sequence[float], bound: float) -> float:
    """One-sided exact p of "the shift is ≥ bound" against "it is below". A difference that equals the bound counts
    against the alternative, so ties only make p larger, and the test at level a rejects exactly when the upper end of
    the two-sided interval at 1 − 2a lies below the bound."""
    found = differences(base, candidate)
    above = found.size - int(np.searchsorted(found, bound, side="left"))
    return rank_sum_p(len(base), len(candidate), above)


def p_greater(base: Sequence[float], candidate: Sequence[float], bound: float) -> float:
    """The mirror image of p_less: "the shift is ≤ bound" against "it is above"."""
    return p_less(-values_check(base), -values_check(candidate), -bound)


def widened(interval: Interval, level: float, spread: float, freedom: int) -> Interval:
    """The interval with a further, independent normal error on the estimate: half-widths add up as squares. spread: its
    standard deviation, itself estimated with that many degrees of freedom."""
    if spread == 0 or interval.low is None or interval.high is None:
        return interval
    further = float(stdtrit(freedom, (1 + level) / 2)) * spread
    low, high = (math.hypot(end - interval.estimate, further) for end in (interval.low, interval.high))
    return Interval(interval.estimate, interval.estimate - low, interval.estimate + high)


def p_widened(interval: Interval, bound: float, spread: float, freedom: int) -> float:
    """One-sided p by Student's t of "the shift is ≥ bound" against "it is below", with that further error on the
    estimate; 1 without an interval."""
    error = standard_error(interval)
    if error is None:
        return 1.0
    return float(stdtr(freedom, (interval.estimate - bound) / math.hypot(error, spread)))


def can_fire(n: int, m: int, pairs: int, alpha: float = ALPHA) -> bool:
    """Whether n against m units could give any FASTER or SLOWER in a family of that many: 2·pairs ≤ α·C(n+m, n)."""
    return n > 0 and m > 0 and 2 * max(1, pairs) <= alpha * math.comb(n + m, n)


def units_least(pairs: int, alpha: float = ALPHA) -> int:
    """Fewest units a side with which that can be."""
    return next(n for n in range(1, UNITS_MOST) if can_fire(n, n, pairs, alpha))


def units_needed(interval: Interval, n: int, m: int, margin: float, pairs: int) -> int | None:
    """Units a side at which the shift seen would be told, with power 80 %; None when it lies on the margin or unknown.

    Beyond the margin: against it at α/pairs; within: to show equivalence at 5 %. Normal approximation, never below the
    least number with which the rule can fire.
    """
    steps = steps_needed(interval, margin, pairs)
    if steps is None:
        return None
    error, distance, z = steps
    each = 2 * (z * error / distance) ** 2 / (1 / n + 1 / m)
    return max(math.ceil(each), units_least(pairs) if abs(interval.estimate) > margin else 4)
