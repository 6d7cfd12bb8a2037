# SPDX-License-Identifier: MIT
"""What a comparison of stored runs says: of times, ratios and counts, and what it refuses."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import pytest

import fake_compare
import fake_run
from conftest import ROOT
from fake_compare import run, scenario
from fake_run import FakeArm
from faultline import change_rows, compare_causes, fingerprint, pairing, schema, sources, unpaired
from faultline.change_rows import Pair, Row
from faultline.comparison import Comparison, compare
from faultline.records import RecordsError
from faultline.simulate import family_alarms, family_told, single_runs
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER

KEY = ("access/read-or-map", "all")


@functools.cache
def loaded(paths: tuple[Path, ...], written: tuple[int, ...]) -> list[sources.Stored]:
    """Runs that many tests read; `written`: when their files were."""
    return sources.side_load(paths)[0]


def load(*paths: Path) -> list[sources.Stored]:
    files = (file for path in paths for file in sorted(path.rglob("*.json*")))
    return loaded(paths, tuple(file.stat().st_mtime_ns for file in files))


def compared(base: Path | Sequence[Path], candidate: Path | Sequence[Path], **options: Any) -> Comparison:
    sides = ([one] if isinstance(one, Path) else one for one in (base, candidate))
    return compare(*(load(*side) for side in sides), **options)


def row(found: Comparison, arm: str, quantity: str, cell: str = "all") -> Row:
    (one,) = [r for r in found.rows if (r.arm, r.quantity, r.cell) == (arm, quantity, cell)]
    return one


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("base") / "base", 1)


# ---- single runs ----


def test_a_ratio_of_single_runs(base: Path, tmp_path: Path) -> None:
    found = compared(base, run(tmp_path / "c", 2, [scenario(fast=0.95)]))
    one = row(found, "fast", "ratio")
    assert one.verdict == SLOWER and one.change.estimate == pytest.approx(0.95 / 0.9, rel=0.006)
    assert (one.unit, one.units) == ("trial", (12, 12)) and one.p <= one.p_holm <= 0.05 and "baseline" in one.why
    assert row(found, "faulting", "ratio").verdict in (SAME, CANNOT_TELL)
    back = row(compared(tmp_path / "c", base), "fast", "ratio")
    assert back.verdict == FASTER and back.change.estimate == pytest.approx(1 / one.change.estimate)
    assert (found.compared, found.refused, compare_causes.exit_status(found)) == (1, [], 1)


def test_times_of_single_runs_are_never_judged(base: Path, tmp_path: Path) -> None:
    """Not even when they differ by half: the text says what would decide."""
    found = compared(base, run(tmp_path / "c", 2, [scenario(base_ns=900.0)]))
    for arm in ("pread", "fast", "faulting"):
        one = row(found, arm, "ns_per_op")
        assert one.verdict == CANNOT_TELL and one.p is None and one.p_holm is None and one.change.low is None
        assert one.change.estimate == pytest.approx(1.5, rel=0.1)
        assert "single runs" in one.why and "live comparison" in one.why and "several runs a side" in one.why
    assert compare_causes.exit_status(found) == 0 and compare_causes.exit_status(found, insist=True) == 3


def test_the_unseen_spread_is_in_the_interval(base: Path, tmp_path: Path) -> None:
    """The interval of a ratio of single runs is that of the trials, widened by what separates runs."""
    found = compared(base, run(tmp_path / "c", 2))
    one = row(found, "fast", "ratio")
    cells = [side.of(KEY)[0][1] for side in (found.base, found.candidate)]
    logs = [next(a for a in cell.arms if a.name == "fast").ratio.logs for cell in cells]
    spread = math.hypot(*(max(0.0035, np.std(one, ddof=1)) for one in logs))
    wanted = unpaired.widened(unpaired.shift(*logs), 0.95, spread, 22).exp()
    assert (one.change.low, one.change.high) == (wanted.low, wanted.high)
    assert one.change.low < unpaired.shift(*logs).exp().low


@pytest.mark.parametrize(("tau", "sd"), [(0.0035, 0.0035), (0.005, 0.0035), (0.1, 0.1)])
def test_single_runs_do_not_cry_wolf(tau: float, sd: float) -> None:
    """Runs that differ by themselves as much as their trials do raise hardly an alarm in 12 comparisons, on a quiet and
    on a loaded machine, because that is allowed for."""
    assert family_alarms(tau, sd, 12, 150) <= 0.06


def test_what_is_not_allowed_for_cries_wolf() -> None:
    """Runs that differ by themselves thrice as much as their trials do, as docs/compare.md warns."""
    assert family_alarms(0.01, 0.0035, 12, 150) > 0.2


def test_trials_alone_would_cry_wolf() -> None:
    """Taken for units, which they are not, they raise one in every third to nearly every family."""
    assert family_alarms(0.005, 0.0035, 12, 150, allowed=False) > 0.2
    assert family_alarms(0.1, 0.1, 12, 150, allowed=False) > 0.8


def test_same_is_not_said_of_single_runs_at_the_margin() -> None:
    """A true difference of δ is called SAME in at most 5 % of single runs that differ by themselves by 0.35 %."""
    rng, same = np.random.default_rng(2), 0
    for _ in range(600):
        pair = single_runs(rng, 0.0035, 0.0035, math.log1p(0.01), trials=15)
        change_rows.family_decide([pair], pairing.TRIAL)
        same += pair.row.verdict == SAME
    assert same / 600 <= 0.06


@pytest.mark.parametrize(("pairs", "move", "least", "most"), [
    (1, 0.03, 0.95, 1), (12, 0.03, 0.4, 0.8), (12, 0.04, 0.95, 1), (36, 0.05, 0.95, 1), (1, -0.05, 0.97, 1)])
def test_what_single_runs_see(pairs: int, move: float, least: float, most: float) -> None:
    """The one change in a family, on a quiet machine."""
    assert least <= family_told(0.002, 0.0035, pairs, 150, move) <= most


# ---- several runs a side ----


def test_several_runs_a_side(tmp_path: Path) -> None:
    """A unit is a run; the change is Hodges–Lehmann over runs, and its interval the exact one."""
    sides = fake_compare.many(tmp_path, {"a": 0.9, "b": 0.945}, 6)
    found = compared(*sides)
    one = row(found, "fast", "ratio")
    assert (one.verdict, one.unit, one.units) == (SLOWER, "run", (6, 6))
    values = [side.values(KEY, "fast", "ratio", "run") for side in (found.base, found.candidate)]
    wanted = unpaired.shift(*values).exp()
    assert one.change == wanted and one.change.low < 1.05 < one.change.high * 1.003
    p = 2 * unpaired.p_greater(*values, math.log1p(0.01))
    assert (one.p, one.p_holm) == (pytest.approx(p), pytest.approx(2 * p))
    assert row(found, "faulting", "ratio").verdict == SAME
    assert row(found, "pread", "ns_per_op").p is not None
    assert not any("take turns" in r.why for r in found.rows if r.why)
    assert found.deltas == [0.01]
    wide = compared(*sides, delta=0.2)
    assert row(wide, "fast", "ratio").verdict == SAME and wide.deltas == [0.2]


def test_too_few_runs(tmp_path: Path) -> None:
    sides = fake_compare.many(tmp_path, {"a": 0.9, "b": 1.4}, 3)
    one = row(compared(*sides), "fast", "ratio")
    assert one.verdict == CANNOT_TELL and one.detectable is None
    assert one.why == "3 against 3 runs; 5 a side are needed for 2 comparisons"
    one = row(compared(sides[0][0], sides[1]), "fast", "ratio")
    assert (one.verdict, one.units) == (CANNOT_TELL, (1, 3)) and one.why.startswith("1 against 3 runs; ")


def test_blocks_of_runs_do_not_judge_times(tmp_path: Path) -> None:
    """All runs of one side before all of the other: whatever drifts is in the difference."""
    made = [scenario(trials=4, rounds=8, trial_noise=0.001)]
    sides = [[run(tmp_path / f"r{j}{i}", 10 * j + i, made, hour=8 * j + i) for i in range(6)] for j in (0, 1)]
    found = compared(*sides)
    one = row(found, "fast", "ns_per_op")
    assert one.verdict == CANNOT_TELL and "did not take turns" in one.why and one.p is None
    assert any("did not take turns" in note for note in found.notes)
    assert row(found, "fast", "ratio").verdict == SAME


@dataclass
class Place:
    """Where and when a run was: all that units are made of."""

    boot: str | None = "b"
    instance: str | None = "m"
    started: str = ""
    label: str = ""
    results: Any = field(default_factory=lambda: type("Results", (), {"cells": []}))


def placed(runs: Sequence[Sequence[Place]], level: str) -> list[pairing.Side]:
    sides = [pairing.Side(name, list(each)) for name, each in zip("AB", runs)]
    pairing.units_put(*sides, level)
    return sides


def in_order(order: str) -> list[pairing.Side]:
    """Sides whose runs began in this order, each in a boot of its own."""
    runs = [Place(str(i), started=f"{i:03d}") for i in range(len(order))]
    return placed([[run for run, side in zip(runs, order) if side == name] for name in "AB"], "boot")


BLOCKS = "A" * 4 + "B" * 4
TURNS = ["ABBAABBA", "ABABABAB", "ABBAABBAABBAAB", "BAABAABB", "AAABBBABBABBBAAABA"]
NO_TURNS = ["AAAABBBB", "AABBBBAA", "ABBBABAA", "AAABAAABBBABBB", BLOCKS * 3, "AAABBBAAABBBAABB", "AABABABB"]


@pytest.mark.parametrize("order", [*TURNS, *NO_TURNS])
def test_taking_turns(order: str) -> None:
    sides = in_order(order)
    assert pairing.alternate(*sides) == (order in TURNS)
    sides[0].runs[0].started = ""
    assert not pairing.alternate(*sides)


def alarms_of(order: str, drift: float, walk: float, times: int = 500) -> float:
    """How often equal sides in this order raise an alarm at 5 %, when times drift by that much from run to run and
    wander by that much, beside a scatter of 1 %."""
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(times):
        steps = rng.normal(drift, walk, len(order))
        times_ = np.cumsum(steps) + rng.normal(0, 0.01, len(order))
        values = [times_[[c == name for c in order]] for name in "AB"]
        alarms += 2 * min(unpaired.p_less(*values, 0.0), unpaired.p_greater(*values, 0.0)) <= 0.05
    return alarms / times


@pytest.mark.parametrize("order", TURNS)
def test_turns_keep_what_changes_over_time_out(order: str) -> None:
    """Neither a wandering machine nor one that drifts all the while raises more alarms than chance does."""
    for drift, walk in ((0.0, 0.01), (0.05, 0.0), (0.003, 0.0)):
        assert alarms_of(order, drift, walk) <= 0.06


def test_without_turns_time_decides() -> None:
    """What docs/statistics.md tells: 7 against 7 runs that wander as far from run to run as they scatter."""
    assert alarms_of("ABBAABBAABBAAB", 0.0, 0.01, 2000) <= 0.02
    assert 0.36 <= alarms_of("A" * 7 + "B" * 7, 0.0, 0.01, 2000) <= 0.48
    for order in ("AAAABBBB", "AAABAAABBBABBB"):
        assert alarms_of(order, 0.02, 0.0) > 0.3


def test_starts_in_any_zone(tmp_path: Path) -> None:
    """Times are put in order as times, not as texts."""
    path = run(tmp_path / "r", 1)
    manifest = json.loads((path / "manifest.json").read_text())
    for started, wanted in (("2026-01-31T14:00:00.000+03:00", "2026-01-31T11:00:00.000Z"), ("yesterday", "")):
        (path / "manifest.json").write_text(json.dumps({**manifest, "started": started}))
        assert load(path)[0].started == wanted


# ---- units ----


KERNEL = fingerprint.Difference("kernel_build", ("1",), ("2",), False)
KIND = fingerprint.Difference("instance_type.product", ("small",), ("large",), False)
UNKNOWN = fingerprint.Difference("instance_type.product", ("small",), (fingerprint.NOTHING,), False)
ROWS: list[tuple[str, list[Place], list[Place], list[fingerprint.Difference], str, tuple[int, int] | None]] = [
    ("one boot", [Place()], [Place()], [], "trial", None),
    ("several runs in one boot", [Place()] * 1 + [Place()], [Place()], [], "run", None),
    ("a reboot between single runs", [Place("x")], [Place("y")], [], "boot", (1, 1)),
    ("a boot a side", [Place("x") for _ in range(4)], [Place("y") for _ in range(4)], [], "boot", (1, 1)),
    ("blocks of boots", [Place(b) for b in "ace" for _ in range(4)], [Place(b) for b in "bdf" for _ in range(4)], [],
     "boot", (3, 3)),
    ("boots that nobody knows", [Place(None)], [Place(None)], [], "boot", (1, 1)),
    ("a kernel built anew", [Place()], [Place()], [KERNEL], "boot", (1, 1)),
    ("machines", [Place("x", "m")], [Place("y", "n")], [], "instance", (1, 1)),
    ("machines mixed within the sides", [Place(str(i), "m" if i < 6 else "n") for i in range(7)],
     [Place(str(i), "n" if i < 16 else "m") for i in range(10, 17)], [], "instance", (2, 2)),
    ("a host's containers under names of their own", [Place("x", "c1"), Place("x", "c2")],
     [Place("x", "c3"), Place("x", "c4")], [], "run", None),
    ("the same over several boots", [Place("x", "c1"), Place("y", "c2"), Place("z", "c5")],
     [Place("x", "c2"), Place("y", "c1"), Place("z", "c1")], [], "boot", (3, 3)),
    ("nameless machines", [Place("x", None)], [Place("y", None)], [], "instance", (1, 1)),
    ("kinds of machine", [Place("x")], [Place("y")], [KIND], "instance", (1, 1)),
    ("a kind that is not seen from within", [Place()], [Place()], [UNKNOWN], "trial", None),
    ("a kind that is unknown after a reboot", [Place("x")], [Place("y")], [UNKNOWN], "instance", (1, 1)),
]


@pytest.mark.parametrize(("base_", "candidate", "found", "level", "units"), [row_[1:] for row_ in ROWS],
                         ids=[row_[0] for row_ in ROWS])
def test_what_a_unit_is(base_: list[Place], candidate: list[Place], found: list[fingerprint.Difference], level: str,
                        units: tuple[int, int] | None) -> None:
    """units: of a side, None where they are the runs or trials themselves."""
    assert pairing.level_of(base_, candidate, found) == level
    if units is not None:
        assert tuple(len(side.units) for side in placed([base_, candidate], level)) == units


def test_fewest_units() -> None:
    """Three boots, five instances: the design of an experiment is no matter of its p alone."""
    for n, m, level, told in ((2, 8, "run", True), (2, 8, "boot", False), (4, 4, "boot", True),
                              (4, 9, "instance", False)):
        assert (change_rows.few_why(n, m, level, 1) is None) == told


def test_boots_nobody_knows(base: Path, tmp_path: Path) -> None:
    (one,), (other,) = load(base), load(run(tmp_path / "c", 2, boot="b9"))
    lost = dataclasses.replace(one, results=dataclasses.replace(one.results, run=dataclasses.replace(
        one.run, trials=tuple(dataclasses.replace(t, boot_id=None) for t in one.run.trials))))
    found = compare([lost], [other])
    told = row(found, "fast", "ratio")
    assert told.verdict == CANNOT_TELL and told.why.startswith("nobody knows the boot of 20260131T")


def test_one_boot_a_side_tells_nothing(tmp_path: Path) -> None:
    """However many runs there are in it."""
    made = dict(trials=4, rounds=8)
    sides = [[run(tmp_path / f"{side}{i}", 10 * side + i, [scenario(fast=0.9 + side / 5, **made)], boot=f"b{side}",
                  hour=2 * i + (side if i % 2 else 1 - side)) for i in range(5)] for side in (0, 1)]
    found = compared(*sides)
    for quantity in ("ratio", "ns_per_op"):
        one = row(found, "fast", quantity)
        assert (one.verdict, one.unit, one.units, one.p) == (CANNOT_TELL, "boot", (1, 1), None)
        assert one.why == "boots differ by themselves, and there is one a side; 5 or more a side, in turns, would tell"
    assert row(found, "faulting", "minor_faults").verdict == SAME  # of boots too, counts are counts


@pytest.mark.parametrize(("candidates", "least"), [(1, 4), (2, 5), (12, 6), (36, 7)])
def test_how_many_boots_would_tell_depends_on_the_family(tmp_path: Path, candidates: int, least: int) -> None:
    """The number named is one with which a row of that family can be told, and one less can tell none."""
    arms = [FakeArm("pread"), *(FakeArm(f"arm{i}", 0.9) for i in range(candidates))]
    made = scenario(arms=arms, trials=4, rounds=20)
    paths = [run(tmp_path / f"b{side}", side, [made], boot=f"b{side}") for side in (1, 2)]
    why = {r.why for r in compared(*paths).rows if r.quantity == "ratio"}
    assert why == {f"boots differ by themselves, and there is one a side; {least} or more a side, in turns, would tell"}
    assert change_rows.few_why(least, least, "boot", candidates) is None
    assert change_rows.few_why(least - 1, least - 1, "boot", candidates) is not None


def test_boots_are_the_units_of_kernels(tmp_path: Path) -> None:
    """Two runs of each boot are one unit; one boot a side tells nothing."""
    sides: list[list[Path]] = [[], []]
    for boot in range(5):
        for side, release in enumerate(("6.1.0", "6.18.0")):
            for again in range(2):
                number = 20 * boot + 10 * side + again
                hour = 4 * boot + 2 * (side if boot % 2 else 1 - side) + again
                made = run(tmp_path / f"r{number}", number, [scenario(fast=0.9 + 0.1 * side, trials=4, rounds=8)],
                           {"kernel_release": release}, boot=f"{side}-{boot}", hour=hour)
                sides[side].append(made)
    found = compared(*sides, vary=["kernel"])
    one = row(found, "fast", "ratio")
    assert (one.verdict, one.unit, one.units) == (SLOWER, "boot", (5, 5))
    assert found.notes == ["The machine was booted between runs: 10 boots. Machines are told apart by their names."]
    single = row(compared(sides[0][:2], sides[1][:2], vary=["kernel"]), "fast", "ratio")
    assert single.verdict == CANNOT_TELL and "boots" in single.why and single.units == (1, 1)
    for number, path in enumerate(sides[0]):  # all before the other side's
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps({**manifest, "started": f"2026-01-30T{number:02d}:00:00.000Z"}))
    found = compared(*sides, vary=["kernel"])
    one = row(found, "fast", "ratio")
    assert one.verdict == CANNOT_TELL and "did not take turns" in one.why
    assert any("did not take turns" in note for note in found.notes)


def test_instances(tmp_path: Path) -> None:
    """Four instances a side would do for the test alone, but not for what instances differ by."""
    sides: list[list[Path]] = [[], []]
    for number in range(5):
        for side in (0, 1):
            arms = [FakeArm("pread"), FakeArm("fast", 0.9 + side / 10)]
            made = [scenario(arms=arms, trials=4, rounds=8)]
            sides[side].append(run(tmp_path / f"r{number}{side}", 10 * number + side, made,
                               informational={"instance_type": {"product": f"kind{side}"}}, boot=f"{number}-{side}",
                               name=f"host{number}-{side}", hour=2 * number + (side if number % 2 else 1 - side)))
    few = row(compared(sides[0][:4], sides[1][:4]), "fast", "ratio")
    assert few.verdict == CANNOT_TELL and few.why == "4 against 4 instances; 5 a side are needed for 1 comparison"
    assert row(compared(*sides), "fast", "ratio").verdict == SLOWER


# ---- what is invalid ----


def test_a_null_that_moved(base: Path, tmp_path: Path) -> None:
    """Two identical arms that differ by 0.9 % on one side and −0.9 % on the other: either run alone is valid."""
    paths = [run(tmp_path / f"n{i}", i + 5, [scenario(fast=0.7 + i / 5, null_bias=bias, trial_noise=0.001,
                                                           round_noise=0.002)])
             for i, bias in enumerate((0.008, -0.008))]
    found = compared(*paths)
    assert not any(cell.invalid for side in (found.base, found.candidate) for _, cell in side.of(KEY))
    for one in found.rows:
        if one.quantity in ("ratio", "ns_per_op"):
            assert one.verdict == INVALID and "identical arms moved" in one.why
        else:
            assert one.verdict == SAME  # a count is a count
    assert compare_causes.exit_status(found) == 4


def test_a_side_that_is_invalid(base: Path, tmp_path: Path) -> None:
    def boot_again(value: dict[str, Any]) -> None:
        value["boot_id"] = f"b{value['trial'] > 5}"

    found = compared(base, run(tmp_path / "c", 3, damage=boot_again))
    assert {one.verdict for one in found.rows} == {INVALID} and "booted again" in found.rows[0].why
    assert compare_causes.exit_status(found) == 4


# ---- counts ----


def counted(path: Path, faults: float, seed: int = 4, **changes: Any) -> Path:
    arms = [FakeArm("pread"), FakeArm("fast", 0.9), FakeArm("faulting", 1.3, faults=faults)]
    return run(path, seed, [scenario(arms=arms)], **changes)


def test_exact_counts(base: Path, tmp_path: Path) -> None:
    found = compared(base, counted(tmp_path / "more", 2.5))
    one = row(found, "faulting", "minor_faults")
    assert (one.verdict, one.change.estimate, one.p, one.p_holm) == (SLOWER, 1.25, None, None)
    assert "exactly 2 " in one.why
    assert row(found, "fast", "minor_faults").verdict == SAME
    one = row(compared(base, counted(tmp_path / "none", 0)), "faulting", "minor_faults")
    assert (one.verdict, one.change.estimate, one.effect) == (FASTER, 0.0, math.inf)
    one = row(compared(tmp_path / "none", base), "faulting", "minor_faults")
    assert (one.verdict, one.change, one.effect) == (SLOWER, None, math.inf)
    names = {r.quantity for r in found.rows}
    assert "voluntary_switches" not in names and "major_faults" not in names and "write_bytes" not in names


def test_counts_that_differ_between_trials_are_no_evidence(base: Path, tmp_path: Path) -> None:
    def one_more(value: dict[str, Any]) -> None:
        value["arms"][2]["counts"]["minor_faults"] += value["trial"] == 3

    found = compared(base, run(tmp_path / "c", 4, damage=one_more))
    one = row(found, "faulting", "minor_faults")
    assert one.verdict == CANNOT_TELL and one.why == "it differs between trials of the candidate already: 2 to 2.00"
    assert (one.candidate.low, one.candidate.high) == (2.0, 2 + 1 / 256)


def test_one_trial_is_no_repetition(tmp_path: Path) -> None:
    """Where mappings lie, and with it some counts, is drawn for each trial: that it repeats must have been seen."""
    for trials, verdict in ((1, CANNOT_TELL), (2, CANNOT_TELL), (3, SLOWER)):
        arms = [[FakeArm("pread"), FakeArm("faulting", faults=faults)] for faults in (2, 3)]
        made = [run(tmp_path / f"{trials}-{i}", i, [scenario(arms=arms[i], trials=trials)]) for i in (0, 1)]
        one = row(compared(*made), "faulting", "minor_faults")
        assert one.verdict == verdict, trials
        assert verdict == SLOWER or "of it; what repeats shows in 3 or more" in one.why


def test_trials_of_one_number_count_once(tmp_path: Path) -> None:
    """Several runs of one seed lay out their trials alike."""
    made = [scenario(trials=1)]
    sides = [[run(tmp_path / f"{side}{i}", 10 * side + i, made, hour=i) for i in range(4)] for side in (0, 1)]
    one = row(compared(*sides), "faulting", "minor_faults")
    assert (one.verdict, one.units) == (CANNOT_TELL, (4, 4)) and "the base has 1 trial of it" in one.why


def test_a_count_that_few_trials_know(base: Path, tmp_path: Path) -> None:
    """The others may be a selection."""
    def forget(value: dict[str, Any]) -> None:
        if value["trial"] % 3:
            value["arms"][2]["counts"]["minor_faults"] = None

    one = row(compared(base, run(tmp_path / "c", 4, damage=forget)), "faulting", "minor_faults")
    assert one.verdict == CANNOT_TELL and one.why == "the candidate counted it in 4 of 12 trials"


def test_a_count_that_one_side_lacks(base: Path, tmp_path: Path) -> None:
    def unknown(value: dict[str, Any]) -> None:
        value["arms"][2]["counts"]["minor_faults"] = None

    one = row(compared(base, run(tmp_path / "c", 4, damage=unknown)), "faulting", "minor_faults")
    assert one.verdict == CANNOT_TELL and one.why == "the candidate did not count it"


def test_exactness_comes_from_the_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: Path) -> None:
    """What the schema of records says is what counters.def and events.def say; without a schema nothing is compared."""
    import re

    text = "".join((ROOT / "bench" / name).read_text() for name in ("counters.def", "events.def"))
    rows = re.findall(r"^(?:COUNTER|EVENT)\((\w+), \"[^\"]*\", (LESS|NEITHER), (EXACT|TIMED)", text, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^(?:COUNTER|EVENT)\(", text, re.MULTILINE)) > 30
    assert schema.exact_counters() == {name for name, less, exact in rows if (less, exact) == ("LESS", "EXACT")}
    monkeypatch.setattr(schema, "schema_path", lambda: None)
    found = compared(base, run(tmp_path / "c", 4))
    assert {r.quantity for r in found.rows} == {"ratio", "ns_per_op"} and any("No schema" in n for n in found.notes)


# ---- fingerprints ----


def test_an_undeclared_difference(base: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "c", 2, blocking={"thp": {"enabled": "always"}, "flags": "-O3"})
    found = compared(base, other)
    assert found.refused == [
        "undeclared difference in flags, thp.enabled: --vary compiler,thp declares it"] and not found.rows
    assert compare_causes.exit_status(found) == 6
    diff = {one.key: one for one in found.differences}
    assert diff["thp.enabled"].blocking and diff["thp.enabled"].base == ("madvise",)
    for vary in (["thp", "compiler"], ["thp.enabled", "flags"], ["compiler", "kernel"]):
        declared = compared(base, other, vary=vary)
        assert not declared.refused and declared.rows and all(one.declared for one in declared.differences)
    assert compared(base, other, vary=["thp"]).refused == [
        "undeclared difference in flags: --vary compiler declares it"]


def test_informational_differences_do_not_block(base: Path, tmp_path: Path) -> None:
    found = compared(base, run(tmp_path / "c", 2, informational={"swappiness": 10, "load": 3.5}))
    assert [(one.key, one.blocking) for one in found.differences] == [("swappiness", False)] and not found.refused


def test_every_blocking_key_has_a_group() -> None:
    """Of the keys that docs/machine.md lists as blocking."""
    text = (ROOT / "docs" / "machine.md").read_text()
    table = text[text.index("## Blocking") : text.index("## Informational")]
    keys: list[str] = []
    for line in table.splitlines():
        if line.startswith("| `"):
            named = [one.strip().strip("`") for one in line.split("|")[1].split(",")]
            keys += [named[0].rpartition(".")[0] + one if one.startswith(".") else one for one in named]
    assert len(keys) > 20 and "filesystem.block_bytes" in keys and "mitigations" in keys
    for key in keys:
        assert any(fingerprint.covers(group, key) or f"{key}." in group for group in fingerprint.GROUPS.values()), key


def test_emulated_and_real_never(base: Path, tmp_path: Path) -> None:
    """Whatever is declared."""
    emulated = run(tmp_path / "c", 2, blocking={"virtualisation": "TCGTCGTCGTCG (emulated)"})
    found = compared(base, emulated, vary=["cpu"])
    assert found.refused == ["an emulated machine and a real one: the times of one are the emulator's"]
    assert compare_causes.exit_status(found) == 6
    both = compared(emulated, run(tmp_path / "d", 3, blocking={"virtualisation": "TCGTCGTCGTCG (emulated)"}))
    assert not both.refused and any("Emulated" in note for note in both.notes)


def test_a_side_of_two_machines(base: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "c", 2, blocking={"cpu_model": "Other CPU"})
    found = compared([base, other], run(tmp_path / "d", 3), vary=["cpu"])
    assert found.refused == ["the runs of one side differ among themselves in cpu_model"]
    assert compare_causes.exit_status(found) == 6


def test_different_machines(base: Path, tmp_path: Path) -> None:
    """Counts get verdicts; of ratios machine by machine none, however far they are apart; times stand side by side."""
    made = scenario(fast=0.8, base_ns=300.0)
    other = run(tmp_path / "c", 2, [made], {"cpu_model": "Other CPU"}, boot="b2", name="other")
    found = compared(base, other, vary=["cpu"])
    one = row(found, "fast", "ratio")
    assert (one.verdict, one.units) == (CANNOT_TELL, (1, 1))
    assert one.change.estimate == pytest.approx(0.8 / 0.9, rel=0.01)
    assert one.why == "instances differ by themselves, and there is one a side; 5 or more a side would tell"
    assert row(found, "faulting", "minor_faults").verdict == SAME
    assert not [r for r in found.rows if r.quantity == "ns_per_op"] and len(found.beside) == 3
    assert found.beside[0].base.estimate == pytest.approx(640, rel=0.1)
    assert found.beside[0].candidate.estimate == pytest.approx(300, rel=0.15)


def test_another_host_of_the_same_kind(base: Path, tmp_path: Path) -> None:
    """Two hosts are two machines, even when they are alike; a container's new name on the same boot is none."""
    assert compared(base, run(tmp_path / "c", 2, boot="b2", name="other")).beside
    assert not compared(base, run(tmp_path / "d", 2, name="other")).beside
    found = compared(base, run(tmp_path / "e", 2, boot="b2"))
    assert not found.beside and "booted between runs: 2 boots" in found.notes[0]
    assert row(found, "fast", "ratio").verdict == CANNOT_TELL


