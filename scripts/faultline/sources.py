# SPDX-License-Identifier: MIT
"""The stored runs that a side names: run directories, archives of one, or directories that hold several of either."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from faultline import archive, verdict
from faultline.history_run import time_read
from faultline.records import LineError, RecordsError, Run, lines_split, run_load
from faultline.verdict import Results

RUNS_MOST = 200  # of one directory: each is read and concluded from


@dataclass(frozen=True)
class Stored:
    """A run with what follows from it. label: how the user named it; records: a digest of each of its lines, which tell
    whether two runs are the same or copies of one."""

    label: str
    results: Results
    records: frozenset[bytes]

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.results.run

    @property
    def name(self) -> str:
        """What the run calls itself."""
        return self.run.manifest.run

    @property
    def started(self) -> str:
        """When it began: in UTC, so that texts sort as times do; "" where nobody knows."""
        try:
            return time_read(self.run.manifest.started)
        except LineError:
            return ""

    @property
    def boot(self) -> str | None:
        """The boot its trials were measured in; None when unknown."""
        return next((trial.boot_id for trial in self.run.trials), None)

    @property
    def instance(self) -> str | None:
        """The instance its trials were measured on, as the user named it; else the machine's name."""
        given = next((trial.instance for trial in self.run.trials), None)
        name = self.run.machine.get("name")
        return given if given is not None else name if isinstance(name, str) else None


def is_run(path: Path) -> bool:
    """Whether it is a run's directory."""
    return (path / "manifest.json").exists()


def is_archive(path: Path) -> bool:
    """Whether it is called as archives of a run are."""
    return path.is_file() and path.name.endswith(archive.SUFFIXES)


def expand(path: Path) -> list[Path]:
    """The runs that a path stands for; RecordsError when there is none."""
    if not path.is_dir() or is_run(path):
        return [path]
    inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    found = [one for one in inside if is_archive(one) or (one.is_dir() and is_run(one))]
    if not found:
        raise RecordsError(f"{path}: neither a run nor a directory that holds any")
    if len(found) > RUNS_MOST:
        raise RecordsError(f"{path}: more than {RUNS_MOST} runs")
    return found


def digests(directory: Path) -> frozenset[bytes]:
    """A digest of each record."""
    lines = lines_split(directory / "trials.jsonl")
    return frozenset(hashlib.blake2b(line, digest_size=16).digest() for _, line, whole in lines if whole)


def stored(path: Path) -> Stored:
    """One run, from its directory or from an archive that is unpacked for the time it takes to read it."""
    if path.is_dir():
        return Stored(str(path), verdict.conclude(run_load(path)), digests(path))
    if not path.is_file():  # a pipe would be waited for
        raise RecordsError(f"{path}: no such run")
    with tempfile.TemporaryDirectory(prefix="faultline-compare-") as scratch:
        archive.unpack(path, Path(scratch))
        try:
            return Stored(str(path), verdict.conclude(run_load(scratch)), digests(Path(scratch)))
        except RecordsError as error:
            raise RecordsError(str(error).replace(scratch, str(path))) from None


def side_load(paths: Sequence[Path]) -> tuple[list[Stored], list[str]]:
    """The runs of a side in the order in which they began, and what had to be said: a run that was given twice, as
    itself or as a copy, counts once. RecordsError when one cannot be read."""
    runs: list[Stored] = []
    notes = []
    for path in dict.fromkeys(one for path in paths for one in expand(path)):
        found = stored(path)
        twin = next((other for other in runs if same(other, found)), None)
        if twin is None:
            runs.append(found)
        else:
            notes.append(f"{found.label} is the same run as {twin.label}: it counts once")
    return sorted(runs, key=lambda one: one.started), notes


def same(one: Stored, other: Stored) -> bool:
    """Whether two runs share a record: then they are one run, or one is a copy of the other as it once was."""
    return bool(one.records & other.records)
