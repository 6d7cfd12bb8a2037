# SPDX-License-Identifier: MIT
"""What the static program reads from sysfs is what the full one has from hwloc, and it places workers and pages by it.

$FAULTLINE_STATIC: the static program (cmake --preset static)."""

import json
import os
import pathlib

import helper

STATIC = pathlib.Path(os.environ.get("FAULTLINE_STATIC", ""))
QUICK = ("--profile", "quick", "--set", "arm_time=2ms", "--set", "batch_time=20us", "--seed", "3")
LEFT_OUT = {"source", "caches"}  # by the static program, and frequency_mhz of a CPU


def needs_static() -> None:
    """Skips the case without a static program."""
    if not os.access(STATIC, os.X_OK) or STATIC.is_dir():
        raise helper.Skip("FAULTLINE_STATIC does not name a static program")


def topology(scratch: helper.Scratch, program: pathlib.Path, cpus: set[int]) -> dict:
    """What a program that may use these CPUs says of the machine, without what is not to be the same."""
    words = ["machine", "--json", "--directory", str(scratch.files)]
    result = scratch.call(words, program, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    helper.check_status(result, 0)
    found = json.loads(result.stdout)["topology"]
    rows = sorted(found["pus"], key=lambda row: row["os_index"])
    kept = {key: value for key, value in found.items() if key not in LEFT_OUT}
    return {**kept, "pus": [{key: row[key] for key in row if key != "frequency_mhz"} for row in rows]}


def planned(scratch: helper.Scratch, *words: str) -> pathlib.Path:
    """A plan by the full program."""
    result = scratch.call(["plan", *words, *QUICK, "--directory", str(scratch.files), "--json"])
    helper.check_status(result, 0)
    path = scratch.path / "plan.json"
    path.write_text(result.stdout)
    return path


def run_plan(scratch: helper.Scratch, program: pathlib.Path, plan: pathlib.Path, name: str) -> list[dict]:
    """The records of the plan as the program runs it."""
    out = scratch.path / name
    result = scratch.call(["run", "--plan", str(plan), "--no-report", "--out", str(out)], program)
    helper.check_status(result, 0)
    return helper.records(out)


def test_rows_and_classes_are_the_same(scratch: helper.Scratch) -> None:
    """With all CPUs and with each alone: every row, class, node and distance."""
    needs_static()
    everything = os.sched_getaffinity(0)
    for cpus in [everything, *({cpu} for cpu in sorted(everything)[:8])]:
        full, static = (topology(scratch, program, cpus) for program in (helper.PROGRAM, STATIC))
        assert {row["os_index"] for row in static["pus"]} == cpus, static["pus"]
        assert static == full, f"{cpus}:\nstatic {static}\nfull   {full}"
        print(f"# {len(cpus)} CPUs, pairs of the classes {[one['name'] for one in static['classes']]}")


def test_pairs_are_the_same(scratch: helper.Scratch) -> None:
    """A matrix's visits, and the CPUs of placed pairs: the static program takes the same ones, in the same classes."""
    needs_static()
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("two workers that spin need two CPUs")
    for words in ([], ["--matrix", "pu"]):
        plan = planned(scratch, "contention/ping-pong", *words)
        found = []
        for program, name in ((helper.PROGRAM, "full"), (STATIC, "static")):
            records = run_plan(scratch, program, plan, "-".join([name, *words]))
            assert not helper.reasons(records), helper.reasons(records)
            found.append({(one["cell"], one["trial"]): [(pair["a"], pair["b"], pair["class"]) for pair in one["pairs"]]
                          for one in records if one.get("pairs")})
        full, static = found
        shared = full.keys() & static.keys()  # a cell may be told apart well enough after fewer trials
        assert shared and all(kind for pairs in static.values() for _, _, kind in pairs), static
        assert all(full[key] == static[key] for key in shared), f"{full}\n{static}"
        print(f"# {len(shared)} trials of {len({cell for cell, _ in shared})} cells")


def test_pages_lie_where_they_are_asked_for(scratch: helper.Scratch) -> None:
    """On the node of the first worker's CPU."""
    needs_static()
    plan = planned(scratch, "access/memory-node", "--set", "file_bytes=1MiB")
    records = run_plan(scratch, STATIC, plan, "static")
    local = [one for one in records if one["params"]["memory_node"] == "local"]
    assert local and all(arm["status"] == "ok" for one in local for arm in one["arms"]), helper.reasons(records)


def test_another_machine_needs_hwloc(scratch: helper.Scratch) -> None:
    """It is not told of this one instead."""
    needs_static()
    result = scratch.call(["machine", "--topology", "synthetic:core:2 pu:2"], STATIC)
    helper.check_status(result, 2)
    assert "--topology needs hwloc" in result.stderr, result.stderr


if __name__ == "__main__":
    helper.main(globals())
