# SPDX-License-Identifier: MIT
"""The machine with distances: 2 packages of 2 dies of 2 cores of 2 threads, each die with an L3 cache and memory of its
own. All that is expected of it follows from here and from the numbers of its CPUs, which run through the dies."""

from __future__ import annotations

import collections
import itertools
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CPUS, OF_CORE, OF_DIE, OF_PACKAGE = 16, 2, 4, 8
PROCESSORS = f"{CPUS},sockets=2,dies=2,cores=2,threads=2"  # of QEMU's -smp
DISTANCES = ((10, 12, 21, 32), (12, 10, 21, 21), (21, 21, 10, 12), (32, 21, 12, 10))
NODE_MIB = 512
PAGE_BYTES = 4096
# The classes of pairs that each place has here; a core has its L2 cache for itself, and a node one L3 cache.
PLACES = {
    "same-core": {"core"},
    "same-l2": set(),
    "same-l3": {"l3"},
    "other-l3": set(),
    "other-node": {"package"},
    "other-package": {"machine-distance-21", "machine-distance-32"},
}
TURNS = 6  # of the three pairs of a class, each in both orders: bench/pairs.c
MATRIX_ROUNDS, MATRIX_ROUNDS_ALL = 3, 24  # timed rounds of a visit and of a trial, at least (bench/matrix.h)

Check = Callable[[bool, str, str], None]


def memory_nodes() -> Iterator[str]:
    """QEMU's words for the memory nodes."""
    for node in range(len(DISTANCES)):
        first = node * OF_DIE
        yield from ("-object", f"memory-backend-ram,id=node{node},size={NODE_MIB}M")
        yield from ("-numa", f"node,nodeid={node},memdev=node{node},cpus={first}-{first + OF_DIE - 1}")
    for (a, row), b in itertools.product(enumerate(DISTANCES), range(len(DISTANCES))):
        yield from ("-numa", f"dist,src={a},dst={b},val={row[b]}")


def class_of(a: int, b: int) -> str:
    """The class of two CPUs, by their numbers alone."""
    for shared, name in ((OF_CORE, "core"), (OF_DIE, "l3"), (OF_PACKAGE, "package")):
        if a // shared == b // shared:
            return name
    return f"machine-distance-{DISTANCES[a // OF_DIE][b // OF_DIE]}"


def all_pairs() -> set[tuple[int, int]]:
    """Every two CPUs."""
    return set(itertools.combinations(range(CPUS), 2))


