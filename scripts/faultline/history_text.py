# SPDX-License-Identifier: MIT
"""A history as text for a terminal, and as JSON."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any, Iterator, Sequence

from faultline import changes, text
from faultline.history_index import NO_VERSION, Point, Stored, is_judged
from faultline.history_view import Change, Shown, moved, value
from faultline.table import pad
from faultline.text import columns, safe, shorten

HEAD = ("arm", "quantity", "runs", "before", "first", "last", "change", "told")
RIGHT = (False, False, True, True, True, True, True, False)
ARM_MOST = 40
VALUE_MOST = 60
MACHINES_MOST = 3  # names of machines in a heading; more are counted


def day(started: str) -> str:
    """The date and minute of a start."""
    return safe(f"{started[:10]} {started[11:16]}")


def run_words(run: Stored) -> str:
    """A run: when, its commit where it has one, and its id."""
    commit = f", commit {safe(shorten(run.commit, VALUE_MOST))}" if run.commit else ""
    cut = "" if run.is_whole else f" (not finished: {run.finished} of {run.expected} records)"
    return f"{day(run.started)}{commit}, run {run.id}{cut}"


def state(one: Shown) -> str:
    """What can be said of changes in a series."""
    if not is_judged(one.series.quantity):
        return "moves by itself, not judged"
    if not one.is_long_enough:
        return f"too few runs ({one.series.valid} of {changes.RUNS_LEAST})"
    return f"{len(one.changes)} changed" if one.changes else "no change"


def row(one: Shown) -> list[str]:
    """A series as a row of the table."""
    kind, first, last = one.series.quantity, one.first.estimate, one.last.estimate
    apart = ((one.series.invalid, "invalid"), (one.series.few, "of few trials"))
    beside = ", ".join(f"{count} {what}" for count, what in apart if count)
    return [
        shorten(safe(one.series.arm), ARM_MOST),
        safe(kind),
        f"{one.series.runs}" + (f" ({beside})" if beside else ""),
        "" if one.follows is None else value(kind, one.follows.last.estimate),
        value(kind, first),
        value(kind, last),
        moved(first, last),
        state(one),
    ]


def change_lines(one: Shown, change: Change) -> Iterator[str]:
    """A change of level in a few lines."""
    kind, told = one.series.quantity, change.told
    levels = f"{value(kind, told.before)} → {value(kind, told.after)} ({moved(told.before, told.after)})"
    yield f"{change.direction}  {levels}, p {told.p:.1g}, told with run {change.confirmed.id}"
    yield f"  last before: {run_words(change.run_before)}"
    yield f"  first after: {run_words(change.run)}" + (f"; {', '.join(change.also)}" if change.also else "")
    times = [f"{name} {text.time(pair[0])} → {text.time(pair[1])}" for name, pair in change.ns.items()]
    if times:
        yield f"  time of an operation, which moves by itself: {', '.join(times)}"


def value_words(found: Any) -> str:
    """A value of a fingerprint."""
    return shorten(safe(found if isinstance(found, str) else json.dumps(found)), VALUE_MOST)


def follow_line(one: Shown) -> str:
    """Where the series before this one ends, and what makes them two."""
    before = one.follows
    assert before is not None
    differs = "; ".join(f"{safe(key)} {value_words(a)} → {value_words(b)}" for key, a, b in one.differs)
    went = "goes on beside this one" if one.beside else f"ended {day(before.last.started)}"
    return f"not joined to what was before, which {went}: {differs}"


def place_of(one: Shown) -> tuple[str, str, str, str]:
    """What a heading of the table is of."""
    return one.series.scenario, one.series.cell, one.series.scenario_hash, one.fingerprint


def heading(group: Sequence[Shown]) -> str:
    """Scenario, cell and machine of series, and from when to when they are."""
    one = group[0]
    begin, end = min(each.first.started for each in group), max(each.last.started for each in group)
    many = text.listed([safe(name) for name in one.machines if name], MACHINES_MOST)
    return (
        f"{safe(one.series.scenario)} · {safe(one.series.cell)} · machine {many or 'without a name'}, fingerprint"
        f" {safe(one.fingerprint)} · {day(begin)} to {day(end)}"
    )


def lines(shown: Sequence[Shown]) -> Iterator[str]:
    """The whole table."""
    begins: dict[tuple[str, str, str, str], str] = {}
    for one in shown:
        begins[place_of(one)] = min(one.first.started, begins.get(place_of(one), one.first.started))
    ordered = sorted(shown, key=lambda one: (*place_of(one)[:2], begins[place_of(one)], place_of(one)))
    rows = {id(one): row(one) for one in ordered}
    widths = [max(columns(r[i]) for r in (HEAD, *rows.values())) for i in range(len(HEAD))]

    def line(cells: Sequence[str]) -> str:
        """Cells as a row of the table."""
        return "  " + "  ".join(pad(*one) for one in zip(cells, widths, RIGHT)).rstrip()

    for number, (_, group) in enumerate(groupby(ordered, key=place_of)):
        mine = list(group)
        yield from ([""] if number else [])
        yield heading(mine)
        yield from dict.fromkeys("  " + follow_line(one) for one in mine if one.follows is not None)
        yield line(HEAD)
        for one in mine:
            yield line(rows[id(one)])
            yield from ("      " + note for change in one.changes for note in change_lines(one, change))


def run_object(run: Stored) -> dict[str, Any]:
    """A run in JSON."""
    return {
        "id": run.id,
        "run": run.name,
        "started": run.started,
        "commit": run.commit or None,
        "machine": run.machine or None,
        "boot_id": run.boot or None,
        "instance": run.instance or None,
        "tool_version": run.tool_version or None,
        "program": run.program or None,
        "profile": run.profile or None,
        "noise_grade": run.noise_grade or None,
        "expected": run.expected,
        "finished": run.finished,
        "stopped": run.stopped or None,
    }


def point_object(point: Point, run: Stored) -> dict[str, Any]:
    """An end of a series in JSON."""
    return {
        "estimate": point.estimate,
        "low": point.low,
        "high": point.high,
        "verdict": point.verdict,
        "trials": point.trials,
        "run": run_object(run),
    }


def change_object(change: Change) -> dict[str, Any]:
    """A change in JSON."""
    return {
        "direction": change.direction,
        "before": change.told.before,
        "after": change.told.after,
        "p": change.told.p,
        "run_before": run_object(change.run_before),
        "run": run_object(change.run),
        "confirmed": run_object(change.confirmed),
        "also": list(change.also),
        "ns_per_op": {name: {"before": pair[0], "after": pair[1]} for name, pair in change.ns.items()},
    }


def series_object(one: Shown) -> dict[str, Any]:
    """A series in JSON."""
    s = one.series
    return {
        "series": s.number,
        "scenario": s.scenario,
        "scenario_hash": s.scenario_hash,
        "cell": s.cell,
        "arm": s.arm,
        "method": s.method,
        "method_version": None if s.method_version == NO_VERSION else s.method_version,
        "role": s.role,
        "quantity": s.quantity,
        "delta": s.delta,
        "fingerprint": one.fingerprint,
        "machines": list(one.machines),
        "runs": s.runs,
        "invalid": s.invalid,
        "few_trials": s.few,
        "judged": is_judged(s.quantity),
        "first": point_object(one.first, one.first_run),
        "last": point_object(one.last, one.last_run),
        "changes": [change_object(change) for change in one.changes],
        "follows": None
        if one.follows is None
        else {
            "series": one.follows.series.number,
            "beside": one.beside,
            "differs": [{"key": key, "before": a, "after": b} for key, a, b in one.differs],
        },
    }


def document(shown: Sequence[Shown]) -> dict[str, Any]:
    """The whole as JSON."""
    return {"schema": "faultline.history/1", "series": [series_object(one) for one in shown]}
