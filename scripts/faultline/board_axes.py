# SPDX-License-Identifier: MIT
"""Along an axis: where an arm begins or ceases to win on each machine, and what a further byte costs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from faultline import conclusion, crossing, stats
from faultline.board_machines import Machine, Shared
from faultline.board_rows import hull, is_shown
from faultline.crossing import Crossing, Series
from faultline.stats import Interval
from faultline.text import field, safe
from faultline.verdict import CANNOT_TELL, INVALID, CellResult

STRAIGHT = 0.2  # of a time: a line that misses a point by more describes no straight line


@dataclass(frozen=True)
class Turn:
    """Where an arm crosses the baseline on one machine. at: None where it never does, or nobody can say (`why`);
    verdict: what it is everywhere when it never crosses, and is the same everywhere."""

    at: Interval | None
    between: tuple[float, float] | None = None
    faster_above: bool | None = None
    verdict: str | None = None
    why: str | None = None


@dataclass
class CrossingRow:
    """An arm along an axis on all machines, side by side and not compared; None where a machine has not measured it or
    is not shown."""

    scenario: str
    axis: str
    held: str
    arm: str
    values: list[Turn | None]


@dataclass(frozen=True)
class Line:
    """Time of an operation as fixed + bytes · per_byte: ns and ns a byte. miss: the largest share of a time by which
    the line misses it; bytes: the range of an operation's bytes."""

    fixed: Interval
    per_byte: Interval
    miss: float
    bytes: tuple[int, int]

    @property
    def is_straight(self) -> bool:
        """Whether the line describes what was measured."""
        return self.miss <= STRAIGHT


@dataclass
class SlopeRow:
    """What a further byte costs an arm along an axis of bytes, on all machines."""

    scenario: str
    axis: str
    held: str
    arm: str
    values: list[Line | None]


Name = tuple[str, str, str, str]  # scenario, axis, what else is held, arm


def held_text(held: Mapping[str, Any]) -> str:
    """ "pattern=random, recipe=write-1MiB"."""
    return ", ".join(f"{safe(key)}={field(key, value)}" for key, value in held.items())


def series_by_run(cells: Sequence[Shared], column: int, machine: Machine) -> list[dict[Name, Series]]:
    """The series of each run of a machine, of the cells and arms that are the same on all machines."""
    arms = {id(arm) for shared in cells for columns in shared.arms.values() for arm in columns[column]}
    same = {id(cell) for shared in cells for cell in shared.columns[column]}
    out = []
    for run in machine.cells:
        by_scenario: dict[str, list[CellResult]] = {}
        for (scenario, _), cell in run.items():
            if id(cell) in same:
                by_scenario.setdefault(scenario, []).append(cell)
        found = [(scenario, one) for scenario, mine in by_scenario.items() for one in crossing.series_of(mine)]
        out.append({
            (scenario, one.axis, held_text(one.held), one.arm): one
            for scenario, one in found
            if all(id(point.arm) in arms for point in one.points)
        })
    return out


# ---- crossings ----


def turn_of_run(series: Series) -> Turn:
    """What one run says."""
    found = crossing.crossings_of(series)
    if len(found) > 1:
        return Turn(None, why=f"it crosses {len(found)} times")
    if found:
        return turn_at(found[0])
    told = {point.arm.verdict for point in series.points}
    if told & {None, CANNOT_TELL, INVALID}:
        return Turn(None, why="some of its points cannot be told")
    if len(told) > 1:
        return Turn(None, why=f"it does not cross, and is {' or '.join(sorted(str(one) for one in told))}")
    return Turn(None, verdict=str(told.pop()))


def turn_at(found: Crossing) -> Turn:
    """One crossing."""
    if found.at is None:
        return Turn(None, why="it crosses where no valid ratio is known")
    return Turn(Interval(found.at, found.low, found.high), found.between, found.faster_above)


def turn_of(turns: Sequence[Turn]) -> Turn:
    """What a machine says, from its runs."""
    if len(turns) == 1:
        return turns[0]
    if all(one.at is not None for one in turns) and len({one.faster_above for one in turns}) == 1:
        between = [one.between for one in turns if one.between is not None]
        return Turn(hull([one.at for one in turns if one.at is not None]),
                    (min(low for low, _ in between), max(high for _, high in between)), turns[0].faster_above)
    if len({(one.at, one.verdict, one.why) for one in turns}) == 1:
        return turns[0]
    return Turn(None, why=next((one.why for one in turns if one.why), "its runs do not agree"))


