# SPDX-License-Identifier: MIT
"""The terminal table: every figure with its interval, and beside it the recipe it belongs to."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence, TextIO

from faultline import conclusion, counted, derive, text
from faultline.stats import Interval, trials_least
from faultline.text import columns, safe, shorten
from faultline.verdict import (
    CANNOT_TELL,
    FASTER,
    INVALID,
    SAME,
    SLOWER,
    ArmResult,
    CellResult,
    Results,
    scenarios_of,
    trials_text,
)

HEADER = ("arm", "time/op [95 %]", "ratio [95 %]", "verdict", "faults/op", "written", "copied", "recipe")
ARM, TIME, RATIO, VERDICT, FAULTS, WRITTEN, COPIED, RECIPE = range(len(HEADER))
RIGHT = frozenset((TIME, RATIO, FAULTS, WRITTEN, COPIED))
RARE = frozenset((WRITTEN, COPIED, RECIPE))  # left out where no arm has anything to show in it
# What is tried, widest first: the columns shown, and the most columns of the terminal an arm's name may take.
CHOICES = (
    ((ARM, TIME, RATIO, VERDICT, FAULTS, WRITTEN, COPIED, RECIPE), 34),
    ((ARM, TIME, RATIO, VERDICT, FAULTS, WRITTEN, COPIED, RECIPE), 22),
    ((ARM, TIME, RATIO, VERDICT, FAULTS, WRITTEN, COPIED), 34),
    ((ARM, TIME, RATIO, VERDICT, FAULTS, WRITTEN, COPIED), 22),
    ((ARM, TIME, RATIO, VERDICT, WRITTEN, COPIED), 34),
    ((ARM, TIME, RATIO, VERDICT), 34),
    ((ARM, TIME, RATIO, VERDICT), 16),
    ((ARM, RATIO, VERDICT), 20),
    ((ARM, RATIO, VERDICT), 8),
)
COLOURS = {FASTER: "32", SLOWER: "31", SAME: "36", CANNOT_TELL: "33", INVALID: "1;31"}
INDENT = "  "
FEW_LISTED = 4  # reasons named one by one
WIDTH_LEAST = 50  # columns below which lines are left to the terminal to break


@dataclass(frozen=True)
class Look:
    """How much the terminal can show."""

    width: int = 100
    unicode: bool = True
    colour: bool = False


def look_of(stream: TextIO, width: int | None) -> Look:
    """What this stream can show: its width or 100, UTF-8 or not, colour on a terminal that wants it."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    colour = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
    found = width or (shutil.get_terminal_size((100, 24)).columns if stream.isatty() else 100)
    return Look(max(WIDTH_LEAST, found), encoding == "utf8", colour)


def time_interval(value: Interval | None, like: float | None = None) -> str:
    """ "612 [601, 630] ns", the unit that of `like` ns where that is given; "–" for nothing."""
    return "–" if value is None else text.time_ends(value.estimate, value.low, value.high, like)


def share_interval(value: Interval) -> str:
    """ "46 % [33, 64] of it": a phase's part of the whole."""
    if value.low is None or value.high is None:
        return f"{text.percent(value.estimate)} of it"
    low, high = (text.percent(v).removesuffix(" %") for v in (value.low, value.high))
    return f"{text.percent(value.estimate)} [{low}, {high}] of it"


def ratio_interval(arm: ArmResult) -> str:
    """ "0.621× [0.611, 0.630]"."""
    if arm.is_baseline:
        return "1 (baseline)"
    if arm.is_phase and arm.ratio is not None and arm.ratio.interval is not None:
        return share_interval(arm.ratio.interval.exp())
    return conclusion.factor(arm) if arm.ratio is not None else "–"


def verdict_word(cell: CellResult, arm: ArmResult) -> str:
    """The verdict, or what stands in for it."""
    if arm.status != "ok":
        return arm.status
    if arm.plan.is_null:
        return "(null)" if not cell.invalid else INVALID
    if arm.is_baseline:
        return ""
    if arm.is_phase:
        return "(phase)"
    return (arm.verdict or "no ratio") + (" drifts" if arm.drifts else "")


