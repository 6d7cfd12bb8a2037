# SPDX-License-Identifier: MIT
"""The log-linear histogram of the latency pass: merging and quantiles.

Bucket of an integer v ns with b = sub_bits: v for v < 2^b, else with e = floor(log2 v) − b
(e + 1)·2^b + (v >> e) − 2^b.
A bucket is at most 2^−b of its value wide.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Iterable

import numpy as np

from faultline.records import Histogram

QUANTILES = (
    ("p50", Fraction(1, 2)),
    ("p90", Fraction(9, 10)),
    ("p99", Fraction(99, 100)),
    ("p99.9", Fraction(999, 1000)),
    ("p99.99", Fraction(9999, 10000)),
)
GRIDS_LEAST = 100  # a single event is timed alone only when it lasts this many steps of the clock


def bucket_of(value: int, sub_bits: int = 7) -> int:
    """Index of the bucket that holds `value` ns (an integer ≥ 0)."""
    if value < 1 << sub_bits:
        return value
    exponent = value.bit_length() - 1 - sub_bits
    return ((exponent + 1) << sub_bits) + (value >> exponent) - (1 << sub_bits)


def bucket_bounds(index: int, sub_bits: int = 7) -> tuple[int, int]:
    """(lowest value, number of values) of a bucket: the inverse of bucket_of."""
    size = 1 << sub_bits
    if index < size:
        return index, 1
    exponent = index // size - 1
    return (index % size + size) << exponent, 1 << exponent


def merge(histograms: Iterable[Histogram]) -> Histogram | None:
    """The histogram of all operations together; None for none. ValueError when their buckets are cut differently."""
    parts = list(histograms)
    if not parts:
        return None
    if len({part.sub_bits for part in parts}) > 1:
        raise ValueError("histograms with different sub_bits cannot be merged")
    index, inverse = np.unique(np.concatenate([p.index for p in parts]), return_inverse=True)
    count = np.zeros(index.size, dtype=np.int64)
    np.add.at(count, inverse, np.concatenate([p.count for p in parts]))
    return Histogram(parts[0].sub_bits, index, count)


def operations(histogram: Histogram) -> int:
    """How many operations a histogram holds."""
    return int(histogram.count.sum())


def operations_least(q: Fraction) -> int:
    """Operations from which quantile q is published: 10/(1 − q)."""
    return -(-10 * q.denominator // (q.denominator - q.numerator))


def quantile(histogram: Histogram, q: Fraction) -> float:
    """The smallest v with at least q·N operations ≤ v, as the middle of its bucket, ns; within 2^−sub_bits of the
    truth."""
    total = operations(histogram)
    rank = max(1, -(-q.numerator * total // q.denominator))
    where = int(np.searchsorted(np.cumsum(histogram.count), rank))
    low, width = bucket_bounds(int(histogram.index[where]), histogram.sub_bits)
    return low + (width - 1) / 2


def quantile_or_reason(histogram: Histogram | None, q: Fraction, grid_ns: float) -> tuple[float | None, str | None]:
    """The quantile, or None and why it is withheld."""
    if histogram is None:
        return None, "no latency pass"
    have, need = operations(histogram), operations_least(q)
    if have < need:
        return None, f"{have} operations, {need} are needed"
    value = quantile(histogram, q)
    if value < GRIDS_LEAST * grid_ns:
        return None, f"below {GRIDS_LEAST} steps of the clock ({GRIDS_LEAST * grid_ns:g} ns)"
    return value, None
