# SPDX-License-Identifier: MIT
"""The only reader of a run: RUN/manifest.json, RUN/trials.jsonl and, where it is there, RUN/machine.json.

What is wrong with one line never stops the others: the line is left out and named as a `Problem` with file and line.
What makes the whole run unreadable raises RecordsError.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping, Sequence

import numpy as np

from faultline import schema
from faultline.claim_plan import Claim, ClaimError, claim_read
from faultline.command import Complaint
from faultline.text import safe

STATUSES = ("ok", "failed", "unsupported", "skipped")
MAJOR = {
    "faultline.trial": 1,
    "faultline.manifest": 1,
    "faultline.plan": 1,
    "faultline.machine": 1,
    "faultline.summary": 1,
    "faultline.pair": 1,
    "faultline.live": 1,
}
CRC_TAIL = re.compile(rb',"crc32":"([0-9a-f]{8})"\}$')
RECORD_START = b'{"schema":"faultline.trial/'
PARAMETER = re.compile(r"[a-z0-9_]+")  # a parameter's name
PROOF_NUMBERS = ("pages", "recipe_pages", "recipe_faults")
LINE_MAX = 64 << 20  # bytes of one record: far above what 16 arms of 200 rounds with their histograms take
JSON_MAX = 256 << 20  # bytes of a whole file of JSON: far above the manifest of the largest plan
RECORDS_MAX = 4 << 30  # bytes of all records of a run
PIECE = 1 << 20
DEPTH_MAX = 32  # of lists and objects within each other; records have seven
COUNTER = re.compile(r"[A-Za-z0-9_.:=/,-]{1,256}")  # a counter's name
TAKEN = frozenset(("ns", "bytes"))  # no counters: the tables have ns_per_op and bytes_per_op of something else
RECORD_TAIL = re.compile(rb',"crc32":"[0-9a-f]{8}"\}')


class RecordsError(Complaint):
    """The run as a whole cannot be read; the text is one line for the user."""


class LineError(ValueError):
    """One record cannot be used; the text says why."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with one line: an "error" is lost or damaged data, a "warning" was expected to be possible."""

    where: str
    severity: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.severity}: {self.text}"


@dataclass(frozen=True)
class Histogram:
    """Counts of integer ns by log-linear bucket: index and count [buckets], ascending."""

    sub_bits: int
    index: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Latency:
    """The latency pass of an arm; `response` only in the open form."""

    mode: str
    interval_ns: int
    response: Histogram | None
    service: Histogram
    worst: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Samples:
    """What each batch did, with `timeline: yes`: float [batches], in the order of the rounds; NaN where unknown.

    t_ns: when it began, since the first timed round did; stretch: which uninterrupted run of the arm's batches it is
    of.
    """

    t_ns: np.ndarray
    ns: np.ndarray
    ops: np.ndarray
    read_bytes: np.ndarray
    major_faults: np.ndarray
    refaults: np.ndarray
    stretch: np.ndarray


@dataclass(frozen=True)
class Event:
    """A counter that was asked for: `name` is its key in counts. share: time on the CPU's counters ÷ time of the pass;
    passed: in which counting pass, 0 the first; both None where `reason` says why there is no count."""

    name: str
    event: str | None
    user_only: bool
    share: float | None
    passed: int | None
    reason: str | None


@dataclass(frozen=True)
class Visit:
    """Consecutive rounds of a trial that were measured with worker 0 on CPU a and worker 1 on CPU b (OS indices).

    level_class: the distance class of the two; canary: the one pair that is visited again and again; t_ns: when it
    began, since the first timed round did.
    """

    a: int
    b: int
    level_class: str | None
    rounds: int
    canary: bool
    t_ns: int


