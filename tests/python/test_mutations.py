# SPDX-License-Identifier: MIT
"""Runs that were damaged, by chance or on purpose: a status of the table and one line, never a crash, never a record
that passes as what it was not.

Which mutations are drawn depends on a fixed seed; `--mutations N` draws N of each kind (default: 24). Those that once
did harm are kept in KEPT.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any, Callable, Iterator
from xml.etree import ElementTree

import pytest

import fake_run
from fake_run import FakeArm
from faultline import compare, history, plot, records, report, sources, verdict
from faultline.records import RecordsError

TABLE = {"report": {0, 3, 4, 5, 7}, "compare": {0, 1, 3, 4, 5, 6, 7}, "history": {0, 7}, "plot": {0, 7}}
RAW = "\ue000"  # a text that begins with this stands for itself in the file
NESTED = RAW + "[" * 600 + "]" * 600
VALUES = (
    None, True, [], {}, [[]], "", "two", "\x1b[2J\u202e<script>alert(1)</script>", "a\nb", "../../etc", "x" * 3000, "é",
    -1, 0, 0.5, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**400, RAW + "1e999", RAW + "NaN", RAW + '"\\ud800"', NESTED,
    RAW + '{"a": 1, "a": 2}',
)
Place = tuple[Any, ...]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with all that a record can have but pairs."""
    arms = [FakeArm("pread"), FakeArm("mapped", 0.8, faults=0.5)]
    scenario = fake_run.read_or_map(cells=[{}], arms=arms, trials=9, rounds=4)
    return fake_run.write(tmp_path_factory.mktemp("mutations") / "run", [scenario])


