# SPDX-License-Identifier: MIT
"""What of two sides can be put beside each other: the same scenarios, cells and arms, and what counts as one unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from faultline import fingerprint, unpaired
from faultline.fingerprint import Difference
from faultline.records import CellPlan, RecordsError, Run
from faultline.sources import Stored
from faultline.text import safe
from faultline.verdict import ArmResult, CellResult, too_many

TRIAL, RUN, BOOT, INSTANCE = "trial", "run", "boot", "instance"  # what a unit is, the lowest level first
RATIO, NS = "ratio", "ns_per_op"
Key = tuple[str, str]  # scenario, cell
PARAMETERS_NAMED = 4
TURNS_P = 0.5  # two-sided p of the order of starts: below it, a drift alone would be part of a verdict

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
    """What a unit is: the highest level at which the runs are not all of one. Kernels differ between boots only."""
    runs = [*base, *candidate]
    in_one_boot = len({run.boot for run in runs}) == 1 and runs[0].boot is not None
    differ = [one.key for one in found if one.is_known or not in_one_boot]
    if len(groups(runs, INSTANCE)) > 1 or any(fingerprint.covers(fingerprint.OF_THE_MACHINE, key) for key in differ):
        return INSTANCE
    if not in_one_boot or any(fingerprint.covers(fingerprint.OF_THE_KERNEL, key) for key in differ):
        return BOOT
    return TRIAL if len(base) == len(candidate) == 1 else RUN


def place_of(run: Stored, level: str) -> str | None:
    """The boot or the machine of a run as far as it tells; None where it does not, and at lower levels."""
    found = {BOOT: run.boot, INSTANCE: run.instance}.get(level)
    return None if found is None else str(found)


def groups(runs: Sequence[Stored], level: str) -> list[list[Stored]]:
    """Runs of one boot or of one machine together, in order of their first; each its own where that is unknown, and at
    lower levels. A machine has one boot at a time, under whatever name: runs of one boot are of one machine."""
    found: list[tuple[set[str], list[Stored]]] = []
    for run in runs:
        marks = {f"{one} {place}" for one in (BOOT, level) if level in (BOOT, INSTANCE)
                 for place in (place_of(run, one),) if place is not None}
        mine = [group for group in found if group[0] & marks]
        found = [group for group in found if not group[0] & marks]
        found.append((marks.union(*(one for one, _ in mine)), [*(run for _, its in mine for run in its), run]))
    order = {id(run): number for number, run in enumerate(runs)}
    return sorted((its for _, its in found), key=lambda its: min(order[id(run)] for run in its))


def units_put(base: Side, candidate: Side, level: str) -> None:
    """Gives both sides their units. What belongs together is told by the runs of both."""
    every = groups([*base.runs, *candidate.runs], level)
    unit_of = {id(run): number for number, unit in enumerate(every) for run in unit}
    for side in (base, candidate):
        units: dict[int, list[Stored]] = {}
        for run in side.runs:
            units.setdefault(unit_of[id(run)], []).append(run)
        side.units = list(units.values())


def alternate(base: Side, candidate: Side) -> bool:
    """Whether the sides took turns: in order of time at most a third of a side's units (two of few) follow each other,
    and neither side is as a whole the later one. When unknown, they did not."""
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
    places = [[place for place, name in enumerate(order) if name == side.name] for side in (base, candidate)]
    return 2 * min(unpaired.p_less(*places, 0.0), unpaired.p_greater(*places, 0.0)) >= TURNS_P


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


def damaged(what: str) -> RecordsError:
    """Two runs' scenarios of one hash that are not the same."""
    return RecordsError(f"{what} differs although the scenario's hash does not: a manifest is damaged or was changed")


