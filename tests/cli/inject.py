# SPDX-License-Identifier: MIT
"""System calls that fail where they are told to (by strace): the arm, or the trial, says why, and the run goes on."""

import os
import pathlib
import shutil

import helper


def run_injected(scratch: helper.Scratch, call: str, error: str, when: str, *, follow: bool = True,
                 **options: object) -> tuple[int, list[dict], str]:
    """A run in which the calls `when` (strace's notation) of each of its processes fail; status, records, messages."""
    helper.needs_strace()
    prefix = ["strace", *(["-f"] if follow else []), "-qq", "-o", "/dev/null", "-e", f"trace={call}",
              "-e", f"inject={call}:error={error}:when={when}"]
    result = scratch.call(scratch.planned_words(**options), prefix=prefix)
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
    helper.check_status(scratch.call(scratch.planned_words(blocks="4KiB", trials=8), prefix=prefix), 0)
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


SYNCS = """question: Does it survive a sync that fails?
op: sync
delta: 0.0001%
common: {file_bytes: 256KiB, recipe: write-4KiB, arm_time: 1ms, batch_time: 50us, count_ops: 8, latency: none}
vary: {dirty_share: [100%]}
arms:
  - {name: msync, method: sync, sync: msync}
  - {name: sync_file_range, method: sync, sync: sync_file_range}
profiles:
  quick: {trials: 2, precision: 0.0001%}
"""


def sync_words(scratch: helper.Scratch) -> list[str]:
    """Command line of a run of two arms that sync, two trials of one cell."""
    path = scratch.path / "syncs.yaml"
    path.write_text(SYNCS)
    return ["run", str(path), *scratch.run_words()[2:]]


def run_syncs(scratch: helper.Scratch, call: str, error: str, when: str) -> list[dict]:
    """Such a run in which one of the calls fails; the records of its two trials."""
    helper.needs_strace()
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
              f"inject={call}:error={error}:when={when}"]
    result = scratch.call(sync_words(scratch), prefix=prefix)
    helper.check_status(result, 5)
    found = helper.records(scratch.out)
    assert len(found) == 2, "the run goes on"
    helper.check_gone(scratch)
    return found


def test_msync_fails(scratch: helper.Scratch) -> None:
    """What cannot be written back is the failure of the arm that asked for it; the other one is measured."""
    for error, text in (("EIO", "Input/output error"), ("ENOSPC", "No space left")):
        for record in run_syncs(scratch, "msync", error, "5+"):
            assert arm_of(record, "msync")["status"] == "failed" and text in arm_of(record, "msync")["reason"], record
            assert arm_of(record, "msync")["batch_ns"] == []
            assert arm_of(record, "sync_file_range")["status"] == "ok", arm_of(record, "sync_file_range")["reason"]
        shutil.rmtree(scratch.out)


def test_settling_fails(scratch: helper.Scratch) -> None:
    """fsync before a batch: no arm can be given the state it asks for, and each says why."""
    for record in run_syncs(scratch, "fsync", "EIO", "20+"):
        for arm in record["arms"]:
            assert arm["status"] == "failed" and "Input/output error" in arm["reason"], arm


def test_write_finds_no_space(scratch: helper.Scratch) -> None:
    """The arm that writes fails; the file it writes to was made before."""
    writes = "  - {name: pwrite, method: pwrite}\n"
    for error, text in (("ENOSPC", "No space left"), ("EIO", "Input/output error")):
        status, found, _ = run_injected(scratch, "pwrite64", error, "20+", arms=writes, blocks="4KiB", trials=2)
        assert status == 5 and len(found) == 2, status
        for record in found:
            assert arm_of(record, "pwrite")["status"] == "failed" and text in arm_of(record, "pwrite")["reason"], record
        shutil.rmtree(scratch.out)


def run_with_libfiu(scratch: helper.Scratch, fault: str, words: list[str]) -> tuple[int, list[dict]]:
    """A run below libfiu, another witness than strace: the call fails in the C library, the kernel never sees it."""
    helper.needs_tool("fiu-run")
    if b"__asan_init" in helper.PROGRAM.read_bytes():
        raise helper.Skip("a sanitizer has to be loaded before libfiu")
    # The thread that listens for further commands opens files whenever it likes: it is left out.
    prefix = ["fiu-run", "-x", "-f", str(scratch.path / "fiu"), "-c", fault, "env", "-u", "FIU_CTRL_FIFO"]
    result = scratch.call(words, prefix=prefix)
    found = helper.records(scratch.out)
    assert found, result.stderr
    helper.check_gone(scratch)
    return result.returncode, found


def test_libfiu_pread(scratch: helper.Scratch) -> None:
    """A read in a hundred fails."""
    status, found = run_with_libfiu(scratch, "enable_random name=posix/io/rw/pread,probability=0.01,failinfo=5",
                                    scratch.run_words(blocks="4KiB", trials=4))
    reasons = helper.reasons(found)
    assert status == 5 and len(found) == 4 and reasons, (status, reasons)
    assert all("Input/output error" in reason for reason in reasons), reasons


def test_libfiu_short_reads(scratch: helper.Scratch) -> None:
    """A read in a hundred brings less than it was asked for: that is other work, and fails the arm."""
    status, found = run_with_libfiu(scratch, "enable_random name=posix/io/rw/pread/reduce,probability=0.01",
                                    scratch.run_words(blocks="4KiB", trials=2))
    reasons = helper.reasons(found)
    assert status == 5 and len(found) == 2 and reasons, status
    assert all("No data available" in reason or "shorter" in reason for reason in reasons), reasons
    assert all(arm_of(record, "mapped")["status"] != "failed" for record in found), found


def test_libfiu_msync(scratch: helper.Scratch) -> None:
    status, found = run_with_libfiu(scratch, "enable name=posix/mm/msync,failinfo=5", sync_words(scratch))
    assert status == 5 and len(found) == 2, status
    for record in found:
        assert "Input/output error" in arm_of(record, "msync")["reason"], record
        assert arm_of(record, "sync_file_range")["status"] == "ok", arm_of(record, "sync_file_range")["reason"]


helper.main(globals())
