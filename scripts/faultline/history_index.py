# SPDX-License-Identifier: MIT
"""The index of runs: an SQLite file, its tables, and the only statements that are ever run on it.

A series is what may be compared over time: one quantity of one arm in one cell of one scenario, with the scenario's
hash, the method's version and the machine's fingerprint all the same. Changes of level are looked for when a run is
added and kept, so that reading computes nothing. The file is in WAL mode: readers and one writer do not wait for each
other, and each run is one transaction. A more complete version of a run takes the place of the one that is there.
docs/history.md describes the tables.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import statistics
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator, Sequence, TypeVar

from faultline import changes, schema
from faultline.command import Complaint
from faultline.history_run import COUNT_SUFFIX, Figure, RunFigures
from faultline.text import safe
from faultline.verdict import INVALID

APPLICATION = 0x464C4849  # "FLHI", what marks the file as ours
VERSION = 2
WAIT_S = 120.0  # for another writer; one transaction takes some milliseconds to a few seconds
TRIALS_LEAST = 6  # trials of a figure that is judged: with fewer there is no interval at 95 %
RATIO = "ratio"

TABLES = """
CREATE TABLE fingerprints (number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, blocking TEXT);
CREATE TABLE machines (fingerprint INTEGER NOT NULL REFERENCES fingerprints, name TEXT NOT NULL,
    PRIMARY KEY (fingerprint, name)) WITHOUT ROWID;
CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, name TEXT NOT NULL,
    started TEXT NOT NULL, machine TEXT NOT NULL, fingerprint INTEGER NOT NULL REFERENCES fingerprints,
    tool_version TEXT NOT NULL, program TEXT NOT NULL, profile TEXT NOT NULL, noise_grade TEXT NOT NULL,
    boot TEXT NOT NULL, instance TEXT NOT NULL, commit_text TEXT NOT NULL, expected INTEGER,
    finished INTEGER NOT NULL, stopped TEXT NOT NULL);
CREATE TABLE series (number INTEGER PRIMARY KEY, scenario TEXT NOT NULL, cell TEXT NOT NULL, arm TEXT NOT NULL,
    quantity TEXT NOT NULL, scenario_hash TEXT NOT NULL, method TEXT NOT NULL, method_version INTEGER NOT NULL,
    delta REAL NOT NULL, fingerprint INTEGER NOT NULL REFERENCES fingerprints, role TEXT NOT NULL,
    runs INTEGER NOT NULL DEFAULT 0, invalid INTEGER NOT NULL DEFAULT 0, few INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scenario, cell, arm, quantity, scenario_hash, method, method_version, delta, fingerprint));
CREATE TABLE figures (series INTEGER NOT NULL REFERENCES series, started TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs, estimate REAL NOT NULL, low REAL, high REAL, verdict TEXT,
    trials INTEGER NOT NULL, PRIMARY KEY (series, started, run)) WITHOUT ROWID;
CREATE TABLE changes (series INTEGER NOT NULL REFERENCES series, started TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs, run_before INTEGER NOT NULL REFERENCES runs,
    confirmed_started TEXT NOT NULL, confirmed_run INTEGER NOT NULL REFERENCES runs, before REAL NOT NULL,
    after REAL NOT NULL, p REAL NOT NULL, PRIMARY KEY (series, started, run)) WITHOUT ROWID;
