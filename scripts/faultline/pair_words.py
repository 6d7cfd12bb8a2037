# SPDX-License-Identifier: MIT
"""What to conclude from pairs of CPUs, in sentences and as a table of the distance classes."""

from __future__ import annotations

from typing import Sequence

from faultline.pair_rows import held_of, modes_text
from faultline.pairs import OFF, ArmPairs, Canary, ClassResult, PairResult, Slow
from faultline.text import digits, listed, percent, safe, time, time_ends
from faultline.topology import TITLES
from faultline.verdict import CellResult

NAMED = 4  # pairs and CPUs named one by one; more are counted
HEADER = ("class", "arm", "time/op [95 %]", "middle 90 % of rounds", "pairs", "rounds", "uniform", "modes")
RIGHT = frozenset((2, 3, 4, 5))
ENDS = {"trials": "", "range": " (range of trials)", "rounds": " (one trial)", None: ""}

Found = tuple[CellResult, ArmPairs, ClassResult]


def time_interval(one: ClassResult) -> str:
    """ "41.2 [40.1, 42.3] ns"."""
    return time_ends(one.found.ns.estimate, one.found.ns.low, one.found.ns.high)


def pair_name(pair: PairResult | Canary) -> str:
    """ "3–7"."""
    return f"{pair.a}–{pair.b}"


def uniform_word(one: ClassResult) -> str:
    """Whether its pairs are alike, in a word or two."""
    if len(one.pairs) < 2:
        return "one pair"
    return {True: "yes", False: f"no: {len(one.off)} off", None: "cannot tell"}[one.uniform]


def arms_shown(cells: Sequence[CellResult]) -> list[tuple[CellResult, ArmPairs]]:
    """The arms of these cells that were measured on pairs, null arms left out."""
    nulls = {arm.name for cell in cells for arm in cell.arms if arm.plan.is_null}
    return [(cell, found) for cell in cells for found in cell.pairs if found.arm not in nulls]


def classes_shown(cells: Sequence[CellResult]) -> list[Found]:
    """Their classes."""
    return [(cell, found, one) for cell, found in arms_shown(cells) for one in found.classes]


def row(cell: CellResult, found: ArmPairs, one: ClassResult) -> list[str]:
    """A class of an arm under HEADER."""
    low, high = one.quantiles["q05"], one.quantiles["q95"]
    return [
        safe(one.name),
        safe(found.arm),
        time_interval(one) + ENDS[one.found.interval_of],
        f"{time(low)} to {time(high)}",
        str(len(one.pairs)),
        str(one.found.samples),
        uniform_word(one),
        modes_text(one.found.modes) or "1",
    ]


def rows(cells: Sequence[CellResult]) -> list[tuple[str, list[list[str]]]]:
    """The table of the classes, by cell: its id, then a line a class and arm; [] without pairs."""
    out: dict[str, list[list[str]]] = {}
    for cell, found, one in classes_shown(cells):
        out.setdefault(safe(cell.plan.cell), []).append(row(cell, found, one))
    return list(out.items())


def ladder_sentences(cells: Sequence[CellResult]) -> list[str]:
    """One sentence an arm and what is held: the classes from the nearest on, where there are several."""
    groups: dict[tuple[str, str], list[ClassResult]] = {}
    for cell, found, one in classes_shown(cells):
        groups.setdefault((held_of(cell), found.arm), []).append(one)
    out = []
    for (held, arm), classes in groups.items():
        if len({one.name for one in classes}) > 1:
            steps = "; ".join(f"{safe(one.name)} {time_interval(one)}" for one in classes)
            out.append(f"{safe(arm)}{f' ({safe(held)})' if held else ''} by what two CPUs share: {steps}.")
    return out


def off_sentence(cell: CellResult, found: ArmPairs, one: ClassResult) -> list[str]:
    """Which pairs of a class are not like the others."""
    if one.uniform is not False:
        return []
    pairs = listed([f"{pair_name(pair)} ({digits(pair.residual.estimate)}×)" for pair in one.off], NAMED)
    return [
        f"Not uniform: {where(cell, found)}, class {safe(one.name)}: {len(one.off)} of {len(one.pairs)} pairs of CPUs "
        f"differ from its median by more than {percent(OFF)}: {pairs}."
    ]


def mode_sentence(cell: CellResult, found: ArmPairs, one: ClassResult) -> list[str]:
    """In which heaps the times of a class lie, and whether single pairs have them too."""
    within = one.modes_within
    if len(one.found.modes) < 2 or (not within and one.uniform is False):
        return []  # that its pairs differ is said already
    why = (
        f"{within} of {len(one.pairs)} pairs have several themselves: a median says little of them"
        if within
        else "no pair has several: the pairs differ"
    )
    return [f"Several modes: {where(cell, found)}, class {safe(one.name)}: {modes_text(one.found.modes)}; {why}."]


def slow_name(one: Slow) -> str:
    """ "CPU 37", "L3 5 (within it)"."""
    title = TITLES.get(one.level, "CPU")
    return f"{title} {one.index}{' (within it)' if one.within else ''} {digits(one.residual)}×"


def slow_sentence(cell: CellResult, found: ArmPairs) -> list[str]:
    """What is slow in all its pairs."""
    if not found.slow:
        return []
    names = listed([slow_name(one) for one in found.slow], NAMED)
    return [f"Slow in all their pairs, against the median of each pair's class: {where(cell, found)}: {names}."]


def canary_sentence(cell: CellResult, found: ArmPairs) -> list[str]:
    """Whether the pair that was visited again and again stayed what it was."""
    canary = found.canary
    if canary is None or not canary.moves:
        return []
    middles = [visit.ns.estimate for visit in canary.visits]
    return [
        f"The machine moved: {where(cell, found)}: one pair of CPUs ({pair_name(canary)}) took {time(min(middles))} to "
        f"{time(max(middles))} in {len(middles)} visits; differences between pairs of that size mean nothing."
    ]


def where(cell: CellResult, found: ArmPairs) -> str:
    """The arm and its cell."""
    return f"{safe(found.arm)} ({safe(cell.plan.cell)})"


def sentences(cells: Sequence[CellResult]) -> list[str]:
    """Everything that pairs of CPUs say in a scenario; [] without pairs."""
    out = ladder_sentences(cells)
    for cell, found in arms_shown(cells):
        out += canary_sentence(cell, found) + slow_sentence(cell, found)
        for one in found.classes:
            out += off_sentence(cell, found, one) + mode_sentence(cell, found, one)
    return out