@dataclass(frozen=True)
class Arm:
    """One arm of one trial, as recorded. batch_ns: float [rounds], NaN where voided; order: int [rounds], its slot;
    workers: float [workers, rounds], own times, NaN where voided or not timed, None for a single worker."""

    name: str
    method: str
    method_version: int
    is_null: bool
    params: Mapping[str, Any]
    status: str
    reason: str | None
    ops_per_batch: int | None  # None for an arm that was not measured
    bytes_per_op: int | None
    batch_ns: np.ndarray
    order: np.ndarray
    voided: tuple[Mapping[str, Any], ...]
    checksum: str | None
    latency: Latency | None
    latency_reason: str | None
    counts: Mapping[str, Any] | None
    proof: Mapping[str, Any] | None
    samples: Samples | None = None
    events: tuple[Event, ...] = ()
    workers: np.ndarray | None = None


@dataclass(frozen=True)
class Trial:
    """One record: one cell of one trial."""

    scenario: str
    cell: str
    trial: int
    process: int
    params: Mapping[str, Any]
    clock: Mapping[str, Any]
    arms: tuple[Arm, ...]
    machine: str
    boot_id: str | None
    instance: str | None
    started: str
    line: int
    digest: bytes = b""  # of the line: the same in every copy of the record
    pairs: tuple[Visit, ...] | None = None  # of a cell that is measured on pairs of CPUs


@dataclass(frozen=True)
class ArmPlan:
    """An arm as the plan has it."""

    name: str
    method: str
    is_null: bool
    params: Mapping[str, Any]
    method_version: int | None = None


@dataclass(frozen=True)
class CellPlan:
    """A cell as the plan has it; arms[0] is the baseline."""

    scenario: str
    cell: str
    params: Mapping[str, Any]
    arms: tuple[ArmPlan, ...]


@dataclass(frozen=True)
class ScenarioPlan:
    """A scenario as the plan has it."""

    name: str
    question: str
    op: str
    delta: float
    hash: str | None
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Manifest:
    """What was to be run, and how far it came."""

    run: str
    scenarios: Mapping[str, ScenarioPlan]
    cells: tuple[CellPlan, ...]
    refused: tuple[Mapping[str, Any], ...]
    profile: str | None
    seed: int | None
    expected: int | None
    finished: int | None
    stopped: str | None
    machine: str | None
    machine_after: str | None  # the fingerprint when the run had ended
    tool: Mapping[str, Any]
    argv: tuple[str, ...]
    started: str | None
    ended: str | None


@dataclass(frozen=True)
class Run:
    """A run as read. `machine` is machine.json, or empty when there is none."""

    path: Path
    manifest: Manifest
    trials: tuple[Trial, ...]
    machine: Mapping[str, Any]
    problems: tuple[Problem, ...] = field(default=())


def constant_refuse(name: str) -> float:
    """NaN and Infinity are not JSON."""
    raise LineError(f"{name} is not a number in JSON")


