# SPDX-License-Identifier: MIT
"""Trials that die or hang: the user's file shrinks under them, they crash, are killed or stopped. Each is a record with
its reason, and the run goes on."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import helper

FILE_BYTES = 4 << 20


def make_file(scratch: helper.Scratch) -> pathlib.Path:
    path = scratch.path / "yours"
    path.write_bytes(os.urandom(FILE_BYTES))
    return path


def statuses(found: list[dict]) -> list[set[str]]:
    """Statuses of the arms of each record."""
    return [{arm["status"] for arm in record["arms"]} for record in found]


def check_shrunk(scratch: helper.Scratch, arms: str, size: int) -> list[str]:
    """Cuts the file while a long cell is measured on it; the reasons that were recorded."""
    path = make_file(scratch)
    words = scratch.run_words("--file", str(path), arms=arms, arm_time="400ms", blocks="4KiB", trials=3)
    process = scratch.start(words)
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    before = len(helper.record_lines(scratch.out))
    scratch.next_trial(process)
    time.sleep(0.5)  # it is timing batches by then
    os.truncate(path, size)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 5, (process.returncode, error)
    assert output.splitlines()[-1] == str(scratch.out)
    found = helper.records(scratch.out)
    assert len(found) == 3, "the run goes on after it"
    assert statuses(found[:before]) == [{"ok"}] * before
    why = helper.reasons(found)
    assert why and all("shr" in reason for reason in why), why
    assert all("failed" in status for status in statuses(found[before + 1:])), statuses(found)
    helper.check_gone(scratch)
    return why


def test_file_shrinks_under_mappings(scratch: helper.Scratch) -> None:
    why = check_shrunk(scratch, helper.MAPPED, 4096)
    assert any("SIGBUS" in reason and "the file shrank" in reason for reason in why), why


def test_file_shrinks_under_reads(scratch: helper.Scratch) -> None:
    check_shrunk(scratch, helper.PREAD, 4096)


def test_file_becomes_empty(scratch: helper.Scratch) -> None:
    check_shrunk(scratch, helper.PREAD + helper.MAPPED, 0)


def test_file_is_removed(scratch: helper.Scratch) -> None:
    """Trials that have it open are measured; the others say that it is not there."""
    path = make_file(scratch)
    process = scratch.start(scratch.run_words("--file", str(path), arm_time="50ms", blocks="4KiB", trials=4))
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    path.unlink()
    process.communicate(timeout=60)
    assert process.returncode == 5
    why = helper.reasons(helper.records(scratch.out))
    assert any("No such file" in reason and str(path) in reason for reason in why), why


def check_signal(scratch: helper.Scratch, number: int, word: str) -> None:
    """Sends the signal to the trial process of a long cell; what is recorded and that the run goes on."""
    process = scratch.start(scratch.run_words(arm_time="100ms", blocks="4KiB", trials=3))
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    before = len(helper.record_lines(scratch.out))
    trial = scratch.next_trial(process)
    time.sleep(0.2)  # it may be anywhere in what it does
    os.kill(trial, number)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 5, (process.returncode, error)
    assert output.splitlines()[-1] == str(scratch.out)
    found = helper.records(scratch.out)
    why = helper.reasons(found)
    assert why and all(word in reason for reason in why), why
    assert word in error, error
    assert len(found) == 3 and any("ok" in status for status in statuses(found[before + 1:])), statuses(found)
    assert helper.manifest(scratch.out)["exit_status"] == 5
    helper.check_gone(scratch)


def test_killed(scratch: helper.Scratch) -> None:
    check_signal(scratch, signal.SIGKILL, "killed by signal 9")


def test_crash(scratch: helper.Scratch) -> None:
    # A sanitizer catches the signal and exits instead; under it the reason is that status.
    sanitized = b"__asan_init" in helper.PROGRAM.read_bytes()
    check_signal(scratch, signal.SIGSEGV, "ended with status" if sanitized else "killed by signal 11")


def test_killed_again_and_again(scratch: helper.Scratch) -> None:
    """A cell whose process dies every time is given up; the run ends."""
    process = scratch.start(scratch.run_words(arm_time="500ms", blocks="4KiB", trials=30), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        for trial in scratch.trial_processes(process.pid):
            os.kill(trial, signal.SIGKILL)
    assert process.returncode == 5
    found = helper.records(scratch.out)
    assert 1 <= len(found) <= 3 and all("ok" not in status for status in statuses(found)), statuses(found)
    helper.check_gone(scratch)


def test_hangs(scratch: helper.Scratch) -> None:
    """A trial process that stands still is ended by its deadline."""
    process = scratch.start(scratch.run_words("--deadline", "1500ms", arm_time="100ms", blocks="4KiB", trials=3))
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    trial = scratch.next_trial(process)
    os.kill(trial, signal.SIGSTOP)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 5, (process.returncode, error)
    found = helper.records(scratch.out)
    why = helper.reasons(found)
    assert why and all("did not end within 1.5 s" in reason for reason in why), why
    assert len(found) == 3 and sum("ok" in status for status in statuses(found)) == 2, statuses(found)
    helper.check_gone(scratch)


def test_worker_process_dies(scratch: helper.Scratch) -> None:
    """One worker of several that dies ends its arm, not the run."""
    words = scratch.run_words("--set", "workers=2", "--set", "worker_kind=process", arm_time="300ms", blocks="4KiB",
                              trials=3)
    process = scratch.start(words)
    if process.poll() == 2:
        raise helper.Skip(f"two workers cannot be had here: {process.stderr.read()}")
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    trial = scratch.next_trial(process)
    workers = helper.wait_for("two workers", lambda: len(found := scratch.trial_processes(trial)) == 2 and found)
    os.kill(workers[1], signal.SIGKILL)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 5, (process.returncode, error)
    why = helper.reasons(helper.records(scratch.out))
    assert why and all("worker" in reason and "died" in reason for reason in why), why
    helper.check_gone(scratch)


KINDS = {"tmpfs": 64, "ext4": 64, "xfs": 320, "btrfs": 256}  # MiB
HOLES = """question: What does a store to a hole do when the disk is full?
op: page stored to
delta: 0.0001%
common: {file_bytes: 8MiB, recipe: hole, cache: as-found, pattern: stride, block_bytes: 64, access: store,
         arm_time: 100ms, batch_time: 10ms, count_ops: 8, latency: none}
