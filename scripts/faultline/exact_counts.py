# SPDX-License-Identifier: MIT
"""Counts that repeat exactly, on two sides of a comparison: equality in several trials, and no test."""

from __future__ import annotations

import math
from typing import Mapping, Sequence

import numpy as np

from faultline import schema
from faultline.change_rows import Row
from faultline.pairing import TRIAL, Key, Side
from faultline.records import RecordsError
from faultline.stats import Interval
from faultline.text import count
from faultline.verdict import (
    CANNOT_TELL,
    FASTER,
    INVALID,
    SAME,
    SLOWER,
    ArmResult,
    CellResult,
    too_many,
    trials_text,
)

EQUAL = 1e-12  # relative: counts are whole numbers ÷ operations
TRIALS_LEAST = 3  # a side: where mappings lie is drawn anew for each trial, and some counts depend on it


def exact_names() -> list[str]:
    """The counters that repeat exactly, in order of their names; RecordsError when the schema cannot be used."""
    try:
        return sorted(schema.exact_counters())
    except schema.SchemaError as error:
        raise RecordsError(str(error)) from None


def counts_of(arms: Sequence[ArmResult], name: str) -> list[tuple[int, float]]:
    """The number of each trial of these that knows a count, and the count per operation."""
    return [(t.trial, t.counts_per_op[name]) for arm in arms for t in arm.trials
            if t.status == "ok" and name in t.counts_per_op]


def selection_why(arms: Sequence[ArmResult], name: str, side: str, least: int) -> str | None:
    """Why the trials of a side that know a count cannot speak for it, None when they can: `least` of them must. Trials
    of one number may have been laid out alike, in different runs too (--seed), and count once."""
    known, every = counts_of(arms, name), sum(len(arm.trials) for arm in arms)
    if too_many(every - len(known), every):
        return f"the {side} counted it in {len(known)} of {trials_text(every)}"
    different = len({number for number, _ in known})
    if different < least:
        return f"the {side} has {trials_text(different)} of it; what repeats shows in {least} or more"
    return None


def equal(a: float, b: float) -> bool:
    """Whether two counts per operation are the same."""
    return math.isclose(a, b, rel_tol=EQUAL, abs_tol=0.0)


def counted_row(
    sides: tuple[Side, Side], key: Key, arm: ArmResult, name: str, invalid: str | None, least: int
) -> Row | None:
    """An exact count on both sides; None where neither knows it. invalid: why the cell is, if it is; least:
    trials a side that must know it."""
    arms = [side.arms(key, arm.name) for side in sides]
    values = [[value for _, value in counts_of(one, name)] for one in arms]
    if not values[0] and not values[1]:
        return None
    shown = [Interval(float(np.median(v)), min(v), max(v)) if v else None for v in values]
    row = Row(*key, arm.name, name, *shown, None, CANNOT_TELL, unit=TRIAL, units=(len(values[0]), len(values[1])))
    if shown[0] is None or shown[1] is None:
        row.why = f"the {sides[shown.index(None)].name} did not count it"
        return row
    if shown[0].estimate > 0:
        row.change = Interval(shown[1].estimate / shown[0].estimate)
    elif shown[1].estimate == 0:
        row.change = Interval(1.0)
    row.why = invalid or counted_why(row, arms, name, least)
    if invalid:
        row.verdict = INVALID
    elif row.why is None:
        before, after = shown[0].estimate, shown[1].estimate
        row.verdict = SAME if equal(before, after) else FASTER if after < before else SLOWER
        told = f"exactly {count(before)} and now {count(after)}, in every trial counted"
        row.why = None if row.verdict == SAME else told
    return row


def counted_why(row: Row, arms: Sequence[Sequence[ArmResult]], name: str, least: int) -> str | None:
    """Why a count that should be exact is not evidence here, None when it is."""
    events = [one for side in arms for arm in side for one in arm.counted if one.name == name]
    if any(one.is_partial for one in events):
        return "it was on the CPU's counters for part of the time only"
    if len({(one.event, one.user_only) for one in events}) > 1:
        return "the sides did not count the same event"
    for side, mine, shown in zip(("base", "candidate"), arms, (row.base, row.candidate)):
        assert shown is not None and shown.low is not None and shown.high is not None
        if not equal(shown.low, shown.high):
            return f"it differs between trials of the {side} already: {count(shown.low)} to {count(shown.high)}"
        why = selection_why(mine, name, side, least)
        if why:
            return why
    return None


def counted_rows(
    sides: tuple[Side, Side], cells: Mapping[Key, CellResult], names: Sequence[str], bad: Mapping[Key, str],
    least: int = TRIALS_LEAST,
) -> list[Row]:
    """The exact counts of these cells. bad: the invalid ones, with why; least: trials a side that must know a count."""
    rows = [
        counted_row(sides, key, arm, name, bad.get(key), least)
        for key, cell in cells.items()
        for arm in cell.arms
        if not arm.plan.is_null
        for name in names
    ]
    return [row for row in rows if row is not None]
