# SPDX-License-Identifier: MIT
"""The second way to the figures of docs/scenarios/techniques-*.md: every command of it says all that it is to say.

It ends with status 1 where anything comes out as other bytes than went in. What it times is nobody's business here.
"""

import itertools
import os
import re
import subprocess
from collections.abc import Iterable

import helper

BARE = helper.PROGRAM.parent / "tests" / "bare_techniques"
FIGURE = re.compile(r"\b\d+\.\d+\b")
COUNT = re.compile(r"\b\d+ (faults|ns|KiB of memory|KiB of page tables|ns a touch)")


def names(output: str) -> list[str]:
    """Its lines, without the times and the counts in them."""
    return [COUNT.sub(r"N \1", FIGURE.sub("N", line)) for line in output.splitlines()]


def call(command: str) -> subprocess.CompletedProcess:
    """Runs one command to its end."""
    if not BARE.exists():
        raise helper.Skip(f"{BARE.name} was not built beside the program")
    if os.sysconf("SC_PAGESIZE") != 4096:
        raise helper.Skip("it is about pages of 4 KiB")
    return subprocess.run([str(BARE), command], capture_output=True, text=True, timeout=120, check=False)


def check(done: subprocess.CompletedProcess, expected: Iterable[str]) -> None:
    """Status 0 and these lines, no others and nothing said besides."""
    command = done.args[1]
    assert done.returncode == 0 and not done.stderr, (command, done.returncode, done.stderr)
    assert names(done.stdout) == list(expected), (command, done.stdout)


def test_ring(scratch: helper.Scratch) -> None:
    """Each ring, message and way; and what making the two kinds of ring takes."""
    ways = itertools.product((16, 16384), (16, 24, 1000), ("mirrored", "split", "mask", "modulo"))
    rings = [f"ring of {ring} KiB, {message} bytes, {way}: N ns" for ring, message, way in ways]
    made = "made and removed N us, a page stored to first N us, through the second view N us"
    check(call("ring"), [*rings, f"memfd: {made}", f"mremap: {made}"])


def test_growth(scratch: helper.Scratch) -> None:
    """Each size, by each way to grow."""
    done = call("growth")
    if "mallopt" in done.stderr:
        raise helper.Skip("the allocator of a sanitizer knows no thresholds")
    sizes = (4, 16, 64, 256, 1024, 16384, 65536)
    ways = itertools.product(sizes, ("memcpy to touched memory", "mremap", "realloc"))
    check(done, (f"{size} KiB, {way}: N us" for size, way in ways))


def test_reserve(scratch: helper.Scratch) -> None:
    """Each distance: memory, page tables and time."""
    rest = "N KiB of memory, N KiB of page tables, N ns a touch"
    check(call("reserve"), (f"{distance} KiB apart: {rest}" for distance in (4, 64, 2048, 32768, 1048576)))


def test_objects(scratch: helper.Scratch) -> None:
    """Packed and spread; of those that have a page each, each one faults."""
    done = call("objects")
    assert done.returncode == 0, done
    packed, spread = done.stdout.splitlines()
    assert re.fullmatch(r"malloc, \d+ bytes from one to the next: \d+ ns, \d+ faults", packed), packed
    assert re.fullmatch(r"a page each: \d+ ns, \d+ faults", spread), spread
    few, many = (int(line.split()[-2]) for line in (packed, spread))
    assert few < 512 <= many, (packed, spread)


def test_alias(scratch: helper.Scratch) -> None:
    """Each distance of two views."""
    rest = "N ns through one view, N ns in turns, N ns of two pages"
    check(call("alias"), (f"{distance} KiB apart: {rest}" for distance in (4, 1024, 131072, 262144, 1048576)))


def test_merge(scratch: helper.Scratch) -> None:
    """Each step of a merge, and the copy that is its competitor."""
    steps = ("protect", "copy", "remap", "punch", "copied to one")
    check(call("merge"), (f"{size} KiB, {step}: N us" for size, step in itertools.product((16, 64), steps)))


def test_files(scratch: helper.Scratch) -> None:
    """Each way to make a file that holds memory."""
    ways = ("memfd_create", "shm_open", "o_tmpfile", "o_creat")
    check(call("files"), (f"{way}: made N us, a page stored to first N us" for way in ways))


def test_refuses(scratch: helper.Scratch) -> None:
    """A command that it does not know."""
    done = call("none")
    assert done.returncode == 1 and not done.stdout, done
    assert done.stderr == "usage: bare_techniques ring|growth|reserve|objects|alias|merge|files\n", done.stderr


helper.main(globals())