def json_parse(text: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN, no Infinity, no duplicate keys, and nothing that `bounds_check` refuses; LineError
    otherwise."""
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=constant_refuse, object_pairs_hook=pairs_unique)
    except LineError:
        raise
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {safe(error)}") from None
    bounds_check(value, DEPTH_MAX)
    return value


def bounds_check(value: Any, depth: int) -> None:
    """LineError where a value holds what no program of ours writes and what would overflow, or could not be written,
    later: more than `depth` levels, numbers beyond 64 bits, halves of surrogate pairs."""
    if depth == 0:
        raise LineError(f"more than {DEPTH_MAX} lists or objects within each other")
    if isinstance(value, dict):
        for key in value:
            text_check(key)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,):
        kind = type(one)
        if kind is int:
            if not -1 << 63 <= one < 1 << 63:
                raise LineError(f"a whole number beyond 64 bits ({len(str(one).lstrip('-'))} digits)")
        elif kind is str:
            text_check(one)
        elif kind is float:
            if not math.isfinite(one):
                raise LineError("a number beyond the range of numbers")
        elif kind is dict or kind is list and not (depth > 1 and plain(one)):
            bounds_check(one, depth - 1)


def plain(values: list[Any]) -> bool:
    """Whether a list has nothing but whole numbers of 64 bits, as most of a record does, found out quickly."""
    return set(map(type, values)) == {int} and -1 << 63 <= min(values) and max(values) < 1 << 63


def text_check(text: str) -> None:
    """LineError for text that is none: a lone half of a surrogate pair, which no file can hold."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise LineError(f"{safe(text)[:100]} is no text: half of a surrogate pair")


def pairs_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these members; LineError when a name comes twice, since which one is meant cannot be known."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise LineError("a member name comes twice in one object")
    return made


def schema_check(value: Any, name: str) -> None:
    """The object must name its schema in a major version this reader knows; RecordsError otherwise."""
    found = value.get("schema") if isinstance(value, dict) else None
    match = re.fullmatch(r"(faultline\.[a-z]+)/(\d{1,6})(\.\d{1,6})?", found) if isinstance(found, str) else None
    if match is None or match[1] != name:
        raise RecordsError(f'expected schema "{name}/{MAJOR[name]}", found {safe(json.dumps(found))}')
    if int(match[2]) != MAJOR[name]:
        raise RecordsError(
            f'schema "{safe(found)}" is of another major version; this program reads {name}/{MAJOR[name]}'
        )


def get(source: Mapping[str, Any], key: str, kinds: type | tuple[type, ...], none: bool = False) -> Any:
    """A required member of one of these types (null too with `none`); LineError naming it otherwise. bool is no int."""
    value = source.get(key)
    if value is None and (none or key not in source):
        if none:
            return None
        raise LineError(f'"{key}" is missing')
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise LineError(f'"{key}" has the wrong type ({type(value).__name__})')
    if isinstance(value, float) and not math.isfinite(value):
        raise LineError(f'"{key}" is not a finite number')
    return value


def batches_read(values: list[Any], name: str) -> np.ndarray:
    """Batch times as float [rounds], NaN where null; LineError on anything but null and positive whole numbers."""
    if not all(v is None or (type(v) is int and 0 < v < 1 << 63) for v in values):
        raise LineError(f'"{name}" holds something else than null and positive whole numbers')
    return np.array([math.nan if v is None else float(v) for v in values], dtype=float)


def workers_read(lists: list[Any] | None, rounds: int) -> np.ndarray | None:
    """Times of each worker, float [workers, rounds]; LineError when a list is none of that many rounds."""
    if lists is None:
        return None
    if not all(isinstance(one, list) and len(one) == rounds for one in lists):
        raise LineError('"workers" and "batch_ns" do not fit together')
    return np.array([batches_read(one, "workers") for one in lists], dtype=float).reshape(len(lists), rounds)


def histogram_read(value: Mapping[str, Any]) -> Histogram:
    """A sparse histogram; LineError when indices do not rise or counts do not add up."""
    sub_bits = get(value, "sub_bits", int)
    pairs = get(value, "buckets", list)
    if not 0 < sub_bits < 16:
        raise LineError(f'"sub_bits" {sub_bits} is out of range')
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(v) is int and 0 <= v < 1 << 62 for v in pair)):
            raise LineError('"buckets" holds something else than [index, count]')
    index = np.array([p[0] for p in pairs], dtype=np.int64)
    count = np.array([p[1] for p in pairs], dtype=np.int64)
    if (np.diff(index) <= 0).any() or (index >= (65 - sub_bits) << sub_bits).any():
        raise LineError('"buckets" do not rise, or lie outside the histogram')
    if sum(p[1] for p in pairs) != get(value, "count", int):
        raise LineError('"buckets" do not add up to "count"')
    return Histogram(sub_bits, index, count)


def latency_read(value: Mapping[str, Any] | None) -> Latency | None:
    """The latency pass, or None where there was none."""
    if value is None:
        return None
    mode = get(value, "mode", str)
    if mode not in ("closed", "open"):
        raise LineError(f'"mode" {safe(mode)} is neither closed nor open')
    response = get(value, "response", dict, none=True)
    return Latency(
        mode,
        get(value, "interval_ns", int),
        None if response is None else histogram_read(response),
        histogram_read(get(value, "service", dict)),
        tuple(get(value, "worst", list, none=True) or ()),
    )


