# SPDX-License-Identifier: MIT
"""What two sides of stored runs say when they are put beside each other: which rows there are.

The rules are in docs/statistics.md under "Comparing runs". Logarithms inside, ratios in the rows.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Mapping, Sequence

import numpy as np

from faultline import fingerprint, pairing, sources, unpaired
from faultline.change_rows import (
    LIVE,
    ORDER,
    RUN_SPREAD,
    Pair,
    Row,
    family_decide,
    median_and_range,
    units_least,
    unseen_spread,
)
from faultline.exact_counts import counted_rows, exact_names
from faultline.fingerprint import Difference
from faultline.pairing import BOOT, INSTANCE, NS, RATIO, TRIAL, Key, LeftOut, Side
from faultline.records import Problem
from faultline.sources import Stored
from faultline.stats import ALPHA, Interval, holm
from faultline.text import safe, signed
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER, VERDICTS, ArmResult, CellResult


@dataclass(frozen=True)
class Beside:
    """A time of both sides that is not compared: ns an operation."""

    scenario: str
    cell: str
    arm: str
    base: Interval
    candidate: Interval


@dataclass
class Comparison:
    """Everything that is said of two sides. delta: what counts as the same where it is not each scenario's own."""

    base: Side
    candidate: Side
    level: str
    differences: list[Difference]
    refused: list[str]
    left_out: list[LeftOut]
    notes: list[str]
    rows: list[Row] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    compared: int = 0  # cells of which both sides have a figure
    delta: float | None = None
    problems: list[Problem] = field(default_factory=list)  # of what lies beside the runs of both sides

    @property
    def counts(self) -> dict[str, int]:
        """How many rows got each verdict, every verdict named."""
        each = Counter(row.verdict for row in self.rows)
        return {verdict_: each.get(verdict_, 0) for verdict_ in VERDICTS}

    @property
    def runs(self) -> list[Stored]:
        """All runs of both sides."""
        return [*self.base.runs, *self.candidate.runs]

    @property
    def deltas(self) -> list[float]:
        """What counted as the same in the rows, as fractions, each once."""
        if self.delta is not None:
            return [self.delta]
        own = {name: plan.delta for run in self.runs for name, plan in run.run.manifest.scenarios.items()}
        return sorted({own[row.scenario] for row in self.rows})

    def has(self, verdict_: str) -> bool:
        """Whether any row got this verdict."""
        return any(row.verdict == verdict_ for row in self.rows)


