# SPDX-License-Identifier: MIT
"""The board of a whole run: a row a scenario and arm, with a strip of the ratios in all its cells on one scale."""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence

from markupsafe import Markup

from faultline import conclusion
from faultline.text import safe
from faultline.verdict import VERDICTS, ArmResult, CellResult, Results, scenarios_of

EXPONENT = 4  # the scale is 2^-EXPONENT to 2^EXPONENT, as that of the boards; what lies beyond stands at its end
WIDTH, HEIGHT = 160, 16  # of a strip, units of its own


class Strip(NamedTuple):
    """A row: `marks` are the strokes of each verdict that occurs, as the path of an SVG, never cut."""

    scenario: str
    arm: str
    baseline: str
    ratio: str
    verdicts: list[tuple[str, int]]
    marks: list[tuple[str, str]]


def place(log_ratio: float) -> str:
    """Where a log ratio lies on the strip, the end of an interval beyond it at its edge."""
    octaves = min(max(log_ratio / math.log(2), -EXPONENT), EXPONENT)
    return f"{WIDTH / 2 * (1 + octaves / EXPONENT):.1f}".removesuffix(".0")


def arrow(log_ratio: float) -> str:
    """An arrow at the end of the strip beyond which a ratio lies."""
    tip, back = (WIDTH - 1, WIDTH - 6) if log_ratio > 0 else (1, 6)
    return f"M{back} 3L{tip} {HEIGHT // 2}L{back} {HEIGHT - 3}"


def mark(arm: ArmResult) -> str:
    """The strokes of one ratio: across at the estimate, along over its interval; an arrow for one beyond the scale."""
    assert arm.ratio is not None and arm.ratio.interval is not None
    found = arm.ratio.interval
    if abs(found.estimate) > EXPONENT * math.log(2):
        return arrow(found.estimate)
    along = "" if found.low is None or found.high is None else f"M{place(found.low)} {HEIGHT // 2}H{place(found.high)}"
    return f"{along}M{place(found.estimate)} 3V{HEIGHT - 3}"


def strip(scenario: str, pairs: Sequence[tuple[CellResult, ArmResult]]) -> Strip:
    """The row of an arm over its cells."""
    by_verdict = {verdict: [arm for _, arm in pairs if arm.verdict == verdict] for verdict in VERDICTS}
    there = {verdict: arms for verdict, arms in by_verdict.items() if arms}
    return Strip(
        safe(scenario),
        safe(pairs[0][1].name),
        safe(pairs[0][0].arms[0].name),
        conclusion.span(pairs),
        [(verdict, len(arms)) for verdict, arms in there.items()],
        [(verdict, Markup("".join(map(mark, arms)))) for verdict, arms in there.items()],
    )


def strips(results: Results) -> list[Strip]:
    """All rows, in plan order; arms without a verdict have none."""
    out = []
    for scenario, cells in scenarios_of(results):
        told = [(cell, arm) for cell in cells for arm in cell.arms if arm.verdict is not None]
        names = dict.fromkeys(arm.name for _, arm in told)
        out += [strip(scenario.name, [pair for pair in told if pair[1].name == name]) for name in names]
    return out