def counts_read(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Counts by name: numbers from 0 on, or null where unknown; LineError when a name is none of a counter."""
    return numbers_check(value, tuple(map(counter_name, value or ())))


def counter_name(name: str) -> str:
    """The same name; LineError when it is none that a counter can have: it becomes the name of a column."""
    if COUNTER.fullmatch(name) is None or name in TAKEN:
        raise LineError(f'"{safe(name)[:100]}" is no name of a counter')
    return name


def event_read(value: Mapping[str, Any]) -> Event:
    """One counter that was asked for; LineError when its share is none."""
    share = get(value, "share", (int, float), none=True)
    if share is not None and not 0 <= share <= 1:
        raise LineError(f'"share" {share} is not between 0 and 1')
    return Event(
        counter_name(get(value, "name", str)),
        get(value, "event", str, none=True),
        get(value, "user_only", bool),
        share,
        get(value, "pass", int, none=True),
        get(value, "reason", str, none=True),
    )


def samples_read(value: list[Any] | None) -> Samples | None:
    """The time line of an arm, or None where none was kept; a count that is null or absent is NaN."""
    if value is None:
        return None
    columns: dict[str, list[float]] = {name: [] for name in Samples.__dataclass_fields__}
    for sample in value:
        if not isinstance(sample, dict):
            raise LineError('"samples" holds something else than objects')
        for name, column in columns.items():
            needed = name in ("t_ns", "ns")
            found = get(sample, name, int, none=not needed)
            if found is not None and found < 0:
                raise LineError(f'"{name}" of a sample is negative')
            column.append(math.nan if found is None else float(found))
    return Samples(**{name: np.array(column, dtype=float) for name, column in columns.items()})


def visit_read(value: Any) -> Visit:
    """One visit of a pair of CPUs; LineError when it breaks the contract."""
    if not isinstance(value, dict):
        raise LineError('"pairs" holds something else than objects')
    a, b, rounds, t_ns = (get(value, key, int) for key in ("a", "b", "rounds", "t_ns"))
    if min(a, b, rounds, t_ns) < 0 or a == b:
        raise LineError('a visit of "pairs" has a negative number, or one CPU twice')
    return Visit(a, b, get(value, "class", str, none=True), rounds, get(value, "canary", bool), t_ns)


def visits_read(value: list[Any] | None, rounds: set[int]) -> tuple[Visit, ...] | None:
    """The visits of a record in the order of its rounds, None where there are none. `rounds`: how many the measured
    arms have."""
    if value is None:
        return None
    visits = tuple(visit_read(one) for one in value)
    if rounds and {sum(visit.rounds for visit in visits)} != rounds:
        raise LineError('the rounds of "pairs" do not add up to those of the arms')
    return visits


def numbers_check(value: Mapping[str, Any] | None, keys: Sequence[str]) -> Mapping[str, Any] | None:
    """The same object; LineError when one of these members is neither a number from 0 on nor null."""
    for key in keys if value is not None else ():
        if (get(value, key, (int, float), none=True) or 0) < 0:
            raise LineError(f'"{safe(key)}" is negative')
    return value


def arm_read(value: Mapping[str, Any]) -> Arm:
    """One arm of a record; LineError naming the arm when something is wrong with it."""
    if not isinstance(value, dict):
        raise LineError('"arms" holds something else than objects')
    name = get(value, "name", str)
    try:
        return arm_read_named(value, name)
    except LineError as error:
        raise LineError(f"arm {safe(name)}: {error}") from None


def arm_read_named(value: Mapping[str, Any], name: str) -> Arm:
    """The members of an arm. Lists of an arm that was not measured are empty; those of a measured one are equally
    long."""
    status = get(value, "status", str)
    if status not in STATUSES:
        raise LineError(f'"status" {safe(status)} is unknown')
    batch_ns = batches_read(get(value, "batch_ns", list), "batch_ns")
    order = get(value, "order", list)
    if not all(type(v) is int and 0 <= v < 4096 for v in order) or len(order) != batch_ns.size:
        raise LineError('"order" and "batch_ns" do not fit together')
    ops = get(value, "ops_per_batch", int, none=status != "ok")
    if status == "ok" and ops < 1:
        raise LineError('"ops_per_batch" is not positive')
    return Arm(
        name=name,
        method=get(value, "method", str),
        method_version=get(value, "method_version", int),
        is_null=bool(value.get("null", False)),
        params=get(value, "params", dict),
        status=status,
        reason=get(value, "reason", str, none=True),
        ops_per_batch=ops,
        bytes_per_op=get(value, "bytes_per_op", int, none=status != "ok"),
        batch_ns=batch_ns,
        order=np.array(order, dtype=int),
        voided=tuple(get(value, "voided", list, none=True) or ()),
        checksum=get(value, "checksum", str, none=True),
        latency=latency_read(get(value, "latency", dict, none=True)),
        latency_reason=get(value, "latency_reason", str, none=True),
        counts=counts_read(get(value, "counts", dict, none=True)),
        proof=numbers_check(get(value, "proof", dict, none=True), PROOF_NUMBERS),
        samples=samples_read(get(value, "samples", list, none=True)),
        events=tuple(event_read(one) for one in objects(value, "events", none=True)),
        workers=workers_read(get(value, "workers", list, none=True), batch_ns.size),
    )


def trial_read(value: Mapping[str, Any], line: int, digest: bytes) -> Trial:
    """One record; LineError when it breaks the contract. Unknown members are ignored."""
    arms = tuple(arm_read(arm) for arm in get(value, "arms", list))
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) != len(names):
        raise LineError("there are no arms, or two of one name")
    measured = {arm.batch_ns.size for arm in arms if arm.status == "ok"}
    if len(measured) > 1:
        raise LineError("arms differ in their number of rounds")
    return Trial(
        scenario=get(value, "scenario", str),
        cell=get(value, "cell", str),
        trial=get(value, "trial", int),
        process=get(value, "process", int),
        params=get(value, "params", dict),
        clock=numbers_check(get(value, "clock", dict), ("cost_ns", "grid_ns")) or {},
        arms=arms,
        machine=get(value, "machine", str),
        boot_id=get(value, "boot_id", str, none=True),
        instance=get(value, "instance", (str, int), none=True),
        started=get(value, "started", str),
        line=line,
        digest=digest,
        pairs=visits_read(get(value, "pairs", list, none=True), measured),
    )


def line_verify(line: bytes) -> tuple[bytes, str | None]:
    """The record's text with its crc confirmed, and a remark when a torn record had been glued in front of it.

    LineError when the line is incomplete or its crc does not fit.
    """
    tail = CRC_TAIL.search(line)
    if tail is None:
        raise LineError("there is no crc32 at its end: the line was cut or damaged")
    wanted = int(tail[1], 16)
    if zlib.crc32(line[: tail.start()] + b"}") == wanted:
        return line, None
    start = line.rfind(RECORD_START)
    if start > 0 and zlib.crc32(line[start : tail.start()] + b"}") == wanted:
        if RECORD_TAIL.search(line, 0, start):
            raise LineError("two records on one line: the end of the first was damaged")
        return line[start:], "a torn record stands before this one and is ignored"
    raise LineError("the crc32 does not fit: the line was changed or damaged")


def regular_open(path: Path, most: int) -> BinaryIO:
    """A file to be read. RecordsError when it is none (a pipe would be waited for) or has more than `most` bytes,
    OSError when it cannot be opened."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RecordsError(f"{path}: not a regular file")
    if found.st_size > most:
        raise RecordsError(f"{path}: larger than {most >> 20} MiB: no run has such a file")
    return path.open("rb")


def lines_split(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """(line number from 1, text without newline, whether it ended in a newline) of each line that is not blank. Of a
    line that is longer than LINE_MAX only a little more than that is read."""
    with regular_open(path, RECORDS_MAX) as stream:
        number = 0
        while line := stream.readline(LINE_MAX + 2):
            number += 1
            rest = line
            while len(line) > LINE_MAX and rest and not rest.endswith(b"\n"):
                rest = stream.readline(PIECE)
            if line.strip():
                yield number, line.rstrip(b"\r\n"), rest.endswith(b"\n")


def torn(line: bytes) -> tuple[str, str]:
    """How severe a last line without a newline is, and what is said of it: a record whose writing was cut off, unless
    there is more in it than one record has."""
    if len(line) > LINE_MAX:
        return "error", "the line is longer than any record"
    tail = RECORD_TAIL.search(line)
    if tail is not None and tail.end() < len(line):
        return "error", "the newline of a record was damaged"
    return "warning", "the last record is torn and ignored"


def trials_load(path: Path) -> tuple[list[Trial], list[Problem]]:
    """All usable records of a file, in its order, and what was wrong with the others; RecordsError on another
    version."""
    trials: list[Trial] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str, int], int] = {}
    try:
        validator = schema.validator("faultline.trial/1")
    except schema.SchemaError as error:
        raise RecordsError(str(error)) from None
    for number, line, whole in lines_split(path):
        where = f"{path.name}:{number}"
        if not whole:
            problems.append(Problem(where, *torn(line)))
            continue
        try:
            trial, remark = trial_parse(line, number, validator)
        except LineError as error:
            problems.append(Problem(where, "error", str(error)))
            continue
        except RecordsError as error:
            raise RecordsError(f"{path}:{number}: {error}") from None
        if remark:
            problems.append(Problem(where, "warning", remark))
        key = (trial.scenario, trial.cell, trial.trial)
        if key in seen:
            text = f"repeats line {seen[key]} ({safe(key[0])}, {safe(key[1])}, trial {key[2]}); the first is kept"
            problems.append(Problem(where, "warning", text))
            continue
        seen[key] = number
        trials.append(trial)
    return trials, problems


