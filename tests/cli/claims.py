# SPDX-License-Identifier: MIT
"""Every claim that is shipped can come out either way: made-up measurements of the one truth, of the opposite one and
of none get SUPPORTED, REFUTED and INCONCLUSIVE, its controls being what they should be all the while.

What has to hold is linear in the logarithms of times and in counts, so a linear program finds such measurements, or
that there are none: of a claim whose control is the claim itself in other words.
"""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
from scipy.optimize import linprog

import helper
from faultline import claims, records
from faultline.claim_plan import AT_LEAST, COUNT, FASTER, INCONCLUSIVE, REFUTED, SUPPORTED
from faultline.derive import ArmTrial
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


def made_up(claim, cells: list[CellResult], place: dict, answers: list[str]) -> str:
    """The verdict on measurements of these truths, which take turns."""
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
    decided = claims.decide(claim, [solved(cell, unknowns, solutions) for cell in cells], place, {})
    assert decided.positive.answer == SUPPORTED and decided.negative.answer == REFUTED or len(answers) > 1, claim.id
    return decided.answer


def blind(claim, cells: list[CellResult], place: dict, count: float) -> str:
    """The verdict of an instrument to which all arms take the same time and count as much, whatever they do."""
    tests = (claim.test, claim.positive, claim.negative)
    counts = {test.counter: count for test in tests if test.kind == COUNT}
    seen = []
    for cell in cells:
        made = Made(cell)
        for _ in range(TRIALS):
            made.add(dict.fromkeys(made.arms, 0.0), dict.fromkeys(made.arms, counts))
        seen.append(made.result())
    return claims.decide(claim, seen, place, {}).answer


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
    """Where every arm takes the same time and every count is 0, or stuck at a large number, a control has to notice."""
    fooled = []
    for _, scenario, cells in scenarios_with_cells(scratch):
        for claim in scenario.claims:
            for place in claims.places(cells, claim.test):
                for count in (0.0, 1e15):
                    answer = blind(claim, cells, place, count)
                    fooled += [f"{claim.id}: {answer} with counts of {count:g}"] if answer != INCONCLUSIVE else []
    assert not fooled, "\n".join(fooled)


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
