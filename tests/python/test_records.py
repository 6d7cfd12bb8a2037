# SPDX-License-Identifier: MIT
"""The reader: what it accepts, what it leaves out and names, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import fake_run
from faultline import records, schema
from faultline.records import RecordsError


def small(directory: Path, **changes: Any) -> Path:
    scenario = fake_run.read_or_map(trials=3, rounds=6, cells=fake_run.product(block_bytes=[64, 4096]), **changes)
    return fake_run.write(directory, [scenario])


def lines(run: Path) -> list[str]:
    return (run / "trials.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def store(run: Path, content: list[str]) -> None:
    (run / "trials.jsonl").write_text("".join(content), encoding="utf-8")


def remade(line: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The line with a change and a crc that fits it."""
    value = json.loads(line)
    del value["crc32"]
    change(value)
    return fake_run.line(value)


def test_a_whole_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = records.run_load(small(tmp_path / "r"))
    assert len(run.trials) == 6 and run.problems == ()
    trial = run.trials[0]
    assert [a.name for a in trial.arms][0] == "pread" and trial.arms[-1].is_null and trial.params["op"] == "block read"
    assert trial.arms[0].batch_ns.shape == (6,) and trial.arms[0].latency.service.count.sum() == 2000
    assert run.manifest.scenarios["access/read-or-map"].delta == 0.01 and run.machine["blocking"]["page_bytes"] == 4096


def test_unknown_members_are_ignored(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    store(run, [remade(lines(run)[0], lambda v: v.update(extra={"a": 1}))])
    assert len(records.run_load(run).trials) == 1


def test_a_torn_tail_is_ignored_and_named(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, content[:-1] + [content[-1][:100]])
    read = records.run_load(run)
    assert (
        len(read.trials) == 5
        and str(read.problems[0]) == "trials.jsonl:6: warning: the last record is torn and ignored"
    )


def test_a_tail_without_newline_is_torn_even_when_whole(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, content[:-1] + [content[-1].rstrip("\n")])
    assert len(records.run_load(run).trials) == 5


def test_a_record_glued_to_a_torn_one_is_saved(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, [content[0], content[1][:200] + content[2], *content[3:]])
    read = records.run_load(run)
    assert len(read.trials) == 5 and "torn record stands before" in read.problems[0].text


def test_a_changed_line_is_an_error_by_its_number(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    content[2] = content[2].replace('"trial":1', '"trial":7', 1)
    store(run, content)
    read = records.run_load(run)
    assert len(read.trials) == 5 and [p.severity for p in read.problems] == ["error"]
    assert str(read.problems[0]).startswith("trials.jsonl:3: error: the crc32 does not fit")


def test_a_line_cut_short_is_an_error(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, [content[0][:500] + "\n", *content[1:]])
    read = records.run_load(run)
    assert (
        len(read.trials) == 5 and read.problems[0].severity == "error" and "trials.jsonl:1" in str(read.problems[0])
    )


def test_a_repeated_record_keeps_the_first(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, [*content, remade(content[0], lambda v: v.update(seed=99))])
    read = records.run_load(run)
    assert (
        len(read.trials) == 6
        and "repeats line 1" in read.problems[0].text
        and "trials.jsonl:7" in str(read.problems[0])
    )


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "missing member": (lambda v: v.pop("trial"), '"trial" is missing'),
    "wrong type": (lambda v: v.update(trial="0"), '"trial" has the wrong type'),
    "a boolean is no number": (lambda v: v.update(trial=True), '"trial" has the wrong type'),
    "no arms": (lambda v: v.update(arms=[]), "no arms"),
    "two arms of one name": (lambda v: v["arms"].append(v["arms"][0]), "two of one name"),
    "unknown status": (lambda v: v["arms"][0].update(status="fine"), 'arm pread: "status" fine is unknown'),
    "zero time": (lambda v: v["arms"][1]["batch_ns"].__setitem__(0, 0), "positive whole numbers"),
    "fractional time": (lambda v: v["arms"][1]["batch_ns"].__setitem__(0, 1.5), "positive whole numbers"),
    "short order": (lambda v: v["arms"][0]["order"].pop(), "do not fit together"),
    "a worker's rounds": (lambda v: v["arms"][0].update(workers=[[1], [1]]), '"workers" and "batch_ns" do not fit'),
    "rounds differ": (lambda v: (v["arms"][0]["order"].pop(), v["arms"][0]["batch_ns"].pop()), "number of rounds"),
    "histogram sum": (lambda v: v["arms"][0]["latency"]["service"].update(count=1), "add up"),
    "histogram order": (
        lambda v: v["arms"][0]["latency"]["service"].update(buckets=[[5, 1], [5, 1]], count=2),
        "do not rise",
    ),
    "no operations": (lambda v: v["arms"][0].update(ops_per_batch=0), "not positive"),
    "count of text": (
        lambda v: v["arms"][0]["counts"].update(minor_faults="many"),
        '"minor_faults" has the wrong type',
    ),
    "arms are no objects": (lambda v: v.update(arms=[1]), "something else than objects"),
    "stranger's cell": (lambda v: v.update(cell="block_bytes=1"), "the plan has no cell"),
    "stranger's arm": (lambda v: v["arms"][1].update(name="other"), "the plan has no cell"),
    "an arm is missing": (lambda v: v["arms"].pop(), "the plan has no cell"),
    "another baseline": (lambda v: v["arms"].insert(0, v["arms"].pop(1)), "the plan has no cell"),
    "the null is none": (lambda v: v["arms"][-1].update(null=False), "the plan has no cell"),
    "another null": (lambda v: v["arms"][1].update(null=True), "the plan has no cell"),
    "buckets cut otherwise": (
        lambda v: v["arms"][1]["latency"]["service"].update(sub_bits=6),
        "different sub_bits cannot be merged",
    ),
    "a clock of text": (lambda v: v["clock"].update(grid_ns="fine"), '"grid_ns" has the wrong type'),
    "a proof of text": (lambda v: v["arms"][0]["proof"].update(pages="many"), '"pages" has the wrong type'),
    "voided is no list": (lambda v: v["arms"][0].update(voided=3), '"voided" has the wrong type'),
}


@pytest.mark.parametrize("name", BAD)
def test_records_that_break_the_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "schema_path", lambda: None)  # the reader's own checks, whatever the schema says
    change, text = BAD[name]
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, [content[0], remade(content[1], change), *content[2:]])
    read = records.run_load(run)
    assert (
        len(read.trials) == 5
        and text in str(read.problems[0])
        and str(read.problems[0]).startswith("trials.jsonl:2: error")
    )


