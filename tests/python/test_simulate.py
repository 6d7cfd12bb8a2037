# SPDX-License-Identifier: MIT
"""The simulated tables: that the documents have what is printed, and that what is printed has the truth in it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from conftest import ROOT
from faultline import simulate

DOCUMENTS = {"history": "history.md", "compare": "statistics.md"}
LABELS = {"history-alarms": 1, "history-boots": 1, "history-nights": 2, "history-power": 2, "history-power-boots": 3,
          "compare-alarms": 3, "compare-power": 2}  # columns that say what a row is of


def cells(line: str) -> list[str]:
    """A row of a table in Markdown."""
    return [one.strip() for one in line.strip().strip("|").split("|")]


@pytest.mark.parametrize("table", simulate.TABLES)
def test_the_document_has_the_table_that_is_printed(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its head, its rows in their order and how it is printed; the figures are those of all of the series."""
    assert simulate.main([table, "0.003"]) == 0
    head, rule, *rows = capsys.readouterr().out.splitlines()
    document = (ROOT / "docs" / DOCUMENTS[table.partition("-")[0]]).read_text().splitlines()
    at = document.index(head)
    assert document[at + 1] == rule and len({len(cells(row)) for row in (head, *rows)}) == 1
    stored = document[at + 2 : at + 2 + len(rows)]
    assert [cells(row)[: LABELS[table]] for row in stored] == [cells(row)[: LABELS[table]] for row in rows]
    assert document[at + 2 + len(rows)] == "" and any(f"faultline simulate {table}`" in line for line in document)


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    for told, looks in ((0, 400), (3, 1000), (40, 900)):
        wanted = binomtest(told, looks).proportion_ci(0.95, method="exact").high
        assert simulate.Alarms(told, looks).most == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("make", "spread", "correlation"), [
    (simulate.noise(0.02), 0.02, 0.0), (simulate.wandering(0.033, 0.8), 0.033, 0.8),
    (simulate.wandering(0.064, 0.95), 0.064, 0.95), (simulate.booted(0.01, 30), 0.01044, 0.885)])
def test_series_have_the_spread_they_are_named_by(make: simulate.Logs, spread: float, correlation: float) -> None:
    """booted: σ² = 1 %² + 0.3 %²; neighbours share a boot 29 times in 30: 0.917 · 0.967."""
    series = [make(np.random.default_rng(seed), 3000) for seed in range(20)]
    assert np.std(series) == pytest.approx(spread, rel=0.06)
    assert np.mean([np.corrcoef(one[1:], one[:-1])[0, 1] for one in series]) == pytest.approx(correlation, abs=0.04)


def test_nights() -> None:
    """Ten series, 1 alarm in 1000 looks: 1 − 0.999^10, and 1 − 0.9995^200. None seen: as many as there may be."""
    assert simulate.nights(simulate.Alarms(10, 10000), 10) == ("1 %", "9.5 %")
    assert simulate.nights(simulate.Alarms(0, 36887), 10) == ("below 0.1 %", "below 1 %")


@pytest.mark.parametrize("words", [[], ["no-such"], ["history-alarms", "0"], ["history-alarms", "2"],
                                   ["history-alarms", "nan"], ["history-alarms", "x"]])
def test_what_is_no_table(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        simulate.main(words)
    assert ended.value.code == 2
