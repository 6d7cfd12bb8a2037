# SPDX-License-Identifier: MIT
"""The two sides of a live comparison: what starts each, what each says it would measure, and which cells both have.

A side is a launcher of a faultline program: a build, or anything that ends in starting one (env, prlimit, a script).
It is asked for its plan and its machine, as a user would ask.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from faultline.records import LineError, RecordsError, json_parse, schema_check
from faultline.text import safe
from faultline.trial_pair import Ended, Machine, Program, SideError, run_all, status_text

BASE, CANDIDATE = "base", "candidate"
ASK_S = 60.0  # a plan that is not there by then never will be
USAGE, TRIAL, NOT_COMPARABLE, IO = 2, 5, 6, 7  # exit statuses, docs/architecture.md
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


MISSING, UNLIKE, REFUSED, FAILED = LEFT_OUT = ("missing", "unlike", "refused", "failed")  # why something is left out


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

    @property
    def fingerprint(self) -> Machine:
        """What its records say of the machine."""
        return Machine(str(self.machine.get("hash")), str(self.machine.get("boot_id")))

    def scenario(self, name: str) -> Mapping[str, Any] | None:
        """A scenario of its plan."""
        return next((s for s in self.plan["scenarios"] if s["name"] == name), None)

    def cells(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """The cells of its plan by scenario and id."""
        return {(c["scenario"], c["cell"]): c for c in self.plan["cells"]}


@dataclass(frozen=True)
class LeftOut:
    """What is not compared: a cell, or with `cell` None a scenario, and why. kind: one of LEFT_OUT."""

    scenario: str
    cell: str | None
    reason: str
    kind: str

    def __str__(self) -> str:
        return f"{self.scenario}{' ' + self.cell if self.cell else ''}: {self.reason}"


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
    def key(self) -> tuple[str, str]:
        """Scenario and id."""
        return self.scenario, self.cell

    @property
    def workers(self) -> int:
        """How many there are."""
        return int(self.params.get("workers", 1))


def ask(launcher: Launcher, words: Sequence[str], interrupted: Callable[[], int]) -> Ended:
    """What the program of a side answers; LiveError when it does not."""
    asked = f"{launcher.name} ({safe(launcher.text)})"
    try:
        (ended,) = run_all([Program(asked, [*launcher.words, *words])], ASK_S, interrupted)
    except SideError as error:
        started = "did not end" in str(error)
        raise LiveError(str(error), TRIAL if started else USAGE) from None
    if ended.status:
        why = f": {safe(ended.last_words)}" if ended.last_words else ""
        status = USAGE if ended.status in (USAGE, *NOT_STARTED) else TRIAL
        raise LiveError(f"{asked}: '{words[0]}' ended with {status_text(ended.status)}{why}", status)
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
    try:
        plan_check(told["plan"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"{launcher.name} ({safe(launcher.text)}): its plan is none: {safe(repr(error))}"
        raise LiveError(what, IO) from None
    return LiveSide(launcher, told["plan"], told["machine"], tuple(remarks))


def plan_check(plan: Mapping[str, Any]) -> None:
    """What is read of a plan here must be there; KeyError, TypeError or ValueError otherwise."""
    for scenario in plan["scenarios"]:
        if not 0 < float(scenario["delta"]) < 1 or not isinstance(scenario["name"], str):
            raise ValueError("delta")
    names = {scenario["name"] for scenario in plan["scenarios"]}
    for cell in plan["cells"]:
        if cell["scenario"] not in names or not isinstance(cell["cell"], str) or not cell["arms"]:
            raise ValueError("cells")
        for arm in cell["arms"]:
            arm["name"], arm["method"], arm["method_version"], dict(arm["params"])
        int(cell["params"].get("workers", 1))
    for key in ("total", "prepare"):
        float(plan["estimate_s"][key])
    float(plan["trials"]), int(plan["seed"]), int(plan["disk_bytes"]), str(plan["directory"])


def machines_check(base: LiveSide, candidate: LiveSide) -> None:
    """Both sides must see one kind of machine; LiveError otherwise."""
    for key in ("architecture", "page_bytes"):
        mine, its = (side.machine.get("blocking", {}).get(key) for side in (base, candidate))
        if mine != its:
            raise LiveError(f"the sides differ in {key}: {safe(mine)} and {safe(its)}", NOT_COMPARABLE)
    if base.fingerprint.boot_id != candidate.fingerprint.boot_id:
        raise LiveError("the sides do not run on one machine: their boots differ", NOT_COMPARABLE)


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


def arms_unlike(mine: Mapping[str, Any], its: Mapping[str, Any]) -> str | None:
    """In what two cells of one id differ, None in nothing that both know."""
    keys = ("name", "method", "null")
    if [[a.get(k) for k in keys] for a in mine["arms"]] != [[a.get(k) for k in keys] for a in its["arms"]]:
        return "its arms differ"
    for a, b in zip(mine["arms"], its["arms"]):
        if a["method_version"] != b["method_version"]:
            return f"method {safe(a['method'])} is version {a['method_version']} and {b['method_version']}"
    for a, b in ((mine, its), *zip(mine["arms"], its["arms"])):
        for key in a["params"].keys() & b["params"].keys():
            if a["params"][key] != b["params"][key]:
                return f"{safe(key)} is {safe(a['params'][key])} and {safe(b['params'][key])}"
    return None


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


def scenario_left(base: LiveSide, candidate: LiveSide, name: str) -> LeftOut | None:
    """Why a scenario is not compared, None when both sides have it and it is the same."""
    mine, its = base.scenario(name), candidate.scenario(name)
    if mine is None or its is None:
        return LeftOut(name, None, f"the {BASE if mine is None else CANDIDATE} does not have it", MISSING)
    if mine.get("hash") != its.get("hash"):
        why = f"it is not the same on both sides (hash {safe(mine.get('hash'))} and {safe(its.get('hash'))})"
        return LeftOut(name, None, why, UNLIKE)
    return None


def cell_left(base: LiveSide, candidate: LiveSide, key: tuple[str, str]) -> LeftOut | None:
    """Why a cell is not compared, None when it is."""
    mine, its = base.cells().get(key), candidate.cells().get(key)
    if mine is None or its is None:
        lacking = base if mine is None else candidate
        why = next((r["reason"] for r in lacking.plan.get("refused", []) if (r["scenario"], r["cell"]) == key), None)
        return LeftOut(*key, f"the {lacking.name} does not have it" + (f": {safe(why)}" if why else ""), MISSING)
    for kind, why in ((UNLIKE, arms_unlike(mine, its)), (REFUSED, refusal(mine["params"]))):
        if why:
            return LeftOut(*key, why, kind)
    return None


def cells_match(base: LiveSide, candidate: LiveSide, delta: float | None) -> tuple[list[LiveCell], list[LeftOut]]:
    """The cells that both sides have, in the base's order; and what is left out, with why. delta: None for the
    scenario's."""
    cells, left = [], []
    for name in dict.fromkeys(s["name"] for side in (base, candidate) for s in side.plan["scenarios"]):
        out = scenario_left(base, candidate, name)
        if out:
            left.append(out)
            continue
        for key in dict.fromkeys(k for side in (base, candidate) for k in side.cells() if k[0] == name):
            out = cell_left(base, candidate, key)
            if out:
                left.append(out)
            else:
                cells.append(cell_make(base, candidate, key, delta))
    known = {(one.scenario, one.cell) for one in left}
    for one in (r for side in (base, candidate) for r in side.plan.get("refused", [])):
        if (one["scenario"], one["cell"]) not in known:
            known.add((one["scenario"], one["cell"]))
            left.append(LeftOut(one["scenario"], one["cell"], one["reason"], REFUSED))
    return cells, left


