# SPDX-License-Identifier: MIT
"""Verdicts on identical arms, and on arms with known extra work: what runs of selfbench/self-bench come to.

From all runs of one condition follow: false alarms, how often the extra work is found and how large it seems, whether
the nominal 95 % interval covers the truth, how often identical arms are shown to be the same, how the null ratio moves
from run to run, what the slot within a round does, what the harness costs, and how long a verdict takes.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Iterator, Sequence

import numpy as np

from faultline import derive, stats, verdict
from faultline.bench_figures import (
    POOL_LEAST,
    Goal,
    bounded,
    counted,
    coverage,
    coverage_drawn,
    covered_within,
    covers,
    deviation,
    nanoseconds,
    percent,
    share,
    size,
    spelled,
    timed,
    within,
)
from faultline.records import Run, Trial
from faultline.stats import Interval
from faultline.text import safe
from faultline.verdict import CellResult, Quantity

SCENARIO, FLOOR = "selfbench/self-bench", "floor/null"
RUNS_QUIET = 300  # wanted for "no false alarm"
SIMULATIONS = 3000  # intervals, over all cells: a share of 95 % is known to ± 0.8 %
SAME_WITHIN = {0.02: 0.99, 0.01: 0.90}  # δ, and how often identical arms are to be shown to be the same within it
POWER = {"idle": {0.02: 0.95, 0.05: 0.99}, "two hogs": {0.02: 0.60, 0.05: 0.90}}


@dataclass(frozen=True)
class Margin:
    """What a verdict asks of a cell (verdict.Judged): δ as a margin on the log ratio, and why nothing in it counts."""

    margin: float
    invalid: list[str] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class Surplus:
    """An arm with known extra work, in one cell of one run."""

    share: float
    verdict: str | None
    interval: Interval | None


@dataclass(frozen=True)
class CellData:
    """One cell of one run. null_logs: [trials] log ratio of two identical arms; null_same: the δ of SAME_WITHIN within
    which they were shown to be the same."""

    null_logs: np.ndarray
    null_interval: Interval | None
    null_verdict: str | None
    invalid: bool
    surplus: tuple[Surplus, ...]
    null_same: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunData:
    """What one run contributes. slots: [processes, slots] log time in the slot ÷ time over all slots; seconds_per_cell:
    from its begin to its end."""

    name: str
    grade: str | None
    cells: dict[str, CellData]
    slots: np.ndarray
    null_ns: tuple[float, ...]
    empty_ns: tuple[float, ...]
    seconds_per_cell: float | None


# ---- one run ----


def null_verdicts(cells: Sequence[CellResult], margin: float) -> list[str | None]:
    """What the rule of verdicts says of the null arms, were they ordinary ones, by this margin: a family of their own.
    None where there is none."""
    judged = {
        i: Quantity(c.null.ratio.logs, c.null.ratio.interval)
        for i, c in enumerate(cells)
        if c.null is not None and c.null.ratio is not None
    }
    if judged:
        verdict.family_decide([(Margin(margin), quantity) for quantity in judged.values()])
    return [judged[i].verdict if i in judged else None for i in range(len(cells))]


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


def seconds_per_cell(run: Run) -> float | None:
    """From the begin of a run to its end, ÷ its cells; None where a time is missing."""
    times = (run.manifest.started, run.manifest.ended)
    if not all(times) or not run.manifest.cells:
        return None
    began, ended = (datetime.fromisoformat(str(t).replace("Z", "+00:00")) for t in times)
    return (ended - began).total_seconds() / len(run.manifest.cells)


def data_of(run: Run, name: str) -> RunData:
    """A complete run's contribution."""
    results = verdict.conclude(run)
    cells = [c for c in results.cells if c.scenario.name == SCENARIO]
    said = null_verdicts(cells, cells[0].margin)
    same = {delta: null_verdicts(cells, math.log1p(delta)) for delta in SAME_WITHIN}
    data = {}
    for i, cell in enumerate(cells):
        ratio = cell.null.ratio if cell.null is not None else None
        data[cell.plan.cell] = CellData(
            ratio.logs if ratio else np.array([]),
            ratio.interval if ratio else None,
            said[i],
            bool(cell.invalid),
            surplus_of(cell),
            tuple(delta for delta in SAME_WITHIN if same[delta][i] == verdict.SAME),
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
        name, results.grade, data, slots_of(own), tuple(floor), tuple(empty.values()), seconds_per_cell(run)
    )


# ---- figures over runs ----


def coverage_simulated(runs: Sequence[RunData], simulations: int = SIMULATIONS) -> dict[str, Any]:
    """Coverage of intervals over trials drawn from each cell's own null log ratios of all runs together, as many as a
    run has."""
    ids = sorted({cell for run in runs for cell in run.cells})
    pools = [np.concatenate([run.cells[c].null_logs for run in runs if c in run.cells]) for c in ids]
    sizes = [cell.null_logs.size for run in runs for cell in run.cells.values() if cell.null_logs.size]
    return coverage_drawn(pools, int(np.median(sizes)) if sizes else 0, stats.hodges_lehmann, simulations)


