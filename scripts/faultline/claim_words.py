# SPDX-License-Identifier: MIT
"""The verdicts on claims in words, and as objects and rows for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from faultline import claims, text
from faultline.claim_plan import ANSWERS, AT_LEAST, COUNT, FASTER, INCONCLUSIVE, Side, Test
from faultline.claims import Decision, Evidence
from faultline.rounding import interval, number
from faultline.stats import Interval
from faultline.text import field, listed, safe
from faultline.verdict import Results, trials_text

HEADER = ("claim", "verdict", "evidence")
WHERE_MOST = 4  # conditions named; more are counted
COLUMNS = (
    "scenario",
    "claim",
    "statement",
    "heard",
    "answer",
    "expected",
    "where",
    "kind",
    "counter",
    "value",
    "value_low",
    "value_high",
    "rule",
    "threshold",
    "claim_trials",
    "why",
)


@dataclass(frozen=True)
class Row:
    """A claim where it came out alike. unsure: why it is INCONCLUSIVE; surprise: that another verdict was expected;
    missing: under which of its conditions nothing was measured."""

    claim: str
    statement: str
    heard: str
    answer: str
    where: str
    evidence: str
    unsure: str | None
    surprise: str | None
    missing: str | None


def conditions(held: Mapping[str, Any]) -> str:
    """ "backing=ext4, file_bytes=1MiB"."""
    return ", ".join(f"{safe(key)}={field(key, value)}" for key, value in held.items())


def side(one: Side) -> str:
    """An arm, with its conditions where it has any of its own."""
    return safe(one.arm) + (f" ({conditions(one.at)})" if one.at else "")


def figure(value: Interval, kind: str) -> str:
    """ "7.9× [7.6, 8.2]"; a count with its range where it has one."""
    written = text.count if kind == COUNT else text.digits
    sign = "" if kind == COUNT else "×"
    if value.low is None or value.high is None or value.low == value.high:
        return f"{written(value.estimate)}{sign}"
    return f"{written(value.estimate)}{sign} [{written(value.low)}, {written(value.high)}]"


def limit(kind: str, threshold: float) -> str:
    """ "3×"; a count in full."""
    whole = threshold >= 1000 and threshold == round(threshold)
    return (f"{threshold:.0f}" if whole else f"{threshold:g}") + ("" if kind == COUNT else "×")


def asked(test: Test) -> str:
    """ "at least 3×"."""
    return f"{'at least' if test.rule == AT_LEAST else 'at most'} {limit(test.kind, test.threshold)}"


def measured(found: Evidence) -> str:
    """What a test measured, as a sentence without its end."""
    test = found.test
    value = figure(found.value, test.kind) if found.value is not None else "?"
    if test.kind == COUNT:
        less = f", beyond that of {side(test.other)}" if test.other else ""
        return f"{safe(test.counter)} of {side(test.side)}{less}: {value} an operation"
    assert test.other is not None
    one, other = side(test.side), side(test.other)
    return f"{one} is {value} as fast as {other}" if test.kind == FASTER else f"{one} takes {value} the time of {other}"


def evidence(found: Evidence | None) -> str:
    """What a test measured beside what was claimed; "" where it measured nothing."""
    if found is None or found.value is None:
        return ""
    return f"{measured(found)} (claimed: {asked(found.test)}; {trials_text(found.trials)})"


def distance(one: Decision) -> float:
    """How far the value is from the threshold, as a share of it; the least is the weakest evidence."""
    found = one.evidence
    if found is None or found.value is None or found.value.low is None or found.value.high is None:
        return 0.0
    near = min((found.value.low, found.value.high), key=lambda end: abs(end - found.test.threshold))
    return abs(near - found.test.threshold) / (found.test.threshold or 1.0)


def where(group: Sequence[Decision], alone: bool) -> str:
    """Under which conditions a claim came out that way; "" where it did everywhere."""
    return "" if alone else listed([conditions(one.held) for one in group], WHERE_MOST, "; ")


def surprise(found: Sequence[Decision], of: int) -> str | None:
    """Which verdict was expected, and where, if not in all of so many conditions; None without any."""
    if not found:
        return None
    places = listed([conditions(one.held) for one in found], WHERE_MOST, "; ") if len(found) < of else ""
    return f"{found[0].expected} was expected {f'with {places}' if places else 'here'}"


def missing(left_out: Sequence[str]) -> str | None:
    """Under which conditions of the scenario nothing was measured; None without any."""
    if not left_out:
        return None
    many = f"{len(left_out)} conditions were" if len(left_out) > 1 else "1 condition was"
    return f"{many} not measured: {listed([safe(one) for one in left_out], WHERE_MOST, '; ')}"


def row(group: Sequence[Decision], alone: bool) -> Row:
    """A claim where it came out alike: its weakest evidence stands for all."""
    weakest = min(group, key=distance)
    more = f"; so in {len(group)} conditions, of which this is the nearest to the threshold" if len(group) > 1 else ""
    words = evidence(weakest.evidence)
    reasons = dict.fromkeys(safe(one.why) for one in group if one.why)
    claim = weakest.claim
    return Row(
        safe(claim.id),
        safe(claim.statement),
        safe(claim.heard),
        weakest.answer,
        where(group, alone),
        words + (more if words else ""),
        listed(list(reasons), WHERE_MOST, "; ") if weakest.answer == INCONCLUSIVE else None,
        surprise([one for one in group if one.surprising], len(group)),
        missing(weakest.unmeasured),
    )


def rows(results: Results) -> list[Row]:
    """All claims of a run, split where they came out otherwise under other conditions."""
    groups = claims.grouped(claims.decisions(results))
    names = [(group[0].scenario, group[0].claim.id) for group in groups]
    return [row(group, names.count(name) == 1) for group, name in zip(groups, names)]


def tally(found: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict, every verdict named."""
    return {answer: sum(one.answer == answer for one in found) for answer in ANSWERS}


