# SPDX-License-Identifier: MIT
"""Live comparisons of the real program: with itself, in cells of several kinds, and with a pread that takes longer."""

import ctypes
import json
import os
import subprocess

import helper

helper.sys.path.insert(0, str(helper.TREE / "scripts"))

from faultline import live_rows, records  # noqa: E402  (the tree's package, once it can be found)

PRELOAD = helper.PROGRAM.parent / "tests" / "libpreload_pread.so"
LENGTH = 256  # of the chain of multiplications before each pread: some 250 ns
KINDS = """question: Does every kind of cell pass turns?
op: block read
null_arm: false
common: {file_bytes: 256KiB, recipe: write-64KiB, pattern: random, block_bytes: 4KiB, arm_time: 1ms, batch_time: 50us,
         count_ops: 8}
vary:
  cache: [warm, cold]
  workers: [1, 2]
arms:
  - {name: pread, method: pread, buffer: reused}
  - {name: mapped, method: mmap, sharing: shared, consume: in_place, lifetime: kept}
"""
BACKINGS = """question: Do memory files and worker processes pass turns?
op: block read
null_arm: false
common: {file_bytes: 256KiB, recipe: write-64KiB, pattern: random, block_bytes: 4KiB, arm_time: 1ms, batch_time: 50us,
         count_ops: 8, workers: 2, worker_kind: process}
vary:
  backing: [tmpfs, memfd]
arms:
  - {name: pread, method: pread, buffer: reused}
"""
RING = """question: Is an arm that cannot be had left out?
op: block read
common: {file_bytes: 256KiB, recipe: write-64KiB, pattern: random, block_bytes: 4KiB, arm_time: 1ms, batch_time: 50us,
         count_ops: 8}
arms:
  - {name: ring, method: uring}
  - {name: pread, method: pread, buffer: reused}
"""
READ = """question: Is pread as quick on both sides?
op: block read
null_arm: false
common: {file_bytes: 1MiB, recipe: write-1MiB, pattern: sequential, block_bytes: 4KiB, arm_time: 5ms, batch_time: 100us,
         latency: none, count_ops: 8}
arms:
  - {name: pread, method: pread, buffer: reused}
"""