def trial_parse(line: bytes, number: int, validator: schema.Validator) -> tuple[Trial, str | None]:
    """A verified line as a Trial, and line_verify's remark."""
    if len(line) > LINE_MAX:
        raise LineError("the line is longer than any record")
    text, remark = line_verify(line)
    value = json_parse(text)
    schema_check(value, "faultline.trial")
    try:
        complaint = validator(value)
    except schema.SchemaError as error:
        raise RecordsError(str(error)) from None
    if complaint:
        raise LineError(complaint)
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return trial_read(value, number, digest), remark


def json_load(path: Path, name: str) -> Any:
    """A whole JSON file of that schema; RecordsError naming the file when it is absent, broken or of another
    version."""
    try:
        with regular_open(path, JSON_MAX) as stream:
            text = stream.read()
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from None
    try:
        value = json_parse(text)
        schema_check(value, name)
        return value
    except (LineError, RecordsError) as error:
        raise RecordsError(f"{path}: {error}") from None


def cell_plan_read(value: Mapping[str, Any], types: Mapping[str, type]) -> CellPlan:
    """A cell of the plan. types: of the parameters that are known."""
    arms = tuple(
        ArmPlan(
            get(a, "name", str),
            get(a, "method", str),
            bool(a.get("null", False)),
            params_read(a, types),
            get(a, "method_version", int, none=True),
        )
        for a in objects(value, "arms")
    )
    if not arms:
        raise LineError("a cell has no arms")
    return CellPlan(get(value, "scenario", str), get(value, "cell", str), params_read(value, types), arms)


