# SPDX-License-Identifier: MIT
"""Writing derived files so that a reader sees either the old or the new one, whole."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Sequence


def replace(path: Path, content: bytes) -> None:
    """Writes to a temporary name beside `path`, syncs, renames; OSError leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def replace_text(path: Path, content: str) -> None:
    """The same for text, as UTF-8."""
    replace(path, content.encode("utf-8", errors="backslashreplace"))


def replace_json(path: Path, value: Any) -> None:
    """The same for a JSON value; NaN and infinities are refused with ValueError."""
    replace_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def csv_text(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """A table as CSV: a header, numbers in full, nothing (an empty field) for None."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
