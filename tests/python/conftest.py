# SPDX-License-Identifier: MIT
"""Where the package under test lies, and runs that several tests read."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "python")]

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import pytest  # noqa: E402

import fake_run  # noqa: E402
from faultline import records, verdict  # noqa: E402

DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every fake scenario, 15 trials."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    return fake_run.write(directory, [make(trials=15) for make in fake_run.SCENARIOS.values()])


@pytest.fixture(scope="session")
def whole(whole_run: Path) -> verdict.Results:
    """Its conclusions."""
    return verdict.conclude(records.run_load(whole_run))
