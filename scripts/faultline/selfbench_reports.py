# SPDX-License-Identifier: MIT
"""How long report and compare take for runs of 40 cells and 15 trials (tests/selfbench/forty.yaml)."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

from faultline.bench_figures import OWN, Goal, nanoseconds, timed, within
from faultline.text import safe

SCENARIO = OWN / "forty.yaml"
SCHEMA = "faultline.selfbench-report/1"
TIMES = 5  # of each
LIMIT_S = 300


class ReportFailed(Exception):
    """A command ended without a result; the text says why."""


def seconds_of(command: Sequence[str | Path], accepted: Sequence[int]) -> float:
    """How long a command takes; ReportFailed with another status than those."""
    words = [str(word) for word in command]
    begin = time.monotonic()
    done = subprocess.run(words, capture_output=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    took = time.monotonic() - begin
    if done.returncode not in accepted:
        complaint = safe(done.stderr.decode(errors="replace").strip())
        raise ReportFailed(f"{' '.join(words[1:3])}: status {done.returncode}: {complaint}")
    return took


def times_of(program: Path, base: Path, candidate: Path, out: Path) -> dict[str, Any]:
    """Report of the one run and comparison of both, several times."""
    return {
        "schema": SCHEMA,
        "report_s": [seconds_of([program, "report", base], (0, 4)) for _ in range(TIMES)],
        "compare_s": [
            seconds_of([program, "compare", base, candidate, "--out", out], (0, 1, 3, 4)) for _ in range(TIMES)
        ],
    }


def figures(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians with their intervals, s."""
    return {key: nanoseconds([s for line in lines for s in line[key]]) for key in ("report_s", "compare_s")}


def goals_idle(found: dict[str, Any]) -> list[Goal]:
    """What is to hold on a machine that does nothing else."""
    return [
        Goal(f"the {name} of 40 cells and 15 trials takes at most 3 s", within(found[key]["estimate"], 0, 3))
        for name, key in (("report", "report_s"), ("comparison", "compare_s"))
    ]


def rows_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures, named."""
    yield "report of 40 cells x 15 trials, s", timed(found["report_s"])
    yield "compare of 40 cells x 15 trials, s", timed(found["compare_s"])
