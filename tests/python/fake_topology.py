# SPDX-License-Identifier: MIT
"""Machines that nobody has at hand, as machine.json describes them, and pairs of their CPUs with a known truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVELS = (("core", "core"), ("l2", "l2"), ("l3", "l3"), ("die", "die"), ("node", "numa_node"), ("package", "package"))
COSTS = {"core": 8.0, "l2": 20.0, "l3": 40.0, "die": 60.0, "node": 95.0, "package": 150.0, "machine": 230.0}
PLACES = {"same-core": "core", "same-l3": "l3", "other-l3": "node", "other-node": "package"}
Pair = tuple[int, int]


def made(packages: int, dies: int, l3s: int, cores: int, threads: int, node: str = "package") -> dict[str, Any]:
    """The topology of a machine with so many dies a package, L3 caches a die, cores a cache and threads a core; a NUMA
    node a package or a die. CPUs are numbered as Linux does: the first threads of all cores, then their siblings."""
    count = packages * dies * l3s * cores
    pus = []
    for core in range(count):
        l3 = core // cores
        die = l3 // l3s
        package = die // dies
        for smt in range(threads):
            pus.append(
                {
                    "os_index": core + smt * count,
                    "allowed": True,
                    "core": core,
                    "smt": smt,
                    "l2": core,
                    "cluster": None,
                    "l3": l3,
                    "die": die if dies > 1 else None,
                    "numa_node": die if node == "die" else package,
                    "package": package,
                    "kind": 0,
                    "frequency_mhz": None,
                }
            )
    shape = f"{packages} packages × {dies * l3s} L3 × {cores} cores × {threads} threads"
    topology = {
        "source": f"synthetic: {shape}",
        "this_machine": False,
        "packages": packages,
        "numa_nodes": packages * (dies if node == "die" else 1),
        "cores": count,
        "cpus": count * threads,
        "pus": pus,
        "caches": [],
        "nodes": [],
        "distances": None,
    }
    counts = Counter(class_of(topology, a["os_index"], b["os_index"]) for i, a in enumerate(pus) for b in pus[:i])
    order = [name for name, _ in LEVELS] + ["machine"]
    topology["classes"] = [
        {"name": name, "level": name, "distance": None, "kinds": [0, 0], "pairs": counts[name]}
        for name in order
        if counts[name]
    ]
    return topology


def real(topology: dict[str, Any], source: str = "hwloc API 2.8.0") -> dict[str, Any]:
    """The same as of a machine that exists."""
    return {**topology, "source": source, "this_machine": True}


def two_cpus() -> dict[str, Any]:
    """Two cores under one L3 cache."""
    return real(made(1, 1, 1, 2, 1))


def guest() -> dict[str, Any]:
    """16 CPUs: 2 sockets of 2 dies of 2 cores of 2 threads, a NUMA node a die."""
    return real(made(2, 2, 1, 2, 2, "die"))


def large() -> dict[str, Any]:
    """512 CPUs: 2 packages of 16 L3 caches of 8 cores of 2 threads. Synthetic, and says so."""
    return made(2, 1, 16, 8, 2)


def rows(topology: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The CPUs by OS index."""
    found = topology.setdefault("_rows", {})
    if not found:
        found.update({row["os_index"]: row for row in topology["pus"]})
    return found


def class_of(topology: dict[str, Any], a: int, b: int) -> str:
    """The first thing that two CPUs share."""
    one, other = rows(topology)[a], rows(topology)[b]
    return next((name for name, key in LEVELS if one[key] is not None and one[key] == other[key]), "machine")


@dataclass
class FakePairs:
    """Which pairs are visited, and what they cost: the cost of the class × the factors of both CPUs and of their L3."""

    topology: dict[str, Any]
    costs: dict[str, float] = field(default_factory=lambda: dict(COSTS))
    cpus: dict[int, float] = field(default_factory=dict)
    l3s: dict[int, float] = field(default_factory=dict)
    pairs: dict[Pair, float] = field(default_factory=dict)
    modes: dict[str, tuple[float, float]] = field(default_factory=dict)  # class: (factor of the second mode, its share)
    all_pairs: bool = False
    per_class: int = 8
    rounds: int = 8  # a visit
    canary_every: int = 12  # visits
    canary_drift: float = 1.0  # of the canary from its first visit in the run to its last

    def known(self) -> list[Pair]:
        """Every pair to visit: all, or some of each class and every CPU twice."""
        cpus = sorted(rows(self.topology))
        every = [(a, b) for a in cpus for b in cpus if a < b]
        if self.all_pairs:
            return every
        by_class: dict[str, list[Pair]] = {}
        for pair in every:
            by_class.setdefault(class_of(self.topology, *pair), []).append(pair)
        some = [pair for mine in by_class.values() for pair in mine[:: max(1, len(mine) // self.per_class)]]
        shifts = {max(1, len(cpus) // 2), max(1, len(cpus) // 3)} if len(cpus) > 2 else set()
        cover = [tuple(sorted((a, cpus[(i + s) % len(cpus)]))) for s in shifts for i, a in enumerate(cpus)]
        return sorted(set(some) | set(cover))  # type: ignore[arg-type]

    def cost(self, a: int, b: int) -> float:
        """The truth of a pair, ns."""
        one, other = rows(self.topology)[a], rows(self.topology)[b]
        factor = self.pairs.get((min(a, b), max(a, b)), 1.0)
        for l3 in {one["l3"], other["l3"]}:
            factor *= self.l3s.get(l3, 1.0)
        return self.costs[class_of(self.topology, a, b)] * factor * self.cpus.get(a, 1.0) * self.cpus.get(b, 1.0)

    def visits(self, place: str, trial: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """The member of a record without its times: with a fixed place one visit of a pair of that class, else all in
        a random order and the canary between."""
        known = self.known()
        if place != "any":
            name = PLACES.get(place, "machine")
            mine = [pair for pair in known if class_of(self.topology, *pair) == name][:3]
            return [self.visit(*mine[trial % len(mine)], False, 3 * self.rounds)]
        order = [known[i] for i in rng.permutation(len(known))]
        out = []
        for i, pair in enumerate(order):
            if i % self.canary_every == 0:
                out.append(self.visit(*known[0], True, self.rounds))
            out.append(self.visit(*pair, False, self.rounds))
        out.append(self.visit(*known[0], True, self.rounds))
        for i, one in enumerate(out):
            one["t_ns"] = i * 5_000_000
        return out

    def visit(self, a: int, b: int, canary: bool, rounds: int) -> dict[str, Any]:
        """One visit."""
        kind = class_of(self.topology, a, b)
        return {"a": a, "b": b, "class": kind, "rounds": rounds, "canary": canary, "t_ns": 0}

    def times(self, visits: list[dict[str, Any]], done: float, rng: np.random.Generator) -> np.ndarray:
        """Time of an operation in each round of these visits; `done`: how much of the run lies behind, 0 to 1."""
        out = []
        for visit in visits:
            cost = np.full(visit["rounds"], self.cost(visit["a"], visit["b"]))
            if visit["class"] in self.modes:
                factor, share = self.modes[visit["class"]]
                cost[rng.random(cost.size) < share] *= factor
            out.append(cost * (self.canary_drift**done if visit["canary"] else 1.0))
        return np.concatenate(out)
