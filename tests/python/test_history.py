# SPDX-License-Identifier: MIT
"""The history of runs: what the index keeps, what it refuses, what is shown of it; changes of level are tested beside."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable
from xml.etree import ElementTree

import numpy as np
import pytest

import fake_run
from faultline import (
    changes, freshness, history, history_index, history_run, history_text, history_view, records, summary, verdict,
)
from faultline.history_index import Filter, HistoryError
from faultline.history_run import Figure, RunFigures

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "x\x1b[31m'; DROP TABLE runs; --\u202e<b>$x$"


def scenario(**changes_: Any) -> fake_run.FakeScenario:
    """Two arms, one cell, six trials."""
    arms = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("mapped", 0.6, faults=0.0625)]
    return fake_run.FakeScenario(**{**dict(arms=arms, trials=8, rounds=8), **changes_})


def run_make(directory: Path, index: int = 0, **changes_: Any) -> Path:
    """A run that began `index` days after the first, with a name and a seed of its own."""
    fake_run.write(directory, [scenario(**changes_)], seed=index + 1)
    return manifest_change(directory, run=directory.name, seed=index, started=f"2026-02-{index + 1:02}T03:00:00.000Z")


def manifest_change(directory: Path, **values: Any) -> Path:
    """The same run with other members in its manifest (`seed` is its plan's)."""
    path = directory / "manifest.json"
    value = json.loads(path.read_text())
    value["plan"]["seed"] = values.pop("seed", value["plan"]["seed"])
    path.write_text(json.dumps({**value, **values}))
    return directory


def made(index: int, ratio: float = 0.6, **changes_: Any) -> RunFigures:
    """What a run of one arm contributes, without a directory."""
    figure = Figure("access/x", "f" * 32, "all", "mapped", "mmap", 1, "candidate", 0.01, "ratio", ratio, ratio * 0.99,
                    ratio * 1.01, "FASTER", 10)
    started = datetime(2026, 1, 1) + timedelta(days=index)
    values = dict(name=f"run-{index}", started=history_run.time_read(started.isoformat() + "Z"), seed=index, machine="lab",
                  fingerprint="a" * 16, blocking={"kernel": "6.1"}, tool_version="0.1.0", program="p", profile="quick",
                  noise_grade="B", boot="b", instance="", expected=10, finished=10, stopped="precision",
                  figures=(figure,))
    return RunFigures(**{**values, **changes_})


def figures_change(run: RunFigures, **values: Any) -> RunFigures:
    """The same run with its figure changed."""
    return replace(run, figures=tuple(replace(one, **values) for one in run.figures))


def index_make(path: Path, runs: list[RunFigures], commit: Callable[[int], str] = lambda i: f"c{i}") -> Path:
    """An index of these runs."""
    with history_index.index_open(path, write=True) as connection:
        for i, run in enumerate(runs):
            assert history_index.run_add(connection, run, commit(i)) == "added"
    return path


def ratios(count: int, step_at: int | None = None, step: float = 0.05, seed: int = 1) -> list[float]:
    """Ratios about 0.6 with a run spread of 0.3 %, and a step."""
    rng = np.random.default_rng(seed)
    return [float(0.6 * math.exp(rng.normal(0, 0.003)) * (1 + step * (step_at is not None and i >= step_at)))
            for i in range(count)]


def shown(path: Path, **wanted: Any) -> list[history_view.Shown]:
    """What matches."""
    with history_index.index_open(path) as connection:
        return history_view.view(connection, Filter(**wanted))


def rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    """A whole table."""
    with history_index.index_open(path) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def command(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-B", "-m", "faultline.history", *map(str, words)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONIOENCODING": "utf-8"}, **options)


def one_line(text: str) -> bool:
    """Whether it is exactly one line."""
    return text.endswith("\n") and text.count("\n") == 1


# --- what a run contributes ---


def test_a_run_without_summary_is_concluded_as_the_report_does(tmp_path):
    from faultline import report

    directory = run_make(tmp_path / "a")
    anew = history_run.read(directory)
    assert not (directory / "summary.json").exists()
    assert report.main([str(directory), "--no-plots"]) == 0
    assert history_run.read(directory) == anew
    summary = json.loads((directory / "summary.json").read_text())
    arm = summary["cells"][0]["arms"][1]
    found = {f.quantity: f for f in anew.figures if f.arm == "mapped"}
    assert (found["ratio"].estimate, found["ratio"].low, found["ratio"].verdict) == (
        arm["ratio"]["estimate"], arm["ratio"]["low"], arm["verdict"])
    assert found["ns_per_op"].estimate == arm["ns_per_op"]["estimate"] and found["ns_per_op"].verdict is None
    assert found["minor_faults_per_op"].estimate == 0.0625 and found["ratio"].trials == 8
    assert "write_bytes_per_op" not in found  # null: nobody could read it
    assert {f.arm: f.role for f in anew.figures} == {"pread": "baseline", "mapped": "candidate", "null": "null"}


def test_a_summary_that_is_older_than_the_records_is_made_anew(tmp_path):
    from faultline import report

    directory = run_make(tmp_path / "a")
    report.main([str(directory), "--no-plots"])
    value = json.loads((directory / "summary.json").read_text())
    value["cells"][0]["arms"][1]["ratio"].update(estimate=0.123, low=0.12, high=0.13)
    (directory / "summary.json").write_text(json.dumps(value))
    ratio = lambda: next(f.estimate for f in history_run.read(directory).figures if f.quantity == "ratio")  # noqa: E731
    assert ratio() == 0.123
    os.utime(directory / "summary.json", ns=(1, 1))
    assert ratio() == pytest.approx(0.6, rel=0.02)


def later(path: Path, text: str) -> None:
    """Writes a file as somebody does who comes after all others."""
    path.write_text(text)
    newest = max(one.stat().st_mtime_ns for one in path.parent.iterdir())
    os.utime(path, ns=(newest + 10**6, newest + 10**6))


