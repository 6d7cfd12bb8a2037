# SPDX-License-Identifier: MIT
"""A board for other programs: board.json, described in docs/results.md and by results/board.schema.json."""

from __future__ import annotations

from typing import Any

from faultline import board_words
from faultline.board import Board, TimeRow, findings
from faultline.board_axes import CrossingRow, Line, SlopeRow, Turn
from faultline.board_light import LightRow
from faultline.board_machines import Machine
from faultline.board_rows import Apart, BoardRow, Value
from faultline.pairing import RATIO
from faultline.rounding import interval, number


def machine_object(machine: Machine, hidden: bool) -> dict[str, Any]:
    """A column."""
    return {
        "label": machine.label,
        "page_bytes": machine.page_bytes,
        "emulated": machine.is_emulated,
        "times_shown": not hidden,
        "runs": [{"run": run.name, "given": run.label, "started": run.started or None,
                  "machine": run.run.manifest.machine, "boot_id": run.boot, "instance": run.instance,
                  "noise_grade": run.results.grade} for run in machine.runs],
    }


def value_object(value: Value | None) -> dict[str, Any] | None:
    """What a machine says in a row."""
    if value is None:
        return None
    return {"verdict": value.verdict, "why": value.why, "ratio": interval(value.ratio),
            "ns_per_op": interval(value.time), "count": interval(value.count),
            "count_per_page": number(value.per_page), "bytes_per_op": value.bytes_per_op, "runs": value.runs}


def apart_object(one: Apart) -> dict[str, Any]:
    """Two machines that differ; `change` is the second's value ÷ the first's."""
    return {"a": one.a, "b": one.b, "finding": one.finding, "change": interval(one.change),
            "page_size": one.differs.page, "settings_keys": list(one.differs.settings),
            "machine_keys": list(one.differs.machine), "unknown_keys": list(one.differs.unknown)}


def row_object(row: BoardRow, delta: float) -> dict[str, Any]:
    """One row; delta: what counts as the same in its scenario."""
    return {"scenario": row.scenario, "cell": row.cell, "arm": row.arm, "quantity": row.quantity,
            "delta": delta if row.quantity == RATIO else None, "finding": row.finding, "turns": row.turns,
            "why": row.why, "values": [value_object(value) for value in row.values],
            "apart": [apart_object(one) for one in row.apart]}


def turn_object(turn: Turn | None) -> dict[str, Any] | None:
    """A crossing of one machine."""
    if turn is None:
        return None
    return {"at": interval(turn.at), "between": None if turn.between is None else list(turn.between),
            "faster_above": turn.faster_above, "never": turn.verdict, "why": turn.why}


def crossing_object(row: CrossingRow) -> dict[str, Any]:
    """An arm along its axis."""
    return {"scenario": row.scenario, "axis": row.axis, "held": row.held, "arm": row.arm,
            "values": [turn_object(value) for value in row.values]}


def line_object(line: Line | None) -> dict[str, Any] | None:
    """What a byte costs on one machine."""
    if line is None:
        return None
    return {"ns_per_byte": interval(line.per_byte), "fixed_ns": interval(line.fixed), "miss": number(line.miss),
            "straight": line.is_straight, "bytes": list(line.bytes)}


def slope_object(row: SlopeRow) -> dict[str, Any]:
    """What a byte costs on all machines."""
    return {"scenario": row.scenario, "axis": row.axis, "held": row.held, "arm": row.arm,
            "values": [line_object(value) for value in row.values]}


def time_object(row: TimeRow) -> dict[str, Any]:
    """Times side by side."""
    return {"scenario": row.scenario, "cell": row.cell, "arm": row.arm, "op": row.op,
            "values": [None if value is None else interval(value.time) for value in row.values],
            "bytes_per_op": [None if value is None else value.bytes_per_op for value in row.values]}


def light_object(row: LightRow) -> dict[str, Any]:
    """A piece of the speed-of-light panel."""
    return {"name": row.light.name, "unit": row.light.unit, "command": row.light.command,
            "values": [interval(value) for value in row.values]}


def document(found: Board, status: int) -> dict[str, Any]:
    """board.json. Every list `values` is in the order of `machines`."""
    return {
        "schema": "faultline.board/1",
        "conclusion": board_words.conclusion(found),
        "machines": [machine_object(machine, found.hidden(machine)) for machine in found.machines],
        "fingerprint_diff": [{"key": key, "values": values} for key, values in found.differences.items()],
        "speed_of_light": [light_object(row) for row in found.light],
        "deltas": sorted({found.deltas[row.scenario] for row in found.ratios}),
        "counts": findings(found.rows),
        "rows": [row_object(row, found.deltas[row.scenario]) for row in found.rows],
        "crossings": [crossing_object(row) for row in found.crossings],
        "per_byte": [slope_object(row) for row in found.slopes],
        "times": [time_object(row) for row in found.times],
        "left_out": [{"scenario": one.scenario, "cell": one.cell, "arm": one.arm, "label": one.machine,
                      "reason": one.reason} for one in found.left_out],
        "notes": found.notes,
        "exit": status,
    }
