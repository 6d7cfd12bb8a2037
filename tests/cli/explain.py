# SPDX-License-Identifier: MIT
"""--cell and --arms run a part of a scenario; --explain prints commands of perf that work where they are pasted, and
says why the others do not."""

import json
import os
import pathlib
import shlex
import shutil
import subprocess

import helper
import unprivileged

PARANOID = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")
NO_PERF = {"PATH": "/nonexistent"}
CELL = "block_bytes=4KiB"
ALONE = ("all", "those that can take page faults")  # what is printed for an arm of one worker
SHORT = ("--budget", "2s", "--set", "arm_time=20ms", "--profile", "quick")
MEET = """question: q
op: addition
common: {backing: memfd, file_bytes: 64KiB, cache: as-found, latency: none, workers: 2, count_ops: 100}
arms:
  - {name: add, method: write_write}
  - {name: cas, method: write_write, update: cas}
profiles: {quick: {trials: 3}}
"""


def lines_of(printed: str) -> list[str]:
    """Commands that are said to work."""
    return [line for line in printed.splitlines() if line and not line.startswith("#")]


def commands_of(printed: str) -> list[str]:
    """All that run the program, also those that are said not to work."""
    return [line.removeprefix("# ") for line in printed.splitlines() if " --no-report " in line]


def looks(scratch: helper.Scratch, *suits: str) -> int:
    """How many commands there are for such arms, by the list of all."""
    result = scratch.call(["list", "looks", "--markdown"])
    helper.check_status(result, 0)
    rows = [line.split(" | ")[1] for line in result.stdout.splitlines() if line.startswith("| `perf ")]
    assert rows and set(suits) <= set(rows), rows
    return sum(row in suits for row in rows)


def planned_by(scratch: helper.Scratch, command: str) -> dict:
    """The plan of the run within a command of perf."""
    words = shlex.split(command.partition(" -- ")[2])
    assert words[:2] == [str(helper.PROGRAM), "run"], command
    result = scratch.call(["plan", "--json", *words[2:words.index("--no-report")]])
    helper.check_status(result, 0)
    return json.loads(result.stdout)


def explain(scratch: helper.Scratch, *words: str, **options: object) -> str:
    """What is printed, without an error."""
    result = scratch.call(["run", *words], **options)
    helper.check_status(result, 0)
    assert not result.stderr, result.stderr
    return result.stdout