"""
NO_VERSION = -1  # of a method whose plan names none


class HistoryError(Complaint):
    """The index cannot be used; the text is one line for the user."""


@dataclass(frozen=True)
class Filter:
    """What to look at: patterns as in a shell (* ? [abc]), None for all. machine: a name, or how a fingerprint
    begins."""

    scenario: str | None = None
    cell: str | None = None
    arm: str | None = None
    quantity: str | None = None
    machine: str | None = None


@dataclass(frozen=True)
class Stored:
    """A run in the index. expected: None where nobody knows how many records it should have."""

    number: int
    id: str
    name: str
    started: str
    machine: str
    tool_version: str
    program: str
    profile: str
    noise_grade: str
    boot: str
    instance: str
    commit: str
    expected: int | None
    finished: int
    stopped: str

    @property
    def is_whole(self) -> bool:
        """Whether it has all the records that were planned."""
        return self.expected is None or self.finished >= self.expected


@dataclass(frozen=True)
class Series:
    """A series: what it is of, and how many runs it has, of which so many are INVALID, and so many others have too few
    trials to be judged."""

    number: int
    scenario: str
    cell: str
    arm: str
    quantity: str
    scenario_hash: str
    method: str
    method_version: int
    delta: float
    fingerprint: int
    role: str
    runs: int
    invalid: int
    few: int

    @property
    def valid(self) -> int:
        """Runs whose figure may be judged."""
        return self.runs - self.invalid - self.few


@dataclass(frozen=True)
class Point:
    """One run's value of a series."""

    started: str
    run: int
    estimate: float
    low: float | None
    high: float | None
    verdict: str | None
    trials: int

    @property
    def is_valid(self) -> bool:
        """Whether it may be judged."""
        return self.verdict != INVALID and self.trials >= TRIALS_LEAST


@dataclass(frozen=True)
class Told:
    """A change of level between two runs. before, after: medians; confirmed: the run with which it was told."""

    run_before: int
    run: int
    confirmed: int
    confirmed_started: str
    before: float
    after: float
    p: float


@lru_cache(maxsize=4)
def exact_names(given: str | None) -> frozenset[str]:
    """The counters that repeat exactly, by the schema of records; read once. given: where the environment says that it
    lies. SchemaError when it is none."""
    return schema.exact_counters()


Row = TypeVar("Row", Stored, Series, Point, Told)
KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "str": (str,),
    "float": (float, int),
    "float | None": (float, int, type(None)),
    "str | None": (str, type(None)),
}


def row_read(kind: type[Row], row: Sequence[Any] | None) -> Row:
    """A row as what it is of; sqlite3.DatabaseError when there is none, or it holds what is not of the column's type,
    which SQLite does not see to."""
    if row is None:
        raise sqlite3.DatabaseError(f"a row is missing that others refer to ({kind.__name__})")
    for one, value in zip(fields(kind), row):
        if not isinstance(value, KINDS[str(one.type)]) or (isinstance(value, float) and not math.isfinite(value)):
            raise sqlite3.DatabaseError(f"{one.name} of a row is {value!r:.80}")
    return kind(*row)


def numbers(rows: Sequence[Sequence[Any]], column: int = 0) -> list[float]:
    """The numbers in a column of rows; sqlite3.DatabaseError when one is none."""
    found = [row[column] for row in rows]
    if not all(isinstance(one, (float, int)) and math.isfinite(one) for one in found):
        raise sqlite3.DatabaseError("what should be a number is none")
    return found


def blocking_read(text: Any) -> dict[str, Any] | None:
    """What blocks, of a fingerprint; sqlite3.DatabaseError when it is no object."""
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = text
    if not isinstance(found, (dict, type(None))):
        raise sqlite3.DatabaseError("what a fingerprint blocks is no object")
    return found


def is_judged(quantity: str) -> bool:
    """Whether changes are looked for in this quantity: a ratio, or a count that the same work repeats exactly. Times
    and what else depends on the moment wander with the machine."""
    exact = exact_names(os.environ.get("FAULTLINE_SCHEMA"))
    return quantity == RATIO or (quantity.endswith(COUNT_SUFFIX) and quantity.removesuffix(COUNT_SUFFIX) in exact)


def complaint(path: Path, error: sqlite3.Error) -> HistoryError:
    """What SQLite says, as one line."""
    text = safe(error)
    if "locked" in text or "busy" in text:
        return HistoryError(f"{safe(path)}: another program has been writing to it for {WAIT_S:.0f} s")
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
        return HistoryError(f"{safe(path)}: {text}")
    return HistoryError(f"{safe(path)}: damaged, or no index of faultline ({text})")


