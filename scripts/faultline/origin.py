# SPDX-License-Identifier: MIT
"""Where a run comes from: its machine, the machine's CPUs, and how to have the run again."""

from __future__ import annotations

import shlex
from typing import Any, Iterator, Mapping, Sequence

from faultline import topology
from faultline.records import Manifest
from faultline.text import cut, safe, size
from faultline.topology import TITLES, Pu
from faultline.verdict import Results

VALUE_MOST = 300  # characters of a value
GROUPS_MOST = 64  # rows of the table of CPUs
UNTOUCHED = "Not affected"  # what the kernel says of a weakness that the processor has not
LEVELS = ("package", "numa_node", "die", "l3")  # columns of the table of CPUs; below these a machine has too many rows


def flat(values: Mapping[str, Any], reasons: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of an object, a name within an object behind a dot: ("thp.shmem", "never"). `reasons`, by name, why a
    value is not known."""
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            yield from flat(value, reasons, f"{name}.")
        else:
            why = f" ({reasons[name]})" if name in reasons else ""
            yield name, f"unknown{why}" if value is None else str(value)


def fingerprint(machine: Mapping[str, Any], name: str | None) -> list[tuple[str, str]]:
    """The blocking keys of the fingerprint as they are read by people; the mitigations together in one row, without
    those against weaknesses that the processor has not."""
    blocking = machine.get("blocking")
    values = dict(blocking) if isinstance(blocking, dict) else {}
    against = values.pop("mitigations", None)
    unknown = machine.get("unknown")
    rows = [("fingerprint", str(name))] + list(flat(values, unknown if isinstance(unknown, dict) else {}))
    if isinstance(against, dict):
        named = "; ".join(f"{key}: {value}" for key, value in against.items() if value != UNTOUCHED)
        rows.append(("mitigations", named or UNTOUCHED))
    return told(rows)


def told(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows made safe to print, long texts cut."""
    return [tuple(cut(safe(text[: VALUE_MOST + 1]), VALUE_MOST) for text in row) for row in rows]  # type: ignore[misc]


def ranges(numbers: Sequence[int]) -> str:
    """CPU numbers as the kernel writes them: "0-3,8"."""
    out: list[list[int]] = []
    for number in sorted(numbers):
        if out and out[-1][1] + 1 == number:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in out)


def cache_words(found: Any) -> str | None:
    """ "L3 1 × 32MiB for 2 CPUs each"; None where a cache is not described."""
    keys = ("level", "count", "bytes", "cpus")
    if not isinstance(found, dict) or any(topology.whole(found.get(key)) is None for key in keys):
        return None
    kind = {"data": "d", "instruction": "i"}.get(str(found.get("type")), "")
    cpus = f"{found['cpus']} CPU{'s' * (found['cpus'] > 1)}"
    return f"L{found['level']}{kind} {found['count']} × {size(found['bytes'])} for {cpus} each"


def tree_sentence(machine: Mapping[str, Any]) -> str:
    """How many CPUs, cores, nodes and packages there are, and which caches."""
    found = topology.topology_of(machine)
    names = (("packages", "package"), ("numa_nodes", "NUMA node"), ("cores", "core"), ("cpus", "CPU"))
    counts = [(topology.whole(found.get(key)), word) for key, word in names]
    told = ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count is not None)
    if not told:
        return "The tree of its CPUs is not known."
    listed, source = found.get("caches"), topology.source_of(machine)
    caches = [words for words in map(cache_words, listed if isinstance(listed, list) else []) if words]
    parts = [told, *(["Caches: " + "; ".join(caches)] if caches else []), *([f"Source: {source}"] if source else [])]
    return safe(". ".join(parts)) + "."


def group_key(pu: Pu) -> tuple[int | None, ...]:
    """What a CPU belongs to at LEVELS."""
    return tuple(pu.groups[level] for level in LEVELS)


def cpu_table(machine: Mapping[str, Any], most: int = GROUPS_MOST) -> list[list[str]]:
    """The usable CPUs by what they share: a head, then a row a group in the order of the tree, at most `most` and
    GROUPS_MOST of them, and how many more there are; [] without a tree. Levels that the machine does not tell have no
    column."""
    groups: dict[tuple[int | None, ...], list[Pu]] = {}
    for pu in topology.pus_of(machine):
        groups.setdefault(group_key(pu), []).append(pu)
    shown = [i for i in range(len(LEVELS)) if any(key[i] is not None for key in groups)]
    if not shown:
        return []
    rows = [
        [*("–" if key[i] is None else str(key[i]) for i in shown), cores(found), ranges([pu.cpu for pu in found])]
        for key, found in groups.items()
    ]
    most = min(most, GROUPS_MOST)
    rest = [["…"] * len(shown) + ["", f"{len(rows) - most} more groups, in cpus.csv"]]
    head = [[*(TITLES[LEVELS[i]] for i in shown), "cores", "CPUs"]]
    return head + rows[:most] + (rest if len(rows) > most else [])


def cores(pus: Sequence[Pu]) -> str:
    """How many cores these CPUs are of."""
    found = {pu.groups["core"] for pu in pus}
    return "–" if None in found else str(len(found))


def without(words: Sequence[str], option: str) -> list[str]:
    """A command line without an option that takes a value, spelled in one word or two."""
    out: list[str] = []
    skip = False
    for word in words:
        if not skip and word != option and not word.startswith(option + "="):
            out.append(word)
        skip = word == option and not skip
    return out


def command(manifest: Manifest) -> str:
    """The command that measures the same again: as it was given, but into a new directory and with the seed that was
    drawn. A plan from a file has its seed in it. "" where the manifest does not say how the run was started."""
    if not manifest.argv:
        return ""
    words = list(manifest.argv[1:] if manifest.argv[:1] == ("faultline",) else manifest.argv)
    planned = any(word == "--plan" or word.startswith("--plan=") for word in words)
    words = without(words, "--out")
    if not planned and manifest.seed is not None:
        words = [*without(words, "--seed"), "--seed", str(manifest.seed)]
    return safe(shlex.join(["faultline", *words]))


def program(manifest: Manifest) -> list[tuple[str, str]]:
    """What was run: the build of the program, and the hash of each scenario."""
    rows = [*flat(manifest.tool, {}), *flat({"seed": manifest.seed, "started": manifest.started}, {})]
    rows += flat({f"hash of {name}": scenario.hash for name, scenario in manifest.scenarios.items()}, {})
    return told(rows)


def line(results: Results) -> str:
    """Where the run comes from, in a line; of what is not known nothing."""
    manifest, tool, records = results.run.manifest, results.run.manifest.tool, len(results.run.trials)
    built = ", ".join(str(tool[key]) for key in ("build", "compiler") if tool.get(key) is not None)
    parts = [
        None if manifest.profile is None else f"profile {manifest.profile}",
        f"{records} records" if manifest.expected is None else f"{records} of {manifest.expected} records",
        None if manifest.started is None else f"started {manifest.started}",
        f"faultline {tool.get('version') or 'of an unknown version'}" + (f" ({built})" if built else ""),
    ]
    return safe(" · ".join(part for part in parts if part))
