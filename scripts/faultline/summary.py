# SPDX-License-Identifier: MIT
"""The results in forms for other programs: summary.json, the CSV tables, badge.json, junit.xml.

docs/results.md describes each. Ratios leave the logarithmic scale here. Nothing is computed but that.
"""

from __future__ import annotations

import math
from typing import Any, Mapping
from xml.etree import ElementTree

from faultline import claim_words, crossing, derive, pair_rows, phases, recorded, scaling
from faultline.counted import Counted
from faultline.freshness import manifest_digest
from faultline.rounding import ends, interval, number
from faultline.stats import Interval, noise_grade
from faultline.text import field, safe
from faultline.verdict import CANNOT_TELL, INVALID, ArmResult, CellResult, Quantile, Quantity, Results, scenarios_of

GRADE_COLOURS = {"A": "brightgreen", "B": "green", "C": "yellow", "D": "orange", "F": "red"}

CELL_COLUMNS = (
    "scenario",
    "question",
    "cell",
    "arm",
    "arm_index",
    "role",
    "method",
    "status",
    "reason",
    "verdict",
    "verdict_reason",
    "delta",
    "op",
    "axis",
    "axis_value",
    "held",
    "cell_index",
    "trials",
    "file_bytes",
    "working_set_bytes",
    "block_bytes",
    "touches",
    "workers",
    "pattern",
    "recipe",
    "cache",
    "backing",
    "bytes_per_op",
    "page_bytes",
    "ns_per_op",
    "ns_per_op_low",
    "ns_per_op_high",
    "ns_per_page",
    "ns_per_page_low",
    "ns_per_page_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "mean_ratio",
    "mean_ratio_low",
    "mean_ratio_high",
    "minor_faults_per_op",
    "pages_per_fault",
    "read_amplification",
    "read_amplification_low",
    "read_amplification_high",
    "write_amplification",
    "write_amplification_low",
    "write_amplification_high",
    "copy_amplification",
    "copy_amplification_low",
    "copy_amplification_high",
    "dirtied_bytes",
    "speedup",
    "speedup_low",
    "speedup_high",
    "fairness",
    "fairness_low",
    "fairness_high",
    "phases_sum",
    "phases_sum_low",
    "phases_sum_high",
    "p_holm",
    "drifts",
    "counts_unknown",
    "cpus",
)
TRIAL_COLUMNS = (
    "scenario",
    "cell",
    "arm",
    "role",
    "sequence",
    "trial",
    "started",
    "delta",
    "ns_per_op",
    "ratio",
    "drift",
)
CROSSING_COLUMNS = ("scenario", "arm", "axis", "held", "at", "low", "high", "faster_above", "below", "above")


def ratio(value: Interval | None) -> dict[str, Any] | None:
    """The interval of a log ratio as one of a ratio."""
    return None if value is None else interval(value.exp())


def decision(value: Quantity | None) -> dict[str, Any]:
    """The verdict of a ratio and what it rests on."""
    if value is None or value.verdict is None:
        return {
            "verdict": None,
            "verdict_reason": None,
            "p": None,
            "p_holm": None,
            "detectable": None,
            "trials_needed": None,
        }
    detectable = None if value.detectable is None else math.expm1(value.detectable)
    return {
        "verdict": value.verdict,
        "verdict_reason": value.why,
        "p": number(value.p),
        "p_holm": number(value.p_holm),
        "detectable": number(detectable),
        "trials_needed": value.trials_needed,
    }


def quantile(value: Quantile) -> dict[str, Any]:
    """One latency quantile."""
    return {
        "ns": interval(value.ns),
        "reason": value.reason,
        "ratio": ratio(value.ratio.interval if value.ratio else None),
        "ratio_reason": value.ratio_reason if value.ratio is None else None,
        **decision(value.ratio),
    }


def role(arm: ArmResult) -> str:
    """baseline, null, phase (a part of what the baseline times) or candidate."""
    return "baseline" if arm.is_baseline else "null" if arm.plan.is_null else "phase" if arm.is_phase else "candidate"


def counted(arm: ArmResult, counter: str) -> Interval | None:
    """A count an operation: median over trials, with the least and the most of them (a count of what everybody did
    meanwhile has no interval worth the name)."""
    middle = arm.counts_per_op.get(counter)
    return None if middle is None else Interval(middle, *arm.counts_range.get(counter, (middle, middle)))


def per_byte(count: Interval | None, size: float | None) -> Interval | None:
    """Bytes moved ÷ bytes meant; None where either is unknown or nothing was meant."""
    if count is None:
        return None
    values = [derive.amplification(value, size) for value in (count.estimate, count.low, count.high)]
    return None if values[0] is None else Interval(*values)


