# SPDX-License-Identifier: MIT
"""Every claim that is shipped can come out either way: made-up measurements of the one truth, of the opposite one and
of none get SUPPORTED, REFUTED and INCONCLUSIVE, its controls being what they should be all the while.

What has to hold is linear in the logarithms of times and in counts, so a linear program finds such measurements, or
that there are none: of a claim whose control is the claim itself in other words.
"""

import dataclasses
import json
import math
import re
from functools import lru_cache, partial
from types import SimpleNamespace
from unittest import mock

import numpy as np
from scipy.optimize import linprog

import helper
from faultline import claims, records
from faultline.claim_plan import AT_LEAST, COUNT, FASTER, INCONCLUSIVE, REFUTED, SUPPORTED
from faultline.derive import ArmTrial
from faultline.stats import Interval
from faultline.verdict import ArmResult, CellResult, varied_keys

MACHINE = ("--topology", "synthetic:package:2 numa:2 l3:2 l2:2 core:2 pu:2", "--make-filesystems")
PROFILES = ("quick", "thorough")  # what takes long is left out of the first
TRIALS = 10
CLEAR = 0.05  # of a logarithm, and as a share of a count, beyond the threshold
OPPOSITE = {SUPPORTED: REFUTED, REFUTED: SUPPORTED}


def manifest_of(scratch: helper.Scratch, profile: str) -> records.Manifest:
    """The plan of all that is shipped, as it is read back."""
    helper.needs_root()  # cells on made filesystems are left out for others
    words = ["plan", str(helper.TREE / "scenarios"), "--profile", profile, "--json", *MACHINE]
    result = scratch.call(words)
    helper.check_status(result, 0)
    plan = json.loads(result.stdout)
    return records.manifest_read({"run": "made-up", "tool": {}, "plan": plan}, records.parameter_types())


class Unknowns:
    """The numbers that a scenario's cells are made of: a column each."""

    def __init__(self) -> None:
        self.columns: dict[tuple, int] = {}
        self.rows: list[tuple[dict[int, float], float]] = []  # sum of coefficients × unknowns ≤ limit

    def column(self, *key: object) -> int:
        """That of the logarithm of a time, (cell, arm), or of a count, (cell, arm, counter). The null arm does what the
        baseline does."""
        cell, arm, *counter = key
        name = cell.plan.arms[0].name if arm == "null" else arm  # type: ignore[attr-defined]
        return self.columns.setdefault((cell.plan.cell, name, *counter), len(self.columns))  # type: ignore[attr-defined]

    def value(self, test, cells, place) -> dict[int, float]:
        """What a test measures, as coefficients of the unknowns."""
        counter = (test.counter,) if test.kind == COUNT else ()
        sign = -1.0 if test.kind == FASTER else 1.0
        cell = claims.cell_at(cells, {**place, **test.side.at})
        out = {self.column(cell, test.side.arm, *counter): sign}
        if test.other is not None:
            other = self.column(claims.cell_at(cells, {**place, **test.other.at}), test.other.arm, *counter)
            out[other] = out.get(other, 0.0) - sign
        return out

    def want(self, test, cells, place, answer: str) -> None:
        """A test is to come out like that, and clearly."""
        limit = test.threshold if test.kind == COUNT else math.log(test.threshold)
        room = max(CLEAR, CLEAR * abs(limit)) if test.kind != COUNT else max(CLEAR * limit, 1e-6)
        above = (test.rule == AT_LEAST) == (answer == SUPPORTED)
        at_edge = test.kind == COUNT and answer == SUPPORTED  # the threshold itself counts as claimed
        bound = limit + (0 if at_edge else room if above else -room)
        coefficients = self.value(test, cells, place)
        sign = -1.0 if above else 1.0
        self.rows.append(({column: sign * c for column, c in coefficients.items()}, sign * bound))

    def solve(self) -> np.ndarray | None:
        """One of the ways to have all that, None when there is none."""
        matrix = np.zeros((len(self.rows), len(self.columns)))
        for i, (coefficients, _) in enumerate(self.rows):
            for column, c in coefficients.items():
                matrix[i, column] += c
        bounds = [(0, None) if len(key) == 3 else (0, 60) for key in self.columns]
        found = linprog(np.ones(len(bounds)), matrix, [limit for _, limit in self.rows], bounds=bounds)
        return found.x if found.success else None


