# SPDX-License-Identifier: MIT
"""The command `faultline report`: files, streams and exit statuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import fake_run
from conftest import PICTURES, ROOT
from fake_run import FakeArm

WRITTEN = {
    "summary.json",
    "cells.csv",
    "trials.csv",
    "crossings.csv",
    "timeline.csv",
    "summary.md",
    "report.html",
    "junit.xml",
    "badge.json",
    "pairs.csv",
    "ladder.csv",
    "canary.csv",
    "cpus.csv",
    "claims.csv",
    "plots",
}


def report(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faultline.report", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "scripts"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
        },
    )


def run_of(directory: Path, damage: Callable[[dict[str, Any]], Any] | None = None, **changes: Any) -> Path:
    scenario = fake_run.read_or_map(
        **{**dict(cells=[{}], arms=[FakeArm("pread"), FakeArm("fast", 0.9)], trials=8), **changes}
    )
    return fake_run.write(directory, [scenario], damage=lambda v: (damage(v) if damage else None, v)[1])


def test_a_whole_run(whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    done = report(run)
    assert done.returncode == 0 and done.stderr == "" and "What to conclude" in done.stdout
    assert {p.name for p in run.iterdir()} >= WRITTEN and not [p for p in run.rglob(".*")]
    assert json.loads((run / "summary.json").read_text())["schema"] == "faultline.summary/1"
    assert len(list((run / "plots").glob("*.svg"))) == len(PICTURES)


def test_no_plots_and_table_only(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r")
    before = {p.name for p in run.iterdir()}
    assert report(run, "--table-only").returncode == 0 and {p.name for p in run.iterdir()} == before
    assert report(run, "--no-plots").returncode == 0
    assert {p.name for p in run.iterdir()} - before == WRITTEN - {"plots"}


def fail(value: dict[str, Any]) -> None:
    value["arms"][1].update(status="failed", reason="SIGBUS: the file shrank", batch_ns=[], order=[])


STATUSES: dict[str, tuple[dict[str, Any], list[str], int]] = {
    "fine": ({}, [], 0),
    "fine, and all is told": ({}, ["--strict"], 0),
    "cannot tell": ({"trials": 5}, [], 0),
    "cannot tell, insisted": ({"trials": 5}, ["--strict"], 3),
    "nulls differ": ({"null_bias": 0.1}, [], 4),
    "an arm failed": ({"damage": fail}, [], 5),
    "a checksum differs": ({"damage": lambda v: v["arms"][1].update(checksum="0" * 16)}, [], 5),
    "failed before invalid": ({"damage": fail, "null_bias": 0.1}, [], 5),
    "nothing measured": ({"trials": 0}, [], 7),
}


@pytest.mark.parametrize("name", STATUSES)
def test_exit_statuses(name: str, tmp_path: Path) -> None:
    changes, words, status = STATUSES[name]
    done = report(run_of(tmp_path / "r", **changes), "--no-plots", *words)
    assert done.returncode == status and "Traceback" not in done.stderr


def test_damage_is_named_and_is_seven(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r")
    path = run / "trials.jsonl"
    path.write_text(path.read_text().replace('"trial":3', '"trial":4', 1))
    done = report(run, "--no-plots")
    assert done.returncode == 7 and "trials.jsonl:4: error: the crc32 does not fit" in done.stderr
    assert (run / "summary.json").exists() and "trials.jsonl:4" in (run / "report.html").read_text()


def test_a_torn_tail_is_no_damage(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r", trials=9)
    path = run / "trials.jsonl"
    path.write_text(path.read_text()[:-50])
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "finished": 0}))  # as a run leaves it that was killed
    done = report(run, "--no-plots")
    assert done.returncode == 0 and "trials.jsonl:9: warning: the last record is torn" in done.stderr
    assert "8 of 9 planned records" in done.stdout


@pytest.mark.parametrize("words", (["/nowhere"], ["{empty}"]))
def test_what_cannot_be_read(words: list[str], tmp_path: Path) -> None:
    done = report(*(str(tmp_path) if word == "{empty}" else word for word in words))
    assert done.returncode == 7 and done.stderr.startswith("faultline report: ") and done.stderr.count("\n") == 1


def test_malformed_runs_are_named_without_a_traceback(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r", cells=fake_run.product(block_bytes=[64, 4096, 65536]))
    manifest = json.loads((run / "manifest.json").read_text())
    for change in ({"touches": [1]}, {"other": 1}, {"bad name": 1}):
        changed = json.loads(json.dumps(manifest))
        changed["plan"]["cells"][0]["params"].update(change)
        (run / "manifest.json").write_text(json.dumps(changed))
        done = report(run)
        assert done.returncode == 7 and done.stderr.count("\n") == 1 and "manifest.json: " in done.stderr


def test_histograms_cut_otherwise_are_damage(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        if value["trial"] == 2:
            for arm in value["arms"]:
                arm["latency"]["service"]["sub_bits"] = 6

    done = report(run_of(tmp_path / "r", damage=damage), "--no-plots")
    assert done.returncode == 7 and "trials.jsonl:3: error: histograms with different sub_bits" in done.stderr


def test_usage(tmp_path: Path) -> None:
    assert report().returncode == 2 and report(tmp_path, "--nonsense").returncode == 2
    assert "Exit status" in report("--help").stdout


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    run = run_of(tmp_path / "r")
    (run / "summary.json").mkdir()
    done = report(run)
    assert done.returncode == 7 and "pread" in done.stdout and "Traceback" not in done.stderr


def test_a_closed_pipe_is_quiet(whole_run: Path) -> None:
    words = f"{sys.executable} -m faultline.report --table-only {whole_run} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stderr == ""
    first, status = done.stdout.splitlines()
    assert first.startswith("access/read-or-map — ") and status in ("0", "7")  # 0: before the pipe closed


def test_a_terminal_that_is_not_utf8(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faultline.report", "--table-only", str(run_of(tmp_path / "r"))],
        capture_output=True,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "scripts"),
            "LC_ALL": "C",
            "PYTHONIOENCODING": "ascii",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode == 0 and done.stdout.isascii() and b"0.9" in done.stdout