vary: {backing: [file]}
arms:
  - {name: store, method: first_touch, sharing: shared}
profiles:
  quick: {trials: 5, precision: 0.0001%}
"""


def mount_kind(scratch: helper.Scratch, kind: str) -> None:
    """A filesystem of that kind on the folder for files."""
    if kind == "tmpfs":
        helper.mount_tmpfs(scratch.files, f"{KINDS[kind]}m")
    else:
        helper.mount_image(scratch.path / "image", scratch.files, kind, KINDS[kind])


def on_each_kind(scratch: helper.Scratch, check: Callable[[str], None]) -> None:
    helper.own_mounts()
    for kind in KINDS:
        mount_kind(scratch, kind)
        try:
            check(kind)
            helper.check_gone(scratch)
        finally:
            helper.unmount(scratch.files)
        shutil.rmtree(scratch.out)


def fill_under_stores(scratch: helper.Scratch, words: list[str]) -> list[str]:
    """Takes all room while a trial stores to a hole, and gives it back: the reasons of what failed."""
    process = scratch.start(words)
    room = scratch.files / "somebody's"
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    scratch.next_trial(process)
    time.sleep(0.1)  # it is storing by then
    before = len(helper.record_lines(scratch.out))
    helper.take_room(room)
    helper.wait_for("a record of it", lambda: len(helper.record_lines(scratch.out)) > before)
    helper.give_room_back(room)
    _, error = process.communicate(timeout=60)
    found = helper.records(scratch.out)
    assert process.returncode in (0, 5) and len(found) == 5, (process.returncode, error)
    return helper.reasons(found)


def test_disk_fills_under_holes(scratch: helper.Scratch) -> None:
    """A store that gets no block ends its process by SIGBUS: that is the reason, and the run goes on. What asks for a
    block by a call, before a batch, is told so instead: then it is tried again."""
    path = scratch.path / "holes.yaml"
    path.write_text(HOLES)
    words = ["run", str(path), "--profile", "quick", "--directory", str(scratch.files), "--no-report", "--out",
             str(scratch.out)]

    def check(kind: str) -> None:
        for _ in range(6):
            shutil.rmtree(scratch.out, ignore_errors=True)
            why = fill_under_stores(scratch, words)
            assert all(re.search("SIGBUS|MiB are free|No space left", reason) for reason in why), (kind, why)
            if any("SIGBUS" in reason and "its disk is full" in reason for reason in why):
                return
        raise AssertionError(f"{kind}: no store was ever SIGBUS")

    on_each_kind(scratch, check)


def test_file_shrinks_on_every_filesystem(scratch: helper.Scratch) -> None:
    """The user's file lies on each in turn, and is cut under a mapping."""
    def check(kind: str) -> None:
        path = scratch.files / "yours"
        path.write_bytes(os.urandom(FILE_BYTES))
        words = scratch.run_words("--file", str(path), arms=helper.MAPPED, arm_time="400ms", blocks="4KiB", trials=2)
        process = scratch.start(words)
        helper.wait_for("a trial", lambda: scratch.trial_processes(process.pid))
        time.sleep(0.5)  # it is timing batches by then
        os.truncate(path, 4096)
        _, error = process.communicate(timeout=60)
        why = helper.reasons(helper.records(scratch.out))
        assert process.returncode == 5, (kind, process.returncode, error)
        assert any("SIGBUS" in reason and "the file shrank" in reason for reason in why), (kind, why)
        path.unlink()

    on_each_kind(scratch, check)


def test_a_soak_is_no_process_that_stands_still(scratch: helper.Scratch) -> None:
    """The deadline is put off by what the counted operations rest, by their method's own word: here four seconds."""
    words = ("run", "sync/background", "--profile", "quick", "--set", "count_ops=40", "--deadline", "3s")
    helper.check_status(scratch.call([*words, "--quiet", "--out", str(scratch.out)]), 0)
    (record,) = helper.records(scratch.out)
    assert [arm["status"] for arm in record["arms"]] == ["ok"], record["arms"]


helper.main(globals())
