# SPDX-License-Identifier: MIT
"""The worked example of `git bisect run`: it finds the one commit that was made slow, and leaves nothing."""

import os
import shutil
import signal
import subprocess
import time

import helper

EXAMPLE = helper.TREE / "examples" / "bisect" / "bisect"
PLANTED = "Say whether two programs read the same bytes"  # it doubles the time of a pread and more


def needs_tools() -> None:
    """Skips the case where the library cannot be built, or git is not here."""
    for tool in ("git", "make", "cc"):
        if not shutil.which(tool):
            raise helper.Skip(f"needs {tool}")


def bisect(scratch: helper.Scratch, program: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """The example with this program and these further options, its temporary files in `files`."""
    settings = scratch.environment({"TMPDIR": str(scratch.files), **environment})
    return subprocess.run([EXAMPLE, program, *words], capture_output=True, text=True, env=settings, timeout=280,
                          check=False)


def test_the_slow_commit_is_found(scratch: helper.Scratch) -> None:
    """Ten commits, at most four steps."""
    needs_tools()
    if b"__asan_init" in helper.PROGRAM.read_bytes():
        raise helper.Skip("a sanitizer has to be loaded before the library")
    done = bisect(scratch, str(helper.PROGRAM), "--pairs", "8", "--delta", "30%", "--directory", str(scratch.files))
    assert done.returncode == 0, done
    after = done.stdout.split(" is the first bad commit\n")
    assert len(after) == 2 and PLANTED in after[1], done
    assert 1 <= done.stdout.count("\nrunning ") <= 4, done
    assert os.listdir(scratch.files) == [], os.listdir(scratch.files)


def test_what_cannot_be_told_is_skipped(scratch: helper.Scratch) -> None:
    """A commit that cannot be built, a wrong option: 125, so that git blames no commit. A wrong program is told."""
    needs_tools()
    step, tree = EXAMPLE.parent / "step", scratch.path / "library"
    tree.mkdir()
    settings = scratch.environment({"TMPDIR": str(scratch.files), "FAULTLINE": str(helper.PROGRAM), "GOOD": "good.so"})
    for makefile, message in (("libtally.so:\n\tfalse\n", "Error 1"), ("libtally.so:\n", "--pears")):
        (tree / "Makefile").write_text(makefile)
        done = subprocess.run([step, "--pears", "8"], cwd=tree, capture_output=True, text=True, env=settings,
                              timeout=120, check=False)
        assert done.returncode == 125 and message in done.stderr, done
    gone = bisect(scratch, str(scratch.path / "no-such-program"))
    assert gone.returncode == 2 and "no-such-program: no such program" in gone.stderr, gone
    assert os.listdir(scratch.files) == [], os.listdir(scratch.files)


def test_a_signal_ends_it_with_its_status(scratch: helper.Scratch) -> None:
    """128 and its number, once the step that is under way has ended; nothing is left. The program says when it began."""
    needs_tools()
    began, program = scratch.path / "began", scratch.path / "program"
    program.write_text(f"#!/bin/sh\n[ -e '{began}' ] || {{ : > '{began}'; sleep 1; }}\n")
    program.chmod(0o755)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        began.unlink(missing_ok=True)
        with subprocess.Popen([EXAMPLE, program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=scratch.environment({"TMPDIR": str(scratch.files)})) as running:
            end = time.monotonic() + 60
            while not began.exists() and running.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
            running.send_signal(number)
        assert running.returncode == 128 + number, (number, running.returncode)
        assert os.listdir(scratch.files) == [], os.listdir(scratch.files)


if __name__ == "__main__":
    helper.main(globals())