def test_a_side_of_two_kinds_of_machine(base: Path, tmp_path: Path) -> None:
    """Although what kind an instance is blocks nothing between the sides."""
    kinds = [run(tmp_path / kind, i + 2, boot=f"b{i}", name=kind, informational={"instance_type": {"product": kind}})
             for i, kind in enumerate(("small", "large"))]
    found = compared(kinds, base)
    assert found.refused == ["the runs of one side differ among themselves in instance_type.product"]
    assert not compared(kinds[0], kinds[1]).refused and not compared([base, kinds[0]], kinds[1]).refused


def test_without_machine_json(base: Path, tmp_path: Path) -> None:
    """The hash tells equal from different."""
    paths = [run(tmp_path / f"r{i}", i) for i in range(2)]
    for path in paths:
        (path / "machine.json").unlink()
    assert not compared(*paths).refused
    assert "undeclared difference" in compared(base, paths[0]).refused[0]
    other = run(tmp_path / "other", 3, blocking={"microcode": "2"})
    (other / "machine.json").unlink()
    assert compared(paths[0], other).refused == ["undeclared difference in machine: --vary machine declares it"]
    assert not compared(paths[0], other, vary=["machine"]).refused


# ---- what is compared with what ----


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A run whose manifest was changed afterwards."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def delta_changed(manifest: dict[str, Any]) -> None:
    manifest["plan"]["scenarios"][0]["delta"] = 0.81