@dataclass
class Judge:
    """What the rows of all scenarios are made with."""

    base: Side
    candidate: Side
    level: str
    delta: float | None
    turns: bool  # whether the sides alternated

    @property
    def apart(self) -> bool:
        """Whether there is more than one machine."""
        return self.level == INSTANCE

    @property
    def unplaced(self) -> list[str]:
        """The runs of which nobody knows what they are a unit of."""
        if self.level not in (BOOT, INSTANCE):
            return []
        runs = (*self.base.runs, *self.candidate.runs)
        return [run.name for run in runs if pairing.place_of(run, self.level) is None]

    def margin(self, cell: CellResult) -> float:
        """δ as a margin on the log ratio."""
        return math.log1p(self.delta if self.delta is not None else cell.scenario.delta)

    def both(self, key: Key, arm: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
        """The log values of both sides, [units] each."""
        return (self.base.values(key, arm, quantity, self.level), self.candidate.values(key, arm, quantity, self.level))

    def nulls_moved(self, keys: Sequence[Key]) -> dict[Key, str]:
        """The cells of a scenario whose identical arms moved apart by more than δ between the sides, beyond doubt (Holm
        over these cells), with that in words."""
        pairs = {}
        for key in keys:
            null = self.cell(key).null
            values = self.both(key, null.name, RATIO) if null is not None else (np.array([]), np.array([]))
            if values[0].size and values[1].size:
                row = Row(*key, "", RATIO, None, None, None, CANNOT_TELL)
                spread = unseen_spread(*values, floor=0.0) if self.level == TRIAL else 0.0
                pairs[key] = Pair(row, *values, self.margin(self.cell(key)), None, spread)
        adjusted = holm([min(1.0, 2 * min(pair.directions())) for pair in pairs.values()])
        return {
            key: f"the ratio of two identical arms moved by {signed(pair.interval(0.95).estimate)} between the sides"
            for (key, pair), p in zip(pairs.items(), adjusted) if p <= ALPHA
        }

    def invalid(self, keys: Sequence[Key], timed: bool) -> dict[Key, str]:
        """Cells of which nothing can be believed, with why; of their counts where not `timed`."""
        out = self.nulls_moved(keys) if timed else {}
        for key in keys:
            for side in (self.base, self.candidate):
                for run, one in side.of(key):
                    why = one.invalid if timed else one.counts_invalid
                    if why:
                        out[key] = f"{side.name} {safe(run.name)}: {'; '.join(why)}"
        return out

    def cell(self, key: Key) -> CellResult:
        """A cell as the first run that has it."""
        return next(cell for side in (self.base, self.candidate) for _, cell in side.of(key))

    def missing(self, key: Key, name: str) -> str | None:
        """Why an arm has no figure on one side although it has one on the other; None when both or neither have."""
        why = [reason_of(side.arms(key, name)) for side in (self.base, self.candidate)]
        known = [reason is None for reason in why]
        if known[0] == known[1]:
            return None
        absent = (self.base, self.candidate)[known.index(False)].name
        return f"the {absent} has no figure: {safe(why[known.index(False)])}"


def reason_of(arms: Sequence[ArmResult]) -> str | None:
    """Why none of these has a time; None when one has."""
    if any(arm.ns_per_op is not None for arm in arms):
        return None
    return next((arm.reason for arm in arms if arm.reason), "no reason recorded")


def asked(arm: ArmResult, quantity: str) -> bool:
    """Whether this quantity of an arm is compared. A baseline's ratio is 1, a phase's is a share of the whole."""
    return not arm.plan.is_null and (quantity == NS or not (arm.is_baseline or arm.is_phase))


def timed_pairs(
    judge: Judge, keys: Sequence[Key], quantity: str, bad: Mapping[Key, str]
) -> tuple[list[Row], list[Pair]]:
    """All rows of one quantity of one scenario, and those of them that a test decides. bad: its invalid cells."""
    rows, family = [], []
    for key in keys:
        cell, invalid = judge.cell(key), bad.get(key)
        for arm in (arm for arm in cell.arms if asked(arm, quantity)):
            values = judge.both(key, arm.name, quantity)
            units = (values[0].size, values[1].size)
            row = Row(*key, arm.name, quantity, *map(median_and_range, values), None, CANNOT_TELL, unit=judge.level,
                      units=units)
            if not all(units):
                row.why = judge.missing(key, arm.name) or "too few of the units have it"
                known = any(reason_of(side.arms(key, arm.name)) is None for side in (judge.base, judge.candidate))
                rows += [row] if known else []
                continue
            rows.append(row)
            spread = unseen_spread(*values, RUN_SPREAD) if judge.level == TRIAL else 0.0
            family.append(Pair(row, *values, judge.margin(cell), invalid, spread))
    why = open_by_rule(judge, quantity, len(family))
    if why is None:
        return rows, family
    for pair in family:
        pair.row.change = Interval(unpaired.shift(pair.base, pair.candidate).estimate).exp()
        pair.row.verdict, pair.row.why = (INVALID, pair.invalid) if pair.invalid else (CANNOT_TELL, why)
    return rows, []


def open_by_rule(judge: Judge, quantity: str, pairs: int) -> str | None:
    """Why no test can decide a quantity between these sides, None when one can. pairs: how many it would decide."""
    level = judge.level
    if judge.unplaced:
        return f"nobody knows the {level} of {', '.join(map(safe, judge.unplaced))}, and {level}s differ by themselves"
    if level in (BOOT, INSTANCE) and len(judge.base.units) == len(judge.candidate.units) == 1:
        need = f"{units_least(pairs, level)} or more a side{', in turns,' if level == BOOT else ''} would tell"
        return f"{level}s differ by themselves, and there is one a side; {need}"
    if quantity == NS and level == TRIAL:
        return f"the times of two single runs differ by 4 to 44 % for identical code: {LIVE}"
    if not judge.turns and (level == BOOT or (level != TRIAL and quantity == NS)):
        return (f"the {level}s of the two sides did not take turns, so that whatever changed over time is in the "
                "difference")
    return None


def times_beside(judge: Judge, keys: Sequence[Key]) -> list[Beside]:
    """Times of both sides of different machines: shown, never compared."""
    out = []
    for key in keys:
        for arm in (arm for arm in judge.cell(key).arms if asked(arm, NS)):
            base, candidate = map(median_and_range, judge.both(key, arm.name, NS))
            if base is not None and candidate is not None:
                out.append(Beside(*key, arm.name, base, candidate))
    return out


def measured(side: Side, key: Key) -> set[str]:
    """The arms of a cell of which a side has a time."""
    return {arm.name for _, cell in side.of(key) for arm in cell.arms if arm.ns_per_op is not None}


def is_mixed(one: Difference) -> bool:
    """Whether a side is of several kinds of machine, as far as it is known."""
    return fingerprint.covers(fingerprint.OF_THE_INSTANCE, one.key) and any(
        len({*side} - {fingerprint.NOTHING}) > 1 for side in (one.base, one.candidate))


def refusals(base: Side, candidate: Side, found: Sequence[Difference]) -> list[str]:
    """Why these sides may not be compared at all, a line each."""
    out = [
        f"{its.label} is the same run as {mine.label}: it can only agree with itself"
        for mine in base.runs
        for its in candidate.runs
        if sources.same(mine, its)
    ]
    if len({fingerprint.emulated(run.run) for run in (*base.runs, *candidate.runs)}) > 1:
        out.append("an emulated machine and a real one: the times of one are the emulator's")
    within = [one for one in found if (one.blocking and one.within) or is_mixed(one)]
    if within:
        out.append(f"the runs of one side differ among themselves in {', '.join(safe(one.key) for one in within)}")
    between = [one for one in found if one.blocking and not one.within and not one.declared]
    if between:
        keys = ", ".join(safe(one.key) for one in between)
        out.append(f"undeclared difference in {keys}: --vary {','.join(map(safe, fingerprint.groups_for(between)))} "
                   "declares it")
    return out


def remarks(base: Side, candidate: Side, judge: Judge) -> list[str]:
    """What a reader has to know beside the verdicts."""
    out = []
    if fingerprint.emulated(base.runs[0].run):
        out.append("Emulated machines: their times are the emulators'.")
    boots = {run.boot for run in (*base.runs, *candidate.runs)}
    if judge.apart:
        out.append("Different machines: only ratios and counts are compared; times stand side by side.")
    elif len(boots) > 1 and not judge.unplaced:
        out.append(f"The machine was booted between runs: {len(boots)} boots. Machines are told apart by their names.")
    if judge.level not in (TRIAL, INSTANCE) and not judge.turns:
        judged = "nothing timed is judged" if judge.level == BOOT else (
            "times are not judged, and ratios only as far as nothing else changed meanwhile")
        out.append(f"The {judge.level}s of the two sides did not take turns (A B B A …): {judged}.")
    if not exact_names():
        out.append("No schema of records was found, so no count is known to be exact: counts are not compared.")
    return out


def compare(
    base_runs: Sequence[Stored],
    candidate_runs: Sequence[Stored],
    vary: Sequence[str] = (),
    delta: float | None = None,
    scenarios: Sequence[str] = (),
    quantities: Sequence[str] = (),
) -> Comparison:
    """Everything that may be said of two sides. Only these scenarios and quantities when any are named; the families
    are those of all rows of a scenario nevertheless."""
    base, candidate = Side("base", list(base_runs)), Side("candidate", list(candidate_runs))
    differences = fingerprint.differences([r.run for r in base.runs], [r.run for r in candidate.runs], vary)
    level = pairing.level_of(base.runs, candidate.runs, differences)
    pairing.units_put(base, candidate, level)
    judge = Judge(base, candidate, level, delta, pairing.alternate(base, candidate))
    names, left = pairing.scenarios_match(base, candidate, vary)
    wanted = [name for name in names if not scenarios or name in scenarios]
    left = [one for one in left if not scenarios or one.scenario in scenarios]
    out = Comparison(base, candidate, level, differences, refusals(base, candidate, differences), left,
                     remarks(base, candidate, judge), delta=delta)
    out.differences += pairing.parameters_declared(base, candidate, wanted, vary)
    keys = {name: keys_of(base, candidate, name) for name in wanted}
    if out.refused:
        planned = [key for name in wanted for key in keys[name]]
        out.compared = sum(bool(measured(base, key) & measured(candidate, key)) for key in planned)
        return out
    for name in wanted:
        rows_put(out, judge, keys[name])
    out.rows = [row for row in out.rows if not quantities or row.quantity in quantities]
    out.rows.sort(key=lambda row: (ORDER[row.verdict], -row.effect))
    out.compared = len({(row.scenario, row.cell) for row in out.rows if row.base and row.candidate})
    return out


def keys_of(base: Side, candidate: Side, scenario: str) -> list[Key]:
    """The cells of a scenario that either side planned, in plan order."""
    return list(dict.fromkeys(key for side in (base, candidate) for cells in side.cells.values() for key in cells
                              if key[0] == scenario))


def ratios_explain(judge: Judge, rows: Sequence[Row]) -> None:
    """Says of a ratio that changed which of the two times moved: an arm looks faster when its baseline slows down."""
    times = {(r.scenario, r.cell, r.arm): r for r in rows if r.quantity == NS}
    for row in (row for row in rows if row.quantity == RATIO and row.verdict in (FASTER, SLOWER)):
        key = (row.scenario, row.cell)
        own, baseline = (times.get((*key, name)) for name in (row.arm, judge.cell(key).arms[0].name))
        row.baseline_kept = baseline is not None and baseline.verdict in (SAME, FASTER)
        if own is None or baseline is None or own.change is None or baseline.change is None:
            continue
        mine, its = (math.log(one.change.estimate) for one in (own, baseline))
        row.by_baseline = abs(its) > abs(mine)
        row.why = f"times, for orientation: the arm {signed(mine)}, its baseline {signed(its)}"


def rows_put(out: Comparison, judge: Judge, keys: Sequence[Key]) -> None:
    """The rows of one scenario."""
    first, bad = len(out.rows), judge.invalid(keys, timed=True)
    for quantity in (RATIO,) if judge.apart else (RATIO, NS):
        rows, family = timed_pairs(judge, keys, quantity, bad)
        family_decide(family, judge.level)
        out.rows += rows
    ratios_explain(judge, out.rows[first:])
    cells = {key: judge.cell(key) for key in keys}
    out.rows += counted_rows((judge.base, judge.candidate), cells, exact_names(), judge.invalid(keys, timed=False))
    if judge.apart:
        out.beside += times_beside(judge, keys)
