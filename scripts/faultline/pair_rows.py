# SPDX-License-Identifier: MIT
"""What was found on pairs of CPUs, for other programs: the member `pairs` of summary.json, and the rows of pairs.csv,
ladder.csv and canary.csv. docs/results.md describes each. Nothing is computed but medians over the pairs of a CPU and
of a block of a large matrix."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence

import numpy as np

from faultline import topology
from faultline.modes import Mode
from faultline.pairs import ArmPairs, Canary, ClassResult, PairResult, Slow, spread_of
from faultline.rounding import ends, interval, number
from faultline.text import percent, time
from faultline.topology import Pu
from faultline.verdict import ArmResult, CellResult, Results

MATRIX_MOST = 128  # CPUs beyond which a matrix shows blocks
STEPS = 32  # of ladder.csv an octave: 2 % each, about what rounds differ by anyhow
NOT_HELD = ("place", "matrix")  # parameters that only say which pairs are visited

HEAD = ("scenario", "cell", "held", "arm", "arm_index", "role")
PAIR_COLUMNS = (
    *HEAD,
    "op",
    "scope",
    "class",
    "class_index",
    "a",
    "b",
    "ns_per_op",
    "ns_per_op_low",
    "ns_per_op_high",
    "interval_of",
    "residual",
    "residual_low",
    "residual_high",
    "off",
    "uniform",
    "samples",
    "pairs",
    "q05",
    "q25",
    "q75",
    "q95",
    "least",
    "most",
    "mode_count",
    "modes",
)
LADDER_COLUMNS = (*HEAD, "class", "class_index", "ns", "ns_low", "ns_high", "samples", "share")
CANARY_COLUMNS = (
    *HEAD,
    "class",
    "a",
    "b",
    "trial",
    "t_s",
    "ns_per_op",
    "ns_per_op_low",
    "ns_per_op_high",
    "samples",
)


def modes_text(modes: Sequence[Mode]) -> str:
    """ "35 ns (62 %), 115 ns (38 %)"; "" for a single mode."""
    return ", ".join(f"{time(mode.ns)} ({percent(mode.share)})" for mode in modes) if len(modes) > 1 else ""


def held_of(cell: CellResult) -> str:
    """The cell's id without what only says which pairs are visited: cells that agree in it are one picture."""
    return ",".join(part for part in cell.plan.cell.split(",") if part.partition("=")[0] not in (*NOT_HELD, "all"))


def flag(value: bool | None) -> int | None:
    """1, 0, or nothing where it is open."""
    return None if value is None else int(value)


def class_row(one: ClassResult) -> dict[str, Any]:
    """A class: all its pairs."""
    return {
        "scope": "class",
        **ends("ns_per_op", one.found.ns),
        "interval_of": one.found.interval_of,
        "uniform": flag(one.uniform),
        "samples": one.found.samples,
        "pairs": len(one.pairs),
        **{key: number(value) for key, value in one.quantiles.items()},
        "least": number(float(one.values.rounds.min())),
        "most": number(float(one.values.rounds.max())),
        "mode_count": len(one.found.modes),
        "modes": modes_text(one.found.modes),
    }


def pair_row(pair: PairResult) -> dict[str, Any]:
    """A pair."""
    return {
        "scope": "pair",
        "a": pair.a,
        "b": pair.b,
        **ends("ns_per_op", pair.found.ns),
        "interval_of": pair.found.interval_of,
        **ends("residual", pair.residual),
        "off": flag(pair.is_off),
        "samples": pair.found.samples,
        "pairs": 1,
        "mode_count": len(pair.found.modes),
        "modes": modes_text(pair.found.modes),
    }


def set_row(scope: str, a: int, b: int | None, pairs: Sequence[PairResult]) -> dict[str, Any]:
    """Several pairs: the medians over them, with what an interval says of how much they differ."""
    return {
        "scope": scope,
        "a": a,
        "b": b,
        **ends("ns_per_op", spread_of(np.array([pair.found.ns.estimate for pair in pairs]))),
        "interval_of": "pairs",
        **ends("residual", spread_of(np.array([pair.residual.estimate for pair in pairs]))),
        "samples": sum(pair.found.samples for pair in pairs),
        "pairs": len(pairs),
    }


def cpu_rows(found: ArmPairs) -> Iterator[dict[str, Any]]:
    """A CPU: all the pairs it is one of."""
    by_cpu: dict[int, list[PairResult]] = {}
    for pair in found.pairs:
        by_cpu.setdefault(pair.a, []).append(pair)
        by_cpu.setdefault(pair.b, []).append(pair)
    for cpu, some in sorted(by_cpu.items()):
        yield set_row("cpu", cpu, None, some)


def block_rows(found: ArmPairs, pus: Sequence[Pu]) -> Iterator[dict[str, Any]]:
    """A block: all pairs of a CPU of one group and one of another, or of the same; none on machines with few CPUs."""
    level = topology.block_level(pus, MATRIX_MOST)
    if level is None:
        return
    group = {pu.cpu: pu.groups[level] for pu in pus}
    blocks: dict[tuple[int, int], list[PairResult]] = {}
    for pair in found.pairs:
        one, other = group.get(pair.a), group.get(pair.b)
        if one is not None and other is not None:
            blocks.setdefault((min(one, other), max(one, other)), []).append(pair)
    for (a, b), some in sorted(blocks.items()):
        yield set_row(level, a, b, some)


