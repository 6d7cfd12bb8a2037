# SPDX-License-Identifier: MIT
"""Where along a numeric axis an arm begins or ceases to beat the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from faultline.verdict import FASTER, INVALID, SLOWER, ArmResult, CellResult

POINTS_LEAST = 3  # values from which a varied parameter is an axis
# `touches` late: unless a scenario sets it, it only follows from the block, the stride and the working set.
AXES = ("file_bytes", "working_set_bytes", "block_bytes", "stride_bytes", "touches", "workers")


@dataclass(frozen=True)
class Point:
    """An arm in one cell along the axis."""

    x: float
    cell: CellResult
    arm: ArmResult


@dataclass(frozen=True)
class Series:
    """An arm along the axis while everything else is held. `held`: the other varied parameters."""

    axis: str
    held: Mapping[str, Any]
    arm: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Crossing:
    """A change of sides. at, low and high on the axis; None where a cell between has no ratio or an invalid one, or
    where the interval leaves what was measured.

    `faster_above`: the arm wins beyond it. `between`: the measured values that enclose the change of verdict.
    """

    series: Series
    at: float | None
    low: float | None
    high: float | None
    faster_above: bool
    between: tuple[float, float]


def numeric(cells: Sequence[CellResult], key: str) -> bool:
    """Whether a parameter is a positive number in every cell."""
    values = [cell.plan.params.get(key) for cell in cells]
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0 for v in values)


def axis_of(cells: Sequence[CellResult]) -> str | None:
    """The parameter to draw along: of the varied numeric ones with at least POINTS_LEAST values, the first in AXES."""
    if not cells:
        return None
    keys = [k for k in cells[0].varied if numeric(cells, k) and len({c.plan.params[k] for c in cells}) >= POINTS_LEAST]
    ranked = sorted(keys, key=lambda k: AXES.index(k) if k in AXES else len(AXES))
    return ranked[0] if ranked else None


def held_keys(cells: Sequence[CellResult], axis: str) -> list[str]:
    """The varied parameters that the axis does not decide by itself (a working set that follows the file's size
    does)."""
    keys = []
    for key in cells[0].varied:
        pairs = {(c.plan.params[axis], c.plan.params.get(key)) for c in cells}
        if key != axis and len(pairs) > len({c.plan.params[axis] for c in cells}):
            keys.append(key)
    return keys


def series_of(cells: Sequence[CellResult]) -> list[Series]:
    """Every arm of a scenario along its axis; empty when it has none. Points rise."""
    axis = axis_of(cells)
    if axis is None:
        return []
    held = held_keys(cells, axis)
    groups: dict[tuple[tuple[Any, ...], str], list[Point]] = {}
    for cell in cells:
        values = tuple(cell.plan.params[k] for k in held)
        for arm in cell.arms:
            groups.setdefault((values, arm.name), []).append(Point(float(cell.plan.params[axis]), cell, arm))
    return [
        Series(axis, dict(zip(held, values)), name, tuple(sorted(points, key=lambda p: p.x)))
        for (values, name), points in groups.items()
    ]


def zero_between(x0: float, y0: float, x1: float, y1: float) -> float | None:
    """Where a line through two points, straight over log x, is 0; None when it is not between them."""
    if y0 == y1 or (y0 > 0) == (y1 > 0):
        return None
    return math.exp(math.log(x0) + (math.log(x1) - math.log(x0)) * y0 / (y0 - y1))


def curve_zero(points: Sequence[Point], which: str) -> float | None:
    """First zero of the log ratio (`which` = estimate, low or high) along these points."""
    for p, q in zip(points, points[1:]):
        y0, y1 = (getattr(point.arm.ratio.interval, which) for point in (p, q))  # type: ignore[union-attr]
        found = zero_between(p.x, y0, q.x, y1) if y0 is not None and y1 is not None else None
        if found is not None:
            return found
    return None


def crossing_between(series: Series, points: Sequence[Point]) -> Crossing | None:
    """The crossing between the first and the last of these points, whose verdicts are opposite."""
    between, faster = (points[0].x, points[-1].x), points[-1].arm.verdict == FASTER
    if any(p.arm.ratio is None or p.arm.verdict == INVALID for p in points):
        return Crossing(series, None, None, None, faster, between)
    at = curve_zero(points, "estimate")
    if at is None:
        return None
    ends = [z for z in (curve_zero(points, "low"), curve_zero(points, "high")) if z is not None]
    low, high = (min(ends), max(ends)) if len(ends) == 2 else (None, None)
    return Crossing(series, at, low, high, faster, between)


def crossings_of(series: Series) -> list[Crossing]:
    """Every place where the verdict turns from SLOWER to FASTER or back; verdicts between the two may be any other.

    The point is the zero of the log ratio, straight over the log of the axis; its interval are the zeros of the lower
    and the upper end of the log ratio's interval.
    """
    found: list[Crossing] = []
    last: int | None = None
    for i, point in enumerate(series.points):
        if point.arm.verdict not in (FASTER, SLOWER):
            continue
        if last is not None and series.points[last].arm.verdict != point.arm.verdict:
            crossing = crossing_between(series, series.points[last : i + 1])
            found += [crossing] if crossing is not None else []
        last = i
    return found


def crossings(cells: Sequence[CellResult]) -> list[Crossing]:
    """All crossings of a scenario."""
    return [c for s in series_of(cells) for c in crossings_of(s)]
