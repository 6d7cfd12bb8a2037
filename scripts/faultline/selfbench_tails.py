# SPDX-License-Identifier: MIT
"""Tails, and the ratio of a mapping to pread: what runs of selfbench/stall and selfbench/map-or-read come to.

One arm of selfbench/stall waits 100 us after one of 10 000 operations. The verdict on its 99.99 % quantile has to tell
it, and must not tell anything of the null arm, which is judged as if it were an ordinary one. From the null arm comes
also whether intervals of the 99.9 % quantile cover the truth.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np

from faultline import latency, stats, verdict
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
    percent,
    share,
    spelled,
    within,
)
from faultline.records import Run
from faultline.selfbench_verdicts import SIMULATIONS, Margin
from faultline.stats import Interval
from faultline.text import safe
from faultline.verdict import ArmResult, CellResult, Quantile, Quantity

STALL, MAPPED = "selfbench/stall", "selfbench/map-or-read"
STALL_NS = 100_000
SMALL_BYTES = 512 << 10  # what a core has in its own caches
TOLD_BY, COVERED = "p99.99", "p99.9"  # quantiles
MARGINS = (0.25, 0.01)  # δ: for tails, whose null arm differs by many percent where others run; and what is usual


@dataclass(frozen=True)
class StallCell:
    """One cell of selfbench/stall in one run. found, alarms: verdict on the stalled and the null arm, by δ of MARGINS.

    slow: operations of 100 us and more, in a million, of the baseline, the stalled arm and the null arm. null_logs:
    [trials] log ratio of the null arm's 99.9 % quantile to the baseline's; tail_ns: [trials] that of the baseline.
    """

    found: dict[float, str | None]
    alarms: dict[float, str | None]
    slow: tuple[float, float, float]
    null_logs: np.ndarray
    null_interval: Interval | None
    tail_ns: np.ndarray


@dataclass(frozen=True)
class Mapped:
    """A cell of selfbench/map-or-read in one run: log ratio of the mapping to pread, and whether that set is small."""

    log: float
    is_small: bool


@dataclass(frozen=True)
class TailData:
    """What one run contributes, by cell."""

    name: str
    stalls: dict[str, StallCell]
    mapped: dict[str, Mapped]


# ---- one run ----


def quantile_of(arm: ArmResult | None, name: str) -> Quantile | None:
    """A latency quantile of an arm; None without one."""
    return next((q for q in arm.quantiles if q.name == name), None) if arm is not None else None


def quantity_of(arm: ArmResult | None, name: str) -> Quantity | None:
    """The ratio of an arm's quantile to the baseline's; None without one."""
    found = quantile_of(arm, name)
    return found.ratio if found is not None else None


def slow_share(arm: ArmResult | None) -> float:
    """Operations of the latency pass that took 100 us or more, in a million; NaN without any. The bucket that holds
    100 us begins less than 1 % below it."""
    parts = [t.histogram for t in arm.trials if t.histogram is not None] if arm is not None else []
    whole = latency.merge(parts)
    if whole is None:
        return math.nan
    first = latency.bucket_of(STALL_NS, whole.sub_bits)
    return 1e6 * float(whole.count[whole.index >= first].sum()) / latency.operations(whole)


def told(arms: Sequence[ArmResult | None], margin: float) -> list[str | None]:
    """What the rule of verdicts says of the 99.99 % quantile of an arm of each cell, as a family of its own."""
    judged = {
        i: Quantity(ratio.logs, ratio.interval)
        for i, arm in enumerate(arms)
        if (ratio := quantity_of(arm, TOLD_BY)) is not None
    }
    if judged:
        verdict.family_decide([(Margin(margin), quantity) for quantity in judged.values()])
    return [judged[i].verdict if i in judged else None for i in range(len(arms))]


def stalled_of(cell: CellResult) -> ArmResult | None:
    """The arm with stalls."""
    return next((arm for arm in cell.arms if arm.plan.params.get("stalls") and arm.competes), None)


def stall_cells(cells: Sequence[CellResult]) -> dict[str, StallCell]:
    """The cells of selfbench/stall."""
    found = {delta: told([stalled_of(cell) for cell in cells], math.log1p(delta)) for delta in MARGINS}
    alarms = {delta: told([cell.null for cell in cells], math.log1p(delta)) for delta in MARGINS}
    made = {}
    for i, cell in enumerate(cells):
        null, base = quantity_of(cell.null, COVERED), quantile_of(cell.arms[0], COVERED)
        made[cell.plan.cell] = StallCell(
            {delta: said[i] for delta, said in found.items()},
            {delta: said[i] for delta, said in alarms.items()},
            (slow_share(cell.arms[0]), slow_share(stalled_of(cell)), slow_share(cell.null)),
            null.logs if null is not None else np.array([]),
            null.interval if null is not None else None,
            np.array(list(base.by_trial.values())) if base is not None else np.array([]),
        )
    return made


def data_of(run: Run, name: str) -> TailData:
    """A complete run's contribution."""
    results = verdict.conclude(run)
    mapped = {
        cell.plan.cell: Mapped(arm.ratio.interval.estimate, cell.plan.params["working_set_bytes"] <= SMALL_BYTES)
        for cell in results.cells
        if cell.scenario.name == MAPPED
        for arm in cell.arms
        if arm.competes and arm.ratio is not None and arm.ratio.interval is not None
    }
    return TailData(name, stall_cells([c for c in results.cells if c.scenario.name == STALL]), mapped)


