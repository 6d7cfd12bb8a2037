# SPDX-License-Identifier: MIT
"""Two programs that measure alternately, a round each, and what one such pair says.

bench/turn.h has the protocol. The two programs are started together with the ends of two pipes; a byte is read before
each round (the side that starts skips the first) and one is written after it. Both rounds of a turn lie fractions of a
millisecond apart, so that what the machine does meanwhile happens to both. Sides that fail, hang or leave something
running are ended here, with all that they have started.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import json
import math
import os
import signal
import struct
import subprocess
import tempfile
import termios
import time
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Mapping, Protocol, Sequence

import numpy as np

from faultline import derive, schema
from faultline.command import Complaint
from faultline.records import LineError, RecordsError, trial_parse
from faultline.text import safe

WAIT_S = 120.0  # a pair that has not ended by then never will
GRACE_S = 5.0  # that a side gets to end by itself when the other has failed
POLL_S = 0.005
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class SideError(Complaint):
    """One of the two sides did not deliver; the text says which and why."""


class NotStarted(SideError):
    """It could not even be started."""


class Interrupted(Exception):
    """A signal asked us to end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number = number


@dataclass(frozen=True)
class Turn:
    """One side's ends of the two pipes, whether it has the first round, and how long it waits for the other's."""

    read_fd: int
    write_fd: int
    starts: bool
    wait_s: float = 30.0


class Player(Protocol):
    """A program that passes turns."""

    name: str

    def command(self, turn: Turn) -> tuple[list[str], bytes]:
        """Its command line and what it gets on standard input."""


class Side(Player, Protocol):
    """A program that passes turns and prints its times."""

    def times(self, output: bytes) -> np.ndarray:
        """From its standard output: ns of an operation in each round [rounds], NaN where void; SideError without
        them."""


@dataclass(frozen=True)
class Ended:
    """What a program left: its status as subprocess has it, what it printed, and what it complained about. was_late: it
    had to be ended."""

    status: int
    output: bytes
    errors: str
    was_late: bool = False

    @property
    def last_words(self) -> str:
        """The last line of its standard error, "" for none."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Program:
    """A command to be started, what it reads on standard input, and the descriptors that it gets besides."""

    name: str
    command: Sequence[str]
    given: bytes = b""
    fds: tuple[int, ...] = ()
    environment: Mapping[str, str] | None = field(default=None, repr=False)  # None: ours


@dataclass
class Running:
    """A started program with its files. It leads a process group of its own, which ends with it."""

    program: Program
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    errors: IO[bytes]

    def has_ended(self) -> bool:
        """Whether it has; it is not reaped, so that its number and its group's stay its own."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> None:
        """Ends it and all of its group that still run, and reaps it; SideError when it is not ours to end."""
        if self.process.returncode is not None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:
            if not self.has_ended():
                raise SideError(f"{self.program.name}: may not be ended: it runs as another user") from None
        self.process.wait()

    def close(self) -> None:
        """Closes its files."""
        self.output.close()
        self.errors.close()

    def read(self, was_late: bool) -> Ended:
        """What a program that was ended or has ended has left."""
        self.output.seek(0)
        self.errors.seek(0)
        errors = self.errors.read().decode(errors="replace").strip()
        return Ended(self.process.returncode, self.output.read(), errors, was_late)


def die_with(parent: int) -> None:
    """In a new process: it is not to outlive us, whatever ends us, and has not yet done so."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def start(program: Program) -> Running:
    """Starts a program with these descriptors and no others of ours; SideError when it cannot be started."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryFile() as given:
        output, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        given.write(program.given)
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(program.command),
                stdin=given,
                stdout=output,
                stderr=errors,
                pass_fds=program.fds,
                env=program.environment,
                start_new_session=True,
                preexec_fn=functools.partial(die_with, os.getpid()),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotStarted(f"{program.name}: cannot be started: {safe(error)}") from None
        stack.pop_all()
    return Running(program, process, output, errors)


