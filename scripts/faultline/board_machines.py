# SPDX-License-Identifier: MIT
"""The columns of a board: which runs are of one machine, in what two machines differ, and which cells are the same
on both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from faultline import derive, fingerprint, pairing
from faultline.fingerprint import NOTHING, covers
from faultline.pairing import BOOT, INSTANCE, Key
from faultline.records import ArmPlan, CellPlan
from faultline.sources import Stored
from faultline.text import safe, shorten, size
from faultline.verdict import ArmResult, CellResult, scenarios_of

LABEL_MOST = 24  # columns of a name
# Keys that say which machine it is: what differs in them is the machine. All other blocking keys are settings.
THE_MACHINE = (*fingerprint.OF_THE_MACHINE, *fingerprint.OF_THE_KERNEL, "microcode", "cpus.allowed")
PAGE = "page_bytes"
VERSION = "tool.version"
ON_A_DISK = ("file",)  # backings whose files lie on the filesystem of the fingerprint
ON_SHMEM = ("tmpfs", "memfd")


@dataclass(frozen=True)
class MachineDifference:
    """In what two machines differ as far as a cell is concerned, by keys. machine: what makes them two machines;
    settings: what could be set alike; unknown: settings that one of them, or neither, knows. is_known: False where the
    fingerprint of one is missing."""

    page: bool
    machine: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_known: bool = True


class Machine:
    """A column: one machine with all its runs, in the order in which they began. place: which machine it is; columns of
    one machine differ in their settings only."""

    def __init__(self, label: str, runs: Sequence[Stored], place: int) -> None:
        self.label = label
        self.place = place
        self.runs = list(runs)
        self.boots = pairing.groups(self.runs, BOOT)
        self.boot_of = {id(arm): number for number, boot in enumerate(self.boots) for run in boot
                        for arm in run.results.arms}
        first = self.runs[0].run
        self.keys: Mapping[str, str] = fingerprint.blocking_of(first)
        self.is_known = isinstance(first.machine.get("blocking"), Mapping)
        self.page_bytes = derive.page_bytes(first)
        self.is_emulated = fingerprint.emulated(first)
        self.cells: list[dict[Key, CellResult]] = [
            {(cell.scenario.name, cell.plan.cell): cell for cell in run.results.cells} for run in self.runs
        ]

    @property
    def version(self) -> str:
        """Of the tool that measured it."""
        return self.keys.get(VERSION, NOTHING)

    @property
    def line(self) -> str:
        """What it is, in one line."""
        keys = ("architecture", "cpu_model", "kernel_release", "virtualisation")
        told = [self.keys[key] for key in keys if self.keys.get(key, NOTHING) not in (NOTHING, "none")]
        told += [f"pages of {size(self.page_bytes)}"] if self.page_bytes else []
        runs = f"{len(self.runs)} runs" if len(self.runs) > 1 else "1 run"
        return safe(", ".join([*told, runs]))


def name_of(run: Stored) -> str:
    """What a machine is called; its architecture where nobody gave it a name."""
    if run.instance is not None:
        return run.instance
    return fingerprint.blocking_of(run.run).get("architecture", "machine")


def machines_of(runs: Sequence[Stored]) -> list[Machine]:
    """The columns: runs of one machine, which is what `faultline compare` takes for one, whose fingerprints agree in
    every blocking key."""
    place_of = {id(run): place for place, group in enumerate(pairing.groups(runs, INSTANCE)) for run in group}
    grouped: dict[tuple[Any, ...], list[Stored]] = {}
    for one in runs:
        key = (place_of[id(one)], *sorted(fingerprint.blocking_of(one.run).items()))
        grouped.setdefault(key, []).append(one)
    groups = list(grouped.values())
    return [Machine(label, group, place_of[id(group[0])])
            for label, group in zip(labels([group[0] for group in groups]), groups)]


def labels(runs: Sequence[Stored]) -> list[str]:
    """A short name for each, no two alike: of machines of one name with the page's size, or what else tells them
    apart."""
    names = [shorten(safe(name_of(run)), LABEL_MOST) for run in runs]
    keys = [fingerprint.blocking_of(run.run) for run in runs]
    out: list[str] = []
    for name, mine in zip(names, keys):
        twins = [its for other, its in zip(names, keys) if other == name and its is not mine]
        key = next((key for key in (PAGE, "kernel_release", "cpu_model", *mine) if twins and
                    NOTHING not in (mine.get(key, NOTHING), *(its.get(key, NOTHING) for its in twins)) and
                    all(its[key] != mine[key] for its in twins)), None)
        told = (page_text(mine) or mine[PAGE]) if key == PAGE else mine[key] if key else None
        label = f"{name} {shorten(safe(told), LABEL_MOST)}" if told else name
        number = 1 + sum(re.sub(r" #\d+$", "", one) == label for one in out)
        out.append(label if number == 1 else f"{label} #{number}")
    return out


def page_text(keys: Mapping[str, str]) -> str | None:
    """ "16KiB"."""
    value = keys.get(PAGE, "")
    return size(int(value)) if value.isdigit() else None


# ---- in what two machines differ ----


def is_protection_set(one: str, other: str) -> bool:
    """Whether of two states of a mitigation one is on and the other off: a setting. "Not affected" is the CPU's."""
    states = [text.startswith("Vulnerable") for text in (one, other)]
    return states[0] != states[1] and not any(text.startswith("Not affected") for text in (one, other))


