# SPDX-License-Identifier: MIT
"""Changes of level: the test against SciPy and against a plain second version, and how often the rule is wrong."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, t, ttest_ind

from faultline import changes, simulate

DELTA = 0.01
SPREAD = 0.003  # of the log ratio between runs


@pytest.mark.parametrize("m,n", [(5, 3), (9, 8), (8, 9), (20, 5), (40, 20), (60, 20), (77, 3), (1, 1)])
def test_the_exact_distribution_is_that_of_scipy(m, n):
    tail = changes.rank_tail(m, n)
    assert tail.size == m * n + 1 and tail[0] == pytest.approx(1, abs=1e-12) and (np.diff(tail) <= 0).all()
    assert tail[-1] == pytest.approx(1 / math.comb(m + n, n), rel=1e-9)
    rng = np.random.default_rng(m * 100 + n)
    for shift in (0, 0.5, 2):
        before, after = rng.normal(0, 1, m), rng.normal(shift, 1, n)
        found = mannwhitneyu(after, before, alternative="greater", method="exact")
        assert tail[int(found.statistic)] == pytest.approx(found.pvalue, rel=1e-8)


def test_the_distribution_is_that_of_all_orders():
    counts = np.zeros(13)
    for places in combinations(range(7), 3):
        counts[sum(1 for i in places for j in range(7) if j not in places and i > j)] += 1
    assert changes.rank_tail(4, 3) == pytest.approx(np.cumsum(counts[::-1])[::-1] / math.comb(7, 3))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError):
        changes.rank_tail(60, 40)
    for bad in ([1.0, math.nan], [-1.0], [[1.0]]):
        with pytest.raises(ValueError):
            changes.find(bad, DELTA)


def test_equal_values_only_raise_p():
    """Against the permutation distribution with ties, of all ways to choose the runs after."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        values = rng.integers(0, 3, 9).astype(float)
        p, splits = changes.split_p(values), len(changes.split_p(values))
        for after, mine in p.items():
            def least(chosen: tuple[int, ...]) -> float:
                inside, rest = values[list(chosen)], np.delete(values, chosen)
                return max((inside[:, None] > rest).sum(), (inside[:, None] < rest).sum())
            seen = least(tuple(range(9 - after, 9)))
            exact = np.mean([least(c) >= seen for c in combinations(range(9), after)])
            assert mine >= min(1.0, exact * splits) - 1e-9 or mine == 1.0


def find_plainly(values: list[float], delta: float) -> list[tuple[int, int, float]]:
    """The rule of docs/history.md once more, with SciPy's test and nothing else in common."""
    found, start = [], 0
    for now in range(len(values)):
        window = values[max(start, now + 1 - 80) : now + 1]
        tries = [k for k in range(len(window)) if k >= 5 and 3 <= len(window) - k <= 20]
        best = None
        for k in tries:
            before, after = window[:k], window[k:]
            p = len(tries) * 2 * min(
                mannwhitneyu(after, before, alternative=side, method="exact").pvalue for side in ("greater", "less"))
            old, new = float(np.median(before)), float(np.median(after))
            nearer = all(abs(v - new) < abs(v - old) for v in after[:3])
            if p <= 0.001 and max(new / old, old / new) >= 1 + delta and nearer and (best is None or p < best[0]):
                best = (p, k)
        if best is not None:
            start = now + 1 - len(window) + best[1]
            found.append((start, now, best[0]))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_rule_is_what_the_document_says(seed):
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(0, 0.01, 110)) * (1 + 0.04 * (np.arange(110) >= 50) - 0.03 * (np.arange(110) >= 85))
    mine = changes.find(values, DELTA)
    plain = find_plainly(values.tolist(), DELTA)
    assert [(c.first, c.confirmed) for c in mine] == [row[:2] for row in plain] and mine
    assert [c.p for c in mine] == pytest.approx([row[2] for row in plain])


def test_what_was_told_stays_told():
    rng = np.random.default_rng(3)
    values = np.exp(rng.normal(0, 0.02, 150)) * (1 + 0.06 * (np.arange(150) >= 70))
    whole = changes.find(values, DELTA)
    assert whole
    for end in range(20, 151, 7):
        assert changes.find(values[:end], DELTA) == [c for c in whole if c.confirmed < end]


def test_fewer_runs_than_the_least_can_tell_nothing():
    for before in range(1, changes.RUNS_LEAST):
        values = np.r_[np.arange(before) * 1e-6 + 1, np.arange(changes.RUNS_LEAST - 1 - before) * 1e-6 + 2]
        assert changes.find(values, DELTA) == []
    assert changes.find(np.r_[np.full(8, 1.0), np.full(9, 2.0)], DELTA) != []


def test_two_runs_confirm_the_first(capsys):
    quiet = np.exp(np.random.default_rng(2).normal(0, SPREAD, 70))
    for runs, told in ((1, 0), (2, 0), (3, 1)):
        assert len(changes.find(np.r_[quiet, np.full(runs, 1.2)], DELTA)) == told
    assert changes.find(np.r_[quiet, 1.2, 1.2, 1.0, quiet[:20]], DELTA) == []
    assert changes.find(np.r_[quiet, 1.2, 1.0, 1.2, 1.0, 1.2, 1.0, quiet[:20]], DELTA) == []


