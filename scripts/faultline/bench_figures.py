# SPDX-License-Identifier: MIT
"""The figures that tests of the instrument consist of, each with its bounds, and how they are spelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
from scipy import stats as distributions

from faultline import stats
from faultline.stats import Interval

OWN = Path(__file__).resolve().parents[2] / "tests" / "selfbench"  # scenarios that nobody else has a use for
POOL_LEAST = 60  # values that must be there before anything is drawn from them


@dataclass(frozen=True)
class Goal:
    """A goal in words and whether the estimate meets it, None where there is no estimate. Where it is about a number of
    cases: how many there are, and how many are wanted."""

    words: str
    met: bool | None
    have: int = 0
    wanted: int = 0

    @property
    def state(self) -> str:
        """In one or two words."""
        if self.met is None:
            return "goal not known"
        if not self.met:
            return "GOAL MISSED"
        return "goal met" if self.have >= self.wanted else f"met in {self.have}"


def share(k: int, n: int) -> dict[str, Any]:
    """k of n with its Clopper–Pearson bounds."""
    if n == 0:
        return {"k": 0, "n": 0, "share": None, "low": None, "high": None}
    low = float(distributions.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(distributions.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {"k": k, "n": n, "share": k / n, "low": low, "high": high}


def deviation(values: Sequence[float]) -> dict[str, Any]:
    """Standard deviation with its χ² bounds (for values that are about normal); null below two values."""
    n = len(values)
    if n < 2:
        return {"sd": None, "low": None, "high": None, "n": n}
    sd = float(np.std(values, ddof=1))
    low, high = (sd * math.sqrt((n - 1) / distributions.chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    return {"sd": sd, "low": low, "high": high, "n": n}


def size(logs: Sequence[float]) -> dict[str, Any]:
    """Hodges–Lehmann of log ratios as a relative difference."""
    if not len(logs):
        return {"estimate": None, "low": None, "high": None, "n": 0}
    interval = stats.hodges_lehmann(logs)
    made = {
        key: None if value is None else math.expm1(value)
        for key, value in (("estimate", interval.estimate), ("low", interval.low), ("high", interval.high))
    }
    return {**made, "n": len(logs)}


def nanoseconds(values: Sequence[float]) -> dict[str, Any]:
    """Median with its order-statistic interval."""
    if not len(values):
        return {"estimate": None, "low": None, "high": None, "n": 0}
    interval = stats.median_interval(values)
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "n": len(values)}


def covers(interval: Interval | None, truth: float) -> bool | None:
    """Whether an interval holds the truth; None where there is no interval."""
    if interval is None or interval.low is None or interval.high is None:
        return None
    return interval.low <= truth <= interval.high


def coverage(judged: Sequence[bool | None]) -> dict[str, Any]:
    """Share of the intervals that cover."""
    known = [j for j in judged if j is not None]
    return share(sum(known), len(known))


def coverage_drawn(
    pools: Sequence[np.ndarray],
    each: int,
    interval_of: Callable[[np.ndarray], Interval],
    simulations: int,
    seed: int = 1,
) -> dict[str, Any]:
    """Coverage of intervals over `each` values drawn with replacement from each pool, whose own estimate is the truth.

    Pools with too few values to draw from are left out.
    """
    rng = np.random.default_rng(seed)
    kept = [pool for pool in pools if pool.size >= POOL_LEAST]
    if not kept or each < 1:
        return share(0, 0)
    truths = [interval_of(pool).estimate for pool in kept]
    rounds = -(-simulations // len(kept))
    return coverage(
        [
            covers(interval_of(rng.choice(pool, each)), truth)
            for pool, truth in zip(kept, truths)
            for _ in range(rounds)
        ]
    )


def covered_within(found: dict[str, Any], low: float, high: float) -> bool | None:
    """Whether a share lies in a range. None where there is none, or where it lies outside and its bounds do not: then
    there are too few cases to tell."""
    if found["share"] is None or low <= found["share"] <= high:
        return within(found["share"], low, high)
    return False if found["high"] < low or found["low"] > high else None


def within(value: float | None, low: float, high: float) -> bool | None:
    """Whether a figure lies in a range, ends included; None when there is no figure."""
    return None if value is None else low <= value <= high


# ---- what people read ----


def percent(value: float | None, decimals: int = 2) -> str:
    """A share or relative difference; a dash for none."""
    return "–" if value is None else f"{100 * value:.{decimals}f} %"


def bounded(value: dict[str, Any], key: str, decimals: int = 2) -> str:
    """Estimate and bounds in percent."""
    return f"{percent(value[key], decimals)} [{percent(value['low'], decimals)}, {percent(value['high'], decimals)}]"


def counted(value: dict[str, Any]) -> str:
    """k of n with bounds."""
    return f"{value['k']} of {value['n']}: {bounded(value, 'share')}"


def spelled(value: float) -> str:
    """A share without decimals."""
    return f"{value:.0%}".replace("%", " %")


def timed(value: dict[str, Any]) -> str:
    """Nanoseconds with bounds."""
    known = ["–" if value[key] is None else f"{value[key]:.3f}" for key in ("estimate", "low", "high")]
    return f"{known[0]} [{known[1]}, {known[2]}] (n {value['n']})"
