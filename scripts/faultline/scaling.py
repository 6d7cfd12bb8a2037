# SPDX-License-Identifier: MIT
"""Scenarios that vary the number of workers: how many times the operations of one worker several workers do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

from faultline import stats
from faultline.stats import Interval
from faultline.text import digits, field, safe
from faultline.verdict import ArmResult, CellResult

CROWD = frozenset(("workers", "worker_file", "worker_kind"))  # what has no meaning for a single worker


@dataclass(frozen=True)
class Speedup:
    """An arm of a cell against the same arm with one worker: operations a second, as a ratio; ideal is `workers`."""

    cell: CellResult
    arm: ArmResult
    workers: int
    logs: Interval | None  # of the logarithm, over trials; None where one of the two cells is invalid
    reason: str | None = None  # why there is none


def setting(cell: CellResult) -> dict[str, Any]:
    """What a cell has in common with the one whose workers it multiplies."""
    return {key: cell.plan.params.get(key) for key in cell.varied if key not in CROWD}


def workers(cell: CellResult) -> int:
    """How many workers the cell has; 1 in records that do not say."""
    return int(cell.plan.params.get("workers", 1))


def single(cell: CellResult, cells: Sequence[CellResult]) -> CellResult | None:
    """The cell with one worker that is otherwise the same; None when it was not measured."""
    found = [other for other in cells if workers(other) == 1 and setting(other) == setting(cell)]
    return found[0] if found else None


def log_speedups(arm: ArmResult, alone: ArmResult) -> list[float]:
    """log(time of an operation alone ÷ with several workers), by trial: both cells of a trial index were measured
    within one process, or as close to each other as the run could."""
    times = {trial.trial: trial.ns_per_op for trial in alone.trials if trial.ns_per_op}
    return [
        math.log(times[trial.trial] / trial.ns_per_op)
        for trial in arm.trials
        if trial.ns_per_op and trial.trial in times
    ]


def speedups(cells: Sequence[CellResult]) -> list[Speedup]:
    """Of every arm that was measured with several workers and with one, null arms left out."""
    out = []
    for cell in cells:
        base = single(cell, cells) if workers(cell) > 1 else None
        for arm, alone in zip(cell.arms, base.arms if base else ()):
            logs = log_speedups(arm, alone) if not arm.plan.is_null else []
            if not logs or base is None:
                continue
            invalid = "; ".join(cell.invalid or base.invalid) or None
            interval = None if invalid else stats.hodges_lehmann(logs)
            out.append(Speedup(cell, arm, workers(cell), interval, invalid))
    return out


def figure(found: Speedup) -> str:
    """ "1.64× [1.60, 1.68] with 2"; "no valid figure with 2"."""
    if found.logs is None:
        return f"no valid figure with {found.workers}"
    interval = found.logs.exp()
    low, high = interval.low, interval.high
    between = "" if low is None or high is None else f" [{digits(low)}, {digits(high)}]"
    return f"{digits(interval.estimate)}×{between} with {found.workers}"


def sentences(cells: Sequence[CellResult]) -> list[str]:
    """One sentence an arm and kind of crowd: what several workers do beside one."""
    groups: dict[tuple[str, str], list[Speedup]] = {}
    for found in speedups(cells):
        crowd = [key for key in found.cell.varied if key != "workers" and key in found.cell.plan.params]
        held = ", ".join(f"{safe(key)}={field(key, found.cell.plan.params[key])}" for key in crowd)
        groups.setdefault((found.arm.name, held), []).append(found)
    return [group_sentence(name, held, group) for (name, held), group in groups.items()]


def group_sentence(name: str, held: str, group: Sequence[Speedup]) -> str:
    """One arm in one kind of crowd: "pread (worker_file=own): 1.98× [1.95, 2.01] with 2 workers, against …"."""
    text = f"{safe(name)}{f' ({held})' if held else ''}: {'; '.join(figure(one) for one in group)} workers"
    return text + (", against the operations a second of one." if any(one.logs for one in group) else ".")
