# SPDX-License-Identifier: MIT
"""Test the instrument against itself: runs of identical arms and of arms with known extra work, and what came of them.

What is measured, each as often as --runs says; without one of these options, verdicts and tails:
  --verdicts  selfbench/self-bench (12 cells of a baseline, its duplicate, and 2 % and 5 % more of the same work) and
              the harness's own loop: false alarms, what is found, coverage, spread, slots, time to a verdict
  --tails     a stall of 100 us in one of 10 000 operations; and the ratio of a mapping to pread, from run to run
  --rules     runs of one arm, one after the other: what the rules of benchstat, Criterion, hyperfine and others say
  --tools     hyperfine, fio and Google Benchmark, where installed, beside compare --live, on the same slow-down
  --reports   how long report and compare take for 40 cells of 15 trials

Conditions (machine, number of hogs, --note) are never put together. Every share comes with its n and Clopper–Pearson
bounds, standard deviations with χ² bounds, sizes with Hodges–Lehmann intervals; 95 %. Goals are for a machine that does
nothing else (no hogs, no note); false alarms and power also for hogs.

Exit status: 0 the goals are met; 1 one is missed; 3 none is, but there are too few runs to tell; 5 a run failed; 7
unreadable.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from random import sample
from typing import Any

from faultline import selfbench_blocks as blocks
from faultline import selfbench_reports as reports
from faultline import selfbench_tails as tails
from faultline import selfbench_tools as tools
from faultline import selfbench_verdicts as verdicts
from faultline.bench_figures import Goal
from faultline.records import RecordsError, run_load
from faultline.text import safe

RUNS_WANTED = 20
PARTS = ("verdicts", "tails", "rules", "tools", "reports")
TOOL_LINES, REPORT_LINES = "tools.jsonl", "reports.jsonl"
NOTE = re.compile(r"[a-z0-9]+")
HOG = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(100000):\n        pass\n"


class RunFailed(Exception):
    """A run ended without results; the text says why."""


@dataclass(frozen=True, order=True)
class Condition:
    """What is never put together. note: what else the machine was doing; empty for nothing."""

    machine: str
    hogs: int
    note: str


@dataclass
class Found:
    """What there is of one condition."""

    verdicts: list[verdicts.RunData] = field(default_factory=list)
    tails: list[tails.TailData] = field(default_factory=list)
    sets: list[blocks.BlockData] = field(default_factory=list)
    tool_lines: list[dict[str, Any]] = field(default_factory=list)
    report_lines: list[dict[str, Any]] = field(default_factory=list)


# ---- figures and goals ----


def figures(condition: Condition, found: Found) -> dict[str, Any]:
    """Everything of one condition; null for what was not measured."""
    return {
        "machine": condition.machine,
        "hogs": condition.hogs,
        "note": condition.note,
        "runs": len(found.verdicts),
        "enough_runs": len(found.verdicts) >= RUNS_WANTED,
        "verdicts": verdicts.figures(found.verdicts) if found.verdicts else None,
        "tails": tails.figures(found.tails) if found.tails else None,
        "rules": blocks.figures(found.sets) if found.sets else None,
        "tools": tools.figures(found.tool_lines) if found.tool_lines else None,
        "reports": reports.figures(found.report_lines) if found.report_lines else None,
    }


def goals(found: dict[str, Any]) -> list[Goal]:
    """The goals that one condition has for what was measured in it."""
    if found["note"]:
        return []
    if found["hogs"] > 0:
        return verdicts.goals_loaded(found["verdicts"], found["hogs"]) if found["verdicts"] else []
    parts = (("verdicts", verdicts.goals_idle), ("tails", tails.goals_idle), ("reports", reports.goals_idle))
    return [goal for key, goals_of in parts if found[key] for goal in goals_of(found[key])]


def rows_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures of one condition, named."""
    for key, rows in (("verdicts", verdicts.rows_of), ("tails", tails.rows_of)):
        if found[key]:
            yield from rows(found[key])
    if found["rules"]:
        yield from blocks.rows_of(found["rules"], found["verdicts"])
    for key, rows in (("tools", tools.rows_of), ("reports", reports.rows_of)):
        if found[key]:
            yield from rows(found[key])


def show(conditions: Sequence[dict[str, Any]]) -> None:
    """All conditions with their goals."""
    for found in conditions:
        few = "" if found["enough_runs"] else f" (too few for a judgement: {RUNS_WANTED} are wanted, mind the bounds)"
        beside = f"{found['hogs']} CPU hogs" + (f", {found['note']}" if found["note"] else "")
        print(f"machine {safe(found['machine'])}, {beside}, {found['runs']} runs{few}")
        for name, text in rows_of(found):
            print(f"  {name:42} {text}")
        for goal in goals(found):
            print(f"  {goal.state:14} {goal.words}")
        print()


