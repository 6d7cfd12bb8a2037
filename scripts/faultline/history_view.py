# SPDX-License-Identifier: MIT
"""What a history shows: each series with its ends and its changes, which one it follows, and what differs between
them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Mapping, Sequence

from faultline import history_index, text
from faultline.changes import RUNS_LEAST, beyond
from faultline.history_index import Filter, Point, Series, Stored, Told
from faultline.history_run import is_count
from faultline.verdict import FASTER, SLOWER

RISEN, FALLEN = "RISEN", "FALLEN"  # of what is no comparison: counts, shares of a whole, the null arm
NS_RUNS = 20  # runs before a change whose times an operation are shown beside it
SAME_SERIES = ("scenario_hash", "method", "method_version", "delta")


@dataclass(frozen=True)
class Change:
    """A change with its runs. direction: FASTER or SLOWER of a ratio, RISEN or FALLEN of anything else; also: what else
    is not the same in the two runs; ns: by "arm" and "baseline", medians of the time of an operation before and
    after."""

    told: Told
    direction: str
    run_before: Stored
    run: Stored
    confirmed: Stored
    also: tuple[str, ...]
    ns: Mapping[str, tuple[float, float]]


@dataclass
class Shown:
    """A series as shown. follows: the series that it comes after on the same machine, beside: whether that one went on
    beside it, differs: (key, there, here) of what makes them two; followed: whether another one comes after it."""

    series: Series
    fingerprint: str
    blocking: Mapping[str, Any] | None
    machines: Sequence[str]
    first: Point
    last: Point
    first_run: Stored
    last_run: Stored
    changes: list[Change] = field(default_factory=list)
    follows: "Shown | None" = None
    beside: bool = False
    differs: list[tuple[str, Any, Any]] = field(default_factory=list)
    followed: bool = False

    @property
    def is_long_enough(self) -> bool:
        """Whether there are, or were, runs enough for a change to be told."""
        return bool(self.changes) or self.series.valid >= RUNS_LEAST

    @property
    def is_watched(self) -> bool:
        """Whether it could be told to be SLOWER: a ratio of an arm that competes, of enough runs, that is going on."""
        competes = self.series.quantity == "ratio" and self.series.role == "candidate"
        return competes and self.is_long_enough and not self.followed


def direction(series: Series, before: float, after: float) -> str:
    """The word for a change of level."""
    if series.quantity == "ratio" and series.role == "candidate":
        return SLOWER if after > before else FASTER
    return RISEN if after > before else FALLEN


def also_of(before: Stored, after: Stored) -> tuple[str, ...]:
    """What else was not the same in two runs of a series."""
    words = {
        "program": "another build of the program",
        "boot": "booted anew",
        "instance": "another instance",
        "machine": "another machine of the same fingerprint",
        "profile": "another profile",
    }
    return tuple(said for name, said in words.items() if getattr(before, name) != getattr(after, name))


def change_of(connection: sqlite3.Connection, series: Series, told: Told) -> Change:
    """A change with its runs looked up."""
    before, run, confirmed = (
        history_index.run_of(connection, number) for number in (told.run_before, told.run, told.confirmed)
    )
    arms = {"arm": series.arm, "baseline": None}
    times = {
        name: history_index.levels_ns(connection, series, arm, told, NS_RUNS)
        for name, arm in arms.items()
        if series.quantity == "ratio"
    }
    return Change(
        told,
        direction(series, told.before, told.after),
        before,
        run,
        confirmed,
        also_of(before, run),
        {name: pair for name, pair in times.items() if pair is not None},
    )


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """An object with the names of nested members joined by dots."""
    if not isinstance(value, dict):
        return {key: value}
    return {k: v for name, one in value.items() for k, v in flat(one, f"{key}.{name}" if key else name).items()}


def differences(there: Shown, here: Shown) -> list[tuple[str, Any, Any]]:
    """(key, there, here) of what makes two series of it."""
    found = [
        (name, getattr(there.series, name), getattr(here.series, name))
        for name in SAME_SERIES
        if getattr(there.series, name) != getattr(here.series, name)
    ]
    if there.fingerprint == here.fingerprint:
        return found
    if there.blocking is None or here.blocking is None:
        return [*found, ("fingerprint", there.fingerprint, here.fingerprint)]
    old, new = flat(there.blocking), flat(here.blocking)
    keys = [key for key in sorted(set(old) | set(new)) if old.get(key) != new.get(key)]
    return [*found, *((key, old.get(key), new.get(key)) for key in keys)]


def is_same_machine(one: Shown, other: Shown) -> bool:
    """Whether two series have a machine in common: a fingerprint, or a name; machines without a name share none."""
    return one.fingerprint == other.fingerprint or any(name in other.machines for name in one.machines if name)


def link(group: Sequence[Shown]) -> None:
    """Says of each series of one arm and quantity, in the order in which they began, which one it follows: the last one
    that began before it on the same machine."""
    for index, here in enumerate(group):
        before = [one for one in group[:index] if is_same_machine(one, here)]
        if before:
            here.follows = before[-1]
            here.beside = here.follows.last.started >= here.first.started
            here.follows.followed |= not here.beside
            here.differs = differences(here.follows, here)


def subject(one: Shown) -> tuple[str, str, str, str]:
    """What a series is of, under whatever conditions."""
    return one.series.scenario, one.series.cell, one.series.arm, one.series.quantity


def view(connection: sqlite3.Connection, wanted: Filter) -> list[Shown]:
    """All that the filter lets through, by scenario, cell, arm, quantity and time. Within a snapshot of the index,
    where others may add to it."""
    shown = []
    prints = {}
    for series in history_index.series_find(connection, wanted):
        if series.fingerprint not in prints:
            prints[series.fingerprint] = history_index.fingerprint_of(connection, series.fingerprint)
        first, last = history_index.ends(connection, series.number)
        runs = (history_index.run_of(connection, point.run) for point in (first, last))
        one = Shown(series, *prints[series.fingerprint], first, last, *runs)
        one.changes = [
            change_of(connection, series, told) for told in history_index.changes_of(connection, series.number)
        ]
        shown.append(one)
    for _, group in groupby(shown, key=subject):
        link(list(group))
    return shown


def is_regression(connection: sqlite3.Connection, one: Shown, runs: int) -> bool:
    """Whether the level of a series that no other follows is SLOWER now, by δ at least, than before the first of the
    changes that were told within its last runs."""
    number = one.series.number
    late = [
        change.told
        for change in one.changes
        if history_index.runs_since(connection, number, change.told.confirmed_started, runs) <= runs
    ]
    if one.followed or not late:
        return False
    before, after = late[0].before, late[-1].after
    return direction(one.series, before, after) == SLOWER and beyond(before, after, one.series.delta)


@dataclass(frozen=True)
class Part:
    """A series with its last points, and the commits of their runs."""

    shown: Shown
    points: Sequence[Point]
    commits: Sequence[str]


@dataclass(frozen=True)
class Drawn:
    """What a picture is of: the series that follow each other; left_out: older runs of them that are not drawn."""

    parts: Sequence[Part]
    left_out: int

    @property
    def last(self) -> Shown:
        """The series that is still going on."""
        return self.parts[-1].shown


def drawn_of(connection: sqlite3.Connection, chain: Sequence[Shown], most: int) -> Drawn:
    """The last `most` runs of series that follow each other."""
    parts, left = [], most
    for one in reversed(chain):
        points = history_index.points(connection, one.series.number, left) if left else []
        if points:
            commits = [history_index.run_of(connection, point.run).commit for point in points]
            parts.append(Part(one, points, commits))
        left -= len(points)
    return Drawn(parts[::-1], sum(one.series.runs for one in chain) - (most - left))


def chains(shown: Sequence[Shown]) -> list[list[Shown]]:
    """Series that follow each other, each once, in the order in which their first ones began."""
    by_end: dict[int, list[Shown]] = {}
    found: list[list[Shown]] = []
    for one in shown:
        chain = by_end.pop(one.follows.series.number, None) if one.follows is not None and not one.beside else None
        if chain is None:
            chain = []
            found.append(chain)
        chain.append(one)
        by_end[one.series.number] = chain
    return found


def value(quantity: str, number: float) -> str:
    """A value as people read it."""
    if quantity == "ns_per_op":
        return text.time(number)
    return text.count(number) if is_count(quantity) else text.ratio(number)


def moved(before: float, after: float) -> str:
    """How far a value moved: "+12 %", "0 %"; from or to nothing "–"."""
    if before == after:
        return "0 %"
    if before <= 0 or after <= 0:
        return "–"
    share = after / before - 1
    return f"{'+' if share > 0 else text.MINUS}{text.percent(abs(share))}"