def recipe(cell: CellResult) -> str:
    """What the page cache went through before: recipe, the pages a fault that prove it, state. "" where no arm was
    measured on a file."""
    if not cell.uses_file:
        return ""
    sizes = [arm.bytes_per_op for arm in cell.arms if arm.bytes_per_op is not None]
    if sizes and not any(sizes):
        return ""
    proof = f" ({text.count(cell.recipe_pages_per_fault)} a fault)" if cell.recipe_pages_per_fault is not None else ""
    return safe(f"{cell.plan.params.get('recipe', '?')}{proof}, {cell.plan.params.get('cache', '?')}")


def faults(arm: ArmResult) -> str:
    """Minor faults an operation, the pages that each brought in, and major faults where there were any:
    "0.0625 (16) + 0.5"."""
    each = f" ({text.count(arm.pages_per_fault)})" if arm.pages_per_fault is not None else ""
    major = arm.counts_per_op.get("major_faults")
    return text.count(arm.counts_per_op.get("minor_faults")) + each + (f" + {text.count(major)}" if major else "")


def written(arm: ArmResult) -> str:
    """What the device wrote for each byte stored to before a sync: "256×"; bytes where nothing was: "0 B". "" where no
    sync is part of the operation."""
    bytes_each = arm.counts_per_op.get("device_write_bytes")
    if arm.dirtied_bytes is None or bytes_each is None:
        return ""
    amplification = derive.amplification(bytes_each, arm.dirtied_bytes)
    return f"{bytes_each:.0f} B" if amplification is None else f"{text.digits(amplification)}×"


def copied(arm: ArmResult) -> str:
    """Bytes copied on write for each byte stored to: "4096×". "" where a fault need not be a copy."""
    faults_each = arm.counts_per_op.get("minor_faults")
    found = derive.amplification(faults_each, arm.breaking_pages)
    return "" if found is None else f"{text.digits(found)}×"


def row(cell: CellResult, arm: ArmResult) -> list[str]:
    """The cells of one line, the arm's name in full."""
    return [
        safe(arm.name),
        time_interval(arm.ns_per_op),
        ratio_interval(arm),
        verdict_word(cell, arm),
        faults(arm),
        written(arm),
        copied(arm),
        recipe(cell),
    ]


def pad(value: str, width: int, right: bool) -> str:
    """Padded to that many columns of a terminal."""
    space = " " * (width - columns(value))
    return space + value if right else value + space


@dataclass(frozen=True)
class Shape:
    """Which columns are shown and how wide each is."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def total(self) -> int:
        """Columns of a line."""
        return len(INDENT) + sum(self.widths) + 2 * (len(self.widths) - 1)


def shape_of(rows: Sequence[Sequence[str]], shown: tuple[int, ...], name_most: int) -> Shape:
    """The widths that these rows need."""
    widths = [max(columns(r[i]) for r in [HEADER, *rows]) for i in shown]
    return Shape(shown, (min(widths[0], name_most), *widths[1:]))


def columns_of(rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The columns that these rows have something for: all but the RARE ones that stay empty."""
    return tuple(i for i in range(len(HEADER)) if i not in RARE or any(r[i] for r in rows))


def shape_fit(rows: Sequence[Sequence[str]], width: int) -> Shape:
    """The first of CHOICES that fits; the recipe then stands in the title of each cell, so it is never left out."""
    there = columns_of(rows)
    shapes = [shape_of(rows, tuple(i for i in shown if i in there), most) for shown, most in CHOICES]
    return next((shape for shape in shapes if shape.total <= width), shapes[-1])


def line(values: Sequence[str], shape: Shape, colour: str | None = None) -> str:
    """One line of the table, the verdict in that colour."""
    out = []
    for i, width in zip(shape.shown, shape.widths):
        padded = pad(shorten(values[i], width), width, i in RIGHT)
        out.append(f"\x1b[{colour}m{padded}\x1b[0m" if colour and i == VERDICT else padded)
    return INDENT + "  ".join(out).rstrip()


def pieces(word: str, width: int) -> list[str]:
    """A word cut so that no part is wider than a line, after a comma where there is one."""
    out = []
    while columns(word) > width:
        cut = word.rfind(",", 1, width) + 1 or width
        out.append(word[:cut])
        word = word[cut:]
    return out + [word]


