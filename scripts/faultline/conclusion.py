# SPDX-License-Identifier: MIT
"""What to conclude from a scenario, in sentences made of its verdicts and of nothing else."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Sequence

from faultline import crossing, pair_words, phases, scaling, views
from faultline.crossing import Series
from faultline.text import field, percent, ratio, safe, size_near, time
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER, VERDICTS, ArmResult, CellResult, Results

WORDS = {FASTER: "faster than", SLOWER: "slower than", SAME: "as fast as"}
FAIR = 0.9  # of the quickest worker's operations that the slowest does, from which on nobody complains
LISTED = 3  # cells named in a sentence; more are counted
RUNS_MOST = 4  # stretches of equal verdict in a sentence


def factor(arm: ArmResult) -> str:
    """ "0.62× [0.60, 0.64]", the ratio of an arm with its interval."""
    if arm.ratio is None or arm.ratio.interval is None:
        return "no ratio"
    interval = arm.ratio.interval.exp()
    if interval.low is None or interval.high is None:
        return f"{ratio(interval.estimate)}×"
    return f"{ratio(interval.estimate)}× [{ratio(interval.low)}, {ratio(interval.high)}]"


def estimate(arm: ArmResult) -> float:
    """The log ratio of an arm that has a verdict."""
    assert arm.ratio is not None and arm.ratio.interval is not None
    return arm.ratio.interval.estimate


def span(pairs: Sequence[tuple[CellResult, ArmResult]]) -> str:
    """The ratios of several cells: one with its interval, more as a range."""
    if len(pairs) == 1:
        return factor(pairs[0][1])
    ordered = sorted(pairs, key=lambda pair: estimate(pair[1]))
    low, high = (ratio(math.exp(estimate(arm))) for _, arm in (ordered[0], ordered[-1]))
    return f"{low}×" if low == high else f"{low}× to {high}×"


def axis_value(axis: str, x: float, near: bool = False) -> str:
    """A place on the axis as it is spelled."""
    if axis.endswith("_bytes"):
        return size_near(x) if near else field(axis, int(x))
    return f"{x:.3g}" if near else field(axis, x)


def segments(series: Series) -> list[tuple[str | None, list[crossing.Point]]]:
    """Runs of equal verdict along the axis; of cells without a verdict it is None."""
    return [(verdict, list(run)) for verdict, run in groupby(series.points, key=lambda p: p.arm.verdict)]


def stretch(axis: str, run: Sequence[crossing.Point], first: bool, last: bool) -> str:
    """Where along the axis a run of equal verdicts lies: "up to", "from … on", "at", "from … to". first, last: whether
    it is that of all runs, of those without a verdict too."""
    low, high = (axis_value(axis, run[i].x) for i in (0, -1))
    if len(run) == 1 and (first or last):
        return f"at {low}"
    if first and last:
        return f"at every {safe(axis)} from {low} to {high}"
    if first:
        return f"up to {high}"
    if last:
        return f"from {low} on"
    return f"at {low}" if low == high else f"from {low} to {high}"


def phrase(verdict: str | None, pairs: Sequence[tuple[CellResult, ArmResult]]) -> str:
    """One verdict over one stretch, with its ratios where they mean something."""
    if verdict is None:
        return "no verdict"
    words = {FASTER: "faster", SLOWER: "slower", SAME: "the same", CANNOT_TELL: "cannot tell", INVALID: "invalid"}[
        verdict
    ]
    return words if verdict == INVALID else f"{words} ({span(pairs)})"


def series_sentence(series: Series, baseline: str) -> str | None:
    """An arm along the axis; None when it has no verdict, or they jump about too much for a sentence."""
    runs = segments(series)
    if not 0 < sum(verdict is not None for verdict, _ in runs) <= RUNS_MOST:
        return None
    parts = [
        f"{phrase(verdict, [(p.cell, p.arm) for p in run])} {stretch(series.axis, run, i == 0, i == len(runs) - 1)}"
        for i, (verdict, run) in enumerate(runs)
    ]
    held = ", ".join(f"{safe(k)}={field(k, v)}" for k, v in series.held.items())
    where = f" ({held})" if held else ""
    return f"{safe(series.arm)} against {baseline} by {safe(series.axis)}{where}: {'; '.join(parts)}{turn(series)}."


def turn(series: Series) -> str:
    """The crossing points of an arm, as the end of its sentence."""
    out = ""
    for c in crossing.crossings_of(series):
        if c.at is None:
            low, high = (axis_value(series.axis, x) for x in c.between)
            out += f"; the two cross somewhere between {low} and {high}, where no valid ratio is known"
            continue
        interval = ""
        if c.low is not None and c.high is not None:
            interval = f" [{axis_value(series.axis, c.low, True)}, {axis_value(series.axis, c.high, True)}]"
        out += f"; the two cross at {axis_value(series.axis, c.at, True)}{interval}"
    return out


def cells_named(pairs: Sequence[tuple[CellResult, ArmResult]], total: int) -> str:
    """ " in both cells", " in all 9 cells", " in 2 of 9 cells (block_bytes=64; …)"; "" for the only cell."""
    if len(pairs) == total:
        return "" if total == 1 else " in both cells" if total == 2 else f" in all {total} cells"
    names = "; ".join(safe(cell.plan.cell) for cell, _ in pairs) if len(pairs) <= LISTED else ""
    return f" in {len(pairs)} of {total} cells" + (f" ({names})" if names else "")


def arm_sentence(pairs: Sequence[tuple[CellResult, ArmResult]], baseline: str, total: int) -> str:
    """An arm over cells that no axis orders: its verdicts counted, each with the range of its ratios. total: cells in
    which it competes, with a verdict or without."""
    name = safe(pairs[0][1].name)
    some = {verdict: [pair for pair in pairs if pair[1].verdict == verdict] for verdict in VERDICTS}
    told = [
        f"{WORDS[verdict]} {baseline}{cells_named(some[verdict], total)}: {span(some[verdict])}"
        for verdict in (FASTER, SLOWER, SAME)
        if some[verdict]
    ]
    if some[CANNOT_TELL]:
        few = any(arm.ratio is not None and arm.ratio.detectable is None for _, arm in some[CANNOT_TELL])
        why = ", too few trials" if few else ""
        told.append(f"cannot tell{cells_named(some[CANNOT_TELL], total)}{why}: {span(some[CANNOT_TELL])}")
    if some[INVALID]:
        told.append(f"invalid{cells_named(some[INVALID], total)}")
    decided = any(some[verdict] for verdict in WORDS)
    return f"{name} is {'; '.join(told)}." if decided else f"{name} against {baseline}: {'; '.join(told)}."


def missing_sentence(cells: Sequence[CellResult]) -> str | None:
    """What has no verdict at all, and why."""
    lost = [(cell, arm) for cell in cells for arm in cell.arms if arm.competes and arm.verdict is None]
    if not lost:
        return None
    reasons = sorted({safe(arm.ratio_reason or arm.reason or "no reason recorded") for _, arm in lost})
    total = sum(arm.competes for cell in cells for arm in cell.arms)
    end = " …" if len(reasons) > LISTED else "."
    return f"{len(lost)} of {total} comparisons have no ratio: {'; '.join(reasons[:LISTED])}{end}"


def alone_sentence(cells: Sequence[CellResult]) -> list[str]:
    """What an operation takes where nothing competes: one sentence, over all cells that were measured."""
    times = sorted(cell.arms[0].ns_per_op.estimate for cell in cells if cell.arms[0].ns_per_op is not None)
    if not times:
        return []
    span_text = time(times[0]) + (f" to {time(times[-1])}" if len(times) > 1 else "")
    return [f"{safe(cells[0].arms[0].name)}: {span_text} an operation; the scenario has no other arm."]


def unfair_sentences(cells: Sequence[CellResult]) -> list[str]:
    """Arms whose workers do not get as far as each other, the worst cell of each."""
    out = []
    for name in dict.fromkeys(arm.name for cell in cells for arm in cell.arms if not arm.plan.is_null):
        arms = [(cell, arm) for cell in cells for arm in cell.arms if arm.name == name and arm.fairness is not None]
        worst = min(arms, key=lambda pair: pair[1].fairness.estimate, default=None)
        if worst is None or worst[1].fairness.estimate >= FAIR:
            continue
        cell, fairness = worst[0], worst[1].fairness
        known = fairness.low is not None and fairness.high is not None
        share = f"{fairness.estimate:.2f}" + (f" [{fairness.low:.2f}, {fairness.high:.2f}]" if known else "")
        where = f" ({safe(cell.plan.cell)})" if len(cells) > 1 else ""
        out.append(f"{safe(name)}{where} is not fair: the slowest worker does {share} of what the quickest does.")
    return out


def scenario_sentences(cells: Sequence[CellResult]) -> list[str]:
    """The conclusion of one scenario, an arm a sentence; along its axis where the cells have one."""
    baseline = safe(cells[0].arms[0].name)
    names = list(dict.fromkeys(arm.name for cell in cells for arm in cell.arms if arm.competes))
    along = crossing.series_of(cells)
    out = phases.sentences(cells) if names or any(arm.is_phase for arm in cells[0].arms) else alone_sentence(cells)
    out += views.sentences(cells)
    for name in names:
        competing = [(cell, arm) for cell in cells for arm in cell.arms if arm.name == name and arm.competes]
        pairs = [pair for pair in competing if pair[1].verdict is not None]
        sentences = [series_sentence(s, baseline) for s in along if s.arm == name] if len(along) else []
        if sentences and len(sentences) <= LISTED and all(sentences):
            out += [s for s in sentences if s]
        elif pairs:
            out.append(arm_sentence(pairs, baseline, len(competing)))
    missing = missing_sentence(cells)
    out += unfair_sentences(cells) + scaling.sentences(cells) + pair_words.sentences(cells)
    return out + ([missing] if missing else [])


def extreme(results: Results, verdict: str) -> tuple[CellResult, ArmResult] | None:
    """The comparison of this verdict whose ratio is farthest from 1; None where none has it."""
    told = [(cell, arm) for cell in results.cells for arm in cell.arms if arm.verdict == verdict]
    return max(told, key=lambda pair: abs(estimate(pair[1])), default=None)


def extreme_sentences(results: Results) -> list[str]:
    """The largest gain and the largest loss that the run decided."""
    out = []
    for verdict, word in ((FASTER, "gain"), (SLOWER, "loss")):
        found = extreme(results, verdict)
        if found is not None:
            cell, arm = found
            where = f"{safe(cell.scenario.name)}, {safe(cell.plan.cell)}"
            takes = f"{safe(arm.name)} takes {factor(arm)} the time of {safe(cell.arms[0].name)}"
            out.append(f"The largest {word}: {takes} ({where}).")
    return out


def tally_sentence(results: Results) -> str:
    """How many comparisons were decided, and which way; then those that were not."""
    counts = results.verdict_counts()
    total = sum(counts.values())
    if not total:
        return "No comparison of this run has a verdict." if results.measured else "Nothing was measured."
    lost = sum(arm.competes and arm.verdict is None for arm in results.arms)
    open_ = (
        (counts[CANNOT_TELL], "cannot be told"),
        (counts[INVALID], "invalid, so that nothing follows"),
        (lost, f"more {'has' if lost == 1 else 'have'} no verdict"),
    )
    rest = [f"{count} {words}" for count, words in open_ if count]
    return (
        f"The arm is faster than its baseline in {counts[FASTER]} of {total} comparisons, slower in {counts[SLOWER]}, "
        f"the same within δ in {counts[SAME]}" + "".join(f"; {one}" for one in rest) + "."
    )


def run_sentences(results: Results) -> list[str]:
    """What to conclude from the whole run: a paragraph."""
    return [tally_sentence(results), *extreme_sentences(results), noise_sentence(results)]


def noise_sentence(results: Results) -> str:
    """The noise grade and what it means; or why there is none."""
    if results.grade is None:
        return "Noise grade: none (it needs a null arm in at least 6 trials)."
    assert results.noise_floor is not None and results.noise_worst is not None and results.null is not None
    floor, worst = (percent(math.expm1(v)) for v in (results.noise_floor, results.noise_worst))
    text = (
        f"Noise grade {results.grade}: one comparison of two identical arms resolves {floor} in the middle cell, "
        f"{worst} in the worst."
    )
    if results.null_rejected:
        text += f" INVALID: identical arms differ beyond δ in {'; '.join(safe(c) for c in results.null_rejected)}."
    return text


def null_sentences(results: Results) -> list[str]:
    """What the null arms of the run say, how many ratios drift, and how many rounds were voided."""
    out = []
    if results.null is not None and results.null.low is not None and results.null.high is not None:
        found = results.null.exp()
        ends = f"[{ratio(found.low)}, {ratio(found.high)}]"
        out.append(f"Two identical arms, over all cells: {ratio(found.estimate)}× {ends}.")
    drifts = sum(arm.drifts for arm in results.arms)
    if drifts:
        many = f"{drifts} ratios drift" if drifts > 1 else "1 ratio drifts"
        out.append(f"{many} by more than δ from the first round of a trial to the last.")
    voided = sum(trial.voided for arm in results.arms for trial in arm.trials)
    if voided:
        total = voided + sum(trial.rounds for arm in results.arms for trial in arm.trials)
        out.append(f"{voided} of {total} rounds were voided and do not count.")
    return out


def unfinished_sentence(results: Results) -> str | None:
    """How many records are missing, and why the run ended before it had them; None where none is."""
    manifest, finished = results.run.manifest, len(results.run.trials)
    if manifest.expected is None or finished >= manifest.expected:
        return None
    why = f" (stopped: {safe(manifest.stopped)})" if manifest.stopped else ""
    return f"The run is not finished: {finished} of {manifest.expected} planned records{why}."


def environment_sentence(results: Results) -> str | None:
    """What changed under the run; None where nothing did."""
    found = results.environment_changes
    return f"INVALID: during the run {', '.join(map(safe, found))}." if found else None


def emulation_sentence(results: Results) -> str | None:
    """A warning where the machine is carried out in software: its times are the emulator's."""
    blocking = results.run.machine.get("blocking")
    value = blocking.get("virtualisation") if isinstance(blocking, dict) else None
    if not isinstance(value, str) or not value.endswith("(emulated)"):
        return None
    return f"Measured on an emulated machine, {safe(value)}: its times are those of the emulator."


def harness_sentence(results: Results) -> str | None:
    """The harness's own cost, where a scenario of the `null` method ran."""
    arms = [a for a in results.arms if a.plan.method == "null" and not a.plan.is_null and a.ns_per_op is not None]
    if not arms:
        return None
    return f"The harness itself costs {time(arms[0].ns_per_op.estimate)} an operation."  # type: ignore[union-attr]
