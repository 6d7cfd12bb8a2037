# SPDX-License-Identifier: MIT
"""The histogram's formulas against an independent writing of them, and its quantiles against the raw values."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import fake_run
from faultline import latency
from faultline.records import Histogram

# Index and lower bound, worked by hand: 127 is the last of width 1; 128 to 255 have width 1 too; 256 begins width 2.
GOLDEN = (
    (0, 0, 0),
    (1, 1, 1),
    (127, 127, 127),
    (128, 128, 128),
    (255, 255, 255),
    (256, 256, 256),
    (257, 256, 256),
    (258, 257, 258),
    (511, 383, 510),
    (512, 384, 512),
    (1000, 506, 1000),
    (1003, 506, 1000),
    (1004, 507, 1004),
    ((1 << 63) + 12345, 7296, 1 << 63),
    ((1 << 64) - 1, 7423, 255 << 56),
)


@pytest.mark.parametrize(("value", "index", "lower"), GOLDEN)
def test_golden_buckets(value: int, index: int, lower: int) -> None:
    assert latency.bucket_of(value) == index and latency.bucket_bounds(index)[0] == lower


def test_every_bucket_holds_exactly_its_values() -> None:
    expected = 0
    for index in range(58 * 128):
        low, width = latency.bucket_bounds(index)
        assert low == expected and latency.bucket_of(low) == index == latency.bucket_of(low + width - 1)
        assert width == 1 or width * 128 <= low
        expected = low + width
    assert expected == 1 << 64


def test_two_writings_of_the_formula_agree() -> None:
    values = {int(v) for v in np.exp(np.random.default_rng(1).uniform(0, 43, 4000))}
    values |= {(1 << b) + d for b in range(1, 62) for d in (-1, 0, 1)}
    assert all(fake_run.bucket(v) == latency.bucket_of(v) for v in values)


def histogram(values: np.ndarray) -> Histogram:
    raw = fake_run.histogram(values)
    return Histogram(7, np.array([b[0] for b in raw["buckets"]]), np.array([b[1] for b in raw["buckets"]]))


@pytest.mark.parametrize("seed", range(4))
def test_quantiles_equal_those_of_the_raw_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.maximum(0, np.concatenate([rng.lognormal(7, 1.5, 9000), rng.lognormal(13, 0.5, 1234)])).astype(np.int64)
    ordered, found = np.sort(values), histogram(values)
    for name, q in latency.QUANTILES:
        true = float(ordered[math.ceil(q * values.size) - 1])
        assert latency.quantile(found, q) == pytest.approx(true, rel=1 / 128, abs=0.5), name


def test_merging_is_adding() -> None:
    rng = np.random.default_rng(9)
    parts = [rng.lognormal(6, 1, n).astype(np.int64) for n in (10, 500, 3)]
    whole, merged = histogram(np.concatenate(parts)), latency.merge(histogram(p) for p in parts)
    assert merged is not None and latency.merge([]) is None
    assert np.array_equal(whole.index, merged.index) and np.array_equal(whole.count, merged.count)
    with pytest.raises(ValueError):
        latency.merge([whole, Histogram(6, whole.index, whole.count)])


def test_quantiles_are_withheld_with_a_reason() -> None:
    some = histogram(np.full(999, 5000))
    assert latency.quantile_or_reason(some, Fraction(99, 100), 10) == (None, "999 operations, 1000 are needed")
    assert latency.quantile_or_reason(histogram(np.full(1000, 5000)), Fraction(99, 100), 10)[0] == pytest.approx(
        5000, rel=1 / 128
    )
    value, reason = latency.quantile_or_reason(histogram(np.full(1000, 900)), Fraction(1, 2), 10)
    assert value is None and reason == "below 100 steps of the clock (1000 ns)"
    assert latency.quantile_or_reason(None, Fraction(1, 2), 10) == (None, "no latency pass")
    assert [latency.operations_least(q) for _, q in latency.QUANTILES] == [20, 100, 1000, 10000, 100000]