def alarms(runs: Sequence[RunData]) -> dict[str, Any]:
    """What the rule of verdicts made of identical arms; and how often it called more work FASTER."""
    extra = [s for run in runs for c in run.cells.values() for s in c.surplus]
    said = [[c.null_verdict for c in run.cells.values() if c.null_verdict is not None] for run in runs]
    wrong = [sum(v in (verdict.FASTER, verdict.SLOWER) for v in verdicts) for verdicts in said]
    total = sum(map(len, said))
    return {
        "null_arms": share(sum(wrong), total),
        "runs": share(sum(map(bool, wrong)), sum(map(bool, said))),
        "wrong_way": share(sum(s.verdict == verdict.FASTER for s in extra), len(extra)),
        "cells_invalid": share(
            sum(c.invalid for run in runs for c in run.cells.values()), sum(len(r.cells) for r in runs)
        ),
        "null_same": {
            f"{delta:g}": share(sum(delta in c.null_same for run in runs for c in run.cells.values()), total)
            for delta in SAME_WITHIN
        },
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
        "runs": len(runs),
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
        "seconds_per_cell": nanoseconds([r.seconds_per_cell for r in runs if r.seconds_per_cell is not None]),
    }


# ---- goals ----


def goals_power(found: dict[str, Any], condition: str) -> list[Goal]:
    """How often extra work is to be found."""
    return [
        Goal(
            f"{spelled(extra)} of extra work is found in at least {spelled(wanted)}",
            within(found["surplus"].get(f"{extra:g}", {}).get("found", {}).get("share"), wanted, 1),
        )
        for extra, wanted in POWER[condition].items()
    ]


def goal_wrong_way(found: dict[str, Any]) -> Goal:
    """The worst a verdict can be."""
    wrong = found["alarms"]["wrong_way"]
    return Goal("extra work is never called FASTER", wrong["k"] == 0 if wrong["n"] else None)


def goals_loaded(found: dict[str, Any], hogs: int) -> list[Goal]:
    """What is to hold beside CPU hogs."""
    rows = [Goal("at most 1 run in 30 raises a false alarm", within(found["alarms"]["runs"]["share"], 0, 1 / 30))]
    rows.append(goal_wrong_way(found))
    return rows + (goals_power(found, "two hogs") if hogs == 2 else [])


def largest(values: Sequence[float | None]) -> float | None:
    """The largest absolute value; None where there is none or one is missing."""
    return None if not values or None in values else max(abs(v) for v in values if v is not None)


def goals_idle(found: dict[str, Any]) -> list[Goal]:
    """What is to hold on a machine that does nothing else."""
    alarmed = found["alarms"]["runs"]
    rows = [Goal(f"no run raises a false alarm, in {RUNS_QUIET} runs", alarmed["k"] == 0 if alarmed["n"] else None, alarmed["n"],
                 RUNS_QUIET)]
    rows += [goal_wrong_way(found), *goals_power(found, "idle")]
    for delta, wanted in SAME_WITHIN.items():
        proven = found["alarms"]["null_same"][f"{delta:g}"]["share"]
        words = f"identical arms are shown to be the same within {spelled(delta)} in at least {spelled(wanted)}"
        rows.append(Goal(words, within(proven, wanted, 1)))
    for key, name in (("simulated", "simulated 95 % intervals"), ("null", "95 % intervals of the null arm")):
        rows.append(Goal(f"{name} cover in 92 to 98 %", covered_within(found["coverage"][key], 0.92, 0.98)))
    spread, harness = found["null_spread"], found["harness"]
    bias, slot = largest([spread["run_bias"]["estimate"]]), largest([row["estimate"] for row in found["slots"]])
    return rows + [
        Goal("the null ratio of a run varies by at most 0.1 %", within(spread["run"]["sd"], 0, 0.001)),
        Goal("the null ratio is off by at most 0.1 %", within(bias, 0, 0.001)),
        Goal("a slot of a round changes a time by at most 0.1 %", within(slot, 0, 0.001)),
        Goal("the harness costs at most 1 ns an operation", within(harness["null_ns_per_op"]["estimate"], 0, 1)),
        Goal("an empty batch takes at most 100 ns", within(harness["empty_batch_ns"]["estimate"], 0, 100)),
        Goal("a verdict takes at most 5 s a cell", within(found["seconds_per_cell"]["estimate"], 0, 5)),
    ]
# ---- what people read ----


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
    yield "extra work called FASTER", counted(found["alarms"]["wrong_way"])
    yield "cells called INVALID", counted(found["alarms"]["cells_invalid"])
    for key, value in found["alarms"]["null_same"].items():
        yield f"null arms shown to be the SAME within {spelled(float(key))}", counted(value)
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
    yield "from begin to end, s a cell", timed(found["seconds_per_cell"])
