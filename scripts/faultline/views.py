# SPDX-License-Identifier: MIT
"""Scenarios in which memory is mapped twice: whether the second view uses the same cache line, and at what price."""

from __future__ import annotations

from typing import Iterable, Sequence

from faultline.stats import Interval
from faultline.text import ratio, time
from faultline.verdict import ArmResult, CellResult

FAR = 3.0  # times as quick as a line from memory, at least: then it did not come from memory
LOADS, FETCHES = "alias_load", "flushed_load"  # methods: loads in turns, and of lines that were brought back


def arm_of(cell: CellResult, method: str, through: str) -> ArmResult | None:
    """The arm of a cell that does this, None where it has none or its time has no interval."""
    found = (a for a in cell.arms if not a.plan.is_null and a.plan.method == method)
    arm = next((a for a in found if a.plan.params.get("through") == through), None)
    known = arm is not None and arm.ns_per_op is not None and arm.ns_per_op.low is not None
    return arm if known and not cell.invalid else None


def is_same_line(cell: CellResult) -> bool | None:
    """Whether a line that was brought back through the first view was there for the second: True where it came FAR
    quicker than one that nobody has brought back, False where it took as long, by the intervals; None: neither, or not
    measured."""
    fetched, memory = arm_of(cell, FETCHES, "other"), arm_of(cell, FETCHES, "copy")
    if fetched is None or memory is None:
        return None
    one, other = fetched.ns_per_op, memory.ns_per_op
    assert one is not None and other is not None and one.high is not None and other.low is not None
    if one.high * FAR < other.low:
        return True
    return False if one.high >= other.low else None


def between(intervals: Iterable[Interval]) -> str:
    """ "7.32 ns to 11.1 ns": the least and the largest estimate."""
    values = sorted(interval.estimate for interval in intervals)
    low, high = time(values[0]), time(values[-1])
    return low if low == high else f"{low} to {high}"


def times(cells: Sequence[CellResult], through: str) -> str:
    """What the lines that were flushed take, over these cells."""
    arms = [arm_of(cell, FETCHES, through) for cell in cells]
    return between(arm.ns_per_op for arm in arms if arm is not None and arm.ns_per_op is not None)


def line_sentence(cells: Sequence[CellResult]) -> str | None:
    """The answer, in one sentence; None where it was not asked."""
    asked = [cell for cell in cells if arm_of(cell, FETCHES, "other") and arm_of(cell, FETCHES, "copy")]
    if not asked:
        return None
    answers = [is_same_line(cell) for cell in asked]
    what = (
        f"a line that the first view has brought back takes {times(asked, 'other')} through the second, one that "
        f"nobody has brought back {times(asked, 'copy')}"
    )
    if all(answers):
        return f"The second view uses the same cache line: {what}."
    if all(answer is False for answer in answers):
        return f"The second view does not use the same cache line: {what}."
    told = f"in {answers.count(True)} of {len(answers)} cells it does, in {answers.count(False)} it does not"
    return f"Whether the second view uses the same cache line cannot be told of all distances ({told}): {what}."


def hash_of(cell: CellResult) -> float | None:
    """1 where the way hashes of both addresses are equal, 0 where they differ, None where the CPU is not known to have
    one."""
    arm = arm_of(cell, LOADS, "other")
    return arm.counts_per_op.get("occurred") if arm is not None else None


def price_sentence(cells: Sequence[CellResult]) -> str | None:
    """What loads in turns through both views take beside those through one: by whether the way hashes are equal, where
    that is known. None where it was not measured."""
    words = {0.0: " where the way hashes of the two addresses differ", 1.0: " where they are equal", None: ""}
    parts = []
    for value, where in words.items():
        arms = [arm_of(cell, LOADS, "other") for cell in cells if hash_of(cell) == value]
        ratios = [a.ratio.interval.exp() for a in arms if a is not None and a.ratio is not None and a.ratio.interval]
        if ratios:
            least, most = (ratio(end(r.estimate for r in ratios)) for end in (min, max))
            parts.append((least if least == most else f"{least} to {most}") + f" times{where}")
    if not parts:
        return None
    return f"Loads through two views of a line in turns, by the time of loads through one view: {', '.join(parts)}."


def sentences(cells: Sequence[CellResult]) -> list[str]:
    """The answers where the scenario asks."""
    return [found for found in (line_sentence(cells), price_sentence(cells)) if found is not None]
