# SPDX-License-Identifier: MIT
"""The stored runs that a side names: run directories, archives of one, or directories that hold several of either."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from faultline import archive, verdict
from faultline.history_run import time_read
from faultline.records import LineError, RecordsError, Run, run_load
from faultline.text import safe
from faultline.verdict import Results

RUNS_MOST = 200  # of one directory: each is read and concluded from
NAMED_MOST = 5  # entries of a directory that a note names
NAMELESS = ("", "(none)", "localhost", "unknown")  # what a machine is called that nobody gave a name
OTHER_ARCHIVES = (".bz2", ".tbz2", ".zst", ".tzst", ".lz4", ".lzma", ".7z", ".rar")  # that are not read


@dataclass(frozen=True)
class Stored:
    """A run with what follows from it. label: how the user named it."""

    label: str
    results: Results

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.results.run

    @property
    def records(self) -> frozenset[bytes]:
        """A digest of each record, which tell whether two runs are the same or copies of one."""
        return frozenset(trial.digest for trial in self.run.trials)

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
        """The instance its trials were measured on, as the user named it; else the machine's name, None where nobody
        gave it one."""
        given = next((trial.instance for trial in self.run.trials), None)
        name = self.run.machine.get("name")
        return given if given is not None else name if isinstance(name, str) and name not in NAMELESS else None


def is_run(path: Path) -> bool:
    """Whether it is a run's directory."""
    return (path / "manifest.json").exists()


def is_archive(path: Path) -> bool:
    """Whether it is called as archives of a run are."""
    return path.is_file() and path.name.endswith(archive.SUFFIXES)


def left_out(path: Path, others: Sequence[Path]) -> list[str]:
    """What has to be said of the entries of a directory of runs that are none: directories, and archives of a kind that
    is not read."""
    names = [safe(one.name) for one in others if one.is_dir() or one.name.endswith(OTHER_ARCHIVES)]
    if not names:
        return []
    more = f" and {len(names) - NAMED_MOST} more" if len(names) > NAMED_MOST else ""
    return [f"{path}: no run is in {', '.join(names[:NAMED_MOST])}{more}: left out"]


def expand(path: Path) -> tuple[list[Path], list[str]]:
    """The runs that a path stands for, and what had to be said; RecordsError when there is none."""
    if not path.is_dir() or is_run(path):
        return [path], []
    inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    found = [one for one in inside if is_archive(one) or (one.is_dir() and is_run(one))]
    if not found:
        raise RecordsError(f"{path}: neither a run nor a directory that holds any")
    if len(found) > RUNS_MOST:
        raise RecordsError(f"{path}: more than {RUNS_MOST} runs")
    return found, left_out(path, [one for one in inside if one not in found])


def stored(path: Path) -> Stored:
    """One run, from its directory or from an archive that is unpacked for the time it takes to read it."""
    if path.is_dir():
        return Stored(str(path), verdict.conclude(run_load(path)))
    if not path.is_file():  # a pipe would be waited for
        raise RecordsError(f"{path}: no such run")
    with tempfile.TemporaryDirectory(prefix="faultline-compare-") as scratch:
        archive.unpack(path, Path(scratch))
        try:
            return Stored(str(path), verdict.conclude(run_load(scratch)))
        except RecordsError as error:
            raise RecordsError(str(error).replace(scratch, str(path))) from None


def side_load(paths: Sequence[Path]) -> tuple[list[Stored], list[str]]:
    """The runs of a side in the order in which they began, and what had to be said: a run that was given twice, as
    itself or as a copy, counts once. RecordsError when one cannot be read."""
    runs: list[Stored] = []
    expanded = [expand(path) for path in paths]
    notes = [note for _, said in expanded for note in said]
    for path in dict.fromkeys(one for found, _ in expanded for one in found):
        found = stored(path)
        twin = next((other for other in runs if same(other, found)), None)
        if twin is None:
            runs.append(found)
            notes += incomplete(found)
        else:
            notes.append(f"{found.label} is the same run as {twin.label}: it counts once")
    return sorted(runs, key=lambda one: one.started), notes


def incomplete(one: Stored) -> list[str]:
    """What has to be said of a run that has fewer records than it was to have."""
    manifest, count = one.run.manifest, len(one.run.trials)
    if manifest.expected is None or count >= manifest.expected:
        return []
    why = f": stopped by {safe(manifest.stopped)}" if manifest.stopped else ""
    return [f"{one.label} has {count} of {manifest.expected} planned records{why}"]


def same(one: Stored, other: Stored) -> bool:
    """Whether two runs share a record: then they are one run, or one is a copy of the other as it once was."""
    return bool(one.records & other.records)
