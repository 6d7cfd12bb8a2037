# SPDX-License-Identifier: MIT
"""Writes tests/data/precision_golden.json: log ratios and the interval that C and Python must both find.

Run from the repository's root:
PYTHONPATH=scripts python3 tests/python/precision_golden.py > tests/data/precision_golden.json
"""

from __future__ import annotations

import json
import sys

import numpy as np

from faultline import stats


def cases(seed: int = 20260131) -> list[list[float]]:
    """Lists of log ratios, n = 1 … 30: normal, skewed, heavy-tailed, tied, constant, with an outlier, far from 0."""
    rng = np.random.default_rng(seed)
    shapes = (
        lambda n: rng.normal(0, 0.005, n),
        lambda n: rng.normal(-0.478, 0.02, n),
        lambda n: rng.standard_t(2, n) * 0.01 + 0.05,
        lambda n: rng.exponential(0.01, n),
        lambda n: np.round(rng.normal(0, 0.01, n), 2),
        lambda n: np.append(rng.normal(0, 0.003, n - 1), 0.9),
    )
    lists = [shape(n) for n in (6, 7, 8, 10, 12, 15, 20, 25, 30) for shape in shapes]
    lists += [rng.normal(0, 0.01, n) for n in (1, 2, 3, 4, 5)]
    lists += [np.zeros(8), np.full(6, -0.25), np.array([0.0, 0.0, 0.0, 0.01, -0.01, 0.02, -0.02])]
    return [[round(float(v), 12) for v in values] for values in lists]


def golden() -> list[dict[str, object]]:
    """One object a case, as the tests of both languages read it."""
    found = ((values, stats.hodges_lehmann(values)) for values in cases())
    return [{"ratios": v, "estimate": i.estimate, "low": i.low, "high": i.high} for v, i in found]


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(row) for row in golden())
    sys.stdout.write(f"[\n{rows}\n]\n")
