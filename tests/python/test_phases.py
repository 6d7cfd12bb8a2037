# SPDX-License-Identifier: MIT
"""Phases of a whole: their sum, what is said of it, and the picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import MIB, FakeArm
from faultline import canvas, conclusion, phases, plots, records, summary, table, tables, verdict
from test_plots import overlaps

SHARES = {"open": 0.01, "map": 0.004, "first": 0.2, "second": 0.02, "write": 0.5, "sync": 0.25, "unmap": 0.01}
STEPS = {"protect": 0.3, "copy": 0.05, "remap": 0.35, "punch": 0.3}


def scenario(
    rest: float,
    sizes: tuple[int, ...] = (1 * MIB, 16 * MIB),
    field: str = "phase",
    shares: Mapping[str, float] = SHARES,
) -> fake_run.FakeScenario:
    """Phases that leave `rest` of the whole unexplained; `field` is the parameter that names them."""
    total = sum(shares.values())
    arms = [FakeArm("whole", method="life_map")] + [
        FakeArm(name, share / total * (1 - rest), method="life_map", params={field: name})
        for name, share in shares.items()
    ]
    return fake_run.FakeScenario(
        name="phases/mapping",
        question="Where does the time go when a file is used through a mapping, from open to close?",
        op="use of a file",
        cells=[{"file_bytes": size} for size in sizes],
        arms=arms,
        base_ns=2e6,
        bytes_per_op=lambda params: params["file_bytes"],
        trials=12,
    )


def results(directory: Path, rest: float) -> verdict.Results:
    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario(rest)])))


def test_the_sum_is_the_whole(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.0)
    for cell in found.cells:
        parts = phases.phases_of(cell)
        assert parts is not None and [arm.name for arm in parts.arms] == list(SHARES)
        assert parts.sum.low is not None and parts.sum.high is not None
        assert parts.sum.low - 0.01 < 1 < parts.sum.high + 0.01
    sentences = conclusion.scenario_sentences(found.cells)
    assert len(sentences) == 2 and all("the phases explain the whole" in s for s in sentences)
    assert sentences[0].startswith("Of whole (file_bytes=1MiB): write 50 %, sync 25 %, first 20 %")
    sums = [cell["phases_sum"]["estimate"] for cell in summary.summary(found)["cells"]]
    assert sums == pytest.approx([1, 1], abs=0.02)


def test_steps_of_a_merge_are_phases_of_it(tmp_path: Path) -> None:
    made = fake_run.write(tmp_path / "run", [scenario(0.0, field="merge_step", shares=STEPS)])
    found = verdict.conclude(records.run_load(made))
    assert [arm.name for arm in found.cells[0].arms if arm.is_phase] == list(STEPS)
    assert all("the phases explain the whole" in s for s in conclusion.scenario_sentences(found.cells))


def test_a_missing_part_is_said(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.2)
    assert all("the phases do not explain the whole" in s for s in conclusion.scenario_sentences(found.cells))


def test_a_wide_interval_says_nothing(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.0)
    arms = [arm for arm in found.cells[0].arms if arm.is_phase]
    for one in arms[0].trials[:6]:
        arms[0].trials[arms[0].trials.index(one)] = dataclasses.replace(one, log_ratio=math.log(0.3))
    assert "too wide to say" in phases.sentences(found.cells)[0]


def test_a_phase_is_a_part_and_no_rival(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.0)
    assert set(found.verdict_counts().values()) == {0} and not any(arm.competes for arm in found.arms)
    assert {row["role"] for row in tables.table_of(tables.texts(found)).cells} == {"baseline", "phase", "null"}
    lines = [line for line in table.lines(found, table.Look(width=110)) if "(phase)" in line]
    assert len(lines) == 2 * len(SHARES) and all(" % [" in line and "of it" in line for line in lines)
    assert not plots.load("board").applies(tables.table_of(tables.texts(found)))


def test_a_phase_that_was_not_measured_is_named(tmp_path: Path) -> None:
    def damage(record: dict[str, Any]) -> dict[str, Any]:
        record["arms"][2].update(status="unsupported", reason="no such call", batch_ns=[], order=[])
        return record

    made = fake_run.write(tmp_path / "run", [scenario(0.0)], damage=damage)
    found = verdict.conclude(records.run_load(made))
    sentence = phases.sentences(found.cells)[0]
    assert "missing: map (unsupported" in sentence and "no such call" in sentence and "write 50 %" in sentence
    assert summary.summary(found)["cells"][0]["phases_sum"] is None


def test_a_trial_without_one_phase_does_not_count(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.0)
    arms = [arm for arm in found.cells[0].arms if arm.is_phase]
    assert len(phases.sums(arms)) == 12
    arms[2].trials.pop()
    assert len(phases.sums(arms)) == 11


def test_other_scenarios_have_none(whole: verdict.Results) -> None:
    assert all(phases.phases_of(cell) is None for cell in whole.cells)
    assert all(cell["phases_sum"] is None for cell in summary.summary(whole)["cells"])


def test_picture(tmp_path: Path) -> None:
    found = results(tmp_path / "run", 0.0)
    read = tables.table_of(tables.texts(found))
    plot = plots.load("phases")
    assert plot.applies(read)
    figure = canvas.figure(read, plot)
    assert overlaps(figure) == []
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert labels == list(SHARES)
    stacked = sum(bar.get_width() for bar in figure.axes[0].patches[: len(SHARES)])
    whole_bar = figure.axes[0].patches[len(SHARES)].get_width()
    assert stacked == pytest.approx(whole_bar, rel=0.02)
    assert any("of the whole" in text.get_text() for text in figure.axes[0].texts)


def test_picture_applies_to_phases_alone(whole: verdict.Results) -> None:
    assert not plots.load("phases").applies(tables.table_of(tables.texts(whole)))