def crossing_rows(cells: Sequence[Shared], machines: Sequence[Machine]) -> list[CrossingRow]:
    """Every arm along its axis that stands on two machines or more and crosses the baseline on one of them."""
    found: dict[Name, list[Turn | None]] = {}
    for column, machine in enumerate(machines):
        if not is_shown(machines, machine):
            continue
        by_name: dict[Name, list[Turn]] = {}
        for run in series_by_run(cells, column, machine):
            for name, series in run.items():
                if any(point.arm.verdict is not None for point in series.points):
                    by_name.setdefault(name, []).append(turn_of_run(series))
        for name, turns in by_name.items():
            found.setdefault(name, [None] * len(machines))[column] = turn_of(turns)
    return [
        CrossingRow(*name, values)
        for name, values in found.items()
        if sum(value is not None for value in values) > 1 and any(value and value.at for value in values)
    ]


def turn_text(axis: str, found: Turn | None) -> str:
    """ "1.34MiB [1.1MiB, 1.6MiB]", "never: FASTER", "–"."""
    if found is None:
        return "–"
    if found.at is None:
        return f"never: {found.verdict}" if found.verdict else f"open: {found.why}"
    at, low, high = (None if v is None else conclusion.axis_value(axis, v, True)
                     for v in (found.at.estimate, found.at.low, found.at.high))
    wins = "wins above" if found.faster_above else "wins below"
    return f"{wins} {at}" + (f" [{low}, {high}]" if low and high else "")


# ---- what a byte costs ----


def fit(sizes: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """(ns fixed, ns a byte) of the line that misses these times by the least squares of its relative errors: a time is
    known to a share of itself, whatever its size. sizes, times: [points], at least two of different size."""
    weights = 1 / times
    matrix = np.stack([np.ones_like(sizes), sizes], axis=1) * weights[:, None]
    found, *_ = np.linalg.lstsq(matrix, times * weights, rcond=None)
    return float(found[0]), float(found[1])


def line_of(series: Series) -> Line | None:
    """An arm's line along its axis, a line a trial that has all points; None where its operations do not grow with the
    axis, or fewer than POINTS_LEAST points or no trial have a time."""
    points = [p for p in series.points if p.arm.bytes_per_op and p.arm.ns_per_op is not None and not p.cell.invalid]
    sizes = np.array([float(p.arm.bytes_per_op or 0) for p in points])
    if sizes.size < crossing.POINTS_LEAST or np.any(np.diff(sizes) <= 0):
        return None
    times = [{trial.trial: trial.ns_per_op for trial in p.arm.trials if trial.ns_per_op} for p in points]
    trials = sorted(set.intersection(*map(set, times)))
    if not trials:
        return None
    lines = [fit(sizes, np.array([of[trial] for of in times])) for trial in trials]
    fixed, slope = (stats.hodges_lehmann([line[i] for line in lines]) for i in (0, 1))
    middle = np.array([p.arm.ns_per_op.estimate for p in points if p.arm.ns_per_op is not None])
    miss = float(np.max(np.abs(fixed.estimate + slope.estimate * sizes - middle) / middle))
    return Line(fixed, slope, miss, (int(sizes[0]), int(sizes[-1])))


def line_joined(lines: Sequence[Line]) -> Line:
    """A machine's line from those of its runs."""
    return Line(hull([one.fixed for one in lines]), hull([one.per_byte for one in lines]),
                max(one.miss for one in lines), lines[0].bytes)


def slope_rows(cells: Sequence[Shared], machines: Sequence[Machine]) -> list[SlopeRow]:
    """What a byte costs every arm that runs along an axis of bytes on two machines or more, null arms left out."""
    found: dict[Name, list[list[Line]]] = {}
    for column, machine in enumerate(machines):
        for run in series_by_run(cells, column, machine) if is_shown(machines, machine) else ():
            for name, series in run.items():
                line = None if series.points[0].arm.plan.is_null else line_of(series)
                if line is not None:
                    found.setdefault(name, [[] for _ in machines])[column].append(line)
    return [SlopeRow(*name, [line_joined(lines) if lines else None for lines in columns])
            for name, columns in found.items() if sum(map(bool, columns)) > 1]