def ladder_rows(one: ClassResult) -> Iterator[dict[str, Any]]:
    """Every round of a class, counted in steps of 1/STEPS octave."""
    steps, counts = np.unique(np.floor(np.log2(one.values.rounds) * STEPS).astype(int), return_counts=True)
    for step, count in zip(steps, counts):
        yield {
            "ns": number(2 ** ((step + 0.5) / STEPS)),
            "ns_low": number(2 ** (step / STEPS)),
            "ns_high": number(2 ** ((step + 1) / STEPS)),
            "samples": int(count),
            "share": number(count / one.values.rounds.size),
        }


def canary_rows(canary: Canary | None) -> Iterator[dict[str, Any]]:
    """The canary, a row a visit."""
    for visit in canary.visits if canary is not None else ():
        yield {
            "class": canary.level_class,  # type: ignore[union-attr]
            "a": canary.a,  # type: ignore[union-attr]
            "b": canary.b,  # type: ignore[union-attr]
            "trial": visit.trial,
            "t_s": number(visit.t_s),
            **ends("ns_per_op", visit.ns),
            "samples": visit.samples,
        }


Role = Callable[[ArmResult], str]


def arms_of(results: Results, role: Role) -> Iterator[tuple[CellResult, dict[str, Any], ArmPairs]]:
    """Every arm that was measured on pairs, with the columns that say which one it is."""
    for cell in results.cells:
        index = {arm.name: i for i, arm in enumerate(cell.arms)}
        for found in cell.pairs:
            yield cell, {
                "scenario": cell.scenario.name,
                "cell": cell.plan.cell,
                "held": held_of(cell),
                "arm": found.arm,
                "arm_index": index[found.arm],
                "role": role(cell.arms[index[found.arm]]),
            }, found


def tables(results: Results, role: Role) -> dict[str, list[dict[str, Any]]]:
    """The rows of the three tables by file name, in plan order."""
    pairs: list[dict[str, Any]] = []
    ladder: list[dict[str, Any]] = []
    canary: list[dict[str, Any]] = []
    pus = topology.pus_of(results.run.machine)
    for cell, head, found in arms_of(results, role):
        top = {**head, "op": cell.scenario.op}
        for index, one in enumerate(found.classes):
            where = {"class": one.name, "class_index": index}
            pairs += [{**top, **where, **row} for row in (class_row(one), *map(pair_row, one.pairs))]
            ladder += [{**head, **where, **row} for row in ladder_rows(one)]
        pairs += [{**top, **row} for row in (*cpu_rows(found), *block_rows(found, pus))]
        canary += [{**head, **row} for row in canary_rows(found.canary)]
    return {"pairs.csv": pairs, "ladder.csv": ladder, "canary.csv": canary}


def modes_object(modes: Sequence[Mode]) -> list[dict[str, Any]]:
    """The modes of some samples."""
    return [{"ns": number(mode.ns), "share": number(mode.share)} for mode in modes]


def class_object(one: ClassResult) -> dict[str, Any]:
    """A class in summary.json."""
    return {
        "name": one.name,
        "ns_per_op": interval(one.found.ns),
        "interval_of": one.found.interval_of,
        "quantiles": {key: number(value) for key, value in one.quantiles.items()},
        "samples": one.found.samples,
        "pairs": len(one.pairs),
        "uniform": one.uniform,
        "off": [{"a": p.a, "b": p.b, "residual": interval(p.residual)} for p in one.off],
        "modes": modes_object(one.found.modes),
        "pairs_with_modes": one.modes_within,
    }


def slow_object(one: Slow) -> dict[str, Any]:
    """What is slow, in summary.json."""
    return {
        "level": one.level,
        "index": one.index,
        "residual": number(one.residual),
        "pairs": one.pairs,
        "within": one.within,
    }


def canary_object(canary: Canary | None) -> dict[str, Any] | None:
    """The canary in summary.json."""
    if canary is None:
        return None
    return {
        "a": canary.a,
        "b": canary.b,
        "class": canary.level_class,
        "visits": len(canary.visits),
        "ns_per_op": interval(canary.found.ns),
        "interval_of": canary.found.interval_of,
        "drift": interval(canary.drift),
        "span": number(canary.span),
        "moves": canary.moves,
        "modes": modes_object(canary.found.modes),
    }


def objects(results: Results, role: Role) -> list[dict[str, Any]]:
    """The member `pairs` of summary.json: one object an arm of a cell."""
    return [
        {
            **{key: head[key] for key in ("scenario", "cell", "arm")},
            "classes": [class_object(one) for one in found.classes],
            "slow": [slow_object(one) for one in found.slow],
            "canary": canary_object(found.canary),
            "voided_rounds": found.voided,
            "lost": [list(pair) for pair in found.lost],
        }
        for _, head, found in arms_of(results, role)
    ]
