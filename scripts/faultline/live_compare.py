# SPDX-License-Identifier: MIT
"""A live comparison as one of stored runs: the same rows, the same exit status, the same files.

Both sides left ordinary runs behind. What those say of counts holds as it stands; times are those of the pairs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Mapping, Sequence

from faultline import compare_files, compare_pages, comparison, files, fingerprint, pairing
from faultline.change_rows import ORDER, Row
from faultline.comparison import Comparison, Judge
from faultline.exact_counts import counted_rows, exact_names
from faultline.live_measure import RUNGS
from faultline.live_rows import LiveArm, LiveCellResult, LiveResults
from faultline.live_sides import BASE, CANDIDATE, IO
from faultline.pairing import FAILED, NS, Key, LeftOut, Side
from faultline.text import safe
from faultline.verdict import CANNOT_TELL, INVALID, trials_text

PAIR = "pair"
COUNTED_PAIRS_LEAST = RUNGS[0]  # that a count must be the same in before it is believed: as many as times have


def row_of(cell: LiveCellResult, arm: LiveArm) -> Row:
    """An arm's time on both sides; CANNOT TELL with its reason where there is no change."""
    change = arm.change
    interval = change.interval.exp() if change is not None and change.interval is not None else None
    count = int(change.logs.size) if change is not None else 0
    return Row(
        cell.scenario, cell.cell, arm.name, NS, arm.base_ns, arm.candidate_ns, interval,
        arm.verdict or CANNOT_TELL, arm.reason if change is None else change.why, PAIR, (count, count),
        None if change is None else change.p, None if change is None else change.p_holm,
        None if change is None or change.detectable is None else math.expm1(change.detectable),
    )


def count_rows(judge: Judge, cells: Sequence[LiveCellResult]) -> list[Row]:
    """The exact counts. A change of one that was seen in few pairs stays open: within a side it could hardly have
    differed."""
    plans = {cell.key: judge.cell(cell.key) for cell in cells}
    bad: Mapping[Key, str] = judge.invalid(list(plans), timed=False) | {
        cell.key: "; ".join(cell.between) for cell in cells if cell.between
    }
    rows = counted_rows((judge.base, judge.candidate), plans, exact_names(), bad)
    for row in rows:
        fewest = min(row.units or (0,))
        if fewest < COUNTED_PAIRS_LEAST and row.verdict not in (CANNOT_TELL, INVALID):
            row.verdict = CANNOT_TELL
            row.why = f"{trials_text(fewest, PAIR)}; {COUNTED_PAIRS_LEAST} are needed to believe a count"
    return rows


def failures_of(results: LiveResults) -> list[LeftOut]:
    """The cells in which a side failed or did other work, with the first that was wrong."""
    return [
        LeftOut(*cell.key, cell.failed[0] + (f" (and {len(cell.failed) - 1} more)" if cell.failed[1:] else ""), FAILED)
        for cell in results.cells
        if cell.failed
    ]


def notes_of(results: LiveResults) -> list[str]:
    """Arms that neither side has: nothing of them is compared, and nothing has failed."""
    return [
        f"{safe(cell.scenario)} {safe(cell.cell)}: {safe(arm.name)} is measured on neither side: "
        f"{safe(arm.pairs[0].reason)}"
        for cell, arm in results.arms
        if arm.is_absent
    ]


def comparison_of(results: LiveResults) -> Comparison:
    """What `compare` would say of the runs of both sides, with the times of the pairs."""
    base, candidate = (Side(name, [results.runs[name]]) for name in (BASE, CANDIDATE))
    for side in (base, candidate):
        side.units = pairing.units_of(side.runs, PAIR)
    found = fingerprint.differences([base.runs[0].run], [candidate.runs[0].run], results.live["vary"])
    judge = Judge(base, candidate, PAIR, results.live["delta"], turns=True, apart=False)
    out = Comparison(base, candidate, PAIR, found, comparison.refusals(base, candidate, found),
                     [*results.left_out, *failures_of(results)],
                     [*comparison.remarks(base, candidate, judge), *notes_of(results)])
    out.compared = sum(any(arm.change is not None for arm in cell.arms) for cell in results.cells)
    if not out.refused:
        out.rows = [row_of(cell, arm) for cell, arm in results.arms if not arm.is_absent]
        out.rows += count_rows(judge, results.cells)
        out.rows.sort(key=lambda row: (ORDER[row.verdict], -row.effect))
    return out


def exit_status(results: LiveResults, found: Comparison, fail_on: str = "slower", insist: bool = False) -> int:
    """As of stored runs; 7 also when a line of the comparison's own files is damaged."""
    if any(problem.severity == "error" for problem in results.problems):
        return IO
    return comparison.exit_status(found, fail_on, insist)


def write(found: Comparison, status: int, out: Path) -> None:
    """compare.json, compare.md, junit.xml, compare.html and badge.json; OSError when they cannot be written."""
    files.replace_json(out / "compare.json", compare_files.document(found, status))
    files.replace_text(out / "compare.md", compare_pages.markdown(found))
    files.replace(out / "junit.xml", compare_files.junit(found))
    files.replace_text(out / "compare.html", compare_pages.html(found))
    files.replace_json(out / "badge.json", compare_files.badge(found))