def read_amplification(arm: ArmResult) -> Interval | None:
    """Bytes fetched from storage ÷ bytes asked for."""
    return per_byte(counted(arm, "read_bytes"), arm.bytes_per_op)


def write_amplification(arm: ArmResult) -> Interval | None:
    """Bytes the device wrote ÷ bytes stored to."""
    return per_byte(counted(arm, "device_write_bytes"), arm.dirtied_bytes)


def copy_amplification(arm: ArmResult) -> Interval | None:
    """Bytes copied on write ÷ bytes stored to: a page a fault."""
    return per_byte(counted(arm, "minor_faults"), arm.breaking_pages)


def counter_object(one: Counted) -> dict[str, Any]:
    """One counter that was asked for; its count is in counts_per_op."""
    return {
        "event": one.event,
        "user_only": one.user_only,
        "share": number(one.share),
        "reason": one.reason,
        "disagreements": one.disagreements,
    }


def arm_object(arm: ArmResult) -> dict[str, Any]:
    """One arm of summary.json."""
    own = arm.ratio if arm.competes else None
    return {
        "name": arm.name,
        "method": arm.plan.method,
        "baseline": arm.is_baseline,
        "null": arm.plan.is_null,
        "role": role(arm),
        "status": arm.status,
        "reason": arm.reason,
        "ns_per_op": interval(arm.ns_per_op),
        "ratio": ratio(arm.ratio.interval if arm.ratio else None),
        "ratio_reason": arm.ratio_reason,
        **decision(own),
        "mean_ratio": ratio(arm.mean_ratio),
        "drift": ratio(arm.drift),
        "drifts": arm.drifts,
        "quantiles": {q.name: quantile(q) for q in arm.quantiles},
        "counts_per_op": {name: number(value) for name, value in arm.counts_per_op.items()},
        "counts_range": {name: [number(v) for v in pair] for name, pair in arm.counts_range.items()},
        **({"counters": {one.name: counter_object(one) for one in arm.counted}} if arm.counted else {}),
        "pages_per_fault": number(arm.pages_per_fault),
        "fairness": interval(arm.fairness),
        "read_amplification": interval(read_amplification(arm)),
        "write_amplification": interval(write_amplification(arm)),
        "copy_amplification": interval(copy_amplification(arm)),
        "bytes_per_op": arm.bytes_per_op,
        "dirtied_bytes": number(arm.dirtied_bytes),
        "trials": arm.trials_used,
        "rounds": sum(t.rounds for t in arm.trials),
        "voided_rounds": sum(t.voided for t in arm.trials),
    }


def cell_object(cell: CellResult) -> dict[str, Any]:
    """One cell of summary.json."""
    floor = None if cell.noise_floor is None else math.expm1(cell.noise_floor)
    parts = phases.phases_of(cell)
    return {
        "scenario": cell.scenario.name,
        "cell": cell.plan.cell,
        "params": {**cell.plan.params, "op": cell.scenario.op},
        "varied": cell.varied,
        "delta": cell.scenario.delta,
        "status": cell.status,
        "reason": cell.reason,
        "counts_invalid": "; ".join(cell.counts_invalid) or None,
        "trials": len(cell.trials),
        "noise_floor": number(floor),
        "noise_grade": noise_grade(cell.noise_floor),
        "recipe_pages_per_fault": number(cell.recipe_pages_per_fault),
        "phases_sum": interval(parts.sum) if parts is not None else None,
        "arms": [arm_object(arm) for arm in cell.arms],
    }


def crossing_object(name: str, found: crossing.Crossing) -> dict[str, Any]:
    """One crossing of summary.json."""
    return {
        "scenario": name,
        "arm": found.series.arm,
        "axis": found.series.axis,
        "held": dict(found.series.held),
        "at": {"estimate": number(found.at), "low": number(found.low), "high": number(found.high)},
        "faster_above": found.faster_above,
        "between": [number(v) for v in found.between],
    }


def speedup_object(name: str, found: scaling.Speedup) -> dict[str, Any]:
    """One speed-up of summary.json: operations a second of several workers ÷ those of one."""
    return {
        "scenario": name,
        "cell": found.cell.plan.cell,
        "arm": found.arm.name,
        "workers": found.workers,
        "speedup": ratio(found.logs),
        "reason": found.reason,
    }


