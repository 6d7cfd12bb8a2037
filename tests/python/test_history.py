# SPDX-License-Identifier: MIT
"""The history of runs: what the index keeps, what it refuses, what is shown of it; changes of level are tested beside."""

from __future__ import annotations

import json
import math
import os
import random
import resource
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
from faultline import changes, history, history_index, history_run, history_text, history_view
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
                  noise_grade="B", boot="b", instance="", figures=(figure,))
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


def test_figures_of_an_invalid_cell_are_marked_and_not_judged(tmp_path):
    directory = run_make(tmp_path / "a", null_bias=0.1)
    assert {f.verdict for f in history_run.read(directory).figures} == {"INVALID"}
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
        (d / "trials.jsonl").read_bytes().replace(b'"trial":3', b'"trial":4', 1)), "damaged records: trials.jsonl:4"),
    "summary cut": (lambda d: (d / "summary.json").write_text("{"), "summary.json: not JSON"),
    "summary of another format": (lambda d: (d / "summary.json").write_text('{"schema":"faultline.summary/2"}'),
                                  "another major version"),
    "summary of another run": (lambda d: (d / "summary.json").write_text(
        '{"schema":"faultline.summary/1","run":"other","cells":[],"problems":[]}'), "is of another run (other)"),
    "summary of another shape": (lambda d: (d / "summary.json").write_text(
        '{"schema":"faultline.summary/1","run":"bad","cells":[{"scenario":3}],"problems":[]}'), "summary.json"),
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
    run_make(tmp_path / "a", trials=7)
    assert history.main(["add", "--index", str(index), str(run)]) == 0
    assert "there already, with other figures as " in capsys.readouterr().out
    assert [rows(index, table) for table in tables] == before


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
    assert rows(index, "series")[0][-2] == 1


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


def test_an_index_in_a_folder_one_may_not_write_can_be_read(tmp_path):
    index = index_make(tmp_path / "ro" / "i.sqlite", [made(i) for i in range(3)])
    assert not index.with_name("i.sqlite-wal").exists()
    assert history_index.address(index, False).endswith("mode=ro")
    if os.geteuid() != 0:
        index.parent.chmod(0o500)
        try:
            assert shown(index)[0].series.runs == 3
        finally:
            index.parent.chmod(0o700)


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
    monkeypatch.setattr(changes, "look", lambda values, delta: looks.append(1) or look(values, delta))
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


def test_times_are_not_judged_and_counts_are(tmp_path):
    for quantity, count, word in (("ns_per_op", 0, ""), ("run_delay_ns_per_op", 0, ""), ("minor_faults_per_op", 1, "RISEN"),
                                  ("ratio", 1, "SLOWER")):
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

    index = index_make(tmp_path / "i.sqlite", [run(i, r) for i, r in enumerate(ratios(40, 30))])
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
    assert change["after"] / change["before"] == pytest.approx(1.05, abs=0.005) and change["p"] <= changes.ALPHA
    assert change["ns_per_op"]["baseline"] == {"before": 600.0, "after": 600.0}


def test_exit_status_when_the_latest_change_is_slower(tmp_path, capsys):
    def status(name: str, runs: list[RunFigures], *words: str) -> int:
        index = tmp_path / name
        if not index.exists():
            index_make(index, runs)
        return history.main(["show", "--index", str(index), *words])

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
    back = [made(i, r * (0.9 if i >= 45 else 1)) for i, r in enumerate(ratios(70, 25))]
    assert status("back", back, "--fail-on-change", "70") == 0
    assert [c.direction for c in shown(tmp_path / "back")[0].changes] == ["SLOWER", "FASTER"]
    ended = [*slower, *(made(40 + i, fingerprint="b" * 16) for i in range(3))]
    assert status("ended", ended, "--fail-on-change") == 0
    assert status("none", [made(i) for i in range(3)], "--changes") == 0
    assert "no change" in capsys.readouterr().out


def test_hostile_strings_are_only_text(tmp_path):
    runs = [replace(figures_change(made(i, 0.6 if i < 20 else 0.7), scenario=HOSTILE, arm=HOSTILE, cell=HOSTILE, method=HOSTILE),
                    name=HOSTILE, machine=HOSTILE, boot=HOSTILE, profile=HOSTILE, blocking={HOSTILE: [HOSTILE, i >= 25]},
                    fingerprint=("a" if i < 25 else "b") + HOSTILE) for i in range(50)]
    index = index_make(tmp_path / "i.sqlite", runs, lambda i: HOSTILE)
    assert len(rows(index, "runs")) == 50
    out = command("show", "--index", index, "--scenario", "x*", "--machine", "*", "--arm", "*'; DROP*")
    assert out.returncode == 0 and "SLOWER" not in out.stderr and "x\\x1b[31m" in out.stdout, out
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
    begin = time.perf_counter()
    for words in (["show"], ["show", "--json"], ["plot", "--cell", "c3", "--arm", "a1", "--out", tmp_path / "p"]):
        before = time.perf_counter()
        done = command(*words, "--index", path)
        assert done.returncode == 0, done.stderr
        print(f"{' '.join(map(str, words[:2]))}: {time.perf_counter() - before:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{RUNS} runs, {figures} figures, {path.stat().st_size / 2**20:.0f} MiB: steps {whole} for all, {narrow} for one,"
          f" {drawing} to draw, {add} to add; {time.perf_counter() - begin:.2f} s in all; children's peak {peak:.0f} MiB")
    assert peak < PEAK_MOST_MIB


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