def wrap(value: str, width: int, indent: str = INDENT) -> list[str]:
    """A sentence in lines of at most `width` columns."""
    lines, current = [], indent
    words = [piece for word in value.split() for piece in pieces(word, width - columns(indent))]
    for word in words:
        if columns(current) + columns(word) + 1 > width and current.strip():
            lines.append(current.rstrip())
            current = indent
        current += word + " "
    return lines + [current.rstrip()]


def cell_title(cell: CellResult, with_recipe: bool) -> str:
    """The conditions of a cell, its trials, and the recipe when no column shows it."""
    title = safe(cell.plan.cell) + (f", {recipe(cell)}" if with_recipe and recipe(cell) else "")
    short = [arm for arm in cell.arms if arm.status == "ok" and arm.trials_used < len(cell.trials)]
    fewer = [f"{safe(arm.name)}: {arm.trials_used}" for arm in short]
    note = f" · {trials_text(len(cell.trials))}" + (f" ({', '.join(fewer)})" if fewer else "")
    return title + note + (f" · {cell.status}: {safe(cell.reason)}" if cell.reason else "")


def cell_lines(cell: CellResult, shape: Shape, look: Look) -> Iterator[str]:
    """A cell: its title, then a line an arm, the null arm last."""
    yield from wrap(cell_title(cell, RECIPE not in shape.shown), look.width, "")
    for arm in cell.arms:
        yield line(row(cell, arm), shape, COLOURS.get(arm.verdict or "") if look.colour else None)


def counted_rows(cells: Sequence[CellResult]) -> list[tuple[str, ...]]:
    """The counters that were asked for, per operation: a head, then a row an arm that has any, the cell's id before its
    first. Empty when nothing was counted."""
    shown = counted.names([arm.counted for cell in cells for arm in cell.arms])
    rows: list[tuple[str, ...]] = [("cell", "arm", *map(safe, shown))] if shown else []
    for cell in cells if shown else ():
        arms = [arm for arm in cell.arms if any(one.per_op is not None for one in arm.counted)]
        rows += [
            (safe(cell.plan.cell) if arm is arms[0] else "", safe(arm.name), *counted.fields(arm.counted, shown))
            for arm in arms
        ]
    return rows


def counted_notes(cells: Sequence[CellResult]) -> list[str]:
    """What has to be said of the counters of a scenario."""
    return counted.notes([arm.counted for cell in cells for arm in cell.arms])


def counted_lines(cells: Sequence[CellResult], look: Look) -> Iterator[str]:
    """A block a cell of "arm  counter count · counter count": there may be more counters than columns fit."""
    rows = counted_rows(cells)
    if rows:
        yield "Counted, per operation"
    for cell, arm, *values in rows[1:]:
        if cell:
            yield from wrap(cell, look.width, INDENT)
        found = " · ".join(f"{name} {value}" for name, value in zip(rows[0][2:], values) if value)
        yield from wrap(f"{arm}: {found}", look.width, INDENT * 2)
    for note in counted_notes(cells):
        yield from wrap(note, look.width)
    if rows or counted_notes(cells):
        yield ""


def terms(cells: Sequence[CellResult]) -> str:
    """What the figures of a scenario mean."""
    scenario = cells[0].scenario
    pairs = sum(arm.competes and arm.ratio is not None for cell in cells for arm in cell.arms)
    out = [f"one operation: {safe(scenario.op)}", f"ratio: time of the arm ÷ time of {safe(cells[0].arms[0].name)}"]
    arms = [arm for cell in cells for arm in cell.arms]
    if any(arm.pages_per_fault is not None or arm.counts_per_op.get("major_faults") for arm in arms):
        major = " + major faults" if any(arm.counts_per_op.get("major_faults") for arm in arms) else ""
        out.append(f"faults/op: minor faults (pages that each brought in){major}")
    if any(written(arm) for cell in cells for arm in cell.arms):
        out.append("written: bytes the device wrote, for whomever, ÷ bytes of the pages stored to before the sync")
    if pairs:
        out += [
            f"same within δ = {text.percent(scenario.delta)}",
            f"{pairs} comparison{'s' * (pairs > 1)}, decided from {trials_least(pairs)} trials on",
        ]
    return " · ".join(out)


