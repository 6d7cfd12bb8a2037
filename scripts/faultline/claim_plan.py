# SPDX-License-Identifier: MIT
"""The statements that a scenario puts to the test, as the plan has them (bench/claim.c writes them)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

SUPPORTED, REFUTED, INCONCLUSIVE = ANSWERS = ("SUPPORTED", "REFUTED", "INCONCLUSIVE")
AT_LEAST, AT_MOST = RULES = ("at_least", "at_most")
FASTER, SLOWER, COUNT = "faster", "slower", "count"


class ClaimError(ValueError):
    """A claim that no plan of this program holds; the text says what is wrong."""


@dataclass(frozen=True)
class Side:
    """An arm, and the values of varied fields under which it is looked at ({}: wherever the claim is decided)."""

    arm: str
    at: Mapping[str, Any]


@dataclass(frozen=True)
class Test:
    """What is measured and what is asked of it.

    kind: FASTER: time of `other` ÷ time of `side`; SLOWER: time of `side` ÷ time of `other`; COUNT: `counter` per
    operation of `side`, less that of `other` where there is one. threshold: of the factor, or of the count.
    """

    kind: str
    side: Side
    other: Side | None
    counter: str | None
    rule: str
    threshold: float


@dataclass(frozen=True)
class Expectation:
    """A verdict that the kernel's source predicts, and where: conditions of the cell, a word of the processor's name,
    vendor or architecture, the first kernel, values of the machine's description by their dotted keys."""

    verdict: str
    where: Mapping[str, Any]
    cpu: str | None
    kernel_from: str | None
    machine: Mapping[str, str]


@dataclass(frozen=True)
class Claim:
    """A statement with the rule that decides it. The positive control has to come out as SUPPORTED by its own rule, the
    negative one as REFUTED: else the instrument cannot see what the claim is about."""

    id: str
    statement: str
    heard: str
    test: Test
    positive: Test
    negative: Test
    expected: tuple[Expectation, ...]


def member(value: Mapping[str, Any], key: str, kind: type, needed: bool = True) -> Any:
    """A member of that type; None where it is missing and need not be there."""
    found = value.get(key)
    if found is None and not needed:
        return None
    if not isinstance(found, kind):
        raise ClaimError(f'a claim has no proper "{key}"')
    return found


def word(value: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    """A member that is one of these words."""
    found = member(value, key, str)
    if found not in known:
        raise ClaimError(f'a claim has an unknown "{key}"')
    return str(found)


def side_read(quantity: Mapping[str, Any], arm: str, at: str) -> Side:
    """One side of a quantity, by the names of its members."""
    return Side(member(quantity, arm, str), member(quantity, at, dict, needed=False) or {})


def test_read(value: Mapping[str, Any]) -> Test:
    """A claim's or a control's test."""
    quantity = member(value, "quantity", dict)
    threshold = value.get("threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not math.isfinite(threshold):
        raise ClaimError('a claim has no proper "threshold"')
    rule = word(value, "rule", RULES)
    kind = next((kind for kind in (COUNT, SLOWER, FASTER) if kind in quantity), None)
    if kind is None:
        raise ClaimError("a claim has an unknown quantity")
    if kind == COUNT:
        side = side_read(quantity, "of", "at")
        other = side_read(quantity, "beyond", "beyond_at") if "beyond" in quantity else None
        counter = member(quantity, "count", str)
    else:
        if threshold <= 0:
            raise ClaimError('a claim has a "threshold" that no factor can have')
        side, other, counter = side_read(quantity, kind, "at"), side_read(quantity, "than", "than_at"), None
    if other is not None and not other.at:
        other = Side(other.arm, side.at)
    return Test(kind, side, other, counter, rule, float(threshold))


def expectation_read(value: Any) -> Expectation:
    """One expectation."""
    if not isinstance(value, dict):
        raise ClaimError("a claim expects something that is no object")
    return Expectation(
        word(value, "verdict", ANSWERS),
        member(value, "where", dict, needed=False) or {},
        member(value, "cpu", str, needed=False),
        member(value, "kernel_from", str, needed=False),
        member(value, "machine", dict, needed=False) or {},
    )


def claim_read(value: Any) -> Claim:
    """One claim; ClaimError when it is none."""
    if not isinstance(value, dict):
        raise ClaimError("a claim is no object")
    return Claim(
        id=member(value, "id", str),
        statement=member(value, "statement", str),
        heard=member(value, "heard", str),
        test=test_read(value),
        positive=test_read(member(value, "positive_control", dict)),
        negative=test_read(member(value, "negative_control", dict)),
        expected=tuple(expectation_read(one) for one in member(value, "expected", list, needed=False) or ()),
    )
