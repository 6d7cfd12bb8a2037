# SPDX-License-Identifier: MIT
"""The measuring half of a live comparison: calibration, pairs of trials that take turns, and when there are enough.

Sides, cells and CPUs come from live_sides, what is written goes to live_store, what it says is for live_rows.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np

from faultline import files, fingerprint, live_rows, pairing, schema, stats, verdict
from faultline.compare import vary_check
from faultline.live_rows import ArmPair, LiveResults, pair_arms
from faultline.live_sides import (
    BASE,
    CANDIDATE,
    IO,
    NO_ROOM,
    NOT_COMPARABLE,
    USAGE,
    Launcher,
    LiveCell,
    LiveError,
    LiveSide,
    allowed_cpus,
    answer,
    ask,
    cells_match,
    machines_check,
    place_cpus,
    preload_complaint,
    side_ask,
)
from faultline.live_store import (
    CONTROLS,
    PADDING_MAX,
    PairLine,
    RunWriter,
    append,
    directory_make,
    live_json,
    now_text,
    pair_text,
)
from faultline.pairing import FAILED, REFUSED, UNLIKE, LeftOut
from faultline.records import Arm, LineError, RecordsError, Trial, trial_parse
from faultline.text import percent, safe
from faultline.trial_pair import (
    WAIT_S,
    Ended,
    EngineSide,
    Interrupted,
    Program,
    SideError,
    failures,
    play_proven,
    run_all,
)

NAME = "faultline compare"
RUNGS = (8, 10, 15, 20, 30)  # pairs after which a cell is looked at
DELTA_PARTS = 5  # an interval is narrow enough when half its width is δ ÷ this: δ/2 beyond the margin is told then
FAILURES_MAX = 2  # a cell whose pairs fail this often is given up
ROUNDS_MAX = 200  # bench/schedule.h
ROUNDS_LEAST = 4  # that leave neighbours of both kinds when the first and the last are left out
MEANT = ("tool", "compiler")  # differences of the fingerprint that a live comparison is made for
DEADLINE_FACTOR = 10  # of the plan's estimate of a pair
QUIET_S = 2.0  # what takes no longer needs no progress
TELL_S = 10.0  # between two words on how far it is
FOLDER, LOCK, MARK = "faultline-run-", "lock", b"faultline working folder\n"  # bench/workdir.c sweeps what bears them
ENVIRONMENT = "FAULTLINE_PADDING"
MEMORY_FOLDER = "/dev/shm"


@dataclass(frozen=True)
class Settings:
    """What the user asked for. budget_s and delta: None for none, and for the scenarios'."""

    base: str
    candidate: str
    scenarios: Sequence[str]
    out: Path | None = None
    profile: str = "standard"
    seed: int | None = None
    budget_s: float | None = None
    delta: float | None = None
    pairs: int | None = None  # this many, however narrow the intervals
    controls: int = 0
    deadline_s: float | None = None  # None: as long as the plan's estimate makes likely
    directory: str | None = None
    set: Sequence[str] = ()
    cell: str | None = None
    arms: str | None = None
    vary: Sequence[str] = ()  # besides what is always meant
    fail_on: str = "slower"
    quiet: bool = False
    argv: Sequence[str] = ()

    @property
    def meant(self) -> list[str]:
        """What the sides may differ in."""
        return [*MEANT, *self.vary]

    @property
    def machine_words(self) -> list[str]:
        """What `machine` is asked with. A launcher may change the directory."""
        return ["--directory", os.path.abspath(self.directory)] if self.directory else []

    def plan_words(self, seed: int) -> list[str]:
        """What `plan` is asked with."""
        words = [*self.scenarios, "--profile", self.profile, "--seed", str(seed), *self.machine_words]
        words += [word for one in self.set for word in ("--set", one)]
        words += ["--cell", self.cell] if self.cell else []
        return words + (["--arms", self.arms] if self.arms else [])

    def told(self, seed: int) -> dict[str, Any]:
        """What live.json says of it."""
        return {
            "base": self.base, "candidate": self.candidate, "scenarios": list(self.scenarios), "profile": self.profile,
            "set": list(self.set), "cell": self.cell, "arms": self.arms, "directory": self.directory, "seed": seed,
            "delta": self.delta, "pairs": self.pairs, "budget_s": self.budget_s, "deadline_s": self.deadline_s,
            "controls": self.controls, "vary": self.meant, "fail_on": self.fail_on, "argv": list(self.argv),
        }


