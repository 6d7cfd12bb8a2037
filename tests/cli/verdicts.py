# SPDX-License-Identifier: MIT
"""`faultline verdicts` as a user has it: measured now, said again, interrupted, and of runs without claims."""

import json
import re
import shutil
import signal

import helper

CLAIM = "claims/cow-byte"


def measured(scratch: helper.Scratch, *words: str):
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    return scratch.call(["verdicts", "--run", CLAIM, "--out", str(scratch.out), *words])


def test_measured_now_and_said_again(scratch: helper.Scratch) -> None:
    """The board, the directory as the last line, and the same board of the run that is there."""
    result = measured(scratch)
    helper.check_status(result, 0)
    *board, directory = result.stdout.splitlines()
    assert directory == str(scratch.out) and re.match(r" +SUPPORTED +cow-byte-copies-page", board[1]), result.stdout
    assert board[-1] == "Claims: 1 SUPPORTED · 0 REFUTED · 0 INCONCLUSIVE"
    assert "about" in result.stderr and "cells of 1 scenarios" in result.stderr, "no estimate, no progress"
    again = scratch.call(["verdicts", str(scratch.out)])
    helper.check_status(again, 0)
    assert again.stdout.splitlines() == board
    claims = json.loads((scratch.out / "summary.json").read_text())["claims"]
    assert [(claim["id"], claim["verdict"]) for claim in claims] == [("cow-byte-copies-page", "SUPPORTED")]
    assert (scratch.out / "plots" / "verdict_board.svg").exists()


def test_an_arm_that_is_left_out_leaves_the_claim_open(scratch: helper.Scratch) -> None:
    result = measured(scratch, "--arms", "private-store")
    helper.check_status(result, 0)
    assert "INCONCLUSIVE" in result.stdout and "anonymous-store is not in this run" in result.stdout, result.stdout
    helper.check_status(scratch.call(["verdicts", "--strict", str(scratch.out)]), 3)


def test_what_takes_too_long_says_where_it_is_measured(scratch: helper.Scratch) -> None:
    """A claim whose scenario the quick profile leaves out is in the table, open, and no guess."""
    result = measured(scratch, "claims/flusher")
    helper.check_status(result, 0)
    assert result.stdout.count("only with --profile thorough") == 2, result.stdout
    assert "Claims: 1 SUPPORTED · 0 REFUTED · 2 INCONCLUSIVE" in result.stdout, result.stdout
    helper.check_status(scratch.call(["verdicts", "--strict", str(scratch.out)]), 0)


def test_what_is_wrong_with_the_run_is_the_status(scratch: helper.Scratch) -> None:
    helper.check_status(measured(scratch, "--set", "nothing=1"), 2)
    assert not scratch.out.exists()
    helper.check_status(scratch.call(["verdicts"]), 2)
    helper.check_status(scratch.call(["verdicts", str(scratch.out / "nowhere")]), 7)
    helper.check_status(scratch.call(scratch.run_words()), 0)
    other = scratch.call(["verdicts", str(scratch.out)])
    helper.check_status(other, 7)
    assert "no scenario of this run has a claim" in other.stderr


def test_a_signal_to_the_command_alone_ends_the_run(scratch: helper.Scratch) -> None:
    """With what there is, said; nothing goes on."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    for number in (signal.SIGINT, signal.SIGTERM):
        words = ["verdicts", "--run", CLAIM, "--out", str(scratch.out), "--set", "arm_time=300ms"]
        process = scratch.start(words)
        helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
        assert process.returncode == 128 + number, (process.returncode, error)
        assert "cow-byte-copies-page" in output and output.splitlines()[-1] == str(scratch.out), output
        helper.check_gone(scratch)
        shutil.rmtree(scratch.out)


helper.main(globals())
