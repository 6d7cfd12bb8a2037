# SPDX-License-Identifier: MIT
"""How the ratios of two machines are judged: by their boots where these are enough, else only what their runs say.
docs/statistics.md, "Between machines", has the rules. Logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Sequence

import numpy as np

from faultline import pairing, stats, unpaired
from faultline.board_machines import Machine
from faultline.change_rows import RUN_SPREAD, Pair, Row, few_why, unseen_spread
from faultline.pairing import BOOT, RATIO, Side
from faultline.stats import Interval
from faultline.text import safe
from faultline.verdict import CANNOT_TELL

Sides = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def pair_of(base: np.ndarray, candidate: np.ndarray, margin: float, spread: float = 0.0) -> Pair:
    """Two samples as `faultline compare` compares them; its row has no part in that."""
    return Pair(Row("", "", "", RATIO, None, None, None, CANNOT_TELL), base, candidate, margin, None, spread)


def extremes(runs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of some runs [trials] the ones with the least and the largest median; one of a single run."""
    order = sorted(runs, key=lambda one: float(np.median(one)))
    return [order[0], order[-1]] if len(order) > 1 else order


@dataclass
class MachinePair:
    """The log ratios of an arm on two machines. boots: a value a boot [boots]; runs: of each run its trials' [trials];
    margin: δ on the log scale; unfit: why boots cannot be the units, whatever their number."""

    boots: tuple[np.ndarray, np.ndarray]
    runs: Sides
    margin: float
    unfit: str | None = None

    def why_runs(self, pairs: int) -> str | None:
        """Why the boots can tell nothing in that many comparisons, None when they can."""
        return self.unfit or few_why(*(side.size for side in self.boots), BOOT, pairs)

    @cached_property
    def of_boots(self) -> list[Pair]:
        """The one comparison whose units are boots."""
        return [pair_of(*self.boots, self.margin)]

    @cached_property
    def of_runs(self) -> list[Pair]:
        """The lowest and the highest run of one machine against those of the other one: what is said of the runs has to
        hold for all these, and so needs no correction for their number."""
        sides = [extremes(side) for side in self.runs]
        return [pair_of(a, b, self.margin, unseen_spread(a, b, RUN_SPREAD)) for a in sides[0] for b in sides[1]]


@dataclass(frozen=True)
class Shift:
    """What one level says of two machines: whether boots are its units, and its comparisons."""

    by_boots: bool
    parts: Sequence[Pair]

    @property
    def p(self) -> float:
        """Two-sided p of "they lie within δ": twice the smaller one-sided one, each the largest of all parts."""
        sides = zip(*(part.directions() for part in self.parts))
        return min(1.0, 2 * min(max(side) for side in sides))

    def interval(self, level: float) -> Interval:
        """The change; of several parts the hull of their intervals around the median (no end where one has none)."""
        found = [part.interval(level) for part in self.parts]
        lows = [one.low for one in found if one.low is not None]
        highs = [one.high for one in found if one.high is not None]
        middle = float(np.median([one.estimate for one in found]))
        return Interval(middle, min(lows) if len(lows) == len(found) else None,
                        max(highs) if len(highs) == len(found) else None)

    @property
    def is_together(self) -> bool:
        """Whether all parts surely lie within δ (two one-sided tests at 5 %)."""
        return all(stats.equivalent(part.interval(0.90), part.margin) for part in self.parts)

    def can_fire(self, pairs: int) -> bool:
        """Whether it could tell anything in that many comparisons."""
        return all(unpaired.can_fire(part.base.size, part.candidate.size, pairs) for part in self.parts)


def shift_of(pair: MachinePair, pairs: int) -> Shift:
    """By boots where they could tell anything in that many comparisons, else by runs."""
    by_boots = pair.why_runs(pairs) is None
    return Shift(by_boots, pair.of_boots if by_boots else pair.of_runs)


def boots_unfit(a: Machine, b: Machine) -> str | None:
    """Why the boots of two columns cannot be compared, None when they can. Columns of one machine, which differ in
    their settings, have to take turns as in `faultline compare`; machines of their own need not."""
    lost = [run.name for machine in (a, b) for run in machine.runs if run.boot is None]
    if lost:
        return f"nobody knows the boot of {', '.join(map(safe, lost))}"
    sides = [Side(one.label, one.runs, one.boots) for one in (a, b)]
    if a.place == b.place and not pairing.alternate(*sides):
        return "the boots of the two columns, which are of one machine, did not take turns"
    return None


def unfit_pairs(machines: Sequence[Machine]) -> dict[tuple[int, int], str | None]:
    """The same of every two columns."""
    return {(i, j): boots_unfit(machines[i], machines[j]) for i, j in combinations(range(len(machines)), 2)}
