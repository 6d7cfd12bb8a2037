# SPDX-License-Identifier: MIT
"""The index of history: runs that are taken out of it, and values in it that are none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from faultline import history, history_index, history_remove
from faultline.history_index import HistoryError
from test_history import figures_change, index_make, made, one_line, ratios, rows, shown


def state(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All tables by names and not by numbers of rows, which depend on what was there before."""
    queries = {
        "runs": "SELECT id, name, started, expected, finished, stopped FROM runs ORDER BY id",
        "machines": "SELECT hash, machines.name FROM machines JOIN fingerprints ON fingerprint = number ORDER BY 1, 2",
        "series": "SELECT scenario, quantity, hash, runs, invalid, few FROM series JOIN fingerprints f"
                  " ON fingerprint = f.number ORDER BY 1, 2, 3",
        "figures": "SELECT runs.id, estimate, verdict, trials FROM figures JOIN runs ON run = number ORDER BY 1, 2",
        "changes": "SELECT a.id, b.id, c.id, before, after, p FROM changes JOIN runs a ON run = a.number JOIN runs b"
                   " ON run_before = b.number JOIN runs c ON confirmed_run = c.number ORDER BY 1",
        "fingerprints": "SELECT hash, blocking FROM fingerprints ORDER BY 1",
    }
    with history_index.index_open(path) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


@pytest.mark.parametrize("out", [[0], [39], [20, 21, 5], [19], list(range(18, 26))])
def test_what_is_taken_out_was_never_there(tmp_path: Path, out: list[int]) -> None:
    values = ratios(40, step_at=20)
    runs = [made(i, value) for i, value in enumerate(values)]
    path = index_make(tmp_path / "all", runs)
    without = index_make(tmp_path / "without", [run for i, run in enumerate(runs) if i not in out])
    assert rows(path, "changes")
    with history_index.index_open(path, write=True) as connection:
        assert history_remove.runs_remove(connection, [runs[i].id for i in out]) == [f"run-{i}" for i in out]
    assert state(path) == state(without)


def test_what_is_taken_out_of_many_boots(tmp_path: Path) -> None:
    """More runs than a look sees, some of few trials, some INVALID; boots of five runs, two steps."""
    runs = [made(i, value * (1.06 if i >= 150 else 1), boot=f"b{i // 5}")
            for i, value in enumerate(ratios(240, step_at=60))]
    runs = [figures_change(run, **({"trials": 4} if i % 17 == 3 else {"verdict": "INVALID"} if i % 19 == 5 else {}))
            for i, run in enumerate(runs)]
    path = index_make(tmp_path / "all", runs)
    assert len(rows(path, "changes")) == 2
    gone: set[int] = set()
    for out in ([60, 61, 62], [3, 5, 20, 24], list(range(140, 156)), [0, 239]):
        gone |= set(out)
        with history_index.index_open(path, write=True) as connection:
            history_remove.runs_remove(connection, [runs[i].id for i in out])
        left = [run for i, run in enumerate(runs) if i not in gone]
        assert state(path) == state(index_make(tmp_path / str(len(gone)), left))


