# SPDX-License-Identifier: MIT
"""Speed-ups by number of workers: estimate, sentence, table and picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import FakeArm
from faultline import canvas, conclusion, plots, records, scaling, summary, tables, verdict
from test_plots import overlaps

CELLS: list[dict[str, Any]] = [
    {"workers": 1, "worker_file": "shared"},
    *({"workers": n, "worker_file": f} for n in (2, 4, 8) for f in ("shared", "own")),
]


def base_ns(params: dict[str, Any]) -> float:
    """Own files scale ideally; of a shared one, half of what each further worker could do is lost."""
    n = params["workers"]
    return 800.0 / (n if params["worker_file"] == "own" else (n + 1) / 2)


def results(directory: Path, cells: list[dict[str, Any]] = CELLS) -> verdict.Results:
    scenario = fake_run.FakeScenario(
        name="scaling/reading",
        cells=cells,
        arms=[FakeArm("pread", method="pread"), FakeArm("mapped", 0.5)],
        base_ns=base_ns,
        wander=0.02,
    )
    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario])))


def test_speedups(tmp_path: Path) -> None:
    found = results(tmp_path / "run")
    speedups = {
        (one.arm.name, one.workers, one.cell.plan.params["worker_file"]): one.logs.exp()
        for one in scaling.speedups(found.cells)
    }
    assert len(speedups) == 2 * 6
    for (_, n, file), interval in speedups.items():
        truth = n if file == "own" else (n + 1) / 2
        assert interval.low is not None and interval.high is not None
        assert interval.low * 0.97 < truth < interval.high * 1.03
        assert interval.estimate == pytest.approx(truth, rel=0.05)
    objects = summary.summary(found)["speedups"]
    assert {(o["arm"], o["workers"]) for o in objects} == {(a, n) for a in ("pread", "mapped") for n in (2, 4, 8)}


def test_sentences(tmp_path: Path) -> None:
    sentences = [s for s in conclusion.scenario_sentences(results(tmp_path / "run").cells) if "workers, against" in s]
    assert len(sentences) == 4
    assert all("with 2; " in s and "with 8 workers" in s for s in sentences)


def test_an_invalid_cell_has_no_speedup(tmp_path: Path) -> None:
    found = results(tmp_path / "run", CELLS[:3])
    found.cells[1].invalid.append("two identical arms differ")
    by_cell = {one.cell.plan.cell: one for one in scaling.speedups(found.cells)}
    bad, good = (by_cell[cell.plan.cell] for cell in found.cells[1:])
    assert bad.logs is None and bad.reason == "two identical arms differ" and good.logs is not None
    assert any("no valid figure with 2 workers." in s for s in scaling.sentences(found.cells))
    rows = tables.table_of(tables.texts(found)).cells
    assert {row["speedup"] is None for row in rows if row["cell"] == found.cells[1].plan.cell} == {True}


def test_nothing_to_compare_with(tmp_path: Path, whole: verdict.Results) -> None:
    found = results(tmp_path / "run", [cell for cell in CELLS if cell["workers"] > 1])
    assert scaling.speedups(found.cells) == []
    assert scaling.speedups(whole.cells) == [] and scaling.sentences(whole.cells) == []


def test_a_single_worker_of_other_conditions_is_no_base(tmp_path: Path) -> None:
    cells = [{"workers": 1, "block_bytes": 64}, {"workers": 2, "block_bytes": 4096}]
    assert scaling.speedups(results(tmp_path / "run", cells).cells) == []


def test_picture(tmp_path: Path, whole: verdict.Results) -> None:
    table = tables.table_of(tables.texts(results(tmp_path / "run")))
    plot = plots.load("scaling")
    assert plot.applies(table) and not plot.applies(tables.table_of(tables.texts(whole)))
    assert plot.kinds(table) == ["worker_file=shared", "worker_file=own"]
    figure = canvas.figure(table, plot)
    assert overlaps(figure) == []
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    ideal = figure.axes[0].lines[0]
    assert list(ideal.get_xdata()) == list(ideal.get_ydata()) == [1, 8]