def scenario_lines(cells: Sequence[CellResult], look: Look) -> Iterator[str]:
    """A scenario: question, table, conclusion."""
    yield from wrap(f"{safe(cells[0].scenario.name)} — {safe(cells[0].scenario.question)}", look.width, "")
    yield from wrap(terms(cells), look.width, "")
    yield ""
    shape = shape_fit([row(cell, arm) for cell in cells for arm in cell.arms], look.width)
    yield line(HEADER, shape)
    yield INDENT + "─" * (shape.total - len(INDENT))
    for cell in cells:
        yield from cell_lines(cell, shape, look)
    yield ""
    yield from counted_lines(cells, look)
    sentences = conclusion.scenario_sentences(cells)
    if sentences:
        yield "What to conclude"
        for sentence in sentences:
            yield from wrap(sentence, look.width)
        yield ""


def undecided(results: Results) -> list[str]:
    """Why comparisons could not be told: those with too few trials for their family, the same reason said once, then
    those whose effect was too small for the noise, as a range."""
    open_ = [arm.ratio for arm in results.arms if arm.verdict == CANNOT_TELL and arm.ratio is not None]
    few = Counter(q.why for q in open_ if q.detectable is None and q.why)
    out = [f"cannot tell ({times}×): {safe(why)}" for why, times in few.most_common(FEW_LISTED)]
    if len(few) > FEW_LISTED:
        out.append(f"cannot tell ({sum(few.values())}× in all): too few trials")
    small = [q for q in open_ if q.detectable is not None]
    if small:
        effects = sorted(math.expm1(q.detectable) for q in small if q.detectable is not None)
        seen = text.percent(effects[0]) + (f" to {text.percent(effects[-1])}" if len(effects) > 1 else "")
        trials = sorted(q.trials_needed for q in small if q.trials_needed is not None)
        need = f"; the nearest would need about {trials[0]} trials" if trials and trials[0] <= 1000 else ""
        out.append(f"cannot tell ({len(small)}×): this run could have seen {seen}{need}; each in summary.json")
    return out


def refused(results: Results) -> list[str]:
    """What was asked for and cannot be run here, a line a scenario; what the scenario itself excludes is no news."""
    reasons: dict[str, list[str]] = {}
    for refusal in results.run.manifest.refused:
        if not str(refusal.get("reason")).startswith("excluded by line"):
            reasons.setdefault(str(refusal.get("scenario")), []).append(str(refusal.get("reason")))
    return [
        f"not run: {safe(name)}: {len(why)} cell{'s' * (len(why) > 1)}: {safe(why[0])}{', …' * (len(set(why)) > 1)}"
        for name, why in reasons.items()
    ]


def footer_lines(results: Results, look: Look) -> Iterator[str]:
    """Counts of verdicts, noise, the harness's cost, what is missing or was wrong."""
    counts = results.verdict_counts()
    yield from wrap(" · ".join(f"{n} {verdict}" for verdict, n in counts.items()), look.width, "")
    for one in undecided(results):
        yield from wrap(one, look.width)
    yield from wrap(conclusion.noise_sentence(results), look.width, "")
    harness = conclusion.harness_sentence(results)
    if harness:
        yield from wrap(harness, look.width, "")
    emulation = conclusion.emulation_sentence(results)
    if emulation:
        yield from wrap(emulation, look.width, "")
    for sentence in (conclusion.unfinished_sentence(results), conclusion.environment_sentence(results)):
        if sentence:
            yield from wrap(sentence, look.width, "")
    for one in refused(results):
        yield from wrap(one, look.width, "")
    for problem in results.run.problems:
        yield from wrap(safe(problem), look.width, "")


def lines(results: Results, look: Look) -> Iterator[str]:
    """The whole table, a line at a time."""
    for _, cells in scenarios_of(results):
        yield from scenario_lines(cells, look)
    yield from footer_lines(results, look)


def put(told: Iterable[str], look: Look, stream: TextIO) -> None:
    """Prints these lines as the stream can show them and flushes it, before anything slower is done."""
    for one in told:
        stream.write((one if look.unicode else text.plain(one)) + "\n")
    stream.flush()


def write(results: Results, stream: TextIO = sys.stdout, width: int | None = None) -> None:
    """Prints the table."""
    look = look_of(stream, width)
    put(lines(results, look), look, stream)
