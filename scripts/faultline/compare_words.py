# SPDX-License-Identifier: MIT
"""What to conclude from a comparison, in words made of its rows and of nothing else. All texts are safe to print."""

from __future__ import annotations

import math
import re
from typing import Sequence

from faultline import compare_causes, text
from faultline.change_rows import Row
from faultline.comparison import Comparison
from faultline.fingerprint import Difference
from faultline.pairing import NS, RATIO
from faultline.stats import Interval
from faultline.text import percent, safe, signed
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER

HEADER = ("arm", "quantity", "base", "candidate", "change [95 %]", "verdict")
RIGHT = frozenset((2, 3, 4))
FACTOR = 2.0  # changes beyond it are told as a factor
WHY_LISTED = 4  # reasons named one by one
VALUES_SHOWN = 60  # characters of a value of the fingerprint
DIFFERENCES_SHOWN = 12


def change(row: Row) -> str:
    """ "+3.1 % [+2.5, +3.7]", "×2.4 [2.1, 2.6]" when it is large, "–" where there is none."""
    found = row.change
    if found is None:
        return "–" if row.effect < math.inf else "from none"
    if found.estimate == 0:
        return "to none"
    large = not 1 / FACTOR < found.estimate < FACTOR
    told = [f"×{text.ratio(v)}" if large else signed(math.log(v)) for v in parts(found)]
    if len(told) == 1:
        return told[0]
    ends = [end.removeprefix("×").removesuffix(" %") for end in told[1:]]
    return f"{told[0]} [{ends[0]}, {ends[1]}]"


def parts(interval: Interval) -> list[float]:
    """The estimate, and the ends where there are both."""
    ends = (interval.low, interval.high)
    return [interval.estimate, *(v for v in ends if v is not None)] if None not in ends else [interval.estimate]


def value(quantity: str, found: Interval | None) -> str:
    """A side's own value."""
    if found is None:
        return "–"
    if quantity == NS:
        return text.time(found.estimate)
    return f"{text.ratio(found.estimate)}×" if quantity == RATIO else text.count(found.estimate)


def fields(row: Row) -> list[str]:
    """The columns of HEADER."""
    return [safe(row.arm), safe(row.quantity), value(row.quantity, row.base), value(row.quantity, row.candidate),
            change(row), row.verdict]


def where(row: Row) -> str:
    """Scenario and cell."""
    return f"{safe(row.scenario)} {safe(row.cell)}"


def named(row: Row) -> str:
    """A row in a sentence."""
    return f"{safe(row.quantity)} of {safe(row.arm)}, {where(row)}: {change(row)}"


def rows_of(found: Comparison, verdict: str) -> list[Row]:
    """The rows with this verdict, by effect."""
    return [row for row in found.rows if row.verdict == verdict]


def counts(found: Comparison) -> str:
    """How many rows got each verdict: always all five."""
    return " · ".join(f"{n} {verdict}" for verdict, n in found.counts.items())


def changed(rows: Sequence[Row], total: int, words: tuple[str, str]) -> list[str]:
    """What these rows of one verdict say: of times and counts the first words, of ratios the second ones."""
    kinds = ([row for row in rows if row.quantity != RATIO], [row for row in rows if row.quantity == RATIO])
    return [f"{told} in {len(each)} of {total} rows, most in {named(each[0])}"
            for told, each in zip(words, kinds) if each]


def conclusion(found: Comparison) -> str:
    """The first sentence: what to conclude, and before it what is against concluding anything."""
    if found.refused:
        return f"Not compared: {'; '.join(map(safe, found.refused))}."
    if not found.compared:
        return f"Nothing was compared: {nothing_why(found)}{', and scenarios were left out' if found.left_out else ''}."
    warning = compare_causes.warning(found)
    return (f"{warning}. " if warning else "") + rows_sentence(found)


def nothing_why(found: Comparison) -> str:
    """Why no row has two figures."""
    if not found.rows:
        return "there is no row of what was asked for"
    return "no row has a figure of both sides"


