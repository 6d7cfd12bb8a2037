# SPDX-License-Identifier: MIT
"""System calls that fail where they are told to (by strace): the arm, or the trial, says why, and the run goes on."""

import os
import pathlib
import shutil

import helper


def run_injected(scratch: helper.Scratch, call: str, error: str, when: str, *words: str, follow: bool = True,
                 **options: object) -> tuple[int, list[dict], str]:
    """A run in which the calls `when` (strace's notation) of each of its processes fail; status, records, messages."""
    helper.needs_strace()
    prefix = ["strace", *(["-f"] if follow else []), "-qq", "-o", "/dev/null", "-e", f"trace={call}",
              "-e", f"inject={call}:error={error}:when={when}"]
    result = scratch.call(scratch.run_words(*words, **options), prefix=prefix)
    assert "Sanitizer" not in result.stderr, result.stderr
    found = helper.records(scratch.out)
    helper.check_gone(scratch)
    return result.returncode, found, result.stderr


def arm_of(record: dict, name: str) -> dict:
    return next(arm for arm in record["arms"] if arm["name"] == name)


def test_pread_fails(scratch: helper.Scratch) -> None:
    """The arm that reads fails, the one that maps is measured."""
    status, found, _ = run_injected(scratch, "pread64", "EIO", "5+", blocks="4KiB", trials=2)
    assert status == 5 and len(found) == 2
    for record in found:
        assert arm_of(record, "pread")["status"] == "failed"
        assert "Input/output error" in arm_of(record, "pread")["reason"]
        assert arm_of(record, "pread")["batch_ns"] == arm_of(record, "pread")["order"] == []
        assert arm_of(record, "mapped")["status"] == "ok", arm_of(record, "mapped")["reason"]


def test_pread_fails_once(scratch: helper.Scratch) -> None:
    """One bad read in the middle ends its arm, for that trial only as far as the others go."""
    status, found, _ = run_injected(scratch, "pread64", "EIO", "3000", blocks="4KiB", trials=2, arm_time="2ms")
    assert status == 5 and len(found) == 2
    reasons = helper.reasons(found)
    assert reasons and all("Input/output error" in reason for reason in reasons), reasons
    assert any(arm["status"] == "ok" for record in found for arm in record["arms"])


def test_short_reads(scratch: helper.Scratch) -> None:
    """A read that brings nothing is no success."""
    helper.needs_strace()
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", "inject=pread64:retval=0:when=5+"]
    result = scratch.call(scratch.run_words(blocks="4KiB", trials=2), prefix=prefix)
    helper.check_status(result, 5)
    for record in helper.records(scratch.out):
        assert arm_of(record, "pread")["status"] == "failed" and arm_of(record, "pread")["reason"]


def run_on_file(scratch: helper.Scratch, call: str, error: str, when: str, status: int = 5) -> list[dict]:
    """A run on a file of the user's, of which only the calls on that file fail. The records."""
    path = scratch.path / "yours"
    path.write_bytes(os.urandom(1 << 20))
    helper.needs_strace()
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-e", f"trace={call}",
              "-e", f"inject={call}:error={error}:when={when}"]
    result = scratch.call(scratch.run_words("--file", str(path), blocks="4KiB", trials=2), prefix=prefix)
    helper.check_status(result, status)
    found = helper.records(scratch.out)
    assert len(found) == 2, "the run goes on"
    helper.check_gone(scratch)
    return found


def test_no_memory_to_map(scratch: helper.Scratch) -> None:
    """From the third mapping on: what comes before shows the recipe. The arm that reads is measured."""
    for record in run_on_file(scratch, "mmap", "ENOMEM", "2+"):
        assert "Cannot allocate memory" in arm_of(record, "mapped")["reason"]
        assert arm_of(record, "mapped")["batch_ns"] == []


def test_no_mapping_at_all(scratch: helper.Scratch) -> None:
    found = run_on_file(scratch, "mmap", "ENOMEM", "1+")
    assert any("Cannot allocate memory" in reason for reason in helper.reasons(found)), helper.reasons(found)


