# SPDX-License-Identifier: MIT
"""The rules of others against cases worked by hand, SciPy, and simulations whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as distributions

import fake_run
from faultline import rules, selfbench, selfbench_blocks, selfbench_tools
from faultline.verdict import FASTER, SLOWER


def side(means: list[float], noise: float = 0.0, seed: int = 1, batches: int = 200) -> list[np.ndarray]:
    """Processes with these means."""
    rng = np.random.default_rng(seed)
    return [mean * np.exp(rng.normal(0, noise, batches)) for mean in means]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_a_large_difference_is_told_and_its_direction(rule):
    base, other = side([100.0, 100.2, 99.8, 100.1] * 2, 0.002, 1), side([105.0, 105.2, 104.8, 105.1] * 2, 0.002, 2)
    assert rule.decide(base, other) == SLOWER
    assert rule.decide(other, base) == FASTER


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_one_side_against_itself_is_nothing(rule):
    base = side([100.0, 101.0, 99.0, 100.5] * 2, 0.01)
    assert rule.decide(base, base) is None


def test_rules_as_worked_by_hand():
    base, other = side([10.0, 11.0, 12.0], batches=1), side([12.1, 12.5, 13.0], batches=1)
    assert rules.ranges(base, other) == SLOWER and rules.ranges_all(other, base) == FASTER
    assert rules.ranges(base, side([11.9, 12.5, 13.0], batches=1)) is None
    # 12.5333/11 = 1.1394; sd 0.4509 and 1: 1.1394·√((0.4509/12.5333)² + (1/11)²) = 0.1114 < 0.1394
    assert rules.mean_sigma(base, other) == SLOWER
    # 12/11 = 1.0909; sd 1 and 1: 1.0909·√((1/12)² + (1/11)²) = 0.1345 > 0.0909
    assert rules.mean_sigma(base, side([11.0, 12.0, 13.0], batches=1)) is None
    assert rules.best_of_processes(base, side([10.09, 20.0, 20.0], batches=1)) is None
    assert rules.best_of_processes(base, side([10.11, 20.0, 20.0], batches=1)) == SLOWER


def test_rank_sum_is_the_exact_test():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert rules.rank_sum(a, a + 10) == SLOWER  # 2/70
    assert rules.rank_sum(a, np.array([3.5, 12.0, 13.0, 14.0])) is None  # 4/70
    assert distributions.mannwhitneyu(a, a + 10).pvalue == pytest.approx(2 / 70)


def test_rates_where_processes_do_not_differ():
    """Where batches are independent and alike, a test at 5 % errs in 5 %; Criterion's threshold makes it err less."""
    pairs = [(side([100.0], 0.01, 2 * k), side([100.0], 0.01, 2 * k + 1)) for k in range(400)]
    told = np.mean([rules.benchstat(*pair) is not None for pair in pairs])
    assert 0.02 <= told <= 0.08
    assert sum(rules.criterion(*pair) is not None for pair in pairs[:40]) == 0


def test_rates_where_processes_differ():
    """Processes that differ by 1 %: within one process there is no sign of it, and rules that look at one err."""
    rng = np.random.default_rng(5)

    def drawn(seed: int) -> list[np.ndarray]:
        """Eight processes."""
        return side(list(100 * np.exp(rng.normal(0, 0.02, 8))), 0.002, seed)

    pairs = [(drawn(2 * k), drawn(2 * k + 1)) for k in range(40)]
    assert np.mean([rules.benchstat(*pair) is not None for pair in pairs]) > 0.9
    assert np.mean([rules.criterion(*pair) is not None for pair in pairs]) > 0.5
    assert np.mean([rules.welch(*pair) is not None for pair in pairs]) < 0.2


def set_write(folder: Path, factors: dict[str, float]) -> None:
    """A set of blocks: each block's time as a factor."""
    for k, (path, scenario, arm) in enumerate(selfbench_blocks.runs_of(folder)):
        name = path.name.removesuffix("-once")
        one = fake_run.FakeScenario(name=scenario.stem, arms=[fake_run.FakeArm(arm, 1.0, "pread")],
                                    base_ns=600 * factors[name], trials=1 if scenario == selfbench_blocks.ONCE else 8,
                                    wander=0.001, rounds=200, cells=fake_run.product(block_bytes=[512, 4096]))
        fake_run.write(path, [one], seed=k + 1)


