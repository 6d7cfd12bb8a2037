# SPDX-License-Identifier: MIT
"""Taking runs out of the index of history, as if they had never been added."""

from __future__ import annotations

import sqlite3
from typing import Sequence

from faultline.history_index import ALL, HistoryError, changes_found, is_judged, transaction
from faultline.text import safe
from faultline.verdict import INVALID


def runs_remove(connection: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    """Takes runs out, all of them or none; their names. HistoryError when the index has no run of such an id."""
    with transaction(connection):
        return [run_remove(connection, id_) for id_ in dict.fromkeys(ids)]


def run_remove(connection: sqlite3.Connection, id_: str) -> str:
    """Takes one run out, and what only it had: series, fingerprint, name of a machine. Its name."""
    row = connection.execute("SELECT number, name, fingerprint, machine FROM runs WHERE id = ?", (id_,)).fetchone()
    if row is None:
        raise HistoryError(f"the index has no run {safe(id_)}")
    number, name, fingerprint, machine = row
    touched = connection.execute(
        "SELECT series.number, quantity, delta, verdict IS ? FROM figures JOIN series ON series = series.number"
        " WHERE run = ?",
        (INVALID, number),
    ).fetchall()
    connection.executemany("DELETE FROM changes WHERE series = ?", [one[:1] for one in touched])
    connection.executemany("DELETE FROM figures WHERE series = ? AND run = ?", [(one[0], number) for one in touched])
    connection.execute("DELETE FROM runs WHERE number = ?", (number,))
    for series, quantity, delta, invalid in touched:
        series_again(connection, series, quantity, delta, invalid)
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


def series_again(connection: sqlite3.Connection, series: int, quantity: str, delta: float, invalid: int) -> None:
    """Brings a series without one of its runs, and without its changes, up to date: counts, then the changes looked for
    from its beginning. invalid: 1 when the run was INVALID."""
    connection.execute(
        "UPDATE series SET runs = runs - 1, invalid = invalid - ? WHERE number = ?", (invalid, series)
    )
    connection.execute("DELETE FROM series WHERE number = ? AND runs = 0", (series,))
    if is_judged(quantity):
        found, _ = changes_found(connection, series, ("", 0), delta, ALL)
        connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", found)
