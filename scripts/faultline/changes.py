# SPDX-License-Identifier: MIT
"""Where a series of run values changed its level.

A rank test looks at the last runs each time a run is added, and a change that it has told stays told: what comes later
does not alter what was said about earlier runs. docs/history.md has the rule and how often it is wrong.

Source of the test: Mann & Whitney, *Annals of Mathematical Statistics* 18 (1947); of the correction: Bonferroni, over
the split points tried, as in Pettitt, *Applied Statistics* 28 (1979), but with the exact distribution. Of the test over
units: Student's, its variance moderated after Smyth, *Statistical Applications in Genetics and Molecular Biology* 3
(2004).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Hashable, Sequence

import numpy as np
from scipy.special import stdtr

ALPHA = 0.001  # of one look, two-sided, after the correction for the split points tried
WINDOW = 80  # runs that a look sees
AFTER_LEAST = 3  # the first run of the new level, and two that confirm it
AFTER_MOST = 20  # runs behind a split point that is tried: what has not been told by then is too small to be
BEFORE_LEAST = 5  # runs before it
UNIT_SPREAD = 1 / 2  # of δ: the standard deviation of boots that is taken for granted until boots say otherwise
UNIT_FREEDOM = 4  # few enough that some ten boots count for more
RUNS_LEAST = 17  # with fewer the smallest p there is stays above ALPHA, whatever the values are


@dataclass(frozen=True)
class Change:
    """A change of level. first: index of the first run of the new level; confirmed: of the run with which it was told;
    before, after: medians of the runs of the window on either side; p: two-sided, corrected."""

    first: int
    confirmed: int
    before: float
    after: float
    p: float


@lru_cache(maxsize=4096)
def rank_tail(m: int, n: int) -> np.ndarray:
    """P(U ≥ u) for u = 0 … mn, float [mn + 1]: U counts the pairs of m and n exchangeable untied values in which the
    second one is the larger.

    The number of orders with U = u is the coefficient of q^u in the Gaussian binomial (m+n over n); whole numbers that
    must fit into 63 bits: min(m, n) ≤ AFTER_MOST and m + n ≤ WINDOW do.
    """
    if min(m, n) < 1 or math.comb(m + n, n) >= 1 << 63:
        raise ValueError(f"no exact distribution for {m} and {n} values")
    orders = np.zeros(m * n + 1, dtype=np.int64)
    orders[0] = 1
    for i in range(1, n + 1):
        if m + i < orders.size:  # times (1 − q^(m+i)) …
            orders[m + i :] -= orders[: -(m + i)].copy()
        for rest in range(min(i, orders.size)):  # … divided by (1 − q^i)
            orders[rest::i] = np.cumsum(orders[rest::i])
    return np.cumsum(orders[::-1].astype(float))[::-1] / math.comb(m + n, n)


def beyond(before: float, after: float, delta: float) -> bool:
    """Whether two levels (not negative) differ by the factor 1 + delta at least; from or to nothing always."""
    if before == after:
        return False
    if min(before, after) <= 0:
        return True
    return abs(math.log(after / before)) >= math.log1p(delta) * (1 - 1e-9)


def split_p(values: np.ndarray) -> dict[int, float]:
    """The corrected two-sided p of each split point that is tried: {runs behind it: p}. values: float [runs].

    Pairs of equal values count for neither direction, which only raises p.
    """
    n = values.size
    sizes = range(AFTER_LEAST, min(AFTER_MOST, n - BEFORE_LEAST) + 1)
    above = np.cumsum(np.cumsum(values[None, :] > values[:, None], axis=0), axis=1)  # [up to row i, up to column j]
    below = np.cumsum(np.cumsum(values[None, :] < values[:, None], axis=0), axis=1)
    found = {}
    for after in sizes:
        k = n - after
        most = max(int(pairs[k - 1, -1] - pairs[k - 1, k - 1]) for pairs in (above, below))
        found[after] = min(1.0, 2 * float(rank_tail(k, after)[most]) * len(sizes))
    return found


def is_confirmed(values: np.ndarray, before: float, after: float) -> bool:
    """Whether the first of these runs and the two after it lie nearer to the level after than to the one before."""
    sign = 1.0 if after > before else -1.0
    return bool((sign * (values[:AFTER_LEAST] - (before + after) / 2) > 0).all())


def unit_medians(values: np.ndarray, units: Sequence[Hashable]) -> np.ndarray:
    """The median of each unit's runs, float [units]. values: float [runs]; units: [runs], what each is of."""
    runs: dict[Hashable, list[float]] = {}
    for unit, value in zip(units, values.tolist()):
        runs.setdefault(unit, []).append(value)
    return np.array([statistics.median(some) for some in runs.values()])


