# SPDX-License-Identifier: MIT
"""What running scenarios takes, beside what the plan said: time, memory and disk, a line a scenario.

Each scenario is run by itself without a report. `taken` is from the start of the program to its end. `memory` is the
most that any of its trial processes held (Pss of smaps_rollup, proc(5): a page that is mapped several times counts
once), beside what the plan says that files and arms fill. `disk` is by how much the filesystem's free space fell. Both are looked at twenty times a
second: a process shorter than that may be missed, and whatever else is written to the disk is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

MIB = 1024 * 1024
LOOK_S = 0.05
GOAL_SHARE = 0.25  # by which an estimate may miss
GOAL_MEMORY = 64 * MIB


@dataclass(frozen=True)
class Taken:
    """What one run took. Seconds and bytes."""

    scenario: str
    estimate_s: float
    taken_s: float
    memory: int
    memory_planned: int
    disk: int
    disk_planned: int
    status: int

    @property
    def ratio(self) -> float:
        """Time taken ÷ time planned."""
        return self.taken_s / self.estimate_s if self.estimate_s else float("inf")

    @property
    def beyond(self) -> int:
        """Bytes of memory that the plan did not foresee."""
        return max(self.memory - self.memory_planned, 0)


def plan_of(program: Path, scenario: str, words: Sequence[str]) -> dict[str, Any] | None:
    """The plan; None when this machine can measure nothing of it, SystemExit with the program's own message when it
    refuses."""
    done = subprocess.run([program, "plan", scenario, "--json", *words], capture_output=True, text=True)
    if "no cell is left" in done.stderr:
        return None
    if done.returncode != 0:
        sys.exit(f"footprint: {done.stderr.strip()}")
    return json.loads(done.stdout)


def free_bytes(folder: Path) -> int:
    """What the filesystem of a folder has left: a nameless file shows nowhere else."""
    space = os.statvfs(folder)
    return space.f_bfree * space.f_frsize


def is_trial(pid: str) -> bool:
    """Whether it is a trial, or a worker of one: the program itself, and what it touches beforehand, are not."""
    return b"trial" in Path("/proc", pid, "cmdline").read_bytes().split(b"\0")[1:2]


def kib_of(pid: str, file: str, key: str) -> int:
    """A number of kB in a file of a process, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc", pid, file).read_text(), re.M)
    return int(found[1]) * 1024 if found else 0


def held(pid: int | str, least: int) -> int:
    """
    Bytes that the largest trial process below a process holds now; 0 when there is none. Looking closely takes the
    process milliseconds: it is spared that while its resident set is not above `least`.
    """
    largest = 0
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            largest = max(largest, held(child, least))
            if is_trial(child):
                resident = kib_of(child, "status", "VmRSS")
                bytes_held = kib_of(child, "smaps_rollup", "Pss") if resident > least else resident
                largest = max(largest, bytes_held)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended meanwhile
    return largest


def run_one(program: Path, scenario: str, words: Sequence[str], directory: Path) -> Taken | None:
    """Runs one scenario and watches it; None when there is nothing to run."""
    plan = plan_of(program, scenario, words)
    if plan is None:
        return None
    free, least, memory = free_bytes(directory), free_bytes(directory), 0
    with tempfile.TemporaryDirectory(prefix="faultline-footprint-") as out:
        begin = time.monotonic()
        command = [str(program), "run", scenario, *words, "--directory", str(directory), "--out", f"{out}/run"]
        child = subprocess.Popen(
            [*command, "--quiet", "--no-report"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            if child.poll() is not None:
                break
            least, memory = min(least, free_bytes(directory)), max(memory, held(child.pid, plan["memory_bytes"]))
            time.sleep(LOOK_S)
        taken = time.monotonic() - begin
    return Taken(
        scenario,
        plan["estimate_s"]["total"],
        taken,
        memory,
        plan["memory_bytes"],
        max(free - least, 0),
        plan["disk_bytes"],
        child.returncode,
    )


def scenarios(program: Path) -> list[str]:
    """The names of all that are shipped."""
    done = subprocess.run([program, "list", "scenarios"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line and "/" in line.split()[0]]


def line(one: Taken) -> str:
    """A row of the table."""
    mark = "" if abs(one.ratio - 1) <= GOAL_SHARE else " *"
    large = " **" if one.beyond > GOAL_MEMORY else ""
    failed = f" status {one.status}" if one.status else ""
    return (
        f"{one.scenario:<28} {one.estimate_s:>7.1f} s {one.taken_s:>7.1f} s {one.ratio:>6.2f}{mark:<2} "
        f"{one.memory / MIB:>4.0f} of {one.memory_planned / MIB:.0f} MiB{large:<3} "
        f"{one.disk / MIB:>6.0f} of {one.disk_planned / MIB:.0f} MiB{failed}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what is asked for and prints the table. Status 0 whatever the figures are: they are for reading."""
    parser = argparse.ArgumentParser(
        prog="scripts/footprint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, required=True, help="the program (scripts/footprint gives it)")
    parser.add_argument("--profile", default="quick", help="quick, standard or thorough (default: quick)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the files under test are made")
    parser.add_argument("scenario", nargs="*", help="scenarios (default: all)")
    options = parser.parse_args(argv)
    words = ["--profile", options.profile]
    print(f"{'scenario':<28} {'planned':>9} {'taken':>9} {'ratio':>6}   {'memory':>10}        disk")
    rows = []
    for scenario in options.scenario or scenarios(options.program):
        one = run_one(options.program, scenario, words, options.directory)
        rows += [one] if one else []
        print(line(one) if one else f"{scenario:<28} nothing of it can be measured here", flush=True)
    planned, taken = sum(row.estimate_s for row in rows), sum(row.taken_s for row in rows)
    missed = sum(abs(row.ratio - 1) > GOAL_SHARE for row in rows)
    print(f"together {planned:.0f} s planned, {taken:.0f} s taken: {taken / planned:.2f}")
    large = sum(row.beyond > GOAL_MEMORY for row in rows)
    print(f"* more than 25 % off: {missed} of {len(rows)}; ** more than 64 MiB beyond: {large}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
