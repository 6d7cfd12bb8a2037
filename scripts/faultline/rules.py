# SPDX-License-Identifier: MIT
"""By which rules others call one program slower than another; each a function of what they look at.

A rule sees two sides that were measured one after the other. A side is a list of processes, each [batches] ns an
operation, in the order they were measured. It answers SLOWER or FASTER (the second side), or None for no difference
told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np
from scipy import stats as distributions

from faultline.verdict import FASTER, SLOWER

ALPHA = 0.05
THRESHOLD = 0.01  # a difference below it does not count, where a rule knows such a thing: faultline's own usual δ
COUNT = 10  # samples of a benchmark, as benchstat asks for
SAMPLES, RESAMPLES = 100, 10_000  # Criterion's own are 100 and 100 000
BEST_OF, RANGES_OF = 5, 3

Side = Sequence[np.ndarray]


def direction(change: float) -> str | None:
    """By the sign of a relative change or a log ratio."""
    return SLOWER if change > 0 else FASTER if change < 0 else None


def parts_of(batches: np.ndarray, count: int) -> np.ndarray:
    """Means of as many consecutive parts of a process [count]: what a benchmark that repeats itself prints."""
    return np.array([part.mean() for part in np.array_split(batches, count)])


def means_of(side: Side) -> np.ndarray:
    """One mean of each process [processes]."""
    return np.array([batches.mean() for batches in side])


def rank_sum(base: np.ndarray, other: np.ndarray) -> str | None:
    """Mann and Whitney, two-sided, exact for few samples without ties; which side is slower goes by the medians."""
    p = distributions.mannwhitneyu(base, other, alternative="two-sided").pvalue
    return direction(float(np.median(other) - np.median(base))) if p < ALPHA else None


def benchstat(base: Side, other: Side) -> str | None:
    """`go test -count=10` before and after, then benchstat: Mann–Whitney at 0.05 (golang.org/x/perf/cmd/benchstat).

    The ten samples of -count are of one process.
    """
    return rank_sum(parts_of(base[0], COUNT), parts_of(other[0], COUNT))


def benchstat_processes(base: Side, other: Side) -> str | None:
    """The same rule, and a sample is a process."""
    return rank_sum(means_of(base), means_of(other))


def t_score(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Welch's t along the last axis."""
    error = np.sqrt(a.var(axis=-1, ddof=1) / a.shape[-1] + b.var(axis=-1, ddof=1) / b.shape[-1])
    return (a.mean(axis=-1) - b.mean(axis=-1)) / error


def criterion(base: Side, other: Side, seed: int = 1) -> str | None:
    """Criterion.rs, one process a side (book: "Analysis Process"; src/analysis/compare.rs, src/report.rs).

    100 samples; p by bootstrapping the t score from both sides thrown together; and the bootstrapped 95 % interval of
    the relative change of the mean has to lie beyond the noise threshold of 1 %. Unlike Criterion's, all samples are as
    long, and resamples are 10 000.
    """
    rng = np.random.default_rng(seed)
    old, new = parts_of(base[0], SAMPLES), parts_of(other[0], SAMPLES)
    pool = np.concatenate([old, new])
    drawn = rng.choice(pool, (RESAMPLES, pool.size))
    below = int((t_score(drawn[:, : new.size], drawn[:, new.size :]) < t_score(new, old)).sum())
    p = 2 * min(below, RESAMPLES - below) / RESAMPLES
    means = [rng.choice(samples, (RESAMPLES, samples.size)).mean(axis=1) for samples in (new, old)]
    low, high = np.quantile(means[0] / means[1] - 1, (0.025, 0.975))
    if p >= ALPHA:
        return None
    return SLOWER if low > THRESHOLD else FASTER if high < -THRESHOLD else None


def best_of(base: Side, other: Side) -> str | None:
    """The best of five repeats in one process, as Python's timeit prints it; a difference of 1 % counts."""
    change = math.log(float(parts_of(other[0], BEST_OF).min()) / float(parts_of(base[0], BEST_OF).min()))
    return direction(change) if abs(change) > math.log1p(THRESHOLD) else None


def best_of_processes(base: Side, other: Side) -> str | None:
    """The same, and a repeat is a process."""
    change = math.log(float(means_of(other).min()) / float(means_of(base).min()))
    return direction(change) if abs(change) > math.log1p(THRESHOLD) else None


def sigma(base: np.ndarray, other: np.ndarray) -> str | None:
    """Ratio of means ± its uncertainty by the propagation of both standard deviations, as hyperfine prints it
    ("1.02 ± 0.03 times faster"; src/benchmark/relative_speed.rs): told where 1 lies outside."""
    mine, its = float(other.mean()), float(base.mean())
    ratio = mine / its
    error = ratio * math.hypot(float(other.std(ddof=1)) / mine, float(base.std(ddof=1)) / its)
    return direction(ratio - 1) if abs(ratio - 1) > error else None


def mean_sigma(base: Side, other: Side) -> str | None:
    """hyperfine's printed ratio ± uncertainty; a run is a process."""
    return sigma(means_of(base), means_of(other))


def welch(base: Side, other: Side) -> str | None:
    """Welch's t test at 0.05, hyperfine's scripts/welch_ttest.py; a run is a process."""
    a, b = means_of(base), means_of(other)
    p = distributions.ttest_ind(a, b, equal_var=False).pvalue
    return direction(float(b.mean() - a.mean())) if p < ALPHA else None


def apart(base: np.ndarray, other: np.ndarray) -> str | None:
    """Told where the ranges from least to most do not touch."""
    return SLOWER if other.min() > base.max() else FASTER if other.max() < base.min() else None


def ranges(base: Side, other: Side) -> str | None:
    """The ranges from least to most of three runs, each a process, do not touch."""
    return apart(means_of(base[:RANGES_OF]), means_of(other[:RANGES_OF]))


def ranges_all(base: Side, other: Side) -> str | None:
    """The same of all runs."""
    return apart(means_of(base), means_of(other))


@dataclass(frozen=True)
class Rule:
    """once: whether it is given one long process a side instead of several short ones that take as long together."""

    name: str
    told: str
    once: bool
    decide: Callable[[Side, Side], str | None]


RULES = (
    Rule("benchstat", "10 samples of one process; α = 0.05", True, benchstat),
    Rule("benchstat, a process a sample", "all processes; α = 0.05", False, benchstat_processes),
    Rule("Criterion", "100 samples of one process; α = 0.05, threshold 1 %", True, criterion),
    Rule("best of 5", "5 repeats in one process; threshold 1 %", True, best_of),
    Rule("best of all processes", "all processes; threshold 1 %", False, best_of_processes),
    Rule("mean ± σ, hyperfine", "all processes", False, mean_sigma),
    Rule("Welch's t, hyperfine's script", "all processes; α = 0.05", False, welch),
    Rule("ranges of 3", "3 processes", False, ranges),
    Rule("ranges of all", "all processes", False, ranges_all),
)