def empty_cells(manifest: records.Manifest, name: str) -> list[CellResult]:
    """The cells of a scenario, nothing measured yet; [] where the profile leaves it out."""
    plans = [cell for cell in manifest.cells if cell.scenario == name]
    varied = varied_keys(plans) if plans else ()
    return [CellResult(plan, manifest.scenarios[name], varied, [], [], "ok", None, [], False) for plan in plans]


class Made:
    """Measurements of a cell: the logarithm of each arm's time and its counts, trial by trial."""

    def __init__(self, cell: CellResult) -> None:
        self.cell = cell
        self.trials: list[SimpleNamespace] = []
        self.arms: dict[str, list[ArmTrial]] = {arm.name: [] for arm in cell.plan.arms}

    def add(self, logs: dict[str, float], counts: dict[str, dict[str, float]]) -> None:
        """One trial. Every arm comes before every other one in half of the rounds."""
        raw = []
        for place, name in enumerate(self.arms):
            order = np.array([place, -place] * 2)
            batch = np.full(4, math.exp(logs[name]))
            raw.append(SimpleNamespace(name=name, status="ok", batch_ns=batch, order=order, ops_per_batch=1))
            self.arms[name].append(
                ArmTrial(trial=len(self.trials), line=0, started="", status="ok", reason=None,
                         ns_per_op=math.exp(logs[name]), counts_per_op=counts[name]))
        self.trials.append(SimpleNamespace(trial=len(self.trials), arms=raw))

    def result(self) -> CellResult:
        """The cell with what was added."""
        arms = [ArmResult(plan, i == 0, "ok", None, self.arms[plan.name]) for i, plan in enumerate(self.cell.plan.arms)]
        return dataclasses.replace(self.cell, trials=self.trials, arms=arms)


def solved(cell: CellResult, unknowns: Unknowns, solutions: list[np.ndarray]) -> CellResult:
    """The cell with measurements that take turns."""
    made = Made(cell)
    for trial in range(TRIALS):
        x = solutions[trial % len(solutions)]
        logs, counts = {}, {}
        for plan in cell.plan.arms:
            name = cell.plan.arms[0].name if plan.is_null else plan.name
            logs[plan.name] = x[unknowns.columns[key]] if (key := (cell.plan.cell, name)) in unknowns.columns else 0.0
            mine = ((key, c) for key, c in unknowns.columns.items() if len(key) == 3 and key[:2] == (cell.plan.cell, name))
            counts[plan.name] = {key[2]: x[c] for key, c in mine}
        made.add(logs, counts)
    return made.result()


def true_cells(claim, cells: list[CellResult], place: dict, answers: list[str]) -> list[CellResult]:
    """Measurements of these truths, which take turns, with the controls as they should be."""
    solutions, unknowns = [], Unknowns()
    for answer in answers:
        unknowns.rows = []
        control_place = {**place, **claim.test.side.at}
        unknowns.want(claim.positive, cells, control_place, SUPPORTED)
        unknowns.want(claim.negative, cells, control_place, REFUTED)
        unknowns.want(claim.test, cells, place, answer)
        found = unknowns.solve()
        assert found is not None, f"{claim.id}: no measurement at all makes it {answer} with its controls as they should be"
        solutions.append(found)
    return [solved(cell, unknowns, solutions) for cell in cells]


def made_up(claim, cells: list[CellResult], place: dict, answers: list[str]) -> str:
    """The verdict on measurements of these truths."""
    decided = claims.decide(claim, true_cells(claim, cells, place, answers), place, {})
    assert decided.positive.answer == SUPPORTED and decided.negative.answer == REFUTED or len(answers) > 1, claim.id
    return decided.answer


LOOKS = re.compile(r"^    CHECK\((\w+), (\w+),", re.MULTILINE)


@lru_cache(maxsize=1)
def looks() -> dict[str, str]:
    """Which function makes each experiment of the method `semantics`, by the spelling of `whether`."""
    source = (helper.TREE / "bench/parts/semantics.c").read_text(encoding="utf-8")
    return {whether.replace("_", "-"): look for whether, look in LOOKS.findall(source)}


