# SPDX-License-Identifier: MIT
"""The time line: samples are read as they were recorded, put together step by step, and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_run
from fake_run import FakeArm
from faultline import pictures, records, summary, tables, timeline, verdict
from faultline.records import LineError, Samples

PAGE = 4096


def samples(first_ns: int, fetched: int = 2 * PAGE) -> list[dict[str, Any]]:
    """Two stretches of two batches of 10 operations; the second batch of each takes twice as long."""
    return [
        {
            "t_ns": 1000 * i,
            "ns": first_ns * (1 + i % 2),
            "ops": 10,
            "read_bytes": fetched,
            "major_faults": 1,
            "refaults": 3,
            "stretch": i // 2,
        }
        for i in range(4)
    ]


def damage(record: dict[str, Any]) -> dict[str, Any]:
    """Gives every arm that reads whole pages a time line, and the cell a memory limit."""
    for arm in record["arms"]:
        arm["samples"] = samples(1_000_000)
        arm["params"]["memory_limit"] = 32 << 20
    return record


def scenario() -> fake_run.FakeScenario:
    return fake_run.read_or_map(
        name="pressure/random",
        cells=[{"block_bytes": PAGE, "working_set_bytes": size, "pattern": "random"} for size in (1 << 20, 64 << 20)],
        arms=[FakeArm("pread", 1.0, "pread"), FakeArm("mapped", 40.0)],
        trials=8,
        common={"memory_limit": 32 << 20},
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> verdict.Results:
    path = fake_run.write(tmp_path_factory.mktemp("timeline") / "run", [scenario()], damage=damage)
    return verdict.conclude(records.run_load(path))


def test_samples_are_read() -> None:
    found = records.samples_read(samples(5))
    assert found is not None
    assert found.ns.tolist() == [5, 10, 5, 10] and found.stretch.tolist() == [0, 0, 1, 1]
    assert records.samples_read(None) is None


def test_unknown_counts_are_unknown() -> None:
    found = records.samples_read([{"t_ns": 1, "ns": 2, "ops": 3, "read_bytes": None, "stretch": 0}])
    assert found is not None and np.isnan(found.read_bytes[0]) and np.isnan(found.refaults[0])


@pytest.mark.parametrize(
    "sample", [{"ns": 1}, {"t_ns": 1}, {"t_ns": 1, "ns": "2"}, {"t_ns": 1, "ns": -1}, {"t_ns": True, "ns": 1}, 7]
)
def test_bad_samples_are_refused(sample: Any) -> None:
    with pytest.raises(LineError):
        records.samples_read([sample])


def test_steps_are_sums_over_stretches_and_trials(results: verdict.Results) -> None:
    first, second = timeline.steps_of(results.cells[0], "pread")
    assert first.batches == second.batches == 2 * 8
    assert first.ns / first.batches == 1e6 and second.ns / second.batches == 2e6
    assert first.t_ns / first.batches == 0.5e6 and second.t_ns / second.batches == 2e6


def test_rows(results: verdict.Results) -> None:
    table = tables.table_of(tables.texts(results))
    mine = [row for row in table.timeline if row["arm"] == "pread" and row["cell"] == results.cells[0].plan.cell]
    assert [row["step"] for row in mine] == [0, 1]
    assert [row["blocks_per_s"] for row in mine] == [10 / 1e-3, 10 / 2e-3]
    assert [row["read_amplification"] for row in mine] == [0.2, 0.2]
    assert [row["refaults_per_s"] for row in mine] == [3000, 1500]
    assert [row["t_s"] for row in mine] == [0.0005, 0.002]


def test_a_step_that_not_every_stretch_has_is_left_out() -> None:
    uneven = Samples(*(np.array([1.0] * 3) for _ in range(6)), stretch=np.array([0.0, 0.0, 1.0]))
    steps: dict[int, timeline.Step] = {}
    timeline.samples_add(steps, uneven)
    assert [steps[place].batches for place in sorted(steps)] == [2, 1]


def test_without_time_line_there_is_none(tmp_path: Path) -> None:
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "run", [fake_run.read_or_map(trials=6)])))
    table = tables.table_of(tables.texts(found))
    assert table.timeline == ()
    assert "pressure" not in {picture.plot.name for picture in pictures.pictures(table)}


def test_picture(results: verdict.Results) -> None:
    table = tables.table_of(tables.texts(results))
    (picture,) = [p for p in pictures.pictures(table, ["pressure"])]
    drawn = picture.render("svg").decode()
    assert "blocks per second" in drawn and "refaults per second" in drawn and "mapped" in drawn
    assert picture.render("svg") == picture.render("svg")


def test_read_amplification_has_its_least_and_most(tmp_path: Path) -> None:
    fetched = {"pread": PAGE, "mapped": 512 * PAGE}

    def cold(record: dict[str, Any]) -> dict[str, Any]:
        for arm in record["arms"]:
            more = 2 if arm["name"] == "mapped" and record["trial"] == 3 else 1
            arm["counts"]["read_bytes"] = more * fetched.get(arm["name"], PAGE) * arm["counts"]["ops"]
        return record

    made = fake_run.read_or_map(
        name="faults/cold-advice",
        cells=[{"block_bytes": PAGE, "cache": "cold"}],
        arms=[FakeArm("pread", 1.0, "pread"), FakeArm("mapped", 9.0)],
    )
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "run", [made], damage=cold)))
    pread, mapped, _ = summary.summary(found)["cells"][0]["arms"]
    assert pread["read_amplification"] == {"estimate": 1, "low": 1, "high": 1}
    assert mapped["read_amplification"] == {"estimate": 512, "low": 512, "high": 1024}
    (picture,) = [p for p in pictures.pictures(tables.table_of(tables.texts(found)), ["read_amplification"])]
    assert "512×" in picture.render("svg").decode()