def judge_machine(check: Check, machine: dict[str, Any]) -> None:
    """What `machine` says of it: by hwloc, and by sysfs where the program is static."""
    topology = machine["topology"]
    said = machine["blocking"]["virtualisation"]
    check(str(said).endswith("(emulated)"), "the fingerprint says that it is emulated", str(said))
    levels = ("core", "smt", "l2", "l3", "die", "numa_node", "package")
    found = {pu["os_index"]: tuple(pu[level] for level in levels) for pu in topology["pus"]}
    expected = {
        n: (n // OF_CORE, n % OF_CORE, n // OF_CORE, n // OF_DIE, n // OF_DIE, n // OF_DIE, n // OF_PACKAGE)
        for n in range(CPUS)
    }
    check(found == expected, f"each CPU is where it is: {', '.join(levels)}", f"{found}\n{expected}")
    distances = topology["distances"]
    check(distances == [list(row) for row in DISTANCES], "the nodes are as far apart as they are", str(distances))
    classes = {one["name"]: one["pairs"] for one in topology["classes"]}
    counted = collections.Counter(class_of(a, b) for a, b in all_pairs())
    check(classes == counted, f"the {len(all_pairs())} pairs are in their classes", f"{classes}\n{counted}")
    print(f"# {', '.join(f'{name}: {count} pairs' for name, count in classes.items())}")


def records_of(run: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a run."""
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def fault_of(record: dict[str, Any], rounds: int, visits: int, cpus: list[int]) -> str | None:
    """What is wrong with a record of so many rounds; its arms ran on these CPUs (or where its visits say)."""
    for visit in record["pairs"]:
        if class_of(visit["a"], visit["b"]) != visit["class"]:
            return f"class of {visit}"
    if len(record["pairs"]) != visits or sum(visit["rounds"] for visit in record["pairs"]) != rounds:
        return f"visits of {record['pairs']}"
    for arm in record["arms"]:
        timed = len(arm["batch_ns"]) == rounds and all(ns and ns > 0 for ns in arm["batch_ns"])
        if arm["status"] != "ok" or arm["voided"] or not timed or arm["proof"]["cpus"] != cpus:
            return f"arm {arm['name']}: {arm['status']}, {arm['voided']}, {arm['batch_ns']}, {arm['proof']}"
    return None


def faults_of_places(records: Iterable[dict[str, Any]]) -> list[str]:
    """What is wrong with records whose workers stayed with one pair of CPUs."""
    out = []
    for record in records:
        first = record["pairs"][0]
        place = record["params"]["place"]
        wrong = fault_of(record, first["rounds"], 1, [first["a"], first["b"]])
        if not wrong and first["class"] not in PLACES[place]:
            wrong = f"{first['class']} is not {place}"
        out += [f"{record['cell']}, trial {record['trial']}: {wrong}"] if wrong else []
    return out


def judge_places(check: Check, run: pathlib.Path) -> None:
    """Every place that is here is measured, on pairs of its classes; every other one is refused with its reason."""
    plan = json.loads((run / "manifest.json").read_text())["plan"]
    records = records_of(run)
    reasons = {re.findall(r"place=([\w-]+)", one["cell"])[0]: one["reason"] for one in plan["refused"]}
    asked = {cell["params"]["place"] for cell in plan["cells"]} | set(reasons)
    seen: dict[str, set[str]] = {}
    pairs: dict[str, set[tuple[int, int]]] = {}
    for record in records:
        place, pair = record["params"]["place"], record["pairs"][0]
        seen.setdefault(place, set()).add(pair["class"])
        pairs.setdefault(place, set()).add((pair["a"], pair["b"]))
    expected = {place: classes for place, classes in PLACES.items() if classes and place in asked}
    check(len(expected) == 4 and seen == expected, f"{run.name}: every place that is here is measured", str(seen))
    lacking = {place for place in asked if not PLACES[place]}
    told = all(f"no two CPUs are placed {place} here" in reasons.get(place, "") for place in lacking)
    check(bool(lacking) and told and set(reasons) == lacking, f"{run.name}: every other one is refused", str(reasons))
    faults = faults_of_places(records)
    check(not faults, f"{run.name}: workers ran on the CPUs of their place", "\n".join(faults))
    trials = len({record["trial"] for record in records})
    turns = {place: {TURNS * len(PLACES[place]), trials} for place in pairs}
    good = all(len(found) == min(turns[place]) for place, found in pairs.items())
    check(good, f"{run.name}: pairs and their order take turns", str(pairs))


def rounds_of(visits: int) -> int:
    """Timed rounds of a trial with so many visits."""
    return visits * max(MATRIX_ROUNDS, -(-MATRIX_ROUNDS_ALL // visits))


def judge_matrix(check: Check, run: pathlib.Path, whole: bool) -> None:
    """Workers went where they were to: to every pair, or to every CPU and every class."""
    records = records_of(run)
    faults = [fault_of(one, rounds_of(len(one["pairs"])), len(one["pairs"]), []) for one in records]
    wrong = [fault for fault in faults if fault]
    check(bool(records) and not wrong, f"{run.name}: every pair is measured where it is", "\n".join(wrong))
    seen = {(min(one["a"], one["b"]), max(one["a"], one["b"])) for record in records for one in record["pairs"]}
    classes = {class_of(a, b) for a, b in seen}
    cpus = {cpu for pair in seen for cpu in pair}
    print(f"# {run.name}: {len(seen)} pairs in {sum(len(record['pairs']) for record in records)} visits")
    if whole:
        missing = all_pairs() - seen
        check(seen == all_pairs(), f"{run.name}: all {len(all_pairs())} pairs are seen", str(missing))
    else:
        check(cpus == set(range(CPUS)), f"{run.name}: every CPU is in a pair", str(sorted(cpus)))
        check(classes == set().union(*PLACES.values()), f"{run.name}: every class is seen", str(classes))


def nodes_of(where: str, node: int) -> set[frozenset[int]]:
    """The sets of nodes on which pages may lie for memory_node: where, seen from a node."""
    away = max(DISTANCES[node])
    return {
        "local": {frozenset({node})},
        "remote": {frozenset({other}) for other, distance in enumerate(DISTANCES[node]) if distance == away},
        "interleave": {frozenset(range(len(DISTANCES)))},
    }[where]


def judge_memory(check: Check, run: pathlib.Path) -> None:
    """The pages of a file lie on the nodes that were asked for, all of them, and evenly where there are several."""
    records = records_of(run)
    wrong = []
    for record in records:
        params, trial = record["params"], f"{record['cell']}, trial {record['trial']}"
        pages = params["file_bytes"] // PAGE_BYTES
        for arm in record["arms"]:
            proof = arm["proof"]
            homes = {home["node"]: home["pages"] for home in proof.get("homes", [])}
            allowed = nodes_of(params["memory_node"], proof["cpus"][0] // OF_DIE)
            even = all(abs(count * len(homes) - pages) <= pages // 8 for count in homes.values())
            if arm["status"] != "ok" or frozenset(homes) not in allowed or sum(homes.values()) != pages or not even:
                wrong.append(f"{trial}, {arm['name']}: {arm['status']}, CPU {proof['cpus']}, {homes} of {pages}")
    seen = {record["params"]["memory_node"] for record in records}
    check(len(seen) == 3, f"{run.name}: every choice of memory is measured", str(seen))
    check(bool(records) and not wrong, f"{run.name}: all pages lie where they were to", "\n".join(wrong))


def judge_homes(check: Check, text: str) -> None:
    """The test of memory homes has nothing to skip here; it may have been left out."""
    if "guest: test test_homes " in text:
        left = re.findall(r"^guest: skip (pages_\S+)", text, re.M)
        check(not left, "pages lie on the nodes where they were made", "\n".join(left))


def judge(check: Check, name: str, folder: pathlib.Path, runs: Iterable[pathlib.Path], text: str) -> None:
    """All of it, of what came back."""

    def named(good: bool, what: str, why: str) -> None:
        check(good, f"{name}: {what}", why)

    for program in ("faultline", "faultline-static"):

        def of_program(good: bool, what: str, why: str, program: str = program) -> None:
            named(good, f"{program}: {what}", why)

        try:
            judge_machine(of_program, json.loads((folder / f"made/{program}.json").read_text()))
        except (OSError, ValueError) as error:
            of_program(False, "the fingerprint came back", f"{error}\n{text[-1500:]}")
    judge_homes(named, text)
    for run in runs:
        if run.name.startswith("matrix"):
            judge_matrix(named, run, run.name == "matrix-pu")
        elif run.name == "memory-node":
            judge_memory(named, run)
        else:
            judge_places(named, run)
