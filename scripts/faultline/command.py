# SPDX-License-Identifier: MIT
"""How every command ends: whatever goes wrong is one line for the user and an exit status of the table, never the
status of a verdict."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Callable, Sequence

from faultline.text import safe

BROKEN = 7  # unreadable, damaged, or not to be written
INTERRUPTED = 128 + signal.SIGINT
UNDECIDED = 125  # for git bisect run, which takes 7 for bad


class Complaint(Exception):
    """A command cannot go on; the text is one line for the user."""


def broken(words: Sequence[str]) -> int:
    """The status of a command that could not end, by its command line."""
    return UNDECIDED if "--bisect" in words else BROKEN


def output_end() -> None:
    """Writes what is still to be written on standard output; where that cannot be, it goes nowhere: the interpreter
    would complain of it again at its end, by a status of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def told(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, (Complaint, OSError)):
        return safe(error)
    if isinstance(error, ImportError):
        return f"a module of Python is missing: {safe(error)} (scripts/setup installs what is needed)"
    if isinstance(error, MemoryError):
        return "out of memory"
    frames = traceback.extract_tb(error.__traceback__)
    where = f", {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"internal error: {type(error).__name__}: {safe(error)[:300]}{where}"


def guarded(name: str, body: Callable[[], int], otherwise: int = BROKEN) -> int:
    """The exit status of a command: what `body` returns once all that it printed is written, or `otherwise` after one
    line that says why it could not end. name: of the command, as it is typed."""
    try:
        status = body()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        output_end()
        return INTERRUPTED
    except BrokenPipeError:
        output_end()
    except Exception as error:
        output_end()
        print(f"{name}: {told(error)}", file=sys.stderr)
    return otherwise
