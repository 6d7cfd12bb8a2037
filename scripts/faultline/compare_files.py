# SPDX-License-Identifier: MIT
"""A comparison in forms for other programs: compare.json, junit.xml, badge.json. docs/results.md describes each."""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.etree import ElementTree

from faultline import compare_causes, compare_words
from faultline.change_rows import Row
from faultline.comparison import Comparison
from faultline.pairing import Side
from faultline.rounding import interval, number
from faultline.text import safe
from faultline.verdict import CANNOT_TELL, INVALID, SLOWER

NO_CHANGE: dict[str, Any] = {"estimate": None, "low": None, "high": None}


def side_object(side: Side) -> dict[str, Any]:
    """One side of compare.json."""
    return {
        "runs": [
            {"run": run.name, "given": run.label, "started": run.started or None, "machine": run.run.manifest.machine,
             "boot_id": run.boot, "instance": run.instance}
            for run in side.runs
        ],
        "units": len(side.units),
    }


def row_object(row: Row) -> dict[str, Any]:
    """One row of compare.json."""
    return {
        "scenario": row.scenario,
        "cell": row.cell,
        "arm": row.arm,
        "quantity": row.quantity,
        "change": interval(row.change) or NO_CHANGE,
        "verdict": row.verdict,
        "why": row.why,
        "p": number(row.p),
        "p_holm": number(row.p_holm),
        "detectable": number(row.detectable),
        "base": interval(row.base),
        "candidate": interval(row.candidate),
        "unit": row.unit,
        "units": None if row.units is None else list(row.units),
    }


def one_or_list(values: tuple[str, ...]) -> str | list[str]:
    """The value of a key on one side; a list where its runs differ."""
    return values[0] if len(values) == 1 else list(values)


def document(found: Comparison, status: int) -> dict[str, Any]:
    """compare.json."""
    return {
        "schema": "faultline.compare/1",
        "base": side_object(found.base),
        "candidate": side_object(found.candidate),
        "unit": found.level,
        "deltas": found.deltas,
        "conclusion": compare_words.conclusion(found),
        "fingerprint_diff": [
            {"key": one.key, "base": one_or_list(one.base), "candidate": one_or_list(one.candidate),
             "blocking": one.blocking, "declared": one.declared}
            for one in found.differences
        ],
        "refused": found.refused,
        "left_out": [dataclasses.asdict(one) for one in found.left_out],
        "notes": found.notes,
        "counts": found.counts,
        "rows": [row_object(row) for row in found.rows],
        "beside": [
            {"scenario": one.scenario, "cell": one.cell, "arm": one.arm, "quantity": "ns_per_op",
             "base": interval(one.base), "candidate": interval(one.candidate)}
            for one in found.beside
        ],
        "exit": status,
    }


OUTCOMES = {SLOWER: ("failure", "failures"), INVALID: ("error", "errors"), CANNOT_TELL: ("skipped", "skipped")}


def said(row: Row) -> str:
    """A row in one line."""
    base, candidate = (compare_words.value(row.quantity, side) for side in (row.base, row.candidate))
    why = f"; {row.why}" if row.why else ""
    return safe(f"{row.verdict}: {base} → {candidate}, {compare_words.change(row)}{why}")


def case_add(suite: ElementTree.Element, row: Row) -> str | None:
    """One row as a test case; which of the suite's counts it raises."""
    case = ElementTree.SubElement(suite, "testcase", classname=safe(row.scenario),
                                  name=safe(f"{row.cell} {row.arm} {row.quantity}"))
    if row.verdict not in OUTCOMES:
        ElementTree.SubElement(case, "system-out").text = said(row)
        return None
    kind, raised = OUTCOMES[row.verdict]
    ElementTree.SubElement(case, kind, message=said(row))
    return raised


def ended(found: Comparison) -> str:
    """What a comparison ended with, and why."""
    return " · ".join([f"status {compare_causes.exit_status(found)}: {compare_words.conclusion(found)}",
                       *(f"{one.what}: {one.where}" for one in compare_causes.causes(found) if one.where)])


def extra_add(suite: ElementTree.Element, name: str, kind: str, message: str) -> str:
    """A case of the comparison as a whole."""
    case = ElementTree.SubElement(suite, "testcase", classname="faultline.compare", name=safe(name))
    ElementTree.SubElement(case, kind, message=safe(message))
    return {"error": "errors", "skipped": "skipped"}[kind]


def junit(found: Comparison) -> bytes:
    """junit.xml: a suite a scenario, a case a row. What was refused, failed, or is not the same on both sides, is an
    error, and so is what ends the comparison with 4 to 7: a job that reads this file alone must not turn
    green."""
    root = ElementTree.Element("testsuites", name="faultline compare")
    for scenario in sorted({row.scenario for row in found.rows}):
        suite = ElementTree.SubElement(root, "testsuite", name=safe(scenario))
        suite_count(suite, [case_add(suite, row) for row in found.rows if row.scenario == scenario])
    suite = ElementTree.SubElement(root, "testsuite", name="faultline.compare")
    raised = [extra_add(suite, "comparable", "error", why) for why in found.refused]
    for one in found.left_out:
        raised.append(extra_add(suite, one.place, "error" if one.breaks else "skipped", one.reason))
    if compare_causes.exit_status(found) in compare_causes.BAD:
        raised.append(extra_add(suite, "exit status", "error", ended(found)))
    suite_count(suite, raised)
    if not raised:
        root.remove(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def suite_count(suite: ElementTree.Element, raised: "list[str | None] | list[str]") -> None:
    """Puts the counts of a suite."""
    suite.set("tests", str(len(raised)))
    for name in ("failures", "errors", "skipped"):
        suite.set(name, str(raised.count(name)))


def badge(found: Comparison) -> dict[str, Any]:
    """badge.json, in the form that shields.io reads; green only when everything is the same or faster."""
    told = ", ".join(f"{n} {verdict.lower()}" for verdict, n in found.counts.items() if n)
    message = "not comparable" if found.refused else told if told and found.compared else "nothing compared"
    status = compare_causes.exit_status(found)
    bad = f" (status {status})" if status in compare_causes.BAD else ""
    colour = "red" if bad or status == 1 else "brightgreen" if compare_words.is_clear(found) else "lightgrey"
    return {
        "schema": "faultline.badge/1",
        "schemaVersion": 1,
        "label": "faultline compare",
        "message": message + bad,
        "color": colour,
    }
