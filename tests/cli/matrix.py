# SPDX-License-Identifier: MIT
"""A matrix of pairs of CPUs: what a plan for a large machine says, what a run leaves, and what is refused."""

import json
import os
import time

import helper

LARGE = ("--topology", "synthetic:package:2 l3:16 core:8 pu:2")
COUNTS = {"l3": 32 * 31 // 2 + 32, "core": 256 * 255 // 2 + 256, "pu": 512 * 511 // 2}


def plan(scratch: helper.Scratch, *words: str) -> dict:
    """What `plan --json` says."""
    result = scratch.call(["plan", *words, "--json"])
    helper.check_status(result, 0)
    return json.loads(result.stdout)


def test_large_machines_are_planned(scratch: helper.Scratch) -> None:
    """512 CPUs: every one in a pair, three pairs a class at most beside; each matrix has its pairs and its time."""
    begin = time.monotonic()
    default = plan(scratch, "contention/matrix", *LARGE)
    print(f"# planning 512 CPUs took {time.monotonic() - begin:.2f} s")
    pairs = default["pairs"]
    classes = {pair["class"] for pair in pairs}
    assert {cpu for pair in pairs for cpu in (pair["a"], pair["b"])} == set(range(512))
    assert len(pairs) <= 512 // 2 + 3 * len(classes), len(pairs)
    seconds = default["estimate_s"]["total"]
    for matrix, count in COUNTS.items():
        # Any scenario of pairs: what it varies in place is left out.
        found = plan(scratch, "contention/ping-pong", "--matrix", matrix, *LARGE)
        assert len(found["pairs"]) == count, (matrix, len(found["pairs"]))
        assert all(cell["params"]["matrix"] == matrix and cell["params"]["place"] == "any" for cell in found["cells"])
        assert all("place=" not in cell["cell"] for cell in found["cells"])
        assert found["estimate_s"]["total"] > seconds, (matrix, seconds, found["estimate_s"])
        print(f"# --matrix {matrix}: {count} pairs, about {found['estimate_s']['total']:.0f} s")


def test_rounds_are_told_by_pair(scratch: helper.Scratch) -> None:
    """Each record says where its rounds were measured, and the CPUs change sides with each visit."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise helper.Skip("two workers that spin need two CPUs")
    directory = scratch.path / "run"
    # With the least of work: what is looked at is where it was done.
    words = ["contention/matrix", "--matrix", "pu", "--set", "batch_time=20us", "--no-report", "--out", str(directory)]
    helper.check_status(scratch.call(["run", *words]), 0)
    records = [json.loads(line) for line in (directory / "trials.jsonl").read_text().splitlines()]
    seen: dict[frozenset, list] = {}
    for record in sorted(records, key=lambda record: record["trial"]):
        visits = record["pairs"]
        for arm in record["arms"]:
            assert arm["status"] == "ok", arm["reason"]
            assert len(arm["batch_ns"]) == sum(visit["rounds"] for visit in visits)
        assert all(visit["class"] for visit in visits), visits
        for visit in visits:
            if not visit["canary"]:
                seen.setdefault(frozenset((visit["a"], visit["b"])), []).append((visit["a"], visit["b"]))
    if len(cpus) < 9: # each trial then visits all of them
        assert len(seen) == len(cpus) * (len(cpus) - 1) // 2, seen
    for sides in seen.values():
        assert all(one == other[::-1] for one, other in zip(sides, sides[1:])), sides


def test_stays_are_told_too(scratch: helper.Scratch) -> None:
    """Two workers that are placed: one visit of all rounds."""
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("two workers that spin need two CPUs")
    directory = scratch.path / "run"
    words = ["contention/ping-pong", "--profile", "quick", "--budget", "1s", "--no-report", "--out", str(directory)]
    scratch.call(["run", *words])
    record = json.loads((directory / "trials.jsonl").read_text().splitlines()[0])
    (visit,) = record["pairs"]
    assert visit["rounds"] == len(record["arms"][0]["batch_ns"]) > 0 and not visit["canary"]
    assert [visit["a"], visit["b"]] == record["arms"][0]["proof"]["cpus"]


def test_what_is_no_pair_is_refused(scratch: helper.Scratch) -> None:
    """Scenarios whose arms are not what two workers do to each other, kinds that there are not, places beside."""
    for words, text in (
        (["access/scan", "--matrix", "pu"], "is for what two workers do to each other"),
        (["contention/ping-pong", "--matrix", "socket"], "'socket' is not a matrix"),
        (["contention/matrix", "--set", "place=pack"], "place has to be any"),
        (["contention/matrix", "--matrix", "l3", "--topology", "synthetic:core:2 pu:1"], "tells of no L3 cache"),
    ):
        result = scratch.call(["plan", *words])
        helper.check_status(result, 2)
        assert text in result.stderr, (words, result.stderr)


helper.main(globals())