def exit_status(conditions: Sequence[dict[str, Any]]) -> int:
    """As the module says."""
    told = [goal.met for found in conditions for goal in goals(found)]
    if False in told:
        return 1
    few = any(not found["enough_runs"] for found in conditions if found["verdicts"])
    return 3 if None in told or few else 0


# ---- running ----


@contextlib.contextmanager
def hogs_running(count: int) -> Iterator[None]:
    """Processes that do nothing but use a CPU, ended by their ids on the way out; they also end when this process is
    gone."""
    processes = [subprocess.Popen([sys.executable, "-S", "-c", HOG]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def run_make(options: argparse.Namespace, path: Path, *scenarios: str | Path) -> None:
    """One run into `path`; RunFailed when it left nothing to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = [str(options.program), "run", *map(str, scenarios), "--profile", options.profile, "--no-report", "--quiet"]
    words += ["--out", str(path)]
    if options.directory is not None:
        words += ["--directory", str(options.directory)]
    done = subprocess.run(words, capture_output=True)
    if done.returncode not in (0, 5):
        raise RunFailed(
            f"faultline run: status {done.returncode}: {safe(done.stderr.decode(errors='replace').strip())}"
        )


def blocks_make(options: argparse.Namespace, folder: Path) -> None:
    """A set of blocks, in a drawn order."""
    runs = blocks.runs_of(folder)
    for path, scenario, arm in sample(runs, len(runs)):
        run_make(options, path, scenario, "--arms", arm)


def line_add(path: Path, line: dict[str, Any]) -> None:
    """One line more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line, allow_nan=False) + "\n")


def machine_of(program: Path) -> str:
    """The fingerprint, as manifests have it."""
    return str(json.loads(tools.called([program, "machine", "--json"]))["hash"])


def tools_make(options: argparse.Namespace, folder: Path) -> None:
    """A round of the tools."""
    machine = machine_of(options.program)
    with tempfile.TemporaryDirectory(prefix="faultline-tools-", dir=options.directory or "/var/tmp") as made:
        ground = tools.ground_make(options.program, options.tests, options.sources, Path(made))
        missing = {"hyperfine", "fio", "Google Benchmark"} - set(tools.tools_here(ground))
        if missing:
            print(f"selfbench: not installed: {', '.join(sorted(missing))} (scripts/setup --tools)", file=sys.stderr)
        for line in tools.round_make(ground):
            line_add(folder / TOOL_LINES, {**line, "machine": machine})


def reports_make(options: argparse.Namespace, folder: Path) -> None:
    """Two runs, reported and compared; only the times are kept."""
    machine = machine_of(options.program)
    with tempfile.TemporaryDirectory(prefix="faultline-reports-", dir=options.directory or "/var/tmp") as made:
        base, candidate = Path(made) / "base", Path(made) / "candidate"
        for path in (base, candidate):
            run_make(options, path, reports.SCENARIO)
        line = reports.times_of(options.program, base, candidate, Path(made) / "compared")
        line_add(folder / REPORT_LINES, {**line, "machine": machine})


def parts_make(options: argparse.Namespace, folder: Path, stamp: str) -> None:
    """What was asked for, once."""
    if "verdicts" in options.parts:
        run_make(options, folder / stamp, verdicts.SCENARIO, verdicts.FLOOR)
    if "tails" in options.parts:
        run_make(options, folder / f"{stamp}-tails", tails.STALL, tails.MAPPED)
    if "rules" in options.parts:
        blocks_make(options, folder / f"{stamp}-blocks")
    if "tools" in options.parts:
        tools_make(options, folder)
    if "reports" in options.parts:
        reports_make(options, folder)


def runs_make(options: argparse.Namespace, folder: Path) -> None:
    """The runs asked for, one after the other."""
    condition = f"hogs-{options.hogs}" + (f"-{options.note}" if options.note else "")
    with hogs_running(options.hogs):
        for k in range(options.runs):
            stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            words = f"{condition}, {', '.join(options.parts)}"
            print(f"selfbench: run {k + 1} of {options.runs}, {words}", file=sys.stderr)
            parts_make(options, folder / condition, f"{stamp}-{os.getpid()}-{k}")


# ---- reading ----


def run_read(path: Path, place: tuple[int, str], into: dict[Condition, Found]) -> None:
    """A run of verdicts or tails; one that was cut short is named and left out."""
    run = run_load(path)
    if run.manifest.stopped in (None, "interrupted"):
        print(f"selfbench: {safe(path)} was cut short and is left out", file=sys.stderr)
        return
    found = into[Condition(run.manifest.machine or "unknown", *place)]
    if verdicts.SCENARIO in run.manifest.scenarios:
        found.verdicts.append(verdicts.data_of(run, path.name))
    else:
        found.tails.append(tails.data_of(run, path.name))