def concerns(key: str, params: Mapping[str, Any]) -> bool:
    """Whether a blocking key has anything to do with a cell of these parameters."""
    backing = params.get("backing", "file")
    if covers(("filesystem.",), key):
        return backing in ON_A_DISK
    if key == "read_ahead_kb":
        return backing in ON_A_DISK and params.get("cache") != "warm"
    return backing in ON_SHMEM if key == "thp.shmem" else True


def difference(a: Machine, b: Machine, params: Mapping[str, Any]) -> MachineDifference:
    """In what two machines differ as far as a cell of these parameters is concerned. What one of them does not know
    is no difference (a virtual machine sees no governor), and nothing that is the same either."""
    machine, settings, unknown = [], [], []
    kin = a.keys.get("architecture") == b.keys.get("architecture")
    for key in dict.fromkeys([*a.keys, *b.keys]):
        mine, its = a.keys.get(key, NOTHING), b.keys.get(key, NOTHING)
        if key == PAGE or not concerns(key, params):
            continue
        is_lost = NOTHING in (mine, its)
        of_the_cpu = covers(("mitigations.",), key) and not (kin and (is_lost or is_protection_set(mine, its)))
        own = of_the_cpu or covers(THE_MACHINE, key)
        if is_lost:
            unknown += [] if own else [key]
        elif mine != its:
            (machine if own else settings).append(key)
    return MachineDifference(a.page_bytes != b.page_bytes, tuple(machine), tuple(settings), tuple(unknown),
                             a.is_known and b.is_known)


def differing(machines: Sequence[Machine]) -> dict[str, list[str]]:
    """Every blocking key that is not the same on all machines, with the value on each."""
    keys = dict.fromkeys(key for machine in machines for key in machine.keys)
    values = {key: [machine.keys.get(key, NOTHING) for machine in machines] for key in keys}
    return {key: found for key, found in values.items() if len(set(found)) > 1}


# ---- which cells are the same ----


