# SPDX-License-Identifier: MIT
"""What happened over time, of arms whose batches were kept one by one (`timeline: yes`): the rows of timeline.csv.

Batches with the same place in a stretch (a stretch is an uninterrupted run of one arm's batches) are put together over
stretches and trials: sums of what they did ÷ the sum of their times. Nothing is smoothed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterator

import numpy as np

from faultline.records import Arm, Samples
from faultline.rounding import number
from faultline.verdict import ArmResult, CellResult, Results

COLUMNS = (
    "scenario",
    "cell",
    "arm",
    "arm_index",
    "role",
    "step",
    "t_s",
    "blocks_per_s",
    "read_amplification",
    "major_faults_per_s",
    "refaults_per_s",
)


@dataclass
class Step:
    """Sums over the batches that stand at one place of their stretches; NaN once one of them is unknown."""

    batches: int = 0
    t_ns: float = 0.0  # of the middles of the batches, since their stretch began, the arm's own batches only
    ns: float = 0.0
    ops: float = 0.0
    read_bytes: float = 0.0
    major_faults: float = 0.0
    refaults: float = 0.0


def samples_add(steps: dict[int, Step], samples: Samples) -> None:
    """Adds the batches of one arm of one trial, each to the step of its place in its stretch."""
    for stretch in np.unique(samples.stretch[np.isfinite(samples.stretch)]):
        mine = np.flatnonzero(samples.stretch == stretch)
        ends = np.cumsum(samples.ns[mine])
        for place, (index, end) in enumerate(zip(mine, ends)):
            step = steps.setdefault(place, Step())
            step.batches += 1
            step.t_ns += end - samples.ns[index] / 2
            for name in ("ns", "ops", "read_bytes", "major_faults", "refaults"):
                setattr(step, name, getattr(step, name) + getattr(samples, name)[index])


def steps_of(cell: CellResult, name: str) -> list[Step]:
    """The steps of one arm over all trials of its cell, those that every stretch has reached; [] without samples."""
    steps: dict[int, Step] = {}
    for arm in measured(cell, name):
        samples_add(steps, arm.samples)  # type: ignore[arg-type]
    most = max((step.batches for step in steps.values()), default=0)
    return [steps[place] for place in sorted(steps) if steps[place].batches == most]


def measured(cell: CellResult, name: str) -> Iterator[Arm]:
    """The records of this arm that have samples."""
    for trial in cell.trials:
        for arm in trial.arms:
            if arm.name == name and arm.samples is not None and arm.samples.ns.size:
                yield arm


def known(value: float) -> float | int | None:
    """A figure of the table, None for NaN."""
    return number(value) if math.isfinite(value) else None


def step_row(step: Step, arm: ArmResult, block_bytes: float) -> dict[str, Any]:
    """The figures of one step: rates a second of the arm's own time, and bytes fetched ÷ bytes asked for."""
    seconds, blocks = step.ns / 1e9, step.ops * (arm.bytes_per_op or 0) / block_bytes
    return {
        "t_s": known(step.t_ns / step.batches / 1e9),
        "blocks_per_s": known(blocks / seconds),
        "read_amplification": known(step.read_bytes / (blocks * block_bytes)) if blocks else None,
        "major_faults_per_s": known(step.major_faults / seconds),
        "refaults_per_s": known(step.refaults / seconds),
    }


def rows(results: Results, role: Any) -> list[dict[str, Any]]:
    """timeline.csv: one row a cell, arm and step, in plan order; `role` names the role of an arm."""
    out = []
    for cell in results.cells:
        for index, arm in enumerate(cell.arms):
            head = {"scenario": cell.scenario.name, "cell": cell.plan.cell, "arm": arm.name, "arm_index": index}
            block = arm.plan.params.get("block_bytes") or 1
            for place, step in enumerate(steps_of(cell, arm.name)):
                out.append({**head, "role": role(arm), "step": place, **step_row(step, arm, block)})
    return out