def paste(line: str, folder: pathlib.Path, prefix: tuple[str, ...] = ()) -> str:
    """Runs a printed line by a shell in a folder; its output."""
    done = subprocess.run([*prefix, "sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False,
                          timeout=100)
    assert done.returncode == 0, (line, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout + done.stderr


def needs_perf() -> None:
    """Skips the case where perf cannot be run."""
    helper.needs_tool("perf")
    done = subprocess.run(["perf", "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise helper.Skip(f"perf cannot run here: {(done.stdout + done.stderr).strip()}")


def check_arm(run: pathlib.Path, cell: str, arm: str) -> None:
    """Records of that arm, its duplicate, and nothing else."""
    found = helper.records(run)
    assert found, run
    for record in found:
        assert record["cell"] == cell and [one["name"] for one in record["arms"]] == [arm, "null"], record["cell"]
        assert all(one["status"] == "ok" for one in record["arms"]), helper.reasons(found)


def paste_all(printed: str, folder: pathlib.Path, cell: str, arm: str, prefix: tuple[str, ...] = ()) -> dict[str, str]:
    """Runs all that is said to work, in order; the output of each by its line."""
    said = {}
    for line in lines_of(printed):
        said[line] = paste(line, folder, prefix)
        words = shlex.split(line)
        if "--out" in words:
            check_arm(folder / words[words.index("--out") + 1], cell, arm)
    return said


def odd_scenario(scratch: helper.Scratch) -> pathlib.Path:
    """A scenario below a folder whose name no shell takes as it is."""
    folder = scratch.path / "it's a $HOME \\ folder"
    folder.mkdir()
    return pathlib.Path(shutil.copy(scratch.scenario(), folder / "odd.yaml"))


def test_narrowed_run(scratch: helper.Scratch) -> None:
    """Only the cell and the arm asked for are measured, against their own duplicate; the report does with that."""
    words = scratch.run_words("--cell", CELL, "--arms", "mapped")
    helper.check_status(scratch.call(words), 0)
    check_arm(scratch.out, CELL, "mapped")
    helper.check_complete(scratch.out, cells=1)
    assert [cell["cell"] for cell in helper.manifest(scratch.out)["plan"]["cells"]] == [CELL]
    if helper.has_report():
        result = scratch.call(["report", str(scratch.out)])
        assert result.returncode in (0, 4), (result.returncode, result.stderr)
        assert "mapped" in result.stdout and "pread" not in result.stdout, result.stdout
    helper.check_gone(scratch)


def planned(scratch: helper.Scratch, *words: str) -> dict:
    """What `plan --json` says."""
    result = scratch.call(["plan", "--json", *words])
    helper.check_status(result, 0)
    return json.loads(result.stdout)


def test_narrowed_folder(scratch: helper.Scratch) -> None:
    """Of a folder: scenarios that have no such cell or arm are not in the plan, nor are their budgets."""
    narrowed = ("--arms", "read,mapped", "--cell", "file_bytes=64KiB", "--profile", "quick", "--seed", "1")
    plan = planned(scratch, "cow", "access", *narrowed)
    assert [scenario["name"] for scenario in plan["scenarios"]] == ["access/scan"], plan["scenarios"]
    assert [cell["cell"] for cell in plan["cells"]] == ["file_bytes=64KiB"], plan["cells"]
    alone = planned(scratch, "access/scan", *narrowed)
    assert all(plan[key] == alone[key] for key in ("scenarios", "cells", "refused", "budget_ns")), (plan, alone)
    explained = explain(scratch, "access", *narrowed, "--explain", "file_bytes=64KiB/mapped", environment=NO_PERF)
    assert planned_by(scratch, commands_of(explained)[0])["cells"][0]["arms"][0]["name"] == "mapped", explained
    result = scratch.call(["plan", "cow/fork", "access/scan", "--arms", "private", "--cell", "file_bytes=4KiB"])
    helper.check_status(result, 2)
    assert "no cell that is wanted has such an arm" in result.stderr, result.stderr


def test_unknown(scratch: helper.Scratch) -> None:
    """Status 2 and the names there are; nothing is run."""
    scenario = scratch.scenario()
    for where, problem in (("block_bytes=5/mapped", "no cell 'block_bytes=5'"), (f"{CELL}/nobody", "no arm 'nobody'"),
                           (f"{CELL}/null", "no arm 'null'"), ("mapped", "write CELL/ARM"),
                           (f"{CELL}/", "write CELL/ARM"), ("/mapped", "write CELL/ARM")):
        result = scratch.call(["run", scenario, "--explain", where])
        helper.check_status(result, 2)
        first, cells, arms = result.stderr.splitlines()
        assert problem in first and not result.stdout, result.stderr
        assert (cells, arms) == ("cells: block_bytes=64 block_bytes=4KiB", "arms: pread mapped"), result.stderr
    for words in (["access", "--explain", f"{CELL}/mapped"], [scenario, "--explain", f"{CELL}/mapped", "--out", "x"],
                  ["--plan", "x", "--explain", f"{CELL}/mapped"], ["--plan", "x", "--arms", "mapped"],
                  ["--resume", "x", "--cell", CELL], ["--plan", "x", "--matrix", "pu"]):
        result = scratch.call(["run", *words])
        helper.check_status(result, 2)
        assert len(result.stderr.splitlines()) == 1 and not result.stdout, (words, result.stderr)
    excluded = pathlib.Path(scenario)
    excluded.write_text(excluded.read_text() + "exclude: [{block_bytes: 64}]\n")
    result = scratch.call(["run", scenario, "--explain", "block_bytes=64/mapped"])
    helper.check_status(result, 2)
    assert "the cell cannot be measured: excluded by line" in result.stderr, result.stderr


def test_pasted(scratch: helper.Scratch) -> None:
    """Every command that is said to work does, in another folder, and sees the arm; paths are odd, options are kept."""
    needs_perf()
    scenario = odd_scenario(scratch)
    printed = explain(scratch, "odd.yaml", *SHORT, "--seed", "7", "--directory", str(scratch.files), "--set",
                      "batch_time=100us", "--explain", f"{CELL}/mapped", cwd=scenario.parent)
    said = paste_all(printed, scratch.path, CELL, "mapped")
    count = len(commands_of(printed))
    assert printed.count(" --seed 7 ") == printed.count(" --set batch_time=100us") == count == looks(scratch, *ALONE)
    assert len([line for line in said if line.startswith("perf stat ")]) == 1, printed
    for run in ("faults", "time", "each-fault", "totals"):
        if (scratch.path / f"{run}.run").exists():
            assert helper.manifest(scratch.path / f"{run}.run")["plan"]["seed"] == 7
    reports = {line.split()[-1]: text for line, text in said.items() if line.startswith("perf report ")}
    assert "'page-faults" in reports["faults.data"] and "of event" in reports["time.data"], reports
    if (scratch.path / "each-fault.txt").exists():
        assert "minfault [" in (scratch.path / "each-fault.txt").read_text()
    helper.check_gone(scratch)


def test_pasted_in_pairs(scratch: helper.Scratch) -> None:
    """Workers that meet are looked at by perf c2c, or it is said what that needs."""
    needs_perf()
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("two workers that spin need two CPUs")
    scenario = scratch.path / "meet.yaml"
    scenario.write_text(MEET)
    printed = explain(scratch, str(scenario), *SHORT, "--explain", "all/cas")
    works = any(line.startswith("perf c2c record ") for line in lines_of(printed))
    assert works or "\n# It needs a CPU that samples loads and stores" in printed, printed
    assert ("# perf c2c report " in printed) != works and "faults.data" not in printed, printed
    assert len(commands_of(printed)) == looks(scratch, "all", "those of several workers"), printed
    said = paste_all(printed, scratch.path, "all", "cas")
    assert len(said) >= 2, printed
    assert not works or any("Shared Data Cache Line Table" in text for text in said.values())


def test_without_perf(scratch: helper.Scratch) -> None:
    """All is a comment that says so; what it would run is one arm."""
    printed = explain(scratch, scratch.scenario(), "--explain", f"{CELL}/mapped", environment=NO_PERF)
    assert not lines_of(printed), printed
    commands = commands_of(printed)
    assert len(commands) == printed.count("perf is not installed") == looks(scratch, *ALONE), printed
    for command in commands:
        plan = planned_by(scratch, command)
        assert [cell["cell"] for cell in plan["cells"]] == [CELL], plan
        assert [arm["name"] for arm in plan["cells"][0]["arms"]] == ["mapped", "null"], plan
    # A path of several lines is a comment of several.
    printed = explain(scratch, scratch.scenario(), "--machine-name", "a\nb", "--explain", f"{CELL}/mapped",
                      environment=NO_PERF)
    assert not lines_of(printed) and printed.count("--machine-name 'a\n# b' ") == len(commands), printed


def test_shipped(scratch: helper.Scratch) -> None:
    """An arm of each scenario: the commands are about it alone, and change no condition but how long batches are."""
    whole = json.loads(scratch.call(["plan", "--json", "--profile", "quick", str(helper.TREE / "scenarios")]).stdout)
    cells = {cell["scenario"]: cell for cell in whole["cells"]}
    assert len(cells) > 60
    for scenario, cell in cells.items():
        arm = [arm for arm in cell["arms"] if arm["name"] != "null"][-1]
        path = helper.TREE / "scenarios" / f"{scenario}.yaml"
        printed = explain(scratch, str(path), "--profile", "quick", "--explain", f"{cell['cell']}/{arm['name']}",
                          environment=NO_PERF)
        (alone,) = planned_by(scratch, commands_of(printed)[0])["cells"]
        assert alone["cell"] == cell["cell"] and alone["arms"][0]["name"] == arm["name"], (scenario, alone["cell"])
        assert {one["name"] for one in alone["arms"][1:]} <= {"null"}, (scenario, alone["arms"])
        changed = {key for key, value in arm["params"].items() if alone["arms"][0]["params"][key] != value}
        assert changed <= {"batch_time", "arm_time"}, (scenario, changed)


def test_without_rights(scratch: helper.Scratch) -> None:
    """Without rights it is said what is of user mode only and what is not to be had; the rest works."""
    needs_perf()
    if PARANOID.read_text().strip() != "2":
        raise helper.Skip(f"perf_event_paranoid is {PARANOID.read_text().strip()}, not 2")
    program = unprivileged.settle(scratch)
    home, prefix = scratch.path / "home", tuple(unprivileged.prefix())
    scenario = scratch.path / "scenarios/access/copy-or-in-place.yaml"
    words = ["run", str(scenario), *SHORT, "--directory", str(scratch.files)]
    result = scratch.call([*words, "--explain", "block_bytes=64KiB/mapped-copy"], program=program, prefix=list(prefix),
                          cwd=home, environment={"HOME": str(home)})
    helper.check_status(result, 0)
    assert "# of user mode only: kernel.perf_event_paranoid is 2" in result.stdout, result.stdout
    assert "# no context-switches, cpu-migrations" in result.stdout, result.stdout
    assert "# perf trace -F all " in result.stdout and "# It needs CAP_PERFMON" in result.stdout, result.stdout
    said = paste_all(result.stdout, home, "block_bytes=64KiB", "mapped-copy", prefix)
    assert any(line.startswith("perf record -e page-faults ") for line in said), result.stdout


helper.main(globals())
