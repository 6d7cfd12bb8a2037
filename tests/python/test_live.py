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
from faultline import live, live_measure, live_rows, live_sides, live_store, records, report, stats, verdict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
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
        """The comparison, in this process."""
        os.environ["FAULTLINE_TEST_MARK"] = self.mark
        try:
            return live.main(self.words(*words, **launchers))
        finally:
            del os.environ["FAULTLINE_TEST_MARK"]

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
    sides.tell("candidate", ns=700)  # beyond doubt after the least number that tells anything
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
    rungs = live_measure.rungs_of([cell, cell], None)["s"]
    assert rungs[0] == stats.trials_least(120) == 13 and rungs[-1] == 30 and list(rungs) == sorted(set(rungs))
    assert live_measure.rungs_of([cell], 17)["s"] == (17,)


def test_both_sides_of_a_pair_do_the_same_and_pairs_differ(sides):
    assert sides.run("--quiet", "--pairs", "9") == 0
    pairs = sides.pairs()
    assert [p.starter for p in pairs] == ["first", "second"] * 4 + ["first"]
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
        ratio = (np.median(one - two) + np.median(one[1:] - two[:-1])) / 2
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


def drawn(rng: np.random.Generator, centre: float, arms: int) -> list[live_rows.LiveArm]:
    """The arms of a cell with 10 pairs each, of that true log ratio, with their verdicts."""
    made = []
    for index in range(arms):
        pairs = [live_rows.ArmPair(v, None, 1.0, 1.0) for v in rng.normal(centre, 0.004, 10)]
        made.append(live_rows.arm_result(f"a{index}", False, False, pairs))
    live_rows.family_put([live_rows.LiveCellResult("s", "c", 0.01, made, [], [])])
    return made


def test_no_change_is_rarely_told_and_covered_as_often_as_it_says():
    rng = np.random.default_rng(11)
    told, covered = 0, 0
    for _ in range(400):
        arms = drawn(rng, 0.0, 2)
        told += any(arm.verdict in ("FASTER", "SLOWER") for arm in arms)
        covered += arms[0].change.interval.low <= 0 <= arms[0].change.interval.high
    assert told == 0  # the truth lies 1 % from either margin
    assert scipy.stats.binomtest(covered, 400, 0.951).pvalue > 0.001


def test_at_the_margin_the_family_keeps_its_level():
    rng = np.random.default_rng(12)
    wrong = 0
    for _ in range(400):
        wrong += any(arm.verdict == "SLOWER" for arm in drawn(rng, math.log1p(0.01), 3))
    assert scipy.stats.binomtest(wrong, 400, 0.05, alternative="greater").pvalue > 0.001


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
    assert sides.run("--quiet", "--budget", "1s") in (0, 3)
    assert time.monotonic() - begin < 3
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
    found = json.loads((sides.out / "compare.json").read_text())
    jsonschema.validate(found, json.loads((ROOT / "results" / "compare.schema.json").read_text()))
    assert found["exit"] == 1 and found["counts"]["SLOWER"] == 2 and found["unit"] == "pair"
    row = found["rows"][0]
    assert row["quantity"] == "ns_per_op" and row["unit"] == "pair" and row["units"][0] == row["units"][1] > 5
    assert row["change"]["low"] < row["change"]["estimate"] < row["change"]["high"]
    for name in ("compare.md", "compare.html", "junit.xml", "badge.json"):
        assert "SLOWER" in (sides.out / name).read_text() or "slower" in (sides.out / name).read_text(), name


def test_bisect_understands(sides):
    assert sides.run("--quiet", "--bisect") == 0
    sides.out = sides.path / "slower"
    sides.tell("candidate", ns=630)
    assert sides.run("--quiet", "--bisect") == 1
    sides.out = sides.path / "broken"
    sides.tell("candidate", fail={"stage": "start", "how": "kill"})
    assert sides.run("--quiet", "--bisect", "--pairs", "6") == 125


def test_progress_tells_and_is_silenced(sides, capsys):
    sides.edit("base", "plan.json", lambda plan: plan["estimate_s"].update(total=80))
    sides.run("--pairs", "6")
    said = capsys.readouterr().err
    assert "1 cell, at least 6 pairs of trials, about 120 s" in said
    sides.out = sides.path / "again"
    sides.run("--pairs", "6", "--quiet")
    assert capsys.readouterr().err == ""


def test_what_a_side_says_beside_its_plan_is_told(sides, capsys):
    sides.tell("candidate", remark="ERROR: ld.so: object 'x.so' cannot be preloaded: ignored.")
    sides.run("--pairs", "6")
    assert "candidate says: ERROR: ld.so: object 'x.so' cannot be preloaded" in capsys.readouterr().err


