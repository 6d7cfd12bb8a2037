# SPDX-License-Identifier: MIT
"""Test the instrument against itself: runs of identical arms and of arms with known extra work, and what came of them.

Every run measures the scenario selfbench/self-bench (a baseline, its duplicate, and the same work with 2 % and 5 % more
of it, in 12 cells) and the harness's own loop. From all runs of one condition follow: false alarms, how often the extra
work is found and how large it seems, whether the nominal 95 % interval covers the truth, how the null ratio moves from
run to run, what the slot within a round does, and what the harness costs. Every figure comes with its n and its bounds
(Clopper–Pearson for shares, χ² for standard deviations, Hodges–Lehmann for sizes; 95 %).

Exit status: 0 the goals are met; 1 one is missed; 3 none is, but there are too few runs to tell; 5 a run failed; 7
unreadable. Under hogs there are no goals.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats as distributions

from faultline import derive, stats, verdict
from faultline.records import RecordsError, Trial, run_load
from faultline.stats import Interval
from faultline.text import safe
from faultline.verdict import CellResult, Quantity

SCENARIO, FLOOR = "selfbench/self-bench", "floor/null"
RUNS_WANTED = 20
SIMULATIONS = 3000  # intervals, over all cells: a share of 95 % is known to ± 0.8 %
POOL_LEAST = 60  # values a cell's spread must rest on before anything is drawn from it
HOG = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(100000):\n        pass\n"


class RunFailed(Exception):
    """A run ended without results; the text says why."""


@dataclass(frozen=True)
class Surplus:
    """An arm with known extra work, in one cell of one run."""

    share: float
    verdict: str | None
    interval: Interval | None


@dataclass(frozen=True)
class CellData:
    """One cell of one run. null_logs: [trials] log ratio of two identical arms."""

    null_logs: np.ndarray
    null_interval: Interval | None
    null_verdict: str | None
    invalid: bool
    surplus: tuple[Surplus, ...]


@dataclass(frozen=True)
class RunData:
    """What one run contributes. slots: [processes, slots] log time in the slot ÷ time over all slots."""

    name: str
    machine: str
    hogs: int
    grade: str | None
    cells: dict[str, CellData]
    slots: np.ndarray
    null_ns: tuple[float, ...]
    empty_ns: tuple[float, ...]


# ---- one run ----


def null_verdicts(cells: Sequence[CellResult]) -> list[str | None]:
    """What the rule of verdicts says of the null arms, were they ordinary ones: a family of their own; None without
    one."""
    judged = [
        (dataclasses.replace(c, invalid=[]), Quantity(c.null.ratio.logs, c.null.ratio.interval))
        for c in cells
        if c.null is not None and c.null.ratio is not None
    ]
    if judged:
        verdict.family_decide(judged)
    found = iter(judged)
    return [next(found)[1].verdict if c.null is not None and c.null.ratio is not None else None for c in cells]


def surplus_of(cell: CellResult) -> tuple[Surplus, ...]:
    """The arms with extra work; an arm without a ratio stays in, as not found."""
    return tuple(
        Surplus(float(arm.plan.params["surplus"]), arm.verdict, arm.ratio.interval if arm.ratio else None)
        for arm in cell.arms
        if arm.competes and arm.plan.params.get("surplus")
    )


def slot_effect(trials: Sequence[Trial]) -> np.ndarray:
    """log(time in each slot ÷ time over the round) of one process [slots]: median over rounds, mean over arms and
    cells.

    Every batch is compared with the mean of its own round, so that what moves whole rounds is not taken for a slot.
    """
    rows = []
    for trial in trials:
        if any(arm.status != "ok" for arm in trial.arms):
            continue
        logs = np.log(np.array([arm.batch_ns for arm in trial.arms]))
        logs -= logs.mean(axis=0)
        for arm, mine in zip(trial.arms, logs):
            medians = [derive.median_or_none(mine[arm.order == s]) for s in range(len(trial.arms))]
            if all(m is not None for m in medians):
                rows.append(np.array(medians, dtype=float) - np.mean(medians))  # type: ignore[arg-type]
    return np.mean(rows, axis=0) if rows else np.array([])


def slots_of(trials: Sequence[Trial]) -> np.ndarray:
    """slot_effect of each process [processes, slots]."""
    by_process: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_process[trial.process].append(trial)
    rows = [row for row in map(slot_effect, by_process.values()) if row.size]
    return np.array(rows)


def run_read(path: Path, hogs: int) -> RunData | None:
    """A run's contribution; None when it was cut short."""
    run = run_load(path)
    if run.manifest.stopped in (None, "interrupted"):
        return None
    results = verdict.conclude(run)
    cells = [c for c in results.cells if c.scenario.name == SCENARIO]
    data = {}
    for cell, null in zip(cells, null_verdicts(cells)):
        ratio = cell.null.ratio if cell.null is not None else None
        data[cell.plan.cell] = CellData(
            ratio.logs if ratio else np.array([]),
            ratio.interval if ratio else None,
            null,
            bool(cell.invalid),
            surplus_of(cell),
        )
    floor = [
        t.ns_per_op
        for c in results.cells
        if c.scenario.name == FLOOR
        for t in c.arms[0].trials
        if t.ns_per_op is not None
    ]
    empty = {t.process: float(t.clock["empty_batch_ns"]) for t in run.trials}
    own = [t for t in run.trials if t.scenario == SCENARIO]
    return RunData(
        path.name,
        run.manifest.machine or "unknown",
        hogs,
        results.grade,
        data,
        slots_of(own),
        tuple(floor),
        tuple(empty.values()),
    )