def rows_sentence(found: Comparison) -> str:
    """What the rows say."""
    slower, faster, invalid, open_ = (rows_of(found, v) for v in (SLOWER, FASTER, INVALID, CANNOT_TELL))
    total = len(found.rows)
    told = [*changed(slower, total, ("the candidate is slower", "a ratio to the baseline rose")),
            *changed(faster, total, ("the candidate is faster", "a ratio to the baseline fell"))]
    rest = [f"{len(invalid)} INVALID"] * bool(invalid) + [f"{len(open_)} that cannot be told"] * bool(open_)
    if told:
        sentence = "; ".join(told)
        return f"{sentence[0].upper()}{sentence[1:]}." + (f" Beside them {' and '.join(rest)}." if rest else "")
    if rest:
        return f"No row is known to have changed, which is no all-clear: of {total} rows {' and '.join(rest)}."
    return f"No change: all {total} rows are the same within δ."


def side_line(found: Comparison, number: int) -> str:
    """One side with its runs."""
    side = (found.base, found.candidate)[number]
    names = [safe(run.name) for run in side.runs]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{side.name}: {shown}" + (f" ({len(names)} runs)" if len(names) > 1 else "")


def values(found: Sequence[str]) -> str:
    """The values of a key on one side."""
    return " | ".join(text.shorten(safe(one), VALUES_SHOWN) for one in found)


def difference(one: Difference) -> str:
    """A key that differs."""
    kind = "declared" if one.declared else "BLOCKING" if one.blocking else "informational"
    return f"{safe(one.key)} ({kind}): {values(one.base)} → {values(one.candidate)}"


def differences(found: Comparison) -> list[str]:
    """The difference of the fingerprints, blocking keys first and in full."""
    blocking = [difference(one) for one in found.differences if one.blocking]
    others = [difference(one) for one in found.differences if not one.blocking]
    out = blocking + others[:DIFFERENCES_SHOWN]
    if len(others) > DIFFERENCES_SHOWN:
        out.append(f"… and {len(others) - DIFFERENCES_SHOWN} more informational ones, in compare.json")
    return out or ["none"]


def left_out(found: Comparison) -> list[str]:
    """The scenarios and cells that were not compared."""
    return [f"not compared: {safe(one)}" for one in found.left_out]


def reasons(found: Comparison, verdict: str) -> list[str]:
    """Why rows have a verdict, the same reason said once, the most frequent first."""
    alike: dict[str, list[Row]] = {}
    for row in (row for row in rows_of(found, verdict) if row.why):
        alike.setdefault(re.sub(r"[\d.]+", "0", str(row.why)), []).append(row)
    groups = sorted(alike.values(), key=len, reverse=True)
    out = [f"{verdict} ({len(rows)}×): {reason(rows)}" for rows in groups[:WHY_LISTED]]
    left = sum(map(len, groups[WHY_LISTED:]))
    return out + ([f"{verdict} ({left}×): for other reasons, each in compare.json"] if left else [])


def reason(rows: Sequence[Row]) -> str:
    """Why these rows have their verdict: they differ in numbers alone. And what would have been seen."""
    more = " (and the like)" if len({row.why for row in rows}) > 1 else ""
    seen = sorted(row.detectable for row in rows if row.detectable is not None and row.verdict == CANNOT_TELL)
    ends = f"{percent(seen[0])}" + (f" to {percent(seen[-1])}" if len(seen) > 1 else "") if seen else ""
    return safe(rows[0].why) + more + (f"; a change of {ends} would have been seen" if ends else "")


def terms(found: Comparison) -> list[str]:
    """What the figures mean."""
    units = {(row.unit, row.units) for row in found.rows if row.quantity in (RATIO, NS) and row.units and row.unit}
    out = ["change: candidate ÷ base; ratio: time of the arm ÷ time of its own side's baseline",
           f"δ {', '.join(map(percent, found.deltas))}"]
    if len(units) == 1:
        unit, (n, m) = next(iter(units))
        out.append(f"a unit is a {unit}: {n} against {m}")
    elif units:
        out.append(f"a unit is a {next(iter(units))[0]}")
    return out


def notes(found: Comparison) -> list[str]:
    """Everything a reader has to know beside the rows."""
    problems = [f"{safe(run.label)}/{safe(problem)}" for run in found.runs for problem in run.run.problems]
    why = [*reasons(found, INVALID), *reasons(found, CANNOT_TELL)]
    return [*map(safe, found.notes), *left_out(found), *compare_causes.notes(found), *why,
            *map(safe, found.problems), *problems]


def is_clear(found: Comparison) -> bool:
    """Whether everything that was compared is the same or faster and nothing is open: the only case for green. A ratio
    that fell is none, unless its baseline's time is known not to have risen."""
    return compare_causes.exit_status(found, "slower", True) == 0 and all(
        row.verdict in (SAME, FASTER) and row.baseline_kept for row in found.rows)
