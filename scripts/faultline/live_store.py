# SPDX-License-Identifier: MIT
"""What a live comparison writes, so that everything can be concluded again from files.

DIR/base, DIR/candidate      two runs, as `faultline run` writes them; with controls DIR/control-first, control-second
DIR/pairs.jsonl              one object a pair (faultline.pair/1): which trials of which runs belong together
DIR/live.json                what was compared with what, and what was left out (faultline.live/1)
"""

from __future__ import annotations

import datetime
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from faultline import files
from faultline.live_sides import BASE, CANDIDATE, LiveSide, narrowed, tool_of
from faultline.pairing import LeftOut
from faultline.records import LineError, Problem, RecordsError, get, json_load, json_parse, schema_check

PAIR, LIVE = "faultline.pair/1", "faultline.live/1"
CONTROLS = ("control-first", "control-second")
STATUSES = ("ok", "failed")
PADDING_MAX = 4096  # bytes of environment: a page of stack, as in a run (bench/runner.c)
SEED_MAX = 1 << 53  # exact in any JSON reader


@dataclass(frozen=True)
class PairLine:
    """Two trials that took turns: number `trial` of the run `first` and of the run `second`."""

    scenario: str
    cell: str
    trial: int
    first: str
    second: str
    starter: str  # "first" or "second"
    seed: int
    cpus: tuple[int, ...]
    environment_bytes: tuple[int, int]  # what each side's environment was filled up with
    started: str
    wall_s: float
    status: str = "ok"
    reason: str | None = None

    @property
    def is_control(self) -> bool:
        """Whether both trials are of the base."""
        return (self.first, self.second) != (BASE, CANDIDATE)


def now_text() -> str:
    """The time as records have it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def directory_make(out: Path | None, host: str) -> Path:
    """The directory of a comparison: `out` itself when it is absent or empty, else a new one inside it; without `out` a
    new one in the current directory. OSError when it cannot be made."""
    name = re.sub(r"[^A-Za-z0-9]", "-", host)[:39] or "host"
    stamped = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{name}-live-{secrets.token_hex(3)}"
    path = Path(stamped) if out is None else out
    if path.is_dir() and any(path.iterdir()):
        path = path / stamped
    path.mkdir(parents=True, exist_ok=True)
    return path


def append(path: Path, line: bytes) -> None:
    """One write of a whole line at the end of a file; OSError when it is not written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{path}: a line was written in part only")
    finally:
        os.close(descriptor)


def written(word: str) -> str:
    """A word of the command line as JSON may hold it: bytes that are no text as \\xNN."""
    return os.fsencode(word).decode(errors="backslashreplace")


class RunWriter:
    """One run of the comparison."""

    def __init__(self, directory: Path, side: LiveSide, keys: Sequence[tuple[str, str]], argv: Sequence[str]) -> None:
        self.directory = directory
        self.count = 0
        cells = [cell for key, cell in side.cells().items() if key in keys]
        self.manifest: dict[str, Any] = {
            "schema": "faultline.manifest/1",
            "run": written(f"{directory.parent.name}/{directory.name}"),
            "tool": tool_of(side.machine),
            "plan": narrowed(side.plan, cells),
            "argv": list(argv),
            "started": now_text(),
            "ended": None,
            "seed": side.plan["seed"],
            "machine": side.fingerprint.hash,
            "exit_status": None,
            "expected": None,
            "finished": 0,
            "stopped": None,
        }
        directory.mkdir()
        files.replace_json(directory / "machine.json", side.machine)
        (directory / "trials.jsonl").touch()
        self.put()

    def put(self) -> None:
        """Writes the manifest."""
        files.replace_json(self.directory / "manifest.json", self.manifest)

    def append(self, record: bytes) -> None:
        """A record as the trial printed it, without its newline."""
        append(self.directory / "trials.jsonl", record + b"\n")
        self.count += 1

    def close(self, stopped: str, machine_after: str | None) -> None:
        """The manifest of a run that has ended."""
        self.manifest |= {"ended": now_text(), "expected": self.count, "finished": self.count, "stopped": stopped}
        if machine_after is not None:
            self.manifest["machine_after"] = machine_after
        self.put()


def exit_put(directory: Path, runs: Iterable[str], status: int) -> None:
    """Writes what the comparison ends with into live.json and the manifests of these runs. RecordsError or OSError."""
    places = {directory / name / "manifest.json": ("faultline.manifest", "exit_status") for name in runs}
    for path, (name, key) in (places | {directory / "live.json": ("faultline.live", "exit")}).items():
        files.replace_json(path, {**json_load(path, name), key: status})


def pair_text(pair: PairLine) -> bytes:
    """A line of pairs.jsonl."""
    return json.dumps({"schema": PAIR, **asdict(pair)}, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def numbers(value: Mapping[str, Any], key: str, below: int) -> tuple[int, ...]:
    """A member that is a list of whole numbers from 0; LineError when it is none."""
    found = get(value, key, list)
    if not all(type(one) is int and 0 <= one < below for one in found):
        raise LineError(f'"{key}" is no list of whole numbers from 0 to {below - 1}')
    return tuple(found)


def whole(value: Mapping[str, Any], key: str, below: int) -> int:
    """A member that is a whole number from 0; LineError when it is none."""
    found: int = get(value, key, int)
    if not 0 <= found < below:
        raise LineError(f'"{key}" is no whole number from 0 to {below - 1}')
    return found


def pair_read(value: Any) -> PairLine:
    """The reverse; LineError when it is none."""
    try:
        schema_check(value, "faultline.pair")
    except RecordsError as error:
        raise LineError(str(error)) from None
    cpus, padding = numbers(value, "cpus", 1 << 16), numbers(value, "environment_bytes", PADDING_MAX)
    if not cpus or len(set(cpus)) != len(cpus) or len(padding) != 2:
        raise LineError('"cpus" or "environment_bytes" has too few or too many numbers')
    pair = PairLine(
        scenario=get(value, "scenario", str),
        cell=get(value, "cell", str),
        trial=whole(value, "trial", 1 << 31),
        first=get(value, "first", str),
        second=get(value, "second", str),
        starter=get(value, "starter", str),
        seed=whole(value, "seed", SEED_MAX),
        cpus=cpus,
        environment_bytes=(padding[0], padding[1]),
        started=get(value, "started", str),
        wall_s=float(get(value, "wall_s", (int, float))),
        status=get(value, "status", str),
        reason=get(value, "reason", str, none=True),
    )
    if pair.starter not in ("first", "second") or pair.status not in STATUSES:
        raise LineError('"starter" or "status" is unknown')
    if (pair.reason is None) != (pair.status == "ok"):
        raise LineError('"status" and "reason" do not fit together')
    if (pair.first, pair.second) not in ((BASE, CANDIDATE), CONTROLS):
        raise LineError('"first" and "second" are no two runs that belong together')
    return pair


def pairs_load(path: Path) -> tuple[list[PairLine], list[Problem]]:
    """All pairs of a comparison and what was wrong with other lines; RecordsError when there is no such file."""
    pairs, problems = [], []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from None
    if lines[-1]:
        problems.append(Problem(f"{path.name}:{len(lines)}", "warning", "the last line is torn and ignored"))
    for number, line in enumerate(lines[:-1], 1):
        try:
            pairs.append(pair_read(json_parse(line)))
        except LineError as error:
            problems.append(Problem(f"{path.name}:{number}", "error", str(error)))
    return pairs, problems


def live_json(values: Mapping[str, Any], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """The object of live.json."""
    return {"schema": LIVE, **values, "left_out": [asdict(one) for one in left_out]}