def compare(scratch: helper.Scratch, base: str, candidate: str, scenario: str,
            *words: str) -> subprocess.CompletedProcess:
    """A comparison of these launchers, into `out`."""
    path = scratch.path / "live.yaml"
    path.write_text(scenario)
    command = [helper.sys.executable, "-m", "faultline.live", base, candidate, str(path), "--out", str(scratch.out)]
    command += ["--directory", str(scratch.files), "--seed", "3", *words]
    environment = scratch.environment({"PYTHONPATH": str(helper.TREE / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"})
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_kinds_of_cells(scratch: helper.Scratch) -> None:
    """Warm and cold cells, of one worker and of two: every pair delivers, and both runs are runs."""
    program = str(helper.PROGRAM)
    done = compare(scratch, program, program, KINDS, "--pairs", "3")
    assert done.returncode == 0, done
    results = live_rows.conclude(scratch.out)
    several = len(os.sched_getaffinity(0)) > 1
    assert len(results.cells) == (4 if several else 2), [cell.cell for cell in results.cells]
    for cell, arm in results.arms:
        assert arm.change is not None and arm.change.logs.size == 3, (cell.cell, arm.name, arm.reason)
    for name in ("base", "candidate"):
        run = records.run_load(scratch.out / name)
        assert len(run.trials) == 3 * len(results.cells) and not run.problems, run.problems
        assert all(trial.trial in range(3) for trial in run.trials)
    sides = [sorted(helper.records(scratch.out / name), key=lambda r: (r["cell"], r["trial"]))
             for name in ("base", "candidate")]
    for mine, its in zip(*sides):
        for a, b in zip(mine["arms"], its["arms"]):
            for key in ("ops_per_batch", "checksum", "order"):
                assert a[key] == b[key], (key, a["name"], mine["cell"])
    helper.check_gone(scratch)


def test_memory_files_and_processes(scratch: helper.Scratch) -> None:
    """Groups of worker processes on memory files, with controls; each is a run that its report can be made of."""
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("two workers need two CPUs")
    program = str(helper.PROGRAM)
    done = compare(scratch, program, program, BACKINGS, "--pairs", "3", "--control", "2")
    assert done.returncode == 0, done
    results = live_rows.conclude(scratch.out)
    assert {cell.cell for cell in results.cells} == {"backing=tmpfs", "backing=memfd"} and not results.problems
    for cell in results.cells:
        assert [len(arm.pairs) for arm in (*cell.arms, *cell.controls)] == [3, 2], cell
        assert all(arm.change is not None for arm in (*cell.arms, *cell.controls)), cell
    helper.check_gone(scratch)


def test_unsupported_baseline(scratch: helper.Scratch) -> None:
    """The first arm cannot be had on either side: the others are compared, and warmed up by one of their own."""
    helper.needs_strace()
    launcher = "strace -f -qq -o /dev/null -e trace=io_uring_setup -e inject=io_uring_setup:error=ENOSYS "
    done = compare(scratch, *2 * [launcher + str(helper.PROGRAM)], RING, "--pairs", "2")
    assert done.returncode == 0, done
    found = json.loads((scratch.out / "compare.json").read_text())
    assert {row["arm"] for row in found["rows"]} == {"pread"}, found["rows"]
    assert any("ring is measured on neither side" in note for note in found["notes"]), found["notes"]
    (cell,) = live_rows.conclude(scratch.out).cells
    assert [arm.change is not None for arm in cell.arms if not arm.is_null] == [False, True], cell
    helper.check_gone(scratch)


def test_worker_that_dies(scratch: helper.Scratch) -> None:
    """A trial whose process is killed fails its pair, and its cell is given up after two."""
    helper.needs_strace()
    program = str(helper.PROGRAM)
    launcher = f"strace -f -qq -o /dev/null -e trace=pread64 -e inject=pread64:signal=KILL:when=60 {program}"
    done = compare(scratch, program, launcher, READ, "--pairs", "4")
    assert done.returncode == 7 and "candidate: " in done.stderr, done  # no pair was whole: nothing was compared
    assert live_rows.conclude(scratch.out).live["stopped"] == "failures"
    helper.check_gone(scratch)


def test_limits_must_be_declared(scratch: helper.Scratch) -> None:
    """A side with fewer CPUs than the other is another machine to it."""
    if len(os.sched_getaffinity(0)) < 2:
        raise helper.Skip("one CPU cannot be fewer")
    helper.needs_tool("taskset")
    program = str(helper.PROGRAM)
    launcher = f"taskset -c {max(os.sched_getaffinity(0))} {program}"
    done = compare(scratch, program, launcher, READ, "--pairs", "2")
    assert done.returncode == 6 and "undeclared difference in cpus.allowed" in done.stderr, done
    assert not scratch.out.exists()
    done = compare(scratch, program, launcher, READ, "--pairs", "2", "--vary", "limits")
    assert done.returncode == 0, done
    helper.check_gone(scratch)


def test_full_disks(scratch: helper.Scratch) -> None:
    """No room for the sides' files, for what is written, or for what sides print."""
    helper.own_mounts()
    program, disk = str(helper.PROGRAM), scratch.path / "disk"
    helper.mount_tmpfs(scratch.files, "1m")
    try:
        done = compare(scratch, program, program, READ, "--pairs", "2")
        assert done.returncode == 4 and "both sides need" in done.stderr and not scratch.out.exists(), done
    finally:
        helper.unmount(scratch.files)
    helper.mount_tmpfs(disk, "64k")
    scratch.out = disk / "out"
    try:
        done = compare(scratch, program, program, READ, "--pairs", "30")
        assert done.returncode == 7 and "o space left" in done.stderr, done
        assert "Traceback" not in done.stderr, done.stderr
        helper.check_gone(scratch)
    finally:
        helper.unmount(disk)


def test_slower_pread_is_found(scratch: helper.Scratch) -> None:
    """A library that calculates before each pread, on one side: about as much slower as that takes by itself."""
    if not PRELOAD.exists():
        raise helper.Skip(f"{PRELOAD.name} was not built beside the program")
    if b"__asan_init" in helper.PROGRAM.read_bytes():
        raise helper.Skip("a sanitizer has to be loaded before the library")
    library = ctypes.CDLL(str(PRELOAD))
    library.pread_chain_ns.restype = ctypes.c_double
    chain_ns = library.pread_chain_ns(ctypes.c_uint64(LENGTH))
    launcher = f"env LD_PRELOAD={PRELOAD} FAULTLINE_TEST_CHAIN={{}} {helper.PROGRAM}"
    done = compare(scratch, launcher.format(0), launcher.format(LENGTH), READ, "--pairs", "8")
    assert done.returncode == 1, done
    (row,) = (one for one in json.loads((scratch.out / "compare.json").read_text())["rows"]
              if one["quantity"] == "ns_per_op")
    base_ns, candidate_ns, ratio = (row[key]["estimate"] for key in ("base", "candidate", "change"))
    found = candidate_ns - base_ns
    print(f"# the chain takes {chain_ns:.0f} ns; pread {base_ns:.0f} ns, and {found:.0f} more with it: x{ratio:.3f}")
    assert row["verdict"] == "SLOWER" and chain_ns / 2 < found < 2 * chain_ns, (row, chain_ns)
    helper.check_gone(scratch)


def test_says_what_is_wrong(scratch: helper.Scratch) -> None:
    """A scenario that is none, and a build that is none."""
    program = str(helper.PROGRAM)
    done = compare(scratch, program, program, "question: none\n")
    assert done.returncode == 2 and "live.yaml" in done.stderr and done.stderr.count("\n") == 1, done
    done = compare(scratch, program, "env LD_PRELOAD=/absent.so /absent/faultline", READ)
    assert done.returncode == 2 and "/absent/faultline" in done.stderr, done
    done = compare(scratch, program, f"env LD_PRELOAD=/absent.so {program}", READ, "--pairs", "1")
    assert done.returncode == 2 and "without a library: ERROR: ld.so: object '/absent.so'" in done.stderr, done
    assert not scratch.out.exists()
    helper.check_gone(scratch)


def test_the_bench_counts_what_it_compared(scratch: helper.Scratch) -> None:
    """`scripts/selfbench live`, once with a large change and once without any; no time is judged."""
    if not PRELOAD.exists():
        raise helper.Skip(f"{PRELOAD.name} was not built beside the program")
    if b"__asan_init" in helper.PROGRAM.read_bytes():
        raise helper.Skip("a sanitizer has to be loaded before the library")
    figures = scratch.path / "figures.json"
    command = [helper.sys.executable, "-m", "faultline.live_selfbench", "--program", str(helper.PROGRAM)]
    command += ["--preload", str(PRELOAD), "--change", "30%", "--found", "1", "--alarms", "1", "--budget", "4s"]
    command += ["--json", str(figures), "--directory", str(scratch.files)]
    environment = scratch.environment({"PYTHONPATH": str(helper.TREE / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode in (0, 1) and not done.stderr, done
    found = json.loads(figures.read_text())
    assert found["made"] > 0.1 and [found[key]["told"]["n"] for key in ("found", "alarms")] == [1, 1], found
    assert "a change that was made: told in " in done.stdout and "no change at all: told in " in done.stdout, done
    helper.check_gone(scratch)


helper.main(globals())
