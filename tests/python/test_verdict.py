# SPDX-License-Identifier: MIT
"""Verdicts against runs whose truth is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import fake_run
from fake_run import FakeArm
from faultline import crossing, records, verdict
from faultline.stats import Interval
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER, Results


def results(
    directory: Path,
    arms: list[FakeArm] | None = None,
    damage: Callable[[dict[str, Any]], Any] | None = None,
    **changes: Any,
) -> Results:
    arms = arms or [FakeArm("pread", 1.0, "pread"), FakeArm("fast", 0.9), FakeArm("slow", 1.1), FakeArm("same", 1.001)]
    scenario = fake_run.read_or_map(
        **{**dict(arms=arms, cells=fake_run.product(block_bytes=[64, 4096]), trials=15), **changes}
    )

    def change(value: dict[str, Any]) -> dict[str, Any]:
        if damage is not None:
            damage(value)
        return value

    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario], damage=change)))


def verdicts(found: Results, cell: int = 0) -> dict[str, str | None]:
    return {arm.name: arm.verdict for arm in found.cells[cell].arms}


def test_known_truth_is_told(tmp_path: Path) -> None:
    found = results(tmp_path / "r")
    for cell in (0, 1):
        assert verdicts(found, cell) == {"pread": None, "fast": FASTER, "slow": SLOWER, "same": SAME, "null": None}
    assert found.grade in ("A", "B") and not found.null_rejected and verdict.exit_status(found, True) == 0
    assert found.verdict_counts() == {FASTER: 2, SLOWER: 2, SAME: 2, INVALID: 0, CANNOT_TELL: 0}
    ratio = found.cells[0].arms[1].ratio
    assert (
        ratio is not None
        and ratio.interval is not None
        and ratio.interval.exp().estimate == pytest.approx(0.9, abs=0.005)
    )


def test_too_few_trials_never_decide_and_say_so(tmp_path: Path) -> None:
    found = results(tmp_path / "r", trials=7)
    assert set(verdicts(found).values()) <= {None, CANNOT_TELL, SAME}
    fast = found.cells[0].arms[1].ratio
    assert (
        fast is not None
        and fast.detectable is None
        and fast.verdict == CANNOT_TELL
        and fast.why == "7 trials; 8 are needed for 6 comparisons"
    )
    assert verdict.exit_status(found, True) == 3 and verdict.exit_status(found, False) == 0


def test_noise_says_what_could_have_been_seen(tmp_path: Path) -> None:
    found = results(tmp_path / "r", arms=[FakeArm("pread", 1.0, "pread"), FakeArm("near", 1.012)], trial_noise=0.02)
    near = found.cells[0].arms[1].ratio
    assert near is not None and near.verdict == CANNOT_TELL and near.detectable is not None and near.detectable > 0.02
    assert near.trials_needed is not None and near.trials_needed > 15 and "this run could have seen" in str(near.why)
    assert found.grade in ("C", "D", "F")


def test_a_biased_null_makes_its_cell_and_the_run_invalid(tmp_path: Path) -> None:
    found = results(tmp_path / "r", null_bias=0.05)
    assert set(verdicts(found).values()) == {None, INVALID} and len(found.null_rejected) == 2
    assert "two identical arms differ by" in found.cells[0].invalid[0] and found.cells[0].status == "invalid"
    assert verdict.exit_status(found, False) == 4


def test_a_null_that_eight_trials_cannot_condemn_among_twelve_spares_the_run(tmp_path: Path) -> None:
    def one_cell(value: dict[str, Any]) -> None:
        if value["cell"] == "block_bytes=64":
            null = value["arms"][-1]
            null["batch_ns"] = [round(ns * 1.012) if ns else ns for ns in null["batch_ns"]]

    cells = fake_run.product(block_bytes=[64 << i for i in range(12)])
    found = results(tmp_path / "r", cells=cells, damage=one_cell, trials=8, trial_noise=0.0015, round_noise=0.003)
    assert [bool(cell.invalid) for cell in found.cells] == [True] + [False] * 11 and found.null_rejected == []
    assert verdict.exit_status(found, False) == 0


def test_a_wide_null_is_not_invalid(tmp_path: Path) -> None:
    found = results(tmp_path / "r", trial_noise=0.03)
    assert not any(cell.invalid for cell in found.cells)


@pytest.mark.parametrize(
    ("damage", "text", "status"),
    (
        (lambda v: v["arms"][2].update(checksum="f" * 16) if v["trial"] == 3 else None, "checksum of slow differs", 5),
        (lambda v: v.update(machine="ffff") if v["trial"] > 9 else None, "fingerprint changed", 4),
        (lambda v: v.update(machine="ffff"), "fingerprint changed", 4),  # all of another machine than the manifest says
        (lambda v: v.update(boot_id="other") if v["trial"] > 9 else None, "booted again", 4),
        (lambda v: v.update(instance=f"i{v['trial'] % 2}"), "instance changed", 4),
        (
            lambda v: v["clock"].update(cost_ns=900) if v["trial"] == 1 else None,
            "clock changed (cost_ns from 24 to 900)",
            4,
        ),
    ),
)
def test_what_makes_a_cell_invalid(
    damage: Callable[[dict[str, Any]], Any], text: str, status: int, tmp_path: Path
) -> None:
    found = results(tmp_path / "r", damage=damage)
    assert set(verdicts(found).values()) == {None, INVALID} and text in str(found.cells[0].reason)
    assert verdict.exit_status(found, False) == status


@pytest.mark.parametrize(("after", "status"), (("ffff", 4), (fake_run.MACHINE, 0), (None, 0)))
def test_the_machine_when_the_run_ended_counts(after: str | None, status: int, tmp_path: Path) -> None:
    results(tmp_path / "r")
    path = tmp_path / "r" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine_after": after}))
    found = verdict.conclude(records.run_load(tmp_path / "r"))
    assert verdict.exit_status(found, False) == status
    assert [cell.status for cell in found.cells] == (["invalid"] * 2 if status else ["ok"] * 2)


def test_a_clock_that_changed_under_one_cell_spares_the_run(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        if value["trial"] == 1 and value["cell"] == "block_bytes=64":
            value["clock"].update(cost_ns=900)

    found = results(tmp_path / "r", damage=damage)
    assert [cell.status for cell in found.cells] == ["invalid", "ok"] and verdict.exit_status(found, False) == 0


def test_a_boot_between_cells_condemns_the_run_and_not_the_cells(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        if value["cell"] == "block_bytes=64":
            value.update(boot_id="other")

    found = results(tmp_path / "r", damage=damage)
    assert [cell.status for cell in found.cells] == ["ok", "ok"] and verdict.exit_status(found, False) == 4


def fail(name: str, trials: range, status: str = "failed") -> Callable[[dict[str, Any]], None]:
    def damage(value: dict[str, Any]) -> None:
        for arm in value["arms"]:
            if arm["name"] == name and value["trial"] in trials:
                arm.update(
                    status=status,
                    reason="void: the recipe no longer shows" if status == "skipped" else "the file shrank",
                    batch_ns=[],
                    order=[],
                    latency=None,
                    counts=None,
                    checksum=None,
                )

    return damage


def test_an_arm_that_failed_everywhere(tmp_path: Path) -> None:
    found = results(tmp_path / "r", damage=fail("slow", range(99)))
    slow = found.cells[0].arms[2]
    assert slow.status == "failed" and slow.ratio is None and "failed in 15 of 15 trials" in str(slow.ratio_reason)
    assert (
        verdicts(found)["fast"] == FASTER
        and found.cells[0].status == "failed"
        and verdict.exit_status(found, False) == 5
    )


def test_an_arm_that_failed_once_keeps_its_ratio_and_its_reason(tmp_path: Path) -> None:
    found = results(tmp_path / "r", damage=fail("slow", range(3, 4)))
    slow = found.cells[0].arms[2]
    assert slow.status == "ok" and slow.verdict == SLOWER and "first in trial 3: the file shrank" in str(slow.reason)
    assert slow.ratio is not None and slow.ratio.logs.size == 14 and verdict.exit_status(found, False) == 5


@pytest.mark.parametrize(("missing", "has_ratio"), ((3, True), (4, False)))
def test_a_baseline_that_failed_too_often_leaves_no_ratio(missing: int, has_ratio: bool, tmp_path: Path) -> None:
    found = results(tmp_path / "r", damage=fail("pread", range(missing)))
    fast = found.cells[0].arms[1]
    assert (fast.ratio is not None) == has_ratio == (fast.verdict is not None) == (fast.mean_ratio is not None)
    assert fast.ratio_reason == f"no ratio in {missing} of 15 trials: the baseline is failed"
    assert fast.trials_used == (12 if has_ratio else 15)
    assert found.cells[0].status == ("ok" if has_ratio else "failed") and verdict.exit_status(found, False) == 5


@pytest.mark.parametrize(("missing", "has_ratio"), ((3, True), (4, False)))
def test_trials_without_both_orders_are_missing(missing: int, has_ratio: bool, tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        first, second = value["arms"][:2]
        if value["trial"] < missing:
            for i, (mine, its) in enumerate(zip(second["order"], first["order"])):
                if mine < its:
                    second["batch_ns"][i] = None

    found = results(tmp_path / "r", damage=damage)
    fast, slow = found.cells[0].arms[1:3]
    assert (fast.ratio is not None) == has_ratio and f"no ratio in {missing} of 15 trials: no round" in str(
        fast.ratio_reason
    )
    assert slow.verdict == SLOWER and slow.trials_used == 15 and verdict.exit_status(found, False) == 0


@pytest.mark.parametrize(("missing", "status"), ((3, "ok"), (4, "skipped")))
def test_voided_trials_are_missing_and_no_failure(missing: int, status: str, tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        for arm in value["arms"] if value["cell"] == "block_bytes=64" else ():
            fail(arm["name"], range(missing), "skipped")(value)

    found = results(tmp_path / "r", damage=damage)
    cell = found.cells[0]
    assert cell.arms[1].status == cell.status == status and verdict.exit_status(found, False) == 0
    assert cell.arms[1].verdict == (FASTER if status == "ok" else None)
    assert f"in {missing} of 15 trials, first in trial 0: void: the recipe" in str(cell.arms[1].reason)


def test_one_failure_among_voided_trials_is_a_failure(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        fail("slow", range(3), "skipped")(value)
        fail("slow", range(3, 4))(value)

    found = results(tmp_path / "r", damage=damage)
    assert found.cells[0].arms[2].status == "failed" and verdict.exit_status(found, False) == 5


def test_an_unsupported_arm_is_no_failure(tmp_path: Path) -> None:
    found = results(tmp_path / "r", damage=fail("slow", range(99), "unsupported"))
    assert found.cells[0].arms[2].status == "unsupported" and found.cells[0].status == "ok"
    assert verdict.exit_status(found, True) == 0


def test_an_unsupported_baseline_leaves_no_ratio(tmp_path: Path) -> None:
    found = results(tmp_path / "r", damage=fail("pread", range(99), "unsupported"))
    assert set(verdicts(found).values()) == {None} and found.cells[0].status == "unsupported"
    assert found.cells[0].arms[1].ratio_reason == "the baseline is unsupported" and found.measured


def test_holm_is_over_one_scenario(tmp_path: Path) -> None:
    arms = [FakeArm("pread", 1.0, "pread"), FakeArm("fast", 0.9)]
    scenarios = [
        fake_run.read_or_map(name=f"s/{i}", arms=arms, cells=[{}], trials=6, trial_noise=0.001) for i in range(8)
    ]
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", scenarios)))
    assert all(cell.arms[1].verdict == FASTER for cell in found.cells)  # 6 trials suffice for a family of one
    one = results(tmp_path / "o", arms=arms, trials=6, trial_noise=0.001)
    assert all(cell.arms[1].verdict == CANNOT_TELL for cell in one.cells)  # and not for a family of two


def test_false_alarms_stay_below_alpha() -> None:
    """A family of 12 pairs of equal arms, 400 times: a single alarm in at most 6 % of them, even at δ → 0."""
    rng = np.random.default_rng(5)
    cell = type("Cell", (), {"margin": 1e-9, "invalid": []})()
    alarms = 0
    for _ in range(400):
        family = [(cell, verdict.quantity(rng.normal(0, 0.01, 15))) for _ in range(12)]
        verdict.family_decide(family)  # type: ignore[arg-type]
        alarms += any(q is not None and q.verdict in (FASTER, SLOWER) for _, q in family)
    assert alarms / 400 <= 0.06


def test_drift_is_flagged_only_where_it_is(tmp_path: Path) -> None:
    arms = [FakeArm("pread", 1.0, "pread"), FakeArm("steady", 0.9), FakeArm("drifts", 0.9, drift=0.1)]
    found = results(tmp_path / "r", arms=arms)
    assert [arm.drifts for arm in found.cells[0].arms] == [False, False, True, False]


@pytest.mark.parametrize(
    ("low", "high", "drifts"),
    ((0.02, 0.04, True), (-0.04, -0.02, True), (0.005, 0.04, False), (-0.04, -0.005, False), (-0.02, 0.02, False)),
)
def test_drift_is_judged_by_its_interval(low: float, high: float, drifts: bool) -> None:
    arm = verdict.ArmResult(records.ArmPlan("a", "mmap", False, {}), False, "ok", None, [])
    arm.drift = Interval((low + high) / 2, low, high)
    verdict.drift_flag(arm, 0.01)
    assert arm.drifts == drifts


@pytest.mark.parametrize(("missing", "given"), ((3, True), (4, False)))
def test_quantiles_want_latencies_in_most_trials(missing: int, given: bool, tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        if value["trial"] < missing:
            value["arms"][1].update(latency=None, latency_reason="no time was left")

    found = results(tmp_path / "r", base_ns=5000, damage=damage)
    p50 = found.cells[0].arms[1].quantiles[0]
    assert (p50.ns is not None) == given == (p50.ratio is not None)
    assert p50.reason == (None if given else "no latencies in 4 of 15 trials: no time was left")
    assert found.cells[0].arms[2].quantiles[0].ratio is not None


def test_quantile_ratios_want_latencies_of_the_baseline_too(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        if value["trial"] < 3:
            value["arms"][0].update(latency=None, latency_reason="no time was left")
        elif value["trial"] < 6:
            value["arms"][1].update(latency=None, latency_reason="no time was left")

    p50 = results(tmp_path / "r", base_ns=5000, damage=damage).cells[0].arms[1].quantiles[0]
    assert p50.ns is not None and p50.ratio is None
    assert p50.ratio_reason == "only 9 of 15 trials have it on both sides"


def test_quantiles_by_trial_merged_or_withheld(tmp_path: Path) -> None:
    found = results(tmp_path / "r", base_ns=5000)
    quantiles = {q.name: q for q in found.cells[0].arms[1].quantiles}
    assert (
        quantiles["p99"].ratio is not None
        and quantiles["p99"].ratio.verdict == FASTER
        and len(quantiles["p99"].by_trial) == 15
    )
    merged = quantiles["p99.9"]
    assert merged.ns is not None and merged.ns.low is None and merged.ratio is None
    assert merged.ratio_reason == "2000 operations, 10000 are needed in each trial"
    assert quantiles["p99.99"].ns is None and quantiles["p99.99"].reason == "30000 operations, 100000 are needed"
    fast = results(tmp_path / "f", base_ns=300).cells[0].arms[0].quantiles[0]
    assert fast.ns is None and fast.reason == "below 100 steps of the clock (1000 ns)"


def test_counts_are_medians_with_their_range(tmp_path: Path) -> None:
    def more(value: dict[str, Any]) -> None:
        value["arms"][1]["counts"]["minor_faults"] = 256 + (value["trial"] == 4)

    arm = results(tmp_path / "r", damage=more).cells[0].arms[1]
    assert arm.counts_per_op["minor_faults"] == 1 and arm.counts_range == {"minor_faults": (1.0, 257 / 256)}
    assert "write_bytes" not in arm.counts_per_op  # unknown is not zero


def test_cells_never_measured_are_there(tmp_path: Path) -> None:
    directory = fake_run.write(tmp_path / "r", [fake_run.scan(trials=8)])
    content = (directory / "trials.jsonl").read_text().splitlines(keepends=True)
    (directory / "trials.jsonl").write_text("".join(line for line in content if "file_bytes=64MiB" not in line))
    found = verdict.conclude(records.run_load(directory))
    assert (
        len(found.cells) == 8
        and found.cells[-1].status == "not measured"
        and found.cells[-1].arms[0].status == "not measured"
    )


def test_nothing_measured(tmp_path: Path) -> None:
    directory = fake_run.write(tmp_path / "r", [fake_run.scan(trials=1)])
    (directory / "trials.jsonl").write_text("")
    found = verdict.conclude(records.run_load(directory))
    assert not found.measured and verdict.exit_status(found, False) == 7 and found.grade is None


def test_exit_status_precedence(tmp_path: Path) -> None:
    both = results(tmp_path / "r", null_bias=0.05, damage=fail("slow", range(99)))
    assert both.null_rejected and verdict.exit_status(both, True) == 5
    damaged = dataclasses.replace(
        both, run=dataclasses.replace(both.run, problems=(records.Problem("f:1", "error", "x"),))
    )
    assert verdict.exit_status(damaged, True) == 7
    warned = dataclasses.replace(
        both, run=dataclasses.replace(both.run, problems=(records.Problem("f:1", "warning", "x"),))
    )
    assert verdict.exit_status(warned, True) == 5


def test_crossing_is_found_with_its_interval(whole: Results) -> None:
    cells = [cell for cell in whole.cells if cell.scenario.name == "access/scan-by-size"]
    assert crossing.axis_of(cells) == "file_bytes" and crossing.held_keys(cells, "file_bytes") == []
    found = {c.series.arm: c for c in crossing.crossings(cells)}
    assert set(found) == {"mapped", "mapped-populated"}
    truth = fake_run.MIB * 2 ** (np.log(0.8) / 0.2)  # where 0.8 · exp(−0.2 log2(size / MiB)) is 1
    populated = found["mapped-populated"]
    assert populated.faster_above and populated.at == pytest.approx(truth, rel=0.03)
    assert populated.low is not None and populated.high is not None and populated.low < populated.at < populated.high
    assert found["mapped"].at == pytest.approx(fake_run.MIB, rel=0.03)


def test_no_crossing_is_invented_over_a_hole(tmp_path: Path) -> None:
    def hole(value: dict[str, Any]) -> None:
        if value["cell"].startswith(("file_bytes=256KiB", "file_bytes=1MiB")):
            for arm in value["arms"]:
                arm.update(status="failed", reason="void", batch_ns=[], order=[])

    directory = fake_run.write(tmp_path / "r", [fake_run.scan(trials=15)], damage=lambda v: (hole(v), v)[1])
    cells = verdict.conclude(records.run_load(directory)).cells
    between = (64 * fake_run.KIB, 4 * fake_run.MIB)
    found = [(c.series.arm, c.at, c.low, c.high, c.between, c.faster_above) for c in crossing.crossings(cells)]
    assert found == [(arm, None, None, None, between, True) for arm in ("mapped", "mapped-populated")]


def test_an_invalid_cell_is_a_hole(tmp_path: Path) -> None:
    def invalid(value: dict[str, Any]) -> None:
        if value["cell"].startswith(("file_bytes=256KiB", "file_bytes=1MiB")) and value["trial"] == 2:
            value["arms"][1]["checksum"] = "f" * 16

    directory = fake_run.write(tmp_path / "r", [fake_run.scan(trials=15)], damage=lambda v: (invalid(v), v)[1])
    cells = verdict.conclude(records.run_load(directory)).cells
    assert [c.status for c in cells].count("invalid") == 2 and cells[3].arms[1].ratio is not None
    found = [(c.series.arm, c.at, c.between) for c in crossing.crossings(cells)]
    between = (64 * fake_run.KIB, 4 * fake_run.MIB)
    assert found == [("mapped", None, between), ("mapped-populated", None, between)]


def test_held_parameters_make_their_own_series(whole: Results) -> None:
    cells = [cell for cell in whole.cells if cell.scenario.name == "access/read-or-map"]
    assert crossing.axis_of(cells) == "block_bytes" and crossing.held_keys(cells, "block_bytes") == [
        "pattern",
        "working_set_bytes",
    ]
    series = [s for s in crossing.series_of(cells) if s.arm == "pread"]
    assert len(series) == 4 and all([p.x for p in s.points] == [64, 4096, 65536] for s in series)


def test_what_follows_from_a_varied_parameter_is_none(tmp_path: Path) -> None:
    """The cells vary block_bytes; touches follow, and are no axis."""
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(trials=2, rounds=4)])
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    for cell in manifest["plan"]["cells"]:
        cell["params"]["touches"] = cell["params"]["working_set_bytes"] // cell["params"]["block_bytes"]
    path.write_text(json.dumps(manifest))
    found = verdict.conclude(records.run_load(run))
    assert {tuple(cell.varied) for cell in found.cells} == {("pattern", "working_set_bytes", "block_bytes")}
    assert crossing.axis_of(found.cells) == "block_bytes"