def create(path: Path) -> None:
    """Makes an empty index beside its place and puts it there whole, so that two who begin at once do not meet half of
    one; nothing where one is already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / "index"
        connection = sqlite3.connect(made, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {TABLES} COMMIT;"
            )
        finally:
            connection.close()
        put_new(made, path)


def put_new(made: Path, path: Path) -> None:
    """Gives a finished file its name, unless another one has it."""
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:  # a filesystem without hard links: two that begin in the same instant may take each other's file
        if not path.exists():
            os.rename(made, path)


def address(path: Path, write: bool) -> str:
    """The file as SQLite takes it. A reader who may not write beside it reads it as a file that nobody changes."""
    still = not write and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return path.resolve().as_uri() + ("?mode=rw" if write else "?immutable=1" if still else "?mode=ro")


def version_check(connection: sqlite3.Connection, path: Path) -> None:
    """HistoryError when the file is none of ours, or of a version that this program does not know."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise HistoryError(f"{safe(path)}: no index of faultline")
    if version > VERSION:
        raise HistoryError(
            f"{safe(path)}: written by a newer faultline (index version {version}; this one knows {VERSION})"
        )
    if version < VERSION:
        raise HistoryError(
            f"{safe(path)}: written by an earlier faultline (index version {version}, not {VERSION}); add its runs to a"
            " new index"
        )


@contextmanager
def index_open(path: Path, write: bool = False) -> Iterator[sqlite3.Connection]:
    """The index, made first when it is to be written and is not there; HistoryError for whatever is wrong with it."""
    if not path.exists() and not write:
        raise HistoryError(f"{safe(path)}: no such index; 'faultline history add' makes it")
    try:
        if not path.exists():
            create(path)
        connection = sqlite3.connect(address(path, write), uri=True, timeout=WAIT_S, isolation_level=None)
        try:
            version_check(connection, path)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise complaint(path, error) from None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; a writer waits here for another one."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # else SQLite has rolled it back, and to say so again would hide why
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One state of the index for all that is read, whatever is added meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an error may have ended it, and is what there is to tell
            connection.execute("ROLLBACK")


def fingerprint_put(connection: sqlite3.Connection, run: RunFigures) -> int:
    """The number of a run's fingerprint, with the machine's name noted; entered when it is new."""
    blocking = None if run.blocking is None else json.dumps(run.blocking, sort_keys=True)
    connection.execute(
        "INSERT INTO fingerprints (hash, blocking) VALUES (?, ?) ON CONFLICT (hash) DO UPDATE"
        " SET blocking = coalesce(blocking, excluded.blocking)",
        (run.fingerprint, blocking),
    )
    (number,) = connection.execute("SELECT number FROM fingerprints WHERE hash = ?", (run.fingerprint,)).fetchone()
    connection.execute("INSERT OR IGNORE INTO machines VALUES (?, ?)", (number, run.machine))
    return int(number)


def run_put(connection: sqlite3.Connection, run: RunFigures, fingerprint: int, commit: str) -> int:
    """Enters a run, or what a more complete version of it says of it now; its number. Its commit stays unless there is
    a new one."""
    (number,) = connection.execute(
        "INSERT INTO runs (id, digest, name, started, machine, fingerprint, tool_version, program, profile,"
        " noise_grade, boot, instance, commit_text, expected, finished, stopped)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET digest = excluded.digest,"
        " noise_grade = excluded.noise_grade, commit_text = coalesce(nullif(excluded.commit_text, ''), commit_text),"
        " expected = excluded.expected, finished = excluded.finished, stopped = excluded.stopped RETURNING number",
        (
            *(run.id, run.digest, run.name, run.started, run.machine, fingerprint, run.tool_version, run.program),
            *(run.profile, run.noise_grade, run.boot, run.instance, commit, run.expected, run.finished, run.stopped),
        ),
    ).fetchone()
    return int(number)