@pytest.fixture()
def victim(base: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(base, tmp_path / "victim"))


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where something can be put in a JSON value: every member, and the first elements of every list."""
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*at, key))


def changed(value: Any, at: Place, change: Callable[[Any, Any], None]) -> Any:
    """A copy with a change made to what holds the last step of `at`."""
    copy = json.loads(json.dumps(value))
    holder = copy
    for key in at[:-1]:
        holder = holder[key]
    change(holder, at[-1])
    return copy


def json_text(value: Any) -> str:
    """JSON in which RAW texts stand for themselves."""
    return re.sub('"\\\\ue000((?:[^"\\\\]|\\\\.)*)"', lambda m: json.loads(f'"{m[1]}"'), json.dumps(value))


def put(run: Path, name: str, at: Place, value: Any, remove: bool = False) -> None:
    """Puts a value at a place of a file of the run (of its third record; its crc fits), or takes away what is there."""
    def change(holder: Any, key: Any) -> None:
        if remove:
            del holder[key]
        else:
            holder[key] = value

    path = run / name
    if name != "trials.jsonl":
        path.write_text(json_text(changed(json.loads(path.read_text()), at, change)), encoding="utf-8")
        return
    lines = path.read_text().splitlines(keepends=True)
    record = json.loads(lines[2])
    del record["crc32"]
    text = json_text(changed(record, at, change)).encode()
    lines[2] = (text[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(text)).decode()
    path.write_text("".join(lines), encoding="utf-8")


def harmless(what: str, status: int, told: Any) -> None:
    """The command ended as it should, and said so in lines that do no harm."""
    assert status in TABLE[what], (what, status, told.err)
    assert "internal error" not in told.err and "Traceback" not in told.err, told.err
    for line in told.err.splitlines():
        assert line.startswith("faultline "), told.err
    assert status != 7 or told.err or what == "compare", "a status of 7 without a word"
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", told.out + told.err)


def commands(run: Path, base: Path, scratch: Path) -> dict[str, Callable[[], int]]:
    """What reads a run."""
    return {
        "report": lambda: report.main([str(run), "--no-plots", "--openmetrics", str(scratch / "metrics")]),
        "compare": lambda: compare.main([str(base), str(run), "--out", str(scratch / "compared")]),
        "history": lambda: history.main(["add", "--index", str(scratch / "index"), str(run)]),
    }


def tried(what: str, run: Path, base: Path, scratch: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """The status of one of the commands, whose output is looked at."""
    status = commands(run, base, scratch)[what]()
    harmless(what, status, capsys.readouterr())
    return status


def test_the_run_is_sound(base: Path, victim: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [tried(what, victim, base, tmp_path, capsys) for what in ("report", "history")] == [0, 0]
    assert "there already" not in capsys.readouterr().out


KEPT: dict[str, tuple[str, Place, Any, int]] = {  # with the status of the report
    "a number that no array of numbers holds": ("trials.jsonl", ("arms", 1, "ops_per_batch"), 2 * 10**19, 7),
    "digits without end": ("trials.jsonl", ("clock", "grid_ns"), 10**400, 7),
    "a grid below nothing": ("trials.jsonl", ("clock", "grid_ns"), -5, 7),
    "a count below nothing": ("trials.jsonl", ("arms", 1, "counts", "minor_faults"), -5, 7),
    "a counter that clears the screen": ("trials.jsonl", ("arms", 1, "counts", "\x1b[2J"), 1, 7),
    "a counter of two lines": ("trials.jsonl", ("arms", 1, "counts", "a\nb"), 1, 7),
    "a counter that would be the time": ("trials.jsonl", ("arms", 1, "counts", "ns"), 1, 7),
    "a proof without bottom": ("trials.jsonl", ("arms", 0, "proof"), RAW + '{"a":' * 500 + "1" + "}" * 500, 7),
    "half a character": ("trials.jsonl", ("instance",), RAW + '"\\ud800"', 7),
    "another parameter": ("trials.jsonl", ("params", "block_bytes"), 8192, 7),
    "another method": ("trials.jsonl", ("arms", 1, "method"), "read", 7),
    "workers in words": ("manifest.json", ("plan", "cells", 0, "params", "workers"), "two", 7),
    "no workers": ("manifest.json", ("plan", "cells", 0, "params", "workers"), None, 7),
    "a share in words": ("manifest.json", ("plan", "cells", 0, "arms", 1, "params", "dirty_share"), "half", 7),
    "a run without a name": ("manifest.json", ("run",), RAW + '"x\\ud800"', 7),
    "more records than there are": ("manifest.json", ("finished",), 10, 7),
    "a machine whose name is a list": ("machine.json", ("name",), [], 7),
    "a machine without bottom": ("machine.json", ("blocking",), RAW + '{"a":' * 600 + "1" + "}" * 600, 7),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_once_did_harm(what: str, base: Path, victim: Path, tmp_path: Path,
                            capsys: pytest.CaptureFixture[str]) -> None:
    name, at, value, status = KEPT[what]
    put(victim, name, at, value)
    assert tried("report", victim, base, tmp_path, capsys) == status
    assert tried("compare", victim, base, tmp_path, capsys) in (status, 6)
    assert tried("history", victim, base, tmp_path, capsys) == 7


@pytest.mark.parametrize("name", ["manifest.json", "machine.json", "trials.jsonl"])
def test_values_of_every_kind(name: str, base: Path, victim: Path, tmp_path: Path, mutations: int,
                              capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(f"values {name}")
    sound = (victim / name).read_bytes()
    value = json.loads(sound.splitlines()[2]) if name == "trials.jsonl" else json.loads(sound)
    found = [at for at in places(value) if at != ("crc32",)]
    for i in range(mutations):
        at, put_in = rng.choice(found), rng.choice(VALUES)
        put(victim, name, at, put_in, remove=rng.random() < 0.2)
        try:
            tried(("report", "compare", "history")[i % 3], victim, base, tmp_path, capsys)
        except BaseException:
            print(f"{name}: {at} = {put_in!r:.80}")
            raise
        (victim / name).write_bytes(sound)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """The same bytes but for one bit; or cut, doubled in part, or with a stretch of zeros."""
    at, kind = rng.randrange(len(data)), rng.randrange(8)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[max(0, at - 40):]
    if kind == 2:
        return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512:]
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]


def test_no_bit_of_a_record_passes_unseen(base: Path, victim: Path, mutations: int) -> None:
    """Whatever is done to the file of records: each record is read as it was, or its loss is an error."""
    rng = random.Random("bits of records")
    path = victim / "trials.jsonl"
    sound = path.read_bytes()
    whole = {(t.cell, t.trial): t.digest for t in records.run_load(victim).trials}
    ends = [i for i, byte in enumerate(sound) if byte == 0x0A]
    damages = [flipped(sound, rng) for _ in range(2 * mutations)]
    damages += [sound[:at] + bytes([sound[at] ^ 1 << bit]) + sound[at + 1:]  # each bit at the end of a record
                for end in (ends[0], ends[-1]) for at in range(end - 21, end + 1) for bit in (0, 6)]
    damages += [sound[: end + 1] for end in ends[:-1]]
    for damage in damages:
        path.write_bytes(damage)
        run = records.run_load(victim)
        read = {(t.cell, t.trial): t.digest for t in run.trials}
        assert read.items() <= whole.items(), "a record is not what it was"
        assert read == whole or any(p.severity == "error" for p in run.problems), "a record is lost without a word"


def test_a_run_that_was_killed_may_end_anywhere(victim: Path) -> None:
    """As long as the manifest counts no record that is gone, half a record at the end is expected."""
    path = victim / "trials.jsonl"
    sound = path.read_bytes()
    put(victim, "manifest.json", ("finished",), 0)
    start = sound.rindex(b"\n", 0, -1) + 1
    for end in (*range(start, start + 30), *range(len(sound) - 30, len(sound))):
        path.write_bytes(sound[:end])
        run = records.run_load(victim)
        assert len(run.trials) == 8 and all(p.severity == "warning" for p in run.problems), end
        assert bool(run.problems) == (end > start)


@pytest.mark.parametrize("name", ["manifest.json", "machine.json"])
def test_bits_of_the_other_files(name: str, base: Path, victim: Path, tmp_path: Path, mutations: int,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(f"bits of {name}")
    sound = (victim / name).read_bytes()
    for i in range(mutations):
        (victim / name).write_bytes(flipped(sound, rng))
        tried(("report", "compare", "history")[i % 3], victim, base, tmp_path, capsys)


def test_verdicts_do_not_depend_on_what_was_lost(base: Path, victim: Path, mutations: int) -> None:
    """With records missing a comparison may be undecided; it is not decided otherwise."""
    rng = random.Random("lost records")
    sound = (victim / "trials.jsonl").read_bytes().splitlines(keepends=True)
    whole = [arm.verdict for cell in verdict.conclude(records.run_load(base)).cells for arm in cell.arms]
    assert "FASTER" in whole
    for _ in range(mutations // 4):
        kept = [line if rng.random() < 0.7 else line.replace(b'"batch_ns":[', b'"batch_ns":[9', 1) for line in sound]
        (victim / "trials.jsonl").write_bytes(b"".join(kept))
        results = verdict.conclude(records.run_load(victim))
        found = [arm.verdict for cell in results.cells for arm in cell.arms]
        assert all(a in (b, "CANNOT TELL", None) for a, b in zip(found, whole))
        assert verdict.exit_status(results, False) == (7 if kept != sound else 0)


@pytest.mark.parametrize("kind", ["empty", "gigantic", "long line", "pipe", "folder"])
@pytest.mark.parametrize("name", ["trials.jsonl", "manifest.json", "machine.json"])
def test_what_is_no_such_file(name: str, kind: str, base: Path, victim: Path, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:
    path = victim / name
    if kind in ("pipe", "folder"):
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    else:
        size = {"empty": 0, "gigantic": 100 << 30, "long line": path.stat().st_size + records.LINE_MAX + 1}[kind]
        with path.open("r+b" if kind == "long line" else "wb") as stream:
            stream.truncate(size)
    for what in ("report", "history"):
        assert tried(what, victim, base, tmp_path, capsys) == 7
    assert tried("compare", victim, base, tmp_path, capsys) in (6, 7)


def test_hostile_names_in_every_output(base: Path, victim: Path, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown of a name does nothing: not in a terminal, not in a page, not in XML."""
    hostile = "\x1b[2J\u202e<script>alert(1)</script>&'\""
    for name in ("manifest.json", "trials.jsonl"):
        text = (victim / name).read_text(encoding="utf-8")
        lines = text.splitlines() if name == "trials.jsonl" else [text]
        values = [json.loads(line) for line in lines]
        for value in values:
            plan = value.get("plan")
            for cell in plan["cells"] if plan else [value]:
                cell["scenario"] = hostile
                cell["arms"][1]["name"] = hostile
            for scenario in plan["scenarios"] if plan else ():
                scenario.update(name=hostile, question=hostile, op=hostile)
            value.pop("crc32", None)
            if not plan:
                value["params"]["op"] = hostile
        made = [fake_run.line(v) if name == "trials.jsonl" else json.dumps(v) for v in values]
        (victim / name).write_text("".join(made), encoding="utf-8")
    put(victim, "machine.json", ("name",), hostile)
    for what in ("report", "history"):
        assert tried(what, victim, base, tmp_path, capsys) == 0
    assert tried("compare", victim, victim, tmp_path, capsys) in TABLE["compare"]
    for path in (*victim.glob("report.html"), *(tmp_path / "compared").glob("*.html"), *victim.glob("*.md")):
        assert "<script>alert" not in path.read_text(encoding="utf-8"), path
    for path in (victim / "junit.xml", tmp_path / "compared" / "junit.xml"):
        ElementTree.parse(path)
    for path in (*victim.glob("*.csv"), *victim.glob("*.md"), victim / "report.html"):
        assert "\x1b" not in path.read_text(encoding="utf-8"), path


