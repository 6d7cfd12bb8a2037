# SPDX-License-Identifier: MIT
"""kill -9 at random moments, then --resume: no finished record is lost, none is there twice, nothing else stays.

Usage: kill.py PROGRAM [--long]: 8 kills, or 50 with --long.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import helper

TRIALS = 30
CELLS = 2
SEED = 20260101


def wait_moment(scratch: helper.Scratch, process: subprocess.Popen, run: pathlib.Path, draw: random.Random) -> None:
    """A moment after the start, or just after a record has come: there the files are being written."""
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, 1.0))
        return
    target = len(helper.record_lines(run)) + draw.randrange(1, 12)
    while process.poll() is None and len(helper.record_lines(run)) < target:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.005))


def kill_once(scratch: helper.Scratch, words: list[str], run: pathlib.Path, draw: random.Random) -> bool:
    """Starts a run and kills it; whether it was still alive then. What was there before must still be there."""
    before = [line for line in helper.record_lines(run) if line.endswith(b"\n")]
    process = scratch.start(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_moment(scratch, process, run, draw)
    alive = process.poll() is None
    process.kill()
    _, error = process.communicate()
    assert alive or process.returncode == 0, f"status {process.returncode}: {error}"
    assert not alive or process.returncode == -signal.SIGKILL
    helper.wait_for("the trial process to die with the program", lambda: not scratch.processes(), 5)
    helper.records(run, torn=True)
    after = helper.record_lines(run)
    assert after[:len(before)] == before, "records that were finished have changed"
    assert len(scratch.leftovers()) <= 1, f"more than the last run's folder: {scratch.leftovers()}"
    return alive


def finish(scratch: helper.Scratch, run: pathlib.Path) -> None:
    """Resumes to the end, and checks that all is there."""
    before = [line for line in helper.record_lines(run) if line.endswith(b"\n")]
    result = scratch.call(["run", "--resume", str(run), "--no-report"])
    helper.check_status(result, 0)
    assert helper.record_lines(run)[:len(before)] == before, "records that were finished have changed"
    helper.check_complete(run, CELLS, TRIALS)
    helper.check_gone(scratch)
    found = helper.manifest(run)
    assert found["finished"] == CELLS * TRIALS and found["exit_status"] == 0, found
    assert not list(run.glob("*.tmp")), list(run.iterdir())


def test_kill(scratch: helper.Scratch) -> None:
    wanted = 50 if "--long" in sys.argv else 8
    draw = random.Random(SEED)
    kills = begun = 0
    run = scratch.out
    while kills < wanted:
        resumable = (run / "manifest.json").exists()
        if not resumable:  # killed before there was anything to go on with
            assert helper.record_lines(run) == []
            shutil.rmtree(run, ignore_errors=True)
            begun += 1
        words = ["run", "--resume", str(run), "--no-report"] if resumable else scratch.run_words(trials=TRIALS)
        if kill_once(scratch, words, run, draw):
            kills += 1
        else:
            finish(scratch, run)
            shutil.rmtree(run)
    if (run / "manifest.json").exists():
        finish(scratch, run)
    print(f"# {kills} kills over {begun} runs")


def check_resumable(scratch: helper.Scratch, moment: str) -> None:
    """What a killed run left can be gone on with, or is so little that there is no run yet."""
    found = helper.records(scratch.out, torn=True)
    print(f"# killed at {moment}: {len(found)} records, left {scratch.leftovers()}")
    if (scratch.out / "manifest.json").exists():
        helper.check_status(scratch.call(["run", "--resume", str(scratch.out), "--no-report"]), 0)
        helper.check_complete(scratch.out, 1, 8)
        assert {path.name for path in scratch.out.iterdir()} == {"manifest.json", "machine.json", "topology.xml",
                                                                 "trials.jsonl"}, list(scratch.out.iterdir())
    else:
        assert found == [], f"{moment}: records without a manifest"
        shutil.rmtree(scratch.out, ignore_errors=True)
        helper.check_status(scratch.call(scratch.run_words(trials=8, blocks="64")), 0)


def make_old(scratch: helper.Scratch) -> None:
    """Lets what lies in the folder for files appear to be of yesterday."""
    for path in scratch.files.iterdir():
        os.utime(path, (time.time() - 86400,) * 2)


def test_kill_at_system_calls(scratch: helper.Scratch) -> None:
    """At the calls that make, write, rename and remove a run's files."""
    helper.needs_strace()
    moments = [("flock", 1), ("rename", 1), ("rename", 2), ("rename", 3), ("rename", 4), ("flock", 2), ("pipe2", 4),
               ("ftruncate", 3), ("unlinkat", 1), ("rmdir", 1), ("fsync", 3), ("mkdir", 5), ("memfd_create", 9)]
    for call, when in moments if "--long" in sys.argv else moments[3:10:2]:
        prefix = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                  "-e", f"inject={call}:signal=KILL:when={when}"]
        result = scratch.call(scratch.run_words(trials=8, blocks="64"), prefix=prefix)
        assert result.returncode == -signal.SIGKILL, f"not killed at {call} {when}: {result.stderr}"
        helper.wait_for("all processes to be gone", lambda: not scratch.processes(), 5)
        make_old(scratch)
        check_resumable(scratch, f"{call} {when}")
        helper.check_gone(scratch)
        shutil.rmtree(scratch.out)


def test_folders_of_others_stay(scratch: helper.Scratch) -> None:
    """Only what bears the mark of a run is emptied, whatever its name and age."""
    other = scratch.files / "faultline-run-AbCdEf"
    other.mkdir()
    (other / "letter").write_text("somebody's")
    make_old(scratch)
    helper.check_status(scratch.call(scratch.run_words(trials=8, blocks="64")), 0)
    assert (other / "letter").read_text() == "somebody's"


helper.main(globals())
