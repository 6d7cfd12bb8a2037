# SPDX-License-Identifier: MIT
"""What running scenarios takes, beside what the plan said: time, memory and disk, a line a scenario.

Each scenario is run by itself without a report. `taken` is from the start of the program to its end. `memory` is the
largest resident set of any of its processes (ru_maxrss, getrusage(2)) without the cell's working set: the files that a
trial maps lie in it as well. `disk` is by
how much the filesystem's free space fell, looked at ten times a second: whatever else is written there is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

MIB = 1024 * 1024
LOOK_S = 0.1
GOAL_SHARE = 0.25  # by which an estimate may miss
GOAL_MEMORY = 64 * MIB


@dataclass(frozen=True)
class Taken:
    """What one run took. Seconds and bytes."""

    scenario: str
    estimate_s: float
    taken_s: float
    memory: int
    disk: int
    disk_planned: int
    status: int

    @property
    def ratio(self) -> float:
        """Time taken ÷ time planned."""
        return self.taken_s / self.estimate_s if self.estimate_s else float("inf")


def plan_of(program: Path, scenario: str, words: Sequence[str]) -> dict[str, Any] | None:
    """The plan; None when this machine can measure nothing of it, SystemExit with the program's own message when it
    refuses."""
    done = subprocess.run([program, "plan", scenario, "--json", *words], capture_output=True, text=True)
    if "no cell is left" in done.stderr:
        return None
    if done.returncode != 0:
        sys.exit(f"footprint: {done.stderr.strip()}")
    return json.loads(done.stdout)


def working_set(plan: dict[str, Any]) -> int:
    """Bytes of the largest working set that a cell of the plan has in one process."""
    return max(cell["params"]["working_set_bytes"] for cell in plan["cells"])


def free_bytes(folder: Path) -> int:
    """What the filesystem of a folder has left: a nameless file shows nowhere else."""
    space = os.statvfs(folder)
    return space.f_bfree * space.f_frsize


def run_one(program: Path, scenario: str, words: Sequence[str], directory: Path) -> Taken | None:
    """Runs one scenario and watches it; None when there is nothing to run."""
    plan = plan_of(program, scenario, words)
    if plan is None:
        return None
    free, least = free_bytes(directory), free_bytes(directory)
    with tempfile.TemporaryDirectory(prefix="faultline-footprint-") as out:
        begin = time.monotonic()
        command = [str(program), "run", scenario, *words, "--directory", str(directory), "--out", f"{out}/run"]
        child = subprocess.Popen(
            [*command, "--quiet", "--no-report"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            least = min(least, free_bytes(directory))
            time.sleep(LOOK_S)
        taken = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    memory = max(usage.ru_maxrss * 1024 - working_set(plan), 0)
    return Taken(
        scenario,
        plan["estimate_s"]["total"],
        taken,
        memory,
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
    large = " **" if one.memory > GOAL_MEMORY else ""
    failed = f" status {one.status}" if one.status else ""
    return (
        f"{one.scenario:<28} {one.estimate_s:>7.1f} s {one.taken_s:>7.1f} s {one.ratio:>6.2f}{mark:<2} "
        f"{one.memory / MIB:>6.0f} MiB{large:<3} {one.disk / MIB:>6.0f} of {one.disk_planned / MIB:.0f} MiB{failed}"
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
    print(f"{'scenario':<28} {'planned':>9} {'taken':>9} {'ratio':>6}   {'memory':>10}    disk")
    rows = []
    for scenario in options.scenario or scenarios(options.program):
        one = run_one(options.program, scenario, words, options.directory)
        rows += [one] if one else []
        print(line(one) if one else f"{scenario:<28} nothing of it can be measured here", flush=True)
    planned, taken = sum(row.estimate_s for row in rows), sum(row.taken_s for row in rows)
    missed = sum(abs(row.ratio - 1) > GOAL_SHARE for row in rows)
    print(f"together {planned:.0f} s planned, {taken:.0f} s taken: {taken / planned:.2f}")
    print(f"* more than 25 % off: {missed} of {len(rows)}; ** more than 64 MiB: {sum(r.memory > GOAL_MEMORY for r in rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
