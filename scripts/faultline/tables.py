# SPDX-License-Identifier: MIT
"""The tidy tables as plots read them, typed, one scenario or the whole run: FILES."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from faultline import claim_words, pair_rows, timeline, topology
from faultline.files import csv_text, replace_text
from faultline.summary import (
    CELL_COLUMNS,
    CROSSING_COLUMNS,
    TRIAL_COLUMNS,
    cell_columns,
    cell_rows,
    crossing_rows,
    role,
    safe_row,
    trial_rows,
)
from faultline.verdict import Results

Row = Mapping[str, Any]
FILES = {
    "cells.csv": CELL_COLUMNS,
    "trials.csv": TRIAL_COLUMNS,
    "crossings.csv": CROSSING_COLUMNS,
    "timeline.csv": timeline.COLUMNS,
    "pairs.csv": pair_rows.PAIR_COLUMNS,
    "ladder.csv": pair_rows.LADDER_COLUMNS,
    "canary.csv": pair_rows.CANARY_COLUMNS,
    "cpus.csv": topology.COLUMNS,
    "claims.csv": claim_words.COLUMNS,
}
TEXTS = frozenset(
    (
        "scenario",
        "question",
        "cell",
        "arm",
        "role",
        "method",
        "status",
        "reason",
        "verdict",
        "verdict_reason",
        "op",
        "axis",
        "held",
        "pattern",
        "recipe",
        "cache",
        "backing",
        "started",
        "scope",
        "class",
        "interval_of",
        "modes",
        "counts_unknown",
        "cpus",
        "source",
        "claim",
        "statement",
        "heard",
        "answer",
        "expected",
        "where",
        "kind",
        "counter",
        "rule",
        "why",
    )
)

NUMBERS = frozenset(column for columns in FILES.values() for column in columns) - TEXTS


@dataclass(frozen=True)
class Table:
    """Rows of the tables. Numbers are float or None, texts str ("" for nothing). Those of the machine's CPUs are of no
    scenario."""

    cells: tuple[Row, ...]
    trials: tuple[Row, ...]
    crossings: tuple[Row, ...]
    timeline: tuple[Row, ...] = ()
    pairs: tuple[Row, ...] = ()
    ladder: tuple[Row, ...] = ()
    canary: tuple[Row, ...] = ()
    cpus: tuple[Row, ...] = ()
    claims: tuple[Row, ...] = ()

    @property
    def scenarios(self) -> list[str]:
        """Names of the scenarios, in plan order."""
        return list(dict.fromkeys(row["scenario"] for row in self.cells))

    def of(self, scenario: str) -> "Table":
        """The rows of one scenario."""
        parts = (self.cells, self.trials, self.crossings, self.timeline, self.pairs, self.ladder, self.canary)
        claims = tuple(row for row in self.claims if row["scenario"] == scenario)
        return Table(*(tuple(row for row in part if row["scenario"] == scenario) for part in parts), self.cpus, claims)


def texts(results: Results) -> dict[str, str]:
    """The files' contents by name."""
    paired = pair_rows.tables(results, role).items()
    rows = {
        "cells.csv": cell_rows(results),
        "trials.csv": trial_rows(results),
        "crossings.csv": crossing_rows(results),
        "timeline.csv": [safe_row(row) for row in timeline.rows(results, role)],
        **{name: [safe_row(row) for row in part] for name, part in paired},
        "cpus.csv": [safe_row(row) for row in topology.rows(results.run.machine)],
        "claims.csv": [safe_row(row) for row in claim_words.table_rows(results)],
    }
    columns = {**FILES, "cells.csv": cell_columns(rows["cells.csv"])}
    return {name: csv_text(columns[name], rows[name]) for name in FILES}


def value(key: str, text: str) -> Any:
    """A field of a table as what it is: text, a number, None for nothing. ValueError when a fixed column that holds
    numbers does not."""
    if key in TEXTS:
        return text
    if not text:
        return None
    if key in NUMBERS:
        return float(text)
    try:
        return float(text)
    except ValueError:
        return text


def parse(content: str) -> tuple[Row, ...]:
    """Rows of a CSV text; ValueError when a number is none."""
    return tuple(
        {key: value(key, text) for key, text in row.items()}
        for row in csv.DictReader(io.StringIO(content))
    )


def table_of(contents: Mapping[str, str]) -> Table:
    """The table that these files' contents hold."""
    return Table(*(parse(contents[name]) for name in FILES))


def write(directory: Path, contents: Mapping[str, str]) -> None:
    """Writes the tables of a run."""
    for name, content in contents.items():
        replace_text(directory / name, content)