def units_p(values: np.ndarray, units: Sequence[Hashable], k: int, delta: float) -> float:
    """Two-sided p of Student's test between the medians of the units before the run k and of those from it on, times
    the borders between units at which a change is tried. Few units do not tell how far units differ: so the
    variance is that of these together with what is taken for it beforehand (UNIT_SPREAD of delta), as known as from
    UNIT_FREEDOM degrees of freedom."""
    before, after = unit_medians(values[:k], units[:k]), unit_medians(values[k:], units[k:])
    seen = before.size + after.size - 2
    squares = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum())
    assumed = UNIT_FREEDOM * (UNIT_SPREAD * delta * float(np.median(values))) ** 2
    freedom = seen + UNIT_FREEDOM
    error = math.sqrt((squares + assumed) / freedom * (1 / before.size + 1 / after.size))
    distance = abs(float(before.mean() - after.mean()))
    if error == 0:
        return float(distance == 0)
    borders = max(1, len(set(units[-AFTER_MOST:])) - 1)
    return min(1.0, 2 * float(stdtr(freedom, -distance / error)) * borders)


Shown = tuple[int, float, float, float]  # index of the first run of the new level, median before, median after, p


def look_runs(values: np.ndarray, delta: float, is_place: Callable[[int], bool]) -> Shown | None:
    """The change that the last runs show, each a unit of its own, where a change may be; None when they show none."""
    if values.size < RUNS_LEAST or not beyond(float(values.min()), float(values.max()), delta):
        return None
    for after, p in sorted(split_p(values).items(), key=lambda one: one[1]):
        if p > ALPHA:
            return None
        k = values.size - after
        levels = float(np.median(values[:k])), float(np.median(values[k:]))
        if beyond(*levels, delta) and is_confirmed(values[k:], *levels) and is_place(k):
            return k, *levels, p
    return None


def look(values: np.ndarray, delta: float, units: Sequence[Hashable]) -> Shown | None:
    """The change that the last runs show, None when they show none. values: float [runs], at most WINDOW, not negative;
    units: [runs], what each is of: runs of one unit hang together.

    Where units have several runs, the last unit may show a change by its own runs. Else the units must show it as well
    as the runs do.
    """
    if len(set(units)) in (1, values.size):
        return look_runs(values, delta, lambda k: True)
    own = next(i for i in range(values.size, 0, -1) if i == 1 or units[i - 2] != units[-1]) - 1
    found = look_runs(values[own:], delta, lambda k: True)
    if found is not None:
        return found[0] + own, *found[1:]
    return look_runs(values, delta, lambda k: units_p(values, units, k, delta) <= ALPHA)


def find(
    values: Sequence[float], delta: float, begin: int = 0, units: Sequence[Hashable] | None = None
) -> list[Change]:
    """The changes told from the run with index `begin` on. values: [runs] of one level so far, in the order of time,
    not negative; delta: the smallest change that counts, as a fraction; units: [runs], what each is of, by default
    something of its own. After a change only runs of the new level are looked at."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("values must be finite and not negative, in one dimension")
    of = range(array.size) if units is None else units
    if len(of) != array.size:
        raise ValueError("values and units must be equally many")
    found: list[Change] = []
    start = 0
    for end in range(begin + 1, array.size + 1):
        left = max(start, end - WINDOW)
        seen = look(array[left:end], delta, of[left:end])
        if seen is not None:
            start = left + seen[0]
            found.append(Change(start, end - 1, *seen[1:]))
    return found
