# SPDX-License-Identifier: MIT
"""Trial processes pass turns: two against each other, one against a bare loop, and one whose other side dies."""

import json
import os
import subprocess
import threading

import helper

helper.sys.path.insert(0, str(helper.TREE / "scripts"))

from faultline import trial_pair, turns  # noqa: E402  (the tree's package, once it can be found)

CPU = min(os.sched_getaffinity(0))
ROUNDS = 12
BARE = helper.PROGRAM.parent / "tests" / "bareloop"


def engine(scratch: helper.Scratch, name: str, seed: int, ops: int = 16) -> trial_pair.EngineSide:
    """A trial on a file of the case."""
    loop, file = turns.LOOPS[name], scratch.files / "file"
    if not file.exists():
        turns.file_make(file, turns.MIB)
    plan = turns.plan_make(helper.PROGRAM, loop, file, scratch.path)
    return trial_pair.EngineSide([str(helper.PROGRAM)], plan, [ops], ROUNDS, seed, [CPU])


def record_of(side: trial_pair.EngineSide, rounds: int | None, starts: bool = True) -> dict:
    """The record of a trial whose other side is this test. It keeps to the protocol, for so many rounds, then it is gone;
    None: it stays to the end."""
    to_side, from_side = os.pipe(), os.pipe()
    command, job = side.command(trial_pair.Turn(to_side[0], from_side[1], starts))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(to_side[0], from_side[1]))
    os.close(to_side[0])
    os.close(from_side[1])

    def play() -> None:
        for done in range(ROUNDS if rounds is None else rounds):
            if (starts or done) and os.read(from_side[0], 1) != b"t":
                break
            os.write(to_side[1], b"t")
        if rounds is None and not starts:
            os.read(from_side[0], 1)
        os.close(from_side[0])
        os.close(to_side[1])

    other = threading.Thread(target=play)
    other.start()
    output, _ = process.communicate(job, timeout=60)
    other.join(60)
    assert process.returncode == 0, process.returncode
    return helper.record_read(output)


def check_whole(side: trial_pair.Side, ns: object) -> None:
    """A time for every round."""
    assert len(ns) == ROUNDS and all(ns > 0), (side.name, ns)


def test_two_trials(scratch: helper.Scratch) -> None:
    """Both sides deliver whole records, whichever work it is."""
    for name in turns.LOOPS:
        sides = engine(scratch, name, 1), engine(scratch, name, 2)
        for side, ns in zip(sides, trial_pair.play_times(*sides, wait_s=60)):
            check_whole(side, ns)


def test_bare_loop(scratch: helper.Scratch) -> None:
    """A program that shares nothing with faultline can be the other side, and either can start."""
    if not BARE.exists():
        raise helper.Skip(f"{BARE.name} was not built beside the program")
    for name in turns.LOOPS:
        ours = engine(scratch, name, 3)
        bare = turns.BareSide(BARE, turns.LOOPS[name], scratch.files / "file", 16, ROUNDS, 4, CPU)
        for sides in (ours, bare), (bare, ours):
            for side, ns in zip(sides, trial_pair.play_times(*sides, wait_s=60)):
                check_whole(side, ns)


def test_protocol(scratch: helper.Scratch) -> None:
    """A byte before each round and one after it is all it takes, and it is no side's matter who starts."""
    for starts in (True, False):
        (arm,) = record_of(engine(scratch, "pread", 5), None, starts)["arms"]
        assert arm["status"] == "ok" and len(arm["batch_ns"]) == ROUNDS, arm


def test_other_side_dies(scratch: helper.Scratch) -> None:
    """The record says so, at once, whenever it happens."""
    for rounds in (0, 1, 5):  # the starter's last round needs ROUNDS - 1 of the other side's
        for starts in (True, False):
            record = record_of(engine(scratch, "pread", 6), rounds, starts)
            (arm,) = record["arms"]
            assert arm["status"] == "failed" and "the other side has gone" in arm["reason"], (rounds, starts, arm)
            assert arm["batch_ns"] == [], arm


def test_both_failures_are_told(scratch: helper.Scratch) -> None:
    """A side that cannot do its work is named, and the other is not left waiting."""
    broken = engine(scratch, "pread", 7)
    cell = json.loads(json.dumps(broken.plan))
    cell["given_path"] = str(scratch.files / "absent")
    try:
        trial_pair.play_times(trial_pair.EngineSide([str(helper.PROGRAM)], cell, [16], ROUNDS, 8, [CPU]), broken, wait_s=20)
    except trial_pair.SideError as error:
        assert "absent" in str(error), error
    else:
        raise AssertionError("a side without a file delivered")


def test_keeps_other_descriptors_closed(scratch: helper.Scratch) -> None:
    """A side holds its own ends only: otherwise nobody would be told that the other has gone."""
    probe = scratch.path / "probe"
    probe.write_text("#!/bin/sh\nls -l /proc/self/fd >&2\nexit 3\n")
    probe.chmod(0o755)

    class Probe:
        """Lists its descriptors."""

        name = "probe"

        def command(self, turn: trial_pair.Turn) -> tuple[list[str], bytes]:
            """As Side.command."""
            return [str(probe)], b""

        def times(self, output: bytes) -> object:
            """Never asked."""
            raise AssertionError(output)

    try:
        trial_pair.play_times(Probe(), Probe(), wait_s=20)
    except trial_pair.SideError as error:
        assert str(error).count("pipe:") == 2, error
    else:
        raise AssertionError("a probe delivered times")


helper.main(globals())