# ---- for programs ----


def evidence_object(found: Evidence | None) -> dict[str, Any] | None:
    """What a test found, as summary.json has it."""
    if found is None:
        return None
    return {
        "verdict": found.answer,
        "kind": found.test.kind,
        "value": interval(found.value),
        "rule": found.test.rule,
        "threshold": number(found.test.threshold),
        "trials": found.trials,
        "reason": found.why,
    }


def condition_object(one: Decision) -> dict[str, Any]:
    """A claim under one condition."""
    return {
        "held": dict(one.held),
        "verdict": one.answer,
        "reason": one.why,
        "expected": one.expected,
        "test": evidence_object(one.evidence),
        "positive_control": evidence_object(one.positive),
        "negative_control": evidence_object(one.negative),
    }


def objects(results: Results) -> list[dict[str, Any]]:
    """`claims` of summary.json."""
    groups = claims.grouped(claims.decisions(results))
    return [
        {
            "id": shown.claim,
            "scenario": group[0].scenario,
            "statement": shown.statement,
            "heard": shown.heard,
            "verdict": shown.answer,
            "where": shown.where,
            "evidence": shown.evidence,
            "reason": shown.unsure,
            "expected": sorted({one.expected for one in group if one.expected}),
            "unmeasured": list(group[0].unmeasured),
            "conditions": [condition_object(one) for one in group],
        }
        for shown, group in zip(rows(results), groups)
    ]


def table_row(one: Decision) -> dict[str, Any]:
    """One row of claims.csv."""
    found = one.evidence
    test = one.claim.test
    value = found.value if found is not None else None
    return {
        "scenario": one.scenario,
        "claim": one.claim.id,
        "statement": one.claim.statement,
        "heard": one.claim.heard,
        "answer": one.answer,
        "expected": one.expected,
        "where": conditions(one.held),
        "kind": test.kind,
        "counter": test.counter,
        "value": value.estimate if value else None,
        "value_low": value.low if value else None,
        "value_high": value.high if value else None,
        "rule": test.rule,
        "threshold": test.threshold,
        "claim_trials": found.trials if found else None,
        "why": one.why,
    }


def table_rows(results: Results) -> list[dict[str, Any]]:
    """The rows of claims.csv, one a claim and condition."""
    return [table_row(one) for one in claims.decisions(results)]