def test_blocks_are_compared_cell_by_cell(tmp_path, capsys):
    set_write(tmp_path / "hogs-0" / "one-blocks", {"pread-1": 1, "pread-2": 1.0, "surplus-2": 1.02, "surplus-5": 1.05})
    set_write(tmp_path / "hogs-0" / "two-blocks", {"pread-1": 1, "pread-2": 1.1, "surplus-2": 1.02, "surplus-5": 1.05})
    (found,) = selfbench.conditions_of(selfbench.runs_read(tmp_path))
    assert found["rules"]["sets"] == 2
    for name, row in found["rules"]["rules"].items():
        assert row["0"]["n"] == row["0.02"]["n"] == row["0.05"]["n"] == 4, name
        assert row["0"]["k"] >= 2 and row["0.05"]["k"] == 4, name
    assert found["rules"]["rules"]["ranges of all"]["0"]["k"] == 2
    assert found["rules"]["seconds"] == pytest.approx(2 * 8 * 200 * 250e-6, rel=0.9)
    selfbench.show([found])
    assert "2 sets" in capsys.readouterr().out
    (tmp_path / "hogs-0" / "two-blocks" / "pread-2" / "manifest.json").unlink()
    (found,) = selfbench.conditions_of(selfbench.runs_read(tmp_path))
    assert found["rules"]["sets"] == 1 and "cut short" in capsys.readouterr().err


def test_what_tools_print_is_read():
    """As fio 3.33, hyperfine 1.15 and Google Benchmark 1.7.1 print it, shortened."""
    times = [[1.0, 1.01, 0.99, 1.0], [1.05, 1.06, 1.04, 1.05]]
    said = selfbench_tools.hyperfine_said({"results": [{"command": "a", "times": one} for one in times]})
    assert [(one.verdict, round(one.ratio, 3)) for one in said] == [(SLOWER, 1.05), (SLOWER, 1.05)]

    def job(ns: float) -> dict:
        """A job of 1 s."""
        return {"jobs": [{"job_runtime": 1000, "read": {"total_ios": round(1e9 / ns)}}]}

    said = selfbench_tools.fio_said({-1.0: [job(1000), job(1020)], 0.02: [job(1015), job(1035)]}, 0.02)
    assert [one.verdict for one in said] == [SLOWER, None]
    assert said[0].ratio == pytest.approx(1025 / 1010, rel=1e-4)

    def google(ns: float) -> dict:
        """Repetitions and their mean."""
        runs = [{"run_type": "iteration", "real_time": ns + i / 10} for i in range(10)]
        return {"benchmarks": [*runs, {"run_type": "aggregate", "real_time": 1.0}]}

    (one,) = selfbench_tools.google_said(google(600), google(612))
    assert one.verdict == SLOWER and one.ratio == pytest.approx(612.45 / 600.45)
    row = {"quantity": "ns_per_op", "verdict": "CANNOT TELL", "change": {"estimate": 1.01}}
    assert selfbench_tools.live_said({"rows": [row, {"quantity": "minor_faults"}]})[0].verdict is None


def test_tools_are_counted(tmp_path, capsys):
    folder = tmp_path / "hogs-0"
    folder.mkdir()
    line = {"schema": selfbench_tools.SCHEMA, "machine": "m", "tool": "fio", "rule": "fio, ranges apart", "ratio": 1.01,
            "seconds": 8.0, "pread_ns": 650.0, "added_ns": 13.0}
    told = [(0.0, None), (0.0, SLOWER), (0.02, SLOWER), (0.02, FASTER), (0.05, SLOWER)]
    lines = [json.dumps({**line, "extra": extra, "verdict": verdict}) for extra, verdict in told]
    (folder / "tools.jsonl").write_text("\n".join(lines) + "\n")
    (found,) = selfbench.conditions_of(selfbench.runs_read(tmp_path))
    row = found["tools"]["rules"]["fio, ranges apart"]
    assert [(row[key]["k"], row[key]["n"]) for key in ("0", "0.02", "0.05")] == [(1, 2), (1, 2), (1, 1)]
    json.dumps(found, allow_nan=False)
    selfbench.show([found])
    assert "fio, ranges apart" in capsys.readouterr().out
    (folder / "tools.jsonl").write_text(lines[0] + "\n{\n")
    assert selfbench.main(["--program", "x", "--runs", "0", "--append", str(tmp_path)]) == 7
    assert "tools.jsonl:2: no line of faultline.selfbench-tool/1" in capsys.readouterr().err