def test_a_change_below_delta_is_none():
    base = 1 + np.arange(40) * 1e-6
    for step, told in ((0.009, 0), (0.0101, 1)):
        assert len(changes.find(np.r_[base, base[:10] * (1 + step)], DELTA)) == told
        assert len(changes.find(np.r_[base, base[:10] / (1 + step)], DELTA)) == told


def test_counts_that_repeat_exactly():
    for before, after, told in ((0, 0, 0), (2, 2, 0), (0, 0.001, 1), (1, 0, 1), (0.0625, 0.125, 1), (1000, 1005, 0)):
        found = changes.find(np.r_[np.full(40, float(before)), np.full(10, float(after))], DELTA)
        assert [(c.first, c.before, c.after) for c in found] == [(40, before, after)] * told


@pytest.mark.parametrize("before,median,most", [(12, 7, 20), (30, 4, 12), (80, 3, 8)])
def test_power_for_a_step_of_two_percent(before, median, most):
    found = simulate.steps(before, 0.02, 300)
    needed = simulate.needed(found, before)
    exact = sum(f[0].first == before for f in found if f)
    print(f"{before} runs before: found {len(needed)} of 300, after {np.median(needed):.0f} runs (most {max(needed)}),"
          f" at the very run {exact}")
    assert len(needed) >= 297 and np.median(needed) <= median and max(needed) <= most and exact >= 285


@pytest.mark.parametrize("label,most_per_1000", [
    ("independent, spread 0.3 %", 0.1),
    ("independent, spread 2 %", 1.0),
    ("independent, spread 10 %", 1.0),
    ("spread 0.3 %, one run in ten off by some 10 % either way", 0.1),
    ("spread 0.3 %, drift of 0.5 % in 100 runs", 0.3),
])
def test_false_alarms(label, most_per_1000):
    """The most are of 1000 looks; at 1 the rule would have no more than its level."""
    (quiet,) = [one for one in simulate.QUIET if one.label == label]
    found = simulate.alarms(quiet, 0.25)
    print(f"{label}: {found.told} alarms in {found.looks} looks, {found} of 1000")
    assert 1000 * found.rate <= most_per_1000


def test_boots_that_differ_by_a_good_part_of_delta_raise_no_alarms():
    quiet = simulate.BOOTED[1]
    found, as_runs = (simulate.alarms(quiet, 0.1, known) for known in (True, False))
    print(f"{quiet.label}: {found.told} alarms in {found.looks} looks, {as_runs.told} if runs were the units")
    assert found.told <= 3 and as_runs.told >= 20


def test_the_p_over_units_is_that_of_student():
    """Against SciPy, with so many units that what is taken for their spread beforehand no longer counts."""
    rng = np.random.default_rng(7)
    values = 1 + np.repeat(rng.normal(0, 0.01, 400) + 0.003 * (np.arange(400) >= 300), 3)
    units = np.repeat(np.arange(400), 3).tolist()
    seen = ttest_ind(values[:900:3], values[900::3]).pvalue
    assert changes.units_p(values, units, 900, 0.01) == pytest.approx(seen * 6, rel=0.1)  # 7 boots in the last 20 runs
    few = changes.units_p(np.r_[np.ones(10), np.full(10, 1.05)], [0] * 10 + [1] * 10, 10, 0.01)
    wanted = 2 * t.sf(0.05 / (0.005 * 1.025 * math.sqrt(2)), 4)
    assert few == pytest.approx(wanted, rel=1e-9)


def test_a_step_is_told_over_boots_and_within_one():
    rng = np.random.default_rng(12)
    logs = np.repeat(rng.normal(0, 0.001, 10), 9) + rng.normal(0, SPREAD, 90)
    units = [run // 9 for run in range(90)]
    for first in (45, 49):  # with a reboot, and amid a boot
        found = changes.find(np.exp(logs) * np.where(np.arange(90) >= first, 1.03, 1), DELTA, units=units)
        assert [c.first for c in found] == [first]
    short = np.exp(logs[:45]) * np.where(np.arange(45) >= 30, 1.03, 1)
    for units in ([0] * 45, [0] * 9 + [1] * 36):  # the last boot shows it by itself
        assert [c.first for c in changes.find(short, DELTA, units=units)] == [30]
    with pytest.raises(ValueError):
        changes.find([1.0, 2.0], DELTA, units=[1])


def test_runs_that_hang_together_raise_alarms_which_is_why_times_are_not_judged():
    found = simulate.alarms(simulate.QUIET[-1], 0.07)
    print(f"wandering: {found.told} alarms in {found.looks} looks, {found} of 1000")
    assert found.rate > 0.01


def test_a_drift_that_has_gone_beyond_delta_is_told():
    assert all(changes.find(np.exp(simulate.drifting(0.0005)(np.random.default_rng(i), 120)), DELTA) for i in range(20))
