# SPDX-License-Identifier: MIT
"""The tidy tables as plots read them: cells.csv, trials.csv and crossings.csv, typed, one scenario or the whole run."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from faultline.files import csv_text, replace_text
from faultline.summary import CELL_COLUMNS, CROSSING_COLUMNS, TRIAL_COLUMNS, cell_rows, crossing_rows, trial_rows
from faultline.verdict import Results

Row = Mapping[str, Any]
FILES = {"cells.csv": CELL_COLUMNS, "trials.csv": TRIAL_COLUMNS, "crossings.csv": CROSSING_COLUMNS}
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
    )
)


@dataclass(frozen=True)
class Table:
    """Rows of the three tables. Numbers are float or None, texts str ("" for nothing)."""

    cells: tuple[Row, ...]
    trials: tuple[Row, ...]
    crossings: tuple[Row, ...]

    @property
    def scenarios(self) -> list[str]:
        """Names of the scenarios, in plan order."""
        return list(dict.fromkeys(row["scenario"] for row in self.cells))

    def of(self, scenario: str) -> "Table":
        """The rows of one scenario."""
        parts = (self.cells, self.trials, self.crossings)
        return Table(*(tuple(row for row in part if row["scenario"] == scenario) for part in parts))


def texts(results: Results) -> dict[str, str]:
    """The three files' contents by name."""
    rows = {"cells.csv": cell_rows(results), "trials.csv": trial_rows(results), "crossings.csv": crossing_rows(results)}
    return {name: csv_text(columns, rows[name]) for name, columns in FILES.items()}


def parse(content: str) -> tuple[Row, ...]:
    """Rows of a CSV text; ValueError when a number is none."""
    return tuple(
        {key: value if key in TEXTS else float(value) if value else None for key, value in row.items()}
        for row in csv.DictReader(io.StringIO(content))
    )


def table_of(contents: Mapping[str, str]) -> Table:
    """The table that these files' contents hold."""
    return Table(*(parse(contents[name]) for name in FILES))


def write(directory: Path, contents: Mapping[str, str]) -> None:
    """Writes the three files of a run."""
    for name, content in contents.items():
        replace_text(directory / name, content)