def test_a_summary_of_any_kind(victim: Path, tmp_path: Path, mutations: int,
                               capsys: pytest.CaptureFixture[str]) -> None:
    """What a history takes over it can show."""
    rng = random.Random("summaries")
    assert report.main([str(victim), "--no-plots"]) == 0
    path, index = victim / "summary.json", tmp_path / "index"
    sound = path.read_bytes()
    found = list(places(json.loads(sound)))
    range_of = next(at for at in found if at[-1] == "counts_range")
    kept = [(range_of, {"minor_faults": end}) for end in ([1, RAW + "1e999"], [3, 2], ["a", 1], [1], 7, [5, 9])]
    for at, value in kept + [(rng.choice(found), rng.choice(VALUES)) for _ in range(mutations)]:
        put(victim, "summary.json", at, value)
        status = history.main(["add", "--index", str(index), str(victim)])
        harmless("history", status, capsys.readouterr())
        assert status == 7 or (at, value) not in kept
        if status == 0:
            assert history.main(["show", "--json", "--index", str(index)]) == 0
            json.loads(capsys.readouterr().out)
            for end in ("", "-wal", "-shm"):
                Path(f"{index}{end}").unlink(missing_ok=True)
        path.write_bytes(sound)


@pytest.mark.parametrize("form", ["tar", "gztar", "xztar", "zip"])
def test_bits_of_an_archive(form: str, base: Path, tmp_path: Path, mutations: int,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, or what is read is what was packed, but for what the reader says was lost."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    rng = random.Random(f"bits of {form}")
    path = Path(shutil.make_archive(str(tmp_path / "packed"), form, base))
    sound, whole = path.read_bytes(), sources.stored(path).records
    refused = 0
    for _ in range(mutations):
        path.write_bytes(flipped(sound, rng))
        try:
            found = sources.stored(path)
        except RecordsError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
            continue
        assert found.records <= whole
        assert found.records == whole or any(p.severity == "error" for p in found.run.problems)
    assert refused > (0 if form == "tar" else mutations // 2)
    assert not list(scratch.iterdir()), "what was unpacked is gone"


def test_plot_of_what_is_damaged(victim: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(victim, *KEPT["digits without end"][:3])
    (victim / "manifest.json").write_bytes((victim / "manifest.json").read_bytes()[:-9])
    harmless("plot", plot.main([str(victim)]), capsys.readouterr())


def test_older_and_newer_formats(base: Path, victim: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, schema in (("manifest.json", "manifest"), ("machine.json", "machine"), ("trials.jsonl", "trial")):
        sound = (victim / name).read_bytes()
        for version, status in (("1.7", 0), ("2", 7), ("0", 7), ("1e3", 7)):
            put(victim, name, ("schema",), f"faultline.{schema}/{version}")
            assert tried("report", victim, base, tmp_path, capsys) == status, (name, version)
            (victim / name).write_bytes(sound)


def test_reading_says_what_it_refuses(victim: Path) -> None:
    put(victim, "manifest.json", ("plan", "cells", 0, "params", "workers"), "two")
    with pytest.raises(RecordsError, match='manifest.json: "workers" has the wrong type'):
        records.run_load(victim)
