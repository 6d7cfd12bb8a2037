# SPDX-License-Identifier: MIT
"""The self-bench against runs whose truth is known: it must find what is in them, and nothing else."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fake_run
from faultline import bench_figures, selfbench, selfbench_verdicts, stats

CELLS = fake_run.product(pattern=["sequential", "random"], block_bytes=[512, 4096, 65536])


def scenarios(**changes: object) -> list[fake_run.FakeScenario]:
    """The self-bench and the floor, with a truth."""
    arms = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("surplus-2", 1.02, "pread", params={"surplus": 0.02}),
            fake_run.FakeArm("surplus-5", 1.05, "pread", params={"surplus": 0.05})]
    bench = fake_run.FakeScenario(**{**dict(name=selfbench_verdicts.SCENARIO, arms=arms, cells=CELLS, trial_noise=0.002), **changes})
    return [bench, fake_run.floor(name=selfbench_verdicts.FLOOR)]


def write(folder: Path, runs: int, hogs: int = 0, **changes: object) -> dict[selfbench.Condition, selfbench.Found]:
    """So many runs, read back."""
    for k in range(runs):
        path = folder / f"hogs-{hogs}" / f"run-{k:02}"
        fake_run.write(path, scenarios(**changes), seed=100 * hogs + k + 1)
        text = (path / "manifest.json").read_text()
        (path / "manifest.json").write_text(text.replace("T12:30:00", "T12:00:14"))  # it has 7 cells
    return selfbench.runs_read(folder)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Figures of 8 runs in which all is well."""
    (found,) = selfbench.conditions_of(write(tmp_path_factory.mktemp("quiet"), 8))
    return found


@pytest.fixture(scope="module")
def figures(quiet: dict) -> dict:
    """Those on verdicts."""
    return quiet["verdicts"]


def test_finds_the_extra_work_and_its_size(figures):
    for key in ("0.02", "0.05"):
        row = figures["surplus"][key]
        assert row["found"]["n"] == 8 * len(CELLS)
        assert row["found"]["share"] > 0.9
        assert row["size"]["low"] <= float(key) <= row["size"]["high"]
        assert row["size"]["estimate"] == pytest.approx(float(key), abs=0.002)
        assert row["coverage"]["share"] > 0.85


def test_raises_no_alarm_where_nothing_differs(figures):
    assert figures["alarms"]["null_arms"]["k"] == 0 and figures["alarms"]["null_arms"]["n"] == 8 * len(CELLS)
    assert figures["alarms"]["null_same"]["0.02"]["share"] == 1
    assert 0.9 < figures["alarms"]["null_same"]["0.01"]["share"] <= 1
    assert figures["alarms"]["cells_invalid"]["k"] == 0


def test_coverage_is_nominal_by_both_ways(figures):
    assert 0.85 <= figures["coverage"]["null"]["share"] <= 1
    assert figures["coverage"]["simulated"]["n"] >= 1000
    assert 0.92 <= figures["coverage"]["simulated"]["share"] <= 0.98


def test_spread_is_that_of_the_runs(figures):
    # Of a trial: its own noise of 0.2 %, and medians over 24 rounds of two arms with 1 % each; 10 trials a cell and run.
    of_trial = math.hypot(0.002, 0.01 * math.sqrt(2) * math.sqrt(math.pi / 2 / 24))
    found, of_run = figures["null_spread"], of_trial / math.sqrt(10 * len(CELLS))
    assert found["trial_median"] == pytest.approx(of_trial, rel=0.1)
    assert found["cell_median"] == pytest.approx(of_trial / math.sqrt(10), rel=0.2)
    assert found["run"]["sd"] == pytest.approx(of_run, rel=0.25)
    assert found["run"]["low"] < of_run < found["run"]["high"] < 3 * of_run


def test_harness_is_read_from_the_floor_and_the_clock(figures):
    assert figures["harness"]["empty_batch_ns"]["estimate"] == 40
    assert figures["harness"]["null_ns_per_op"]["n"] == 80
    assert figures["seconds_per_cell"] == {"estimate": 2, "low": 2, "high": 2, "n": 8}


def missed(found: dict) -> list[str]:
    """The goals that are, in words."""
    return [goal.words for goal in selfbench.goals(found) if goal.met is False]


