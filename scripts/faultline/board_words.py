# SPDX-License-Identifier: MIT
"""What to conclude from a board, in words made of its rows and of nothing else. All texts are safe to print."""

from __future__ import annotations

from typing import Sequence

from faultline import text
from faultline.board import Board, TimeRow, findings
from faultline.board_axes import CrossingRow, Line, SlopeRow, turn_text
from faultline.board_light import LightRow
from faultline.board_machines import Machine, NotShared
from faultline.board_rows import (
    AGREE,
    ALONE,
    OPEN,
    PAGE,
    REAL,
    RUNS_AGREE,
    RUNS_DIFFER,
    SETTINGS,
    BoardRow,
    Value,
)
from faultline.pairing import RATIO
from faultline.stats import Interval
from faultline.table import time_interval
from faultline.text import digits, safe
from faultline.verdict import FASTER, SAME, SLOWER

LISTED = 4  # names in a sentence; more are counted
VALUE_MOST = 40  # characters of a value of the fingerprint
NOTHING = "–"


def plural(number: int, one: str, many: str = "") -> str:
    """ "1 ratio", "2 ratios"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def where_timed(row: TimeRow) -> str:
    """Scenario and cell, and what an operation is."""
    return f"{where(row)} ({safe(row.op)})"


def where(row: BoardRow | TimeRow) -> str:
    """Scenario and cell, and which count it is of."""
    count = f", {safe(row.quantity)} an operation" if isinstance(row, BoardRow) and row.quantity != RATIO else ""
    return f"{safe(row.scenario)} {safe(row.cell)}{count}"


def along(row: CrossingRow | SlopeRow) -> str:
    """Scenario, axis and what else is held."""
    return f"{safe(row.scenario)} by {safe(row.axis)}" + (f" ({row.held})" if row.held else "")


# ---- values ----


def ratio_text(value: Value, with_interval: bool = True) -> str:
    """ "0.621× [0.611, 0.630] FASTER"."""
    if value.ratio is None:
        return value.verdict or "no ratio"
    found = value.ratio
    ends = f" [{text.ratio(found.low)}, {text.ratio(found.high)}]" if None not in (found.low, found.high) else ""
    return f"{text.ratio(found.estimate)}×{ends if with_interval else ''} {value.verdict or ''}".rstrip()


def count_text(value: Value) -> str:
    """ "64", "3.1 (2 to 5)" where the trials differ."""
    assert value.count is not None
    found = value.count
    spread = f" ({text.count(found.low)} to {text.count(found.high)})" if found.low != found.high else ""
    return f"{text.count(found.estimate)}{spread}"


def value_text(row: BoardRow, value: Value | None, with_interval: bool = True) -> str:
    """What a machine says in a row."""
    if value is None:
        return NOTHING
    if row.quantity != RATIO:
        page = f" ({text.count(value.per_page)} a page)" if value.per_page is not None and paged(row) else ""
        return count_text(value) + page if with_interval else text.count(value.count.estimate if value.count else None)
    if value.time is None:
        return shortened_status(value)
    return ratio_text(value, with_interval)


def paged(row: BoardRow) -> bool:
    """Whether the machines of a row have pages of different sizes, as far as it tells."""
    return any(one.differs.page for one in row.apart)


def shortened_status(value: Value) -> str:
    """ "unsupported" of what has no figure; the reason is in board.json."""
    return safe(value.why or "not measured").partition(":")[0].partition(" ")[0]


def least(values: Sequence[float | None]) -> float | None:
    """The smallest of some times: its unit is that of all that stand side by side."""
    return min((abs(value) for value in values if value is not None), default=None)


def time_texts(values: Sequence[Value | None]) -> list[str]:
    """ "612 [601, 630] ns" of each machine, in one unit."""
    times = [value.time if value is not None else None for value in values]
    like = least([None if time is None else time.estimate for time in times])
    return [time_interval(time, like) for time in times]


def per_kib_texts(values: Sequence[Value | None]) -> list[str]:
    """ "38 ns/KiB" of each machine, in one unit: what machines with pages of different sizes have in common."""
    found = [1024 * value.time.estimate / value.bytes_per_op
             if value is not None and value.time is not None and value.bytes_per_op else None for value in values]
    scale, unit = text.time_unit(least(found) or 0.0)
    return [NOTHING if one is None else f"{digits(one / scale)} {unit}/KiB" for one in found]


def line_texts(values: Sequence[Line | None]) -> list[str]:
    """ "0.031 [0.030, 0.032] ns a byte + 612 ns" of each machine, in one unit, marked where it is no straight line."""
    scale, unit = text.time_unit(least([None if one is None else one.fixed.estimate for one in values]) or 0.0)
    out = []
    for one in values:
        if one is None:
            out.append(NOTHING)
            continue
        fixed = one.fixed.estimate / scale
        bent = "" if one.is_straight else f" (no straight line: off by {text.percent(one.miss)})"
        out.append(f"{figure(one.per_byte)} ns a byte {'−' if fixed < 0 else '+'} {digits(abs(fixed))} {unit}{bent}")
    return out


def figure(found: Interval) -> str:
    """ "0.031 [0.030, 0.032]"."""
    ends = f" [{digits(found.low)}, {digits(found.high)}]" if found.low is not None and found.high is not None else ""
    return digits(found.estimate) + ends


def light_text(row: LightRow, machine: Machine, value: Interval | None, hidden: bool) -> str:
    """A piece on a machine; how to measure it where it was not."""
    if value is not None:
        like = least([None if one is None else one.estimate for one in row.values])
        return time_interval(value, like) if row.light.unit == "ns" else f"{figure(value)} {row.light.unit}"
    planned = any(name == row.light.scenario for cells in machine.cells for name, _ in cells)
    return "emulated" if hidden else "no valid figure" if planned else "not measured"


def light_missing(found: Board) -> list[tuple[str, str]]:
    """The commands that would measure what the panel lacks, each once, and the machines that lack it."""
    lost: dict[str, list[str]] = {}
    for row in found.light:
        for machine, value in zip(found.machines, row.values):
            if value is None and not found.hidden(machine):
                lost.setdefault(row.light.command, []).append(machine.label)
    return [(command, listed(list(dict.fromkeys(names)))) for command, names in lost.items()]


# ---- what to conclude ----


def named(row: BoardRow) -> str:
    """A row in a sentence: "mapped, access/scan block_bytes=4KiB"."""
    return f"{safe(row.arm)}, {where(row)}"


def each(found: Board, row: BoardRow) -> str:
    """ "A 0.62×, B 1.31×" of the two machines that are farthest apart."""
    worst = row.worst
    columns = [worst.a, worst.b] if worst is not None else [
        i for i, value in enumerate(row.values) if value is not None and value.verdict in (FASTER, SLOWER)]
    told = [(found.machines[i].label, row.values[i]) for i in columns]
    return ", ".join(f"{label} {value_text(row, value, False)}" for label, value in told)


def ratio_sentences(found: Board) -> list[str]:
    """What the ratios say."""
    rows = [row for row in found.ratios if row.finding != ALONE]
    if not rows:
        return []
    turning = [row for row in rows if row.turns]
    alike = {verdict: sum(row.one_verdict == verdict for row in rows) for verdict in (FASTER, SLOWER, SAME)}
    told = [f"{word} in {alike[verdict]}" for verdict, word in
            ((FASTER, "faster"), (SLOWER, "slower"), (SAME, "the same")) if alike[verdict]]
    out = [f"{plural(len(rows), 'ratio')} stand{'s' * (len(rows) == 1)} on two machines or more; the verdict is the "
           f"same on all of them in {sum(alike.values())}" + (f" (the arm is {', '.join(told)})" if told else "") + "."]
    if turning:
        limit = "In these runs the" if all(row.finding == RUNS_DIFFER for row in turning) else "The"
        out.append(f"{limit} winner is not the same on all of them in {len(turning)}, most in {named(turning[0])}: "
                   f"{each(found, turning[0])}.")
    else:
        out.append("No arm surely wins on one machine and surely loses on another.")
    return [*out, *finding_sentences(found, rows, turning[0] if turning else None)]


def finding_sentences(found: Board, rows: Sequence[BoardRow], said: BoardRow | None) -> list[str]:
    """How the ratios differ, by what that comes from. said: the row of which the sentence before has told."""
    counts = findings(rows)
    out = []
    for finding, words in ((REAL, "a real difference, page size and known settings being the same, in"),
                           (SETTINGS, "a difference that may come from settings in"),
                           (PAGE, "a difference that may come from the page size in"),
                           (RUNS_DIFFER, "these runs differ (too few boots to say it of the machines) in")):
        some = [row for row in rows if row.finding == finding]
        if some and some[0] is said:
            out.append(f"{words} {counts[finding]}, that one among them")
        elif some:
            out.append(f"{words} {counts[finding]}, most in {named(some[0])}: {each(found, some[0])}")
    rest = [f"{counts[finding]} {words}" for finding, words in (
        (AGREE, "agree within δ"), (RUNS_AGREE, "agree within δ in these runs"), (OPEN, "cannot be told"))
            if counts[finding]]
    parts = [*out, *([" and ".join(rest)] if rest else [])]
    sentence = "; ".join(parts)
    return [sentence[0].upper() + sentence[1:] + "."] if sentence else []


def count_sentences(found: Board) -> list[str]:
    """What the exact counts say."""
    rows = [row for row in found.counts if row.finding != ALONE]
    if not rows:
        return []
    counts = findings(rows)
    told = [f"{counts[finding]} {one if counts[finding] == 1 else many}" for finding, one, many in (
        (AGREE, "is equal", "are equal"),
        (REAL, "differs with page size and known settings the same",
         "differ with page size and known settings the same"),
        (SETTINGS, "differs with the settings", "differ with the settings"),
        (PAGE, "is equal a page and differs with its size", "are equal a page and differ with its size"),
        (OPEN, "cannot be told", "cannot be told")) if counts[finding]]
    return [f"Of {plural(len(rows), 'exact count')}, {', '.join(told)}."]


def crossing_sentences(found: Board) -> list[str]:
    """What the crossovers say."""
    if not found.crossings:
        return []
    first, more = found.crossings[0], len(found.crossings) - 1
    values = ", ".join(f"{machine.label} {turn_text(first.axis, value)}" for machine, value in
                       zip(found.machines, first.values) if value is not None)
    return [f"Crossovers, not compared: {safe(first.arm)}, {along(first)}: {values}" + (
        f"; and {more} more." if more else ".")]


def conclusion(found: Board) -> str:
    """The first paragraph: what to conclude."""
    names = listed([machine.label for machine in found.machines])
    if not found.compared:
        why = "there is one machine only" if len(found.machines) < 2 else (
            "no rule may judge what these machines measured" if any(row.by_rule for row in found.rows) else
            "no two machines measured the same, or what they measured has no figure on two of them")
        return f"Nothing stands on the board: {why} ({names})."
    head = f"{plural(len(found.machines), 'machine')}: {names}."
    said = [*ratio_sentences(found), *crossing_sentences(found), *count_sentences(found)]
    if found.left_out:
        scenarios = list(dict.fromkeys(safe(one.scenario) for one in found.left_out))
        said.append(f"Not the same on all machines, and so not put side by side: {listed(scenarios)}.")
    return " ".join([head, *said])


def counts_line(found: Board) -> str:
    """How many rows have each finding: always all of them."""
    return " · ".join(f"{number} {finding}" for finding, number in findings(found.rows).items())


def machine_lines(found: Board) -> list[str]:
    """A line a machine."""
    return [f"{machine.label}: {machine.line}" for machine in found.machines]


def fields(found: Board, row: BoardRow, with_interval: bool = True) -> list[str]:
    """A row's columns: arm, each machine, the finding."""
    return [safe(row.arm), *(value_text(row, value, with_interval) for value in row.values), finding_text(row)]


