# SPDX-License-Identifier: MIT
"""Live comparisons between fake sides that keep to the protocol with made times: what is found, and what becomes of
sides that fail."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import jsonschema
import numpy as np
import pytest
import scipy.stats

import fake_run
from faultline import (
    compare_causes,
    compare_files,
    compare_words,
    live,
    live_compare,
    live_measure,
    live_rows,
    live_sides,
    live_store,
    records,
    report,
    stats,
    trial_pair,
    verdict,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCHEMAS = {
    name: jsonschema.Draft202012Validator(json.loads((ROOT / "results" / f"{name}.schema.json").read_text()))
    for name in ("live", "pair", "compare")
}
SCENARIO = fake_run.FakeScenario(name="fake/one", rounds=12, arms=[fake_run.FakeArm("pread", method="pread")])


class Sides:
    """Two fake sides in a folder, with what each is told."""

    def __init__(self, path: Path) -> None:
        self.path, self.mark = path, uuid.uuid4().hex
        self.out, self.files = path / "out", path / "files"
        self.files.mkdir()
        for name in ("base", "candidate"):
            (path / name).mkdir()
            self.plan(name)
            self.put(name, "machine.json", self.machine())
            self.tell(name)
        self.record(SCENARIO)

    def put(self, side: str, name: str, value: Any) -> None:
        """One of a side's files."""
        (self.path / side / name).write_text(json.dumps(value))

    def get(self, side: str, name: str) -> Any:
        """The same, read."""
        return json.loads((self.path / side / name).read_text())

    def plan(self, side: str, scenario: fake_run.FakeScenario = SCENARIO) -> None:
        """A side's plan."""
        plan = fake_run.manifest([scenario], 8)["plan"]
        for cell in plan["cells"]:
            cell["params"]["arm_time"] = 700_000  # of 60 µs a batch: the 12 rounds of a trial alone are the most
        self.put(side, "plan.json", {**plan, "directory": str(self.files), "disk_bytes": 0})

    def record(self, scenario: fake_run.FakeScenario) -> None:
        """What both sides' records are made from."""
        made = fake_run.record(scenario, {}, 0, np.random.default_rng(1))
        for side in ("base", "candidate"):
            self.put(side, "record.json", made)

    @staticmethod
    def machine() -> dict[str, Any]:
        """A machine."""
        blocking = {"architecture": "x86_64", "page_bytes": 4096}
        tool = {"tool": {"version": "0.1.0", "build": "release"}, "compiler": "gcc 12.2.0", "flags": "-O2 -g"}
        keys = blocking | tool
        return {
            "schema": "faultline.machine/1", "name": "fake", "hash": fake_run.machine_hash(keys), "boot_id": "b007",
            "blocking": keys, "informational": {}, "topology": {}, "available": {},
        }

    def tell(self, side: str, ns: float = 600.0, spread: float = 0.001, **more: Any) -> None:
        """How a side behaves."""
        self.put(side, "side.json", {"ns": ns, "spread": spread, **more})

    def edit(self, side: str, name: str, change: Any) -> None:
        """Changes one of its files in place."""
        value = self.get(side, name)
        change(value)
        self.put(side, name, value)

    def words(self, *words: str, base: str | None = None, candidate: str | None = None) -> list[str]:
        """The command line."""
        start = [shlex.join([sys.executable, "-IS", str(HERE / "fake_side.py"), str(self.path / n)])
                 for n in ("base", "candidate")]
        return [base or start[0], candidate or start[1], "fake/one", "--out", str(self.out), "--seed", "5", *words]

    def run(self, *words: str, **launchers: str) -> int:
        """The comparison, in this process. What it writes keeps to the schemas."""
        os.environ["FAULTLINE_TEST_MARK"] = self.mark
        try:
            status = live.main(self.words(*words, **launchers))
        finally:
            del os.environ["FAULTLINE_TEST_MARK"]
        if (self.out / "live.json").exists():
            self.check_files(status)
        return status

    def check_files(self, status: int) -> None:
        """live.json, pairs.jsonl and compare.json, where it came to that."""
        told = json.loads((self.out / "live.json").read_text())
        SCHEMAS["live"].validate(told)
        for line in (self.out / "pairs.jsonl").read_text().splitlines():
            SCHEMAS["pair"].validate(json.loads(line))
        if told["exit"] is not None:
            found = json.loads((self.out / "compare.json").read_text())
            SCHEMAS["compare"].validate(found)
            assert found["exit"] == told["exit"] == status

    def results(self) -> live_rows.LiveResults:
        """What its files say."""
        return live_rows.conclude(self.out)

    def pairs(self) -> list[live_store.PairLine]:
        """Its pairs."""
        pairs, problems = live_store.pairs_load(self.out / "pairs.jsonl")
        assert not problems
        return pairs

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """The comparison, in a process of its own."""
        environment = {**os.environ, "FAULTLINE_TEST_MARK": self.mark, "PYTHONPATH": str(HERE.parents[1] / "scripts")}
        command = [sys.executable, "-B", "-m", "faultline.live", *self.words(*words)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def left(self) -> list[int]:
        """Living processes that bear the mark."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"FAULTLINE_TEST_MARK={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return found

    def check_clean(self, seconds: float = 5.0) -> None:
        """Nothing runs any more, and no file is left."""
        limit = time.monotonic() + seconds
        while self.left() and time.monotonic() < limit:
            time.sleep(0.01)
        assert not self.left()
        assert not list(self.files.iterdir())


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Sides]:
    """Two sides that are alike."""
    made = Sides(tmp_path)
    yield made
    for process in made.left():
        os.kill(process, signal.SIGKILL)


# ---- what is found ----


@pytest.mark.parametrize("ratio, told, status", [(1.03, "SLOWER", 1), (0.97, "FASTER", 0), (1.0, "SAME", 0)])
def test_finds_the_change_that_was_made(sides, capsys, ratio, told, status):
    sides.tell("candidate", ns=600 * ratio)
    assert sides.run() == status
    cell, arm = sides.results().arms[0]
    assert arm.verdict == told
    interval = arm.change.interval.exp()
    assert interval.estimate == pytest.approx(ratio, abs=0.002)
    assert interval.low - 0.001 < ratio < interval.high + 0.001
    assert arm.base_ns.estimate == pytest.approx(600, rel=0.003)
    assert arm.candidate_ns.estimate == pytest.approx(600 * ratio, rel=0.003)
    captured = capsys.readouterr()
    assert told in captured.out and captured.out.splitlines()[-1] == str(sides.out)
    sides.check_clean()


def test_all_arms_are_compared_and_the_null_is_one_of_them(sides):
    sides.tell("candidate", ns=630)
    assert sides.run("--quiet") == 1
    (cell,) = sides.results().cells
    assert [(arm.name, arm.verdict) for arm in cell.arms] == [("pread", "SLOWER"), ("null", "SLOWER")]


def test_stops_on_precision_only(sides, tmp_path):
    sides.tell("base", spread=0.0005)
    sides.tell("candidate", ns=700, spread=0.0005)  # beyond doubt after the least number that tells anything
    assert sides.run("--quiet") == 1
    assert len(sides.pairs()) == 8
    assert sides.get("out", "live.json")["stopped"] == "precision"
    noisy = Sides(tmp_path_of(tmp_path, "noisy"))
    noisy.tell("candidate", ns=700, spread=0.03)
    assert noisy.run("--quiet") == 1
    assert len(noisy.pairs()) == 30
    assert noisy.get("out", "live.json")["stopped"] == "pairs"


def tmp_path_of(parent: Path, name: str) -> Path:
    """A further folder."""
    path = parent / name
    path.mkdir()
    return path


def test_no_ladder_begins_below_what_its_family_needs():
    cell = live_sides.LiveCell("s", "c", 0.01, {}, tuple(f"a{i}" for i in range(60)), {})
    assert live_measure.families_of([cell, cell]) == {"s": 120}
    rungs = live_measure.rungs_of(120, None)
    assert rungs[0] == stats.trials_least(120) == 13 and rungs[-1] == 30 and list(rungs) == sorted(set(rungs))
    assert live_measure.rungs_of(60, 17) == (17,)


def test_both_sides_of_a_pair_do_the_same_and_pairs_differ(sides):
    assert sides.run("--quiet", "--pairs", "9") == 0
    pairs = sides.pairs()
    assert all({p.starter, q.starter} == {"first", "second"} for p, q in zip(pairs[0:8:2], pairs[1:8:2]))
    assert len({p.seed for p in pairs}) == 9
    runs = [records.run_load(sides.out / name) for name in ("base", "candidate")]
    for pair in pairs:
        raw = [json.loads((sides.out / n / "trials.jsonl").read_text().splitlines()[pair.trial])
               for n in ("base", "candidate")]
        assert raw[0]["seed"] == raw[1]["seed"] == pair.seed and raw[0]["trial"] == raw[1]["trial"] == pair.trial
        assert raw[0]["process"] != raw[1]["process"]
    for run in runs:
        assert not run.problems and {len(t.arms[0].batch_ns) for t in run.trials} == {12}


def test_a_change_is_what_its_pairs_say(sides):
    sides.tell("candidate", ns=606, spread=0.004)
    sides.run("--quiet", "--pairs", "12")
    runs = [{t.trial: t for t in records.run_load(sides.out / name).trials} for name in ("base", "candidate")]
    logs = []
    for pair in sides.pairs():
        a, b = (np.log(run[pair.trial].arms[0].batch_ns) for run in runs)
        one, two = (a, b) if pair.starter == "first" else (b, a)
        ratio = (np.median((one - two)[1:-1]) + np.median(one[1:] - two[:-1])) / 2  # but for the first and the last
        logs.append(-ratio if pair.starter == "first" else ratio)
    (cell,) = sides.results().cells
    change = cell.arms[0].change
    assert change.logs == pytest.approx(logs, abs=1e-12)
    margin = math.log1p(0.01)
    sided = [scipy.stats.wilcoxon(np.array(logs) - at, alternative=how, method="exact").pvalue
             for at, how in ((-margin, "less"), (margin, "greater"))]
    assert change.p == pytest.approx(min(1.0, 2 * min(sided)), rel=1e-9)
    averages = sorted((logs[i] + logs[j]) / 2 for i in range(12) for j in range(i, 12))
    assert change.interval.estimate == pytest.approx(np.median(averages))
    assert change.interval.low == pytest.approx(averages[13]) and change.interval.high == pytest.approx(averages[-14])


class Ladder:
    """Cells that are measured until their ladder ends, with pairs as made times have them: in one of fifteen the
    process of one side is slow as a whole, by 20 %."""

    def __init__(self, seed: int, arms: int, spread: float) -> None:
        self.rng, self.arms, self.spread = np.random.default_rng(seed), arms, spread

    def value(self, change: float) -> float:
        """The log ratio of a pair."""
        slow = self.rng.random(2) < 1 / 15
        return float(self.rng.normal(change, self.spread) + math.log(1.2) * (float(slow[0]) - float(slow[1])))

    def cell(self, change: float) -> live_rows.LiveCellResult:
        """One cell with the verdicts of its arms, which all have that true log ratio."""
        names = tuple(f"a{i}" for i in range(self.arms))
        state = live_measure.CellState(live_sides.LiveCell("s", "c", 0.01, {}, names, {}), self.arms)
        measuring = object.__new__(live_measure.Measuring)
        measuring.rungs, measuring.begin = {"s": live_measure.rungs_of(self.arms, None)}, time.monotonic()
        while not state.is_finished:
            for name in names:
                state.logs.setdefault(name, []).append(self.value(change))
            state.pairs += 1
            measuring.consult_ladder(state)
        made = [live_rows.arm_result(name, False, False, [live_rows.ArmPair(v, None, 1.0, 1.0) for v in logs])
                for name, logs in state.logs.items()]
        cell = live_rows.LiveCellResult("s", "c", 0.01, made, [])
        live_rows.family_put([cell])
        return cell

    def told(self, change: float, cells: int, words: tuple[str, ...]) -> int:
        """In how many cells an arm got one of these verdicts."""
        return sum(any(arm.verdict in words for arm in self.cell(change).arms) for _ in range(cells))


@pytest.mark.parametrize("spread", [0.002, 0.006])
def test_looking_several_times_keeps_the_level(spread):
    """At the margin, where a family of three may be told in 5 % of all cells; and 0.3 % from it."""
    ladder = Ladder(12, 3, spread)
    wrong = ladder.told(math.log1p(0.01), 300, ("SLOWER",))
    assert scipy.stats.binomtest(wrong, 300, 0.05, alternative="greater").pvalue > 0.01, wrong
    assert ladder.told(math.log1p(0.01), 100, ("FASTER",)) <= 1
    near = ladder.told(math.log1p(0.007), 200, ("SLOWER", "FASTER"))
    assert scipy.stats.binomtest(near, 200, 0.05, alternative="less").pvalue < 0.001, near


def test_the_interval_of_a_ladder_covers_as_often_as_it_says():
    ladder = Ladder(11, 1, 0.004)
    intervals = [ladder.cell(0.0).arms[0].change.interval for _ in range(600)]
    covered = sum(one.low <= 0 <= one.high for one in intervals)
    assert scipy.stats.binomtest(covered, 600, 0.95, alternative="less").pvalue > 0.001, covered


def test_a_change_of_half_as_much_beyond_the_margin_is_found():
    """1.5 % at δ = 1 %, with the spread that docs/compare-live.md names."""
    ladder = Ladder(13, 1, 0.0035)
    found = ladder.told(math.log(1.015), 300, ("SLOWER",))
    assert scipy.stats.binomtest(found, 300, 0.97, alternative="less").pvalue > 0.001, found
    assert ladder.told(0.0, 200, ("SLOWER", "FASTER")) == 0


def test_runs_are_runs(sides, capsys):
    assert sides.run("--quiet", "--pairs", "6") == 0
    for name in ("base", "candidate"):
        assert report.main([str(sides.out / name), "--no-plots"]) == 0
        manifest = sides.get(f"out/{name}", "manifest.json")
        assert manifest["finished"] == 6 and manifest["tool"]["compiler"] == "gcc 12.2.0"
        assert manifest["machine_after"] == manifest["machine"] == sides.machine()["hash"]
        assert all(arm["params"]["latency"] == "none" for cell in manifest["plan"]["cells"] for arm in cell["arms"])
    assert "pread" in capsys.readouterr().out


def test_budget_ends_it(sides):
    sides.tell("candidate", spread=0.05)
    begin = time.monotonic()
    assert sides.run("--quiet", "--budget", "4s", "--pairs", "1000") == 0
    assert time.monotonic() - begin < 15  # what follows the last pair is no part of it
    assert sides.get("out", "live.json")["stopped"] == "budget"
    sides.check_clean()


def test_strict_insists(sides):
    sides.tell("candidate", spread=0.05)
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 3


def test_delta_may_be_given(sides):
    sides.tell("candidate", ns=618)
    assert sides.run("--quiet", "--delta", "10%") == 0
    assert sides.results().cells[0].arms[0].verdict == "SAME"


def test_writes_what_compare_writes(sides):
    sides.tell("candidate", ns=630)
    assert sides.run("--quiet") == 1
    found = sides.get("out", "compare.json")
    assert found["exit"] == 1 and found["counts"]["SLOWER"] == 2 and found["unit"] == "pair"
    row = found["rows"][0]
    assert row["quantity"] == "ns_per_op" and row["unit"] == "pair" and row["units"][0] == row["units"][1] > 5
    assert row["change"]["low"] < row["change"]["estimate"] < row["change"]["high"]
    for name in ("compare.md", "compare.html", "junit.xml", "badge.json"):
        assert "SLOWER" in (sides.out / name).read_text() or "slower" in (sides.out / name).read_text(), name


@pytest.mark.parametrize("ns, fail_on, status", [(570, "any", 1), (630, "never", 0), (570, "slower", 0)])
def test_what_fails_may_be_chosen(sides, ns, fail_on, status):
    sides.tell("candidate", ns=ns)
    assert sides.run("--quiet", "--pairs", "8", "--fail-on", fail_on) == status
    assert sides.get("out", "live.json")["fail_on"] == fail_on
    assert sides.get("out", "live.json")["exit"] == sides.get("out/base", "manifest.json")["exit_status"] == status


def test_bisect_understands(sides):
    assert sides.run("--quiet", "--bisect") == 0
    sides.out = sides.path / "slower"
    sides.tell("candidate", ns=630)
    assert sides.run("--quiet", "--bisect") == 1
    sides.out = sides.path / "broken"
    sides.tell("candidate", fail={"stage": "start", "how": "kill"})
    assert sides.run("--quiet", "--bisect", "--pairs", "6") == 125


@pytest.mark.parametrize("words", [["--bogus"], ["--pairs", "many"], ["--fail-on", "any"], ["--seed", "-1"]])
def test_a_wrong_command_line_is_no_regression(sides, capsys, words):
    assert sides.run("--bisect", *words) == 125
    said = capsys.readouterr().err
    assert said.startswith("faultline compare: ") and said.count("\n") == 1
    if words[0] != "--fail-on":
        assert sides.run(*words) == 2


def test_no_schema_is_no_regression(sides, capsys, monkeypatch):
    monkeypatch.setenv("FAULTLINE_SCHEMA", "/absent.json")
    assert sides.run("--bisect") == 125 and sides.run() == 7
    assert capsys.readouterr().err.count("/absent.json: No such file") == 2


def test_a_fault_of_ours_is_no_regression(sides, capsys, monkeypatch):
    monkeypatch.setattr(live, "measure", lambda *_: [][0])
    assert sides.run("--bisect") == 125 and sides.run() == 7
    said = capsys.readouterr().err
    assert said.count("internal error: IndexError: list index out of range, test_live.py:") == 2, said


@pytest.mark.parametrize(
    "name, change",
    [
        ("plan.json", lambda plan: plan.update(refused=[{"reason": "none"}])),
        ("plan.json", lambda plan: plan.update(refused=[1])),
        ("plan.json", lambda plan: plan.update(pairs=[{"a": 1}])),
        ("plan.json", lambda plan: plan["cells"][0].update(arms=[])),
        ("plan.json", lambda plan: plan["cells"][0]["arms"][0].pop("method_version")),
        ("plan.json", lambda plan: plan["cells"][0].update(scenario="other")),
        ("plan.json", lambda plan: plan["scenarios"][0].update(delta=0)),
        ("plan.json", lambda plan: plan.pop("estimate_s")),
        ("plan.json", lambda plan: plan.update(directory=1)),
        ("machine.json", lambda machine: machine.update(topology=[])),
        ("machine.json", lambda machine: machine.update(topology={"pus": [{}]})),
        ("machine.json", lambda machine: machine.update(blocking=None)),
        ("machine.json", lambda machine: machine.pop("hash")),
    ],
)
def test_a_damaged_answer_is_named(sides, capsys, name, change):
    sides.edit("candidate", name, change)
    assert sides.run() == 7
    said = capsys.readouterr().err
    assert said.startswith("faultline compare: candidate") and f"its {name[:-5]} is none" in said
    assert said.count("\n") == 1


def test_a_machine_without_a_tree_is_one(sides):
    sides.edit("candidate", "machine.json", lambda machine: machine.update(topology=None))
    assert sides.run("--quiet", "--pairs", "8") == 0


def test_progress_tells_and_is_silenced(sides, capsys):
    sides.edit("base", "plan.json", lambda plan: plan["estimate_s"].update(total=80))
    sides.run("--pairs", "6")
    said = capsys.readouterr().err
    assert "1 cell, at least 6 pairs of trials, about 120 s" in said
    sides.out = sides.path / "again"
    sides.run("--pairs", "6", "--quiet")
    assert capsys.readouterr().err == ""


def test_what_a_side_says_beside_its_plan_is_told(sides, capsys):
    sides.tell("candidate", remark="these scenarios are old")
    sides.run("--pairs", "6", "--quiet")
    assert "candidate says: these scenarios are old" in capsys.readouterr().err


# ---- controls ----


def test_controls_say_what_could_be_told(sides, capsys):
    assert sides.run("--quiet", "--control", "8") == 0
    (cell,) = sides.results().cells
    assert [len(arm.pairs) for arm in cell.controls] == [8, 8]
    floor = live_rows.could_tell(cell, 2)
    assert 0.01 < floor < 0.02  # δ and what the spread of 0.1 % lets through beyond it
    assert "by its controls, a change of 1." in capsys.readouterr().out
    assert Counter(p.is_control for p in sides.pairs()) == {False: len(cell.arms[0].pairs), True: 8}
    assert live_rows.could_tell(cell, 60) is None  # eight pairs tell nothing in such a family


def test_what_could_be_told_is_told_four_times_in_five():
    """Cells of one arm with a change as large as their controls promise."""
    rng = np.random.default_rng(21)
    pairs, told, cells = 12, 0, 400
    for _ in range(cells):
        spread = 0.006
        controls = [live_rows.ArmPair(v, None, 1.0, 1.0) for v in rng.normal(0.0, spread, pairs)]
        cell = live_rows.LiveCellResult("s", "c", 0.01, [], [live_rows.arm_result("a", False, True, controls)])
        cell.arms = [live_rows.arm_result("a", False, True, [live_rows.ArmPair(0.0, None, 1.0, 1.0)] * pairs)]
        change = math.log1p(live_rows.could_tell(cell, 1))
        assert change > math.log1p(0.01)
        seen = [live_rows.ArmPair(v, None, 1.0, 1.0) for v in rng.normal(change, spread, pairs)]
        cell.arms = [live_rows.arm_result("a", False, True, seen)]
        live_rows.family_put([cell])
        told += cell.arms[0].verdict == "SLOWER"
    low, high = scipy.stats.binomtest(told, cells).proportion_ci()
    assert low > 0.65 and high < 0.92, told  # the normal approximation, at twelve pairs, and a spread that is estimated


def test_a_base_that_differs_from_itself_makes_it_invalid(sides):
    sides.tell("base", bias={"control-second": 1.05})
    assert sides.run("--quiet", "--control", "8") == 4
    (cell,) = sides.results().cells
    assert {arm.verdict for arm in cell.arms} == {"INVALID"} and "the base differs from itself by 4." in cell.invalid[0]


# ---- what makes a cell INVALID ----


def verdicts(sides: Sides) -> set[str]:
    """Of all rows."""
    return {row["verdict"] for row in sides.get("out", "compare.json")["rows"]}


def test_a_machine_that_changed_makes_all_invalid(sides):
    sides.tell("candidate", machine_then={"hash": "ffffffffffffffff"})
    assert sides.run("--quiet", "--pairs", "8") == 4
    assert verdicts(sides) == {"INVALID"}
    assert "candidate: the machine's fingerprint changed" in sides.results().cells[0].invalid
    assert "<error" in (sides.out / "junit.xml").read_text()


def test_a_side_that_no_longer_tells_its_machine_has_failed(sides):
    sides.tell("candidate", machine_then="exit")
    assert sides.run("--quiet", "--pairs", "8") == 5
    (left,) = sides.results().left_out
    assert left.kind == "failed" and "'machine' ended with status 1: no more machine" in left.reason
    assert sides.get("out", "badge.json")["color"] == "red"


def test_clocks_of_the_sides_must_be_alike(sides):
    sides.tell("candidate", clock={"cost_ns": 2400})
    assert sides.run("--quiet", "--pairs", "8") == 4
    assert verdicts(sides) == {"INVALID"}
    (cell,) = sides.results().cells
    assert cell.invalid == ["the clock changed (cost_ns from 24 to 2400)"]


def test_identical_arms_that_differ_within_a_side_are_invalid(sides):
    for side in ("base", "candidate"):
        sides.tell(side, arms={"null": {"factor": 1.1}})
    assert sides.run("--quiet", "--pairs", "8") == 4
    rows = sides.get("out", "compare.json")["rows"]
    assert {row["verdict"] for row in rows if row["quantity"] == "ns_per_op"} == {"INVALID"}
    assert {row["verdict"] for row in rows if row["quantity"] != "ns_per_op"} == {"SAME"}  # counts do not mind
    assert "base: two identical arms differ" in rows[0]["why"]


def test_a_count_needs_pairs_before_it_is_believed(sides):
    sides.edit("candidate", "record.json", lambda record: record["arms"][0]["counts"].update(minor_faults=2048))
    assert sides.run("--quiet", "--pairs", "3") == 0
    rows = {row["quantity"]: row for row in sides.get("out", "compare.json")["rows"] if row["arm"] == "pread"}
    assert rows["minor_faults"]["verdict"] == "CANNOT TELL"
    assert rows["minor_faults"]["why"] == "the base has 3 trials of it; what repeats shows in 8 or more"
    sides.out = sides.path / "more"
    assert sides.run("--quiet", "--pairs", "8") == 1
    assert sides.get("more", "live.json")["exit"] == sides.get("more/base", "manifest.json")["exit_status"] == 1


# ---- calibration ----


def ops(sides: Sides) -> list[set[int]]:
    """Operations a batch of the second arm on both sides."""
    return [{trial.arms[1].ops_per_batch for trial in records.run_load(sides.out / name).trials}
            for name in ("base", "candidate")]


@pytest.mark.parametrize("status", ["failed", "unsupported"])
def test_an_arm_is_calibrated_by_whichever_side_has_it(sides, status):
    sides.tell("base", arms={"null": {"status": status, "reason": "not yet", "trials": ["calibration"]}})
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 0
    assert ops(sides) == [{100}, {100}]


def test_an_arm_that_fails_alone_on_both_sides_is_told(sides):
    for side in ("base", "candidate"):
        sides.tell(side, arms={"null": {"status": "failed", "reason": "never", "trials": ["calibration"]}})
    assert sides.run("--quiet", "--pairs", "8") == 5
    assert left_out(sides) == ["fake/one all: null: never"]


def test_a_cell_without_any_ratio_is_given_up(sides):
    arm = {"status": "failed", "reason": "no", "trials": list(range(30))}
    sides.tell("candidate", arms={"null": arm, "pread": arm})
    assert sides.run("--quiet") == 7
    assert len(sides.pairs()) == 2 and sides.get("out", "live.json")["stopped"] == "failures"


def test_controls_that_fail_are_given_up(sides):
    sides.tell("base", ns=600, bias={"control-second": "x"})  # its trials of that name end with a traceback
    assert sides.run("--quiet", "--pairs", "8", "--control", "8") == 5
    assert Counter(p.is_control for p in sides.pairs()) == {False: 8, True: 2}


def test_rounds_are_never_too_few():
    arm = next(iter(records.trial_read(fake_run.record(SCENARIO, {}, 0, np.random.default_rng(1)), 1, b"").arms))
    slow = records.Arm(**{**arm.__dict__, "batch_ns": np.array([1e9]), "order": np.array([0])})
    assert [live_measure.rounds_of([slow], arms, 1000) for arms in (1, 2, 3)] == [4, 4, 6]


def test_who_starts_is_balanced_and_does_not_go_by_the_cpu():
    cell = live_sides.LiveCell("s", "c", 0.01, {}, ("a",), {})
    starts = [[live_measure.starts_first(seed, cell, "pair", index) for index in range(30)] for seed in range(200)]
    for one in starts:
        assert all(a != b for a, b in zip(one[0::2], one[1::2]))
    even = sum(sum(one[0::2]) for one in starts)  # of the pairs on the first of two CPUs
    assert scipy.stats.binomtest(even, 200 * 15, 0.5).pvalue > 0.001


# ---- what is not compared ----


def left_out(sides: Sides) -> list[str]:
    """Why."""
    return [str(one) for one in sides.results().left_out]


def test_scenarios_that_differ_are_named_and_not_compared(sides, capsys):
    sides.edit("candidate", "plan.json", lambda plan: plan["scenarios"][0].update(hash="1" * 64))
    assert sides.run() == 6
    assert "fake/one: it is not the same on both sides" in capsys.readouterr().err
    assert not sides.out.exists()


def test_cells_of_one_side_are_named(sides):
    two = fake_run.FakeScenario(name="fake/one", rounds=12, arms=SCENARIO.arms,
                                cells=[{"block_bytes": 64}, {"block_bytes": 4096}])
    sides.plan("base", two)
    sides.plan("candidate", two)
    sides.edit("candidate", "plan.json", lambda plan: plan["cells"].pop())
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 3
    assert sides.get("out", "badge.json")["color"] == "lightgrey"
    assert left_out(sides) == ["fake/one block_bytes=4KiB: the candidate does not have it"]
    assert [cell.cell for cell in sides.results().cells] == ["block_bytes=64"]
    sides.out = sides.path / "bisected"
    assert sides.run("--quiet", "--pairs", "8", "--bisect") == 125


def two_scenarios(sides: Sides) -> None:
    """Both sides have a second scenario."""
    other = fake_run.FakeScenario(name="fake/two", rounds=12, arms=SCENARIO.arms)
    for side in ("base", "candidate"):
        sides.edit(side, "plan.json", lambda plan: [plan[key].extend(more[key]) for key in ("scenarios", "cells")]
                   if (more := fake_run.manifest([other], 8)["plan"]) else None)
        sides.edit(side, "plan.json", lambda plan: [cell["params"].update(arm_time=700_000) for cell in plan["cells"]])


@pytest.mark.parametrize("unknown", [False, True])
def test_a_scenario_that_differs_beside_one_that_does_not(sides, unknown):
    two_scenarios(sides)
    for side, text in (("base", "1" * 64), ("candidate", "2" * 64)):
        sides.edit(side, "plan.json", lambda plan: plan["scenarios"][1].update(hash=None if unknown else text))
    if unknown:  # then the contents tell
        sides.edit("candidate", "plan.json", lambda plan: plan["scenarios"][1].update(delta=0.5))
    assert sides.run("--quiet", "--pairs", "8") == 6
    (left,) = sides.results().left_out
    assert (left.scenario, left.cell, left.kind) == ("fake/two", None, "unlike")
    assert sides.get("out", "badge.json")["color"] == "red"
    assert "<error" in (sides.out / "junit.xml").read_text()
    assert sides.get("out", "compare.json")["left_out"][0]["kind"] == "unlike"
    for name in ("base", "candidate"):
        assert sides.get(f"out/{name}", "manifest.json")["exit_status"] == 6
    sides.out = sides.path / "bisected"
    assert sides.run("--quiet", "--pairs", "8", "--bisect") == 125


def test_a_cell_that_both_plans_refuse_is_open(sides):
    for side in ("base", "candidate"):
        sides.edit(side, "plan.json", lambda plan: plan["refused"].append(
            {"scenario": "fake/one", "cell": "cache=cold", "reason": "no such device"}))
    assert sides.run("--quiet", "--pairs", "8") == 0
    assert left_out(sides) == ["fake/one cache=cold: no such device"]
    sides.out = sides.path / "strict"
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 3


UNSUPPORTED = {"status": "unsupported", "reason": "no such call"}


def test_an_arm_that_one_side_lacks_is_open(sides):
    sides.tell("candidate", arms={"null": UNSUPPORTED})
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 3
    rows = {row["arm"]: row for row in sides.get("out", "compare.json")["rows"] if row["quantity"] == "ns_per_op"}
    assert rows["null"]["verdict"] == "CANNOT TELL" and "unsupported: no such call" in rows["null"]["why"]
    assert rows["pread"]["verdict"] == "SAME"
    sides.out = sides.path / "bisected"
    assert sides.run("--quiet", "--pairs", "8", "--bisect") == 125


def test_an_arm_that_neither_side_has_is_no_row(sides):
    for side in ("base", "candidate"):
        sides.tell(side, arms={"null": UNSUPPORTED})
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 0
    found = sides.get("out", "compare.json")
    assert {row["arm"] for row in found["rows"]} == {"pread"}
    assert found["notes"] == ["fake/one all: null is measured on neither side: unsupported: no such call"]


def test_a_cell_that_got_no_pair_is_open(sides):
    two_scenarios(sides)
    assert sides.run("--quiet", "--pairs", "8", "--require-conclusive") == 0
    lines = (sides.out / "pairs.jsonl").read_bytes().splitlines(keepends=True)
    (sides.out / "pairs.jsonl").write_bytes(b"".join(line for line in lines if b"fake/one" in line))
    results = sides.results()
    found = live_compare.comparison_of(results)
    assert compare_causes.exit_status(found, insist=True) == 3
    times = [row for row in found.rows if row.scenario == "fake/two" and row.unit == "pair"]
    assert {row.why for row in times} == {"no pair was measured"}
    assert compare_causes.bisect_status(found, 0) == 125


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda cell: cell["arms"][0].update(method_version=2), "its arms differ, or the versions of their methods"),
        (lambda cell: cell["arms"].pop(), "its arms differ"),
        (lambda cell: cell["params"].update(file_bytes=1), "its parameters differ: file_bytes (67108864 and 1)"),
    ],
)
def test_cells_that_are_not_the_same_are_named(sides, capsys, change, why):
    sides.edit("candidate", "plan.json", lambda plan: change(plan["cells"][0]))
    assert sides.run() == 6
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    "params, why",
    [
        ({"memory_limit": 1}, "control group"),
        ({"matrix": "core"}, "pairs of CPUs"),
        ({"backing": "ext4"}, "mount"),
        ({"backing": "given"}, "each side needs its own"),
        ({"memory_node": "local"}, "memory node"),
        ({"place": "pack", "workers": 2}, "place pack"),
    ],
)
def test_refused_with_the_reason(params, why):
    assert why in live_sides.refusal({**fake_run.PARAMS, **params})


@pytest.mark.parametrize("params", [{}, {"cache": "cold"}, {"workers": 2, "place": "same-l3"}, {"place": "cpu:1"},
                                    {"backing": "tmpfs"}, {"workers": 4}])
def test_not_refused(params):
    assert live_sides.refusal({**fake_run.PARAMS, **params}) is None


@pytest.mark.parametrize("key, value", [("page_bytes", 65536), ("architecture", "aarch64")])
def test_machines_must_be_of_a_kind(sides, capsys, key, value):
    sides.edit("candidate", "machine.json", lambda machine: machine["blocking"].update({key: value}))
    assert sides.run() == 6
    assert f"the sides differ in {key}" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["page_bytes", "architecture", "boot_id"])
def test_what_neither_knows_is_not_the_same(sides, capsys, key):
    for side in ("base", "candidate"):
        sides.edit(side, "machine.json",
                   lambda machine: machine.update(boot_id=None) if key == "boot_id" else machine["blocking"].pop(key))
    assert sides.run() == 6
    assert "the sides differ in" in capsys.readouterr().err and not sides.out.exists()


def test_differences_of_the_fingerprint_must_be_declared(sides, capsys):
    def change(machine: Any) -> None:
        machine["blocking"].update(memory={"limit_bytes": 1 << 30}, compiler="clang 14")
        machine["hash"] = fake_run.machine_hash(machine["blocking"])

    sides.edit("candidate", "machine.json", change)
    assert sides.run("--quiet") == 6
    said = capsys.readouterr().err
    assert "undeclared difference in memory.limit_bytes: --vary memory declares it" in said and said.count("\n") == 1
    assert not sides.out.exists()  # before anything is measured
    assert sides.run("--quiet", "--pairs", "8", "--vary", "memory.limit_bytes") == 0
    differences = {one["key"]: one["declared"] for one in sides.get("out", "compare.json")["fingerprint_diff"]}
    assert differences == {"memory.limit_bytes": True, "compiler": True}
    assert sides.get("out", "live.json")["vary"] == ["tool", "compiler", "memory.limit_bytes"]
    sides.out = sides.path / "other"
    assert sides.run("--vary", "colour") == 2
    assert "--vary: there is no 'colour'" in capsys.readouterr().err


def test_an_emulated_machine_is_not_compared_with_a_real_one(sides, capsys):
    for side, value in (("base", "none"), ("candidate", "qemu (emulated)")):
        sides.edit(side, "machine.json", lambda machine: machine["blocking"].update(virtualisation=value))
    assert sides.run("--vary", "cpu") == 6
    assert "an emulated machine and a real one" in capsys.readouterr().err


def test_a_parameter_that_was_declared_may_differ(sides, capsys):
    def change(plan: Any) -> None:
        plan["scenarios"][0]["hash"] = "1" * 64
        plan["cells"][0]["params"]["file_bytes"] = 1 << 20

    sides.edit("candidate", "plan.json", change)
    assert sides.run() == 6
    assert "its parameters differ: file_bytes" in capsys.readouterr().err
    sides.tell("candidate", checksum="0123456789abcdef")  # of other work, which is what was asked for
    assert sides.run("--quiet", "--pairs", "8", "--vary", "file_bytes") == 0
    differ = {one["key"]: one for one in sides.get("out", "compare.json")["fingerprint_diff"]}
    assert differ["fake/one: file_bytes"]["declared"] and differ["fake/one: file_bytes"]["candidate"] == str(1 << 20)


def test_cpus_are_those_of_both_sides_in_turn():
    pus = [{"os_index": n, "allowed": n < 3} for n in range(4)]
    launcher = live_sides.Launcher("base", "x", ("x",))
    side = live_sides.LiveSide(launcher, {"pairs": [{"class": "l3", "a": 1, "b": 2}]},
                               {"topology": {"pus": pus, "classes": [{"name": "l3", "level": "l3"}]}})
    cell = live_sides.LiveCell("s", "c", 0.01, {"place": "any"}, ("a",), {})
    assert [live_sides.place_cpus(cell, side, [1, 2, 0], turn) for turn in range(3)] == [[1], [2], [1]]
    meet = live_sides.LiveCell("s", "c", 0.01, {"place": "same-l3", "workers": 2}, ("a",), {})
    assert [live_sides.place_cpus(meet, side, [1, 2, 0], turn) for turn in range(2)] == [[1, 2], [2, 1]]
    with pytest.raises(live_sides.LiveError, match="not among those"):
        live_sides.place_cpus(meet, side, [0, 1], 0)
    with pytest.raises(live_sides.LiveError, match="4 workers need as many CPUs"):
        live_sides.place_cpus(live_sides.LiveCell("s", "c", 0.01, {"workers": 4}, ("a",), {}), side, [0, 1], 0)


# ---- sides that fail ----


@pytest.mark.parametrize(
    "prefix, status, why",
    [
        ("/no/such/program", 2, "cannot be started"),
        ("env /no/such/program", 2, "No such file or directory"),
        ("'unclosed", 2, "No closing quotation"),
        (" ", 2, "no program is named"),
        ("false", 7, "'plan' ended with status 1"),
        ("true", 7, "printed no faultline.plan/1"),
    ],
)
@pytest.mark.parametrize("side", ["base", "candidate"])
def test_launchers_that_start_no_faultline(sides, capsys, side, prefix, status, why):
    assert sides.run(**{side: prefix}) == status
    said = capsys.readouterr().err
    assert said.startswith(f"faultline compare: {side}") and why in said and said.count("\n") == 1
    sides.check_clean()


@pytest.mark.parametrize(
    "stage, how, status, why",
    [
        ("plan", "exit", 7, "'plan' ended with status 1: no more paper"),
        ("plan", "kill", 7, "killed by signal 9"),
        ("plan", "garbage", 7, "not JSON"),
        ("plan", "schema", 7, "of another major version"),
        ("machine", "exit", 7, "'machine' ended with status 1"),
        ("machine", "garbage", 7, "not JSON"),
        ("start", "exit", 7, "no more paper"),
        ("start", "kill", 7, "killed by signal 9"),
        ("round", "exit", 7, "status 1: no more paper"),
        ("round", "kill", 7, "killed by signal 9"),
        ("record", "silent", 7, "printed no record"),
        ("record", "garbage", 7, "printed no record"),
        ("record", "schema", 7, "printed no record"),
        ("record", "exit", 7, "no more paper"),
    ],
)
@pytest.mark.parametrize("side", ["base", "candidate"])
def test_sides_that_fail(sides, capsys, side, stage, how, status, why):
    sides.tell(side, fail={"stage": stage, "how": how}, child=True)
    assert sides.run() == status
    said = capsys.readouterr().err
    assert why in said and side in said
    assert "Traceback" not in said
    sides.check_clean()


@pytest.mark.parametrize("side", ["base", "candidate"])
@pytest.mark.parametrize("stage", ["calibration", "start", "round", "record"])
def test_sides_that_hang(sides, capsys, side, stage):
    sides.tell(side, fail={"stage": stage, "how": "hang"}, child=True)
    begin = time.monotonic()
    status = sides.run("--deadline", "700ms", "--pairs", "6")
    assert status == (0 if (side, stage) == ("candidate", "calibration") else 7)
    assert time.monotonic() - begin < 20
    if status:
        assert "did not end within 0.7 s" in capsys.readouterr().err
    sides.check_clean()


def test_a_base_that_cannot_be_calibrated(sides, capsys):
    sides.tell("base", fail={"stage": "calibration", "how": "exit"})
    assert sides.run() == 7
    assert "not compared: fake/one all: base: status 1" in capsys.readouterr().err
    sides.check_clean()


def test_pairs_before_a_failure_count(sides, capsys):
    sides.tell("candidate", ns=630, fail={"stage": "round", "how": "kill", "above": 9})
    assert sides.run("--pairs", "20") == 5
    (cell,) = sides.results().cells
    assert len(cell.failed) == 2 and cell.arms[0].verdict == "SLOWER" and cell.arms[0].change.logs.size == 9
    assert records.run_load(sides.out / "base").problems == ()
    assert [p.status for p in sides.pairs()] == ["ok"] * 9 + ["failed"] * 2


def test_sides_that_take_no_turns_are_found_out(sides, capsys):
    for side in ("base", "candidate"):
        sides.tell(side, no_turns=True)
    assert sides.run() == 7
    assert "did not take turns" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["remark", "trial_remark"])
def test_a_library_that_is_not_there_is_no_equality(sides, capsys, where):
    sides.tell("candidate", **{where: "ERROR: ld.so: object 'x.so' from LD_PRELOAD cannot be preloaded: ignored."})
    assert sides.run() == (2 if where == "remark" else 7)
    assert "without a library: ERROR: ld.so: object 'x.so'" in capsys.readouterr().err


def test_other_work_is_invalid(sides):
    sides.tell("candidate", checksum="0123456789abcdef")
    assert sides.run("--quiet", "--pairs", "8") == 5
    (cell,) = sides.results().cells
    assert "the checksum of null, pread differs between the sides, first in pair 0" in cell.invalid
    assert {arm.verdict for arm in cell.arms} == {"INVALID"} and verdicts(sides) == {"INVALID"}


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_what_there_is(sides, number, status):
    sides.tell("candidate", spread=0.05)
    process = sides.start("--pairs", "1000")
    limit = time.monotonic() + 20
    while time.monotonic() < limit and not (sides.out / "pairs.jsonl").exists():
        time.sleep(0.01)
    while time.monotonic() < limit and len((sides.out / "pairs.jsonl").read_text().splitlines()) < 7:
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == status, errors
    assert output.decode().splitlines()[-1] == str(sides.out)
    assert sides.get("out", "live.json")["stopped"] == "interrupted"
    assert sides.get("out", "compare.json")["exit"] == sides.get("out/base", "manifest.json")["exit_status"] == status
    assert sides.results().arms[0][1].change.logs.size >= 7
    sides.check_clean()


def test_a_signal_while_a_side_hangs(sides):
    sides.tell("candidate", fail={"stage": "plan", "how": "hang"})
    process = sides.start()
    limit = time.monotonic() + 20
    while time.monotonic() < limit and len(sides.left()) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    sides.check_clean()


def test_sides_do_not_outlive_a_comparison_that_was_killed(sides):
    sides.tell("candidate", fail={"stage": "round", "how": "hang"})
    process = sides.start("--deadline", "100s")
    limit = time.monotonic() + 20
    while time.monotonic() < limit and len(sides.left()) < 3:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=20)
    while sides.left() and time.monotonic() < limit:
        time.sleep(0.01)
    assert not sides.left()
    (folder,) = sides.files.iterdir()  # the next run removes it: it has the name, the lock and the mark of one
    assert re.fullmatch(r"faultline-run-.{6}", folder.name)
    assert (folder / "lock").read_bytes() == b"faultline working folder\n"
    sides.tell("candidate")
    sides.out = sides.path / "next"
    assert sides.run("--quiet", "--pairs", "6") == 0
    sides.check_clean()


# ---- files ----


def test_files_alone_say_the_same(sides):
    sides.tell("candidate", ns=630)
    sides.run("--quiet", "--control", "6")
    moved = sides.path / "moved"
    sides.out.rename(moved)
    results = live_rows.conclude(moved)
    assert [arm.verdict for _, arm in results.arms] == ["SLOWER", "SLOWER"]
    assert results.live["base"] and not results.problems


PAIR = {
    "schema": "faultline.pair/1.2", "scenario": "s", "cell": "c", "trial": 0, "first": "base", "second": "candidate",
    "starter": "first", "seed": 1, "cpus": [0], "environment_bytes": [0, 4095], "started": "2026-01-31T12:00:00.000Z",
    "wall_s": 0.5, "status": "ok", "reason": None, "later": True,
}


def test_a_pair_of_a_later_version_is_read():
    SCHEMAS["pair"].validate(PAIR)
    assert live_store.pair_read(PAIR).cpus == (0,)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "faultline.pair/2"}, {"schema": "faultline.live/1"}, {"trial": -1}, {"starter": "base"},
        {"cpus": []}, {"cpus": [-1]}, {"environment_bytes": [0]}, {"environment_bytes": [0, 4096]},
        {"second": "control-second"},
        {"status": "failed"}, {"reason": "none"}, {"wall_s": "1"}, {"seed": 1 << 53}, {"cpus": [1, 1]},
    ],
)
def test_what_is_no_pair(change):
    damaged = {**PAIR, **change}
    assert not SCHEMAS["pair"].is_valid(damaged)
    with pytest.raises(records.LineError):
        live_store.pair_read(damaged)


@pytest.mark.parametrize("change", [{"ended": None}, {"stopped": "tired"}, {"vary": "tool"}, {"delta": 0}, {"exit": 2}])
def test_what_is_no_comparison(sides, change):
    assert sides.run("--quiet", "--pairs", "6") == 0
    assert not SCHEMAS["live"].is_valid({**sides.get("out", "live.json"), **change})


def test_damaged_pairs_are_told_and_left_out(sides):
    sides.run("--quiet", "--pairs", "8")
    path = sides.out / "pairs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].replace(b'"ok"', b'"fine"'), *lines[1:-1], lines[-1][:20]]))
    results = sides.results()
    told = [(p.severity, p.where) for p in results.problems]
    assert told == [("warning", "pairs.jsonl:8"), ("error", "pairs.jsonl:1")]
    assert results.cells[0].arms[0].change.logs.size == 6
    found = live_compare.comparison_of(results)
    assert compare_causes.exit_status(found) == 7 and {row.verdict for row in found.rows} <= {"CANNOT TELL", "SAME"}
    assert compare_files.badge(found)["color"] == "red" and b'errors="1"' in compare_files.junit(found)
    assert compare_words.conclusion(found).startswith("Status 7: records are damaged. ")
    assert any(note.startswith("pairs.jsonl:1: error") for note in compare_words.notes(found))


def test_a_record_that_is_missing_is_told(sides):
    sides.run("--quiet", "--pairs", "8")
    path = sides.out / "base" / "trials.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    results = sides.results()
    assert [str(p) for p in results.problems] == [
        "base/trials.jsonl: error: 1 of 8 finished records are missing: the file was cut",
        "base/trials.jsonl: error: the record of fake/one all, trial 0 is missing"]
    assert compare_causes.exit_status(live_compare.comparison_of(results)) == 7


def test_no_room_for_a_record(sides, capsys, monkeypatch):
    def full(path: Path, line: bytes) -> None:
        if path.stat().st_size > 1000:
            raise OSError(28, "No space left on device", str(path))
        live_store_append(path, line)

    live_store_append = live_store.append
    monkeypatch.setattr(live_measure, "append", full)
    assert sides.run("--quiet", "--pairs", "20") == 7
    assert "No space left on device" in capsys.readouterr().err
    assert sides.get("out", "live.json")["stopped"] == "failures" and sides.get("out", "live.json")["ended"]
    manifest = sides.get("out/base", "manifest.json")
    assert manifest["finished"] == manifest["expected"] > 0 and manifest["ended"]
    sides.check_clean()


def test_one_folder_that_cannot_be_removed_does_not_keep_the_other(tmp_path, monkeypatch):
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(live_measure, "MEMORY_FOLDER", str(tmp_path / "memory"))
    cell = live_sides.LiveCell("s", "c", 0.01, {"backing": "tmpfs"}, ("a",), {})
    with pytest.raises(OSError), live_measure.folders([cell], str(tmp_path)) as made:
        (made["tmpfs"].path / "inner").mkdir()  # which nobody expects
    assert not list(tmp_path.glob("faultline-run-*"))


def test_only_what_was_left_is_swept(tmp_path):
    left, held, other = (tmp_path / f"faultline-run-{n * 6}" for n in "abc")
    for folder, text in ((left, b"faultline working folder\n"), (other, b"somebody else's\n")):
        folder.mkdir()
        (folder / "lock").write_bytes(text)
        (folder / "file").write_bytes(b"x")
    mine = live_measure.Folder(str(tmp_path))
    mine.path.rename(held)
    live_measure.sweep(tmp_path)
    assert not left.exists() and held.exists() and (other / "file").exists()


def test_room_is_asked_for_both_sides(sides, capsys):
    sides.edit("candidate", "plan.json", lambda plan: plan.update(disk_bytes=1 << 60))
    assert sides.run() == 4
    assert "both sides need" in capsys.readouterr().err


def test_a_directory_is_where_it_was_given(sides, monkeypatch):
    monkeypatch.chdir(sides.path)
    settings = live_measure.Settings("a", "b", ["s"], directory="files")
    assert settings.machine_words == ["--directory", str(sides.files)]
    assert settings.plan_words(3)[-2:] == ["--directory", str(sides.files)]


def test_the_deadline_follows_the_plan(sides):
    sides.edit("base", "plan.json", lambda plan: plan["estimate_s"].update(total=8 * 100))
    sides.run("--quiet", "--pairs", "6")
    assert sides.get("out", "live.json")["deadline_s"] == 2000
    sides.out = sides.path / "told"
    sides.run("--quiet", "--pairs", "6", "--deadline", "50s")
    assert sides.get("told", "live.json")["deadline_s"] == 50


def test_a_full_standard_output_is_told(sides):
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-B", "-m", "faultline.live", *sides.words("--quiet", "--pairs", "6")],
            env={**buffered, "PYTHONPATH": str(ROOT / "scripts")}, stdout=full, stderr=subprocess.PIPE,
        )
    assert process.returncode == 7, process.stderr
    assert process.stderr.count(b"\n") == 1 and b"No space left" in process.stderr
    assert (sides.out / "compare.json").exists()


def test_a_directory_of_any_bytes(sides, capfdbinary):
    sides.out = sides.path / os.fsdecode(b"\xff\xfe")
    assert sides.run("--quiet", "--pairs", "6") == 0
    assert capfdbinary.readouterr().out.splitlines()[-1] == os.fsencode(sides.out)


# ---- processes ----


def program(tmp_path: Path, name: str, text: str) -> trial_pair.Program:
    """A program in Python."""
    return trial_pair.Program(name, [sys.executable, "-c", text])


def stubborn(monkeypatch, started: list[trial_pair.Running]) -> None:
    """The first program may not be ended; what was started is kept."""
    end, begin = trial_pair.Running.end, trial_pair.start

    def refuse(running: trial_pair.Running) -> None:
        end(running)
        if running.program.name == "first":
            raise trial_pair.SideError("first: may not be ended")

    monkeypatch.setattr(trial_pair.Running, "end", refuse)
    monkeypatch.setattr(trial_pair, "start", lambda one: started.append(begin(one)) or started[-1])


@pytest.mark.parametrize("number, error", [(0, trial_pair.SideError), (15, trial_pair.Interrupted)])
def test_a_program_that_may_not_be_ended_keeps_no_other_alive(tmp_path, monkeypatch, number, error):
    started: list[trial_pair.Running] = []
    stubborn(monkeypatch, started)
    sleep = "import time; time.sleep(60)"
    with pytest.raises(error):
        trial_pair.run_all([program(tmp_path, "first", sleep), program(tmp_path, "second", sleep)], 0.3, lambda: number)
    assert [one.process.returncode for one in started] == [-9, -9]
    assert all(one.output.closed and one.errors.closed for one in started)


def test_a_directory_that_is_in_use_gets_a_new_one_inside(sides, capsys):
    sides.out.mkdir()
    (sides.out / "mine").write_text("kept")
    assert sides.run("--quiet", "--pairs", "6") == 0
    made = Path(capsys.readouterr().out.splitlines()[-1])
    assert made.parent == sides.out and (made / "pairs.jsonl").exists()


def test_no_such_comparison(tmp_path):
    with pytest.raises(records.RecordsError, match="live.json: No such file"):
        live_rows.conclude(tmp_path)


def test_verdict_words_are_the_suite_s():
    assert set(verdict.VERDICTS) == {"FASTER", "SLOWER", "SAME", "INVALID", "CANNOT TELL"}
