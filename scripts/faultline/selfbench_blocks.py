# SPDX-License-Identifier: MIT
"""The rules of others on runs that were really measured one after the other: who finds extra work, who cries wolf.

A set of blocks are runs of one arm each: pread, pread again, and with 2 % and 5 % more work, in an order drawn anew;
each as several short processes (tests/selfbench/alone.yaml) and as one that takes as long (alone-once.yaml).
faultline's own rule needs arms that take turns, and is judged by the runs of selfbench/self-bench.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

from faultline import derive, rules
from faultline.bench_figures import OWN, bounded, share, spelled
from faultline.records import Run, run_load
from faultline.rules import RULES, Rule
from faultline.verdict import SLOWER

MANY, ONCE = OWN / "alone.yaml", OWN / "alone-once.yaml"
BLOCKS = {"pread-1": "pread", "pread-2": "pread", "surplus-2": "surplus-2", "surplus-5": "surplus-5"}  # folder: arm
COMPARED = {0.0: "pread-2", 0.02: "surplus-2", 0.05: "surplus-5"}  # extra work: what is compared with pread-1


@dataclass(frozen=True)
class BlockData:
    """A set of blocks. said: by rule and extra work, what was said in each cell; seconds: timed, of one comparison."""

    name: str
    machine: str
    said: dict[str, dict[float, list[str | None]]]
    seconds: float


def runs_of(folder: Path) -> list[tuple[Path, Path, str]]:
    """The runs of a set: where, scenario, arm."""
    return [
        (folder / f"{name}{'-once' if scenario == ONCE else ''}", scenario, arm)
        for name, arm in BLOCKS.items()
        for scenario in (MANY, ONCE)
    ]


def sides_of(run: Run) -> dict[str, list[np.ndarray]]:
    """By cell: ns an operation of each batch that counts, of each process in the order of trials."""
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for trial in sorted(run.trials, key=lambda t: t.trial):
        arm = trial.arms[0]
        times = derive.ns_per_op(arm) if arm.status == "ok" else np.array([])
        times = times[np.isfinite(times)]
        if times.size:
            found[trial.cell].append(times)
    return found


def timed_seconds(run: Run) -> list[float]:
    """Seconds within the clock readings, by cell."""
    total: dict[str, float] = defaultdict(float)
    for trial in run.trials:
        total[trial.cell] += float(np.nansum(trial.arms[0].batch_ns)) / 1e9
    return list(total.values())


def judged(rule: Rule, sides: dict[str, dict[str, list[np.ndarray]]]) -> dict[float, list[str | None]]:
    """What a rule says in each cell that all four blocks have. sides: by block and cell."""
    cells = sorted(set.intersection(*(set(of) for of in sides.values())))
    return {
        extra: [rule.decide(sides["pread-1"][cell], sides[name][cell]) for cell in cells]
        for extra, name in COMPARED.items()
    }


def set_read(folder: Path) -> BlockData | None:
    """What a set of blocks contributes; None when it is not complete."""
    paths = [path for path, _, _ in runs_of(folder)]
    if not all((path / "manifest.json").exists() for path in paths):
        return None
    runs = {path.name: run_load(path) for path in paths}
    if any(run.manifest.stopped in (None, "interrupted") for run in runs.values()):
        return None
    many = {name: sides_of(runs[name]) for name in BLOCKS}
    once = {name: sides_of(runs[f"{name}-once"]) for name in BLOCKS}
    said = {rule.name: judged(rule, once if rule.once else many) for rule in RULES}
    seconds = [s for run in runs.values() for s in timed_seconds(run)]
    machine = runs["pread-1"].manifest.machine or "unknown"
    return BlockData(folder.name, machine, said, 2 * float(np.median(seconds)) if seconds else 0.0)


def row_of(said: Sequence[str | None], extra: float) -> dict[str, Any]:
    """How often something was said that is right to say (SLOWER), or, of equal sides, anything."""
    hits = sum(s == SLOWER if extra else s is not None for s in said)
    return {**share(hits, len(said)), "said": dict(Counter(s or "nothing" for s in said))}


def figures(sets: Sequence[BlockData]) -> dict[str, Any]:
    """The table of one condition."""
    return {
        "sets": len(sets),
        "seconds": float(np.median([one.seconds for one in sets])),
        "rules": {
            rule.name: {
                "told": rule.told,
                **{
                    f"{extra:g}": row_of([s for one in sets for s in one.said[rule.name][extra]], extra)
                    for extra in COMPARED
                },
            }
            for rule in RULES
        },
    }


def own_row(verdicts: dict[str, Any]) -> dict[str, Any]:
    """faultline's own row, from the figures of selfbench/self-bench."""
    surplus = verdicts["surplus"]
    return {
        "told": f"arms that take turns; δ = {spelled(rules.THRESHOLD)}",
        "0": verdicts["alarms"]["null_arms"],
        **{key: surplus[key]["found"] for key in ("0.02", "0.05") if key in surplus},
    }


def rows_of(found: dict[str, Any], verdicts: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """The table, a row a rule."""
    yield "rules of others on blocks", f"{found['sets']} sets, {found['seconds']:.2f} s timed a comparison"
    table = {**({"faultline": own_row(verdicts)} if verdicts else {}), **found["rules"]}
    for name, row in table.items():
        yield f"  {name}", row["told"]
        for key, words in (("0", "equal, called different"), ("0.02", "2 % found"), ("0.05", "5 % found")):
            if key in row:
                yield f"    {words}", f"{row[key]['k']} of {row[key]['n']}: {bounded(row[key], 'share', 0)}"
