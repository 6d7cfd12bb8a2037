# SPDX-License-Identifier: MIT
"""Scenarios whose arms are the phases of one whole: what share each phase has, and whether they add up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

from faultline import stats
from faultline.stats import Interval
from faultline.text import percent, safe
from faultline.verdict import ArmResult, CellResult

TOLERANCE = 0.05  # by how much the sum of the phases may miss the whole: each was timed in rounds of its own


@dataclass(frozen=True)
class Phases:
    """A cell's phases: the arms, in order, and the sum of their times ÷ the time of the whole; None when no trial has
    them all."""

    cell: CellResult
    arms: tuple[ArmResult, ...]
    sum: Interval | None


def sums(arms: Sequence[ArmResult]) -> list[float]:
    """In each trial that has a ratio of every phase, their sum: dimensionless, 1 when they add up to the whole."""
    by_trial: dict[int, list[float]] = {}
    for arm in arms:
        for trial in arm.trials:
            if trial.log_ratio is not None:
                by_trial.setdefault(trial.trial, []).append(math.exp(trial.log_ratio))
    return [sum(ratios) for ratios in by_trial.values() if len(ratios) == len(arms)]


def phases_of(cell: CellResult) -> Phases | None:
    """The phases of a cell; None where it has fewer than two."""
    arms = tuple(arm for arm in cell.arms if arm.is_phase)
    if len(arms) < 2:
        return None
    whole = sums(arms)
    return Phases(cell, arms, stats.hodges_lehmann(whole) if whole else None)


def share(arm: ArmResult) -> str:
    """ "msync 24 %", the part of the whole that a phase has."""
    assert arm.ratio is not None and arm.ratio.interval is not None
    return f"{safe(arm.name)} {percent(math.exp(arm.ratio.interval.estimate))}"


def together(found: Phases) -> str:
    """The sum of the phases, and whether it is the whole: told only where the interval tells it."""
    if found.sum is None:
        lost = [f"{safe(a.name)} ({safe(a.ratio_reason or a.reason)})" for a in found.arms if a.ratio is None]
        return f"No trial has them all; missing: {', '.join(lost) or 'one or another in each trial'}."
    low, high = found.sum.low, found.sum.high
    if low is None or high is None:
        return f"Together {percent(found.sum.estimate)} of it, from too few trials for an interval."
    text = f"Together {percent(found.sum.estimate)} [{percent(low)}, {percent(high)}] of it: "
    if high < 1 - TOLERANCE or low > 1 + TOLERANCE:
        return text + f"more than {percent(TOLERANCE)} off, so the phases do not explain the whole."
    if low >= 1 - TOLERANCE and high <= 1 + TOLERANCE:
        return text + "the phases explain the whole."
    return text + f"too wide to say whether they add up to within {percent(TOLERANCE)}."


def sentence(found: Phases) -> str:
    """The phases of a cell from the largest, and whether their sum is the whole."""
    whole, cell = safe(found.cell.arms[0].name), safe(found.cell.plan.cell)
    if found.cell.invalid:
        return f"Of {whole} ({cell}): invalid: {safe('; '.join(found.cell.invalid))}."
    known = [arm for arm in found.arms if arm.ratio is not None and arm.ratio.interval is not None]
    ordered = sorted(known, key=lambda arm: -arm.ratio.interval.estimate)  # type: ignore[union-attr]
    return f"Of {whole} ({cell}): {', '.join(map(share, ordered)) or 'nothing is known'}. {together(found)}"


def sentences(cells: Sequence[CellResult]) -> list[str]:
    """One sentence a cell that has phases."""
    found = [phases_of(cell) for cell in cells]
    return [sentence(one) for one in found if one is not None]