# ---- figures over runs ----


def simulated(cells: Sequence[tuple[str, StallCell]]) -> dict[str, dict[str, Any]]:
    """Coverage of intervals of the 99.9 % quantile over trials drawn from all runs: of its ratio, and of its time."""
    ratios, times = defaultdict(list), defaultdict(list)
    for name, cell in cells:
        ratios[name].append(cell.null_logs)
        times[name].append(cell.tail_ns)
    sizes = [cell.null_logs.size for _, cell in cells if cell.null_logs.size]
    each = int(np.median(sizes)) if sizes else 0
    return {
        key: coverage_drawn([np.concatenate(pool) for pool in pools.values()], each, interval_of, SIMULATIONS)
        for key, pools, interval_of in (
            ("ratio", ratios, stats.hodges_lehmann),
            ("time", times, stats.median_interval),
        )
    }


def mapped_spread(runs: Sequence[TailData]) -> dict[str, Any]:
    """How the ratio of a mapping to pread moves from run to run, by cell."""
    by_cell: dict[str, list[float]] = defaultdict(list)
    small = {name for run in runs for name, one in run.mapped.items() if one.is_small}
    for run in runs:
        for name, one in run.mapped.items():
            by_cell[name].append(one.log)
    cells = {name: {"ratio": math.exp(float(np.median(v))), **deviation(v)} for name, v in by_cell.items()}
    known = {name: d["sd"] for name, d in cells.items() if d["sd"] is not None}
    return {
        "cells": cells,
        "worst": max(known.values(), default=None),
        "worst_small": max((sd for name, sd in known.items() if name in small), default=None),
    }


def middle(values: Sequence[float]) -> float | None:
    """The median of what is known; None for nothing."""
    kept = [v for v in values if math.isfinite(v)]
    return float(np.median(kept)) if kept else None


def figures(runs: Sequence[TailData]) -> dict[str, Any]:
    """Everything of one condition."""
    named = [(name, cell) for run in runs for name, cell in run.stalls.items()]
    cells = [cell for _, cell in named]
    wrong = (verdict.FASTER, verdict.SLOWER)
    drawn = simulated(named)
    return {
        "runs": len(runs),
        "stall_found": {
            f"{delta:g}": share(sum(cell.found[delta] == verdict.SLOWER for cell in cells), len(cells))
            for delta in MARGINS
        },
        "stall_absent": {
            f"{delta:g}": share(
                sum(cell.alarms[delta] in wrong for cell in cells),
                sum(cell.alarms[delta] is not None for cell in cells),
            )
            for delta in MARGINS
        },
        "slow_per_million": {
            name: middle([cell.slow[i] for cell in cells]) for i, name in enumerate(("baseline", "stalled", "null"))
        },
        "tail_coverage": {"null": coverage([covers(cell.null_interval, 0.0) for cell in cells]), **drawn},
        "mapped": mapped_spread(runs),
    }


def goals_idle(found: dict[str, Any]) -> list[Goal]:
    """What is to hold on a machine that does nothing else."""
    key = f"{MARGINS[0]:g}"
    present, absent = found["stall_found"][key], found["stall_absent"][key]
    return [
        Goal(
            f"a stall of 100 us in 1 of 10 000 operations is found by {TOLD_BY} in at least 95 %",
            within(present["share"], 0.95, 1),
        ),
        Goal("no stall is found where there is none", absent["k"] == 0 if absent["n"] else None),
        *(
            Goal(f"intervals of {COVERED} ({key}) cover in 92 to 98 %", covered_within(value, 0.92, 0.98))
            for key, value in found["tail_coverage"].items()
        ),
        Goal(
            "the ratio of a mapping to pread varies by at most 1 % in cells of 512 KiB",
            within(found["mapped"]["worst_small"], 0, 0.01),
        ),
        Goal(
            "the ratio of a mapping to pread varies by at most 1 % in every cell",
            within(found["mapped"]["worst"], 0, 0.01),
        ),
    ]


# ---- what people read ----


def rows_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures of one condition, named."""
    yield "runs of the tails", str(found["runs"])
    yield "stall of 100 us in 1 of 10 000", f"judged by {TOLD_BY}"
    for words, key in (("  found", "stall_found"), ("  found where there is none", "stall_absent")):
        for delta, value in found[key].items():
            yield f"{words}, δ = {spelled(float(delta))}", counted(value)
    slow = ", ".join(f"{name} {value:.0f}" for name, value in found["slow_per_million"].items() if value is not None)
    yield "  operations of 100 us in a million", slow or "–"
    for key, value in found["tail_coverage"].items():
        words = f"95 % interval of {COVERED} covers: {key}"
        yield words, counted(value) if value["n"] else f"not known: it takes {POOL_LEAST} trials to draw from"
    for name, value in found["mapped"]["cells"].items():
        spread = f"sd between runs {bounded(value, 'sd', 2)} (n {value['n']} runs, {safe(name)})"
        yield f"mapping ÷ pread {value['ratio']:.3f}", spread
    yield "  in the worst cell of 512 KiB", percent(found["mapped"]["worst_small"])
    yield "  in the worst cell", percent(found["mapped"]["worst"])