def series_put(connection: sqlite3.Connection, figure: Figure, fingerprint: int) -> int:
    """The number of a figure's series, which has one run more now; entered when it is new."""
    version = NO_VERSION if figure.method_version is None else figure.method_version
    invalid, few = sorts(figure.verdict, figure.trials)
    (number,) = connection.execute(
        "INSERT INTO series (scenario, cell, arm, quantity, scenario_hash, method, method_version, delta, fingerprint,"
        " role, runs, invalid, few) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE"
        " SET runs = runs + 1, invalid = invalid + excluded.invalid, few = few + excluded.few RETURNING number",
        (
            *(figure.scenario, figure.cell, figure.arm, figure.quantity, figure.scenario_hash, figure.method, version),
            *(figure.delta, fingerprint, figure.role, invalid, few),
        ),
    ).fetchone()
    return int(number)


def sorts(verdict: str | None, trials: int) -> tuple[bool, bool]:
    """Whether a figure is INVALID, and whether it is none of that but has too few trials to be judged."""
    invalid = verdict == INVALID
    return invalid, not invalid and trials < TRIALS_LEAST


IS_VALID = f"verdict IS NOT '{INVALID}' AND trials >= {TRIALS_LEAST}"
VALID = (  # the boot, where it is known, is what runs hang together by
    "SELECT f.started, f.run, f.estimate, r.boot FROM figures AS f JOIN runs AS r ON r.number = f.run"
    f" WHERE series = ? AND {IS_VALID}"
)
ALL = -1  # as a LIMIT


def changes_found(
    connection: sqlite3.Connection, series: int, at: tuple[str, int], delta: float, most: int
) -> tuple[list[tuple[Any, ...]], tuple[str, int] | None]:
    """Rows of `changes` that are told by the run `at` and those after it, at most `most`, and which run was the last of
    them; None when none comes after that."""
    level = connection.execute(
        "SELECT started, run FROM changes WHERE series = ? AND (confirmed_started, confirmed_run) < (?, ?)"
        " ORDER BY started DESC, run DESC LIMIT 1",
        (series, *at),
    ).fetchone() or ("", 0)
    earlier = connection.execute(
        f"{VALID} AND (f.started, f.run) < (?, ?) AND (f.started, f.run) >= (?, ?)"
        " ORDER BY f.started DESC, f.run DESC LIMIT ?",
        (series, *at, *level, changes.WINDOW - 1),
    ).fetchall()
    later = connection.execute(
        f"{VALID} AND (f.started, f.run) >= (?, ?) ORDER BY f.started, f.run LIMIT ?", (series, *at, most)
    ).fetchall()
    rows = earlier[::-1] + later
    units = [boot or run for _, run, _, boot in rows]
    found = []
    for one in changes.find(numbers(rows, 2), delta, len(earlier), units):
        first, before, confirmed = rows[one.first][:2], rows[one.first - 1][1], rows[one.confirmed][:2]
        found.append((series, *first, before, *confirmed, one.before, one.after, one.p))
    return found, later[-1][:2] if len(later) == most else None


def changes_update(connection: sqlite3.Connection, series: int, at: tuple[str, int], delta: float) -> None:
    """Looks for changes with the run `at`, and again with those after it: what was told before it stands.

    A look sees WINDOW runs. So beyond that many after it nothing else can be found than was, unless the level that
    those looks begin with has another beginning; only then are all the later runs looked at again.
    """
    stored = connection.execute(
        "SELECT started, run, confirmed_started, confirmed_run FROM changes WHERE series = ?"
        " AND (confirmed_started, confirmed_run) >= (?, ?) ORDER BY confirmed_started, confirmed_run",
        (series, *at),
    ).fetchall()
    found, horizon = changes_found(connection, series, at, delta, changes.WINDOW)
    known = [row for row in stored if horizon is None or row[2:] <= horizon]
    if horizon is not None and [row[:2] for row in known[-1:]] != [row[1:3] for row in found[-1:]]:
        (found, _), known = changes_found(connection, series, at, delta, ALL), stored
    connection.executemany(
        "DELETE FROM changes WHERE series = ? AND started = ? AND run = ?", [(series, *row[:2]) for row in known]
    )
    connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", found)


