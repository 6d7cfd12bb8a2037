# SPDX-License-Identifier: MIT
"""Turn passing as seen from Python: what a pair's figure is, and what becomes of sides that fail."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

from faultline import trial_pair, turns

PLAYER = """
import json, os, sys, time
read_fd, write_fd, starts, rounds = map(int, sys.argv[1:5])
for r in range(rounds):
    if r or not starts:
        if os.read(read_fd, 1) != b"t":
            sys.exit("the other side has gone")
    with open(sys.argv[5], "a") as log:
        log.write(sys.argv[6])
    try:
        os.write(write_fd, b"t")
    except BrokenPipeError:
        if r + 1 < rounds:
            sys.exit("the other side has gone")
print(json.dumps([1.0] * rounds))
"""


@dataclass(frozen=True)
class Player:
    """A side in Python that logs its name in each round."""

    name: str
    log: str
    rounds: int = 5
    program: str = PLAYER

    def command(self, turn: trial_pair.Turn) -> tuple[list[str], bytes]:
        """As Side.command."""
        numbers = map(str, (turn.read_fd, turn.write_fd, int(turn.starts), self.rounds))
        return [sys.executable, "-c", self.program, *numbers, self.log, self.name], b""

    def times(self, output: bytes) -> np.ndarray:
        """As Side.times."""
        return np.array(json.loads(output))


def rounds_of(rng: np.random.Generator, count: int, ratio: float, order_effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Times of starter and follower in a machine that slows down, where whoever comes second in a pair pays more."""
    drift = np.exp(np.linspace(0, 0.5, 2 * count) + rng.normal(0, 0.002, 2 * count))
    return ratio * drift[0::2], drift[1::2] * math.exp(order_effect)


def test_pair_finds_the_ratio_in_a_drifting_machine():
    starter, follower = rounds_of(np.random.default_rng(1), 200, 1.02, 0.0)
    assert trial_pair.pair_log_ratio(starter, follower) == pytest.approx(math.log(1.02), abs=0.001)


def test_swapping_the_sides_turns_the_sign():
    rng = np.random.default_rng(2)
    a, b = rng.lognormal(0, 0.1, 100), rng.lognormal(0, 0.1, 100)
    assert trial_pair.pair_log_ratio(a, b) == pytest.approx(-trial_pair.pair_log_ratio(b, a), abs=0.05)


def test_void_rounds_are_left_out():
    starter, follower = rounds_of(np.random.default_rng(3), 200, 1.05, 0.0)
    starter[10:40] = math.nan
    assert trial_pair.pair_log_ratio(starter, follower) == pytest.approx(math.log(1.05), abs=0.002)


@pytest.mark.parametrize("sizes", [(3, 4), (1, 1), (0, 0)])
def test_pair_refuses_what_has_no_neighbours(sizes):
    with pytest.raises(trial_pair.SideError):
        trial_pair.pair_log_ratio(np.ones(sizes[0]), np.ones(sizes[1]))


def test_turns_alternate_from_the_starter(tmp_path):
    log = tmp_path / "log"
    first, second = trial_pair.play_times(Player("a", str(log)), Player("b", str(log)), 30)
    assert log.read_text() == "ababababab"
    assert first.size == second.size == 5


def test_the_side_that_failed_is_named(tmp_path):
    quitter = Player("quitter", str(tmp_path / "log"), program="import sys; sys.exit('no file')")
    with pytest.raises(trial_pair.SideError, match="quitter: status 1: no file"):
        trial_pair.play_times(quitter, Player("b", str(tmp_path / "log")), 30)


def test_a_side_that_stands_still_is_ended(tmp_path):
    sleeper = Player("sleeper", str(tmp_path / "log"), program="import time; time.sleep(60)")
    begin = time.monotonic()
    with pytest.raises(trial_pair.SideError, match="did not end within 0.5 s"):
        trial_pair.play_times(sleeper, Player("b", str(tmp_path / "log")), 0.5)
    assert time.monotonic() - begin < 30


def test_a_side_that_cannot_be_started_ends_the_other(tmp_path, monkeypatch):
    started = []

    def start(program):
        started.append(begin(program))
        return started[-1]

    begin = trial_pair.start
    monkeypatch.setattr(trial_pair, "start", start)
    sleeper = Player("sleeper", str(tmp_path / "log"), program="import time; time.sleep(60)")
    monkeypatch.setattr(Absent, "log", str(tmp_path / "none"))
    with pytest.raises(trial_pair.SideError, match="absent: cannot be started: .*No such file"):
        trial_pair.play_times(sleeper, Absent(), 30)
    (first,) = started
    assert first.process.returncode == -9 and first.output.closed and first.errors.closed


class Absent:
    """A side whose program is not there."""

    name = "absent"
    log = ""

    def command(self, turn: trial_pair.Turn) -> tuple[list[str], bytes]:
        """As Side.command."""
        return [self.log], b""


def comparison(logs: list[float], loop: str = "pread", second: str = "bare loop") -> turns.Comparison:
    """A comparison with these log ratios."""
    ones = tuple(1.0 for _ in logs)
    return turns.Comparison(loop, "faultline", second, tuple(logs), ones, ones)


@pytest.mark.parametrize(
    "centre, verdict", [(0.0, "within"), (0.03, "beyond"), (-0.03, "beyond"), (0.00995, "cannot tell")]
)
def test_verdict_by_the_interval(centre, verdict):
    logs = [centre + 0.0005 * (k - 5) for k in range(11)]
    assert comparison(logs).verdict(0.01) == verdict


def test_too_few_pairs_tell_nothing():
    assert comparison([0.0] * 4).verdict(0.01) == "cannot tell"


def test_status_counts_the_loops_that_are_compared():
    beyond = [0.03 + 0.0001 * k for k in range(10)]
    fine = [0.0001 * k for k in range(10)]
    assert turns.exit_status([comparison(fine), comparison(beyond, "empty")], 0.01) == 0
    assert turns.exit_status([comparison(fine), comparison(beyond)], 0.01) == 1
    assert turns.exit_status([comparison(fine), comparison([0.0] * 3)], 0.01) == 3


def test_table_and_json_hold_the_same(capsys):
    made = comparison([0.001 * k for k in range(-5, 6)])
    turns.show([made], 0.01)
    assert "faultline ÷ bare loop" in capsys.readouterr().out
    contest = turns.Contest(*[None] * 8, ops={"pread": 256})  # type: ignore[arg-type]
    (row,) = turns.result_json(contest, [made], 0.01)["comparisons"]
    assert row["ratio"]["estimate"] == pytest.approx(1.0) and row["pairs"] == 11
    json.dumps(row)
