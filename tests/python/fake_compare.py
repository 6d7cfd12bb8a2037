# SPDX-License-Identifier: MIT
"""Runs made to be compared: as fake_run makes them, with their own machine, boot, start and scenario hash."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Callable

import fake_run
from fake_run import FakeArm, FakeScenario

BLOCKING = {
    "architecture": "x86_64",
    "page_bytes": 4096,
    "cpu_model": "Example CPU",
    "kernel_release": "6.1.0",
    "thp": {"enabled": "madvise"},
    "filesystem": {"type": "ext4", "options": "rw"},
    "memory": {"total_bytes": 1 << 34},
    "virtualisation": "none",
    "tool": {"version": "0.1.0", "build": "release"},
    "compiler": "gcc 12.2.0",
    "flags": "-O2 -g",
}


def scenario(fast: float = 0.9, **changes: Any) -> FakeScenario:
    """One cell: a baseline, an arm of that ratio to it, and one that faults twice an operation."""
    arms = [FakeArm("pread"), FakeArm("fast", fast), FakeArm("faulting", 1.3, faults=2)]
    return fake_run.read_or_map(**{**dict(cells=[{}], arms=arms, trials=12), **changes})


def run(
    path: Path,
    seed: int = 1,
    scenarios: list[FakeScenario] | None = None,
    blocking: dict[str, Any] | None = None,
    informational: dict[str, Any] | None = None,
    boot: str = "b007",
    name: str = "fake",
    hour: int = 12,
    hashed: str | None = None,
    damage: Callable[[dict[str, Any]], Any] | None = None,
) -> Path:
    """A run that began at that hour. hashed: the hash of its scenarios, by default what its parameters give."""
    keys = {**BLOCKING, **(blocking or {})}

    def put(value: dict[str, Any]) -> dict[str, Any]:
        value.update(boot_id=boot, machine=fake_run.machine_hash(keys))
        value["started"] = value["started"].replace("T12:", f"T{hour:02d}:")
        if damage:
            damage(value)
        return value

    fake_run.write(path, scenarios or [scenario()], seed=seed, damage=put)
    machine = json.loads((path / "machine.json").read_text())
    machine.update(name=name, boot_id=boot, hash=fake_run.machine_hash(keys), blocking=keys,
                   informational=informational or {})
    (path / "machine.json").write_text(json.dumps(machine))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest.update(run=f"20260131T{hour:02d}0000Z-{name}-{seed:04d}", started=f"2026-01-31T{hour:02d}:00:00.000Z",
                    machine=machine["hash"])
    for one in manifest["plan"]["scenarios"]:
        cells = [cell for cell in manifest["plan"]["cells"] if cell["scenario"] == one["name"]]
        one["hash"] = hashed or f"{zlib.crc32(json.dumps(cells, sort_keys=True).encode()):032x}"
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def many(directory: Path, shares: dict[str, float], each: int, **changes: Any) -> list[list[Path]]:
    """`each` runs a side that take turns, a side's arm "fast" having that ratio."""
    sides: list[list[Path]] = [[] for _ in shares]
    for number in range(each):
        order = list(enumerate(shares.items()))
        for turn, (index, (side, ratio)) in enumerate(order if number % 2 else order[::-1]):
            made = scenario(fast=ratio, **{**dict(trials=6, rounds=12), **changes})
            seed = 100 * index + number
            sides[index].append(run(directory / f"{side}{number}", seed, [made], hour=2 * number + turn))
    return sides