def figure_put(connection: sqlite3.Connection, figure: Figure, run: int, started: str, fingerprint: int) -> None:
    """Enters a figure and looks whether its series has changed."""
    series = series_put(connection, figure, fingerprint)
    connection.execute(
        "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (series, started, run, figure.estimate, figure.low, figure.high, figure.verdict, figure.trials),
    )
    if is_judged(figure.quantity) and not any(sorts(figure.verdict, figure.trials)):
        changes_update(connection, series, (started, run), figure.delta)


def figures_remove(connection: sqlite3.Connection, run: int, started: str) -> None:
    """Takes the figures of a run away, and what was told with them."""
    rows = connection.execute(
        "SELECT s.number, s.quantity, s.delta, f.verdict, f.trials FROM series AS s JOIN figures AS f"
        " ON f.series = s.number AND f.started = ? AND f.run = ?",
        (started, run),
    ).fetchall()
    for column in (2, 4):
        numbers(rows, column)
    for series, quantity, delta, verdict, trials in rows:
        invalid, few = sorts(verdict, trials)
        connection.execute(
            "DELETE FROM figures WHERE series = ? AND started = ? AND run = ?", (series, started, run)
        )
        connection.execute(
            "UPDATE series SET runs = runs - 1, invalid = invalid - ?, few = few - ? WHERE number = ?",
            (invalid, few, series),
        )
        judged = is_judged(quantity) or changes_of(connection, series)  # the schema may have been another one then
        if judged and not (invalid or few):
            changes_update(connection, series, (started, run), delta)
    connection.execute("DELETE FROM series WHERE runs = 0")


def run_add(connection: sqlite3.Connection, run: RunFigures, commit: str) -> str:
    """Adds a run, all of it or nothing: "added", or "added anew" where a version of it with fewer records was there;
    or, with nothing changed, "there already", with what is not the same."""
    with transaction(connection):
        known = connection.execute(
            "SELECT number, digest, finished FROM runs WHERE id = ?", (run.id,)
        ).fetchone()
        if known is not None and known[1] == run.digest:
            return "there already"
        if known is not None and known[2] >= run.finished:
            return "there already, with " + ("more records" if known[2] > run.finished else "other figures")
        if known is not None:
            figures_remove(connection, known[0], run.started)
        fingerprint = fingerprint_put(connection, run)
        number = run_put(connection, run, fingerprint, commit)
        for figure in run.figures:
            figure_put(connection, figure, number, run.started, fingerprint)
    return "added" if known is None else f"added anew, with {run.finished} records instead of {known[2]},"


def runs_held(connection: sqlite3.Connection) -> int:
    """How many runs the index has."""
    return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def conditions(wanted: Filter) -> tuple[str, list[str]]:
    """The filter as a WHERE of `series`, with what is put in; every value is a parameter."""
    parts, values = ["1"], []
    for column in ("scenario", "cell", "arm", "quantity"):
        pattern = getattr(wanted, column)
        if pattern is not None:
            parts.append(f"{column} GLOB ?")
            values.append(pattern)
    if wanted.machine is not None:
        parts.append(
            "fingerprint IN (SELECT fingerprint FROM machines WHERE name GLOB ?"
            " UNION SELECT number FROM fingerprints WHERE hash GLOB ?)"
        )
        values += [wanted.machine, wanted.machine + "*"]
    return " AND ".join(parts), values


def series_find(connection: sqlite3.Connection, wanted: Filter) -> list[Series]:
    """The series that match, by scenario, cell, arm and quantity, then in the order in which they began."""
    where, values = conditions(wanted)
    rows = connection.execute(
        "SELECT number, scenario, cell, arm, quantity, scenario_hash, method, method_version, delta, fingerprint, role,"
        f" runs, invalid, few FROM series WHERE {where} ORDER BY scenario, cell, arm, quantity,"
        " (SELECT min(started) FROM figures WHERE series = series.number)",
        values,
    )
    return [row_read(Series, row) for row in rows]


POINT = "SELECT started, run, estimate, low, high, verdict, trials FROM figures WHERE series = ?"