def cell_make(base: LiveSide, candidate: LiveSide, key: tuple[str, str], delta: float | None) -> LiveCell:
    """A cell that both sides have."""
    mine, scenario = base.cells()[key], base.scenario(key[0])
    assert scenario is not None
    plans = {side.name: narrowed(side.plan, [side.cells()[key]]) for side in (base, candidate)}
    arms = tuple(arm["name"] for arm in mine["arms"])
    return LiveCell(*key, delta or float(scenario["delta"]), mine["params"], arms, plans)


def allowed_cpus(sides: Sequence[LiveSide]) -> list[int]:
    """CPUs that every side may use, the lowest last (interrupts tend to go there); LiveError when there are none."""
    allowed = set(os.sched_getaffinity(0))
    for side in sides:
        pus = side.machine.get("topology", {}).get("pus") or []
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
        classes = base.machine.get("topology", {}).get("classes") or []
        wanted = {c["name"] for c in classes if c["level"] in PLACE_LEVELS[place]}
        pairs = [(p["a"], p["b"]) for p in base.plan.get("pairs", []) if p["class"] in wanted]
        if not pairs:
            raise LiveError(f"no two CPUs are placed {place} here", NOT_COMPARABLE)
        chosen = list(pairs[turn % len(pairs)])
        if turn // len(pairs) % 2:
            chosen.reverse()
    if not set(chosen) <= set(allowed):
        raise LiveError(f"place {place}: a CPU is not among those that both sides may use", NOT_COMPARABLE)
    return chosen
