# SPDX-License-Identifier: MIT
"""Writing derived files so that a reader sees either the old or the new one, whole."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Sequence

# Control and format characters (bidirectional overrides are among them), and the two separators of lines.
UNSHOWN = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


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
    """The same for a JSON value; NaN and infinities are refused with ValueError. What a terminal would obey instead of
    showing it is escaped, which JSON reads as the same."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    replace_text(path, UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def csv_text(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """A table as CSV: a header, numbers in full, nothing (an empty field) for None."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