def ends(connection: sqlite3.Connection, series: int) -> tuple[Point, Point]:
    """The first and the last valid point, or of all where none is valid."""
    found = []
    for order in ("started, run", "started DESC, run DESC"):
        row = connection.execute(
            f"{POINT} AND {IS_VALID} ORDER BY {order} LIMIT 1", (series,)
        ).fetchone() or connection.execute(f"{POINT} ORDER BY {order} LIMIT 1", (series,)).fetchone()
        found.append(row_read(Point, row))
    return found[0], found[1]


def points(connection: sqlite3.Connection, series: int, most: int) -> list[Point]:
    """The last points of a series in the order of time, at most so many."""
    rows = connection.execute(f"{POINT} ORDER BY started DESC, run DESC LIMIT ?", (series, most)).fetchall()
    return [row_read(Point, row) for row in reversed(rows)]


def changes_of(connection: sqlite3.Connection, series: int) -> list[Told]:
    """The changes of a series in the order of time."""
    rows = connection.execute(
        "SELECT run_before, run, confirmed_run, confirmed_started, before, after, p FROM changes WHERE series = ?"
        " ORDER BY started, run",
        (series,),
    )
    return [row_read(Told, row) for row in rows]


def runs_since(connection: sqlite3.Connection, series: int, started: str, most: int) -> int:
    """How many runs a series has from this time on, counted to `most` + 1 only."""
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM figures WHERE series = ? AND started >= ? LIMIT ?)",
        (series, started, most + 1),
    ).fetchone()
    return int(count)


def run_of(connection: sqlite3.Connection, number: int) -> Stored:
    """A run by its number."""
    row = connection.execute(
        "SELECT number, id, name, started, machine, tool_version, program, profile, noise_grade, boot, instance,"
        " commit_text, expected, finished, stopped FROM runs WHERE number = ?",
        (number,),
    ).fetchone()
    return row_read(Stored, row)


def fingerprint_of(connection: sqlite3.Connection, number: int) -> tuple[str, dict[str, Any] | None, list[str]]:
    """(hash, what blocks, names of its machines) of a fingerprint."""
    row = connection.execute("SELECT hash, blocking FROM fingerprints WHERE number = ?", (number,)).fetchone()
    names = connection.execute("SELECT name FROM machines WHERE fingerprint = ? ORDER BY name", (number,)).fetchall()
    if row is None or not all(isinstance(one[0], str) for one in (row, *names)):
        raise sqlite3.DatabaseError(f"the fingerprint {number} is missing, or no text")
    return row[0], blocking_read(row[1]), [name for name, in names]


def levels_ns(
    connection: sqlite3.Connection, series: Series, arm: str | None, told: Told, most: int
) -> tuple[float, float] | None:
    """Medians of the time of an operation before and after a change, ns, over at most `most` runs before it and those
    from it to its confirmation: of this arm, or of the cell's baseline for None; None where there is none."""
    first = run_of(connection, told.run)
    found = connection.execute(
        "SELECT s.number FROM series AS s JOIN figures AS f ON f.series = s.number AND f.started = ? AND f.run = ?"
        " WHERE quantity = 'ns_per_op' AND scenario = ? AND cell = ?"
        " AND (arm = ? OR (? IS NULL AND role = 'baseline'))",
        (first.started, told.run, series.scenario, series.cell, arm, arm),
    ).fetchone()
    if found is None:
        return None
    value = f"SELECT estimate FROM figures WHERE series = ? AND {IS_VALID}"
    here = (found[0], first.started, told.run)
    before = connection.execute(
        f"{value} AND (started, run) < (?, ?) ORDER BY started DESC, run DESC LIMIT ?", (*here, most)
    ).fetchall()
    after = connection.execute(
        f"{value} AND (started, run) >= (?, ?) AND (started, run) <= (?, ?)",
        (*here, told.confirmed_started, told.confirmed),
    ).fetchall()
    if not before or not after:
        return None
    return statistics.median(numbers(before)), statistics.median(numbers(after))