@pytest.mark.parametrize("number", ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000))
def test_numbers_that_are_none(number: str, tmp_path: Path) -> None:
    import zlib

    run = small(tmp_path / "r")
    content = lines(run)
    body = (
        content[0]
        .split(',"crc32"')[0]
        .replace('"seed":7', f'"seed":{number}')
        .replace('"trial":0', f'"trial":{number}')
        + "}"
    )
    store(run, [f'{body[:-1]},"crc32":"{zlib.crc32(body.encode()):08x}"}}\n', *content[1:]])
    read = records.run_load(run)
    assert len(read.trials) == 5 and read.problems[0].severity == "error"


@pytest.mark.parametrize("text", (b"\xff\xfe", b"[" * 200000, b'{"a":1,"a":2}'))
def test_text_that_is_no_record(text: bytes, tmp_path: Path) -> None:
    import zlib

    run = small(tmp_path / "r")
    body = text + b"}"
    line = text + f',"crc32":"{zlib.crc32(body):08x}"}}\n'.encode()
    (run / "trials.jsonl").write_bytes(line + "".join(lines(run)).encode())
    read = records.run_load(run)
    assert len(read.trials) == 6 and read.problems[0].severity == "error"


def test_another_major_version_is_refused(tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    content = lines(run)
    store(run, [remade(content[0], lambda v: v.update(schema="faultline.trial/1.3")), *content[1:]])
    assert len(records.run_load(run).trials) == 6
    store(run, [remade(content[0], lambda v: v.update(schema="faultline.trial/2"))])
    with pytest.raises(RecordsError, match=r"trials.jsonl:1.*another major version"):
        records.run_load(run)


@pytest.mark.parametrize(
    "content",
    (
        "",
        "{",
        '{"schema":"faultline.manifest/2"}',
        '{"schema":"other/1"}',
        "[]",
        "null",
        '{"schema":"faultline.manifest/1","run":"r","plan":{"schema":"faultline.plan/1"}}',
    ),
)
def test_a_manifest_that_cannot_be_used(content: str, tmp_path: Path) -> None:
    run = small(tmp_path / "r")
    (run / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(RecordsError, match="manifest.json"):
        records.run_load(run)


PLANS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a parameter's name": (
        lambda p: [c["params"].update({"a\x1b[2J": 1}) for c in p["cells"]],
        "is no name of a param",
    ),
    "an arm's parameter": (lambda p: p["cells"][0]["arms"][1]["params"].update({"A b": 1}), '"A b" is no name of a'),
    "a list as a value": (lambda p: p["cells"][0]["params"].update(touches=[1, 2]), "neither text nor a number"),
    "unequal parameters": (lambda p: p["cells"][1]["params"].pop("touches"), "differ in the names of their parameters"),
    "a cell twice": (lambda p: p["cells"].append(p["cells"][0]), "planned twice"),
    "cells are no objects": (lambda p: p.update(cells=[1]), '"cells" holds something else than objects'),
    "refusals are no objects": (lambda p: p.update(refused=["x"]), '"refused" holds something else than objects'),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_that_break_the_contract(name: str, tmp_path: Path) -> None:
    change, text = PLANS[name]
    run = small(tmp_path / "r")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    change(manifest["plan"])
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RecordsError, match=f"manifest.json.*{text}") as caught:
        records.run_load(run)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    (
        None,
        "{",
        "[]",
        '{"$defs": []}',
        '{"$defs": {"faultline.trial/1": {"type": "nonsense"}}}',
        '{"$defs": {"faultline.trial/1": {"$ref": "#/$defs/nowhere"}}}',
    ),
)
def test_a_broken_schema_file_is_named(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "schema.json"
    monkeypatch.setenv("FAULTLINE_SCHEMA", str(path))
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordsError, match="schema.json: "):
        records.run_load(small(tmp_path / "r"))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="no such run directory"):
        records.run_load(tmp_path / "none")
    with pytest.raises(RecordsError, match="manifest.json"):
        records.run_load(tmp_path)
    run = small(tmp_path / "r")
    (run / "trials.jsonl").unlink()
    with pytest.raises(RecordsError, match="trials.jsonl"):
        records.run_load(run)