# ---- controls ----


def test_controls_say_what_could_be_told(sides, capsys):
    assert sides.run("--quiet", "--control", "8") == 0
    (cell,) = sides.results().cells
    assert [len(arm.pairs) for arm in cell.controls] == [8, 8]
    floor = live_rows.could_tell(cell)
    assert 0 < floor < 0.01
    assert "could have been told" in capsys.readouterr().out
    assert Counter(p.is_control for p in sides.pairs()) == {False: len(cell.arms[0].pairs), True: 8}


def test_a_base_that_differs_from_itself_makes_it_invalid(sides):
    sides.tell("base", bias={"control-second": 1.05})
    assert sides.run("--quiet", "--control", "8") == 4
    (cell,) = sides.results().cells
    assert {arm.verdict for arm in cell.arms} == {"INVALID"} and "the base differs from itself by 4." in cell.invalid[0]


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
    assert sides.run("--quiet", "--pairs", "6") == 0
    assert left_out(sides) == ["fake/one block_bytes=4KiB: the candidate does not have it"]
    assert [cell.cell for cell in sides.results().cells] == ["block_bytes=64"]


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda cell: cell["arms"][0].update(method_version=2), "method pread is version 1 and 2"),
        (lambda cell: cell["arms"].pop(), "its arms differ"),
        (lambda cell: cell["params"].update(file_bytes=1), "file_bytes is 67108864 and 1"),
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
        ("false", 5, "'plan' ended with status 1"),
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
        ("plan", "exit", 5, "'plan' ended with status 1: no more paper"),
        ("plan", "kill", 5, "killed by signal 9"),
        ("plan", "garbage", 7, "not JSON"),
        ("plan", "schema", 7, "of another major version"),
        ("machine", "exit", 5, "'machine' ended with status 1"),
        ("machine", "garbage", 7, "not JSON"),
        ("start", "exit", 5, "no more paper"),
        ("start", "kill", 5, "killed by signal 9"),
        ("round", "exit", 5, "status 1: no more paper"),
        ("round", "kill", 5, "killed by signal 9"),
        ("record", "silent", 5, "printed no record"),
        ("record", "garbage", 5, "printed no record"),
        ("record", "schema", 5, "printed no record"),
        ("record", "exit", 5, "no more paper"),
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
    assert status == (0 if (side, stage) == ("candidate", "calibration") else 5)
    assert time.monotonic() - begin < 20
    if status:
        assert "did not end within 0.7 s" in capsys.readouterr().err
    sides.check_clean()


def test_a_base_that_cannot_be_calibrated(sides, capsys):
    sides.tell("base", fail={"stage": "calibration", "how": "exit"})
    assert sides.run() == 5
    assert "not compared: fake/one all: base: status 1" in capsys.readouterr().err
    sides.check_clean()


def test_pairs_before_a_failure_count(sides, capsys):
    sides.tell("candidate", ns=630, fail={"stage": "round", "how": "kill", "above": 9})
    assert sides.run("--pairs", "20") == 5
    (cell,) = sides.results().cells
    assert len(cell.failed) == 2 and cell.arms[0].verdict == "SLOWER" and cell.arms[0].change.logs.size == 9
    assert records.run_load(sides.out / "base").problems == ()
    assert [p.status for p in sides.pairs()] == ["ok"] * 9 + ["failed"] * 2


def test_other_work_is_invalid(sides):
    sides.tell("candidate", checksum="0123456789abcdef")
    assert sides.run("--quiet", "--pairs", "8") == 5
    (cell,) = sides.results().cells
    assert "the checksum of null, pread differs between the sides, first in pair 0" in cell.invalid
    assert {arm.verdict for arm in cell.arms} == {"INVALID"}


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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


# ---- files ----


def test_files_alone_say_the_same(sides):
    sides.tell("candidate", ns=630)
    sides.run("--quiet", "--control", "6")
    moved = sides.path / "moved"
    sides.out.rename(moved)
    results = live_rows.conclude(moved)
    assert results.counts == {"FASTER": 0, "SLOWER": 2, "SAME": 0, "INVALID": 0, "CANNOT TELL": 0}
    assert results.live["base"] and not results.problems


def test_damaged_pairs_are_told_and_left_out(sides):
    sides.run("--quiet", "--pairs", "8")
    path = sides.out / "pairs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].replace(b'"ok"', b'"fine"'), *lines[1:-1], lines[-1][:20]]))
    results = sides.results()
    told = [(p.severity, p.where) for p in results.problems]
    assert told == [("warning", "pairs.jsonl:8"), ("error", "pairs.jsonl:1")]
    assert results.cells[0].arms[0].change.logs.size == 6
    assert live_rows.exit_status(results, False) == 7


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
