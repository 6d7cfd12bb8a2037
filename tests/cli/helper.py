# SPDX-License-Identifier: MIT
"""What the tests of the command line share: running the program, reading its records, finding what it left behind.

A test file defines functions named test_*, each taking a Scratch, and ends with `helper.main(globals())`. Every one of
them is a case and is printed as a TAP line. The path of the program is the first argument of the test file.
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
import zlib
from collections.abc import Callable

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
TREE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
TRIALS = 3  # of a run for which it does not matter

# Two cells of three arms, and `trials` records a cell whatever the noise: no interval is as narrow as asked for.
SCENARIO = """question: Does it survive?
op: block read
delta: {delta}
common: {{file_bytes: {file_bytes}, recipe: write-64KiB, pattern: random, arm_time: {arm_time},
         batch_time: {batch_time}, count_ops: 8, latency: none}}
vary:
  block_bytes: [{blocks}]
arms:
{arms}
profiles:
  quick: {{trials: {trials}, precision: 0.0001%}}
"""
PREAD = "  - {name: pread, method: pread, buffer: reused}\n"
MAPPED = "  - {name: mapped, method: mmap, sharing: shared, consume: in_place, lifetime: kept}\n"


def command_of(process: int) -> bytes:
    """The words of a process, each ended by a 0 byte; b"" when it is gone."""
    try:
        return pathlib.Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


class Skip(Exception):
    """This case cannot run here; the text says why."""


class Scratch:
    """A folder of one case: `files` is where the program makes its files, `out` where a run may go."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.files = path / "files"
        self.out = path / "out"
        self.mark = uuid.uuid4().hex  # in the environment of all that is started here
        self.files.mkdir()

    def scenario(self, arms: str = PREAD + MAPPED, trials: int = TRIALS, arm_time: str = "1ms",
                 file_bytes: str = "256KiB", blocks: str = "64, 4KiB", delta: str = "0.0001%") -> str:
        """Writes a scenario file; returns its path. There are at most 200 batches: a long arm_time takes long ones."""
        batch_time = "10ms" if arm_time.endswith("00ms") else "50us"
        path = self.path / "survive.yaml"
        path.write_text(SCENARIO.format(arms=arms, trials=trials, arm_time=arm_time, batch_time=batch_time,
                                        file_bytes=file_bytes, blocks=blocks, delta=delta))
        return str(path)

    def run_words(self, *words: str, **scenario: object) -> list[str]:
        """Command line of a small run into `out`, its files in `files`; no report."""
        return ["run", self.scenario(**scenario), "--profile", "quick", "--directory", str(self.files), "--seed", "7",
                "--no-report", "--out", str(self.out), *words]

    def planned_words(self, **scenario: object) -> list[str]:
        """The same run from a plan made beforehand, so that the calls of planning are none of the run's."""
        words = self.run_words(**scenario)
        plan = self.path / "plan.json"
        result = self.call(["plan", "--json", *words[1:words.index("--no-report")]])
        check_status(result, 0)
        plan.write_text(result.stdout)
        return ["run", "--plan", str(plan), *words[words.index("--no-report"):]]

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """The environment children get, with the mark by which they are found."""
        return {**os.environ, "FAULTLINE_TEST_MARK": self.mark, **(extra or {})}

    def call(self, words: list[str], program: pathlib.Path = PROGRAM, prefix: list[str] | None = None,
             timeout: float = 120, environment: dict[str, str] | None = None,
             **options: object) -> subprocess.CompletedProcess:
        """Runs the program to its end; output as text."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.run([*(prefix or []), str(program), *words], text=True, timeout=timeout, check=False,
                              env=self.environment(environment), **options)

    def start(self, words: list[str], **options: object) -> subprocess.Popen:
        """Starts the program; output as text, to be collected by communicate()."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([str(PROGRAM), *words], text=True, env=self.environment(), **options)

    def processes(self) -> list[int]:
        """Living processes that bear the mark."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"FAULTLINE_TEST_MARK={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def trial_processes(self, parent: int) -> list[int]:
        """Those of them that measure, children of the given one. (Sanitizers give them helpers of the same name.)"""
        found = []
        for process in self.processes():
            with contextlib.suppress(OSError):
                stat = pathlib.Path(f"/proc/{process}/stat").read_text()
                if command_of(process) == b"faultline\0trial\0" and int(stat.rpartition(")")[2].split()[1]) == parent:
                    found.append(process)
        return found

    def next_trial(self, program: subprocess.Popen) -> int:
        """Waits for a trial process that is not there yet, and so is not about to end."""
        old = self.trial_processes(program.pid)
        (new,) = wait_for("a trial process", lambda: set(self.trial_processes(program.pid)) - set(old))
        return new

    def leftovers(self) -> list[str]:
        """What lies in the folder for files under test."""
        return sorted(path.name for path in self.files.iterdir())


def wait_for(what: str, condition: Callable[[], object], seconds: float = 30) -> object:
    """Waits until the condition holds and returns what it returned."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.002)
    return value


