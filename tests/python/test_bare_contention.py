# SPDX-License-Identifier: MIT
"""Comparison of workers that meet with a bare program: times in heaps, shares of them, verdicts, what is printed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from faultline import bare_contention as bare

PAIRS, ROUNDS = 10, 60


def found(ratio: float, slow_first: float, slow_second: float, kernel: str = "cas", seed: int = 1) -> bare.Found:
    """Both sides in one of two heaps, 36 and 115 ns, in these shares of the rounds, each by itself; as alternated."""
    rng = np.random.default_rng(seed)

    def side(slow: float, factor: float) -> np.ndarray:
        return factor * np.where(rng.random(ROUNDS) < slow, 115.0, 36.0) * np.exp(rng.normal(0, 0.01, ROUNDS))

    pairs = (bare.Pair(side(slow_first, ratio), side(slow_second, 1.0), k % 2 == 0) for k in range(PAIRS))
    return bare.Found(kernel, "faultline", "bare", 64, tuple(pairs))


def test_only_neighbours_in_the_same_heap_are_compared():
    made = found(1.02, 0.5, 0.5)
    assert len(made.heaps.ns) == 2
    assert made.interval().estimate == pytest.approx(1.02, abs=0.005)
    assert made.verdict(0.05) == "within" and made.verdict(0.005) == "beyond"


def test_who_is_oftener_in_the_slow_heap_is_told():
    made = found(1.0, 0.65, 0.3)
    assert made.is_apart and made.verdict(0.05) in ("beyond", "other heaps")
    assert made.share_difference.estimate == pytest.approx(0.35, abs=0.1)
    assert bare.exit_status([made], 0.05) == 1


def test_sides_that_never_share_a_heap_are_compared_as_they_are():
    made = found(1.0, 1.0, 0.0)
    assert len(made.heaps.ns) == 2 and made.verdict(0.05) == "beyond"
    assert made.interval().estimate == pytest.approx(115 / 36, rel=0.02)


def test_void_rounds_are_left_out():
    made = found(1.03, 0.0, 0.0)
    for pair in made.pairs:
        pair.first[5:20] = math.nan
    assert made.interval().estimate == pytest.approx(1.03, abs=0.005)


def test_starter_does_not_turn_the_ratio():
    logs = found(1.1, 0.0, 0.0).logs()
    assert all(log == pytest.approx(math.log(1.1), abs=0.01) for log in logs)


def test_slack_of_a_kernel_widens_what_is_allowed():
    assert found(1.08, 0.0, 0.0).verdict(0.05) == "beyond"
    assert found(1.08, 0.0, 0.0, kernel="two-lines").verdict(0.05) == "within"


def test_what_is_only_stated_has_no_verdict_but_against_its_like():
    made = found(3.0, 0.0, 0.0, kernel="seqlock-write-64")
    assert made.verdict(0.05) == "stated only" and bare.exit_status([made], 0.05) == 0
    alike = bare.Found(made.kernel, "bare", "bare", made.ops, made.pairs)
    assert alike.verdict(0.05) == "beyond"


def test_too_few_pairs_tell_nothing():
    made = found(1.0, 0.0, 0.0)
    few = bare.Found("cas", "faultline", "bare", 64, made.pairs[:4])
    assert few.verdict(0.05) == "cannot tell" and bare.exit_status([few], 0.05) == 3


def test_rounds_that_differ_in_number_are_refused():
    with pytest.raises(bare.SideError):
        bare.Pair(np.ones(3), np.ones(4), True).log_ratio(bare.Heaps((1.0,)))


def test_table_and_json_hold_the_same(capsys):
    made = found(1.0, 0.5, 0.5)
    bare.show([made], 0.05)
    text = capsys.readouterr().out
    assert "faultline ÷ bare" in text and "5%: yes" in text and "in heaps: 36" in text
    contest = bare.Contest(*[None] * 8)  # type: ignore[arg-type]
    contest.cpus = (0, 1)
    (row,) = json.loads(json.dumps(bare.result_json(contest, [made], 0.05)))["comparisons"]
    assert row["verdict"] == "within" and len(row["rounds_ns"]) == PAIRS and len(row["heaps_ns"]) == 2


@pytest.mark.parametrize("text", ["1", "1,1", "a,b", "0,1,2", "-1,0"])
def test_cpus_are_two_that_differ(text):
    with pytest.raises(ValueError):
        bare.cpus_parse(text)
