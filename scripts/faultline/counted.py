# SPDX-License-Identifier: MIT
"""Counters that were asked for (--counters), an arm over its trials: counts per operation, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

import numpy as np

from faultline import text
from faultline.records import Arm, Event
from faultline.text import safe

SHARE_LEAST = 0.95  # of the time on the CPU's counters: a count with less of it is marked, never scaled
WITNESS, RUSAGE = "page_faults", ("minor_faults", "major_faults")  # two counts of the same
MARK = "*"


@dataclass(frozen=True)
class Counted:
    """One counter of one arm. per_op: median over the trials that counted it, None when none did; share: the least time
    on the CPU's counters; disagreements: trials in which rusage counted other page faults in the same pass."""

    name: str
    event: str | None
    per_op: float | None
    share: float | None
    user_only: bool
    reason: str | None
    disagreements: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether it was on the CPU's counters for less of the time than one should build on."""
        return self.per_op is not None and (self.share or 0.0) < SHARE_LEAST


def disagrees(arm: Arm, event: Event) -> bool:
    """Whether the two counts of page faults differ. rusage is of the first pass, and only that can be compared."""
    counts = arm.counts or {}
    known = [counts[name] for name in (WITNESS, *RUSAGE) if counts.get(name) is not None]
    both = len(known) == 1 + len(RUSAGE) and event.name == WITNESS and event.passed == 0
    return both and known[0] != sum(known[1:])


def counted_of(arms: Sequence[Arm]) -> list[Counted]:
    """What was asked for, in that order, over the trials of one arm."""
    found: dict[str, list[tuple[Arm, Event]]] = {}
    for arm in arms:
        for event in arm.events:
            found.setdefault(event.name, []).append((arm, event))
    return [counted_one(name, pairs) for name, pairs in found.items()]


def counted_one(name: str, pairs: Sequence[tuple[Arm, Event]]) -> Counted:
    """One counter over trials."""
    counts = [(arm.counts or {}) for arm, _ in pairs]
    values = [c[name] / c["ops"] for c in counts if c.get("ops") and c.get(name) is not None]
    shares = [event.share for _, event in pairs if event.share is not None]
    return Counted(
        name=name,
        event=pairs[0][1].event,
        per_op=float(np.median(values)) if values else None,
        share=min(shares) if shares else None,
        user_only=any(event.user_only for _, event in pairs),
        reason=None if values else next((event.reason for _, event in pairs if event.reason), None),
        disagreements=sum(disagrees(arm, event) for arm, event in pairs),
    )


def names(arms: Iterable[Sequence[Counted]]) -> list[str]:
    """The counters that any of these arms has a count of, in the order they were asked for."""
    return list(dict.fromkeys(one.name for counted in arms for one in counted if one.per_op is not None))


def fields(counted: Sequence[Counted], columns: Sequence[str]) -> list[str]:
    """Counts per operation in these columns; "" where there is none."""
    by_name = {one.name: one for one in counted if one.per_op is not None}
    return [text.count(by_name[n].per_op) + MARK * by_name[n].is_partial if n in by_name else "" for n in columns]


def notes(arms: Sequence[Sequence[Counted]]) -> list[str]:
    """What has to be said of them: why some are missing, marked, of user mode only, or contradict rusage."""
    every = [one for counted in arms for one in counted]
    reasons: dict[str, list[str]] = {}
    for one in every:
        if one.per_op is None:
            reasons.setdefault(one.reason or "no reason recorded", []).append(one.name)
    out = [f"{safe(listed(found))}: not counted: {safe(reason)}" for reason, found in reasons.items()]
    partial = [one for one in every if one.is_partial]
    if partial:
        least = text.percent(min(one.share or 0.0 for one in partial))
        out.append(f"{MARK} on the CPU's counters for part of the time only, {least} at least; not scaled up")
    if any(one.user_only and one.name.endswith(":u") for one in every):
        out.append(":u counts user mode only: page faults taken within system calls are not in it")
    trials = sum(one.disagreements for one in every)
    if trials:
        out.append(f"{WITNESS} and rusage differ in {trials} passes: one of the two is wrong")
    return out


def listed(found: Sequence[str]) -> str:
    """Names, each once."""
    return ", ".join(dict.fromkeys(found))
