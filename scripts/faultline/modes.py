# SPDX-License-Identifier: MIT
"""Whether times come in heaps of their own (35 ns or 115 ns, and nothing between): a gap test on their logarithms.

The values are cut in two where the squares about both means are least, and each part again. Then neighbours are put
together again, the nearest first, until what is left are modes: the distance of the medians of two neighbours is
large beside the spread within either (a robust form of the D of Ashman, Bird & Zepf 1994), almost nothing lies between
them, and it is large at all. The halves of a single heap stay below, however skewed it is or heavy its tails are: those
of a normal distribution have D = 2.3, of a uniform one 2.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np

VALUES_LEAST = 30  # below it a gap is no news
SIDE_LEAST = 8  # values of a mode, at least
SIDE_SHARE = 0.1  # of the values that are looked at, at least: less is a tail
APART = math.log(1.2)  # of the medians: what lies nearer is told by the class's uniformity and by drift
SEPARATION = 4.5  # D, see above
DEPTH = 3  # of the cuts: at most 8 pieces
BETWEEN = 0.1  # of the values may lie in the middle half of the way from one median to the other
MAD, TENTHS = 1.4826, 2.5631  # a normal distribution's sigma ÷ its median absolute deviation; its q90 − q10 in sigmas


@dataclass(frozen=True)
class Mode:
    """One heap: its median, and its share of all values."""

    ns: float
    share: float


def spread(values: np.ndarray) -> float:
    """Standard deviation as the median absolute deviation tells it, or as the middle 80 % do where that is more."""
    low, middle, high = np.percentile(values, (10, 50, 90))
    return max(float(np.median(np.abs(values - middle))) * MAD, float(high - low) / TENTHS)


def cut_best(ordered: np.ndarray) -> int:
    """How many of the sorted values stand below the cut with the least squares about the two means."""
    n = ordered.size
    below = np.arange(1, n)
    sums = np.cumsum(ordered - ordered.mean())[:-1]  # the total is 0: between-squares are sums² (1/k + 1/(n−k))
    return int(below[np.argmax(sums**2 * (1 / below + 1 / (n - below)))])


def pieces(ordered: np.ndarray, depth: int = DEPTH) -> list[np.ndarray]:
    """The sorted values cut again and again: more pieces than there may be modes."""
    if depth == 0 or ordered[0] == ordered[-1]:
        return [ordered]
    cut = cut_best(ordered)
    return pieces(ordered[:cut], depth - 1) + pieces(ordered[cut:], depth - 1)


def separation(low: np.ndarray, high: np.ndarray, total: int) -> float:
    """D of two neighbouring pieces of `total` values; 0 where they are no modes of their own for another reason."""
    bottom, top = float(np.median(low)), float(np.median(high))
    way = top - bottom
    both = np.concatenate((low, high))
    between = np.count_nonzero((both > bottom + way / 4) & (both < top - way / 4))
    if min(low.size, high.size) < max(SIDE_LEAST, SIDE_SHARE * total) or way < APART or between > BETWEEN * both.size:
        return 0.0
    within = max(spread(low), spread(high))
    return way / within if within else math.inf


def heaps(ordered: np.ndarray) -> list[np.ndarray]:
    """The sorted values by mode, ascending: pieces put together again, the nearest first, until all are modes."""
    several = ordered.size >= VALUES_LEAST and ordered[-1] - ordered[0] >= APART
    found = pieces(ordered) if several else [ordered]
    while len(found) > 1:
        sides = list(zip(found, found[1:]))
        one_heap = [i for i, pair in enumerate(sides) if separation(*pair, ordered.size) < SEPARATION]
        if not one_heap:
            break
        nearest = min(one_heap, key=lambda i: float(np.median(sides[i][1]) - np.median(sides[i][0])))
        found[nearest : nearest + 2] = [np.concatenate(sides[nearest])]
    return found


def modes(values_ns: Sequence[float] | np.ndarray) -> list[Mode]:
    """The modes of these times (positive, finite), ascending; one where nothing parts them, [] for no values."""
    values = np.sort(np.asarray(values_ns, dtype=float))
    if not values.size:
        return []
    return [Mode(float(np.exp(np.median(one))), one.size / values.size) for one in heaps(np.log(values))]
