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
    assert "candidate says: ERROR: ld.so: object '/absent.so'" in done.stderr, done
    helper.check_gone(scratch)


helper.main(globals())
