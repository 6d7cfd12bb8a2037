# SPDX-License-Identifier: MIT
"""Whether what was derived from a run is still what its records say: the rule of `plot` and of `history add`.

The records and the machine are told by their times. The manifest is not: after the report, the program enters its exit
status there. So a manifest that is newer is compared by what was read of it, whose digest summary.json keeps.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Sequence

from faultline import records
from faultline.records import LineError, Manifest, RecordsError

SUMMARY = "summary.json"
SOURCES = ("trials.jsonl", "machine.json")
MANIFEST = "manifest.json"


def manifest_digest(manifest: Manifest) -> str:
    """64 hexadecimal digits of all that conclusions take from a manifest; its exit status is not part of that."""
    return hashlib.sha256(json.dumps(asdict(manifest), sort_keys=True).encode()).hexdigest()


def is_same_manifest(directory: Path) -> bool:
    """Whether summary.json was concluded with the manifest as it reads now."""
    try:
        stored = records.json_load(directory / SUMMARY, "faultline.summary")
        raw = records.json_load(directory / MANIFEST, "faultline.manifest")
        manifest = records.manifest_read(raw, records.parameter_types())
    except (RecordsError, LineError):
        return False
    return stored.get("manifest_digest") == manifest_digest(manifest)


def is_current(directory: Path, names: Sequence[str]) -> bool:
    """Whether all these derived files are there and rest on the records, the machine and the manifest as they are now.
    OSError when one cannot be looked at."""
    derived = [directory / name for name in names]
    if not all(path.is_file() for path in derived):
        return False
    oldest = min(path.stat().st_mtime_ns for path in derived)
    newer = [name for name in (*SOURCES, MANIFEST) if changed_since(directory / name, oldest)]
    if newer != [MANIFEST]:
        return not newer
    return not changed_since(directory / SUMMARY, oldest) and is_same_manifest(directory)


def changed_since(path: Path, time_ns: int) -> bool:
    """Whether a file is there and was written after this time."""
    return path.exists() and path.stat().st_mtime_ns > time_ns
