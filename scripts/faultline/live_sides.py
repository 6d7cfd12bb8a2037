# SPDX-License-Identifier: MIT
"""The two sides of a live comparison: what starts each, what each says it would measure, and which cells both have.

A side is a launcher of a faultline program: a build, or anything that ends in starting one (env, prlimit, a script).
It is asked for its plan and its machine, as a user would ask.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from faultline import comparison, fingerprint, pairing, verdict
from faultline.pairing import MISSING, REFUSED, UNLIKE, Key, LeftOut, Side
from faultline.records import (
    CellPlan,
    LineError,
    RecordsError,
    Run,
    get,
    json_parse,
    manifest_read,
    objects,
    parameter_types,
    schema_check,
)
from faultline.sources import Stored
from faultline.text import safe
from faultline.trial_pair import Ended, Machine, NotStarted, Program, SideError, run_all, status_text

BASE, CANDIDATE = "base", "candidate"
ASK_S = 60.0  # a plan that is not there by then never will be
USAGE, NO_ROOM, NOT_COMPARABLE, IO = 2, 4, 6, 7  # exit statuses, docs/architecture.md
OF_A_KIND = ("architecture", "page_bytes")  # of machines whose programs can take turns
NOT_STARTED = (126, 127)  # what env, sh and the like end with when they cannot start a program
SINGLE_VALUES = {  # parameters that only one value of can be had live, and why
    "memory_limit": (0, "a memory limit needs a control group that only a run makes"),
    "matrix": ("none", "workers that visit pairs of CPUs (matrix) pass no turns"),
    "memory_node": ("any", "placing pages on a memory node is left to a run"),
    "read_ahead": ("as-found", "read_ahead is changed only on filesystems that a run makes"),
}
BACKINGS = ("file", "tmpfs", "memfd", "hugetlbfs")
PLACE_LEVELS = {  # of the pairs of CPUs that a place of two workers means (bench/pairs.c)
    "same-core": ("core",),
    "same-l2": ("l2", "cluster"),
    "same-l3": ("l3",),
    "other-l3": ("die", "node"),
    "other-node": ("package",),
    "other-package": ("machine",),
}


PRELOAD = "cannot be preloaded"  # as the loader of glibc says; it goes on without the library, and ends with 0


class LiveError(Exception):
    """There can be no comparison; the text is one line for the user, `status` what to end with."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Launcher:
    """What starts the program of one side: the user's text, and its words."""

    name: str
    text: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, text: str) -> "Launcher":
        """From a word of the command line; LiveError when it is none."""
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise LiveError(f"{name}: '{safe(text)}': {safe(error)}", USAGE) from None
        if not words:
            raise LiveError(f"{name}: no program is named", USAGE)
        return cls(name, text, words)


@dataclass(frozen=True)
class LiveSide:
    """A side with its plan (faultline.plan/1), its machine (faultline.machine/1) and what it said on the way."""

    launcher: Launcher
    plan: Mapping[str, Any]
    machine: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """base or candidate."""
        return self.launcher.name

    @cached_property
    def run(self) -> Run:
        """A run of it without any trial: what comparisons of stored runs read of a side. RecordsError or LineError when
        its plan is none."""
        manifest = {"run": self.name, "tool": tool_of(self.machine), "plan": self.plan}
        return Run(Path(self.name), manifest_read(manifest, parameter_types()), (), self.machine)

    @property
    def topology(self) -> Mapping[str, Any]:
        """Of its machine; empty where it knows none."""
        return self.machine.get("topology") or {}

    @property
    def fingerprint(self) -> Machine:
        """What its records say of the machine."""
        return Machine(str(self.machine.get("hash")), str(self.machine.get("boot_id")))

    def cells(self) -> dict[Key, Mapping[str, Any]]:
        """The cells of its plan by scenario and id."""
        return {(c["scenario"], c["cell"]): c for c in self.plan["cells"]}


@dataclass(frozen=True)
class LiveCell:
    """A cell that both sides have. `plans`: each side's plan with nothing but it."""

    scenario: str
    cell: str
    delta: float
    params: Mapping[str, Any]
    arms: tuple[str, ...]
    plans: Mapping[str, Mapping[str, Any]]

    @property
    def key(self) -> Key:
        """Scenario and id."""
        return self.scenario, self.cell

    @property
    def workers(self) -> int:
        """How many there are."""
        return int(self.params.get("workers", 1))