def test_fsync_fails(scratch: helper.Scratch) -> None:
    """A disk that cannot take what was written: nothing is measured on it, and every record says so."""
    for record in run_on_file(scratch, "fsync", "EIO", "1+"):
        assert all(arm["status"] == "failed" for arm in record["arms"]), record
        assert all("Input/output error" in arm["reason"] for arm in record["arms"]), record


def test_no_descriptors(scratch: helper.Scratch) -> None:
    """The file cannot be opened a second time, as arms do for themselves."""
    reasons = helper.reasons(run_on_file(scratch, "openat", "EMFILE", "2+"))
    assert reasons and all("oo many open files" in reason for reason in reasons), reasons


def test_own_files_cannot_be_synced(scratch: helper.Scratch) -> None:
    status, found, error = run_injected(scratch, "fsync", "EIO", "1", follow=False, blocks="4KiB", trials=2)
    assert status == 7 and found == [] and "Input/output error" in error, (status, error)


def test_file_cannot_be_written(scratch: helper.Scratch) -> None:
    """The file under test cannot be made; later trials try again."""
    status, found, _ = run_injected(scratch, "pwrite64", "EIO", "1", blocks="4KiB", trials=2)
    reasons = helper.reasons(found)
    assert status == 5 and len(found) == 2 and reasons
    assert all("Input/output error" in reason for reason in reasons), reasons


def calls_of_program(scratch: helper.Scratch, call: str) -> list[str]:
    """The calls that the program itself (not its trials) makes in a run, as strace shows them, in order; without those
    that a signal interrupted and that are made again."""
    helper.needs_strace()
    log = scratch.path / "log"
    prefix = ["strace", "-qq", "-s", "64", "-e", "signal=none", "-o", str(log), "-e", f"trace={call}"]
    helper.check_status(scratch.call(scratch.run_words(blocks="4KiB", trials=8), prefix=prefix), 0)
    shutil.rmtree(scratch.out)
    return [line for line in log.read_text().splitlines() if "ERESTART" not in line]


def test_fork_fails(scratch: helper.Scratch) -> None:
    """No process can be started any more: the run ends with words, and the records so far stay."""
    calls = "clone,clone3,fork,vfork"
    lines = calls_of_program(scratch, calls + ",pipe2")
    forks = [i for i, line in enumerate(lines) if not line.startswith("pipe2")]
    trials = [number for number, i in enumerate(forks, 1) if lines[i - 1].startswith("pipe2")]  # each gets a pipe first
    assert len(trials) == 8
    when = f"{trials[3]}+"
    status, found, error = run_injected(scratch, calls, "EAGAIN", when, follow=False, blocks="4KiB", trials=8)
    assert status == 7 and "temporarily unavailable" in error, (status, error)
    assert len(found) <= 3


def test_records_cannot_be_written(scratch: helper.Scratch) -> None:
    """An error of the disk that holds the results ends the run; what is there stays whole."""
    calls = calls_of_program(scratch, "write")
    writes = [number for number, line in enumerate(calls, 1) if "faultline.trial/1" in line]
    assert len(writes) == 8, "one write a record"
    when = str(writes[4])
    status, found, error = run_injected(scratch, "write", "EIO", when, follow=False, blocks="4KiB", trials=8)
    assert status == 7 and "trials.jsonl" in error and "Input/output error" in error, (status, error)
    assert len(found) == 4


def test_manifest_cannot_be_renamed(scratch: helper.Scratch) -> None:
    status, found, error = run_injected(scratch, "rename", "EIO", "3+", follow=False, blocks="4KiB", trials=2)
    assert status == 7 and "rename" in error and "Input/output error" in error, (status, error)
    assert len(found) == 2
    assert not list(pathlib.Path(scratch.out).glob("*.tmp"))
    assert helper.manifest(scratch.out)["ended"] is None, "the manifest of the beginning stays whole"


helper.main(globals())
