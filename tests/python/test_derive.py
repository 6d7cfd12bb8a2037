# SPDX-License-Identifier: MIT
"""From one record to one figure an arm."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_run
from faultline import derive, records


def one(directory: Path, **changes: Any) -> tuple[records.Run, records.Trial]:
    run = records.run_load(fake_run.write(directory, [fake_run.read_or_map(trials=1, cells=[{}], **changes)]))
    return run, run.trials[0]


def with_arm(trial: records.Trial, index: int, **changes: Any) -> records.Trial:
    arms = list(trial.arms)
    arms[index] = dataclasses.replace(arms[index], **changes)
    return dataclasses.replace(trial, arms=tuple(arms))


def test_stratified_median_takes_out_what_the_order_does() -> None:
    # The second of a pair is slowed down by 30 %: the plain median of equal arms falls on one side, this one on 0.
    before = np.array([True, True, True, False, False, False, False])
    values = np.where(before, -0.3, 0.3)
    assert derive.stratified(values, before) == pytest.approx(0)
    assert abs(float(np.median(values))) == pytest.approx(0.3)


def test_stratified_needs_both_orders() -> None:
    values = np.array([0.1, 0.2, np.nan])
    assert derive.stratified(values, np.array([True, True, False])) is None
    assert derive.stratified(values, np.array([True, False, False])) == pytest.approx(0.15)


def test_ratio_is_of_time_per_operation(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    plain = derive.arm_trial(trial, trial.arms[1], 4096)
    halved = with_arm(trial, 1, ops_per_batch=2 * (trial.arms[1].ops_per_batch or 0))
    other = derive.arm_trial(halved, halved.arms[1], 4096)
    assert plain.log_ratio is not None and other.log_ratio == pytest.approx(plain.log_ratio - math.log(2))


def test_known_ratio_is_found(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r", trial_noise=0.0, round_noise=0.001, rounds=200)
    found = derive.arm_trial(trial, trial.arms[1], 4096)
    assert found.log_ratio == pytest.approx(math.log(0.55), abs=5e-4) and found.rounds == 200


def test_a_stall_moves_the_mean_and_not_the_median(tmp_path: Path) -> None:
    arms = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("stalls", 1.0, stall=0.05)]
    _, trial = one(tmp_path / "r", arms=arms, trial_noise=0.0, rounds=200)
    found = derive.arm_trial(trial, trial.arms[1], 4096)
    assert (
        found.log_ratio == pytest.approx(0, abs=0.01)
        and found.mean_log_ratio is not None
        and found.mean_log_ratio > 0.15
    )


def test_drift_is_measured_over_the_whole_trial(tmp_path: Path) -> None:
    arms = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("drifts", 1.0, drift=0.2)]
    _, trial = one(tmp_path / "r", arms=arms, rounds=100)
    assert derive.arm_trial(trial, trial.arms[1], 4096).drift == pytest.approx(0.2, abs=0.02)


def test_voided_rounds_are_left_out_on_both_sides(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r", void=0.3, rounds=100)
    found = derive.arm_trial(trial, trial.arms[1], 4096)
    assert (
        found.voided > 10
        and found.rounds == 100 - found.voided
        and found.log_ratio == pytest.approx(math.log(0.55), abs=0.02)
    )


def test_no_ratio_without_a_measured_baseline(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    trial = with_arm(
        trial, 0, status="unsupported", reason="no such call", batch_ns=np.array([]), order=np.array([], int)
    )
    found = derive.arm_trial(trial, trial.arms[1], 4096)
    assert (
        found.log_ratio is None and found.ratio_reason == "the baseline is unsupported" and found.ns_per_op is not None
    )
    assert derive.arm_trial(trial, trial.arms[0], 4096).ratio_reason == "unsupported: no such call"


def test_counts_and_pages_per_fault(tmp_path: Path) -> None:
    run, trial = one(tmp_path / "r")
    arm = dataclasses.replace(trial.arms[3], counts={"ops": 512, "minor_faults": 32, "read_bytes": None})
    assert derive.counts_per_op(arm) == {"minor_faults": 0.0625}
    assert derive.pages_per_fault(arm, 4096) == 16 and derive.pages_per_fault(arm, None) is None
    assert derive.pages_per_fault(dataclasses.replace(arm, bytes_per_op=64), 4096) is None
    assert derive.pages_per_fault(dataclasses.replace(arm, counts={"ops": 512, "minor_faults": 0}), 4096) is None
    assert derive.counts_per_op(dataclasses.replace(arm, counts=None)) == {}


def test_fairness_is_that_of_the_workers_that_are_timed(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    nan = math.nan
    arm, times = trial.arms[0], ([100, 100, nan, 100], [80, 50, nan, 100], [nan, nan, nan, nan])
    assert derive.fairness(arm) is None
    of = lambda *which: derive.fairness(dataclasses.replace(arm, workers=np.array([times[i] for i in which])))  # noqa: E731
    assert of(0, 1) == of(1, 0) == of(0, 1, 2) == 0.8
    assert of(0, 2) is None and of(0) is None and of(2) is None
    assert of(0, 0) == 1
    assert derive.arm_trial(trial, dataclasses.replace(arm, workers=np.array(times)), 4096).fairness == 0.8


@pytest.mark.parametrize("page", (4096, 16384, 65536))
def test_page_size_from_a_proof_when_the_fingerprint_is_gone(page: int, tmp_path: Path) -> None:
    run, trial = one(tmp_path / "r")
    assert derive.page_bytes(run) == 4096
    trial = with_arm(trial, 0, proof={"pages": 64 * fake_run.MIB // page})
    assert derive.page_bytes(dataclasses.replace(run, machine={}, trials=(trial,))) == page


def test_recipe_is_shown_by_its_own_faults(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    assert derive.recipe_pages_per_fault(trial) is None
    assert derive.recipe_pages_per_fault(with_arm(trial, 0, proof={"recipe_pages": 256, "recipe_faults": 16})) == 16


def test_checksums(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    assert derive.checksums_differ(trial) == []
    assert derive.checksums_differ(with_arm(trial, 2, checksum="0" * 16)) == [(trial.arms[2].name, trial.arms[0].name)]
    assert derive.checksums_differ(with_arm(trial, 2, checksum=None)) == []


def test_open_form_is_judged_by_response(tmp_path: Path) -> None:
    _, trial = one(tmp_path / "r")
    latency = trial.arms[0].latency
    assert latency is not None and derive.histogram_of(trial.arms[0]) is latency.service
    other = records.Histogram(7, np.array([1]), np.array([1]))
    opened = dataclasses.replace(trial.arms[0], latency=dataclasses.replace(latency, mode="open", response=other))
    assert derive.histogram_of(opened) is other