def test_few_runs_say_so(quiet, capsys):
    selfbench.show([quiet])
    text = capsys.readouterr().out
    assert "8 runs (too few" in text and "goal met" in text and "met in 8 " in text
    # Of 48 null intervals 44 cover, 91.7 %: chance does as much, so it is not known.
    assert missed(quiet) == [] and selfbench.exit_status([quiet]) == 3
    assert "goal not known 95 % intervals of the null arm cover" in text
    figures = quiet["verdicts"]
    covered = {**figures["coverage"], "null": figures["coverage"]["simulated"]}
    met = {**quiet, "verdicts": {**figures, "coverage": covered}}
    assert selfbench.exit_status([met]) == 3
    assert selfbench.exit_status([{**met, "enough_runs": True}]) == 0


@pytest.mark.parametrize(
    "words, change",
    [
        ("identical arms are shown to be the same within 1 % in at least 90 %",
         lambda f: f["alarms"]["null_same"].update({"0.01": bench_figures.share(89, 100)})),
        ("the null ratio of a run varies by at most 0.1 %", lambda f: f["null_spread"]["run"].update(sd=0.0011)),
        ("the null ratio is off by at most 0.1 %", lambda f: f["null_spread"]["run_bias"].update(estimate=-0.0011)),
        ("a slot of a round changes a time by at most 0.1 %", lambda f: f["slots"][1].update(estimate=-0.0011)),
        ("95 % intervals of the null arm cover in 92 to 98 %",
         lambda f: f["coverage"].update(null=bench_figures.share(880, 1000))),
        ("extra work is never called FASTER", lambda f: f["alarms"].update(wrong_way=bench_figures.share(1, 96))),
        ("a verdict takes at most 5 s a cell", lambda f: f["seconds_per_cell"].update(estimate=5.1)),
    ],
)
def test_goals_are_missed_by_what_they_name(quiet, words, change):
    worse = json.loads(json.dumps(quiet))
    assert words not in missed(worse)
    change(worse["verdicts"])
    assert words in missed(worse)


def test_goals_are_others_beside_hogs(tmp_path):
    def of(hogs: int, alarms: int, share: float) -> dict:
        """A condition with so many alarms in 30 runs, and this power."""
        found = {"alarms": {"runs": bench_figures.share(alarms, 30), "wrong_way": bench_figures.share(alarms - 1, 720)},
                 "surplus": {key: {"found": {"share": share}} for key in ("0.02", "0.05")}}
        return {"hogs": hogs, "note": "", "enough_runs": True, "verdicts": found}

    assert [missed(of(1, 1, 0.0)), len(selfbench.goals(of(1, 1, 0.0)))] == [[], 2]
    assert missed(of(1, 2, 1.0)) == ["at most 1 run in 30 raises a false alarm", "extra work is never called FASTER"]
    assert missed(of(2, 1, 0.61)) == ["5 % of extra work is found in at least 90 %"]
    assert selfbench.goals({**of(0, 0, 1.0), "note": "shared"}) == []


def test_alarms_are_seen_when_identical_arms_differ(tmp_path):
    (found,) = selfbench.conditions_of(write(tmp_path, 2, null_bias=math.log(1.05)))
    figures = found["verdicts"]
    assert figures["alarms"]["runs"]["share"] == 1
    assert figures["alarms"]["null_arms"]["share"] > 0.9
    assert figures["alarms"]["cells_invalid"]["share"] > 0.9
    assert figures["alarms"]["null_same"]["0.02"]["k"] == 0
    assert "no run raises a false alarm, in 300 runs" in missed(found)
    assert selfbench.exit_status([found]) == 1


def test_arms_without_a_ratio_count_as_not_found(tmp_path):
    broken = scenarios()
    broken[0].arms[1].status, broken[0].arms[1].reason = "failed", "the disk is gone"
    fake_run.write(tmp_path / "hogs-0" / "run", broken)
    (found,) = selfbench.conditions_of(selfbench.runs_read(tmp_path))
    assert found["verdicts"]["surplus"]["0.02"]["found"] == bench_figures.share(0, len(CELLS))
    assert found["verdicts"]["surplus"]["0.02"]["verdicts"] == {"none": len(CELLS)}


def test_one_run_leaves_what_cannot_be_known_open(tmp_path):
    (found,) = selfbench.conditions_of(write(tmp_path, 1))
    assert found["verdicts"]["null_spread"]["run"]["sd"] is None
    assert found["verdicts"]["coverage"]["simulated"]["n"] == 0
    assert None in [goal.met for goal in selfbench.goals(found)]
    json.dumps(found, allow_nan=False)