def scenario_unlike(one: Run, other: Run, name: str, vary: Sequence[str]) -> str | None:
    """Why a scenario is not the same in two runs, None when it is but for declared parameters. The contents decide;
    RecordsError where they differ in what no run can have changed under one hash. (Runs of live comparisons have cells
    and latencies left out under the hash of the whole.)"""
    mine, its = one.manifest.scenarios[name], other.manifest.scenarios[name]
    alike = mine.hash is not None and mine.hash == its.hash
    if (mine.op, mine.delta) != (its.op, its.delta):
        if alike:
            raise damaged(f"the operation or δ of {safe(name)}")
        return "its operation or δ differs"
    plans = plans_of(one, name), plans_of(other, name)
    if set(plans[0]) != set(plans[1]):
        both = len(set(plans[0]) & set(plans[1]))
        return f"its cells differ ({len(plans[0])} and {len(plans[1])} planned, {both} of one name)"
    if any(arms_of(cell) != arms_of(plans[1][key]) for key, cell in plans[0].items()):
        if alike:
            raise damaged(f"an arm of {safe(name)}")
        return "its arms differ, or the versions of their methods"
    found: dict[str, tuple[Any, Any]] = {}
    for key, cell in plans[0].items():
        found = parameters_differ(cell, plans[1][key]) | found
    return parameters_text(found, vary) or (None if found or mine.hash == its.hash else "its hash differs")


def parameters_text(found: Mapping[str, tuple[Any, Any]], vary: Sequence[str]) -> str | None:
    """In which of these parameters two sides differ although nobody declared it, None when in none."""
    open_ = [f"{safe(key)} ({safe(a)} and {safe(b)})" for key, (a, b) in found.items() if key not in vary]
    if not open_:
        return None
    more = f" and {len(open_) - PARAMETERS_NAMED} more" if len(open_) > PARAMETERS_NAMED else ""
    return f"its parameters differ: {', '.join(open_[:PARAMETERS_NAMED])}{more}"


def stored_unlike(one: Stored, other: Stored, name: str, vary: Sequence[str]) -> str | None:
    """The same of two stored runs, which an error names."""
    try:
        return scenario_unlike(one.run, other.run, name, vary)
    except RecordsError as error:
        raise RecordsError(f"{one.label} and {other.label}: {error}") from None


def scenarios_match(base: Side, candidate: Side, vary: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """The scenarios that both sides have and that are the same in all their runs; and the others, with why."""
    runs = [one.run for side in (base, candidate) for one in side.runs]
    names = dict.fromkeys(name for run in runs for name in run.manifest.scenarios)
    same, left = [], []
    for name in names:
        having = [[one for one in side.runs if name in one.run.manifest.scenarios] for side in (base, candidate)]
        missing = [side.name for side, runs in zip((base, candidate), having) if not runs]
        if missing:
            left.append(LeftOut(name, None, f"the {missing[0]} does not have it", MISSING))
            continue
        pairs = [(mine[0], one, ()) for mine in having for one in mine[1:]] + [(having[0][0], having[1][0], vary)]
        why = next((why for why in (stored_unlike(*pair[:2], name, pair[2]) for pair in pairs) if why), None)
        if why:
            left.append(LeftOut(name, None, f"it is not the same in all runs: {why}", UNLIKE))
        else:
            same.append(name)
    return same, left


def parameters_declared(
    base: Side, candidate: Side, names: Iterable[str], vary: Sequence[str]
) -> list[Difference]:
    """The declared parameters in which these scenarios differ between the sides."""
    out = []
    for name in names:
        plans = [next(plans_of(one.run, name) for one in side.runs if name in one.run.manifest.scenarios)
                 for side in (base, candidate)]
        found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        for key, cell in plans[0].items():
            differ = parameters_differ(cell, plans[1][key])
            for parameter, values in ((parameter, differ[parameter]) for parameter in differ if parameter in vary):
                for seen, value in zip(found.setdefault(parameter, ({}, {})), values):
                    seen[str(value)] = None
        out += [Difference(f"{name}: {key}", tuple(mine), tuple(its), True, True) for key, (mine, its) in found.items()]
    return out


def parameters(runs: Sequence[Run]) -> set[str]:
    """Names of all parameters of these runs' plans."""
    return {key for run in runs for cell in run.manifest.cells for one in (cell, *cell.arms) for key in one.params}
