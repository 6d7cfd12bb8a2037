# SPDX-License-Identifier: MIT
"""Runs under a memory limit: the control group is gone after every kind of end, and without rights the arms say so."""

import os
import pathlib
import shutil
import signal

import helper

NOBODY = 65534
PREFIX = "faultline-limit-"
SCENARIO = """question: Does its control group survive?
op: block read
delta: 0.0001%
common: {{file_bytes: 48MiB, recipe: write-1MiB, cache: as-found, memory_limit: {limit}, pattern: random,
         block_bytes: 4KiB, batch_time: 2ms, arm_time: 4ms, count_ops: 4, latency: none, timeline: yes}}
arms:
  - {{name: pread, method: pread, buffer: reused}}
  - {{name: mapped, method: mmap, sharing: shared, consume: copy, lifetime: kept, advice: random}}
profiles:
  quick: {{trials: {trials}, precision: 0.0001%}}
"""


def own_group() -> pathlib.Path:
    """The folder of the control group that memory is charged to."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    groups = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    for number, controllers, path in groups:
        if "memory" in controllers.split(","):
            point = next(m[1] for m in mounts if m[2] == "cgroup" and "memory" in m[3].split(","))
            return pathlib.Path(point + path)
    for number, controllers, path in groups:
        point = next((m[1] for m in mounts if m[2] == "cgroup2"), None)
        if number == "0" and point:
            return pathlib.Path(point + path)
    raise helper.Skip("no control group of memory here")


def left_groups() -> list[str]:
    """Groups that bear the mark, below our own."""
    return sorted(path.name for path in own_group().glob(PREFIX + "*"))


def words(scratch: helper.Scratch, trials: int = 3, limit: str = "24MiB") -> list[str]:
    """Command line of a run under a limit."""
    path = scratch.path / "pressure.yaml"
    path.write_text(SCENARIO.format(trials=trials, limit=limit))
    return ["run", str(path), "--profile", "quick", "--directory", str(scratch.files), "--seed", "7", "--no-report",
            "--out", str(scratch.out)]


def needs_right(scratch: helper.Scratch) -> None:
    """Skips the case where a run is told that it may not have a limit."""
    result = scratch.call(words(scratch, trials=1))
    found = helper.records(scratch.out)
    shutil.rmtree(scratch.out)
    arms = [arm for record in found for arm in record["arms"]]
    assert arms, result.stderr
    if all(arm["status"] == "unsupported" for arm in arms):
        assert all(arm["reason"].startswith("needs ") for arm in arms), arms
        raise helper.Skip(arms[0]["reason"])


def wait_for_group() -> None:
    """Until a trial process is in its group."""
    helper.wait_for("a group with a process in it", lambda: any(
        (own_group() / name / "cgroup.procs").read_text().strip() for name in left_groups()
        if (own_group() / name / "cgroup.procs").exists()))


def test_normal_end(scratch: helper.Scratch) -> None:
    """The limit is in every record as the kernel says it; afterwards there is no group."""
    needs_right(scratch)
    before = left_groups()
    helper.check_status(scratch.call(words(scratch)), 0)
    found = helper.records(scratch.out)
    assert len(found) == 3
    for record in found:
        for arm in record["arms"]:
            assert arm["status"] == "ok", arm["reason"]
            assert arm["proof"]["memory_limit"] == 24 << 20, arm["proof"]
            assert PREFIX in arm["proof"]["refault_source"], arm["proof"]
            assert len(arm["samples"]) == len(arm["batch_ns"]), arm["name"]
            assert {sample["stretch"] for sample in arm["samples"]} == {0, 1}
            assert all(sample["ops"] == arm["ops_per_batch"] for sample in arm["samples"])
        assert len({arm["checksum"] for arm in record["arms"]}) == 1
    for name in ("pread", "mapped", "null"):
        samples = [s for record in found for arm in record["arms"] if arm["name"] == name for s in arm["samples"]]
        assert sum(sample["read_bytes"] for sample in samples) > 0, name  # half of the pages are never there
        assert all(isinstance(sample["refaults"], int) for sample in samples), name
    assert left_groups() == before
    helper.check_gone(scratch)


def test_interrupted(scratch: helper.Scratch) -> None:
    needs_right(scratch)
    for number in (signal.SIGINT, signal.SIGTERM):
        process = scratch.start(words(scratch, trials=30))
        wait_for_group()
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 128 + number, process.returncode
        assert left_groups() == []
        helper.check_gone(scratch)
        shutil.rmtree(scratch.out)


def test_killed(scratch: helper.Scratch) -> None:
    """What a killed run leaves is removed by the next one, whatever that measures."""
    needs_right(scratch)
    process = scratch.start(words(scratch, trials=30))
    wait_for_group()
    process.kill()
    process.communicate()
    helper.wait_for("the trial process to die with the program", lambda: not scratch.processes(), 5)
    assert len(left_groups()) == 1, left_groups()
    shutil.rmtree(scratch.out, ignore_errors=True)
    helper.check_status(scratch.call(scratch.run_words(trials=1)), 0)
    assert left_groups() == []
    helper.check_gone(scratch)


def test_spares_the_living(scratch: helper.Scratch) -> None:
    """A run at the same time keeps its group."""
    needs_right(scratch)
    process = scratch.start(words(scratch, trials=30))
    wait_for_group()
    other = scratch.path / "other"
    small = [str(other) if word == str(scratch.out) else word for word in scratch.run_words(trials=1)]
    helper.check_status(scratch.call(small), 0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert all(arm["status"] == "ok" for record in helper.records(scratch.out) for arm in record["arms"])
    assert left_groups() == []


def test_trial_killed(scratch: helper.Scratch) -> None:
    """A trial that dies takes nothing with it, and the run goes on."""
    needs_right(scratch)
    process = scratch.start(words(scratch, trials=4))
    wait_for_group()
    os.kill(scratch.next_trial(process), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 5, process.returncode
    assert any("signal 9" in reason for reason in helper.reasons(helper.records(scratch.out)))
    assert left_groups() == []


def test_without_rights(scratch: helper.Scratch) -> None:
    """Another user gets records that say what is needed, once a cell, and the run does not try again."""
    helper.needs_root()
    helper.needs_tool("setpriv")
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
              "--bounding-set=-all", "--inh-caps=-all"]
    scratch.path.chmod(0o777)
    program = scratch.path / "faultline"
    shutil.copy(helper.PROGRAM, program)
    os.chown(scratch.files, NOBODY, NOBODY)
    result = scratch.call(words(scratch), program=program, prefix=prefix, cwd="/")
    found = helper.records(scratch.out)
    assert len(found) == 1, result.stderr
    for arm in found[0]["arms"]:
        assert arm["status"] == "unsupported", arm
        assert arm["reason"].startswith("needs the right to make a control group below this one"), arm["reason"]
    assert "needs the right" in result.stderr, result.stderr
    helper.check_gone(scratch)


def test_refused(scratch: helper.Scratch) -> None:
    """A limit that leaves no room for the program is refused before anything runs."""
    result = scratch.call(words(scratch, limit="8MiB"))
    helper.check_status(result, 2)
    assert "a memory limit of 8MiB leaves nothing for the file" in result.stderr, result.stderr
    assert not scratch.out.exists()


helper.main(globals())