def of_the_page(params: Mapping[str, Any], page: int | None) -> dict[str, Any]:
    """Parameters with what only follows from the page's size by its name: a stride of one page, and as many touches as
    the working set then has steps (bench/plan_make.c resolve_auto)."""
    out = dict(params)
    step = params.get("stride_bytes") if params.get("pattern") == "stride" else params.get("block_bytes")
    whole = params.get("working_set_bytes")
    if isinstance(step, int) and isinstance(whole, int) and step and params.get("touches") == max(1, whole // step):
        out["touches"] = "the working set once"
    if page and params.get("stride_bytes") == page:
        out["stride_bytes"] = "one page"
    return out


def params_unlike(
    mine: Mapping[str, Any], its: Mapping[str, Any], pages: tuple[int | None, int | None]
) -> dict[str, tuple[Any, Any]]:
    """Parameters in which two plans differ beyond what the sizes of their pages make of them, with both values."""
    plain = [of_the_page(params, page) for params, page in zip((mine, its), pages)]
    return {
        key: (mine.get(key), its.get(key))
        for key in dict.fromkeys([*mine, *its])
        if mine.get(key) != its.get(key) and plain[0].get(key) != plain[1].get(key)
    }


def arm_unlike(mine: ArmPlan, its: ArmPlan, pages: tuple[int | None, int | None]) -> str | None:
    """Why two arms of one name are not the same, None when they are."""
    if mine.method != its.method:
        return f"its method is {safe(mine.method)} and {safe(its.method)}"
    if mine.method_version != its.method_version:
        return f"version {safe(mine.method_version)} and {safe(its.method_version)} of its method"
    return pairing.parameters_text(params_unlike(mine.params, its.params, pages), ())


@dataclass(frozen=True)
class Placed:
    """A cell of one run of a machine."""

    machine: Machine
    run: Stored
    cell: CellResult


def cell_unlike(a: Placed, b: Placed) -> str | None:
    """Why two cells of one name are not the same, None when they are but for some of their arms."""
    mine, its = a.cell, b.cell
    if a.machine.version != b.machine.version:
        return f"version {safe(a.machine.version)} and {safe(b.machine.version)} of faultline"
    if (mine.scenario.op, mine.scenario.delta) != (its.scenario.op, its.scenario.delta):
        return "its operation or δ differs"
    pages = (a.machine.page_bytes, b.machine.page_bytes)
    unlike = pairing.parameters_text(params_unlike(mine.plan.params, its.plan.params, pages), ())
    if unlike:
        return unlike
    base = (mine.plan.arms[0], its.plan.arms[0])
    if base[0].name != base[1].name:
        return f"its baseline is {safe(base[0].name)} and {safe(base[1].name)}"
    why = arm_unlike(*base, pages)
    return f"its baseline {safe(base[0].name)} is not the same: {why}" if why else None


@dataclass(frozen=True)
class NotShared:
    """What a machine measured and is not put beside the others' because it is not the same. arm: None for all of it;
    machine: its label."""

    scenario: str
    cell: str
    arm: str | None
    machine: str
    reason: str


@dataclass
class Shared:
    """A cell as the board shows it: the runs of each machine that measured the same, in the machines' order."""

    key: Key
    plan: CellPlan
    columns: list[list[CellResult]]
    arms: dict[str, list[list[ArmResult]]]

    @property
    def first(self) -> CellResult:
        """The cell of the first machine that has it."""
        return next(cells[0] for cells in self.columns if cells)


def alike_groups(items: Sequence[Placed]) -> list[list[Placed]]:
    """Cells of one name, those that are the same together; the group that most machines are in first."""
    groups: list[list[Placed]] = []
    for one in items:
        home = next((group for group in groups if cell_unlike(group[0], one) is None), None)
        if home is None:
            groups.append([one])
        else:
            home.append(one)
    return sorted(groups, key=lambda group: -len({id(one.machine) for one in group}))


def arms_shared(
    items: Sequence[Placed], machines: Sequence[Machine]
) -> tuple[dict[str, list[list[ArmResult]]], list[NotShared]]:
    """The arms of cells that are the same, by name: of each machine those that are the same as the first one's."""
    out: dict[str, list[list[ArmResult]]] = {}
    left = []
    firsts: dict[str, tuple[ArmPlan, Machine]] = {}
    for one in items:
        for arm in one.cell.arms:
            plan, machine = firsts.setdefault(arm.name, (arm.plan, one.machine))
            why = arm_unlike(plan, arm.plan, (machine.page_bytes, one.machine.page_bytes))
            if why:
                left.append(NotShared(one.cell.scenario.name, one.cell.plan.cell, arm.name, one.machine.label, why))
                continue
            columns = out.setdefault(arm.name, [[] for _ in machines])
            columns[machines.index(one.machine)].append(arm)
    return out, left


def placed(machines: Sequence[Machine]) -> Iterator[tuple[Key, list[Placed]]]:
    """Every cell that a machine planned, in the order of the plans, with all its runs."""
    found: dict[Key, list[Placed]] = {}
    for machine in machines:
        for run in machine.runs:
            for _, cells in scenarios_of(run.results):
                for cell in cells:
                    found.setdefault((cell.scenario.name, cell.plan.cell), []).append(Placed(machine, run, cell))
    names = dict.fromkeys(scenario for scenario, _ in found)
    for name in names:
        yield from ((key, items) for key, items in found.items() if key[0] == name)


def shared_cells(machines: Sequence[Machine], wanted: Sequence[str] = ()) -> tuple[list[Shared], list[NotShared]]:
    """The cells of the board, of these scenarios if any are named, and what is left out because it is not the same."""
    cells, left = [], []
    for key, items in placed(machines):
        if wanted and key[0] not in wanted:
            continue
        groups = alike_groups(items)
        reference = groups[0][0]
        for one in (one for group in groups[1:] for one in group):
            left.append(NotShared(*key, None, one.machine.label, str(cell_unlike(reference, one))))
        arms, unlike = arms_shared(groups[0], machines)
        left += unlike
        columns = [[one.cell for one in groups[0] if one.machine is machine] for machine in machines]
        cells.append(Shared(key, reference.cell.plan, columns, arms))
    return cells, list(dict.fromkeys(left))
