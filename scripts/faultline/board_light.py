# SPDX-License-Identifier: MIT
"""The speed-of-light panel of a board: what each machine takes for the pieces that everything else is made of. Absolute
times, to be looked at beside the others; nothing is ever divided by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

from faultline import stats
from faultline.board_machines import Machine
from faultline.board_rows import hull, is_shown
from faultline.stats import Interval
from faultline.verdict import ArmResult, CellResult

MIB = 1 << 20
Cells = Sequence[CellResult]


@dataclass(frozen=True)
class Light:
    """A piece: what it is, its unit ("ns" or "GB/s"), the command that measures it, and how it is found in the cells of
    one run of that scenario."""

    name: str
    unit: str
    command: str
    find: Callable[[Cells], Interval | None]

    @property
    def scenario(self) -> str:
        """The scenario that measures it."""
        return self.command.split()[2]


@dataclass(frozen=True)
class LightRow:
    """A piece on every machine: None where it was not measured or is not shown."""

    light: Light
    values: list[Interval | None]


def arm_of(cell: CellResult, name: str) -> ArmResult | None:
    """A cell's arm of that name, if it was measured and the cell is valid."""
    found = next((arm for arm in cell.arms if arm.name == name), None)
    return found if found is not None and found.ns_per_op is not None and not cell.invalid else None


def of_cell(cells: Cells, name: str, **params: object) -> Interval | None:
    """Time of an operation of an arm in the first cell with these parameters."""
    for cell in cells:
        arm = arm_of(cell, name)
        if arm is not None and all(cell.plan.params.get(key) == value for key, value in params.items()):
            return arm.ns_per_op
    return None


def copy_bandwidth(cells: Cells) -> Interval | None:
    """GB/s (bytes a ns) of copies of 1 MiB out of a mapping of the largest folios measured."""
    time = of_cell(cells, "mapped-copy", block_bytes=MIB, recipe="write-2MiB")
    if time is None:
        return None
    ends = [None if v is None else MIB / v for v in (time.estimate, time.high, time.low)]
    return Interval(ends[0] or 0.0, ends[1], ends[2])


def table_walk(cells: Cells) -> Interval | None:
    """What a load takes longer by with pages of the base size than with huge ones, over a footprint of 64 MiB whose
    lines fit into caches: trial by trial, ns. None where they are not faster: that is noise, or a host that backs both
    alike."""
    for cell in cells:
        small, huge = arm_of(cell, "anonymous-small"), arm_of(cell, "anonymous-thp")
        if small is None or huge is None or cell.plan.params.get("working_set_bytes") != 64 * MIB:
            continue
        its = {trial.trial: trial.ns_per_op for trial in huge.trials}
        found = [trial.ns_per_op - (its[trial.trial] or 0.0) for trial in small.trials
                 if trial.ns_per_op and its.get(trial.trial)]
        walk = stats.hodges_lehmann(found) if found else None
        return walk if walk is not None and walk.estimate > 0 else None
    return None


def transfer(place: str) -> Callable[[Cells], Interval | None]:
    """One way of a cache line between two processes that far apart, ns."""
    return lambda cells: of_cell(cells, "cas", place=place, worker_kind="process")


LIGHTS = (
    Light("system call", "ns", "faultline run floor/syscall-floor", lambda cells: of_cell(cells, "getppid")),
    Light("minor fault, one page", "ns", "faultline run faults/single-fault",
          lambda cells: of_cell(cells, "shared", backing="file", access="load")),
    Light("copy of 1 MiB", "GB/s", "faultline run floor/copy-slope", copy_bandwidth),
    Light("TLB miss, 64 MiB", "ns", "faultline run faults/tlb", table_walk),
)
PLACES = ("same-core", "same-l2", "same-l3", "other-l3", "other-node", "other-package")
TRANSFER = "faultline run contention/ping-pong"


def lights_of(machines: Sequence[Machine]) -> list[Light]:
    """The pieces to look for: the transfers that any machine with times has measured, the nearest one if none."""
    shown = [machine for machine in machines if is_shown(machines, machine)]
    found = {cell.plan.params.get("place") for machine in shown for cells in machine.cells
             for (scenario, _), cell in cells.items() if scenario == TRANSFER.split()[2]}
    places = [place for place in PLACES if place in found] or ["same-l3"]
    return [*LIGHTS, *(Light(f"cache line, {place}", "ns", TRANSFER, transfer(place)) for place in places)]


def light_rows(machines: Sequence[Machine]) -> list[LightRow]:
    """The panel."""
    out = []
    for light in lights_of(machines):
        values = []
        for machine in machines:
            runs = machine.cells if is_shown(machines, machine) else []
            its = [[cell for (name, _), cell in cells.items() if name == light.scenario] for cells in runs]
            told = [one for one in map(light.find, its) if one is not None]
            values.append(hull(told) if told else None)
        out.append(LightRow(light, values))
    return out
