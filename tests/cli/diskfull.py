# SPDX-License-Identifier: MIT
"""Full disks and places that cannot be written: a clear message and status, and what was finished stays whole."""

import os
import pathlib
import shutil
import subprocess

import helper


def remount(path: pathlib.Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)


def test_directory_too_small(scratch: helper.Scratch) -> None:
    """Seen before anything is written, here or there."""
    helper.own_mounts()
    helper.mount_tmpfs(scratch.files, "2m")
    try:
        result = scratch.call(scratch.run_words(file_bytes="8MiB"))
        helper.check_status(result, 4)
        assert str(scratch.files) in result.stderr and "2 MiB are free" in result.stderr, result.stderr
        assert result.stdout == ""
        assert not scratch.out.exists()
        helper.check_gone(scratch)
    finally:
        helper.unmount(scratch.files)


def test_results_fill_the_disk(scratch: helper.Scratch) -> None:
    """The records that are there stay, and the run goes on as far as there is room each time."""
    helper.own_mounts()
    disk = scratch.path / "disk"
    helper.mount_tmpfs(disk, "96k")
    scratch.out = disk / "out"
    result, kept, full = scratch.call(scratch.run_words(trials=20)), [], 0
    try:
        for kib in range(160, 1024, 64):
            if result.returncode == 0:
                break
            full += 1
            helper.check_status(result, 7)
            assert str(scratch.out) in result.stderr and "o space left" in result.stderr, result.stderr
            helper.check_gone(scratch)
            lines = helper.record_lines(scratch.out)
            assert lines[:len(kept)] == kept and len(lines) == len(helper.records(scratch.out)) <= 40
            assert len(helper.manifest(scratch.out)["plan"]["cells"]) == 2, "the manifest stays whole"
            kept = lines
            remount(disk, f"{kib}k")
            result = scratch.call(["run", "--resume", str(scratch.out), "--no-report"])
        helper.check_status(result, 0)
        assert full >= 2 and kept, "the disk was never full"
        assert helper.record_lines(scratch.out)[:len(kept)] == kept
        helper.check_complete(scratch.out, trials=20)
    finally:
        helper.unmount(disk)


def test_no_room_to_begin(scratch: helper.Scratch) -> None:
    helper.own_mounts()
    disk = scratch.path / "disk"
    helper.mount_tmpfs(disk, "8k")
    scratch.out = disk / "out"
    try:
        result = scratch.call(scratch.run_words())
        helper.check_status(result, 7)
        assert "o space left" in result.stderr, result.stderr
        assert not list(disk.glob("**/*.tmp")), list(disk.glob("**/*"))
        helper.check_gone(scratch)
    finally:
        helper.unmount(disk)


def test_files_fill_the_disk_meanwhile(scratch: helper.Scratch) -> None:
    """Somebody takes the room during the run: those trials fail and say so, the run goes on."""
    helper.own_mounts()
    helper.mount_tmpfs(scratch.files, "64m")
    try:
        process = scratch.start(scratch.run_words(blocks="4KiB", trials=8, file_bytes="4MiB", arm_time="10ms"))
        helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
        with (scratch.files / "somebody's").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 50 << 20)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 5, (process.returncode, error)
        found = helper.records(scratch.out)
        why = helper.reasons(found)
        assert len(found) == 8 and why and all("MiB are free" in reason for reason in why), (len(found), why)
        (scratch.files / "somebody's").unlink()
        helper.check_gone(scratch)
    finally:
        helper.unmount(scratch.files)


def test_out_is_a_file(scratch: helper.Scratch) -> None:
    scratch.out.write_text("mine")
    result = scratch.call(scratch.run_words())
    helper.check_status(result, 7)
    assert str(scratch.out) in result.stderr and "directory" in result.stderr, result.stderr
    assert scratch.out.read_text() == "mine"
    scratch.out = scratch.out / "below" / "it"
    result = scratch.call(scratch.run_words())
    helper.check_status(result, 7)
    assert "Not a directory" in result.stderr, result.stderr
    helper.check_gone(scratch)


def test_out_is_empty(scratch: helper.Scratch) -> None:
    words = scratch.run_words()
    words[words.index("--out") + 1] = ""
    result = scratch.call(words, cwd=scratch.path)
    helper.check_status(result, 7)
    assert "--out" in result.stderr, result.stderr


def test_out_is_made_with_those_above_it(scratch: helper.Scratch) -> None:
    scratch.out = scratch.path / "not" / "yet" / "there"
    helper.check_status(scratch.call(scratch.run_words()), 0)
    helper.check_complete(scratch.out)


def test_out_is_used_or_gets_a_run(scratch: helper.Scratch) -> None:
    """An empty folder is the run; one with something in it gets a run with a name of its own."""
    scratch.out.mkdir()
    result = scratch.call(scratch.run_words())
    helper.check_status(result, 0)
    assert result.stdout.splitlines()[-1] == str(scratch.out)
    helper.check_complete(scratch.out)
    again = scratch.call(scratch.run_words())
    helper.check_status(again, 0)
    inner = pathlib.Path(again.stdout.splitlines()[-1])
    assert inner.parent == scratch.out and ":" not in inner.name, inner
    helper.check_complete(inner)


