# SPDX-License-Identifier: MIT
"""Where the package under test lies, and runs that several tests read."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "python")]

import pytest  # noqa: E402

import fake_run  # noqa: E402
from faultline import pictures, records, tables, verdict  # noqa: E402

# A shell has what it begins in the background ignore these, nohup the last, and programs under test would inherit that.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

DATA = ROOT / "tests" / "data"
PICTURES = {
    ("board", "access/read-or-map"),
    ("board", "access/scan-by-size"),
    ("board", "access/recipe"),
    ("crossover", "access/read-or-map"),
    ("crossover", "access/scan-by-size"),
    ("recipe", "access/recipe"),
    ("heatmap", "access/recipe"),
    ("pages_per_fault", "access/recipe"),
    ("null_run", ""),
}  # of the run below: (plot, scenario)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--mutations N: how many damages of each kind test_mutations.py draws."""
    parser.addoption("--mutations", type=int, default=24, help="damages of each kind to be drawn (24)")


@pytest.fixture(scope="session")
def mutations(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--mutations"))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every fake scenario, 15 trials."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    return fake_run.write(directory, [make(trials=15) for make in fake_run.SCENARIOS.values()])


@pytest.fixture(scope="session")
def whole(whole_run: Path) -> verdict.Results:
    """Its conclusions."""
    return verdict.conclude(records.run_load(whole_run))


@pytest.fixture(scope="session")
def whole_table(whole: verdict.Results) -> tables.Table:
    """Its tables."""
    return tables.table_of(tables.texts(whole))


@pytest.fixture(scope="session")
def whole_drawn(whole_table: tables.Table) -> list[tuple[pictures.Picture, bytes]]:
    """Its pictures as SVG, drawn once for all tests."""
    return [(picture, picture.render("svg")) for picture in pictures.pictures(whole_table)]