def test_what_is_judged_no_more_goes_with_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the schema has no exact counters now, the changes told of one still rest on runs that are there."""
    runs = [figures_change(made(i, 1.0 + (i >= 20)), quantity="minor_faults_per_op") for i in range(40)]
    path = index_make(tmp_path / "i", runs)
    assert len(rows(path, "changes")) == 1
    monkeypatch.setattr(history_index, "exact_names", lambda given: frozenset())
    with history_index.index_open(path, write=True) as connection:
        history_remove.runs_remove(connection, [runs[20].id])
    (told,) = shown(path)[0].changes
    assert told.run.id == runs[21].id


def test_the_last_run_of_a_machine(tmp_path: Path) -> None:
    other = made(3, machine="other", fingerprint="b" * 16, blocking={"kernel": "6.2"})
    path = index_make(tmp_path / "i", [made(0), made(1), other])
    with history_index.index_open(path, write=True) as connection:
        history_remove.runs_remove(connection, [other.id])
    assert state(path) == state(index_make(tmp_path / "j", [made(0), made(1)]))


def test_remove_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [made(i) for i in range(3)]
    path = index_make(tmp_path / "i", runs)
    assert history.main(["remove", "--index", str(path), runs[1].id]) == 0
    assert capsys.readouterr().out == f"run-1: {runs[1].id} is removed\n"
    before = state(path)
    assert history.main(["remove", "--index", str(path), runs[0].id, runs[1].id]) == 7
    assert one_line(told := capsys.readouterr().err) and f"no run {runs[1].id}" in told
    assert state(path) == before, "all of them or none"
    assert history.main(["remove", "--index", str(tmp_path / "absent"), "x"]) == 7
    assert "no such index" in capsys.readouterr().err and not (tmp_path / "absent").exists()


DAMAGE = {
    "text for an estimate": "UPDATE figures SET estimate = 'many' WHERE run = 40",
    "bytes for an estimate": "UPDATE figures SET estimate = x'00ff' WHERE run = 40",
    "an estimate without end": "UPDATE figures SET estimate = 9e999 WHERE run = 40",
    "text for a limit": "UPDATE figures SET low = 'low' WHERE run = 1",
    "no JSON": "UPDATE fingerprints SET blocking = '{'",
    "another JSON": "UPDATE fingerprints SET blocking = '[1]'",
    "deep JSON": "UPDATE fingerprints SET blocking = replace(printf('%.9000c', '['), ' ', '[')",
    "bytes for a name": "UPDATE runs SET name = x'ff'",
    "a run that is gone": "DELETE FROM runs WHERE number = 40",
    "figures that are gone": "DELETE FROM figures",
    "a fingerprint that is gone": "DELETE FROM fingerprints",
    "text for a level": "UPDATE changes SET before = 'low'",
    "a level without end": "UPDATE changes SET after = -9e999",
    "text for δ": "UPDATE series SET delta = 'wide'",
    "a number for an arm": "UPDATE series SET arm = x'41'",
    "no runs": "UPDATE series SET runs = 'none'",
    "a change of no run": "UPDATE changes SET confirmed_run = 999",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An index of forty runs with a change."""
    path = tmp_path_factory.mktemp("index") / "i"
    index_make(path, [made(i, value) for i, value in enumerate(ratios(40, step_at=20))])
    assert shown(path)[0].changes
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.mark.parametrize("what", DAMAGE)
def test_values_that_are_none(what: str, sound: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "i"
    path.write_bytes(sound)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(DAMAGE[what])
        connection.commit()
    for words in (["show"], ["show", "--json"], ["show", "--fail-on-change"]):
        assert history.main([words[0], "--index", str(path), *words[1:]]) == 7
        told = capsys.readouterr()
        assert one_line(told.err) and f"{path}: damaged" in told.err and not told.out, told


def test_the_cause_is_not_hidden(sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite ends a transaction by itself when the disk is full; to end it again would be another error."""
    path = tmp_path / "i"
    path.write_bytes(sound)
    with pytest.raises(HistoryError, match="full"):
        with history_index.index_open(path, write=True) as connection:
            with history_index.transaction(connection):
                connection.execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")


def test_remove_meets_what_is_no_number(sound: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, what in enumerate(("text for δ", "text for trials")):
        path = tmp_path / str(number)
        path.write_bytes(sound)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute({**DAMAGE, "text for trials": "UPDATE figures SET trials = 'many'"}[what])
            connection.commit()
        assert history.main(["remove", "--index", str(path), made(3, ratios(40, step_at=20)[3]).id]) == 7
        assert one_line(told := capsys.readouterr().err) and f"{path}: damaged" in told, told
        assert len(rows(path, "runs")) == 40


@pytest.mark.parametrize("words", [["add", "--commit", "\udce9", "x"], ["show", "--scenario", "\udcff"]])
def test_what_is_no_text(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        history.main([words[0], "--index", str(tmp_path / "i"), *words[1:]])
    assert caught.value.code == 2 and "is not UTF-8" in capsys.readouterr().err
