# SPDX-License-Identifier: MIT
"""Taking runs out of the index of history, as if they had never been added."""

from __future__ import annotations

import sqlite3
from typing import Sequence

from faultline.history_index import HistoryError, figures_remove, transaction
from faultline.text import safe


def runs_remove(connection: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    """Takes runs out, all of them or none; their names. HistoryError when the index has no run of such an id."""
    with transaction(connection):
        return [run_remove(connection, id_) for id_ in dict.fromkeys(ids)]


def run_remove(connection: sqlite3.Connection, id_: str) -> str:
    """Takes one run out, and what only it had: series, fingerprint, name of a machine. Its name."""
    row = connection.execute(
        "SELECT number, name, started, fingerprint, machine FROM runs WHERE id = ?", (id_,)
    ).fetchone()
    if row is None:
        raise HistoryError(f"the index has no run {safe(id_)}")
    number, name, started, fingerprint, machine = row
    figures_remove(connection, number, started)
    connection.execute("DELETE FROM runs WHERE number = ?", (number,))
    connection.execute(
        "DELETE FROM machines WHERE fingerprint = ? AND name = ?"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE fingerprint = ? AND machine = ?)",
        (fingerprint, machine) * 2,
    )
    connection.execute(
        "DELETE FROM fingerprints WHERE number = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE fingerprint = ?)",
        (fingerprint,) * 2,
    )
    return str(name)