def wait(running: Sequence[Running], wait_s: float, interrupted: Callable[[], int]) -> None:
    """Waits until all have ended or the time is over, and ends what each leaves of its group at once: whoever reads
    from it is told. When one has failed, the others have GRACE_S left."""
    limit = time.monotonic() + wait_s
    open_ = list(running)
    while open_:
        for one in [one for one in open_ if one.has_ended()]:
            one.end()
            open_.remove(one)
            if one.process.returncode:
                limit = min(limit, time.monotonic() + GRACE_S)
        if interrupted():
            raise Interrupted(interrupted())
        if time.monotonic() > limit:
            return
        if open_:
            time.sleep(POLL_S)


def run_all(
    programs: Sequence[Program],
    wait_s: float,
    interrupted: Callable[[], int] = lambda: 0,
    after_start: Callable[[], None] = lambda: None,
) -> list[Ended]:
    """Runs programs side by side to their end. SideError when one cannot be started or they do not end in time,
    Interrupted when interrupted() names a signal; none of them is left running whatever happens. `after_start` is
    called once all are started, or one could not be."""
    running: list[Running] = []
    try:
        try:
            for program in programs:
                running.append(start(program))
        finally:
            after_start()
        wait(running, wait_s, interrupted)
        late = [not one.has_ended() for one in running]
        failed = end_all(running)
        if failed:
            raise failed
        ended = [one.read(was_late) for one, was_late in zip(running, late)]
        if any(late) and not any(end.status for end in ended if not end.was_late):
            names = " and ".join(one.program.name for one, was_late in zip(running, late) if was_late)
            raise SideError(f"{names} did not end within {wait_s:g} s")
        return ended
    finally:
        end_all(running)  # what raises now is told; that one may not be ended is not, beside that
        for one in running:
            one.close()


def end_all(running: Sequence[Running]) -> SideError | None:
    """Ends every one of them, also when one may not be ended; why one may not."""
    failed = None
    for one in running:
        try:
            one.end()
        except SideError as error:
            failed = error
    return failed


def play(
    starter: Player,
    follower: Player,
    wait_s: float = WAIT_S,
    interrupted: Callable[[], int] = lambda: 0,
    environments: Sequence[Mapping[str, str] | None] = (None, None),
) -> list[Ended]:
    """Runs two sides against each other: what starter and follower have left. Errors as in run_all."""
    return play_proven(starter, follower, wait_s, interrupted, environments)[0]


def play_proven(
    starter: Player,
    follower: Player,
    wait_s: float = WAIT_S,
    interrupted: Callable[[], int] = lambda: 0,
    environments: Sequence[Mapping[str, str] | None] = (None, None),
) -> tuple[list[Ended], bool]:
    """The same, and whether they passed turns to the end: the starter skips its first wait, so that of all the bytes
    that the follower has written one, the last, is left. Programs that know no turns write none."""
    to_follower, to_starter = os.pipe(), os.pipe()
    witness = os.dup(to_starter[0])

    def close_ends() -> None:
        for fd in (*to_follower, *to_starter):  # only the sides hold them now: when one goes, the other is told
            os.close(fd)

    turns = Turn(to_starter[0], to_follower[1], True, wait_s), Turn(to_follower[0], to_starter[1], False, wait_s)
    programs = [
        Program(side.name, *side.command(turn), (turn.read_fd, turn.write_fd), environment)
        for side, turn, environment in zip((starter, follower), turns, environments)
    ]
    try:
        ended = run_all(programs, wait_s, interrupted, close_ends)
        return ended, bytes_waiting(witness) == 1
    finally:
        os.close(witness)