def check_gone(scratch: Scratch) -> None:
    """No process is left, and nothing in the folder for files."""
    wait_for("all processes to be gone", lambda: not scratch.processes(), 10)
    assert scratch.leftovers() == [], f"left behind: {scratch.leftovers()}"


def record_lines(run: pathlib.Path) -> list[bytes]:
    """Whole lines of trials.jsonl; [] when it is not there."""
    path = run / "trials.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def record_read(line: bytes) -> dict:
    """Parses one line after checking its crc32, which is that of the object without the crc."""
    match = re.fullmatch(rb'(.*),"crc32":"([0-9a-f]{8})"}\n', line)
    assert match, f"no whole record: {line[-80:]!r}"
    assert zlib.crc32(match[1] + b"}") == int(match[2], 16), f"wrong crc: {line[-80:]!r}"
    return json.loads(line)


def record_seal(body: bytes) -> bytes:
    """A whole line of an object's text: crc32 put in as the last member."""
    return body[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(body)


def records(run: pathlib.Path, torn: bool = False) -> list[dict]:
    """All records of a run: every crc right, none twice. With `torn` the last line may be half."""
    lines = record_lines(run)
    if torn and lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    found = [record_read(line) for line in lines]
    keys = [(record["scenario"], record["cell"], record["trial"]) for record in found]
    assert len(keys) == len(set(keys)), f"a record is there twice: {sorted(keys)}"
    return found


def manifest(run: pathlib.Path) -> dict:
    """The run's manifest."""
    return json.loads((run / "manifest.json").read_text())


def reasons(found: list[dict]) -> list[str]:
    """Why arms failed, over all records."""
    return [arm["reason"] for record in found for arm in record["arms"] if arm["status"] == "failed"]


def check_status(result: subprocess.CompletedProcess, status: int) -> None:
    """The exit status is this one."""
    assert result.returncode == status, \
        f"status {result.returncode}, not {status}\nstdout: {result.stdout}\nstderr: {result.stderr}"


def check_complete(run: pathlib.Path, cells: int = 2, trials: int = TRIALS) -> None:
    """Every cell has had every trial, once."""
    found = {(record["cell"], record["trial"]) for record in records(run)}
    assert {trial for _, trial in found} == set(range(trials)), sorted(found)
    assert len(found) == cells * trials, sorted(found)


def has_report() -> bool:
    """Whether the analysis stands beside the program."""
    return (PROGRAM.parent / "faultline-report").exists()


def needs_tool(name: str) -> None:
    """Skips the case when a program is not here."""
    if not shutil.which(name):
        raise Skip(f"{name} is not here")


def needs_strace() -> None:
    """Skips the case where strace is not here or may not trace. The leak check of sanitizers cannot run under it, and
    is turned off for the rest of this program."""
    needs_tool("strace")
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"strace cannot trace here: {done.stderr.strip()}")
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def needs_root() -> None:
    """Skips the case for other users."""
    if os.geteuid() != 0:
        raise Skip("needs root")