def version_changed(manifest: dict[str, Any]) -> None:
    manifest["plan"]["cells"][0]["arms"][1]["method_version"] = 7


def recipe_changed(manifest: dict[str, Any]) -> None:
    manifest["plan"]["cells"][0]["params"]["recipe"] = "write-4KiB"


@pytest.mark.parametrize(("change", "text"), [(delta_changed, "the operation or δ"), (version_changed, "an arm")])
def test_a_manifest_that_was_changed(
    base: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], text: str
) -> None:
    """Equal hashes do not make scenarios alike: a δ of 81 % would make everything the same."""
    path = edited(run(tmp_path / "c", 2, [scenario(fast=1.2)]), change)
    wanted = rf"base and {path}: {text} of access/read-or-map differs although .* damaged"
    with pytest.raises(RecordsError, match=wanted):
        compared(base, path)


@pytest.mark.parametrize("change", [version_changed, recipe_changed])
def test_records_that_are_not_as_planned(base: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Each record says what it measured."""
    (one,) = load(edited(run(tmp_path / "c", 2), change))
    assert len(one.run.problems) == 12 and {problem.severity for problem in one.run.problems} == {"error"}
    assert not one.run.trials


def test_hashes_that_nobody_knows(tmp_path: Path) -> None:
    """What is planned decides then."""
    paths = [edited(run(tmp_path / f"r{i}", i), lambda m: m["plan"]["scenarios"][0].update(hash=None)) for i in (1, 2)]
    assert compared(*paths).rows
    assert "its hash differs" in compared(paths[0], run(tmp_path / "known", 3)).left_out[0].reason


def test_a_side_of_two_recipes(base: Path, tmp_path: Path) -> None:
    """What is declared may differ between the sides, and not within one."""
    other = run(tmp_path / "c", 2, [scenario(common={"recipe": "write-4KiB"})])
    found = compared([base, other], run(tmp_path / "d", 3), vary=["recipe"])
    assert "recipe (write-1MiB and write-4KiB)" in found.left_out[0].reason and not found.rows


@pytest.mark.parametrize("damage", [lambda m: m.update(blocking={}), lambda m: m["blocking"].update(page_bytes=65536),
                                    lambda m: m.update(hash="0" * 16), lambda m: m.pop("blocking")])
def test_a_machine_json_that_is_not_the_runs(tmp_path: Path, damage: Callable[[dict[str, Any]], Any]) -> None:
    """On both sides, so that nothing differs."""
    paths = [run(tmp_path / f"r{i}", i) for i in (1, 2)]
    for path in paths:
        machine = json.loads((path / "machine.json").read_text())
        damage(machine)
        (path / "machine.json").write_text(json.dumps(machine))
    found = compared(*paths)
    assert compare_causes.exit_status(found) == 7
    assert all("machine.json: error: its blocking keys" in str(one.run.problems[0]) for one in found.runs)


def test_the_golden_run(tmp_path: Path) -> None:
    """What version 0.1 wrote can be compared: with itself, its records told apart by the process."""
    import shutil

    golden = shutil.copytree(ROOT / "tests" / "data" / "golden-run-0.1", tmp_path / "golden")
    lines = []
    for text in (golden / "trials.jsonl").read_text().splitlines():
        value = json.loads(text)
        del value["crc32"]
        lines.append(fake_run.line({**value, "process": value["process"] + 100}))
    (golden / "trials.jsonl").write_text("".join(lines))
    found = compared(ROOT / "tests" / "data" / "golden-run-0.1", golden)
    assert found.compared == 3 and not found.differences and compare_causes.exit_status(found) == 0
    assert {one.verdict for one in found.rows} <= {SAME, CANNOT_TELL} and found.counts[SAME] >= 3


def test_the_same_run_on_both_sides(base: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(base, tmp_path / "copy")
    for other in (base, copy):
        found = compared(base, other)
        assert "is the same run as" in found.refused[0] and not found.rows and compare_causes.exit_status(found) == 6
    cut = (copy / "trials.jsonl").read_text().splitlines(keepends=True)[:-2]
    (copy / "trials.jsonl").write_text("".join(cut))
    assert "is the same run as" in compared(base, copy).refused[0]


def test_a_run_given_twice_counts_once(base: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(base, tmp_path / "copy")
    runs, notes = sources.side_load([base, copy, base])
    assert len(runs) == 1 and notes == [f"{copy} is the same run as {base}: it counts once"]


def test_a_pipe_is_no_run(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordsError, match="no such run"):
        load(tmp_path / "pipe")


def test_directories_of_runs(tmp_path: Path) -> None:
    paths = [run(tmp_path / "all" / f"r{i}", i, hour=5 - i) for i in range(3)]
    (tmp_path / "all" / ".hidden").mkdir()
    (tmp_path / "all" / "notes.txt").write_text("no run")
    assert [one.label for one in load(tmp_path / "all")] == [str(p) for p in reversed(paths)]
    (tmp_path / "all" / "cut").mkdir()
    (tmp_path / "all" / "old.tar.zst").write_bytes(b"")
    _, told = sources.side_load([tmp_path / "all"])
    assert told == [f"{tmp_path / 'all'}: no run is in cut, old.tar.zst: left out"]
    (tmp_path / "none").mkdir()
    for wrong in (tmp_path / "none", tmp_path / "absent"):
        with pytest.raises(RecordsError, match=str(wrong)):
            load(wrong)


def test_a_run_that_was_stopped_is_named(tmp_path: Path) -> None:
    path = run(tmp_path / "r")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "expected": 99, "stopped": "budget"}))
    _, told = sources.side_load([path])
    assert len(told) == 1 and told[0].endswith("of 99 planned records: stopped by budget")


def test_a_scenario_that_differs(base: Path, tmp_path: Path) -> None:
    """It is named with what differs, and nothing green comes of it."""
    floor = fake_run.floor(trials=8)
    one = run(tmp_path / "a", 1, [scenario(), floor])
    other = run(tmp_path / "b", 2, [scenario(common={"recipe": "write-4KiB"}), floor])
    found = compared(one, other)
    (left,) = found.left_out
    assert left.kind == "unlike" and left.reason.endswith("its parameters differ: recipe (write-1MiB and write-4KiB)")
    assert {r.scenario for r in found.rows} == {"floor/null"} and compare_causes.exit_status(found) == 6
    declared = compared(one, other, vary=["recipe"])
    assert not declared.left_out and row(declared, "fast", "ratio").verdict in (SAME, CANNOT_TELL)
    (told,) = declared.differences
    assert told == fingerprint.Difference("access/read-or-map: recipe", ("write-1MiB",), ("write-4KiB",), True, True)
    for change, why in ((dict(op="page touched"), "operation"), (dict(cells=[{"workers": 2}]), "cells"),
                        (dict(arms=[FakeArm("pread"), FakeArm("other")]), "arms"), (dict(delta=0.02), "δ")):
        third = run(tmp_path / why, 3, [scenario(**change)])
        found = compared(base, third)
        assert why in found.left_out[0].reason and found.compared == 0 and compare_causes.exit_status(found) == 7


def test_a_scenario_of_one_side(base: Path, tmp_path: Path) -> None:
    found = compared(base, run(tmp_path / "b", 2, [scenario(), fake_run.floor(trials=8)]))
    assert [(o.scenario, o.cell, o.kind) for o in found.left_out] == [("floor/null", None, "missing")]
    assert compare_causes.exit_status(found, "never") == 0 and compare_causes.exit_status(found, "never", True) == 3


def test_an_arm_that_one_side_has_not_measured(base: Path, tmp_path: Path) -> None:
    def refuse(value: dict[str, Any]) -> None:
        value["arms"][1].update(status="unsupported", reason="no such call", batch_ns=[], order=[], voided=[])

    found = compared(base, run(tmp_path / "b", 2, damage=refuse))
    for quantity in ("ratio", "ns_per_op"):
        one = row(found, "fast", quantity)
        assert one.verdict == CANNOT_TELL and "the candidate has no figure" in one.why and "no such call" in one.why
    alone = compared(base, tmp_path / "b", quantities=["ratio"])
    assert alone.compared == 1
    neither = compared(tmp_path / "b", run(tmp_path / "c", 3, damage=refuse))
    assert not [r for r in neither.rows if r.arm == "fast" and r.quantity in ("ratio", "ns_per_op")]


def test_nothing_was_measured_on_both_sides(tmp_path: Path) -> None:
    """Each side has measured an arm of the cell, and neither the other's: that is no comparison."""
    def without(index: int) -> Callable[[dict[str, Any]], None]:
        def damage(value: dict[str, Any]) -> None:
            for arm in (one for number, one in enumerate(value["arms"]) if number != index):
                arm.update(status="unsupported", reason="no such call", batch_ns=[], order=[], voided=[], counts=None)
        return damage

    found = compared(*(run(tmp_path / f"r{i}", i, damage=without(i)) for i in (0, 1)))
    assert found.rows and {one.verdict for one in found.rows} == {CANNOT_TELL} and found.compared == 0
    assert compare_causes.exit_status(found) == 7


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    paths = [run(tmp_path / f"r{i}", i, [scenario(), fake_run.floor(trials=8)]) for i in (1, 2)]
    found = compared(*paths, scenarios=["floor/null"], quantities=["ns_per_op"])
    assert [(r.scenario, r.quantity) for r in found.rows] == [("floor/null", "ns_per_op")]
    whole, part = compared(*paths), compared(*paths, quantities=["ratio"])
    assert row(part, "fast", "ratio") == row(whole, "fast", "ratio")


def test_rows_by_verdict_and_effect(base: Path, tmp_path: Path) -> None:
    found = compared(base, counted(tmp_path / "c", 4))
    places = [(change_rows.ORDER[r.verdict], -r.effect) for r in found.rows]
    assert places == sorted(places) and found.rows[0].verdict == SLOWER
    verdicts = (FASTER, SLOWER, SAME, INVALID, CANNOT_TELL)
    assert found.counts == {v: sum(r.verdict == v for r in found.rows) for v in verdicts}


def test_false_alarms_over_runs(tmp_path: Path) -> None:
    """Units are runs, so what separates runs is in the test: a family of 6 equal pairs whose runs differ by 2 % raises
    an alarm in at most 5 % or so."""
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(400):
        family = [Pair(Row("s", "c", "a", "ratio", None, None, None, CANNOT_TELL), rng.normal(0, 0.02, 8),
                       rng.normal(0, 0.02, 8), math.log1p(0.0001), None) for _ in range(6)]
        change_rows.family_decide(family, pairing.RUN)
        alarms += any(pair.row.verdict in (FASTER, SLOWER) for pair in family)
    assert alarms / 400 <= 0.07


# ---- what a ratio owes to its baseline ----


def test_a_ratio_that_moved_with_its_baseline(base: Path, tmp_path: Path) -> None:
    """Only pread became slower: the arms' ratios fall, which is neither a gain nor what a bisection looks for."""
    arms = [FakeArm("pread"), FakeArm("fast", 0.6), FakeArm("faulting", 1.3 / 1.5, faults=2)]
    found = compared(base, run(tmp_path / "slow", 2, [scenario(base_ns=lambda p: 640 * 1.5, arms=arms, wander=0.01)]))
    one = row(found, "fast", "ratio")
    assert one.verdict == FASTER and one.by_baseline and not one.baseline_kept and "its baseline +" in one.why
    assert compare_causes.bisect_doubt(found, 0, "slower") == compare_causes.bisect_doubt(found, 1, "any") == 125
    back = compared(tmp_path / "slow", base)
    assert row(back, "fast", "ratio").verdict == SLOWER and compare_causes.exit_status(back) == 1
    assert compare_causes.bisect_doubt(back, compare_causes.exit_status(back), "slower") == 125
    worse = compared(base, run(tmp_path / "worse", 3, [scenario(fast=1.2)]))
    assert not row(worse, "fast", "ratio").by_baseline and compare_causes.bisect_doubt(worse, 1, "slower") == 1


def test_a_baseline_that_is_known_to_be_kept(tmp_path: Path) -> None:
    sides = fake_compare.many(tmp_path, {"a": 0.9, "b": 0.7}, 6, wander=0.001)
    one = row(compared(*sides), "fast", "ratio")
    assert one.verdict == FASTER and one.baseline_kept and not one.by_baseline
