# SPDX-License-Identifier: MIT
"""Tails of runs whose truth is known: a planted stall is found, an absent one is not, and intervals cover."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_run
from faultline import bench_figures, selfbench, selfbench_tails, stats

OPERATIONS = 100_000


def write(folder: Path, runs: int, stalls: float, mapped: list[float]) -> dict[str, Any]:
    """Figures of so many runs with this share of stalls, and these ratios of a mapping to pread."""
    for k in range(runs):
        arms = [fake_run.FakeArm("pread", 1.0, "pread"),
                fake_run.FakeArm("stalled", 1.0, "pread", params={"stalls": stalls})]
        stall = fake_run.FakeScenario(name=selfbench_tails.STALL, arms=arms, base_ns=1200.0, trials=12,
                                      common={"latency_ops": OPERATIONS})
        against = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("mapped", mapped[k])]
        other = fake_run.FakeScenario(name=selfbench_tails.MAPPED, arms=against, trials=8,
                                      trial_noise=0.0001, common={"working_set_bytes": 512 << 10})
        fake_run.write(folder / "hogs-0" / f"run-{k:02}", [stall, other], seed=k + 1)
    (found,) = selfbench.conditions_of(selfbench.runs_read(folder))
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Eight runs, in which twice as many operations stall as the quantile leaves above it."""
    return write(tmp_path_factory.mktemp("planted"), 8, 2e-4, [0.50, 0.51, 0.49, 0.50, 0.52, 0.50, 0.48, 0.50])


def test_a_planted_stall_is_found_and_none_where_there_is_none(planted):
    found = planted["tails"]
    for key, hits in (("stall_found", 8), ("stall_absent", 0)):
        assert {delta: (v["k"], v["n"]) for delta, v in found[key].items()} == {"0.25": (hits, 8), "0.01": (hits, 8)}
    assert found["slow_per_million"] == {"baseline": 0, "stalled": pytest.approx(200), "null": 0}


def test_no_stall_is_found_where_none_was_planted(tmp_path):
    found = write(tmp_path, 1, 1e-9, [0.5])["tails"]  # of 100 000 operations the first: one more than none
    assert (found["stall_found"]["0.25"]["k"], found["stall_found"]["0.25"]["n"]) == (0, 1)
    words = [goal.words for goal in selfbench_tails.goals_idle(found) if goal.met is False]
    assert any("is found by p99.99" in text for text in words)


def test_intervals_of_the_tail_cover(planted):
    covered = planted["tails"]["tail_coverage"]
    assert covered["null"]["n"] == 8 and covered["null"]["share"] >= 0.75
    # These tails spread hardly wider than a bucket of the histogram; ties only make an interval cover more.
    for key in ("ratio", "time"):
        assert covered[key]["n"] >= 3000 and 0.92 <= covered[key]["share"] <= 0.995


def test_spread_of_the_mapping_is_that_of_the_runs(planted):
    mapped = planted["tails"]["mapped"]
    (cell,) = mapped["cells"].values()
    truth = np.std(np.log([0.50, 0.51, 0.49, 0.50, 0.52, 0.50, 0.48, 0.50]), ddof=1)
    assert cell["n"] == 8 and cell["ratio"] == pytest.approx(0.5, rel=0.01)
    assert mapped["worst"] == cell["sd"] == pytest.approx(truth, rel=0.1)
    assert mapped["worst_small"] == mapped["worst"]
    assert "the ratio of a mapping to pread varies by at most 1 % in cells of 512 KiB" in [
        goal.words for goal in selfbench.goals(planted) if goal.met is False]


def test_coverage_drawn_is_the_level_of_the_interval():
    """A median's interval from n values has an exact level; draws from many values have to show it."""
    pool = np.random.default_rng(3).normal(0, 1, 1001)
    found = bench_figures.coverage_drawn([pool], 10, stats.median_interval, 4000)
    exact = 1 - 2 * sum(math.comb(10, i) for i in range(2)) / 2**10  # between the 2nd and the 9th of 10
    assert found["low"] - 0.005 <= exact <= found["high"] + 0.005
    assert bench_figures.coverage_drawn([pool[:50]], 10, stats.median_interval, 4000)["n"] == 0