class Signals:
    """Catches what asks us to end, so that every way out goes by the same doors."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> "Signals":
        caught = [number for number in self.NUMBERS if signal.getsignal(number) != signal.SIG_IGN]  # as nohup leaves it
        self.before = {number: signal.signal(number, self.take) for number in caught}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def take(self, number: int, _: object) -> None:
        """Remembers the first one."""
        self.number = self.number or number

    def __call__(self) -> int:
        """The signal, 0 for none yet."""
        return self.number


class Folder:
    """Where the sides make their files: a folder with the name, the lock and the mark of a run's, so that the next run
    removes what a killed comparison has left."""

    def __init__(self, parent: str) -> None:
        sweep(Path(parent))
        self.path = self.make(Path(parent))
        self.lock = -1
        try:
            self.lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            os.write(self.lock, MARK)
        except OSError:
            self.remove()
            raise

    @staticmethod
    def make(parent: Path) -> Path:
        """A new folder; OSError when there can be none."""
        while True:
            path = parent / f"{FOLDER}{secrets.token_hex(3)}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                return path

    def clear(self) -> None:
        """Removes what a pair has left."""
        folder_clear(self.path)

    def remove(self) -> None:
        """Removes all of it."""
        try:
            folder_remove(self.path)
        finally:
            if self.lock >= 0:
                os.close(self.lock)


def folder_clear(path: Path) -> None:
    """Removes the files of a folder but for its lock."""
    for entry in path.iterdir():
        if entry.name != LOCK:
            entry.unlink(missing_ok=True)


def folder_remove(path: Path) -> None:
    """Removes a folder, its lock last: what is killed meanwhile is swept."""
    folder_clear(path)
    (path / LOCK).unlink(missing_ok=True)
    path.rmdir()


def sweep(parent: Path) -> None:
    """Removes what killed runs and comparisons have left here: folders of ours whose lock bears the mark and is held by
    nobody (bench/workdir.c). What cannot be removed stays: nothing of it is in the way."""
    for path in parent.glob(f"{FOLDER}??????"):
        with contextlib.suppress(OSError):
            lock = os.open(path / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                ours = not path.is_symlink() and path.stat().st_uid == os.geteuid()
                if ours and os.read(lock, len(MARK) + 1) == MARK:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    folder_remove(path)
            finally:
                os.close(lock)


@contextlib.contextmanager
def folders(cells: Sequence[LiveCell], parent: str) -> Iterator[Mapping[str, Folder]]:
    """The folders that these cells need, by backing; they are gone afterwards."""
    with contextlib.ExitStack() as stack:
        made = {"file": Folder(parent)}
        stack.callback(made["file"].remove)
        if any(cell.params.get("backing") == "tmpfs" for cell in cells):
            made["tmpfs"] = Folder(MEMORY_FOLDER)
            stack.callback(made["tmpfs"].remove)
        yield made


def pair_seed(seed: int, cell: LiveCell, kind: str, index: int) -> int:
    """Seed of one pair: of nothing but the comparison's and what is measured. 53 bits: exact in any JSON reader."""
    text = "\0".join((str(seed), *cell.key, kind, str(index)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 11


def starts_first(seed: int, cell: LiveCell, kind: str, index: int) -> bool:
    """Whether the first side of a pair has the first round: in one of every two pairs, drawn which. CPUs go by the
    number of the pair too, and neither is to depend on the other."""
    drawn = pair_seed(seed, cell, f"{kind} starter", index // 2) & 1
    return (index % 2 == 0) == bool(drawn)


def environment(padding: int) -> dict[str, str]:
    """Ours with a variable of that many bytes: where the stack begins is part of the noise between processes."""
    return {**os.environ, ENVIRONMENT: "x" * padding}


@dataclass
class CellState:
    """How far a cell is. family: arms of its scenario; logs: of each of its arms, over its pairs."""

    cell: LiveCell
    family: int = 1
    logs: dict[str, list[float]] = field(default_factory=dict)
    pairs: int = 0
    ops: list[int] | None = None
    rounds: int = 0
    failures: int = 0
    control_failures: int = 0
    is_finished: bool = False

    def half_width(self) -> float | None:
        """Of the widest interval of its arms, log ratio, at the level at which the family is told apart; None while one
        has none."""
        level = 1 - stats.ALPHA / self.family
        widths = [stats.hodges_lehmann(logs, level).half_width for logs in self.logs.values() if logs]
        known = [width for width in widths if width is not None]
        return max(known) if known and len(known) == len(widths) else None

    def is_precise(self) -> bool:
        """Whether all intervals are narrow enough."""
        width = self.half_width()
        return width is not None and width <= math.log1p(self.cell.delta) / DELTA_PARTS


def families_of(cells: Sequence[LiveCell]) -> Counter[str]:
    """How many arms each scenario has in all its cells."""
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.scenario] += len(cell.arms)
    return found


def rungs_of(family: int, pairs: int | None) -> tuple[int, ...]:
    """After how many pairs the cells of a family of that many arms are looked at: none with fewer than it needs for any
    verdict."""
    least = max(RUNGS[0], stats.trials_least(family))
    return (pairs,) if pairs else tuple(sorted({max(rung, least) for rung in RUNGS}))


class Progress:
    """What is said meanwhile, on standard error."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.begin = self.told = time.monotonic()

    def say(self, text: str) -> None:
        """A line, unless nothing is wanted."""
        if not self.quiet:
            print(f"{NAME}: {text}", file=sys.stderr, flush=True)
        self.told = time.monotonic()

    def is_due(self) -> bool:
        """Whether it has been quiet for long."""
        return time.monotonic() - self.told > TELL_S


@dataclass
class Trials:
    """What one pair left: both records as printed and as read."""

    lines: tuple[bytes, bytes]
    read: tuple[Trial, Trial]


class Measuring:
    """The pairs of a comparison, from the first calibration to the last line of pairs.jsonl."""

    def __init__(self, settings: Settings, sides: Mapping[str, LiveSide], cells: Sequence[LiveCell], seed: int,
                 directory: Path, progress: Progress, interrupted: Callable[[], int], begin: float) -> None:
        self.settings, self.sides, self.seed, self.directory = settings, sides, seed, directory
        self.progress, self.interrupted, self.begin = progress, interrupted, begin
        families = families_of(cells)
        self.states = [CellState(cell, families[cell.scenario]) for cell in cells]
        self.rungs = {scenario: rungs_of(family, settings.pairs) for scenario, family in families.items()}
        self.allowed = allowed_cpus(list(sides.values()))
        self.validator = schema.validator("faultline.trial/1")
        self.random = random.Random(seed)
        self.processes = 0
        self.alone_s, self.spent_s, self.spent_pairs = 0.0, 0.0, 0
        self.deadline_s = settings.deadline_s or max(WAIT_S, DEADLINE_FACTOR * planned_pair_s(sides[BASE].plan))
        self.left_out: list[LeftOut] = []
        keys = [cell.key for cell in cells]
        sides_of = {BASE: BASE, CANDIDATE: CANDIDATE} | (dict.fromkeys(CONTROLS, BASE) if settings.controls else {})
        self.writers = {
            name: RunWriter(directory / name, sides[side], keys, settings.argv) for name, side in sides_of.items()
        }
        (directory / "pairs.jsonl").touch()

    # ---- one pair ----

    def engine(self, state: CellState, side: str, seed: int, turn: int, folder: Path, **more: Any) -> EngineSide:
        """A trial process of a side."""
        cell, of = state.cell, self.sides[side]
        cpus = place_cpus(cell, self.sides[BASE], self.allowed, turn)
        self.processes += 1
        pairs = None
        if cell.workers == 2:
            pairs = [{"a": cpus[0], "b": cpus[1], "class": self.pair_class(cpus), "canary": False}]
        return EngineSide(
            of.launcher.words, cell.plans[side], state.ops, state.rounds, seed, cpus, trial=turn, pairs=pairs,
            process=self.processes - 1, directory=str(folder), machine=of.fingerprint, **more,
        )

    def pair_class(self, cpus: Sequence[int]) -> str:
        """The distance class of two CPUs as the base's plan names it, "" where it does not."""
        pairs = self.sides[BASE].plan.get("pairs", [])
        return next((str(p["class"]) for p in pairs if {p["a"], p["b"]} == set(cpus)), "")

    def record(self, name: str, ended: Ended, state: CellState) -> tuple[bytes, Trial]:
        """The one record that a trial printed; SideError when it is none of this cell."""
        line = ended.output.rstrip(b"\n")
        try:
            trial, _ = trial_parse(line, 1, self.validator)
        except (EOFError, LineError, RecordsError, schema.SchemaError) as error:
            why = safe(error) or "it is incomplete"
            said = f" ({safe(ended.last_words)})" if ended.last_words else ""
            raise SideError(f"{name}: printed no record: {why}{said}") from None
        if (trial.scenario, trial.cell) != state.cell.key or tuple(a.name for a in trial.arms) != state.cell.arms:
            raise SideError(f"{name}: printed a record of another cell")
        absent = preload_complaint(ended.errors)
        if absent:
            raise SideError(f"{name}: it ran without a library: {safe(absent)}")
        return line, trial

    def calibrate(self, state: CellState, folder: Folder) -> None:
        """Operations a batch of each arm and the number of rounds: from trials of the base alone, and of the candidate
        where the base does not have an arm. SideError when neither has any."""
        known: dict[str, Arm] = {}
        for side in (BASE, CANDIDATE):
            known |= {arm.name: arm for arm in self.calibration(state, side, folder) if name_is_open(known, arm.name)}
            if all(arm.status == "ok" for arm in known.values()):
                break
        arms = [known[name] for name in state.cell.arms]
        failed = [f"{safe(arm.name)}: {safe(arm.reason)}" for arm in arms if arm.status == "failed"]
        good = [arm for arm in arms if arm.status == "ok"]
        if not good:
            raise SideError("no arm was measured: " + "; ".join(failed or [safe(arms[0].reason)]))
        if failed:
            self.left_out.append(LeftOut(*state.cell.key, "; ".join(failed), FAILED))
        state.ops = [ops_of_worker(arm) for arm in arms]
        state.rounds = rounds_of(good, len(arms), int(state.cell.params.get("arm_time", 0)))

    def calibration(self, state: CellState, side: str, folder: Folder) -> tuple[Arm, ...]:
        """The arms of a trial of one side alone; of a second one when the first failed, or some arm in it. SideError
        when neither delivered."""
        for attempt in range(FAILURES_MAX):
            is_last = attempt + 1 == FAILURES_MAX
            try:
                trial = self.alone(state, side, attempt, folder)
            except SideError:
                if is_last:
                    raise
                continue
            if is_last or not any(arm.status == "failed" for arm in trial.arms):
                return trial.arms
        raise AssertionError(attempt)

    def alone(self, state: CellState, side: str, attempt: int, folder: Folder) -> Trial:
        """One trial of one side, beside which nothing is measured."""
        seed = pair_seed(self.seed, state.cell, "calibration", attempt)
        engine = self.engine(state, side, seed, 0, folder.path, file_name="calibration")
        command, given = engine.command(None)
        begin = time.monotonic()
        try:
            (ended,) = run_all([Program(side, command, given)], self.deadline_s, self.interrupted)
        finally:
            folder.clear()
        self.alone_s = time.monotonic() - begin
        failed_check([side], [ended])
        return self.record(side, ended, state)[1]

    def pair(self, state: CellState, folder: Folder, index: int, is_control: bool) -> None:
        """One pair with everything that is written of it. A side that fails fails the pair."""
        kind, names = ("control", CONTROLS) if is_control else ("pair", (BASE, CANDIDATE))
        seed = pair_seed(self.seed, state.cell, kind, index)
        draw = random.Random(seed)
        paddings = draw.randrange(PADDING_MAX), draw.randrange(PADDING_MAX)
        sides = [
            self.engine(state, BASE if is_control else name, seed, index, folder.path, name=name, file_name=name,
                        environment_bytes=padding)
            for name, padding in zip(names, paddings)
        ]
        first_starts = starts_first(self.seed, state.cell, kind, index)
        started, begin = now_text(), time.monotonic()
        status, reason, trials = "ok", None, None
        try:
            trials = self.play(state, sides, paddings, first_starts)
        except SideError as error:
            status, reason = "failed", str(error)
        finally:
            folder.clear()
        wall_s = time.monotonic() - begin
        line = PairLine(*state.cell.key, index, *names, "first" if first_starts else "second", seed,
                        tuple(sides[0].cpus), paddings, started, round(wall_s, 3), status, reason)
        if trials is not None:
            for name, record in zip(names, trials.lines):
                self.writers[name].append(record)
        append(self.directory / "pairs.jsonl", pair_text(line))
        if is_control:
            state.control_failures += trials is None
        else:
            self.learn(state, trials, first_starts, reason)
        self.spent_s += wall_s
        self.spent_pairs += 1

    def play(
        self, state: CellState, sides: Sequence[EngineSide], paddings: Sequence[int], first_starts: bool
    ) -> Trials:
        """Both records of a pair; SideError when a side failed."""
        order = slice(None) if first_starts else slice(None, None, -1)
        environments = [environment(padding) for padding in paddings]
        ended, took_turns = play_proven(*list(sides)[order], self.deadline_s, self.interrupted, environments[order])
        ended = ended[order]
        failed_check([side.name for side in sides], ended)
        records = [self.record(side.name, end, state) for side, end in zip(sides, ended)]
        measured = [[arm for arm in trial.arms if arm.status == "ok"] for _, trial in records]
        if all(measured) and not took_turns:
            raise SideError("the two did not take turns: one of the programs does not pass them")
        if any(arm.batch_ns.size != state.rounds for arms in measured for arm in arms):
            raise SideError(f"not all have measured {state.rounds} rounds")
        return Trials((records[0][0], records[1][0]), (records[0][1], records[1][1]))

    def learn(self, state: CellState, trials: Trials | None, first_starts: bool, reason: str | None) -> None:
        """Takes over what a pair says, for the ladder."""
        state.pairs += 1
        found: dict[str, ArmPair] = {} if trials is None else pair_arms(*trials.read, first_starts)
        for name, one in found.items():
            if one.log is not None:
                state.logs.setdefault(name, []).append(one.log)
        if all(one.log is None for one in found.values()):
            state.failures += 1
            why = reason or "; ".join(dict.fromkeys(safe(one.reason) for one in found.values()))
            self.progress.say(f"{label(state.cell)}: pair {state.pairs - 1}: {why}")
            state.is_finished |= state.failures >= FAILURES_MAX

    # ---- the order of pairs ----

    def target(self, state: CellState) -> int:
        """Pairs that a cell is to have as far as is known: the next rung."""
        rungs = self.rungs[state.cell.scenario]
        return next((rung for rung in rungs if rung > state.pairs), state.pairs)

    def consult_ladder(self, state: CellState) -> None:
        """On precision only, never on significance: what the change is does not decide how long it is looked at."""
        rungs = self.rungs[state.cell.scenario]
        if state.is_finished or state.pairs < rungs[0]:
            return
        if state.pairs >= rungs[-1] or (state.pairs in rungs and state.is_precise()):
            state.is_finished = True
            width = state.half_width()
            shown = "" if width is None else f", ±{percent(math.expm1(width))}"
            if time.monotonic() - self.begin > QUIET_S:
                self.progress.say(f"{label(state.cell)}: {verdict.trials_text(state.pairs, 'pair')}{shown}")

    def each_s(self) -> float:
        """What a pair takes, as far as is known: from the pairs so far, else from a trial alone, else from the plan."""
        if self.spent_pairs:
            return self.spent_s / self.spent_pairs
        return 2 * self.alone_s if self.alone_s else planned_pair_s(self.sides[BASE].plan)

    def is_spent(self) -> bool:
        """Whether no further pair fits into the budget."""
        budget = self.settings.budget_s
        known_s = self.each_s() if self.alone_s else 0.0  # what only the plan believes keeps nothing from being tried
        return budget is not None and time.monotonic() - self.begin + known_s > budget

    def remaining_s(self) -> float:
        """Until all cells have reached their next rung."""
        pairs = sum(self.target(state) - state.pairs for state in self.states if not state.is_finished)
        rest = pairs * self.each_s()
        if self.settings.budget_s is not None:
            rest = min(rest, max(0.0, self.settings.budget_s - (time.monotonic() - self.begin)))
        return rest

    def tell(self) -> None:
        """How far it is, when that has not been told for long."""
        if self.progress.is_due():
            done, planned = (sum(of(s) for s in self.states) for of in (lambda s: s.pairs, self.target))
            self.progress.say(f"{done} of at least {planned} pairs, about {self.remaining_s():.0f} s to go")

    def cell_begin(self, state: CellState, folder: Folder) -> None:
        """Calibrates a cell; one that cannot be is left out."""
        try:
            place_cpus(state.cell, self.sides[BASE], self.allowed, 0)
            self.calibrate(state, folder)
        except (LiveError, SideError) as error:
            kind = REFUSED if isinstance(error, LiveError) else FAILED
            self.left_out.append(LeftOut(*state.cell.key, str(error), kind))
            state.is_finished = True

    def run(self, made: Mapping[str, Folder]) -> str:
        """Breadth first: every cell has had pair p before any has pair p + 1. Why it stopped."""
        folder_of = {id(s): made.get(str(s.cell.params.get("backing")), made["file"]) for s in self.states}
        index = 0
        for state in self.states:
            if self.is_spent():
                return "budget"
            self.cell_begin(state, folder_of[id(state)])
        while any(not state.is_finished for state in self.states):
            open_ = [state for state in self.states if not state.is_finished]
            self.random.shuffle(open_)
            for state in open_:
                if self.is_spent():
                    return "budget"
                self.pair(state, folder_of[id(state)], index, False)
                wants_control = index < self.settings.controls and state.control_failures < FAILURES_MAX
                if wants_control and not self.is_spent():
                    self.pair(state, folder_of[id(state)], index, True)
                self.consult_ladder(state)
                self.tell()
            index += 1
        if any(state.failures >= FAILURES_MAX for state in self.states):
            return "failures"
        return "precision" if all(state.is_precise() for state in self.states) else "pairs"


def failed_check(names: Sequence[str], ended: Sequence[Ended]) -> None:
    """SideError when programs failed by themselves, with the last that each said."""
    failed = failures(names, ended)
    if failed:
        told = (text + (f": {safe(end.last_words)}" if end.last_words else "") for text, end in failed)
        raise SideError("; ".join(told))


def name_is_open(known: Mapping[str, Arm], name: str) -> bool:
    """Whether an arm has not been measured yet."""
    return name not in known or known[name].status != "ok"


def planned_pair_s(plan: Mapping[str, Any]) -> float:
    """What a pair takes by the plan's estimate."""
    return 2 * float(plan["estimate_s"]["total"]) / max(1.0, float(plan["trials"]))


def ops_of_worker(arm: Arm) -> int:
    """Operations a batch of one of its timed workers, as a job has them; 0 for an arm that was not measured."""
    timed = 1 if arm.workers is None else max(1, int(np.isfinite(arm.workers).any(axis=1).sum()))
    return (arm.ops_per_batch or 0) // timed if arm.status == "ok" else 0


def rounds_of(arms: Sequence[Arm], arm_count: int, arm_time: int) -> int:
    """Rounds of each trial: as many as a trial alone had; or, where its warm-up was disturbed and it had fewer, those
    that arm_time (ns) has room for by the batches it then timed, in whole blocks of orders (bench/schedule.c); and
    never so few that nothing can be said."""
    ns = float(np.mean([np.nanmedian(arm.batch_ns) for arm in arms]))
    block = 2 * arm_count
    least = -(-ROUNDS_LEAST // block) * block
    return max(least, arms[0].batch_ns.size, int(min(ROUNDS_MAX, arm_time / ns)) // block * block)


def label(cell: LiveCell) -> str:
    """A cell as the user reads it."""
    return f"{safe(cell.scenario)} {safe(cell.cell)}"


def disk_check(sides: Mapping[str, LiveSide], directory: str) -> None:
    """Both sides' files must have room; LiveError otherwise."""
    try:
        space = os.statvfs(directory)
    except OSError as error:
        raise LiveError(f"{directory}: {error.strerror}", USAGE) from None
    room, needed = space.f_bavail * space.f_frsize, sum(int(side.plan["disk_bytes"]) for side in sides.values())
    if room < needed:
        raise LiveError(f"{directory}: both sides need {needed >> 20} MiB, {room >> 20} MiB are free", NO_ROOM)


def sides_ask(settings: Settings, seed: int, interrupted: Callable[[], int]) -> dict[str, LiveSide]:
    """Both sides with their plans; LiveError when one has none or they cannot be compared, UsageError when --vary names
    what nobody knows."""
    launchers = Launcher.parse(BASE, settings.base), Launcher.parse(CANDIDATE, settings.candidate)
    words = settings.plan_words(seed), settings.machine_words
    sides = {one.name: side_ask(one, *words, interrupted) for one in launchers}
    runs = [side.run for side in sides.values()]
    vary_check(settings.vary, fingerprint.keys_of(runs) | fingerprint.known_keys() | pairing.parameters(runs))
    machines_check(sides[BASE], sides[CANDIDATE], settings.meant)
    return sides


def machine_hash(side: LiveSide, settings: Settings, interrupted: Callable[[], int]) -> str:
    """The fingerprint once more; LiveError when the side no longer tells it."""
    ended = ask(side.launcher, ["machine", *settings.machine_words, "--json"], interrupted)
    found = answer(side.launcher, ended, "machine").get("hash")
    if not isinstance(found, str):
        raise LiveError(f"{side.name}: its machine has no hash", IO)
    return found


def announce(measuring: Measuring, cells: Sequence[LiveCell], left_out: Sequence[LeftOut], progress: Progress) -> None:
    """What is to come, and what is not. What sides have said is a warning: it is told in any case."""
    for side in measuring.sides.values():
        for remark in side.remarks:
            print(f"{NAME}: {side.name} says: {safe(remark)}", file=sys.stderr, flush=True)
    for one in left_out:
        progress.say(f"not compared: {safe(one)}")
    least = sum(measuring.rungs[cell.scenario][0] for cell in cells)
    seconds = measuring.remaining_s()
    if seconds > QUIET_S:
        cell_text = verdict.trials_text(len(cells), "cell")
        progress.say(f"{cell_text}, at least {verdict.trials_text(least, 'pair')} of trials, about {seconds:.0f} s")


def cells_find(sides: Mapping[str, LiveSide], settings: Settings) -> tuple[list[LiveCell], list[LeftOut]]:
    """What is compared, and what is left out; LiveError when nothing is left."""
    cells, left_out = cells_match(sides[BASE], sides[CANDIDATE], settings.delta, settings.meant)
    if not cells:
        unlike = any(one.kind == UNLIKE for one in left_out)
        why = "; ".join(str(one) for one in left_out[:3]) or "the plan has no cells"
        raise LiveError(f"nothing can be compared: {why}", NOT_COMPARABLE if unlike else IO)
    return cells, left_out


def finish(measuring: Measuring, stopped: str) -> None:
    """The manifests of runs that have ended. A side that no longer tells its machine has failed."""
    after: dict[str, str] = {}
    for name, side in measuring.sides.items():
        try:
            if not measuring.interrupted():
                after[name] = machine_hash(side, measuring.settings, measuring.interrupted)
        except Interrupted:
            pass
        except LiveError as error:
            scenarios = dict.fromkeys(state.cell.scenario for state in measuring.states)
            measuring.left_out += [LeftOut(scenario, None, str(error), FAILED) for scenario in scenarios]
    for name, writer in measuring.writers.items():
        writer.close(stopped, after.get(name if name in measuring.sides else BASE))


def measure(settings: Settings, signals: Signals) -> LiveResults:
    """Measures, writes and concludes. LiveError when there is nothing to compare, OSError when files cannot be written.
    A signal ends it early, with what there is by then."""
    begin = time.monotonic()
    progress = Progress(settings.quiet)
    seed = secrets.randbits(31) if settings.seed is None else settings.seed
    sides = sides_ask(settings, seed, signals)
    cells, left_out = cells_find(sides, settings)
    parent = str(sides[BASE].plan["directory"])
    disk_check(sides, parent)
    directory = directory_make(settings.out, str(sides[BASE].machine.get("name")))
    measuring = Measuring(settings, sides, cells, seed, directory, progress, signals, begin)
    announce(measuring, cells, left_out, progress)
    values: dict[str, Any] = settings.told(seed) | {
        "deadline_s": measuring.deadline_s, "started": now_text(), "ended": None, "stopped": None, "exit": None,
    }
    files.replace_json(directory / "live.json", live_json(values, left_out))
    stopped = "failures"
    try:
        with folders(cells, parent) as made:
            stopped = measuring.run(made)
    except Interrupted:
        stopped = "interrupted"
    finally:  # also when there is no room for a record: what there is by then is a whole run
        finish(measuring, stopped)
        for one in measuring.left_out:
            progress.say(f"not compared: {safe(one)}")
        values |= {"ended": now_text(), "stopped": stopped}
        files.replace_json(directory / "live.json", live_json(values, [*left_out, *measuring.left_out]))
    return live_rows.conclude(directory)
