# SPDX-License-Identifier: MIT
"""The CPUs of the machine as machine.json has them: in the order of its tree, in groups, as the rows of cpus.csv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

LEVELS = ("package", "numa_node", "die", "l3", "l2", "core")  # what CPUs belong to, from the largest on
TITLES = {"package": "package", "numa_node": "node", "die": "die", "l3": "L3", "l2": "L2", "core": "core"}
COLUMNS = ("cpu", "position", *LEVELS, "smt", "kind", "frequency_mhz", "source")


@dataclass(frozen=True)
class Pu:
    """One usable CPU: its OS index, its place in the order of the tree (from 0), and the index of what it belongs to at
    each of LEVELS; None where the machine tells none."""

    cpu: int
    position: int
    groups: Mapping[str, int | None]
    smt: int | None
    kind: int | None
    frequency_mhz: float | None


def whole(value: Any) -> int | None:
    """A whole number, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def topology_of(machine: Mapping[str, Any]) -> Mapping[str, Any]:
    """The topology in machine.json, {} where there is none."""
    found = machine.get("topology")
    return found if isinstance(found, dict) else {}


def tree_key(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Sorts CPUs so that those which lie together stand together."""
    found = [whole(row.get(level)) for level in (*LEVELS, "smt", "os_index")]
    return tuple(-1 if value is None else value for value in found)


def pus_of(machine: Mapping[str, Any]) -> list[Pu]:
    """The usable CPUs in the order of the tree; [] where the machine's topology is not known."""
    rows = topology_of(machine).get("pus")
    usable = [
        row
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and whole(row.get("os_index")) is not None and row.get("allowed", True)
    ]
    return [
        Pu(
            cpu=row["os_index"],
            position=position,
            groups={level: whole(row.get(level)) for level in LEVELS},
            smt=whole(row.get("smt")),
            kind=whole(row.get("kind")),
            frequency_mhz=row.get("frequency_mhz") if isinstance(row.get("frequency_mhz"), (int, float)) else None,
        )
        for position, row in enumerate(sorted(usable, key=tree_key))
    ]


def classes_of(machine: Mapping[str, Any]) -> list[str]:
    """Names of the distance classes of pairs, the nearest first; [] where they are not known."""
    found = topology_of(machine).get("classes")
    return [str(one.get("name")) for one in (found if isinstance(found, list) else []) if isinstance(one, dict)]


def source_of(machine: Mapping[str, Any]) -> str:
    """Where the topology comes from; it begins with "not this machine" where it was made up or is of another one."""
    found = topology_of(machine)
    source = str(found.get("source") or "")
    return f"not this machine: {source}" if found.get("this_machine") is False else source


def rows(machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """cpus.csv: one row a usable CPU, in the order of the tree."""
    source = source_of(machine)
    return [
        {
            "cpu": pu.cpu,
            "position": pu.position,
            **pu.groups,
            "smt": pu.smt,
            "kind": pu.kind,
            "frequency_mhz": pu.frequency_mhz,
            "source": source,
        }
        for pu in pus_of(machine)
    ]


def block_level(pus: Sequence[Pu], most: int) -> str | None:
    """The level at which a matrix of at most that many groups shows the whole machine, for one with more CPUs: L3
    caches, else dies, nodes, packages; None where the CPUs are few enough, or no level will do."""
    if len(pus) <= most:
        return None
    for level in ("l3", "die", "numa_node", "package"):
        found = {pu.groups[level] for pu in pus}
        if None not in found and 1 < len(found) <= most:
            return level
    return None


def edge(groups: Sequence[Any], sizes: Mapping[Any, int], spread: bool) -> int | None:
    """The number of CPUs, taken in order, after which the first of their groups is full (packed) or every group has one
    (spread); None where that is never, or a group is not known."""
    if None in groups or len(sizes) < (2 if spread else 1):
        return None
    if spread:
        return next((n for n in range(1, len(groups) + 1) if len(set(groups[:n])) == len(sizes)), None)
    return next((n for n in range(1, len(groups) + 1) if groups[:n].count(groups[0]) == sizes[groups[0]]), None)


def boundaries(
    order: Sequence[int],
    group_of: Callable[[int, str], Any],
    sizes: Mapping[str, Mapping[Any, int]],
    spread: bool,
) -> dict[int, str]:
    """Numbers of workers at which CPUs taken in this order come to the edge of something, with its words; also the
    number after which a core gets its second worker. `group_of(cpu, level)` is None where unknown; sizes[level][group]
    counts CPUs."""
    found: dict[int, list[str]] = {}
    for level in ("l3", "numa_node", "package"):
        at = edge([group_of(cpu, level) for cpu in order], sizes[level], spread)
        if at:
            found.setdefault(at, []).append(TITLES[level])
    words = {at: ("one in every " if spread else "") + " and ".join(names) for at, names in found.items()}
    words = {at: text + ("" if spread else " full") for at, text in words.items()}
    cores = [group_of(cpu, "core") for cpu in order]
    second = next((i for i, core in enumerate(cores) if core is not None and core in cores[:i]), None)
    if second:
        words[second] = f"{words[second]}, then siblings" if second in words else "then siblings"
    return words
