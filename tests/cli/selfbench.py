# SPDX-License-Identifier: MIT
"""The test of the instrument against itself, in its short form: everything is counted, and no time is judged."""

import json
import os
import subprocess

import helper

helper.sys.path.insert(0, str(helper.TREE / "scripts"))

from faultline import latency, records, rules  # noqa: E402  (the tree's package, once it can be found)

STALLS = """question: Are there as many stalls as were planted?
op: block read
common: {file_bytes: 256KiB, recipe: write-64KiB, pattern: random, block_bytes: 4KiB, arm_time: 1ms, batch_time: 50us,
         count_ops: 8, latency_ops: 2000, latency_time: 10s}
arms:
  - {name: pread, method: pread, buffer: reused}
  - {name: stalled, method: pread, buffer: reused, stalls: 1%}
profiles:
  quick: {trials: 1}
"""


def selfbench(scratch: helper.Scratch, *words: str) -> subprocess.CompletedProcess:
    """A short form, kept in `out`; figures in `figures.json`."""
    command = [helper.sys.executable, "-m", "faultline.selfbench", "--program", str(helper.PROGRAM)]
    command += ["--profile", "quick", "--append", str(scratch.out), "--directory", str(scratch.files)]
    command += ["--json", str(scratch.path / "figures.json")]
    environment = scratch.environment({"PYTHONPATH": str(helper.TREE / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"})
    return subprocess.run([*command, *words], capture_output=True, text=True, env=environment, timeout=280, check=False)


def test_every_part_counts_what_it_measured(scratch: helper.Scratch) -> None:
    """Verdicts, tails and rules once: as many arms, cells and comparisons as there are; then read again."""
    done = selfbench(scratch, "--runs", "1", "--verdicts", "--tails", "--rules", "--note", "check")
    assert done.returncode == 3, done  # too few runs, and no goals beside a note
    (found,) = json.loads((scratch.path / "figures.json").read_text())["conditions"]
    told = found["verdicts"]
    assert (found["note"], found["runs"]) == ("check", 1)
    assert told["alarms"]["runs"]["n"] == told["alarms"]["null_arms"]["n"] == 1
    assert {key: row["found"]["n"] for key, row in told["surplus"].items()} == {"0.02": 1, "0.05": 1}
    assert {key: row["n"] for key, row in told["alarms"]["null_same"].items()} == {"0.02": 1, "0.01": 1}
    assert len(told["slots"]) == 4 and told["seconds_per_cell"]["n"] == 1
    assert found["tails"]["runs"] == 1 and len(found["tails"]["mapped"]["cells"]) == 1
    assert {row["n"] for row in found["tails"]["stall_found"].values()} == {1}
    table = found["rules"]["rules"]
    assert set(table) == {rule.name for rule in rules.RULES}
    assert {row[key]["n"] for row in table.values() for key in ("0", "0.02", "0.05")} == {1}
    assert found["tools"] is None and found["reports"] is None
    again = selfbench(scratch, "--runs", "0")
    assert again.returncode == 3 and again.stdout == done.stdout, again
    helper.check_gone(scratch)


def test_stalls_are_as_many_as_were_planted(scratch: helper.Scratch) -> None:
    """One operation in a hundred takes 100 us more: at least so many do, in the arm that has them."""
    path = scratch.path / "stalls.yaml"
    path.write_text(STALLS)
    words = ["run", str(path), "--profile", "quick", "--directory", str(scratch.files), "--no-report"]
    done = scratch.call([*words, "--out", str(scratch.out)])
    helper.check_status(done, 0)
    (trial,) = records.run_load(scratch.out).trials
    arms = {arm.name: arm.latency.service for arm in trial.arms}
    slow = {name: int(h.count[h.index >= latency.bucket_of(100_000)].sum()) for name, h in arms.items()}
    assert latency.operations(arms["stalled"]) == 2000
    assert 20 <= slow["stalled"] < 200 and slow["pread"] < slow["stalled"], slow
    stalled = next(arm for arm in trial.arms if arm.name == "stalled")
    operations, least = stalled.ops_per_batch * stalled.batch_ns.size, 100_000 * (stalled.ops_per_batch // 100)
    assert stalled.batch_ns.min() >= least and stalled.batch_ns.sum() >= 100_000 * (operations // 100), stalled


def test_what_is_wrong_is_said(scratch: helper.Scratch) -> None:
    """A note that would be a path; a program that is not there."""
    done = selfbench(scratch, "--runs", "1", "--tools", "--note", "../x")
    assert done.returncode == 2 and "--note" in done.stderr, done
    environment = {**os.environ, "PYTHONPATH": str(helper.TREE / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [helper.sys.executable, "-m", "faultline.selfbench", "--program", "/absent", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 7 and done.stderr.count("\n") == 2 and "/absent" in done.stderr, done


helper.main(globals())
