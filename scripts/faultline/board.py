# SPDX-License-Identifier: MIT
"""A board over machines: what each of them says of the same scenarios, and how they differ. The rules are in
docs/board.md and in docs/statistics.md under "Between machines"."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Sequence

from faultline import verdict
from faultline.board_axes import CrossingRow, SlopeRow, crossing_rows, slope_rows
from faultline.board_counts import count_row
from faultline.board_light import LightRow, light_rows
from faultline.board_machines import Machine, NotShared, Shared, differing, machines_of, shared_cells
from faultline.board_pairs import unfit_pairs
from faultline.board_rows import (
    ALONE,
    FINDINGS,
    OPEN,
    UNDECIDED,
    Between,
    BoardRow,
    Judged,
    Value,
    findings_put,
    is_shown,
    ratio_row,
    value_of,
)
from faultline.exact_counts import exact_names
from faultline.pairing import RATIO
from faultline.sources import Stored
from faultline.verdict import INVALID


@dataclass(frozen=True)
class TimeRow:
    """Times of an operation of an arm on all machines, side by side; None where there is none, or it is not shown."""

    scenario: str
    cell: str
    arm: str
    op: str
    values: list[Value | None]


@dataclass
class Board:
    """Everything that is said of some machines."""

    machines: list[Machine]
    left_out: list[NotShared]
    rows: list[BoardRow]
    crossings: list[CrossingRow]
    slopes: list[SlopeRow]
    times: list[TimeRow]
    light: list[LightRow]
    differences: dict[str, list[str]]
    deltas: dict[str, float]  # of each scenario: what counts as the same
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> list[BoardRow]:
        """The rows of ratios."""
        return [row for row in self.rows if row.quantity == RATIO]

    @property
    def counts(self) -> list[BoardRow]:
        """The rows of exact counts."""
        return [row for row in self.rows if row.quantity != RATIO]

    @property
    def compared(self) -> int:
        """How many rows put machines beside each other that a rule may judge."""
        return sum(row.finding != ALONE and not row.by_rule for row in self.rows)

    def hidden(self, machine: Machine) -> bool:
        """Whether a machine's times are left off the board."""
        return not is_shown(self.machines, machine)


def findings(rows: Sequence[BoardRow]) -> dict[str, int]:
    """How many rows have each finding, every finding named."""
    found = Counter(row.finding for row in rows)
    return {finding: found.get(finding, 0) for finding in FINDINGS}


def in_order(rows: list[BoardRow]) -> list[BoardRow]:
    """Rows by what they find: who wins where first, then by finding and size of the effect; else ratios, then counts,
    in plan order, those of one cell and quantity together."""
    effect = {id(row): row.worst.effect if row.worst is not None else 0.0 for row in rows}
    place = {key: i for i, key in enumerate(dict.fromkeys((row.scenario, row.cell, row.quantity) for row in rows))}
    return sorted(rows, key=lambda row: (not row.turns, FINDINGS.index(row.finding), -effect[id(row)],
                                         row.quantity != RATIO, place[row.scenario, row.cell, row.quantity]))


def rows_of(
    cells: Sequence[Shared], machines: Sequence[Machine], names: Sequence[str], delta: float | None
) -> list[BoardRow]:
    """All rows: of every arm that competes its ratio, of every arm but the null one its exact counts."""
    out: list[BoardRow] = []
    between = Between(machines, unfit_pairs(machines))
    families: dict[str, list[Judged]] = {}
    for shared in cells:
        margin = math.log1p(delta if delta is not None else shared.first.scenario.delta)
        for arm, columns in shared.arms.items():
            one = next(arms[0] for arms in columns if arms)
            if one.plan.is_null:
                continue
            if one.competes:
                judged = ratio_row(shared, arm, between, margin)
                families.setdefault(shared.key[0], []).append(judged)
                out.append(judged.row)
            out += [row for row in (count_row(shared, arm, name, machines) for name in names) if row is not None]
    for family in families.values():
        findings_put(family, machines)
    return out


def time_rows(cells: Sequence[Shared], machines: Sequence[Machine]) -> list[TimeRow]:
    """The times of all arms but the null ones that two machines or more have."""
    out = []
    for shared in cells:
        for arm, columns in shared.arms.items():
            if next(arms[0] for arms in columns if arms).plan.is_null:
                continue
            values = [value_of(arms, machine) if is_shown(machines, machine) else None
                      for machine, arms in zip(machines, columns)]
            if sum(value is not None and value.time is not None for value in values) > 1:
                out.append(TimeRow(*shared.key, arm, shared.first.scenario.op, values))
    return out


def remarks(machines: Sequence[Machine]) -> list[str]:
    """What a reader has to know before anything else."""
    out = []
    emulated = [machine.label for machine in machines if machine.is_emulated]
    if emulated and len(emulated) < len(machines):
        out.append(f"Emulated: {', '.join(emulated)}. Times of emulated machines are the emulator's, and are not put "
                   "beside those of real ones; their exact counts are.")
    elif emulated:
        out.append("All of these machines are emulated: their times and ratios are the emulators', and no difference "
                   "between them is called real.")
    if not exact_names():
        out.append("No schema of records was found, so no count is known to be exact: counts are left out.")
    return out


def board_of(runs: Sequence[Stored], delta: float | None = None, scenarios: Sequence[str] = (),
             quantities: Sequence[str] = ()) -> Board:
    """The board of these runs; RecordsError when the schema of records cannot be used. Only these scenarios and
    quantities when any are named."""
    machines = machines_of(runs)
    cells, left = shared_cells(machines, scenarios)
    every = rows_of(cells, machines, exact_names(), delta)
    rows = [row for row in every if not quantities or row.quantity in quantities]
    ratios = not quantities or RATIO in quantities
    return Board(
        machines, left, in_order(rows), crossing_rows(cells, machines) if ratios else [],
        slope_rows(cells, machines), time_rows(cells, machines), light_rows(machines), differing(machines),
        {cell.key[0]: cell.first.scenario.delta if delta is None else delta for cell in cells}, remarks(machines),
    )


def exit_status(found: Board, insist: bool = False) -> int:
    """7 nothing stands beside anything that a rule may judge or records are damaged, 6 something that machines share is
    not the same, 5 a trial failed or a checksum was wrong, 4 invalid, 3 every row cannot be told (if insisted: a row
    leaves open whether the machines differ), 0."""
    results = [run.results for machine in found.machines for run in machine.runs]
    told = [value.verdict for row in found.rows for value in row.values if value is not None]
    statuses = [
        (7, not found.compared or any(p.severity == "error" for one in results for p in one.run.problems)),
        (6, bool(found.left_out)),
        (5, any(t.status == "failed" for one in results for a in one.arms for t in a.trials)
         or any(c.checksum_wrong for one in results for c in one.cells)),
        (4, INVALID in told or any(verdict.exit_status(one, False) == 4 for one in results)),
        (3, any(row.finding in UNDECIDED for row in found.rows) if insist
         else all(row.finding in (OPEN, ALONE) for row in found.rows)),
    ]
    return next((status for status, applies in statuses if applies), 0)