def test_conditions_are_kept_apart(tmp_path):
    write(tmp_path, 1)
    fake_run.write(tmp_path / "hogs-0-shared" / "run", scenarios())
    found = selfbench.conditions_of(write(tmp_path, 2, hogs=2))
    assert [(f["hogs"], f["note"], f["runs"]) for f in found] == [(0, "", 1), (0, "shared", 1), (2, "", 2)]


def test_a_run_cut_short_is_left_out(tmp_path, capsys):
    fake_run.write(tmp_path / "hogs-0" / "run", scenarios())
    path = tmp_path / "hogs-0" / "run" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stopped": "interrupted"}))
    assert selfbench.runs_read(tmp_path) == {}
    assert "cut short" in capsys.readouterr().err


def test_slot_effect_is_recovered():
    def arm(shift: int, ratio: float) -> SimpleNamespace:
        """An arm whose batches take 2 % more in slot 0, in rounds that wander by a factor."""
        order = (np.arange(80) + shift) % 4
        return SimpleNamespace(status="ok", order=order, batch_ns=ratio * np.where(order == 0, 1020.0, 1000.0) * wander)

    wander = np.exp(np.random.default_rng(4).normal(0, 0.3, 80))
    trial = SimpleNamespace(process=0, arms=[arm(k, 1 + k / 10) for k in range(4)])
    effect = selfbench_verdicts.slots_of([trial, trial])  # type: ignore[list-item]
    assert effect.shape == (1, 4)
    assert effect[0, 0] - effect[0, 1] == pytest.approx(math.log(1.02))
    assert effect.sum() == pytest.approx(0)


@pytest.mark.parametrize("k, n, low, high", [(0, 20, 0.0, 0.1684), (20, 20, 0.8316, 1.0), (5, 10, 0.1871, 0.8129)])
def test_clopper_pearson_as_tabled(k, n, low, high):
    found = bench_figures.share(k, n)
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_simulation_notices_intervals_that_are_too_narrow(tmp_path, monkeypatch):
    (found,) = write(tmp_path, 8).values()
    real = stats.hodges_lehmann

    def narrow(values, level=0.95):
        """Half as wide as it should be."""
        made = real(values, level)
        if made.low is None or made.high is None:
            return made
        return stats.Interval(made.estimate, (made.estimate + made.low) / 2, (made.estimate + made.high) / 2)

    monkeypatch.setattr(selfbench_verdicts.stats, "hodges_lehmann", narrow)
    assert selfbench_verdicts.coverage_simulated(found.verdicts)["share"] < 0.85


def children(parent: int) -> list[int]:
    """Living children of a process."""
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def waits(condition) -> bool:
    """Whether the condition comes true within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(process: int) -> bool:
    """Whether it runs (a zombie does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_hogs_end_with_whoever_started_them(number):
    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        pytest.skip("this kernel does not list children")
    code = "from faultline import selfbench\nimport time\nselfbench.signals_end()\nwith selfbench.hogs_running(2):\n    time.sleep(600)\n"
    holder = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(Path(selfbench.__file__).parents[1])},
                              stderr=subprocess.DEVNULL)
    try:
        assert waits(lambda: len(children(holder.pid)) == 2)
        time.sleep(0.2)
        hogs = children(holder.pid)
        holder.send_signal(number)
        holder.wait(60)
        assert waits(lambda: not any(alive(hog) for hog in hogs))
    finally:
        holder.kill()
        holder.wait()


def test_usage():
    with pytest.raises(SystemExit):
        selfbench.arguments(["--program", "x", "--runs", "0"])
    with pytest.raises(SystemExit):
        selfbench.arguments(["--program", "x", "--hogs", "-1"])
    with pytest.raises(SystemExit):
        selfbench.arguments(["--program", "x", "--note", "../x"])


def test_a_program_that_fails_is_reported(tmp_path, capsys):
    program = tmp_path / "faultline"
    program.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 4\n")
    program.chmod(0o755)
    assert selfbench.main(["--program", str(program), "--runs", "1", "--append", str(tmp_path / "runs")]) == 5
    assert "status 4: no such thing" in capsys.readouterr().err
