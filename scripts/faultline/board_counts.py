# SPDX-License-Identifier: MIT
"""The rows of exact counts on a board: compared for equality, an operation and a page. docs/statistics.md, "Between
machines", has the rules."""

from __future__ import annotations

from itertools import combinations
from typing import Sequence

import numpy as np

from faultline import derive
from faultline.board_machines import Machine, MachineDifference, Shared, difference
from faultline.board_rows import AGREE, ALONE, OPEN, PAGE, Apart, BoardRow, Value, apart_why, finding_of, kind_of
from faultline.exact_counts import TRIALS_LEAST, counts_of, equal, selection_why
from faultline.stats import Interval
from faultline.text import count, safe
from faultline.verdict import ArmResult, CellResult


def count_complaint(arms: Sequence[ArmResult], cells: Sequence[CellResult], name: str, found: Interval) -> str | None:
    """Why a machine's count is no evidence although it is marked exact; None when it is."""
    for cell in cells:
        if cell.counts_invalid:
            return "; ".join(cell.counts_invalid)
    if any(one.is_partial for arm in arms for one in arm.counted if one.name == name):
        return "it was on the CPU's counters for part of the time only"
    assert found.low is not None and found.high is not None
    if not equal(found.low, found.high):
        return f"it differs between its trials: {count(found.low)} to {count(found.high)}"
    return selection_why(arms, name, "machine", TRIALS_LEAST)


def count_value(machine: Machine, arms: Sequence[ArmResult], cells: Sequence[CellResult], name: str) -> Value | None:
    """A count per operation of one machine, and per page where operations visit whole ones."""
    values = [value for _, value in counts_of(arms, name)]
    if not values:
        return None
    found = Interval(float(np.median(values)), min(values), max(values))
    arm = next(arm for arm in arms if arm.bytes_per_op is not None) if any(
        arm.bytes_per_op is not None for arm in arms) else arms[0]
    pages = derive.pages_per_op(arm.plan.params, arm.bytes_per_op, machine.page_bytes)
    complaint = count_complaint(arms, cells, name, found)
    return Value(None, complaint, count=found, per_page=found.estimate / pages if pages else None,
                 page_bytes=machine.page_bytes, bytes_per_op=arm.bytes_per_op, runs=len(arms))


def page_rule(name: str, values: Sequence[Value]) -> str | None:
    """What of a count is the same on machines whose pages differ in size, in words: the count a page, or, of bytes, how
    many pages they fill a page. None where neither is, or an operation visits no whole page."""
    each = [(value.per_page, value.page_bytes) for value in values]
    a_page = [of for of, size in each if of is not None and size]
    if len(a_page) < len(values):
        return None
    if all(equal(one, a_page[0]) for one in a_page):
        return f"{count(a_page[0])} a page on all of them"
    parts = [of / size for of, size in each if of is not None and size]
    if name.endswith("_bytes") and all(equal(one, parts[0]) for one in parts):
        pages = "a page" if equal(parts[0], 1.0) else f"{count(parts[0])} pages"
        return f"the bytes of {pages} a page on all of them"
    return None


def page_words(name: str, values: Sequence[Value]) -> str | None:
    """The same, or that there is no such rule; None where an operation visits no whole page."""
    each = [value.per_page for value in values if value.per_page is not None]
    if len(each) < len(values):
        return None
    return page_rule(name, values) or (
        "the page's size alone does not explain it: " + ", ".join(map(count, each)) + " a page")


def count_kind(name: str, a: Value, b: Value, differs: MachineDifference) -> str:
    """What a difference of two exact counts comes from. That it comes from the page's size is known where a rule says
    how; elsewhere there is more to it, and pages, settings and machine cannot be told apart."""
    if not differs.page or not differs.is_known:
        return kind_of(differs)
    return PAGE if page_rule(name, (a, b)) else OPEN


def count_row(shared: Shared, arm: str, name: str, machines: Sequence[Machine]) -> BoardRow | None:
    """An exact count on every machine; None where nobody counted it, or nothing but none."""
    values = [count_value(machine, arms, cells, name)
              for machine, arms, cells in zip(machines, shared.arms[arm], shared.columns)]
    known = [value for value in values if value is not None]
    if not any(value.count is not None and value.count.high for value in known):
        return None
    row = BoardRow(*shared.key, arm, name, values, ALONE)
    bad = [f"{safe(machine.label)}: {safe(value.why)}" for machine, value in zip(machines, values)
           if value is not None and value.why]
    told = {i: v.count.estimate for i, v in enumerate(values) if v is not None and v.count is not None and not v.why}
    if len(told) < 2:
        row.finding = OPEN if len(known) > 1 else ALONE
        row.why = "; ".join(bad) or "only one machine counted it"
        return row
    found = []
    for i, j in combinations(told, 2):
        if not equal(told[i], told[j]):
            differs = difference(machines[i], machines[j], shared.plan.params)
            a, b = values[i], values[j]
            assert a is not None and b is not None
            change = Interval(told[j] / told[i]) if told[i] else None
            found.append(Apart(i, j, count_kind(name, a, b, differs), change, differs))
    row.apart = tuple(found)
    row.finding = finding_of(found, None if bad else AGREE)
    rule = page_words(name, [value for i, value in enumerate(values) if i in told and value is not None])
    why = [apart_why(row, machines)] if found and row.finding != PAGE else []
    why += [rule] if rule and any(one.differs.page for one in found) else []
    row.why = "; ".join([*why, *bad]) or None
    return row