def lines_read(path: Path, schema: str) -> list[dict[str, Any]]:
    """The lines of a file, none where there is no file; RecordsError at one that is not of this schema."""
    found = []
    texts = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or line.get("schema") != schema or not isinstance(line.get("machine"), str):
            raise RecordsError(f"{path}:{number}: no line of {schema}")
        found.append(line)
    return found


def condition_read(folder: Path, into: dict[Condition, Found]) -> None:
    """All that lies in the folder of one number of hogs and note."""
    hogs, _, note = folder.name.removeprefix("hogs-").partition("-")
    place = (int(hogs), note)
    for path in sorted(folder.glob("*/manifest.json")):
        run_read(path.parent, place, into)
    for path in sorted(folder.glob("*-blocks")):
        one = blocks.set_read(path)
        if one is None:
            print(f"selfbench: {safe(path)} was cut short and is left out", file=sys.stderr)
        else:
            into[Condition(one.machine, *place)].sets.append(one)
    for line in lines_read(folder / TOOL_LINES, tools.SCHEMA):
        into[Condition(line["machine"], *place)].tool_lines.append(line)
    for line in lines_read(folder / REPORT_LINES, reports.SCHEMA):
        into[Condition(line["machine"], *place)].report_lines.append(line)


def runs_read(folder: Path) -> dict[Condition, Found]:
    """All that lies below `folder`/hogs-N/ and `folder`/hogs-N-NOTE/."""
    found: dict[Condition, Found] = defaultdict(Found)
    for path in sorted(folder.glob("hogs-*")):
        if re.fullmatch(r"hogs-\d+(-[a-z0-9]+)?", path.name):
            condition_read(path, found)
    return dict(found)


def conditions_of(runs: dict[Condition, Found]) -> list[dict[str, Any]]:
    """Figures of each condition."""
    return [figures(condition, runs[condition]) for condition in sorted(runs)]


# ---- the command ----


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/selfbench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--program", type=Path, required=True, help="the faultline program (scripts/selfbench gives it)"
    )
    for part in PARTS:
        parser.add_argument(f"--{part}", dest="parts", action="append_const", const=part, help="see above")
    parser.add_argument(
        "--runs", type=int, default=RUNS_WANTED, help=f"runs to make (default: {RUNS_WANTED}; 0: only read)"
    )
    parser.add_argument("--hogs", type=int, default=0, help="processes that use a CPU each meanwhile (default: 0)")
    parser.add_argument(
        "--note", default="", metavar="WORD", help="what else the machine is doing: a condition of its own"
    )
    parser.add_argument(
        "--append", type=Path, metavar="DIR", help="keep the runs here, and count those that are here already"
    )
    parser.add_argument("--profile", default="standard", help="profile of the runs (default: standard)")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where the file under test is made")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    options = parser.parse_args(argv)
    options.parts = options.parts or ["verdicts", "tails"]
    options.program = options.program.resolve()
    options.tests = options.program.parent / "tests"
    options.sources = Path(__file__).resolve().parents[2] / "tests" / "programs"
    if options.runs < 0 or options.hogs < 0 or (options.runs == 0 and options.append is None):
        parser.error("--runs and --hogs cannot be negative, and --runs 0 needs --append")
    if options.note and not NOTE.fullmatch(options.note):
        parser.error("--note is one word of small letters and digits")
    return options


def signals_end() -> None:
    """SIGTERM and SIGHUP end this program the way an interrupt does, past every `finally`."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def bench(options: argparse.Namespace, folder: Path) -> int:
    """Makes the runs, reads all there are, and says what came of them."""
    interrupted = False
    try:
        runs_make(options, folder)
    except KeyboardInterrupt:
        interrupted = True
    runs = runs_read(folder)
    if not runs:
        raise RunFailed("not one complete run")
    conditions = conditions_of(runs)
    show(conditions)
    if options.json:
        text = json.dumps({"schema": "faultline.selfbench/2", "conditions": conditions}, indent=1, allow_nan=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 130 if interrupted else exit_status(conditions)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    options = arguments(argv)
    signals_end()
    try:
        if options.append is not None:
            return bench(options, options.append)
        with tempfile.TemporaryDirectory(prefix="faultline-selfbench-") as folder:
            return bench(options, Path(folder))
    except (RunFailed, tools.ToolFailed, reports.ReportFailed, subprocess.TimeoutExpired) as error:
        print(f"selfbench: {safe(error)}", file=sys.stderr)
        return 5
    except (RecordsError, OSError) as error:
        print(f"selfbench: {safe(error)}", file=sys.stderr)
        return 7


if __name__ == "__main__":
    sys.exit(main())
