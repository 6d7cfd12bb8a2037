# SPDX-License-Identifier: MIT
"""In what the machines, programs and settings of two sides differ, and which of that was declared.

docs/machine.md says what the keys are. A key inside an object is written with a dot: thp.shmem.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from faultline.records import Run

# What may be declared with --vary, and the keys it covers: a key itself, or all below one that ends with a dot.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("architecture", "page_bytes", "cpu_model", "microcode", "numa_nodes", "cpus.allowed", "governor", "boost",
            "no_turbo", "virtualisation", "instance_type."),
    "kernel": ("kernel", "kernel_release", "mitigations.", "thp."),
    "memory": ("memory.",),
    "filesystem": ("filesystem.", "read_ahead_kb"),
    "limits": ("cpus.quota_percent", "cpus.allowed", "memory.limit_bytes"),
    "frequency": ("governor", "boost", "no_turbo"),
    "thp": ("thp.",),
    "mitigations": ("mitigations.",),
    "tool": ("tool.",),
    "compiler": ("compiler", "flags"),
}
# Machines that differ in one of these are different ones; in all else one machine may differ from itself.
OF_THE_MACHINE = ("architecture", "page_bytes", "cpu_model", "numa_nodes", "memory.total_bytes", "virtualisation",
                  "instance_type.")
OF_THE_KERNEL = ("kernel", "kernel_release")
OF_THE_INSTANCE = ("instance_type.",)
# What differs from run to run on any machine, and explains nothing by itself.
RESTLESS = ("steal.", "load", "memory_free_bytes", "memory_available_bytes", "memory_effective_bytes", "clock.quality.")
NOTHING = "unknown"
EMULATED = "(emulated)"
# Processors that are none: the Arm architecture leaves implementer 0 to software, and QEMU's "max" has it (MIDR_EL1).
SOFTWARE_MODELS = ("arm 0x00/",)


@dataclass(frozen=True)
class Difference:
    """One key in which the sides differ, each side's values as text; several when its runs differ among themselves."""

    key: str
    base: tuple[str, ...]
    candidate: tuple[str, ...]
    blocking: bool
    declared: bool = False

    @property
    def within(self) -> bool:
        """Whether the runs of one side differ among themselves."""
        return len(self.base) > 1 or len(self.candidate) > 1


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key with its value as text."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from flat(one, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value if isinstance(value, str) else NOTHING if value is None else json.dumps(value)


def blocking_of(run: Run) -> dict[str, str]:
    """What must agree: the blocking keys of machine.json, and of the program what the manifest has and they lack. A run
    without machine.json has the hash of it alone, which tells equal from different and nothing else."""
    tool = run.manifest.tool
    program = {"tool.version": tool.get("version"), "tool.build": tool.get("build"), "compiler": tool.get("compiler"),
               "flags": tool.get("flags")}
    found = {key: value for key, value in flat(program) if value != NOTHING}
    blocking = run.machine.get("blocking")
    return found | dict(flat(blocking if isinstance(blocking, Mapping) else {"machine": run.manifest.machine}))


def informational_of(run: Run) -> dict[str, str]:
    """What may explain a difference: the informational keys, the machine's name and the program's own hash."""
    own = {"name": run.machine.get("name"), "program": run.manifest.tool.get("program")}
    informational = run.machine.get("informational")
    found = dict(flat(informational if isinstance(informational, Mapping) else {})) | dict(flat(own))
    return {key: value for key, value in found.items() if not covers(RESTLESS, key)}


def covers(keys: Sequence[str], key: str) -> bool:
    """Whether one of these keys is this one, or one above it."""
    return any(key == one or (one.endswith(".") and key.startswith(one)) for one in keys)


def values(runs: Sequence[Mapping[str, str]], key: str) -> tuple[str, ...]:
    """The values of a key in these runs, each once, in their order."""
    return tuple(dict.fromkeys(run.get(key, NOTHING) for run in runs))


def differences(base: Sequence[Run], candidate: Sequence[Run], vary: Sequence[str]) -> list[Difference]:
    """Every key that is not the same in all runs of both sides: blocking ones first."""
    out = []
    for read, blocking in ((blocking_of, True), (informational_of, False)):
        sides = [read(run) for run in base], [read(run) for run in candidate]
        for key in dict.fromkeys(key for side in sides for run in side for key in run):
            mine, its = values(sides[0], key), values(sides[1], key)
            if mine != its or len(mine) > 1:
                out.append(Difference(key, mine, its, blocking, blocking and declared(key, vary)))
    return out


def declared(key: str, vary: Sequence[str]) -> bool:
    """Whether a difference in this key was declared, by its own name, one above it, or a group's."""
    return any(covers(GROUPS.get(name, (name, f"{name}.")), key) for name in vary)


def keys_of(runs: Sequence[Run]) -> set[str]:
    """Every name of a blocking key, and of what lies above one."""
    keys = {key for run in runs for key in blocking_of(run)}
    return keys | {key[:i] for key in keys for i, character in enumerate(key) if character == "."}


def known_keys() -> set[str]:
    """The names of keys that the groups cover: what is known before any run has been read."""
    return {key.removesuffix(".") for keys in GROUPS.values() for key in keys}


def emulated(run: Run) -> bool:
    """Whether the machine of a run is carried out in software, as far as it shows."""
    keys = blocking_of(run)
    return keys.get("virtualisation", "").endswith(EMULATED) or keys.get("cpu_model", "").startswith(SOFTWARE_MODELS)


def groups_for(found: Sequence[Difference]) -> list[str]:
    """The fewest names for --vary that would declare these, a group where one covers the key."""
    names = []
    for one in found:
        if not any(declared(one.key, [name]) for name in names):
            names.append(next((group for group, keys in GROUPS.items() if covers(keys, one.key)), one.key))
    return names
