# SPDX-License-Identifier: MIT
"""What the tables say of a cell's records beside its estimates: counts that nobody knows, and CPUs."""

from __future__ import annotations

from typing import Iterator, Mapping

from faultline.records import Arm
from faultline.rounding import number
from faultline.verdict import CellResult

ORDERED = ("pack", "spread")  # places whose workers are put on CPUs in one order, trial after trial


def measured(cell: CellResult, name: str) -> Iterator[Arm]:
    """The records of this arm in which it was measured."""
    return (arm for trial in cell.trials for arm in trial.arms if arm.name == name and arm.status == "ok")


def unknown(cell: CellResult, name: str) -> list[str]:
    """Counters that were looked at and are known in no trial, in the order of the records."""
    counts = [arm.counts for arm in measured(cell, name) if arm.counts is not None]
    names = dict.fromkeys(key for one in counts for key in one)
    return [key for key in names if all(one.get(key) is None for one in counts)]


def ranges(counts: Mapping[str, tuple[float, float]]) -> dict[str, float | int | None]:
    """Two columns a count that differs between trials: the least and the most of them."""
    ends = [(f"{name}_per_op{end}", v) for name, pair in counts.items() for end, v in zip(("_low", "_high"), pair)]
    return {column: number(value) for column, value in ends}


def cpus(cell: CellResult, name: str) -> list[int]:
    """OS indices of the CPUs that the workers were bound to, worker by worker; [] where the place puts them in no fixed
    order."""
    if cell.plan.params.get("place") not in ORDERED:
        return []
    arm = next(measured(cell, name), None)
    found = (arm.proof or {}).get("cpus") if arm is not None else None
    return [cpu for cpu in found if isinstance(cpu, int)] if isinstance(found, list) else []