def test_the_exit_status_that_comes_last_makes_nothing_stale(tmp_path, monkeypatch):
    """The program rewrites the manifest after the report; what else is changed in it counts."""
    from faultline import plot, report

    directory = run_make(tmp_path / "a")
    report.main([str(directory), "--no-plots"])
    manifest = json.loads((directory / "manifest.json").read_text())
    stored = history_run.read(directory)
    concluded, conclude = [], verdict.conclude
    monkeypatch.setattr(verdict, "conclude", lambda run: concluded.append(1) or conclude(run))
    later(directory / "manifest.json", json.dumps({**manifest, "exit_status": 3}))
    assert history_run.read(directory) == stored and plot.tables_load(directory).cells and not concluded
    manifest["plan"]["scenarios"][0]["delta"] = 0.02
    later(directory / "manifest.json", json.dumps(manifest))
    assert {f.delta for f in history_run.read(directory).figures} == {0.02} and len(concluded) == 1
    assert plot.tables_load(directory).cells[0]["delta"] == 0.02 and len(concluded) == 2
    later(directory / "trials.jsonl", (directory / "trials.jsonl").read_text())
    history_run.read(directory)
    assert len(concluded) == 3


def test_a_summary_of_an_earlier_version_is_made_anew(tmp_path):
    from faultline import report

    directory = run_make(tmp_path / "a")
    report.main([str(directory), "--no-plots"])
    whole = history_run.read(directory)
    stored = (directory / "summary.json").read_text()
    for remove in (lambda value: value.pop("damage"), lambda value: value["cells"][0].pop("counts_invalid")):
        value = json.loads(stored)
        remove(value)
        value["cells"][0]["arms"][1]["ratio"].update(estimate=0.123, low=0.12, high=0.13)
        (directory / "summary.json").write_text(json.dumps(value))
        assert history_run.read(directory) == whole


