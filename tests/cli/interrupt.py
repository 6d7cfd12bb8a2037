# SPDX-License-Identifier: MIT
"""SIGINT and SIGTERM, to the program alone or to the whole foreground group: a clean end with what there is."""

import fcntl
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import termios
import time

import helper

SEED = 20260102


def check_ended(scratch: helper.Scratch, process: subprocess.Popen, number: int, output: str) -> None:
    """Status, last line, manifest and records of an interrupted run; nothing else is left."""
    helper.check_gone(scratch)
    if not (scratch.out / "manifest.json").exists():
        # Before there is a run there is nothing to sum up: the signal may simply have ended the program.
        assert process.returncode in (128 + number, -number), process.returncode
        assert helper.record_lines(scratch.out) == []
        return
    if process.returncode == 0:  # all had been done and said when the signal came
        assert helper.manifest(scratch.out)["exit_status"] == 0
        assert helper.manifest(scratch.out)["finished"] == helper.manifest(scratch.out)["expected"]
        return
    assert process.returncode == 128 + number, process.returncode
    assert output.splitlines()[-1] == str(scratch.out), output
    manifest = helper.manifest(scratch.out)
    assert manifest["exit_status"] == 128 + number and manifest["ended"], manifest
    assert manifest["finished"] == len(helper.records(scratch.out)), manifest
    assert manifest["stopped"] in ("interrupted", "trials"), manifest["stopped"]  # "trials": it was done by then


def test_random_moments(scratch: helper.Scratch) -> None:
    draw = random.Random(SEED)
    for _ in range(40 if "--long" in sys.argv else 8):
        number = draw.choice((signal.SIGINT, signal.SIGTERM))
        process = scratch.start(scratch.run_words(trials=10))
        time.sleep(draw.uniform(0, 0.9))
        process.send_signal(number)
        output, error = process.communicate(timeout=30)
        try:
            check_ended(scratch, process, number, output)
        except AssertionError as failure:
            raise AssertionError(f"{number!r}: {error}") from failure
        shutil.rmtree(scratch.out, ignore_errors=True)


def test_with_a_stopped_trial(scratch: helper.Scratch) -> None:
    """A trial process that does not run any more cannot hold up the end."""
    process = scratch.start(scratch.run_words(trials=10, arm_time="100ms"))
    trial = scratch.next_trial(process)
    os.kill(trial, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    check_ended(scratch, process, signal.SIGINT, output)


def test_summary_of_what_there_is(scratch: helper.Scratch) -> None:
    """The table of the records so far comes before the status."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = [word for word in scratch.run_words(trials=30) if word != "--no-report"]
    process = scratch.start(words)
    helper.wait_for("some records", lambda: len(helper.record_lines(scratch.out)) >= 12)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    check_ended(scratch, process, signal.SIGTERM, output)
    assert "mapped" in output, f"no table\n{output}\n{error}"
    assert (scratch.out / "summary.json").exists(), error


def test_again_during_the_summary(scratch: helper.Scratch) -> None:
    """Who is asked twice ends at once, with manifest and status all the same."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = [word for word in scratch.run_words(trials=8) if word != "--no-report"]
    process = scratch.start(words)

    helper.wait_for("the report to begin",
                    lambda: any(b"report" in helper.command_of(number) for number in scratch.processes()
                                if number != process.pid))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    check_ended(scratch, process, signal.SIGINT, output)
    assert len(helper.records(scratch.out)) == 16


def start_on_terminal(scratch: helper.Scratch, words: list[str]) -> tuple[subprocess.Popen, int]:
    """Starts the program as the foreground group of a terminal of its own; the terminal's other end."""
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = scratch.start(words, stdin=slave, stderr=subprocess.DEVNULL, preexec_fn=take_terminal)
    os.close(slave)
    return process, master


def test_control_c(scratch: helper.Scratch) -> None:
    """Ctrl-C reaches every process of the foreground group at once."""
    for records in (0, 3, 9):
        process, master = start_on_terminal(scratch, scratch.run_words(trials=30))
        if records:
            helper.wait_for("records", lambda count=records: len(helper.record_lines(scratch.out)) >= count)
        else:
            helper.wait_for("the run to begin", (scratch.out / "manifest.json").exists)
        os.write(master, b"\x03")
        output, _ = process.communicate(timeout=30)
        os.close(master)
        check_ended(scratch, process, signal.SIGINT, output)
        assert process.returncode == 130
        shutil.rmtree(scratch.out)


def test_terminal_goes_away(scratch: helper.Scratch) -> None:
    """Whose terminal is closed dies of SIGHUP; so do the trials, and the run can be resumed."""
    process, master = start_on_terminal(scratch, scratch.run_words(trials=12))
    helper.wait_for("records", lambda: len(helper.record_lines(scratch.out)) >= 3)
    os.close(master)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGHUP, process.returncode
    helper.wait_for("all processes to be gone", lambda: not scratch.processes(), 10)
    helper.check_status(scratch.call(["run", "--resume", str(scratch.out), "--no-report"]), 0)
    helper.check_complete(scratch.out, trials=12)
    helper.check_gone(scratch)


helper.main(globals())
