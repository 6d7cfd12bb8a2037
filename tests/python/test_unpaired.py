# SPDX-License-Identifier: MIT
"""Unpaired statistics against SciPy, enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as reference

from faultline import unpaired
from faultline.stats import Interval


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (3, 3), (4, 7), (10, 10), (15, 8), (30, 30)])
def test_p_is_that_of_scipy(n: int, m: int) -> None:
    rng = np.random.default_rng(n * 100 + m)
    for move in (-1.0, 0.0, 0.7):
        base, candidate = rng.normal(size=n), rng.normal(move, size=m)
        less = reference.mannwhitneyu(candidate, base, alternative="less", method="exact").pvalue
        greater = reference.mannwhitneyu(candidate, base, alternative="greater", method="exact").pvalue
        assert unpaired.p_less(base, candidate, 0.0) == pytest.approx(less, rel=1e-9)
        assert unpaired.p_greater(base, candidate, 0.0) == pytest.approx(greater, rel=1e-9)
        moved = reference.mannwhitneyu(candidate - 0.3, base, alternative="less", method="exact").pvalue
        assert unpaired.p_less(base, candidate, 0.3) == pytest.approx(moved, rel=1e-9)


def test_p_is_that_of_all_permutations() -> None:
    """The share of all ways to divide the values among the sides whose rank sum is at most the one seen."""
    base, candidate = np.array([1.1, 2.9, 3.5, 4.8]), np.array([0.3, 1.7, 2.2])
    values = np.concatenate([candidate, base])
    ranks = reference.rankdata(values)
    sums = [ranks[list(chosen)].sum() for chosen in itertools.combinations(range(7), 3)]
    wanted = np.mean([s <= ranks[:3].sum() for s in sums])
    assert unpaired.p_less(base, candidate, 0.0) == pytest.approx(wanted)
    permuted = reference.permutation_test(
        (candidate, base), lambda x, y: reference.rankdata(np.concatenate([x, y]))[: len(x)].sum(), alternative="less",
        n_resamples=np.inf, vectorized=False,
    )
    assert unpaired.p_less(base, candidate, 0.0) == pytest.approx(permuted.pvalue)


def test_a_worked_example() -> None:
    """Hollander, Wolfe & Chicken, table 4.1: permeability of the human chorioamnion, 10 at term and 5 earlier. There:
    W = 30, P = 0.1272 one-sided; the estimate is 0.305, the 96.4 % interval (−0.15, 0.76) for term against earlier."""
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    assert unpaired.p_less(term, early, 0.0) == pytest.approx(0.1272, abs=5e-5)
    found = unpaired.shift(term, early, 0.96)
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.305, -0.76, 0.15))


@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 9), (12, 12)])
def test_the_test_and_the_interval_agree(n: int, m: int) -> None:
    """At level a the test against a bound rejects exactly when the interval at 1 − 2a excludes it, ties included."""
    rng = np.random.default_rng(7)
    for _ in range(40):
        base, candidate = np.round(rng.normal(size=n), 1), np.round(rng.normal(0.5, size=m), 1)
        for level in (0.90, 0.95):
            found = unpaired.shift(base, candidate, level)
            for bound in np.round(np.linspace(-2, 2, 21), 1):
                assert (unpaired.p_less(base, candidate, bound) <= (1 - level) / 2 * (1 + 1e-12)) == (
                    found.high is not None and found.high < bound)
                assert (unpaired.p_greater(base, candidate, bound) <= (1 - level) / 2 * (1 + 1e-12)) == (
                    found.low is not None and found.low > bound)


def test_coverage() -> None:
    """A nominal 95 % interval covers the shift in 95 %, of normal and of heavy-tailed values."""
    rng = np.random.default_rng(3)
    for draw in (rng.standard_normal, lambda size: rng.standard_t(2, size)):
        covered = 0
        for _ in range(1500):
            found = unpaired.shift(draw(8), draw(8) + 0.4)
            covered += found.low <= 0.4 <= found.high
        assert 0.93 <= covered / 1500 <= 0.975


def test_beyond_the_exact_sizes() -> None:
    """The normal form is close to the exact one where it takes over."""
    n = unpaired.EXACT_UP_TO
    for u in (1300, 1400, 1500, 1700):
        exact = float(unpaired.rank_sum_cdf(n, n)[u])
        assert unpaired.rank_sum_p(n + 1, n + 1, round(u * (n + 1) ** 2 / n**2)) == pytest.approx(exact, rel=0.05)
    rng = np.random.default_rng(1)
    base, candidate = rng.normal(size=90), rng.normal(1, size=90)
    assert unpaired.p_greater(base, candidate, 0) == pytest.approx(
        reference.mannwhitneyu(candidate, base, alternative="greater", method="asymptotic").pvalue, rel=1e-6)
    found = unpaired.shift(base, candidate)
    assert found.low < 1 < found.high


def test_too_few_units() -> None:
    """3 against 3 can tell no difference; 4 can for one comparison, and more comparisons need more."""
    assert unpaired.shift([1, 2, 3], [4, 5, 6]) == Interval(3.0)
    assert not unpaired.can_fire(3, 3, 1) and unpaired.can_fire(4, 4, 1) and not unpaired.can_fire(4, 4, 2)
    assert not unpaired.can_fire(1, 30, 1) and not unpaired.can_fire(0, 9, 1)
    assert [unpaired.units_least(pairs) for pairs in (1, 2, 12, 36)] == [4, 5, 6, 7]
    for pairs in (1, 5, 40):
        n = unpaired.units_least(pairs)
        best = 2 * unpaired.p_less(range(n), range(-n, 0), 0.0) * pairs
        assert best <= 0.05 < 2 * pairs * unpaired.p_less(range(n - 1), range(-n, -1), 0.0)


def test_a_further_spread_widens() -> None:
    seen = Interval(0.02, 0.01, 0.03)
    assert unpaired.widened(seen, 0.95, 0.0, 18) == seen
    wide = unpaired.widened(seen, 0.95, 0.01, 18)
    assert wide.high - 0.02 == pytest.approx(math.hypot(0.01, 2.100922 * 0.01)) == pytest.approx(0.02 - wide.low)
    assert unpaired.widened(Interval(1.0), 0.95, 1.0, 18) == Interval(1.0)
    error = 0.01 / 1.959964
    assert unpaired.p_widened(seen, 0.04, 0.01, 18) == pytest.approx(
        reference.t.cdf(-0.02 / math.hypot(error, 0.01), 18), rel=1e-6)
    assert unpaired.p_widened(Interval(1.0), 2.0, 0.1, 18) == 1.0


def test_units_needed() -> None:
    """What it names has about 80 % power, by simulation."""
    rng = np.random.default_rng(5)
    seen = Interval(0.02, 0.02 - 0.0196, 0.02 + 0.0196)  # a standard error of 1 %, from 8 against 8
    need = unpaired.units_needed(seen, 8, 8, 0.01, 1)
    spread = 0.01 / math.sqrt(2 / 8)
    assert need is not None
    told = [2 * unpaired.p_greater(rng.normal(0, spread, need), rng.normal(0.02, spread, need), 0.01) <= 0.05
            for _ in range(400)]
    assert 0.7 <= np.mean(told) <= 0.87
    assert unpaired.units_needed(seen, 8, 8, 0.02, 1) is None
    assert unpaired.units_needed(Interval(1.0), 3, 3, 0.1, 1) is None


def test_what_is_no_side() -> None:
    for wrong in ([], [1.0, math.nan]):
        with pytest.raises(ValueError):
            unpaired.shift(wrong, [1.0])