def finding_text(row: BoardRow) -> str:
    """ "real difference", with a word where the winner changes."""
    return f"{row.finding}, turns over" if row.turns else row.finding


def key_differences(found: Board) -> list[tuple[str, list[str]]]:
    """Blocking keys that are not the same on all machines, with each machine's value."""
    return [(safe(key), [text.shorten(safe(value), VALUE_MOST) for value in values])
            for key, values in found.differences.items()]


def left_out_lines(found: Board) -> list[str]:
    """What is not put side by side, a line a scenario, machine and reason."""
    groups: dict[tuple[str, str, str | None, str], list[NotShared]] = {}
    for one in found.left_out:
        groups.setdefault((one.scenario, one.machine, one.arm, one.reason), []).append(one)
    out = []
    for (scenario, machine, arm, reason), some in groups.items():
        what = "" if arm is None else f", arm {safe(arm)}"
        cells = f" ({safe(some[0].cell)})" if len(some) == 1 else f" ({len(some)} cells)"
        out.append(f"not put side by side: {safe(scenario)}{what}{cells} of {machine}: {safe(reason)}")
    return out


def notes(found: Board) -> list[str]:
    """Everything a reader has to know beside the rows."""
    problems = [f"{safe(run.label)}/{safe(problem)}" for machine in found.machines for run in machine.runs
                for problem in run.run.problems]
    return [*map(safe, found.notes), *left_out_lines(found), *problems]


def delta_text(found: Board) -> str:
    """ "1 %", or "1 % in access/scan, 2 % in faults/tlb" where it is not the same in all scenarios."""
    told = dict.fromkeys(found.deltas.values())
    if len(told) == 1:
        return text.percent(next(iter(told)))
    return ", ".join(f"{text.percent(delta)} in {safe(name)}" for name, delta in found.deltas.items())


def terms(found: Board) -> list[str]:
    """What the words of the rows mean."""
    return [
        "ratio: time of the arm ÷ time of the baseline on the same machine, its verdict reached there alone",
        "real difference: surely apart by more than δ, page size and known settings being the same; settings, page "
        "size: apart, and these differ too (a count: the same a page); agree: the same within δ, or equal counts",
        "runs differ, runs agree: the same of the runs at hand; boots of one machine differ by themselves, so more "
        "boots of each have to tell whether the machines do",
        f"δ: {delta_text(found)}",
    ]