def test_figures_of_an_invalid_cell_are_marked_and_not_judged(tmp_path):
    directory = run_make(tmp_path / "a", null_bias=0.1)
    figures = history_run.read(directory).figures
    assert {f.verdict for f in figures if not history_run.is_count(f.quantity)} == {"INVALID"}
    counts = [f for f in figures if history_run.is_count(f.quantity)]
    assert counts and {f.verdict for f in counts} == {None}  # they do not depend on how long identical arms took

    def other_work(value: dict[str, Any]) -> dict[str, Any]:
        value["arms"][1]["checksum"] = "f" * 16
        return value

    fake_run.write(tmp_path / "b", [scenario()], damage=other_work)
    assert {f.verdict for f in history_run.read(tmp_path / "b").figures} == {"INVALID"}
    values = ratios(30)
    runs = [made(i, r) for i, r in enumerate(values)]
    runs += [figures_change(made(30 + i, 0.9), verdict="INVALID") for i in range(10)]
    path = index_make(tmp_path / "i.sqlite", runs)
    (one,) = shown(path)
    assert (one.series.runs, one.series.invalid, one.changes) == (40, 10, [])
    assert one.last.estimate == values[-1]


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda d: (d / "manifest.json").unlink(), "manifest.json: No such file"),
    "no records": (lambda d: (d / "trials.jsonl").unlink(), "trials.jsonl: No such file"),
    "manifest cut": (lambda d: (d / "manifest.json").write_bytes((d / "manifest.json").read_bytes()[:99]),
                     "manifest.json: not JSON"),
    "no time": (lambda d: manifest_change(d, started="yesterday"), "manifest.json: \"started\" is no time"),
    "another machine": (lambda d: manifest_change(d, machine="f" * 16), "names another machine"),
    "nothing measured": (lambda d: (manifest_change(d, finished=0), (d / "trials.jsonl").write_text("")),
                         "nothing was measured"),
    "records cut off": (lambda d: (d / "trials.jsonl").write_text(""), "8 of 8 finished records are missing"),
    "damaged record": (lambda d: (d / "trials.jsonl").write_bytes(
        (d / "trials.jsonl").read_bytes().replace(b'"trial":3', b'"trial":4', 1)), "the run is damaged: trials.jsonl:4"),
    "machine changed": (lambda d: (d / "machine.json").write_text(
        (d / "machine.json").read_text().replace('"blocking": {', '"blocking": {"more": 1, ', 1)),
                        "the run is damaged: machine.json"),
    "summary cut": (lambda d: (d / "summary.json").write_text("{"), "summary.json: not JSON"),
    "summary of another format": (lambda d: (d / "summary.json").write_text('{"schema":"faultline.summary/2"}'),
                                  "another major version"),
    "summary of another run": (lambda d: (d / "summary.json").write_text(
        '{"schema":"faultline.summary/1","run":"other","cells":[],"damage":[]}'), "is of another run (other)"),
    "summary of another shape": (lambda d: (d / "summary.json").write_text(
        '{"schema":"faultline.summary/1","run":"bad","cells":[{"scenario":3,"counts_invalid":null}],"damage":[],'
        '"environment_changes":[]}'), "summary.json"),
    "no time zone": (lambda d: manifest_change(d, started="2026-02-01T03:00:00"), "\"started\" names no time zone"),
    "no run": (lambda d: shutil.rmtree(d), "no such run directory"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_run_is_one_line_and_the_others_are_added(tmp_path, capsys, what):
    good, bad = run_make(tmp_path / "good", 1), run_make(tmp_path / "bad", 2)
    BREAKS[what][0](bad)
    index = tmp_path / "i.sqlite"
    assert history.main(["add", "--index", str(index), str(bad), str(good)]) == 7
    told = capsys.readouterr()
    assert one_line(told.err) and str(bad) in told.err and BREAKS[what][1] in told.err, told.err
    assert [row[3] for row in rows(index, "runs")] == ["good"] and "good: added as " in told.out


# --- the index ---


def test_adding_a_run_twice_changes_nothing_and_says_so(tmp_path, capsys):
    run, index = run_make(tmp_path / "a"), tmp_path / "i.sqlite"
    tables = ("runs", "series", "figures", "changes", "machines", "fingerprints")
    assert history.main(["add", "--index", str(index), "--commit", "abc", str(run)]) == 0
    before = [rows(index, table) for table in tables]
    capsys.readouterr()
    assert history.main(["add", "--index", str(index), "--commit", "def", str(run), str(run)]) == 0
    assert capsys.readouterr().out.count("there already as ") == 2
    assert [rows(index, table) for table in tables] == before
    for trials, said in ((7, "more records"), (8, "other figures")):
        run_make(tmp_path / "a", trials=trials, rounds=9)
        assert history.main(["add", "--index", str(index), str(run)]) == 0
        assert f"there already, with {said} as " in capsys.readouterr().out
        assert [rows(index, table) for table in tables] == before


def test_a_run_that_was_resumed_takes_the_place_of_what_there_was_of_it(tmp_path, capsys):
    def trials(count: int) -> Path:
        directory = run_make(tmp_path / "a", trials=count)
        return manifest_change(directory, expected=8, stopped="interrupted" if count < 8 else "precision")

    index = tmp_path / "i.sqlite"
    assert history.main(["add", "--index", str(index), "--commit", "abc", str(trials(3))]) == 0
    assert history.main(["show", "--index", str(index), "--json", "--arm", "mapped", "--quantity", "ratio"]) == 0
    (one,) = json.loads(capsys.readouterr().out.partition("\n")[2])["series"]
    assert (one["few_trials"], one["last"]["trials"]) == (1, 3)
    assert [one["last"]["run"][key] for key in ("expected", "finished", "stopped")] == [8, 3, "interrupted"]
    assert history.main(["add", "--index", str(index), str(trials(8))]) == 0
    assert "added anew, with 8 records instead of 3, as " in capsys.readouterr().out
    whole = index_make(tmp_path / "j.sqlite", [history_run.read(tmp_path / "a")], lambda i: "abc")
    assert rows(index, "runs") == rows(whole, "runs")
    kept = [one.series for one in shown(index)]
    assert {(one.runs, one.few) for one in kept} == {(1, 0)} and len(kept) == len(rows(whole, "series"))
    assert history.main(["add", "--index", str(index), str(trials(3))]) == 0
    assert "there already, with more records as " in capsys.readouterr().out


def test_figures_of_too_few_trials_are_kept_and_not_judged(tmp_path, capsys):
    few = [figures_change(made(20 + i, 0.7, finished=4), trials=5) for i in range(15)]
    index = index_make(tmp_path / "i.sqlite", [*(made(i, r) for i, r in enumerate(ratios(20))), *few])
    (one,) = shown(index)
    assert (one.series.runs, one.series.few, one.series.valid, one.changes) == (35, 15, 20, [])
    assert one.last.trials == 10
    assert history.main(["show", "--index", str(index)]) == 0
    assert "35 (15 of few trials)" in capsys.readouterr().out
    assert command("plot", "--index", index, "--out", tmp_path / "p").returncode == 0
    assert "too few trials, not judged" in next((tmp_path / "p").glob("*.svg")).read_text()


def test_what_replaces_an_unfinished_run_is_judged_as_if_it_had_come_at_once(tmp_path):
    runs = [made(i, r) for i, r in enumerate(ratios(60, 30))]
    unfinished = [figures_change(replace(runs[i], finished=4), estimate=0.9, trials=trials)
                  for i, trials in ((10, 4), (31, 8))]
    index = index_make(tmp_path / "i.sqlite", [*unfinished, *(r for i, r in enumerate(runs) if i not in (10, 31))])
    with history_index.index_open(index, write=True) as connection:
        for i in (10, 31):
            assert history_index.run_add(connection, runs[i], "").startswith("added anew")
    told = [[(c.run.id, c.confirmed.id, c.told.before, c.told.after, c.told.p) for c in shown(path)[0].changes]
            for path in (index, index_make(tmp_path / "j.sqlite", runs))]
    assert told[0] == told[1] and len(told[0]) == 1
    (one,) = shown(index)
    assert (one.series.runs, one.series.few) == (60, 0)


def test_a_run_under_which_the_machine_changed_has_no_valid_figure(tmp_path, capsys):
    """The boot changes from one cell to the next, so that no cell by itself has anything wrong with it."""
    from faultline import report

    def damage(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "boot_id": "other"} if value["cell"] == "block_bytes=4KiB" else value

    directory = tmp_path / "a"
    fake_run.write(directory, [scenario(cells=fake_run.product(block_bytes=[64, 4096]))], damage=damage)
    manifest_change(directory, run="a", seed=1)
    assert report.main([str(directory), "--no-plots"]) == 4
    said = "INVALID: during the run the machine was booted again."
    assert said in capsys.readouterr().out
    assert all(said in (directory / name).read_text() for name in ("report.html", "summary.md"))
    stored = json.loads((directory / "summary.json").read_text())
    assert stored["environment_changes"] == ["the machine was booted again"]
    assert {cell["status"] for cell in stored["cells"]} == {"ok"}
    assert {figure.verdict for figure in history_run.read(directory).figures} == {"INVALID"}


def test_runs_in_directories_of_one_name_are_told_apart(tmp_path):
    one, other = made(1), replace(made(2), name="run-1")
    assert one.id != other.id and one.id == made(1, 0.7).id and one.digest != made(1, 0.7).digest


def test_the_index_lies_where_option_or_environment_say(tmp_path, monkeypatch):
    run = run_make(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAULTLINE_HISTORY", raising=False)
    assert history.main(["add", str(run)]) == 0 and (tmp_path / "history.sqlite").exists()
    monkeypatch.setenv("FAULTLINE_HISTORY", str(tmp_path / "by environment?#%.sqlite"))
    assert history.main(["add", str(run)]) == 0 and history.main(["show"]) == 0
    assert (tmp_path / "by environment?#%.sqlite").exists()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_what_is_no_index_is_refused_in_one_line(tmp_path, capsys):
    run = run_make(tmp_path / "a")
    good = index_make(tmp_path / "good", [made(i) for i in range(40)])
    with sqlite3.connect(good) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = good.read_bytes()
    cases = {"text": (b"no database, but long enough to be one" * 100, "damaged, or no index"),
             "short": (b"x", "no index of faultline"),
             "cut": (content[: len(content) // 2 // 4096 * 4096], "damaged, or no index"),
             "overwritten": (content[:4096] + os.urandom(len(content) - 4096), "damaged, or no index"),
             "empty": (b"", "no index of faultline")}
    for name, (bad, said) in cases.items():
        (tmp_path / name).write_bytes(bad)
        for words in (["show"], ["add", str(run)]):
            assert history.main([words[0], "--index", str(tmp_path / name), *words[1:]]) == 7, (name, words)
            told = capsys.readouterr()
            assert one_line(told.err) and said in told.err and name in told.err, (name, told.err)
    for pragma, said in (("user_version = 99", "written by a newer faultline (index version 99"),
                         ("application_id = 7", "no index of faultline")):
        (tmp_path / "other").write_bytes(content)
        with sqlite3.connect(tmp_path / "other") as connection:
            connection.execute(f"PRAGMA {pragma}")
        assert history.main(["show", "--index", str(tmp_path / "other")]) == 7
        assert history.main(["add", "--index", str(tmp_path / "other"), str(run)]) == 7
        err = capsys.readouterr().err.splitlines()
        assert len(err) == 2 and all(said in line for line in err), err
    assert history.main(["show", "--index", str(tmp_path / "nowhere")]) == 7
    assert "no such index" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()


def test_usage_is_status_2(capsys):
    for words in ([], ["add"], ["show", "--fail-on-change", "0"], ["plot", "--runs", "x"], ["draw"]):
        with pytest.raises(SystemExit) as left:
            history.main(words)
        assert left.value.code == 2
    capsys.readouterr()


def test_a_run_is_added_whole_or_not_at_all(tmp_path, monkeypatch):
    index = index_make(tmp_path / "i.sqlite", [made(0)])
    two = replace(made(1), figures=(*made(1).figures, replace(made(1).figures[0], arm="other")))
    put, count = history_index.figure_put, iter(range(9))

    def fail(*arguments: Any) -> None:
        if next(count) == 1:
            raise RuntimeError("power cut")
        put(*arguments)

    monkeypatch.setattr(history_index, "figure_put", fail)
    with history_index.index_open(index, write=True) as connection, pytest.raises(RuntimeError):
        history_index.run_add(connection, two, "")
    assert len(rows(index, "runs")) == len(rows(index, "figures")) == len(rows(index, "series")) == 1
    assert shown(index)[0].series.runs == 1


def test_two_adds_at_a_time_lose_nothing(tmp_path):
    runs = [run_make(tmp_path / f"r{i}", i) for i in range(8)]
    index = tmp_path / "i.sqlite"
    words = [sys.executable, "-B", "-m", "faultline.history", "add", "--index", str(index)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    parts = [runs[:5], runs[3:], runs[::-1]]  # every run by two of them or all three
    started = [subprocess.Popen([*words, *map(str, part)], env=environment, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.PIPE) for part in parts]
    told = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], told
    assert sum(out.count(": added as ") for out, _ in told) == len(runs)
    assert sum(out.count(": there already as ") for out, _ in told) == sum(map(len, parts)) - len(runs)
    assert sorted(row[3] for row in rows(index, "runs")) == sorted(path.name for path in runs)
    with history_index.index_open(index) as connection:
        assert connection.execute("SELECT count(*), sum(runs) FROM series").fetchone()[1] == len(rows(index, "figures"))
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    one_by_one = index_make(tmp_path / "j.sqlite", [history_run.read(path) for path in runs])
    assert len(rows(one_by_one, "figures")) == len(rows(index, "figures"))


def test_a_reader_does_not_wait_for_a_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(history_index, "WAIT_S", 0.2)
    index = index_make(tmp_path / "i.sqlite", [made(i) for i in range(3)])
    with history_index.index_open(index, write=True) as connection, history_index.transaction(connection):
        history_index.fingerprint_put(connection, made(9, fingerprint="b" * 16))
        assert shown(index)[0].series.runs == 3
        with pytest.raises(HistoryError, match="another program has been writing"):
            index_make(index, [made(5)])
    index_make(index, [made(5)])


def test_an_index_in_a_folder_one_may_not_write_can_be_read(tmp_path, monkeypatch):
    index = index_make(tmp_path / "ro" / "i.sqlite", [made(i) for i in range(3)])
    assert not index.with_name("i.sqlite-wal").exists()
    assert history_index.address(index, False).endswith("mode=ro")
    monkeypatch.setattr(history_index.os, "access", lambda path, mode: False)  # root may write everywhere
    assert history_index.address(index, False).endswith("immutable=1") and shown(index)[0].series.runs == 3
    assert [path.name for path in index.parent.iterdir()] == ["i.sqlite"]


def test_an_index_is_made_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(history_index.os, "link", refuse)
    before = os.umask(0o077)
    try:
        index = index_make(tmp_path / "i.sqlite", [made(0)])
    finally:
        os.umask(before)
    assert shown(index)[0].series.runs == 1 and index.stat().st_mode & 0o777 == 0o600
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    history_index.create(index)  # one that is there stays
    assert shown(index)[0].series.runs == 1


def test_a_full_disk_is_one_line_and_leaves_whole_runs(tmp_path, monkeypatch, capsys):
    runs = [run_make(tmp_path / f"r{i}", i) for i in range(3)]
    index = tmp_path / "i.sqlite"
    assert history.main(["add", "--index", str(index), str(runs[0])]) == 0
    before = {table: rows(index, table) for table in ("runs", "series", "figures")}
    check = history_index.version_check

    def fill(connection: sqlite3.Connection, path: Path) -> None:
        check(connection, path)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(history_index, "version_check", fill)
    capsys.readouterr()
    many = [figures_change(made(9, figures=tuple(replace(made(9).figures[0], cell=f"c{i}") for i in range(500))))]
    with pytest.raises(HistoryError, match="full"), history_index.index_open(index, write=True) as connection:
        history_index.run_add(connection, many[0], "")
    monkeypatch.setattr(history_run, "read", lambda path: many[0])
    assert history.main(["add", "--index", str(index), str(runs[1])]) == 7
    told = capsys.readouterr()
    assert one_line(told.err) and "full" in told.err and not told.out
    assert {table: rows(index, table) for table in before} == before


def test_an_add_that_is_interrupted_leaves_whole_runs(tmp_path, monkeypatch):
    index, put, count = tmp_path / "i.sqlite", history_index.figure_put, iter(range(99))

    def interrupt(*arguments: Any) -> None:
        if next(count) == 3:
            raise KeyboardInterrupt
        put(*arguments)

    monkeypatch.setattr(history_index, "figure_put", interrupt)
    runs = [made(i, figures=(made(i).figures[0], replace(made(i).figures[0], arm="other"))) for i in range(3)]
    with pytest.raises(KeyboardInterrupt), history_index.index_open(index, write=True) as connection:
        for run in runs:
            history_index.run_add(connection, run, "")
    assert [row[1] for row in rows(index, "runs")] == [runs[0].id] and len(rows(index, "figures")) == 2
    monkeypatch.undo()
    index_make(index, runs[1:])
    assert [one.series.runs for one in shown(index)] == [3, 3]


def test_an_index_of_an_earlier_version_is_refused(tmp_path, capsys):
    index = index_make(tmp_path / "i.sqlite", [made(0)])
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert history.main(["show", "--index", str(index)]) == 7
    assert "written by an earlier faultline (index version 1, not 2)" in capsys.readouterr().err


def test_what_is_shown_is_one_state_of_the_index(tmp_path, monkeypatch):
    """A run that is added while pictures are drawn is in none of them."""
    index = index_make(tmp_path / "i.sqlite", [made(i) for i in range(5)])
    view, drawn = history_view.view, []

    def view_then_add(*arguments: Any) -> Any:
        found = view(*arguments)
        index_make(index, [made(9)])
        return found

    monkeypatch.setattr(history_view, "view", view_then_add)
    from faultline import history_picture

    monkeypatch.setattr(history_picture, "render", lambda one, form: drawn.append(one) or b"")
    assert history.main(["plot", "--index", str(index), "--out", str(tmp_path / "p")]) == 0
    assert [len(part.points) for one in drawn for part in one.parts] == [5, 5]


# --- series and changes ---


def test_the_order_in_which_runs_are_added_makes_no_difference(tmp_path):
    values = ratios(60, 30) + [1.05 * 1.04 * v for v in ratios(110, seed=2)]
    runs = [made(i, value) for i, value in enumerate(values)]

    def told(path: Path) -> list[tuple[Any, ...]]:
        return [(c.run_before.id, c.run.id, c.confirmed.id, c.told.before, c.told.after, c.told.p)
                for one in shown(path) for c in one.changes]

    wanted = told(index_make(tmp_path / "in-order", runs))
    expected = changes.find(values, 0.01)
    assert [(c.first, c.confirmed) for c in expected] == [
        tuple(next(i for i, r in enumerate(runs) if r.id == one) for one in row[1:3]) for row in wanted]
    assert len(wanted) == 2 and wanted[0][1] == runs[30].id and wanted[1][1] == runs[60].id
    for seed in range(3):
        mixed = random.Random(seed).sample(runs, len(runs))
        assert told(index_make(tmp_path / f"mixed-{seed}", mixed)) == wanted
    assert told(index_make(tmp_path / "late", [*runs[:3], *runs[4:], runs[3]])) == wanted
    assert told(index_make(tmp_path / "latest-first", runs[::-1])) == wanted


def test_a_run_that_is_added_late_has_no_more_looks_than_needed(tmp_path, monkeypatch):
    runs = [made(i, r) for i, r in enumerate(ratios(400, 300))]
    index = index_make(tmp_path / "i.sqlite", runs[:10] + runs[11:])
    looks, look = [], changes.look
    monkeypatch.setattr(changes, "look", lambda *arguments: looks.append(1) or look(*arguments))
    with history_index.index_open(index, write=True) as connection:
        history_index.run_add(connection, runs[10], "")
    assert len(looks) == changes.WINDOW and len(shown(index)[0].changes) == 1


@pytest.mark.parametrize("what", ["fingerprint", "scenario_hash", "method_version", "delta"])
def test_what_may_not_be_compared_is_another_series(tmp_path, capsys, what):
    runs = [made(i, r) for i, r in enumerate(ratios(40, 20, 0.2))]
    other = {"fingerprint": lambda run: replace(run, fingerprint="b" * 16, blocking={"kernel": "6.2"})}.get(
        what, lambda run: figures_change(run, **{what: {"scenario_hash": "e" * 32, "method_version": 2, "delta": 0.02}[what]}))
    index = index_make(tmp_path / "i.sqlite", [other(r) if i >= 20 else r for i, r in enumerate(runs)])
    first, second = shown(index)
    assert (first.series.runs, second.series.runs) == (20, 20) and not first.changes and not second.changes
    assert second.follows is first and not second.beside and first.followed
    key = "kernel" if what == "fingerprint" else what
    assert [row[0] for row in second.differs] == [key]
    assert history.main(["show", "--index", str(index)]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "not joined" in line)
    assert "ended 2026-01-20 00:00" in line and key in line
    assert (" 6.1 → 6.2" in line) == (what == "fingerprint")
    joined = index_make(tmp_path / "j.sqlite", runs)
    assert len(shown(joined)[0].changes) == 1


def test_machines_of_other_names_do_not_follow_each_other(tmp_path):
    runs = [made(i) for i in range(5)] + [made(9 + i, fingerprint="b" * 16, machine="other") for i in range(5)]
    index = index_make(tmp_path / "i.sqlite", runs)
    assert [one.follows for one in shown(index)] == [None, None]
    assert [one.fingerprint for one in shown(index, machine="oth*")] == ["b" * 16]
    assert [one.fingerprint for one in shown(index, machine="aaaa")] == ["a" * 16]
    assert shown(index, machine="nobody") == [] and len(shown(index, scenario="access/*", arm="mapped")) == 2


def test_ratios_and_exact_counts_are_judged(tmp_path):
    for quantity, count, word in (("ns_per_op", 0, ""), ("run_delay_ns_per_op", 0, ""), ("minor_faults_per_op", 1, "RISEN"),
                                  ("voluntary_switches_per_op", 0, ""), ("instructions_per_op", 0, ""),
                                  ("a_counter_of_tomorrow_per_op", 0, ""), ("ratio", 1, "SLOWER")):
        runs = [figures_change(made(i), quantity=quantity, estimate=0.0 if i < 20 else 2.0) for i in range(30)]
        (one,) = shown(index_make(tmp_path / quantity, runs))
        assert [c.direction for c in one.changes] == [word] * count, quantity
    runs = [figures_change(made(i), role="phase", estimate=0.5 if i < 20 else 0.4) for i in range(30)]
    (one,) = shown(index_make(tmp_path / "phase", runs))
    assert [c.direction for c in one.changes] == ["FALLEN"]


def test_a_change_is_shown_with_what_else_differs_and_what_times_did(tmp_path, capsys):
    def run(i: int, ratio: float) -> RunFigures:
        (base,) = made(i, ratio, boot="b2" if i >= 30 else "b1").figures
        ns = [replace(base, quantity="ns_per_op", estimate=600 * ratio),
              replace(base, arm="pread", role="baseline", quantity="ns_per_op", estimate=600.0)]
        return made(i, ratio, boot="b2" if i >= 30 else "b1", figures=(base, *ns))

    index = index_make(tmp_path / "i.sqlite", [run(i, r) for i, r in enumerate(ratios(40, 30, 0.08))])
    assert history.main(["show", "--index", str(index)]) == 0
    out = capsys.readouterr().out
    assert "SLOWER" in out and "commit c29, run " in out and "commit c30, run " in out and "booted anew" in out
    assert "baseline 600 ns → 600 ns" in out and "moves by itself, not judged" in out
    assert history.main(["show", "--index", str(index), "--json", "--quantity", "ratio"]) == 0
    value = json.loads(capsys.readouterr().out)
    (series,) = value["series"]
    (change,) = series["changes"]
    assert value["schema"] == "faultline.history/1" and series["runs"] == 40 and series["judged"]
    assert change["run_before"]["commit"] == "c29" and change["run"]["commit"] == "c30" and change["also"] == ["booted anew"]
    assert change["after"] / change["before"] == pytest.approx(1.08, abs=0.005) and change["p"] <= changes.ALPHA
    assert change["ns_per_op"]["baseline"] == {"before": 600.0, "after": 600.0}


def test_exit_status_when_the_latest_change_is_slower(tmp_path, capsys):
    def status(name: str, runs: list[RunFigures], *words: str) -> int:
        index = tmp_path / name
        if not index.exists():
            index_make(index, runs)
        what = words[:1] if words[:1] == ("plot",) else ("show",)
        return history.main([*what, "--index", str(index), *(word for word in words if word != "plot")])

    slower = [made(i, r) for i, r in enumerate(ratios(40, 25))]
    assert status("slower", slower) == 0
    assert status("slower", slower, "--fail-on-change") == 1
    assert status("slower", slower, "--fail-on-change", "--json") == 1
    told_at = changes.find([r.figures[0].estimate for r in slower], 0.01)[0].confirmed
    assert status("slower", slower, "--fail-on-change", str(40 - told_at)) == 1
    assert status("slower", slower, "--fail-on-change", str(40 - told_at - 1)) == 0
    assert status("slower", slower, "--changes", "--arm", "mapped") == 0
    assert status("slower", slower, "--arm", "nobody") == 7
    assert status("faster", [made(i, r) for i, r in enumerate(ratios(40, 25, -0.05))], "--fail-on-change") == 0
    for name, then, wanted in (("back", 0.9, 0), ("back in part", 0.985, 1), ("back to what it was", 1 / 1.05, 0)):
        back = [made(i, r * (then if i >= 45 else 1)) for i, r in enumerate(ratios(70, 25))]
        assert status(name, back, "--fail-on-change", "70") == wanted, name
        assert [c.direction for c in shown(tmp_path / name)[0].changes] == ["SLOWER", "FASTER"]
    assert status("back in part", [], "--fail-on-change", "25") == 0  # the first one is longer ago than that
    ended = [*slower, *(made(40 + i, fingerprint="b" * 16) for i in range(3))]
    assert status("ended", ended, "--fail-on-change") == 0
    assert status("none", [made(i) for i in range(3)], "--changes") == 0
    assert "no change" in capsys.readouterr().out
    assert status("none", [], "plot", "--changes") == 0 and not (tmp_path / "history-plots").exists()
    assert capsys.readouterr().out == "no change\n"
    assert status("none", [], "plot", "--changes", "--arm", "nobody") == 7
    assert status("slower", [], "--require-judged") == 0
    assert status("slower", [], "--require-judged", "--fail-on-change") == 1
    capsys.readouterr()
    for name in ("none", "ended"):  # nothing has the runs: too few as yet, and too few since the machine is another one
        assert status(name, [], "--fail-on-change") == 0
        assert one_line(err := capsys.readouterr().err) and "no series can be SLOWER yet" in err and "17 runs" in err
        assert status(name, [], "--require-judged", "--fail-on-change", "--json") == 3
        assert status(name, []) == 0
        capsys.readouterr()
    out = tmp_path / "pictures"
    assert status("slower", [], "plot", "--changes", "--out", str(out)) == 0 and len(list(out.iterdir())) == 2


def test_boots_that_differ_are_no_change(tmp_path):
    """Seven runs a boot, boots that differ by half of δ; then a step that lasts over boots."""
    rng = np.random.default_rng(8)
    boots = np.repeat(np.exp(rng.normal(0, 0.005, 20)), 7)
    values = 0.6 * boots * np.exp(rng.normal(0, 0.002, 140)) * np.where(np.arange(140) >= 84, 1.06, 1)

    def found(path: Path, boot: Callable[[int], str]) -> list[str]:
        index_make(path, [made(i, value, boot=boot(i)) for i, value in enumerate(values)])
        return [c.run.id for c in shown(path)[0].changes]

    assert found(tmp_path / "boots", lambda i: f"b{i // 7}") == [made(84).id]
    assert len(found(tmp_path / "unknown", lambda i: "")) > 1  # where boots are not known, each run stands for itself


def test_times_beside_a_change_are_those_of_its_runs(tmp_path):
    """Another version of the method, of the same scenario, has series of its own."""
    def run(i: int, ratio: float, version: int, ns: float) -> RunFigures:
        (base,) = made(i, ratio).figures
        base = replace(base, method_version=version)
        some = [base, replace(base, quantity="ns_per_op", estimate=ns),
                replace(base, arm="pread", role="baseline", quantity="ns_per_op", estimate=2 * ns)]
        return made(i, ratio, figures=tuple(some))

    runs = [run(i, r, 1 + (i >= 30), 100.0 + 500 * (i >= 30)) for i, r in enumerate(ratios(80, 60))]
    (change,) = [c for one in shown(index_make(tmp_path / "i.sqlite", runs), quantity="ratio") for c in one.changes]
    assert change.ns == {"arm": (600.0, 600.0), "baseline": (1200.0, 1200.0)}


def test_machines_without_a_name_follow_only_their_like(tmp_path):
    def run(i: int, fingerprint: str, **values: Any) -> RunFigures:
        return figures_change(made(i, machine="", fingerprint=fingerprint * 16), **values)

    runs = [run(0, "a"), run(1, "b"), run(2, "b", scenario_hash="e" * 32)]
    assert [one.follows and one.follows.fingerprint for one in shown(index_make(tmp_path / "i.sqlite", runs))] == [
        None, None, "b" * 16]


def test_chains_keep_their_order(tmp_path):
    runs = [figures_change(made(i), arm=f"a{i % 3}", scenario_hash=f"{i // 6:032}") for i in range(18)]
    with history_index.index_open(index_make(tmp_path / "i.sqlite", runs)) as connection:
        found = history_view.chains(history_view.view(connection, Filter()))
    assert [[(one.series.arm, one.series.scenario_hash[-1]) for one in chain] for chain in found] == [
        [(f"a{arm}", str(version)) for version in range(3)] for arm in range(3)]


def test_hostile_strings_are_only_text(tmp_path):
    runs = [replace(figures_change(made(i, 0.6 if i < 20 else 0.7), scenario=HOSTILE, arm=HOSTILE, cell=HOSTILE, method=HOSTILE),
                    name=HOSTILE, machine=HOSTILE, boot=HOSTILE, profile=HOSTILE, blocking={HOSTILE: [HOSTILE, i >= 25]},
                    fingerprint=("a" if i < 25 else "b") + HOSTILE) for i in range(50)]
    index = index_make(tmp_path / "i.sqlite", runs, lambda i: HOSTILE)
    assert len(rows(index, "runs")) == 50
    out = command("show", "--index", index, "--scenario", "x*", "--machine", "*", "--arm", "*'; DROP*")
    assert out.returncode == 0 and "SLOWER" in out.stdout and "x\\x1b[31m" in out.stdout, out
    assert "\x1b" not in out.stdout and "\u202e" not in out.stdout
    assert command("show", "--index", index, "--arm", "' OR 1 --").returncode == 7
    value = json.loads(command("show", "--index", index, "--json").stdout)
    assert value["series"][0]["scenario"] == HOSTILE
    drawn = command("plot", "--index", index, "--out", tmp_path / "p")
    assert drawn.returncode == 0 and "\x1b" not in drawn.stdout, drawn.stderr
    (svg,) = (tmp_path / "p").glob("*.svg")
    ElementTree.fromstring(svg.read_bytes())
    assert "\x1b" not in svg.read_text() and all(c.isalnum() or c in "-_." for c in svg.name)
    assert len(rows(index, "runs")) == 50
    bad = command("add", "--index", index, tmp_path / "no\x1b[31mrun")
    assert bad.returncode == 7 and "\x1b" not in bad.stderr and one_line(bad.stderr)


def test_the_table_fits_a_terminal_that_is_not_utf8(tmp_path):
    index = index_make(tmp_path / "i.sqlite", [made(i, r) for i, r in enumerate(ratios(40, 25))])
    done = subprocess.run([sys.executable, "-B", "-m", "faultline.history", "show", "--index", str(index)],
                          env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONIOENCODING": "ascii"},
                          capture_output=True, timeout=60)
    assert done.returncode == 0 and b"SLOWER" in done.stdout, done.stderr
    done.stdout.decode("ascii")


# --- pictures ---


def test_pictures_break_between_series_and_mark_changes(tmp_path):
    from faultline import history_picture

    runs = [made(i, r, **({} if i < 20 else {"fingerprint": "b" * 16, "blocking": {"kernel": "6.2"}}))
            for i, r in enumerate(ratios(60, 45))]
    index = index_make(tmp_path / "i.sqlite", runs)
    done = command("plot", "--index", index, "--out", tmp_path / "p")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert names == [f"history-ratio-access-x-all-mapped.{form}" for form in ("png", "svg")]
    text = (tmp_path / "p" / names[1]).read_text()
    assert "SLOWER +5" in text and "kernel 6.1 → 6.2" in text and "time ÷ time of the baseline" in text
    assert "c45" in text and "2026-02-15" in text and "95\u00a0% interval" in text
    with history_index.index_open(index) as connection:
        (chain,) = history_view.chains(history_view.view(connection, Filter()))
        drawn = history_view.drawn_of(connection, chain, 30)
        whole = history_view.drawn_of(connection, chain, 200)
    assert (len(drawn.parts), len(drawn.parts[0].points), drawn.left_out) == (1, 30, 30)
    assert [len(part.points) for part in whole.parts] == [20, 40] and whole.left_out == 0
    at = history_picture.places(whole)
    assert at[1][0] - at[0][-1] >= 2 and "without 30 older runs" in history_picture.heading(drawn)
    said = history_picture.captions(whole)
    assert len(said) == 2 and not history_picture.meets(*said, history_picture.WIDTH / at[-1][-1])


def test_captions_keep_apart(tmp_path):
    from faultline import history_picture

    steps = (1.0, 1.05, 1.12, 1.2, 1.1, 1.02)
    runs = [made(i, r * steps[i // 20]) for i, r in enumerate(ratios(120))]
    index = index_make(tmp_path / "i.sqlite", runs)
    with history_index.index_open(index) as connection:
        (chain,) = history_view.chains(history_view.view(connection, Filter()))
        drawn = history_view.drawn_of(connection, chain, 200)
    said = history_picture.captions(drawn)
    scale = history_picture.WIDTH / (len(runs) - 1 + 2 * history_picture.EDGE)
    assert len(said) == 5
    assert not any(history_picture.meets(a, b, scale) for i, a in enumerate(said) for b in said[:i])
    assert all(0 <= end <= history_picture.WIDTH for one in said for end in history_picture.span(one, scale))


# --- many runs ---

RUNS, ARMS, CELLS = 10_000, 5, 10
STEPS_MOST = 400_000  # of SQLite's machine: far fewer than the figures there are
PEAK_MOST_MIB = 300


def many_make(path: Path) -> int:
    """An index of 10 000 runs with one figure for each of 100 series, entered at once; how many figures."""
    history_index.create(path)
    with history_index.index_open(path, write=True) as connection, history_index.transaction(connection):
        fingerprint = history_index.fingerprint_put(connection, made(0))
        for i in range(RUNS):
            history_index.run_put(connection, made(i), fingerprint, f"c{i}")
        (base,) = made(0).figures
        numbers = [history_index.series_put(connection, replace(base, cell=f"c{c}", arm=f"a{a}", quantity=q), fingerprint)
                   for c in range(CELLS) for a in range(ARMS) for q in ("ratio", "ns_per_op")]
        started = [row[0] for row in connection.execute("SELECT started FROM runs ORDER BY number")]
        noise = np.exp(np.random.default_rng(1).normal(0, 0.003, RUNS))
        for number in numbers:
            connection.executemany("INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, 'FASTER', 10)", (
                (number, when, i + 1, 0.6 * x, 0.59 * x, 0.61 * x) for i, (when, x) in enumerate(zip(started, noise.tolist()))))
        connection.execute("UPDATE series SET runs = ?", (RUNS,))
    return RUNS * len(numbers)


def steps_of(path: Path, ask: Callable[[sqlite3.Connection], object]) -> int:
    """Steps of SQLite's machine that a question takes, in hundreds."""
    with history_index.index_open(path) as connection:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        connection.set_progress_handler(tick, 100)
        ask(connection)
        return count * 100


def test_ten_thousand_runs_are_asked_for_little_work(tmp_path):
    path = tmp_path / "many.sqlite"
    figures = many_make(path)
    whole = steps_of(path, lambda c: history_view.view(c, Filter()))
    narrow = steps_of(path, lambda c: history_view.view(c, Filter(cell="c3", arm="a1", quantity="ratio")))
    (one,) = shown(path, cell="c3", arm="a1", quantity="ratio")
    drawing = steps_of(path, lambda c: history_view.drawn_of(c, [one], 200))
    assert one.series.runs == RUNS and whole < STEPS_MOST < figures and narrow < 20_000 and drawing < 20_000
    add = steps_of_add(path)
    assert add < 20_000, add
    print(f"{RUNS} runs, {figures} figures, {path.stat().st_size / 2**20:.0f} MiB: steps {whole} for all, {narrow} for one,"
          f" {drawing} to draw, {add} to add")
    for words in (["show"], ["show", "--json"], ["plot", "--cell", "c3", "--arm", "a1", "--out", tmp_path / "p"]):
        assert peak_of(*words, "--index", path) < PEAK_MOST_MIB


WITH_PEAK = """import sys
from faultline import history
status = history.main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), end="", file=sys.stderr)
sys.exit(status)
"""


def peak_of(*words: object) -> float:
    """The most memory that the command had, MiB, by the process itself: what wait() tells is at least that of the
    process that forked it. The command must succeed."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-B", "-c", WITH_PEAK, *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    peak = int(done.stderr.split()[-2]) / 1024
    print(f"{' '.join(map(str, words[:2]))}: {time.perf_counter() - begin:.2f} s, {peak:.0f} MiB")
    return peak


MANY_RUNS, STEP_RUN, CELLS_MANY = 22, 13, 80
GROWTH_MOST_MIB = 7  # from 2 runs to MANY_RUNS; held together they take 14 MiB


def runs_many(directory: Path) -> list[Path]:
    """Runs of over 2000 figures as the report leaves them; every third arm's ratio rises by 5 % at STEP_RUN. One cell
    is concluded, and stands for all."""
    arms = [fake_run.FakeArm(f"arm {i}", 1 + 0.1 * i, faults=i / 16) for i in range(7)]
    base = fake_run.write(directory / "base", [scenario(arms=arms)])
    value = json.loads(json.dumps(summary.summary(verdict.conclude(records.run_load(base)))))
    plan = json.loads((base / "manifest.json").read_text())
    for owner in (value, plan["plan"]):
        owner["cells"] = [{**owner["cells"][0], "cell": f"touches={i}"} for i in range(CELLS_MANY)]
    (base / "manifest.json").write_text(json.dumps(plan))
    rng = np.random.default_rng(4)
    found = []
    for i in range(MANY_RUNS):
        made_, run = json.loads(json.dumps(value)), shutil.copytree(base, directory / f"r{i}")
        manifest_change(run, run=run.name, seed=i, started=f"2026-02-{i + 1:02}T03:00:00Z")
        for cell in made_["cells"]:
            for j, arm in enumerate(cell["arms"]):
                if arm["ratio"] is not None:
                    factor = math.exp(rng.normal(0, 0.002)) * (1.05 if j % 3 == 1 and i >= STEP_RUN else 1)
                    arm["ratio"] = {key: end and end * factor for key, end in arm["ratio"].items()}
        manifest = records.manifest_read(json.loads((run / "manifest.json").read_text()), records.parameter_types())
        about = {"run": run.name, "manifest_digest": freshness.manifest_digest(manifest)}
        later(run / "summary.json", json.dumps({**made_, **about}))
        found.append(run)
    return found


def test_many_series_are_added_one_run_at_a_time(tmp_path):
    runs = runs_many(tmp_path)
    few = peak_of("add", "--index", tmp_path / "few.sqlite", *runs[:2])
    index = tmp_path / "i.sqlite"
    assert peak_of("add", "--index", index, *runs[::-1]) < few + GROWTH_MOST_MIB
    found = shown(index)
    assert len(found) > 2000 and {one.series.runs for one in found} == {MANY_RUNS}
    changed = [one for one in found if one.changes]
    assert [c.run.name for one in changed for c in one.changes] == [f"r{STEP_RUN}"] * len(changed)
    assert {one.series.quantity for one in changed} == {"ratio"}
    assert len(changed) == CELLS_MANY * 3  # of arms 1 and 4 and the null


def steps_of_add(path: Path) -> int:
    """Steps that adding one more run takes."""
    run = figures_change(made(RUNS), cell="c3", arm="a1")
    count = [0]

    def tick() -> int:
        count[0] += 1
        return 0

    with history_index.index_open(path, write=True) as connection:
        connection.set_progress_handler(tick, 100)
        assert history_index.run_add(connection, run, "") == "added"
    return count[0] * 100


def test_words_for_how_far_a_value_moved():
    assert history_view.moved(1.0, 1.023) == "+2.3 %" and history_view.moved(2, 2) == "0 %"
    assert history_view.moved(2, 1) == "−50 %" and history_view.moved(0, 1) == "–"
    assert history_text.value_words({"a": "\x1b"}) == '{"a": "\\u001b"}'