def bytes_waiting(fd: int) -> int:
    """Bytes in a pipe that nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0])


def status_text(status: int) -> str:
    """A status as subprocess has it, in words."""
    return f"status {status}" if status >= 0 else f"killed by signal {-status} ({signal.strsignal(-status)})"


def failures(names: Sequence[str], ended: Sequence[Ended]) -> list[tuple[str, Ended]]:
    """In words how each program failed that did so by itself, not by waiting for another; and what it left."""
    return [
        (f"{name}: {status_text(end.status)}", end)
        for name, end in zip(names, ended)
        if end.status and not end.was_late
    ]


def play_times(starter: Side, follower: Side, wait_s: float = WAIT_S) -> tuple[np.ndarray, np.ndarray]:
    """Runs two sides against each other; their times [rounds]. SideError when one fails or they do not end in time."""
    sides = starter, follower
    ended = play(starter, follower, wait_s)
    for text, end in failures([side.name for side in sides], ended):
        raise SideError(f"{text}: {safe(end.errors)}" if end.errors else text)
    starter_ns, follower_ns = (side.times(end.output) for side, end in zip(sides, ended))
    return starter_ns, follower_ns


def pair_log_ratio(starter_ns: np.ndarray, follower_ns: np.ndarray) -> float:
    """log(time of the starter ÷ time of the follower) of one pair, from the times of its rounds [rounds].

    The rounds ran as starter 0, follower 0, starter 1, follower 1 …: each round has a neighbour on both sides. The
    median of the ratios in which the starter came first and the median of those in which it came second are averaged.
    The very first round and the very last are left out: meanwhile the other side made its file, or counted already, and
    had the CPU too.
    """
    if starter_ns.size != follower_ns.size:
        raise SideError(f"{starter_ns.size} rounds on one side, {follower_ns.size} on the other")
    starter, follower = np.log(starter_ns[1:]), np.log(follower_ns[:-1])
    values = np.concatenate((starter[:-1] - follower[1:], starter - follower))
    ratio = derive.stratified(values, np.arange(values.size) < starter.size - 1)
    if ratio is None:
        raise SideError("no two neighbouring rounds")
    return ratio


@dataclass(frozen=True)
class Machine:
    """What a record says of the machine: the hash of its fingerprint, and its boot."""

    hash: str = "0" * 16
    boot_id: str = "0"


@dataclass(frozen=True)
class EngineSide:
    """A trial of one cell by a faultline program. `plan` has that cell alone; `ops`: operations a batch of each of its
    arms (of a worker), None to have them found out; `rounds`: 0 for as many as the plan wants."""

    launcher: Sequence[str]
    plan: Mapping[str, Any]
    ops: Sequence[int] | None
    rounds: int
    seed: int
    cpus: Sequence[int]
    name: str = "faultline"
    trial: int = 0
    process: int = 0
    directory: str | None = None  # where its file is made; None: the plan's
    file_name: str = "unused"
    machine: Machine = Machine()
    environment_bytes: int = 0
    pairs: Sequence[Mapping[str, Any]] | None = None  # the pair of CPUs that two workers are on

    def job(self, turn: Turn | None) -> dict[str, Any]:
        """The job of bench/trial.h; without a turn the side measures alone."""
        cell: dict[str, Any] = {
            "trial": self.trial,
            "seed": self.seed,
            "ops": None if self.ops is None else list(self.ops),
            "rounds": self.rounds,
        }
        if self.pairs is not None:
            cell["pairs"] = list(self.pairs)
        return {
            "plan": self.plan,
            "cells": [cell],
            "process": self.process,
            "seed": self.seed,
            "directory": self.plan["directory"] if self.directory is None else self.directory,
            "name": self.file_name,
            "cpus": list(self.cpus),
            "machine": self.machine.hash,
            "boot_id": self.machine.boot_id,
            "instance": None,
            "status_fd": None,
            "environment_bytes": self.environment_bytes,
            "turn": None
            if turn is None
            else {"read_fd": turn.read_fd, "write_fd": turn.write_fd, "starts": turn.starts,
                  "wait_s": math.ceil(turn.wait_s)},
        }

    def command(self, turn: Turn | None) -> tuple[list[str], bytes]:
        """As Side.command."""
        return [*self.launcher, "trial"], json.dumps(self.job(turn)).encode()

    def times(self, output: bytes) -> np.ndarray:
        """As Side.times, of the first arm."""
        try:
            trial, _ = trial_parse(output.rstrip(b"\n"), 1, schema.validator("faultline.trial/1"))
        except (EOFError, LineError, RecordsError, schema.SchemaError) as error:
            raise SideError(f"{self.name}: no record: {safe(error)}") from None
        arm = trial.arms[0]
        if arm.status != "ok":
            raise SideError(f"{self.name}: {arm.status}: {safe(arm.reason)}")
        return derive.ns_per_op(arm)