def summary(results: Results) -> dict[str, Any]:
    """summary.json."""
    manifest = results.run.manifest
    floors = [None if v is None else math.expm1(v) for v in (results.noise_floor, results.noise_worst)]
    return {
        "schema": "faultline.summary/1",
        "run": manifest.run,
        "machine": manifest.machine,
        "profile": manifest.profile,
        "expected": manifest.expected,
        "finished": len(results.run.trials),
        "stopped": manifest.stopped,
        "noise_grade": results.grade,
        "noise_floor": number(floors[0]),
        "noise_floor_worst": number(floors[1]),
        "null": {"ratio": ratio(results.null), "invalid": results.null_rejected},
        "verdicts": results.verdict_counts(),
        "cells": [cell_object(cell) for cell in results.cells],
        "speedups": [
            speedup_object(s.name, one) for s, cells in scenarios_of(results) for one in scaling.speedups(cells)
        ],
        "crossings": [
            crossing_object(s.name, c) for s, cells in scenarios_of(results) for c in crossing.crossings(cells)
        ],
        "pairs": pair_rows.objects(results, role),
        "claims": claim_words.objects(results),
        "problems": [str(p) for p in results.run.problems],
        "damage": [str(p) for p in results.run.problems if p.severity == "error"],
        "environment_changes": results.environment_changes,
        "manifest_digest": manifest_digest(manifest),
    }


def held_text(held: Mapping[str, Any]) -> str:
    """The held parameters as text, as in a cell's id."""
    return ",".join(f"{safe(key)}={field(key, value)}" for key, value in held.items())


OF_CELL = ("file_bytes", "working_set_bytes", "workers", "pattern", "recipe", "cache", "backing")
OF_FILE = ("recipe", "cache")  # of those: nobody's where no arm works on the file
OF_ARM = ("block_bytes", "touches")


def arm_place(cell: CellResult, arm: ArmResult) -> dict[str, Any]:
    """What a row of cells.csv is of, and what may be concluded from it."""
    params = cell.plan.params
    return {
        **arm.plan.params,
        "scenario": cell.scenario.name,
        "question": cell.scenario.question,
        "cell": cell.plan.cell,
        "arm": arm.name,
        "role": role(arm),
        "arm_index": cell.arms.index(arm),
        "method": arm.plan.method,
        "status": arm.status,
        "reason": arm.reason or arm.ratio_reason,
        "verdict": arm.verdict,
        "verdict_reason": arm.ratio.why if arm.ratio is not None else None,
        "delta": cell.scenario.delta,
        "op": cell.scenario.op,
        "trials": arm.trials_used,
        **{key: params.get(key) if cell.uses_file or key not in OF_FILE else None for key in OF_CELL},
        **{key: arm.plan.params.get(key, params.get(key)) for key in OF_ARM},
    }


def arm_row(results: Results, cell: CellResult, arm: ArmResult) -> dict[str, Any]:
    """One row of cells.csv but for its place on the axis."""
    params = {**cell.plan.params, **arm.plan.params}
    pages = derive.pages_per_op(params, arm.bytes_per_op, results.page_bytes)
    log = arm.ratio.interval if arm.ratio is not None else None
    return {
        **arm_place(cell, arm),
        "bytes_per_op": arm.bytes_per_op,
        "page_bytes": results.page_bytes,
        **ends("ns_per_op", arm.ns_per_op),
        **ends("ns_per_page", arm.ns_per_op if pages else None, 1 / pages if pages else 1),
        **ends("ratio", log.exp() if log else None),
        **ends("mean_ratio", arm.mean_ratio.exp() if arm.mean_ratio else None),
        **{f"{name}_per_op": number(value) for name, value in arm.counts_per_op.items()},
        **recorded.ranges(arm.counts_range),
        "counts_unknown": " ".join(recorded.unknown(cell, arm.name)),
        "cpus": " ".join(map(str, recorded.cpus(cell, arm.name))),
        "pages_per_fault": number(arm.pages_per_fault),
        **ends("read_amplification", read_amplification(arm)),
        **ends("write_amplification", write_amplification(arm)),
        **ends("copy_amplification", copy_amplification(arm)),
        **ends("fairness", arm.fairness),
        "dirtied_bytes": number(arm.dirtied_bytes),
        "p_holm": number(arm.ratio.p_holm) if arm.ratio is not None else None,
        "drifts": int(arm.drifts),
    }