def objects(value: Mapping[str, Any], key: str, none: bool = False) -> list[Mapping[str, Any]]:
    """A member that is a list of objects; LineError when it is none."""
    found = get(value, key, list, none=none) or []
    if not all(isinstance(one, dict) for one in found):
        raise LineError(f'"{key}" holds something else than objects')
    return found


def parameter_types() -> Mapping[str, type]:
    """Types of all parameters that are known, by name; RecordsError when the schema cannot be read."""
    try:
        return schema.parameter_types()
    except schema.SchemaError as error:
        raise RecordsError(str(error)) from None


def params_read(value: Mapping[str, Any], types: Mapping[str, type]) -> Mapping[str, Any]:
    """Parameters as planned; LineError when a name is none, a value is neither text, a number, a boolean nor null, or
    that of a known parameter has another type than it has."""
    params = get(value, "params", dict)
    for key, one in params.items():
        if PARAMETER.fullmatch(key) is None:
            raise LineError(f'"{safe(key)}" is no name of a parameter')
        if isinstance(one, (dict, list)) or (isinstance(one, float) and not math.isfinite(one)):
            raise LineError(f'the parameter "{key}" is neither text nor a number')
        kind = types.get(key)
        if kind is not None:
            get(params, key, (int, float) if kind is float else kind)
            if kind is not str and one < 0:
                raise LineError(f'the parameter "{key}" is negative')
    return params


