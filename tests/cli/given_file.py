# SPDX-License-Identifier: MIT
"""The user's own file is only ever read, and leaves the page cache only when that is allowed."""

import ctypes
import hashlib
import json
import mmap
import os
import pathlib

import helper

FILE_BYTES = 8 << 20
PAGE = mmap.PAGESIZE


def make_file(scratch: helper.Scratch) -> pathlib.Path:
    path = scratch.path / "yours"
    with path.open("wb") as file:
        file.write(os.urandom(FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    os.utime(path, (1_000_000_000, 1_100_000_000))
    return path


def resident_pages(path: pathlib.Path) -> int:
    """Pages of the file in the page cache, by mincore, for one who may write it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        base = libc.mmap(None, ctypes.c_size_t(size), 1, 1, file.fileno(), ctypes.c_long(0))
        vector = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
        assert libc.mincore(ctypes.c_void_p(base), ctypes.c_size_t(size), vector) == 0
        libc.munmap(ctypes.c_void_p(base), ctypes.c_size_t(size))
    return sum(byte & 1 for byte in vector)


def identity(path: pathlib.Path) -> tuple:
    """Whatever shows that a file was written, or put in another's place."""
    status = path.stat()
    return (hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns, status.st_ctime_ns, status.st_size,
            status.st_ino, status.st_mode, status.st_nlink, status.st_uid)


def words_of(scratch: helper.Scratch, path: pathlib.Path, cache: str = "warm") -> list[str]:
    """A run on the file as it is found, in these cache states."""
    words = scratch.run_words("--file", str(path))
    scenario = pathlib.Path(words[1])
    scenario.write_text(scenario.read_text().replace("vary:\n", f"vary:\n  cache: [{cache}]\n"))
    return words


def test_unchanged(scratch: helper.Scratch) -> None:
    path = make_file(scratch)
    before = identity(path)
    pages = resident_pages(path)
    assert pages == FILE_BYTES // PAGE
    helper.check_status(scratch.call(words_of(scratch, path, "warm, as-found")), 0)
    assert resident_pages(path) >= pages
    assert identity(path) == before
    found = helper.records(scratch.out)
    kinds = {(record["params"]["backing"], record["params"]["file_bytes"]) for record in found}
    assert kinds == {("given", FILE_BYTES)}, kinds
    assert all(arm["status"] == "ok" for record in found for arm in record["arms"]), helper.reasons(found)
    assert helper.manifest(scratch.out)["plan"]["given_path"] == str(path)
    helper.check_gone(scratch)


def test_cold_is_refused(scratch: helper.Scratch) -> None:
    """Cold cells are listed with the reason, the others run, and nothing is evicted."""
    path = make_file(scratch)
    words = words_of(scratch, path, "warm, cold")
    planned = scratch.call(["plan", "--json", *words[1:words.index("--no-report")], "--file", str(path)])
    helper.check_status(planned, 0)
    refused = json.loads(planned.stdout)["refused"]
    assert len(refused) == 2, refused
    assert all("cold" in cell["cell"] and "--allow-evict" in cell["reason"] for cell in refused), refused
    pages = resident_pages(path)
    result = scratch.call(words)
    helper.check_status(result, 0)
    assert result.stderr.count("not run: ") == 2 and "--allow-evict" in result.stderr, result.stderr
    assert resident_pages(path) >= pages
    assert {record["params"]["cache"] for record in helper.records(scratch.out)} == {"warm"}
    assert helper.manifest(scratch.out)["plan"]["refused"] == refused


def test_only_cold_is_impossible(scratch: helper.Scratch) -> None:
    path = make_file(scratch)
    result = scratch.call(words_of(scratch, path, "cold"))
    helper.check_status(result, 2)
    assert "--allow-evict" in result.stderr, result.stderr
    assert not scratch.out.exists()
    assert resident_pages(path) == FILE_BYTES // PAGE


def test_cold_when_allowed(scratch: helper.Scratch) -> None:
    path = make_file(scratch)
    before = identity(path)
    result = scratch.call([*words_of(scratch, path, "cold"), "--allow-evict"])
    if result.returncode == 5:
        raise helper.Skip(f"nothing is ever cold here: {helper.reasons(helper.records(scratch.out))[0]}")
    helper.check_status(result, 0)
    found = helper.records(scratch.out)
    assert all(arm["proof"]["resident_before"] == 0 for record in found for arm in record["arms"])
    assert identity(path) == before


def test_just_written(scratch: helper.Scratch) -> None:
    """A file that is still dirty in memory can be measured warm."""
    path = scratch.path / "yours"
    path.write_bytes(os.urandom(FILE_BYTES))
    helper.check_status(scratch.call(words_of(scratch, path)), 0)


def test_copy(scratch: helper.Scratch) -> None:
    """Where a recipe is asked for, a private copy is what is measured."""
    path = make_file(scratch)
    before = identity(path)
    words = scratch.run_words("--file", str(path), "--set", "recipe=write-4KiB", "--set", "file_bytes=1MiB")
    helper.check_status(scratch.call(words), 0)
    found = helper.records(scratch.out)
    assert {(record["params"]["backing"], record["params"]["file_bytes"]) for record in found} == {("file", 1 << 20)}
    assert identity(path) == before
    helper.check_gone(scratch)


# Every way in which an arm, or the state that a cell demands, might write to the file or make a page of it dirty.
WRITERS = {
    "pwrite": "  - {name: a, method: pwrite}\n  - {name: b, method: pread}\n",
    "synced": "  - {name: a, method: pwrite, sync: fsync}\n",
    "store": "  - {name: a, method: mmap, access: store, sharing: shared}\n  - {name: b, method: mmap}\n",
    "store-per-pass": "  - {name: a, method: mmap, access: store, sharing: shared, lifetime: per_pass, sync: msync}\n",
    "store-private": "  - {name: a, method: mmap, access: store, sharing: private}\n",
    "populated": "  - {name: a, method: mmap, access: store, lifetime: per_pass, populate: populate_write}\n",
    "prior": "  - {name: a, method: first_touch, access: store, prior: stored}\n",
}


def check_copied(scratch: helper.Scratch, path: pathlib.Path, words: list[str], before: tuple) -> None:
    """The run was fine, on a private copy, and the file is what it was."""
    helper.check_status(scratch.call(words), 0)
    found = helper.records(scratch.out)
    assert {record["params"]["backing"] for record in found} == {"file"}, found[0]["params"]["backing"]
    assert all(arm["status"] == "ok" for record in found for arm in record["arms"]), helper.reasons(found)
    assert identity(path) == before
    helper.check_gone(scratch)


def test_writers_get_a_copy(scratch: helper.Scratch) -> None:
    path = make_file(scratch)
    before = identity(path)
    for name, arms in WRITERS.items():
        words = scratch.run_words("--file", str(path), arms=arms, blocks="4KiB", trials=1)
        scratch.out = scratch.path / f"out-{name}"
        words[words.index("--out") + 1] = str(scratch.out)
        check_copied(scratch, path, words, before)


def test_states_that_are_written_get_a_copy(scratch: helper.Scratch) -> None:
    """Nobody stores, but the cell wants dirty pages, in one place or the other; or --set makes an arm store."""
    path = make_file(scratch)
    before = identity(path)
    arms = "  - {name: a, method: mmap}\n"
    for number, (more, cache) in enumerate([(["--set", "cache=dirty"], ""), ([], "warm, dirty"),
                                            (["--set", "access=store"], "")]):
        words = scratch.run_words("--file", str(path), *more, arms=arms, trials=1)
        scenario = pathlib.Path(words[1])
        if cache:
            scenario.write_text(scenario.read_text().replace("vary:\n", f"vary:\n  cache: [{cache}]\n"))
        scratch.out = scratch.path / f"out-{number}"
        words[words.index("--out") + 1] = str(scratch.out)
        check_copied(scratch, path, words, before)


def test_never_opened_for_writing(scratch: helper.Scratch) -> None:
    """Seen from outside: no process opens the file otherwise than to read it, whatever the arms do."""
    helper.needs_strace()
    path = make_file(scratch)
    log = scratch.path / "strace.log"
    arms = "".join(f"  - {{name: {name}{line[line.index(','):]}\n" for name, line in
                   ((name, arms.splitlines()[0]) for name, arms in WRITERS.items()))
    words = scratch.run_words("--file", str(path), arms=arms, blocks="4KiB", trials=1)
    calls = "open,openat,openat2,creat,truncate,rename,renameat,renameat2,unlink,unlinkat"
    tracer = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-o", str(log)]
    helper.check_status(scratch.call(words, prefix=tracer), 0)
    lines = [line for line in log.read_text().splitlines() if f'"{path}"' in line]
    assert lines, "the copy was made from something else"
    assert all("O_RDONLY" in line for line in lines), lines


def test_protected_file(scratch: helper.Scratch) -> None:
    """One that may only be read, under a name with spaces, a quote and other letters."""
    path = make_file(scratch)
    odd = scratch.path / "it's “yours” now, ü"
    path.rename(odd)
    odd.chmod(0o444)
    before = identity(odd)
    helper.check_status(scratch.call(words_of(scratch, odd)), 0)
    assert identity(odd) == before


def test_no_such_thing(scratch: helper.Scratch) -> None:
    fifo = scratch.path / "fifo"
    os.mkfifo(fifo)
    (scratch.path / "empty").write_bytes(b"")
    for name in ("missing", ".", "fifo", "empty"):
        path = scratch.path / name
        result = scratch.call(words_of(scratch, path), timeout=20)
        helper.check_status(result, 2)
        assert str(path) in result.stderr, result.stderr
        assert not scratch.out.exists()


helper.main(globals())