def test_an_arm_that_was_not_measured(tmp_path: Path) -> None:
    arms = [fake_run.FakeArm("pread", 1.0, "pread"), fake_run.FakeArm("x", status="unsupported", reason="no such call")]
    run = small(tmp_path / "r", arms=arms)
    content = [
        remade(line, lambda v: v["arms"][1].update(ops_per_batch=None, bytes_per_op=None)) for line in lines(run)
    ]
    store(run, content)
    read = records.run_load(run)
    assert (
        read.problems == ()
        and read.trials[0].arms[1].batch_ns.size == 0
        and read.trials[0].arms[1].bytes_per_op is None
    )


def test_the_schema_file_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small(tmp_path / "r")
    path = tmp_path / "schema.json"
    monkeypatch.setenv("FAULTLINE_SCHEMA", str(path))
    own = {
        "type": "object",
        "required": ["seed", "added_later"],
        "properties": {"seed": {"type": "integer", "maximum": 8}},
    }
    for document in ({"title": "faultline.trial/1: a record", **own}, {"$defs": {"faultline.trial/1": own}}):
        path.write_text(json.dumps(document), encoding="utf-8")
        read = records.run_load(run)
        assert len(read.trials) == 4 and "seed: 9 is greater than the maximum of 8" in read.problems[0].text
    path.write_text(json.dumps({"title": "something else", **own}), encoding="utf-8")
    assert len(records.run_load(run).trials) == 6


def test_long_lists_are_cut_for_the_schema_only() -> None:
    value = {"arms": [{"batch_ns": list(range(200)), "name": "x"}], "other": list(range(10))}
    assert schema.cut(value) == {"arms": [{"batch_ns": [0, 1, 2], "name": "x"}], "other": list(range(10))}


def test_voided_rounds_are_nan(tmp_path: Path) -> None:
    read = records.run_load(small(tmp_path / "r", void=0.5))
    values = np.concatenate([a.batch_ns for t in read.trials for a in t.arms])
    assert 0.2 < np.isnan(values).mean() < 0.8