def test_out_cannot_be_written(scratch: helper.Scratch) -> None:
    helper.own_mounts()
    closed = scratch.path / "closed"
    helper.mount_tmpfs(closed, "1m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(closed)], check=True)
        scratch.out = closed / "out"
        result = scratch.call(scratch.run_words())
        helper.check_status(result, 7)
        assert str(scratch.out) in result.stderr and "ead-only" in result.stderr, result.stderr
        helper.check_gone(scratch)
    finally:
        helper.unmount(closed)


def test_directory_is_missing(scratch: helper.Scratch) -> None:
    words = scratch.run_words()
    words[words.index("--directory") + 1] = str(scratch.path / "missing")
    result = scratch.call(words)
    assert result.returncode in (2, 4, 7), result.returncode
    assert str(scratch.path / "missing") in result.stderr and "o such file" in result.stderr, result.stderr
    assert not scratch.out.exists()


def test_directory_cannot_be_written(scratch: helper.Scratch) -> None:
    helper.own_mounts()
    helper.mount_tmpfs(scratch.files, "64m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(scratch.files)], check=True)
        result = scratch.call(scratch.run_words())
        assert result.returncode in (4, 7), (result.returncode, result.stderr)
        assert str(scratch.files) in result.stderr and "ead-only" in result.stderr, result.stderr
        helper.check_gone(scratch)
    finally:
        helper.unmount(scratch.files)


KINDS = {"ext4": 64, "xfs": 320, "btrfs": 128}  # MiB of an image
SYNCS = """question: What does a sync say when the disk below is full?
op: sync
delta: 0.0001%
common: {file_bytes: 4MiB, recipe: write-4KiB, arm_time: 5ms, batch_time: 50us, count_ops: 8, latency: none}
vary: {dirty_share: [100%]}
arms:
  - {name: msync, method: sync, sync: msync}
  - {name: fsync, method: sync, sync: fsync}
profiles:
  quick: {trials: 12, precision: 0.0001%}
"""


def fill_during_run(scratch: helper.Scratch, words: list[str], room: pathlib.Path) -> tuple[int, list[dict]]:
    """Takes all room once a record is there, and gives it back when there are some more; status and records."""
    process = scratch.start(words)
    try:
        helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
        before = len(helper.record_lines(scratch.out))
        helper.take_room(room)
        helper.wait_for("records of a full disk", lambda: len(helper.record_lines(scratch.out)) >= before + 3
                        or process.poll() is not None)
    finally:
        helper.give_room_back(room)
    _, error = process.communicate(timeout=120)
    assert "Sanitizer" not in error, error
    return process.returncode, helper.records(scratch.out)


def check_full(scratch: helper.Scratch, kind: str) -> None:
    words = scratch.run_words(blocks="4KiB", trials=20, file_bytes="4MiB", arm_time="10ms")
    status, found = fill_during_run(scratch, words, scratch.files / "somebody's")
    why = helper.reasons(found)
    assert status == 5 and len(found) == 20, (kind, status, len(found))
    assert why and all("MiB are free" in reason or "No space left" in reason for reason in why), (kind, why)
    helper.check_gone(scratch)
    shutil.rmtree(scratch.out)
    again = scratch.call(scratch.run_words(blocks="4KiB", trials=2, file_bytes="4MiB"))
    helper.check_status(again, 0)  # there is room again
    helper.check_gone(scratch)
    shutil.rmtree(scratch.out)


def test_every_filesystem_full(scratch: helper.Scratch) -> None:
    """Trials that find no room say so, on each filesystem; what comes before and after is measured."""
    helper.own_mounts()
    for kind, mib in KINDS.items():
        helper.mount_image(scratch.path / "image", scratch.files, kind, mib)
        try:
            check_full(scratch, kind)
        finally:
            helper.unmount(scratch.files)
            (scratch.path / "image").unlink()


def test_disk_below_is_full(scratch: helper.Scratch) -> None:
    """A sparse image on a disk that fills up: writing back fails long after the store. The syncs report it, each record
    says so, and the run ends as it should."""
    helper.own_mounts()
    below = scratch.path / "below"
    helper.mount_tmpfs(below, "40m")
    try:
        helper.mount_image(below / "image", scratch.files, "ext4", 64)
        try:
            path = scratch.path / "syncs.yaml"
            path.write_text(SYNCS)
            process = scratch.start(["run", str(path), *scratch.run_words()[2:]])
            helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
            helper.take_room(below / "somebody's")
            _, error = process.communicate(timeout=120)
            assert process.returncode in (5, 7), (process.returncode, error)
            found = helper.records(scratch.out)
            why = helper.reasons(found)
            assert why and all(any(word in reason for word in ("Input/output error", "No space left", "Read-only"))
                               for reason in why), why
            assert any(arm["status"] == "ok" for arm in found[0]["arms"]), found[0]
            helper.wait_for("all processes to be gone", lambda: not scratch.processes(), 10)
        finally:
            helper.unmount(scratch.files)
    finally:
        helper.unmount(below)


helper.main(globals())
