# SPDX-License-Identifier: MIT
"""What of two sides can be put beside each other: the same scenarios, cells and arms, and what counts as one unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from faultline import fingerprint
from faultline.fingerprint import Difference
from faultline.records import CellPlan, Run
from faultline.sources import Stored
from faultline.text import safe
from faultline.verdict import ArmResult, CellResult, too_many

TRIAL, RUN, BOOT, INSTANCE = "trial", "run", "boot", "instance"  # what a unit is, the lowest level first
RATIO, NS = "ratio", "ns_per_op"
Key = tuple[str, str]  # scenario, cell
PARAMETERS_NAMED = 4


MISSING, UNLIKE, REFUSED, FAILED = LEFT_OUT = ("missing", "unlike", "refused", "failed")  # why something is left out


@dataclass(frozen=True)
class LeftOut:
    """What is not compared: a cell, or with `cell` None a scenario, and why. kind: one of LEFT_OUT."""

    scenario: str
    cell: str | None
    reason: str
    kind: str

    @property
    def place(self) -> str:
        """What it is."""
        return self.scenario if self.cell is None else f"{self.scenario} {self.cell}"

    @property
    def breaks(self) -> bool:
        """Whether it is an error of its own, rather than something that remains open."""
        return self.kind in (UNLIKE, FAILED)

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class Side:
    """One side: its runs in the order in which they began, and its units, each a list of runs."""

    name: str
    runs: list[Stored]
    units: list[list[Stored]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cells: dict[str, dict[Key, CellResult]] = {
            run.label: {(c.scenario.name, c.plan.cell): c for c in run.results.cells} for run in self.runs
        }

    def of(self, key: Key) -> list[tuple[Stored, CellResult]]:
        """This cell in each run that planned it."""
        return [(run, self.cells[run.label][key]) for run in self.runs if key in self.cells[run.label]]

    def arms(self, key: Key, name: str) -> list[ArmResult]:
        """This arm in each of those runs."""
        return [arm for _, cell in self.of(key) for arm in cell.arms if arm.name == name]

    def unit_values(self, key: Key, name: str, quantity: str, level: str) -> list[float | None]:
        """The logarithm of the quantity of an arm, a value a unit: of a trial its own, else the median over the unit's
        runs of their estimates. None where a unit has none."""
        if level == TRIAL:
            return trial_values(self.arms(key, name), quantity)
        out: list[float | None] = []
        for unit in self.units:
            arms = [a for run in unit for a in self.cells[run.label][key].arms if a.name == name] if all(
                key in self.cells[run.label] for run in unit) else []
            found = [value for value in (run_value(arm, quantity) for arm in arms) if value is not None]
            out.append(float(np.median(found)) if found else None)
        return out

    def values(self, key: Key, name: str, quantity: str, level: str) -> np.ndarray:
        """The same [units that have it]; none when too many have it not: the others may be a selection."""
        every = self.unit_values(key, name, quantity, level)
        kept = [value for value in every if value is not None]
        return np.array([] if too_many(len(every) - len(kept), len(every)) else kept, dtype=float)


def run_value(arm: ArmResult, quantity: str) -> float | None:
    """The logarithm of a run's estimate for an arm."""
    if quantity == RATIO:
        return arm.ratio.interval.estimate if arm.ratio is not None and arm.ratio.interval is not None else None
    return math.log(arm.ns_per_op.estimate) if arm.ns_per_op is not None else None


def trial_values(arms: Sequence[ArmResult], quantity: str) -> list[float | None]:
    """The logarithm of the quantity, a value a trial of an arm that has the figure at all."""
    trials = [trial for arm in arms if run_value(arm, quantity) is not None for trial in arm.trials]
    if quantity == RATIO:
        return [trial.log_ratio for trial in trials]
    return [None if trial.ns_per_op is None else math.log(trial.ns_per_op) for trial in trials]


def level_of(base: Sequence[Stored], candidate: Sequence[Stored], found: Sequence[Difference]) -> str:
    """What a unit is: the highest level at which the sides differ or repeat."""
    keys = [one.key for one in found if fingerprint.NOTHING not in one.base + one.candidate]
    if any(fingerprint.covers(fingerprint.OF_THE_INSTANCE, key) for key in keys):
        return INSTANCE
    if any(fingerprint.covers(fingerprint.OF_THE_KERNEL, key) for key in keys):
        return BOOT
    return TRIAL if len(base) == len(candidate) == 1 else RUN


def units_of(runs: Sequence[Stored], level: str) -> list[list[Stored]]:
    """Runs by boot or instance, in order of their first; each its own where that is unknown, or at lower levels."""
    name_of: dict[str, Callable[[Stored], str | None]] = {BOOT: lambda r: r.boot, INSTANCE: lambda r: r.instance}
    grouped: dict[str, list[Stored]] = {}
    for run in runs:
        unit = name_of[level](run) if level in name_of else None
        grouped.setdefault(f"run {run.label}" if unit is None else f"unit {unit}", []).append(run)
    return list(grouped.values())


