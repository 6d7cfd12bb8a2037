# SPDX-License-Identifier: MIT
"""The gap test: planted mixtures are found, single heaps of any shape are left alone."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest

from faultline.modes import modes

Draw = Callable[[np.random.Generator, int], np.ndarray]
HEAPS: dict[str, Draw] = {
    "narrow": lambda rng, n: rng.normal(0, 0.02, n),
    "wide": lambda rng, n: rng.normal(0, 0.3, n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "one tail": lambda rng, n: rng.exponential(0.5, n),
    "two tails": lambda rng, n: rng.laplace(0, 0.3, n),
    "heavy tails": lambda rng, n: 0.1 * rng.standard_t(2, n),
    "a tenth delayed": lambda rng, n: rng.normal(0, 0.01, n)
    + np.where(rng.random(n) < 0.1, rng.exponential(0.5, n), 0),
    "a few stalls": lambda rng, n: rng.normal(0, 0.01, n) + np.where(rng.random(n) < 0.02, 2.3, 0),
}


@pytest.mark.parametrize("name", HEAPS)
@pytest.mark.parametrize("n", (30, 100, 1000))
def test_a_single_heap_has_one_mode(name: str, n: int) -> None:
    rng = np.random.default_rng(11)
    found = [len(modes(40 * np.exp(HEAPS[name](rng, n)))) for _ in range(200)]
    assert sum(count > 1 for count in found) <= 2


@pytest.mark.parametrize(("share", "spread"), ((0.5, 0.03), (0.5, 0.15), (0.3, 0.1), (0.8, 0.05)))
def test_planted_modes_are_found(share: float, spread: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        times = np.where(rng.random(300) < share, 35, 115) * np.exp(rng.normal(0, spread, 300))
        found = modes(times)
        assert len(found) == 2
        assert found[0].ns == pytest.approx(35, rel=0.08) and found[1].ns == pytest.approx(115, rel=0.08)
        assert found[0].share == pytest.approx(share, abs=0.1) and found[0].share + found[1].share == pytest.approx(1)


def test_three_modes() -> None:
    rng = np.random.default_rng(5)
    times = rng.choice([20, 60, 200], 600) * np.exp(rng.normal(0, 0.05, 600))
    assert [round(mode.ns, -1) for mode in modes(times)] == [20, 60, 200]


def test_what_is_too_near_or_too_few_is_no_mode() -> None:
    assert len(modes([40.0] * 50 + [44.0] * 50)) == 1
    assert len(modes([40.0] * 14 + [140.0] * 14)) == 1
    assert len(modes([40.0] * 15 + [140.0] * 15)) == 2
    assert modes([]) == [] and [mode.ns for mode in modes([7.0])] == [pytest.approx(7.0)]
    assert len(modes([40.0] * 100)) == 1