def tool_of(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The program as its machine.json names it. Its own hash is unknown: what a launcher starts nobody tells."""
    blocking = machine["blocking"]
    tool = blocking.get("tool") or {}
    return {
        "version": tool.get("version"),
        "compiler": blocking.get("compiler"),
        "flags": blocking.get("flags"),
        "build": tool.get("build"),
        "program": None,
    }


def preload_complaint(errors: str) -> str | None:
    """What the loader said of a library that it left out, None when it said no such thing."""
    return next((line.strip() for line in errors.splitlines() if PRELOAD in line), None)


def ask(launcher: Launcher, words: Sequence[str], interrupted: Callable[[], int]) -> Ended:
    """What the program of a side answers; LiveError when it does not."""
    asked = f"{launcher.name} ({safe(launcher.text)})"
    try:
        (ended,) = run_all([Program(asked, [*launcher.words, *words])], ASK_S, interrupted)
    except NotStarted as error:
        raise LiveError(str(error), USAGE) from None
    except SideError as error:
        raise LiveError(str(error), IO) from None
    if ended.status:
        why = f": {safe(ended.last_words)}" if ended.last_words else ""
        status = USAGE if ended.status in (USAGE, *NOT_STARTED) else IO
        raise LiveError(f"{asked}: '{words[0]}' ended with {status_text(ended.status)}{why}", status)
    absent = preload_complaint(ended.errors)
    if absent:
        raise LiveError(f"{asked}: it would run without a library: {safe(absent)}", USAGE)
    return ended


def answer(launcher: Launcher, ended: Ended, word: str) -> dict[str, Any]:
    """The JSON object of that schema that a side printed; LiveError when it is none."""
    try:
        value = json_parse(ended.output)
        schema_check(value, f"faultline.{word}")
    except (LineError, RecordsError) as error:
        why = f"{launcher.name} ({safe(launcher.text)}): '{word} --json' printed no faultline.{word}/1: {error}"
        raise LiveError(why, IO) from None
    return value


def side_ask(launcher: Launcher, plan_words: Sequence[str], machine_words: Sequence[str],
             interrupted: Callable[[], int]) -> LiveSide:
    """A side's plan and machine; LiveError when it has none."""
    told = {}
    remarks: dict[str, None] = {}
    for word, words in (("plan", plan_words), ("machine", machine_words)):
        ended = ask(launcher, [word, *words, "--json"], interrupted)
        told[word] = answer(launcher, ended, word)
        remarks |= dict.fromkeys(line.strip() for line in ended.errors.splitlines() if line.strip())
    side = LiveSide(launcher, told["plan"], told["machine"], tuple(remarks))
    for word, check in (("machine", machine_check), ("plan", plan_check)):
        try:
            check(side)
        except (LineError, RecordsError) as error:
            what = f"{launcher.name} ({safe(launcher.text)}): its {word} is none: {error}"
            raise LiveError(what, IO) from None
    return side


def plan_check(side: LiveSide) -> None:
    """What is read of a plan here, and what is left of it in a run's manifest, must be there; LineError or RecordsError
    otherwise."""
    plan, manifest = side.plan, side.run.manifest
    for cell in objects(plan, "cells"):
        if cell["scenario"] not in manifest.scenarios:
            raise LineError(f'the scenario {safe(cell["scenario"])} of a cell is missing')
        if get(cell["params"], "workers", int, none=True) == 0:
            raise LineError('"workers" is 0')
        for arm in cell["arms"]:
            get(arm, "method_version", int)
    for one in objects(plan, "refused", none=True):
        get(one, "scenario", str), get(one, "cell", str), get(one, "reason", str)
    for one in objects(plan, "pairs", none=True):
        get(one, "a", int), get(one, "b", int), get(one, "class", str)
    get(get(plan, "estimate_s", dict), "total", (int, float))
    get(plan, "trials", (int, float)), get(plan, "seed", int), get(plan, "disk_bytes", int), get(plan, "directory", str)


def machine_check(side: LiveSide) -> None:
    """The same for what is read of a machine; LineError otherwise."""
    get(side.machine, "hash", str)
    get(side.machine, "blocking", dict)
    get(side.machine, "topology", dict, none=True)
    for pu in objects(side.topology, "pus", none=True):
        get(pu, "os_index", int)
    for one in objects(side.topology, "classes", none=True):
        get(one, "name", str), get(one, "level", str)


def machines_check(base: LiveSide, candidate: LiveSide, vary: Sequence[str]) -> None:
    """Both sides must see one machine, and differ in nothing that was not declared; LiveError otherwise. What one of
    them does not know is not known to be the same."""
    same = {key: [side.machine["blocking"].get(key) for side in (base, candidate)] for key in OF_A_KIND}
    same["boot"] = [side.machine.get("boot_id") for side in (base, candidate)]
    for key, (mine, its) in same.items():
        if mine is None or mine != its:
            raise LiveError(f"the sides differ in {key}: {safe(mine)} and {safe(its)}", NOT_COMPARABLE)
    runs = [Stored(side.name, verdict.conclude(side.run)) for side in (base, candidate)]
    found = fingerprint.differences([base.run], [candidate.run], vary)
    refused = comparison.refusals(Side(BASE, runs[:1]), Side(CANDIDATE, runs[1:]), found)
    if refused:
        raise LiveError(f"not comparable: {'; '.join(refused)}", NOT_COMPARABLE)


def refusal(params: Mapping[str, Any]) -> str | None:
    """Why a cell cannot be measured live, None when it can."""
    backing = params.get("backing", "file")
    if backing == "given":
        return "a file of the user's would be in the CPU's caches for whoever comes second: each side needs its own"
    if backing not in BACKINGS:
        return f"backing {safe(backing)} needs a mount that only a run makes"
    for key, (value, why) in SINGLE_VALUES.items():
        if params.get(key, value) != value:
            return why
    place, workers = str(params.get("place", "any")), int(params.get("workers", 1))
    if place in PLACE_LEVELS and workers == 2 or place == "any" or (place.startswith("cpu:") and workers == 1):
        return None
    return f"place {safe(place)} is left to a run"


def cells_unlike(mine: CellPlan, its: CellPlan, vary: Sequence[str]) -> str | None:
    """In what two cells of one id differ, None in nothing that both know and nobody declared: a parameter that one
    program does not have yet is none of the other's either."""
    if pairing.arms_of(mine) != pairing.arms_of(its):
        return "its arms differ, or the versions of their methods"
    found = pairing.parameters_differ(mine, its)
    return pairing.parameters_text({key: pair for key, pair in found.items() if None not in pair}, vary)


def narrowed(plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The plan with these cells only, and no latency passes: the other side would be at its own meanwhile."""
    quiet = [
        {
            **cell,
            "params": {**cell["params"], "latency": "none"},
            "arms": [{**arm, "params": {**arm["params"], "latency": "none"}} for arm in cell["arms"]],
        }
        for cell in cells
    ]
    names = {cell["scenario"] for cell in cells}
    scenarios = [scenario for scenario in plan["scenarios"] if scenario["name"] in names]
    return {**plan, "scenarios": scenarios, "cells": quiet, "refused": [], "trials": len(cells)}


def scenario_left(base: LiveSide, candidate: LiveSide, name: str, vary: Sequence[str]) -> LeftOut | None:
    """Why a scenario is not compared, None when both sides have it and it is the same but for what was declared."""
    lacking = [side.name for side in (base, candidate) if name not in side.run.manifest.scenarios]
    if lacking:
        return LeftOut(name, None, f"the {lacking[0]} does not have it", MISSING)
    why = pairing.scenario_unlike(base.run, candidate.run, name, vary)
    return LeftOut(name, None, f"it is not the same on both sides: {why}", UNLIKE) if why else None


def cell_left(base: LiveSide, candidate: LiveSide, key: Key, vary: Sequence[str]) -> LeftOut | None:
    """Why a cell is not compared, None when it is."""
    mine, its = (pairing.plans_of(side.run, key[0]).get(key[1]) for side in (base, candidate))
    if mine is None or its is None:
        lacking = base if mine is None else candidate
        refused = lacking.plan.get("refused") or []
        why = next((r["reason"] for r in refused if (r["scenario"], r["cell"]) == key), None)
        return LeftOut(*key, f"the {lacking.name} does not have it" + (f": {safe(why)}" if why else ""), MISSING)
    for kind, why in ((UNLIKE, cells_unlike(mine, its, vary)), (REFUSED, refusal(mine.params))):
        if why:
            return LeftOut(*key, why, kind)
    return None


def cells_match(
    base: LiveSide, candidate: LiveSide, delta: float | None, vary: Sequence[str] = ()
) -> tuple[list[LiveCell], list[LeftOut]]:
    """The cells that both sides have, in the base's order; and what is left out, with why. delta: None for the
    scenario's."""
    cells, left = [], []
    for name in dict.fromkeys(name for side in (base, candidate) for name in side.run.manifest.scenarios):
        out = scenario_left(base, candidate, name, vary)
        if out:
            left.append(out)
            continue
        for key in dict.fromkeys(k for side in (base, candidate) for k in side.cells() if k[0] == name):
            out = cell_left(base, candidate, key, vary)
            if out:
                left.append(out)
            else:
                cells.append(cell_make(base, candidate, key, delta))
    known = {(one.scenario, one.cell) for one in left}
    for one in (r for side in (base, candidate) for r in side.plan.get("refused") or []):
        if (one["scenario"], one["cell"]) not in known:
            known.add((one["scenario"], one["cell"]))
            left.append(LeftOut(one["scenario"], one["cell"], one["reason"], REFUSED))
    return cells, left


def cell_make(base: LiveSide, candidate: LiveSide, key: Key, delta: float | None) -> LiveCell:
    """A cell that both sides have."""
    mine, scenario = base.cells()[key], base.run.manifest.scenarios[key[0]]
    plans = {side.name: narrowed(side.plan, [side.cells()[key]]) for side in (base, candidate)}
    arms = tuple(arm["name"] for arm in mine["arms"])
    return LiveCell(*key, delta or scenario.delta, mine["params"], arms, plans)


def allowed_cpus(sides: Sequence[LiveSide]) -> list[int]:
    """CPUs that every side may use, the lowest last (interrupts tend to go there); LiveError when there are none."""
    allowed = set(os.sched_getaffinity(0))
    for side in sides:
        pus = side.topology.get("pus") or []
        mine = {pu["os_index"] for pu in pus if pu.get("allowed")}
        allowed &= mine or allowed
    if not allowed:
        raise LiveError("there is no CPU that both sides may use", NOT_COMPARABLE)
    ordered = sorted(allowed)
    return ordered[1:] + ordered[:1]


def place_cpus(cell: LiveCell, base: LiveSide, allowed: Sequence[int], turn: int) -> list[int]:
    """The CPUs of a cell's workers, the same for both sides, beginning further on in each turn as a run does; LiveError
    when they cannot be had."""
    place, workers = str(cell.params.get("place", "any")), cell.workers
    if place == "any":
        if workers > len(allowed):
            raise LiveError(f"{workers} workers need as many CPUs, there are {len(allowed)}", NOT_COMPARABLE)
        ring = len(allowed) - 1 if len(allowed) > workers else len(allowed)
        return [allowed[(turn + n) % ring] for n in range(workers)]
    if place.startswith("cpu:"):
        chosen = [int(place[4:])]
    else:
        classes = base.topology.get("classes") or []
        wanted = {c["name"] for c in classes if c["level"] in PLACE_LEVELS[place]}
        pairs = [(p["a"], p["b"]) for p in (base.plan.get("pairs") or []) if p["class"] in wanted]
        if not pairs:
            raise LiveError(f"no two CPUs are placed {place} here", NOT_COMPARABLE)
        chosen = list(pairs[turn % len(pairs)])
        if turn // len(pairs) % 2:
            chosen.reverse()
    if not set(chosen) <= set(allowed):
        raise LiveError(f"place {place}: a CPU is not among those that both sides may use", NOT_COMPARABLE)
    return chosen