def cells_check(cells: Sequence[CellPlan]) -> None:
    """Cells of one scenario have the same parameters, and each is planned once; LineError otherwise."""
    keys: dict[str, set[str]] = {}
    for cell in cells:
        if keys.setdefault(cell.scenario, set(cell.params)) != set(cell.params):
            raise LineError(f"the cells of {safe(cell.scenario)} differ in the names of their parameters")
    if len({(cell.scenario, cell.cell) for cell in cells}) != len(cells):
        raise LineError("a cell is planned twice")


def scenario_plan_read(value: Mapping[str, Any]) -> ScenarioPlan:
    """A scenario of the plan."""
    delta = get(value, "delta", (int, float))
    if not 0 < delta < 1:
        raise LineError(f'"delta" {delta} is not between 0 and 1')
    return ScenarioPlan(
        get(value, "name", str),
        get(value, "question", str),
        get(value, "op", str),
        float(delta),
        get(value, "hash", str, none=True),
        claims_read(value),
    )


def claims_read(value: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The claims of a scenario of the plan."""
    try:
        return tuple(claim_read(one) for one in get(value, "claim", list, none=True) or ())
    except ClaimError as error:
        raise LineError(f'"claim": {error}') from None


def manifest_read(value: Mapping[str, Any], types: Mapping[str, type]) -> Manifest:
    """The manifest with its plan; LineError when it breaks the contract. types: of the parameters that are known."""
    plan = get(value, "plan", dict)
    schema_check(plan, "faultline.plan")
    scenarios = [scenario_plan_read(s) for s in objects(plan, "scenarios")]
    cells = tuple(cell_plan_read(c, types) for c in objects(plan, "cells"))
    cells_check(cells)
    return Manifest(
        run=get(value, "run", str),
        scenarios={s.name: s for s in scenarios},
        cells=cells,
        refused=tuple(objects(plan, "refused", none=True)),
        profile=get(plan, "profile", str, none=True),
        seed=get(plan, "seed", int, none=True),
        expected=get(value, "expected", int, none=True),
        finished=get(value, "finished", int, none=True),
        stopped=get(value, "stopped", str, none=True),
        machine=get(value, "machine", str, none=True),
        machine_after=get(value, "machine_after", str, none=True) if "machine_after" in value else None,
        tool=get(value, "tool", dict, none=True) or {},
        argv=tuple(str(a) for a in get(value, "argv", list, none=True) or ()),
        started=get(value, "started", str, none=True),
        ended=get(value, "ended", str, none=True),
    )


def strangers_remove(trials: list[Trial], manifest: Manifest) -> tuple[list[Trial], list[Problem]]:
    """Records that the plan does not know are errors: of another plan, with other arms than the cell's, in its order,
    or measured with other parameters than it has."""
    cells = {(c.scenario, c.cell): c for c in manifest.cells if c.scenario in manifest.scenarios}
    kept, problems = [], []
    for trial in trials:
        why = strange(trial, cells.get((trial.scenario, trial.cell)))
        if why is None:
            kept.append(trial)
        else:
            problems.append(Problem(f"trials.jsonl:{trial.line}", "error", why))
    return kept, problems


def strange(trial: Trial, plan: CellPlan | None) -> str | None:
    """Why a record is none of this cell of the plan; None when it is. What only one of them has says nothing: each may
    be of another version."""
    if plan is None or [(a.name, a.is_null) for a in plan.arms] != [(a.name, a.is_null) for a in trial.arms]:
        return f"the plan has no cell {safe(trial.scenario)} {safe(trial.cell)} with these arms"
    for mine, its in ((trial.params, plan.params), *((a.params, b.params) for a, b in zip(trial.arms, plan.arms))):
        other = next((key for key, value in its.items() if key in mine and mine[key] != value), None)
        if other is not None:
            found, planned = (safe(values[other])[:100] for values in (mine, its))
            return f"it was measured with {safe(other)}={found}, the plan has {planned}"
    for arm, row in zip(trial.arms, plan.arms):
        if arm.method != row.method or row.method_version not in (None, arm.method_version):
            return f"arm {safe(arm.name)} is of another method, or another version of it, than the plan has"
    return None


def fnv(data: bytes) -> str:
    """FNV-1a of 64 bits as 16 hexadecimal digits (bench/fnv.h)."""
    state = 0xCBF29CE484222325
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return f"{state:016x}"


def machine_check(machine: Mapping[str, Any], manifest: Manifest) -> list[Problem]:
    """machine.json must be the one that the manifest names: the hash of its blocking keys (docs/machine.md)."""
    if not machine:
        return []
    text = json.dumps(machine.get("blocking"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    found = fnv(text.encode())
    if found == machine.get("hash") and manifest.machine in (None, found):
        return []
    text = f"its blocking keys have the hash {found}, and that of the run is {safe(manifest.machine)}"
    return [Problem("machine.json", "error", f"{text}: it was changed or is of another machine")]


def histograms_of(trial: Trial) -> Iterator[Histogram]:
    """Every histogram of a record."""
    for arm in trial.arms:
        if arm.latency is not None:
            yield from (h for h in (arm.latency.service, arm.latency.response) if h is not None)


def miscut_remove(trials: list[Trial]) -> tuple[list[Trial], list[Problem]]:
    """Records whose histograms are cut otherwise than those before them are errors: they could not be merged."""
    kept, problems, known = [], [], None
    for trial in trials:
        found = {histogram.sub_bits for histogram in histograms_of(trial)}
        if len(found | ({known} if known is not None else set())) > 1:
            text = "histograms with different sub_bits cannot be merged"
            problems.append(Problem(f"trials.jsonl:{trial.line}", "error", text))
            continue
        known = next(iter(found), known)
        kept.append(trial)
    return kept, problems


def machine_load(path: Path) -> Mapping[str, Any]:
    """machine.json, {} where there is none; RecordsError when what is asked of it has another type."""
    if not path.exists():
        return {}
    machine = json_load(path, "faultline.machine")
    try:
        for key in ("name", "hash", "boot_id"):
            get(machine, key, str, none=True)
        get(machine, "blocking", dict, none=True)
    except LineError as error:
        raise RecordsError(f"{path}: {error}") from None
    return machine


def missing(manifest: Manifest, trials: Sequence[Trial], problems: Sequence[Problem]) -> list[Problem]:
    """An error where the manifest counts more records than there are lines that are one or were."""
    found = len(trials) + sum(problem.severity == "error" for problem in problems)
    if manifest.finished is None or manifest.finished <= found:
        return []
    text = f"{manifest.finished - found} of {manifest.finished} finished records are missing: the file was cut"
    return [Problem("trials.jsonl", "error", text)]


def run_load(directory: Path | str) -> Run:
    """Reads a run. RecordsError when it has no readable manifest, no trials.jsonl, or another major version.

    A run without a single usable record is returned with `trials` empty: what that means is the caller's to say.
    """
    path = Path(directory)
    if not path.is_dir():
        raise RecordsError(f"{path}: no such run directory")
    raw, types = json_load(path / "manifest.json", "faultline.manifest"), parameter_types()
    try:
        manifest = manifest_read(raw, types)
    except (LineError, RecordsError) as error:
        raise RecordsError(f"{path / 'manifest.json'}: {error}") from None
    try:
        trials, problems = trials_load(path / "trials.jsonl")
    except OSError as error:
        raise RecordsError(f"{path / 'trials.jsonl'}: {error.strerror}") from None
    problems += missing(manifest, trials, problems)
    trials, strangers = strangers_remove(trials, manifest)
    trials, miscut = miscut_remove(trials)
    machine = machine_load(path / "machine.json")
    changed = machine_check(machine, manifest)
    return Run(path, manifest, tuple(trials), machine, tuple(problems + strangers + miscut + changed))