def alternate(base: Side, candidate: Side) -> bool:
    """Whether the sides took turns: in order of time, at most a third of a side's units (two of few) follow each other.
    When unknown, they did not."""
    starts = [(unit[0].started, side.name) for side in (base, candidate) for unit in side.units]
    if any(not at for at, _ in starts):
        return False
    order = [name for _, name in sorted(starts)]
    for side in (base, candidate):
        longest = run = 0
        for name in order:
            run = run + 1 if name == side.name else 0
            longest = max(longest, run)
        if longest > max(2, math.ceil(len(side.units) / 3)):
            return False
    return True


def other_machines(base: Side, candidate: Side, found: Sequence[Difference]) -> bool:
    """Whether the sides were measured on different machines: another kind of machine, or one of another name that was
    never in the same boot."""
    if any(fingerprint.covers(fingerprint.OF_THE_MACHINE, one.key) for one in found):
        return True
    names, boots = ([{get(run) for run in side.runs} for side in (base, candidate)]
                    for get in (lambda r: r.run.machine.get("name"), lambda r: r.boot))
    return None not in names[0] | names[1] and not names[0] & names[1] and not boots[0] & boots[1]


def plans_of(run: Run, scenario: str) -> dict[str, CellPlan]:
    """The cells that a run planned of a scenario, by id."""
    return {cell.cell: cell for cell in run.manifest.cells if cell.scenario == scenario}


def parameters_differ(mine: CellPlan, its: CellPlan) -> dict[str, tuple[Any, Any]]:
    """Parameters in which two cells of one id differ, their arms' included, with a pair of values."""
    pairs = [(mine.params, its.params), *((a.params, b.params) for a, b in zip(mine.arms, its.arms))]
    return {
        key: (a.get(key), b.get(key)) for a, b in pairs for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)
    }


def arms_of(cell: CellPlan) -> list[tuple[str, str, int | None, bool]]:
    """What the arms of a cell are, but for their parameters."""
    return [(arm.name, arm.method, arm.method_version, arm.is_null) for arm in cell.arms]


def scenario_unlike(one: Run, other: Run, name: str, vary: Sequence[str]) -> str | None:
    """Why a scenario is not the same in two runs, None when it is but for declared parameters."""
    mine, its = one.manifest.scenarios[name], other.manifest.scenarios[name]
    if mine.hash is not None and mine.hash == its.hash:
        return None
    if (mine.op, mine.delta) != (its.op, its.delta):
        return "its operation or δ differs"
    plans = plans_of(one, name), plans_of(other, name)
    if set(plans[0]) != set(plans[1]):
        both = len(set(plans[0]) & set(plans[1]))
        return f"its cells differ ({len(plans[0])} and {len(plans[1])} planned, {both} of one name)"
    if any(arms_of(cell) != arms_of(plans[1][key]) for key, cell in plans[0].items()):
        return "its arms differ, or the versions of their methods"
    found: dict[str, tuple[Any, Any]] = {}
    for key, cell in plans[0].items():
        found = parameters_differ(cell, plans[1][key]) | found
    return parameters_text(found, vary) or (None if found else "its hash differs")


def parameters_text(found: Mapping[str, tuple[Any, Any]], vary: Sequence[str]) -> str | None:
    """In which of these parameters two sides differ although nobody declared it, None when in none."""
    open_ = [f"{safe(key)} ({safe(a)} and {safe(b)})" for key, (a, b) in found.items() if key not in vary]
    if not open_:
        return None
    more = f" and {len(open_) - PARAMETERS_NAMED} more" if len(open_) > PARAMETERS_NAMED else ""
    return f"its parameters differ: {', '.join(open_[:PARAMETERS_NAMED])}{more}"


def scenarios_match(base: Side, candidate: Side, vary: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """The scenarios that both sides have and that are the same in all their runs; and the others, with why."""
    runs = [one.run for side in (base, candidate) for one in side.runs]
    names = dict.fromkeys(name for run in runs for name in run.manifest.scenarios)
    same, left = [], []
    for name in names:
        having = [[one.run for one in side.runs if name in one.run.manifest.scenarios] for side in (base, candidate)]
        missing = [side.name for side, runs in zip((base, candidate), having) if not runs]
        if missing:
            left.append(LeftOut(name, None, f"the {missing[0]} does not have it", MISSING))
            continue
        first, *others = [*having[0], *having[1]]
        why = next((why for why in (scenario_unlike(first, one, name, vary) for one in others) if why), None)
        if why:
            left.append(LeftOut(name, None, f"it is not the same in all runs: {why}", UNLIKE))
        else:
            same.append(name)
    return same, left


def parameters(runs: Sequence[Run]) -> set[str]:
    """Names of all parameters of these runs' plans."""
    return {key for run in runs for cell in run.manifest.cells for one in (cell, *cell.arms) for key in one.params}