# ---- figures over runs ----


def share(k: int, n: int) -> dict[str, Any]:
    """k of n with its Clopper–Pearson bounds."""
    if n == 0:
        return {"k": 0, "n": 0, "share": None, "low": None, "high": None}
    low = float(distributions.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(distributions.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {"k": k, "n": n, "share": k / n, "low": low, "high": high}


def deviation(values: Sequence[float]) -> dict[str, Any]:
    """Standard deviation with its χ² bounds (for values that are about normal); null below two values."""
    n = len(values)
    if n < 2:
        return {"sd": None, "low": None, "high": None, "n": n}
    sd = float(np.std(values, ddof=1))
    low, high = (sd * math.sqrt((n - 1) / distributions.chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    return {"sd": sd, "low": low, "high": high, "n": n}


def size(logs: Sequence[float]) -> dict[str, Any]:
    """Hodges–Lehmann of log ratios as a relative difference."""
    if not len(logs):
        return {"estimate": None, "low": None, "high": None, "n": 0}
    interval = stats.hodges_lehmann(logs)
    made = {
        key: None if value is None else math.expm1(value)
        for key, value in (("estimate", interval.estimate), ("low", interval.low), ("high", interval.high))
    }
    return {**made, "n": len(logs)}


def nanoseconds(values: Sequence[float]) -> dict[str, Any]:
    """Median with its order-statistic interval."""
    if not len(values):
        return {"estimate": None, "low": None, "high": None, "n": 0}
    interval = stats.median_interval(values)
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "n": len(values)}


def covers(interval: Interval | None, truth: float) -> bool | None:
    """Whether an interval holds the truth; None where there is no interval."""
    if interval is None or interval.low is None or interval.high is None:
        return None
    return interval.low <= truth <= interval.high


def coverage(judged: Sequence[bool | None]) -> dict[str, Any]:
    """Share of the intervals that cover."""
    known = [j for j in judged if j is not None]
    return share(sum(known), len(known))


def coverage_simulated(runs: Sequence[RunData], simulations: int = SIMULATIONS, seed: int = 1) -> dict[str, Any]:
    """Coverage of intervals over trials drawn from each cell's own null log ratios, whose centre is then the truth.

    Trials of all runs are put together, centred on their Hodges–Lehmann estimate, and drawn with replacement, as many
    as a run has. Cells with too few values to draw from are left out.
    """
    rng = np.random.default_rng(seed)
    ids = sorted({cell for run in runs for cell in run.cells})
    pools = [np.concatenate([run.cells[c].null_logs for run in runs if c in run.cells]) for c in ids]
    pools = [p - stats.hodges_lehmann(p).estimate for p in pools if p.size >= POOL_LEAST]
    sizes = [cell.null_logs.size for run in runs for cell in run.cells.values() if cell.null_logs.size]
    if not pools or not sizes:
        return share(0, 0)
    trials, each = int(np.median(sizes)), -(-simulations // len(pools))
    judged = [covers(stats.hodges_lehmann(rng.choice(pool, trials)), 0.0) for pool in pools for _ in range(each)]
    return coverage(judged)


def alarms(runs: Sequence[RunData]) -> dict[str, Any]:
    """What the rule of verdicts made of identical arms."""
    said = [[c.null_verdict for c in run.cells.values() if c.null_verdict is not None] for run in runs]
    wrong = [sum(v in (verdict.FASTER, verdict.SLOWER) for v in verdicts) for verdicts in said]
    total = sum(map(len, said))
    return {
        "null_arms": share(sum(wrong), total),
        "runs": share(sum(map(bool, wrong)), len(runs)),
        "cells_invalid": share(
            sum(c.invalid for run in runs for c in run.cells.values()), sum(len(r.cells) for r in runs)
        ),
        "null_same": share(sum(v == verdict.SAME for verdicts in said for v in verdicts), total),
    }


def power(runs: Sequence[RunData], wanted: float) -> dict[str, Any]:
    """How often extra work of this share was called SLOWER, what else was said, how large it seemed (a value a run)."""
    arms = [[s for c in run.cells.values() for s in c.surplus if math.isclose(s.share, wanted)] for run in runs]
    flat = [s for row in arms for s in row]
    sizes = [float(np.median(e)) for row in arms if (e := [s.interval.estimate for s in row if s.interval is not None])]
    return {
        "found": share(sum(s.verdict == verdict.SLOWER for s in flat), len(flat)),
        "verdicts": dict(Counter(s.verdict or "none" for s in flat)),
        "size": size(sizes),
        "coverage": coverage([covers(s.interval, math.log1p(wanted)) for s in flat]),
    }


def null_spread(runs: Sequence[RunData]) -> dict[str, Any]:
    """How the null ratio moves from run to run: that of a whole run (all cells), and that of single cells."""
    whole = [
        stats.hodges_lehmann(np.concatenate(rows)).estimate
        for run in runs
        if (rows := [c.null_logs for c in run.cells.values() if c.null_logs.size])
    ]
    by_cell: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for name, cell in run.cells.items():
            if cell.null_interval is not None:
                by_cell[name].append(cell.null_interval.estimate)
    cells = {name: deviation(values) for name, values in by_cell.items()}
    known = sorted(((d["sd"], name) for name, d in cells.items() if d["sd"] is not None))
    trials = [float(np.std(c.null_logs, ddof=1)) for run in runs for c in run.cells.values() if c.null_logs.size > 1]
    return {
        "run": deviation(whole),
        "run_bias": size(whole),
        "cell_median": known[len(known) // 2][0] if known else None,
        "cell_worst": {"cell": known[-1][1], **cells[known[-1][1]]} if known else None,
        "trial_median": float(np.median(trials)) if trials else None,
    }


def slots(runs: Sequence[RunData]) -> list[dict[str, Any]]:
    """What each slot within a round does to a batch's time, over processes."""
    widths = {run.slots.shape[1] for run in runs if run.slots.size}
    if len(widths) != 1:
        return []
    rows = np.concatenate([run.slots for run in runs if run.slots.size])
    return [{"slot": s, **size(rows[:, s])} for s in range(rows.shape[1])]


def figures(runs: Sequence[RunData]) -> dict[str, Any]:
    """Everything of one condition."""
    shares = sorted({s.share for run in runs for c in run.cells.values() for s in c.surplus})
    return {
        "machine": runs[0].machine,
        "hogs": runs[0].hogs,
        "runs": len(runs),
        "enough_runs": len(runs) >= RUNS_WANTED,
        "grades": dict(Counter(run.grade or "none" for run in runs)),
        "alarms": alarms(runs),
        "surplus": {f"{s:g}": power(runs, s) for s in shares},
        "coverage": {
            "null": coverage([covers(c.null_interval, 0.0) for run in runs for c in run.cells.values()]),
            "simulated": coverage_simulated(runs),
        },
        "null_spread": null_spread(runs),
        "slots": slots(runs),
        "harness": {
            "null_ns_per_op": nanoseconds([v for run in runs for v in run.null_ns]),
            "empty_batch_ns": nanoseconds([v for run in runs for v in run.empty_ns]),
        },
    }


# ---- goals ----


def within(value: float | None, low: float, high: float) -> bool | None:
    """Whether a figure lies in a range, ends included; None when there is no figure."""
    return None if value is None else low <= value <= high


def goals(found: dict[str, Any]) -> list[tuple[str, bool | None]]:
    """Each goal in words and whether the estimate meets it; None where there is no estimate."""
    rows: list[tuple[str, bool | None]] = [("no run raises a false alarm", found["alarms"]["runs"]["k"] == 0)]
    for key, wanted in (("0.02", 0.95), ("0.05", 0.99)):
        rows.append(
            (
                f"{spelled(float(key))} of extra work is found in at least {spelled(wanted)}",
                within(found["surplus"].get(key, {}).get("found", {}).get("share"), wanted, 1),
            )
        )
    for key, name in (("simulated", "simulated 95 % intervals"), ("null", "95 % intervals of the null arm")):
        rows.append((f"{name} cover in 92 to 98 %", within(found["coverage"][key]["share"], 0.92, 0.98)))
    rows.append(
        ("the null ratio of a run varies by at most 0.2 %", within(found["null_spread"]["run"]["sd"], 0, 0.002))
    )
    rows.append(
        ("the harness costs at most 1 ns an operation", within(found["harness"]["null_ns_per_op"]["estimate"], 0, 1))
    )
    rows.append(("an empty batch takes at most 100 ns", within(found["harness"]["empty_batch_ns"]["estimate"], 0, 100)))
    return rows


# ---- what people read ----


def percent(value: float | None, decimals: int = 2) -> str:
    """A share or relative difference; a dash for none."""
    return "–" if value is None else f"{100 * value:.{decimals}f} %"


def bounded(value: dict[str, Any], key: str, decimals: int = 2) -> str:
    """Estimate and bounds in percent."""
    return f"{percent(value[key], decimals)} [{percent(value['low'], decimals)}, {percent(value['high'], decimals)}]"


def counted(value: dict[str, Any]) -> str:
    """k of n with bounds."""
    return f"{value['k']} of {value['n']}: {bounded(value, 'share')}"


def spelled(value: float) -> str:
    """A share without decimals."""
    return f"{value:.0%}".replace("%", " %")


def timed(value: dict[str, Any]) -> str:
    """Nanoseconds with bounds."""
    known = ["–" if value[key] is None else f"{value[key]:.3f}" for key in ("estimate", "low", "high")]
    return f"{known[0]} [{known[1]}, {known[2]}] (n {value['n']})"


def spread_rows(spread: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The null ratio between runs."""
    yield "null ratio of a run, sd between runs", f"{bounded(spread['run'], 'sd', 3)} (n {spread['run']['n']} runs)"
    yield "null ratio of a run, centre", bounded(spread["run_bias"], "estimate", 3)
    worst = spread["cell_worst"]
    if worst:
        yield "null ratio of a cell, sd between runs", f"{percent(spread['cell_median'], 3)} in the middle cell"
        yield "  in the worst cell", f"{bounded(worst, 'sd', 3)} (n {worst['n']} runs, {safe(worst['cell'])})"
    yield "null ratio of a trial, sd in a cell", f"{percent(spread['trial_median'], 3)} in the middle cell and run"


def surplus_rows(name: str, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Extra work of one size."""
    others = ", ".join(f"{v} {n}" for v, n in sorted(value["verdicts"].items()))
    yield f"{name}, found", f"{counted(value['found'])} ({others})"
    yield f"{name}, seems", f"{bounded(value['size'], 'estimate', 3)} (n {value['size']['n']} runs)"
    yield f"{name}, 95 % interval covers it", counted(value["coverage"])


def rows_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures of one condition, named."""
    yield "noise grades of the runs", ", ".join(f"{g} {n}" for g, n in sorted(found["grades"].items()))
    yield "false alarms, null arms", counted(found["alarms"]["null_arms"])
    yield "false alarms, runs with any", counted(found["alarms"]["runs"])
    yield "cells called INVALID", counted(found["alarms"]["cells_invalid"])
    yield "null arms shown to be the SAME", counted(found["alarms"]["null_same"])
    for key, value in found["surplus"].items():
        yield from surplus_rows(f"{spelled(float(key))} of extra work", value)
    yield "95 % interval of the null covers 1", counted(found["coverage"]["null"])
    simulated = found["coverage"]["simulated"]
    yield "95 % interval covers, simulated", (
        counted(simulated) if simulated["n"] else f"not simulated: no cell has {POOL_LEAST} trials to draw from"
    )
    yield from spread_rows(found["null_spread"])
    for row in found["slots"]:
        yield f"slot {row['slot']} of a round against all", f"{bounded(row, 'estimate', 3)} (n {row['n']} processes)"
    yield "harness, ns an operation", timed(found["harness"]["null_ns_per_op"])
    yield "harness, ns an empty batch", timed(found["harness"]["empty_batch_ns"])


def show(conditions: Sequence[dict[str, Any]]) -> None:
    """All conditions, and the goals where there are no hogs."""
    for found in conditions:
        few = "" if found["enough_runs"] else f" (too few for a judgement: {RUNS_WANTED} are wanted, mind the bounds)"
        print(f"machine {safe(found['machine'])}, {found['hogs']} CPU hogs, {found['runs']} runs{few}")
        for name, text in rows_of(found):
            print(f"  {name:40} {text}")
        for text, met in goals(found) if found["hogs"] == 0 else ():
            print(f"  {'goal met' if met else 'goal not known' if met is None else 'GOAL MISSED':14} {text}")
        print()


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


def run_make(program: Path, path: Path, profile: str, directory: Path | None) -> None:
    """One run of both scenarios into `path`; RunFailed when it left nothing to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    where = [] if directory is None else ["--directory", str(directory)]
    done = subprocess.run(
        [
            str(program),
            "run",
            SCENARIO,
            FLOOR,
            "--profile",
            profile,
            "--no-report",
            "--quiet",
            "--out",
            str(path),
            *where,
        ],
        capture_output=True,
    )
    if done.returncode not in (0, 5):
        raise RunFailed(
            f"faultline run: status {done.returncode}: {safe(done.stderr.decode(errors='replace').strip())}"
        )


def runs_make(program: Path, folder: Path, options: argparse.Namespace) -> None:
    """The runs asked for, one after the other."""
    with hogs_running(options.hogs):
        for k in range(options.runs):
            stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            print(f"selfbench: run {k + 1} of {options.runs}, {options.hogs} hogs", file=sys.stderr)
            run_make(
                program,
                folder / f"hogs-{options.hogs}" / f"{stamp}-{os.getpid()}-{k}",
                options.profile,
                options.directory,
            )


def runs_read(folder: Path) -> list[RunData]:
    """All complete runs below `folder`/hogs-N/."""
    found = []
    for path in sorted(folder.glob("hogs-*/*/manifest.json")):
        data = run_read(path.parent, int(path.parent.parent.name.removeprefix("hogs-")))
        if data is None:
            print(f"selfbench: {safe(path.parent)} was cut short and is left out", file=sys.stderr)
        else:
            found.append(data)
    return found


def conditions_of(runs: Sequence[RunData]) -> list[dict[str, Any]]:
    """Figures for each machine and number of hogs: what was measured under different conditions is not put together."""
    groups: dict[tuple[str, int], list[RunData]] = defaultdict(list)
    for run in runs:
        groups[run.machine, run.hogs].append(run)
    return [figures(groups[key]) for key in sorted(groups)]


def exit_status(conditions: Sequence[dict[str, Any]]) -> int:
    """As the module says."""
    quiet = [found for found in conditions if found["hogs"] == 0]
    told = [met for found in quiet for _, met in goals(found)]
    if False in told:
        return 1
    return 3 if None in told or any(not found["enough_runs"] for found in quiet) else 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/selfbench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--program", type=Path, required=True, help="the faultline program (scripts/selfbench gives it)"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS_WANTED, help=f"runs to make (default: {RUNS_WANTED}; 0: only read)"
    )
    parser.add_argument("--hogs", type=int, default=0, help="processes that use a CPU each meanwhile (default: 0)")
    parser.add_argument(
        "--append", type=Path, metavar="DIR", help="keep the runs here, and count those that are here already"
    )
    parser.add_argument("--profile", default="standard", help="profile of the runs (default: standard)")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where the file under test is made")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    options = parser.parse_args(argv)
    if options.runs < 0 or options.hogs < 0 or (options.runs == 0 and options.append is None):
        parser.error("--runs and --hogs cannot be negative, and --runs 0 needs --append")
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
        runs_make(options.program, folder, options)
    except KeyboardInterrupt:
        interrupted = True
    runs = runs_read(folder)
    if not runs:
        raise RunFailed("not one complete run")
    conditions = conditions_of(runs)
    show(conditions)
    if options.json:
        text = json.dumps({"schema": "faultline.selfbench/1", "conditions": conditions}, indent=1, allow_nan=False)
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
    except RunFailed as error:
        print(f"selfbench: {error}", file=sys.stderr)
        return 5
    except (RecordsError, OSError) as error:
        print(f"selfbench: {safe(error)}", file=sys.stderr)
        return 7


if __name__ == "__main__":
    sys.exit(main())