@functools.cache
def own_mounts() -> None:
    """Gives this process mounts of its own, which end with it; the case is skipped where that is forbidden."""
    needs_root()
    clone_newns, ms_rec_private = 0x20000, 0x4000 | 0x40000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newns) or libc.mount(None, b"/", None, ctypes.c_ulong(ms_rec_private), None):
        raise Skip(f"no mounts of its own: {os.strerror(ctypes.get_errno())}")


def mount_tmpfs(path: pathlib.Path, size: str) -> None:
    """Mounts a tmpfs; the case is skipped where that is forbidden."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise Skip(f"no tmpfs can be mounted: {done.stderr.strip()}")


def mount_image(image: pathlib.Path, path: pathlib.Path, kind: str, mib: int) -> None:
    """Makes an image of so many MiB, formats it as ext4, xfs or btrfs and mounts it by a loop device that goes with the
    mount; the case is skipped where that is forbidden or the program that formats is not here. Own mounts only."""
    tool = shutil.which(f"mkfs.{kind}", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not tool:
        raise Skip(f"mkfs.{kind} is not here")
    path.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(mib << 20)
    words = [tool, "-q", *(["-F", "-m", "0"] if kind == "ext4" else ["-f"]), str(image)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["mount", "-o", "loop", str(image), str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"no {kind} can be mounted: {done.stderr.strip()}")
    with contextlib.suppress(OSError):
        (path / "lost+found").rmdir()


def take_room(path: pathlib.Path, leave_mib: int = 0) -> None:
    """Makes a file of all blocks that its filesystem has left, but for so many MiB."""
    with path.open("wb") as file:
        at, step = 0, 16 << 20
        while step >= 4096:
            space = os.statvfs(path.parent)
            try:
                if space.f_bavail * space.f_frsize - (leave_mib << 20) < step:
                    raise OSError
                os.posix_fallocate(file.fileno(), at, step)
                at += step
            except OSError:
                step //= 2


def give_room_back(path: pathlib.Path) -> None:
    """Removes that file. btrfs gives its blocks back with its next transaction, which is not waited for but made."""
    path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    ctypes.CDLL(None).syncfs(folder)
    os.close(folder)


def unmount(path: pathlib.Path) -> None:
    """Takes a mount away again."""
    subprocess.run(["umount", str(path)], check=True)


def scratch_kill(scratch: Scratch) -> None:
    """Ends what a failed case has left running."""
    for process in scratch.processes():
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def run_case(number: int, name: str, case: Callable[[Scratch], None]) -> str:
    """Runs one case in a folder of its own and prints its TAP line; 'passed', 'failed' or 'skipped'."""
    # Not /tmp: that may be a tmpfs, where nothing is ever cold.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="faultline-test-", dir="/var/tmp"))
    scratch = Scratch(folder)
    begin = time.monotonic()
    try:
        case(scratch)
    except Skip as skip:
        print(f"ok {number} - {name} # SKIP {skip}", flush=True)
        return "skipped"
    except Exception:  # whatever it is, it is this case's failure and the next case's turn
        traceback.print_exc(file=sys.stdout)
        print(f"not ok {number} - {name}", flush=True)
        return "failed"
    finally:
        scratch_kill(scratch)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"ok {number} - {name} ({time.monotonic() - begin:.1f} s)", flush=True)
    return "passed"


def main(names: dict[str, object]) -> None:
    """Runs every test_* function of a module in order; 77 when none could run."""
    wanted = [word for word in sys.argv[2:] if not word.startswith("--")]
    cases = {name: case for name, case in names.items()
             if name.startswith("test_") and (not wanted or name.removeprefix("test_") in wanted)}
    results = [run_case(number, name.removeprefix("test_"), case)
               for number, (name, case) in enumerate(cases.items(), 1)]
    print(f"1..{len(results)}")
    sys.exit(1 if "failed" in results else SKIPPED if "passed" not in results else 0)
