# SPDX-License-Identifier: MIT
"""Workers that meet: on one CPU they say what they need and the run goes on; one that dies is told with its arm; what each
took is in the record."""

import os
import pathlib
import signal
import subprocess

import helper

SCENARIO = """question: q
op: addition
common: {{backing: memfd, file_bytes: 64KiB, cache: as-found, latency: none, workers: 2, batch_time: {batch},
         arm_time: {arm_time}, count_ops: 100}}
vary: {{worker_kind: [process, thread]}}
arms:
  - {{name: add, method: write_write}}
  - {{name: cas, method: write_write, update: cas}}
  - {{name: apart, method: write_write, apart_bytes: 4KiB}}
profiles: {{quick: {{trials: 3}}}}
"""


def words_of(scratch: helper.Scratch, *scenarios: str) -> list[str]:
    return ["run", *scenarios, "--profile", "quick", "--directory", str(scratch.files), "--no-report", "--quiet", "--out",
            str(scratch.out)]


def needs_two_cpus() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("two workers that spin need two CPUs")


def write(scratch: helper.Scratch, batch: str, arm_time: str) -> str:
    path = scratch.path / "meet.yaml"
    path.write_text(SCENARIO.format(batch=batch, arm_time=arm_time))
    return str(path)


def share_a_core(cpus: list[int]) -> bool:
    """Whether CPUs are threads of one core, where a line does not have to move; also where that is not told."""
    lists = [pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    return not all(path.exists() for path in lists) or lists[0].read_text() == lists[1].read_text()


def shortest(record: dict, name: str) -> float:
    """Time of an operation in the shortest batch of an arm: in it both workers have run at the same time."""
    (arm,) = [arm for arm in record["arms"] if arm["name"] == name]
    return min(ns for ns in arm["batch_ns"] if ns) / arm["ops_per_batch"]


def test_one_cpu(scratch: helper.Scratch) -> None:
    """All of the folder beside a scenario for one CPU: that one is measured, and the others say why they are not."""
    helper.needs_tool("taskset")
    cpu = min(os.sched_getaffinity(0))
    words = [*words_of(scratch, "contention", scratch.scenario()), "--seed", "7"]
    done = scratch.call(words, prefix=["taskset", "-c", str(cpu)])
    helper.check_status(done, 0)
    helper.check_complete(scratch.out)
    refused = helper.manifest(scratch.out)["plan"]["refused"]
    named = {one["cell"].partition(",")[0]: one["reason"] for one in refused}
    assert len(refused) >= 30 and all("spinning workers need" in one["reason"] or "placed" in one["reason"]
                                      for one in refused), named
    helper.check_gone(scratch)


def test_each_workers_time(scratch: helper.Scratch) -> None:
    """Of every round, of each worker: no longer than the batch, and the slower of the two nearly as long."""
    needs_two_cpus()
    helper.check_status(scratch.call(words_of(scratch, write(scratch, "250us", "10ms"))), 0)
    found = helper.records(scratch.out)
    assert len(found) == 6
    for arm in (arm for record in found for arm in record["arms"]):
        assert arm["status"] == "ok" and arm["ops_per_batch"] % 2 == 0, arm
        for batch, first, second in zip(arm["batch_ns"], *arm["workers"]):
            assert batch is None or 0 < max(first, second) <= batch, (batch, first, second)
        assert arm["params"]["update"] == "cas" or arm["counts"]["retries"] == 0, arm["counts"]
    for record in found:
        if not share_a_core(record["arms"][0]["proof"]["cpus"]):
            assert shortest(record, "add") > 1.5 * shortest(record, "apart"), "one word costs no more than two"


def kill_a_worker(scratch: helper.Scratch, process: subprocess.Popen) -> None:
    """A child of the trial process, while it works."""
    trial = scratch.next_trial(process)
    workers = helper.wait_for("two workers", lambda: found if len(found := scratch.trial_processes(trial)) == 2 else None)
    os.kill(max(workers), signal.SIGKILL)


def test_a_dead_worker(scratch: helper.Scratch) -> None:
    """Its record says so, and the other cells and trials are measured."""
    needs_two_cpus()
    process = scratch.start(words_of(scratch, write(scratch, "20ms", "20ms")))
    kill_a_worker(scratch, process)
    _, error = process.communicate(timeout=100)
    assert process.returncode == 5, error
    found = helper.records(pathlib.Path(scratch.out))
    told = helper.reasons(found)
    assert told and all("died (signal 9)" in reason for reason in told), told
    assert len(found) == 6 and sum(all(arm["status"] == "ok" for arm in record["arms"]) for record in found) >= 2, told
    helper.check_gone(scratch)


if __name__ == "__main__":
    helper.main(globals())
