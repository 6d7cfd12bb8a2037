# SPDX-License-Identifier: MIT
"""A live comparison as one of stored runs: the files that `compare` writes, and rows for its table.

Both sides left ordinary runs behind. What those say of counts holds as it stands; times are those of the pairs.
"""

from __future__ import annotations

import math
from pathlib import Path

from faultline import compare_files, compare_pages, comparison, files, fingerprint, sources
from faultline.change_rows import ORDER, Row
from faultline.comparison import Comparison
from faultline.live_rows import LiveArm, LiveCellResult, LiveResults
from faultline.live_sides import BASE, CANDIDATE
from faultline.pairing import NS, RATIO
from faultline.verdict import CANNOT_TELL

PAIR = "pair"


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


def comparison_of(results: LiveResults, delta: float | None) -> Comparison:
    """What `compare` would say of the runs of both sides, with the times of the pairs. Whatever their fingerprints
    differ in, the launchers made it so."""
    base, candidate = (sources.side_load([results.directory / name])[0] for name in (BASE, CANDIDATE))
    runs = [one.run for one in base], [one.run for one in candidate]
    meant = [one.key for one in fingerprint.differences(*runs, ()) if one.blocking]
    found = comparison.compare(base, candidate, meant, delta)
    found.level = PAIR
    found.notes = [str(one) for one in results.left_out]
    found.rows = [row for row in found.rows if row.quantity not in (RATIO, NS)]
    found.rows += [row_of(cell, arm) for cell, arm in results.arms]
    found.rows.sort(key=lambda row: (ORDER[row.verdict], -row.effect))
    return found


def write(found: Comparison, status: int, out: Path) -> None:
    """compare.json, compare.md, junit.xml, compare.html and badge.json; OSError when they cannot be written."""
    files.replace_json(out / "compare.json", compare_files.document(found, status))
    files.replace_text(out / "compare.md", compare_pages.markdown(found))
    files.replace(out / "junit.xml", compare_files.junit(found))
    files.replace_text(out / "compare.html", compare_pages.html(found))
    files.replace_json(out / "badge.json", compare_files.badge(found))