def cell_columns(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Columns of cells.csv: the fixed ones, then what else the rows have: parameters of the arm, counts an
    operation."""
    return tuple(dict.fromkeys((*CELL_COLUMNS, *sorted({key for row in rows for key in row}))))


def cell_rows(results: Results) -> list[dict[str, Any]]:
    """cells.csv: one row a cell and arm, text made safe, in plan order."""
    rows = []
    for _, cells in scenarios_of(results):
        axis = crossing.axis_of(cells)
        held = crossing.held_keys(cells, axis) if axis else []
        faster = {(s.cell.plan.cell, s.arm.name): s.logs.exp() for s in scaling.speedups(cells) if s.logs}
        for index, cell in enumerate(cells):
            parts = phases.phases_of(cell)
            place = {
                "axis": axis,
                "axis_value": cell.plan.params[axis] if axis else None,
                "cell_index": index,
                "held": held_text({k: cell.plan.params[k] for k in held}),
            }
            rows += [
                {
                    **arm_row(results, cell, arm),
                    **place,
                    **ends("speedup", faster.get((cell.plan.cell, arm.name))),
                    **ends("phases_sum", parts.sum if parts is not None and arm.is_baseline else None),
                }
                for arm in cell.arms
            ]
    return [safe_row(row) for row in rows]


def trial_rows(results: Results) -> list[dict[str, Any]]:
    """trials.csv: one row a trial and arm that was measured, in the order in which the trials were started.

    `sequence` counts the records of the run from 0 in that order.
    """
    order = {
        (t.scenario, t.cell, t.trial): i
        for i, t in enumerate(sorted(results.run.trials, key=lambda t: (t.started, t.line)))
    }
    rows = []
    for cell in results.cells:
        for arm in cell.arms:
            for t in arm.trials:
                if t.ns_per_op is not None:
                    rows.append(
                        safe_row(
                            {
                                "scenario": cell.scenario.name,
                                "cell": cell.plan.cell,
                                "arm": arm.name,
                                "role": role(arm),
                                "sequence": order[(cell.scenario.name, cell.plan.cell, t.trial)],
                                "trial": t.trial,
                                "started": t.started,
                                "delta": cell.scenario.delta,
                                "ns_per_op": number(t.ns_per_op),
                                "ratio": None if t.log_ratio is None else number(math.exp(t.log_ratio)),
                                "drift": None if t.drift is None else number(math.exp(t.drift)),
                            }
                        )
                    )
    return sorted(rows, key=lambda row: (row["sequence"], row["role"] != "baseline"))


def crossing_rows(results: Results) -> list[dict[str, Any]]:
    """crossings.csv: one row a crossing."""
    return [
        safe_row(
            {
                "scenario": s.name,
                "arm": c.series.arm,
                "axis": c.series.axis,
                "held": held_text(c.series.held),
                "at": number(c.at),
                "low": number(c.low),
                "high": number(c.high),
                "faster_above": int(c.faster_above),
                "below": number(c.between[0]),
                "above": number(c.between[1]),
            }
        )
        for s, cells in scenarios_of(results)
        for c in crossing.crossings(cells)
    ]


def safe_row(row: dict[str, Any]) -> dict[str, Any]:
    """The same row with its texts made safe to print."""
    return {key: safe(value) if isinstance(value, str) else value for key, value in row.items()}


def badge(results: Results) -> dict[str, Any]:
    """badge.json, in the form that shields.io reads from an endpoint; undecided and invalid are never left out."""
    counts = results.verdict_counts()
    told = ", ".join(f"{n} {verdict.lower()}" for verdict, n in counts.items() if n)
    grade = results.grade
    bad = bool(results.null_rejected) or bool(counts[INVALID])
    colour = "red" if bad else GRADE_COLOURS.get(grade or "", "lightgrey")
    return {
        "schema": "faultline.badge/1",
        "schemaVersion": 1,
        "label": f"faultline, noise {grade or 'unknown'}",
        "message": told or "nothing measured",
        "color": colour,
    }


def case_add(suite: ElementTree.Element, cell: CellResult, arm: ArmResult) -> str:
    """One comparison as a test case; returns which of the suite's counts it raises, or ""."""
    case = ElementTree.SubElement(
        suite, "testcase", classname=safe(cell.scenario.name), name=safe(f"{cell.plan.cell} {arm.name}")
    )
    why = safe((arm.ratio.why if arm.ratio is not None else None) or arm.ratio_reason or arm.reason or "")
    if arm.status == "failed" or (cell.status == "failed" and cell.arms[0].status == "failed"):
        ElementTree.SubElement(case, "failure", message=why)
        return "failures"
    if arm.is_phase and arm.ratio is not None:
        ElementTree.SubElement(case, "system-out").text = "a phase"
        return ""
    if arm.verdict == INVALID:
        ElementTree.SubElement(case, "error", message=why)
        return "errors"
    if arm.verdict in (CANNOT_TELL, None):
        ElementTree.SubElement(case, "skipped", message=f"{arm.verdict or arm.status}: {why}")
        return "skipped"
    ElementTree.SubElement(case, "system-out").text = arm.verdict
    return ""


def junit(results: Results) -> bytes:
    """junit.xml: a suite a scenario, a case a comparison. Failed arm or baseline = failure, INVALID = error,
    undecided = skipped."""
    root = ElementTree.Element("testsuites", name="faultline")
    for scenario, cells in scenarios_of(results):
        suite = ElementTree.SubElement(root, "testsuite", name=safe(scenario.name))
        raised = [case_add(suite, cell, arm) for cell in cells for arm in cell.arms if arm.competes or arm.is_phase]
        suite.set("tests", str(len(raised)))
        for name in ("failures", "errors", "skipped"):
            suite.set(name, str(raised.count(name)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
