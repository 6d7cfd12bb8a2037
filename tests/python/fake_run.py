# SPDX-License-Identifier: MIT
"""Runs with a known truth: records as the program writes them, with any damage a test asks for.

As a program: python3 tests/python/fake_run.py DIR [WHICH], WHICH one of SCENARIOS or "all".
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import numpy as np

from fake_topology import FakePairs

KIB, MIB = 1024, 1024 * 1024
GRID_NS = 10
PARAMS: dict[str, Any] = {
    "backing": "file",
    "file_bytes": 64 * MIB,
    "recipe": "write-1MiB",
    "cache": "warm",
    "read_ahead": "as-found",
    "memory_limit": 0,
    "pattern": "random",
    "zipf_theta": 0.99,
    "stride_bytes": 4096,
    "working_set_bytes": 64 * MIB,
    "per": "block",
    "consumer": "sum",
    "workers": 1,
    "worker_kind": "thread",
    "worker_file": "shared",
    "place": "any",
    "matrix": "none",
    "batch_time": 250000,
    "arm_time": 50000000,
    "count_ops": 256,
    "latency": "closed",
    "latency_ops": 2000,
    "latency_time": 10000000,
    "latency_interval": 100000,
    "timeline": "no",
    "range_bytes": 64 * MIB,
    "dirty_share": 1.0,
    "dirty_order": "contiguous",
    "written_share": 1.0,
    "siblings": 0,
    "sibling_work": "spin",
    "mappers": 0,
    "vmas": 0,
    "distance_bytes": 2 * MIB,
    "alias_bytes": MIB,
    "access": "load",
    "block_bytes": 4096,
    "touches": 16384,
    "lifetime": "kept",
    "descriptor": "kept",
    "buffer": "reused",
    "open_as": "plain",
    "descriptor_of": "worker",
    "rwf": "none",
    "pieces": 1,
    "queue_depth": 1,
    "registered": "none",
    "submission": "enter",
    "sharing": "shared",
    "pages": "small",
    "prior": "never",
    "breaker": "parent_first",
    "locked": "no",
    "window_bytes": 64 * MIB,
    "consume": "in_place",
    "populate": "none",
    "advice": "normal",
    "vma": "whole",
    "sync": "none",
    "phase": "whole",
    "merge_step": "whole",
    "storm": "none",
    "surplus": 0.0,
    "stalls": 0.0,
    "hand_over": "cas",
    "via": "mapped-spin",
    "payload_bytes": 64,
    "ring_side": "both",
    "ring_bytes": 4 * KIB,
    "through": "other",
}


def blocking(model_name: str = "Example CPU") -> dict[str, Any]:
    """The blocking keys of a machine."""
    return {"cpu_model": model_name, "page_bytes": 4096, "kernel_release": "6.1.0"}


def machine_hash(keys: dict[str, Any]) -> str:
    """Their hash, as docs/machine.md has it."""
    found = 0xCBF29CE484222325
    for byte in json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode():
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{found:016x}"


MACHINE = machine_hash(blocking())


@dataclass
class FakeArm:
    """An arm and its truth: ratio to the baseline (a number or a function of the cell's params), faults an
    operation."""

    name: str
    ratio: float | Callable[[dict[str, Any]], float] = 1.0
    method: str = "mmap"
    faults: float | Callable[[dict[str, Any]], float] = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    drift: float = 0.0  # of the log ratio from the first round to the last
    stall: float = 0.0  # share of batches that take ten times as long
    status: str = "ok"
    reason: str | None = None
    is_null: bool = False


@dataclass
class FakeScenario:
    """A scenario and its truth. `cells` are the varied params of each cell; base_ns is the baseline's time an
    operation."""

    name: str = "access/read-or-map"
    question: str = "When the file is warm, is a mapping faster than pread?"
    op: str = "block read"
    delta: float = 0.01
    common: dict[str, Any] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    arms: list[FakeArm] = field(default_factory=list)
    base_ns: float | Callable[[dict[str, Any]], float] = 600.0
    bytes_per_op: Callable[[dict[str, Any]], int] = lambda params: params["block_bytes"]
    rounds: int = 24
    trials: int = 10
    trial_noise: float = 0.003  # of the log ratio between trials
    round_noise: float = 0.01  # of each batch
    wander: float = 0.05  # of the baseline between trials: common to all arms
    null_bias: float | Callable[[dict[str, Any]], float] = 0.0  # log ratio of the null arm, or that in a cell
    void: float = 0.0  # share of rounds voided
    pairs: FakePairs | None = None  # of CPUs that are visited; they replace base_ns and rounds
    counts: dict[str, Any] = field(default_factory=dict)  # further counts of the counting pass
    claim: list[dict[str, Any]] | None = None  # as a plan has them


def size_text(value: Any) -> str:
    """A size as the program spells it."""
    if not isinstance(value, int):
        return str(value)
    for scale, unit in ((MIB, "MiB"), (KIB, "KiB")):
        if value >= scale and value % scale == 0:
            return f"{value // scale}{unit}"
    return str(value)


def cell_id(varied: dict[str, Any]) -> str:
    """key=value,… in table order; "all" when nothing varies."""
    keys = [key for key in PARAMS if key in varied]
    return (
        ",".join(f"{key}={size_text(varied[key]) if key.endswith('_bytes') else varied[key]}" for key in keys) or "all"
    )


def of(value: Any, params: dict[str, Any]) -> float:
    """A truth that may depend on the cell."""
    return float(value(params) if callable(value) else value)


def bucket(value: int) -> int:
    """Written out again here, so that reader and writer of histograms do not share code."""
    if value < 128:
        return value
    e = int(math.log2(value)) - 7
    while value >> e >= 256:
        e += 1
    while value >> e < 128:
        e -= 1
    return (e + 1) * 128 + (value >> e) - 128


def histogram(values: np.ndarray) -> dict[str, Any]:
    """Sparse histogram of integer ns."""
    found: dict[int, int] = {}
    for value, count in zip(*np.unique(values, return_counts=True)):
        index = bucket(int(value))
        found[index] = found.get(index, 0) + int(count)
    return {"sub_bits": 7, "count": int(values.size), "buckets": [[i, found[i]] for i in sorted(found)]}


def arms_all(scenario: FakeScenario) -> list[FakeArm]:
    """The arms with the null arm at their end."""
    first, bias = scenario.arms[0], scenario.null_bias
    ratio = (lambda params: math.exp(bias(params))) if callable(bias) else math.exp(bias)
    return [
        *scenario.arms,
        FakeArm("null", ratio, first.method, first.faults, first.params, is_null=True),
    ]


def arm_record(
    arm: FakeArm,
    params: dict[str, Any],
    batch: np.ndarray,
    order: np.ndarray,
    ops: int,
    bytes_per_op: int,
    per_op_ns: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One arm as the program records it."""
    mine = {**params, **arm.params}
    common = {"name": arm.name, "method": arm.method, "method_version": 1, "null": arm.is_null, "params": mine}
    empty = {
        "ops_per_batch": 0,
        "bytes_per_op": 0,
        "batch_ns": [],
        "order": [],
        "workers": None,
        "samples": None,
        "voided": [],
        "warmup_rounds": 0,
        "checksum": None,
        "latency": None,
        "latency_reason": "not measured",
        "counts": None,
        "proof": None,
    }
    if arm.status != "ok":
        return {**common, "status": arm.status, "reason": arm.reason, **empty}
    void = np.isnan(batch)
    faults = of(arm.faults, params)
    latencies = np.maximum(1, rng.lognormal(math.log(per_op_ns), 0.2, mine["latency_ops"])).astype(int)
    if mine["stalls"]:
        latencies[:: round(1 / mine["stalls"])] += 100_000
    pages = params["working_set_bytes"] // 4096
    return {
        **common,
        "status": "ok",
        "reason": None,
        "ops_per_batch": ops,
        "bytes_per_op": bytes_per_op,
        "batch_ns": [None if v else int(round(b)) for v, b in zip(void, batch)],
        "order": [int(o) for o in order],
        "workers": None,
        "samples": None,
        "voided": [{"round": int(r), "reason": "3 pages were not resident"} for r in np.flatnonzero(void)],
        "warmup_rounds": 5,
        "checksum": f"{zlib.crc32(repr(sorted(params.items())).encode()):016x}",
        "latency": {"mode": "closed", "interval_ns": 0, "response": None, "service": histogram(latencies), "worst": [], "left_out": 0},
        "latency_reason": None,
        "counts": {
            "ops": 256,
            "minor_faults": round(faults * 256),
            "major_faults": 0,
            "read_bytes": 0,
            "write_bytes": None,
            "voluntary_switches": 0,
        },
        "proof": {
            "resident_before": pages,
            "resident_after": pages,
            "dirty_before": 0,
            "pages": pages,
            "faults": 0,
            "cpus": [1],
        },
    }


def batches(
    scenario: FakeScenario,
    params: dict[str, Any],
    arms: list[FakeArm],
    orders: np.ndarray,
    ops: int,
    rng: np.random.Generator,
    base_ns: Any,
) -> list[np.ndarray]:
    """Batch times of each arm [rounds], NaN where the round is voided; base_ns: the baseline's time, of all rounds or
    of each."""
    rounds = orders.shape[1]
    base = base_ns * math.exp(rng.normal(0, scenario.wander))
    void = rng.random(rounds) < scenario.void
    steps = np.linspace(-0.5, 0.5, rounds)
    times = []
    for arm in arms:
        centre = math.log(of(arm.ratio, params)) + (0 if arm is arms[0] else rng.normal(0, scenario.trial_noise))
        logs = centre + arm.drift * steps + rng.normal(0, scenario.round_noise, rounds)
        batch = base * ops * np.exp(logs) * np.where(rng.random(rounds) < arm.stall, 10, 1)
        times.append(np.where(void, np.nan, np.maximum(1, batch)))
    return times


def record(scenario: FakeScenario, varied: dict[str, Any], trial: int, rng: np.random.Generator) -> dict[str, Any]:
    """One record without its crc."""
    params = {**PARAMS, **scenario.common, **varied}
    arms = arms_all(scenario)
    visits = scenario.pairs.visits(params["place"], trial, rng) if scenario.pairs else None
    rounds = sum(visit["rounds"] for visit in visits) if visits else scenario.rounds
    done = trial / max(1, scenario.trials - 1)
    each = scenario.pairs.times(visits, done, rng) if scenario.pairs and visits else of(scenario.base_ns, params)
    base_ns = float(np.median(each))
    ops = max(1, int(250000 / base_ns))
    orders = np.array([rng.permutation(len(arms)) for _ in range(rounds)]).T
    times = batches(scenario, params, arms, orders, ops, rng, each)
    recorded = [
        arm_record(a, params, b, o, ops, scenario.bytes_per_op(params), base_ns * of(a.ratio, params), rng)
        for a, b, o in zip(arms, times, orders)
    ]
    return {
        "schema": "faultline.trial/1",
        "scenario": scenario.name,
        "cell": cell_id(varied),
        "trial": trial,
        "process": trial,
        "seed": 7 + trial,
        "params": {**params, "op": scenario.op},
        "clock": {"cost_ns": 24, "grid_ns": GRID_NS, "empty_batch_ns": 40},
        "arms": [counts_put(arm, scenario.counts) for arm in recorded],
        "pairs": visits,
        "machine": MACHINE,
        "boot_id": "b007",
        "instance": None,
        "started": f"2026-01-31T12:{trial:02d}:{rng.integers(60):02d}.000Z",
    }


def counts_put(arm: dict[str, Any], counts: dict[str, Any]) -> dict[str, Any]:
    """The arm with further counts: numbers, None for unknown, or a number by the arm's name."""
    if arm["counts"] is not None:
        own = {key: of.get(arm["name"], 0) if isinstance(of, dict) else of for key, of in counts.items()}
        arm["counts"].update(own)
    return arm


def line(value: dict[str, Any]) -> str:
    """A record as a line, its crc last."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f'{text[:-1]},"crc32":"{zlib.crc32(text.encode()):08x}"}}\n'


def manifest(scenarios: list[FakeScenario], expected: int) -> dict[str, Any]:
    """The manifest with its plan."""
    cells = [(s, varied, {**PARAMS, **s.common, **varied}) for s in scenarios for varied in s.cells]
    return {
        "schema": "faultline.manifest/1",
        "run": "20260131T120000Z-fake-0001",
        "tool": {"version": "0.1.0", "compiler": "gcc 12.2.0", "flags": "-O2 -g", "build": "release"},
        "plan": {
            "schema": "faultline.plan/1",
            "seed": 7,
            "profile": "quick",
            "scenarios": [
                {
                    "name": s.name,
                    "question": s.question,
                    "op": s.op,
                    "delta": s.delta,
                    "precision": 0.02,
                    "budget_ns": 0,
                    "rungs": [8, 10, 15, 20, 30],
                    "hash": "0" * 64,
                    "claim": s.claim,
                }
                for s in scenarios
            ],
            "cells": [
                {
                    "scenario": s.name,
                    "question": s.question,
                    "op": s.op,
                    "delta": s.delta,
                    "cell": cell_id(varied),
                    "params": params,
                    "group": 0,
                    "arms": [
                        {
                            "name": a.name,
                            "method": a.method,
                            "method_version": 1,
                            "null": a.is_null,
                            "params": {**params, **a.params},
                        }
                        for a in arms_all(s)
                    ],
                }
                for s, varied, params in cells
            ],
            "trials": expected,
            "estimate_s": {"prepare": 1, "reset": 0, "measure": 10, "total": 11},
            "disk_bytes": 64 * MIB,
            "pairs": [],
            "refused": [],
            "budget_ns": 0,
            "directory": "/var/tmp",
            "given_path": "",
            "allow_evict": False,
        },
        "argv": ["faultline", "run", *(s.name for s in scenarios)],
        "started": "2026-01-31T12:00:00.000Z",
        "ended": "2026-01-31T12:30:00.000Z",
        "expected": expected,
        "finished": expected,
        "exit_status": 0,
        "stopped": "precision",
        "machine": MACHINE,
    }


def write(
    directory: Path,
    scenarios: list[FakeScenario],
    seed: int = 1,
    damage: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value,
    topology: dict[str, Any] | None = None,
) -> Path:
    """Writes a run; `damage` may change each record before its crc is made."""
    rng = np.random.default_rng(seed)
    directory.mkdir(parents=True, exist_ok=True)
    own = blocking(model(topology or {}))
    machine_is = {"machine": machine_hash(own)}
    lines = [
        line(damage({**record(s, varied, trial, rng), **machine_is}))
        for s in scenarios
        for trial in range(s.trials)
        for varied in s.cells
    ]
    (directory / "trials.jsonl").write_text("".join(lines), encoding="utf-8")
    told = {**manifest(scenarios, len(lines)), **machine_is}
    (directory / "manifest.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    machine = {
        "schema": "faultline.machine/1",
        "name": "fake",
        "hash": machine_hash(own),
        "boot_id": "b007",
        "blocking": own,
        "informational": {},
        "topology": {key: value for key, value in (topology or {}).items() if not key.startswith("_")},
        "available": {},
    }
    (directory / "machine.json").write_text(json.dumps(machine), encoding="utf-8")
    return directory


def model(topology: dict[str, Any]) -> str:
    """The name of its processor; of a machine that does not exist it says so."""
    return "Example CPU" if topology.get("this_machine", True) else f"synthetic, no machine ({topology['source']})"


def product(**lists: list[Any]) -> list[dict[str, Any]]:
    """Every combination, as the `vary` of a scenario makes them."""
    cells: list[dict[str, Any]] = [{}]
    for key, values in lists.items():
        cells = [{**cell, key: value} for cell in cells for value in values]
    return cells


def read_or_map(**changes: Any) -> FakeScenario:
    """Twelve cells, arms with long names."""

    def mapped(params: dict[str, Any]) -> float:
        return 0.08 if params["block_bytes"] == 64 else 0.55 if params["block_bytes"] == 4 * KIB else 1.005

    def cost(params: dict[str, Any]) -> float:
        return 400 + 0.06 * params["block_bytes"]

    arms = [
        FakeArm("pread", 1.0, "pread"),
        FakeArm("mapped in place, kept", mapped),
        FakeArm(
            "mapped, populated, copied",
            lambda p: mapped(p) * 1.3,
            params={"populate": "map_populate", "consume": "copy"},
        ),
        FakeArm(
            "mapped once per 1000 touches", lambda p: 3.2 * mapped(p), faults=0.0625, params={"lifetime": "per_pass"}
        ),
    ]
    cells = product(
        block_bytes=[64, 4 * KIB, 64 * KIB], working_set_bytes=[MIB, 64 * MIB], pattern=["sequential", "random"]
    )
    return FakeScenario(**{**dict(arms=arms, cells=cells, base_ns=cost), **changes})


def scan(**changes: Any) -> FakeScenario:
    """Open to close by file size: mapping loses small files and wins large ones; the truth crosses at 1 MiB."""

    def slope(params: dict[str, Any]) -> float:
        return math.exp(-0.2 * math.log2(params["file_bytes"] / MIB))

    sizes = [4 * KIB << 2 * i for i in range(8)]
    arms = [
        FakeArm("pread-128KiB", 1.0, "pread"),
        FakeArm("mapped", slope, faults=lambda p: p["file_bytes"] / 4096 / 89, params={"lifetime": "per_pass"}),
        FakeArm("mapped-populated", lambda p: 0.8 * slope(p), params={"populate": "map_populate"}),
    ]
    return FakeScenario(
        **{
            **dict(
                name="access/scan-by-size",
                question="From which size on is a whole file read faster through a mapping?",
                op="pass",
                common={"per": "pass", "pattern": "sequential"},
                arms=arms,
                cells=[{"file_bytes": s, "working_set_bytes": s} for s in sizes],
                base_ns=lambda p: 3000 + 0.08 * p["file_bytes"],
                bytes_per_op=lambda p: p["working_set_bytes"],
            ),
            **changes,
        }
    )


def recipe(**changes: Any) -> FakeScenario:
    """First touch by the page cache's past."""
    fault = {
        "write-4KiB": 16,
        "write-64KiB": 16,
        "write-1MiB": 89,
        "write-2MiB": 512,
        "refill-read": 27,
        "refill-map": 128,
        "refill-hugepage": 512,
    }
    ns = {
        "write-4KiB": 270,
        "write-64KiB": 110,
        "write-1MiB": 47,
        "write-2MiB": 9,
        "refill-read": 16,
        "refill-map": 68,
        "refill-hugepage": 9,
    }
    arms = [
        FakeArm("first touch", 1.0, faults=lambda p: 1 / fault[p["recipe"]]),
        FakeArm("one-page VMAs", 4.0, faults=1.0, params={"vma": "page"}),
        FakeArm("pread", lambda p: 500 / ns[p["recipe"]], "pread"),
    ]
    return FakeScenario(
        **{
            **dict(
                name="access/recipe",
                question="What does the page cache's past do to a first touch?",
                op="page touched",
                arms=arms,
                cells=product(recipe=list(fault)),
                base_ns=lambda p: ns[p["recipe"]],
            ),
            **changes,
        }
    )


def floor(**changes: Any) -> FakeScenario:
    """The harness's own cost."""
    return FakeScenario(
        **{
            **dict(
                name="floor/null",
                question="What does the harness itself cost?",
                op="nothing",
                arms=[FakeArm("nothing", 1.0, "null")],
                base_ns=0.4,
            ),
            **changes,
        }
    )


def ping_pong(pairs: FakePairs, **changes: Any) -> FakeScenario:
    """A cache line handed to and fro on pairs of CPUs."""
    return FakeScenario(
        **{
            **dict(
                name="contention/ping-pong",
                question="What does it cost to hand a cache line to another worker, by how far away it runs?",
                op="hand-over: half a round trip",
                common={"workers": 2, "backing": "memfd", "recipe": "write-1MiB"},
                cells=[{"matrix": "class"}],
                arms=[FakeArm("cas", 1.0, "ping_pong"), FakeArm("two-lines", 1.25, "ping_pong")],
                pairs=pairs,
                trials=8,
                bytes_per_op=lambda p: 0,
                round_noise=0.02,
                wander=0.01,
            ),
            **changes,
        }
    )


def hand_off(**changes: Any) -> FakeScenario:
    """A payload handed to another worker through several channels."""

    def slower(ns: float, per_byte: float) -> Callable[[dict[str, Any]], float]:
        return lambda p: (ns + per_byte * p["payload_bytes"]) / (900 + 0.09 * p["payload_bytes"])

    arms = [
        FakeArm("pwrite-pread", 1.0, "hand_off", params={"via": "file-spin"}),
        FakeArm("mapped", slower(120, 0.05), "hand_off", params={"via": "mapped-spin"}),
        FakeArm("mapped-futex", slower(5200, 0.05), "hand_off", params={"via": "mapped-futex"}),
        FakeArm("pipe", slower(6100, 0.11), "hand_off", params={"via": "pipe"}),
        FakeArm("socketpair", slower(9100, 0.2), "hand_off", params={"via": "socketpair"}),
    ]
    return FakeScenario(
        **{
            **dict(
                name="contention/hand-off",
                question="What does it cost to hand a payload to another worker through a shared mapping?",
                op="hand-off: one payload from worker to worker",
                common={"workers": 2, "backing": "memfd"},
                cells=product(place=["same-l3", "other-package"], payload_bytes=[64, 4 * KIB, 64 * KIB]),
                arms=arms,
                base_ns=lambda p: (900 + 0.09 * p["payload_bytes"]) * (1 if p["place"] == "same-l3" else 2.2),
                bytes_per_op=lambda p: p["payload_bytes"],
                trials=8,
            ),
            **changes,
        }
    )


SCENARIOS = {"read-or-map": read_or_map, "scan": scan, "recipe": recipe, "floor": floor}

if __name__ == "__main__":
    which = sys.argv[2] if len(sys.argv) > 2 else "all"
    write(Path(sys.argv[1]), [make() for name, make in SCENARIOS.items() if which in (name, "all")])