def instrument(test, cells, place) -> tuple[str, ...]:
    """What tells the value of a test: a counter, and of experiments the code that makes them; or the clock, within a
    cell or between two."""
    cell = claims.cell_at(cells, {**place, **test.side.at})
    if test.kind != COUNT:
        return ("clock", "within" if claims.cell_at(cells, {**place, **test.other.at}) is cell else "between")
    arm = next(arm for arm in cell.plan.arms if arm.name == test.side.arm)
    return (test.counter, looks()[arm.params["whether"]]) if arm.method == "semantics" else (test.counter,)


def stuck_at(tests, told) -> list[float]:
    """The values at which an instrument may be stuck: factors at 1, counts at 0, far up, at thresholds and between."""
    if told[0] == "clock":
        return [1.0]
    edges = sorted({0.0, 1e15, *(test.threshold for test in tests if test.kind == COUNT)})
    return edges + [(low + high) / 2 for low, high in zip(edges, edges[1:])]


def blind(claim, cells: list[CellResult], place: dict, told: tuple[str, ...], value: float) -> str:
    """The verdict where one instrument tells the same of everything; what the others tell is in the cells."""

    def stuck(real, cells, place, test):
        if instrument(test, cells, place) != told:
            return real(cells, place, test)
        seen = 0.0 if test.kind == COUNT and test.other is not None else value
        return claims.Found(Interval(seen, seen, seen), TRIALS)

    with mock.patch.multiple(claims, count=partial(stuck, claims.count), factor=partial(stuck, claims.factor)):
        return claims.decide(claim, cells, place, {}).answer


def fooled_by(claim, cells: list[CellResult], place: dict) -> list[str]:
    """What is decided although the instrument that decides it is blind, whatever the truth."""
    told = instrument(claim.test, cells, place)
    found = []
    for truth in (SUPPORTED, REFUTED):
        seen = true_cells(claim, cells, place, [truth])
        for value in stuck_at((claim.test, claim.positive, claim.negative), told):
            answer = blind(claim, seen, place, told, value)
            if answer != INCONCLUSIVE:
                found.append(f"{claim.id}: {answer} with {' of '.join(told)} stuck at {value:g}")
    return found


def scenarios_with_cells(scratch: helper.Scratch):
    """Every scenario that makes claims, with its cells, in the first profile that measures it."""
    manifests = [manifest_of(scratch, profile) for profile in PROFILES]
    for name, scenario in manifests[0].scenarios.items():
        if scenario.claims:
            yield name, scenario, next((cells for one in manifests if (cells := empty_cells(one, name))), [])


def test_every_claim_can_come_out_either_way(scratch: helper.Scratch) -> None:
    """In every condition under which it is decided, in the first profile that measures it."""
    tried = 0
    for name, scenario, cells in scenarios_with_cells(scratch):
        for claim in scenario.claims:
            assert cells, f"{claim.id}: nothing of {name} is planned"
            for place in claims.places(cells, claim.test):
                found = [made_up(claim, cells, place, truth) for truth in ([SUPPORTED], [REFUTED], [SUPPORTED, REFUTED])]
                assert found == [SUPPORTED, REFUTED, INCONCLUSIVE], f"{claim.id}: {found}"
                tried += 1
    assert tried >= 1, "no claim was tried"


def test_a_blind_instrument_decides_nothing(scratch: helper.Scratch) -> None:
    """Where what decides a claim tells the same of everything, and all else the truth, a control has to notice."""
    fooled = []
    for _, scenario, cells in scenarios_with_cells(scratch):
        for claim in scenario.claims:
            for place in claims.places(cells, claim.test):
                fooled += fooled_by(claim, cells, place)
    assert not fooled, "\n".join(dict.fromkeys(fooled))


def test_expectations_fit_what_is_measured(scratch: helper.Scratch) -> None:
    """Each claim says what to expect, and every condition it names for that is one that is measured."""
    for _, scenario, cells in scenarios_with_cells(scratch):
        for claim in scenario.claims:
            assert claim.expected, f"{claim.id}: nothing is expected"
            for one in claim.expected:
                assert not one.where or any(
                    all(cell.plan.params[key] == value for key, value in one.where.items()) for cell in cells
                ), f"{claim.id}: expected where nothing is measured"


helper.main(globals())
