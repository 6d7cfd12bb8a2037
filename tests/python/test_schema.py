# SPDX-License-Identifier: MIT
"""The check of records against the schema: what counts as right because one like it was, is right."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any, Iterator

import jsonschema
import pytest

from faultline import schema

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden-run-0.1" / "trials.jsonl"
FORMAT = "faultline.trial/1"
VALUES = (-1, 0, 3, 1.5, 2.0, -2.5, -0.0, 1e300, True, False, None, "", "warm", "no such word", "cpu:3", [], [1], [-1],
          {}, {"a": "warm"})


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def wanted() -> dict[str, Any]:
    """The schema of a record as it is checked."""
    return schema.lenient(schema.definition(schema.document_load(schema.schema_path()), FORMAT))


def paths(value: Any, here: tuple = ()) -> Iterator[tuple]:
    """Where a value has members and elements."""
    if isinstance(value, dict):
        rows = list(value.items())
    else:
        rows = list(enumerate(value)) if isinstance(value, list) else []
    for key, inner in rows:
        yield (*here, key)
        yield from paths(inner, (*here, key))


def changed(record: dict[str, Any], path: tuple, value: Any) -> dict[str, Any]:
    """The record with another value there."""
    found = inner = copy.deepcopy(record)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def test_a_shape_decides_as_the_schema_does() -> None:
    """A checker that has seen many records says of a changed one what a new one says."""
    draw = random.Random(5)
    seasoned, checker = schema.validator(FORMAT), jsonschema.Draft202012Validator(wanted())
    rows = records()
    assert all(seasoned(row) is None for row in rows)
    rows = [(row, list(paths(row))) for row in map(schema.cut, draw.sample(rows, 4))]
    wrong = 0
    for _ in range(400):
        row, places = draw.choice(rows)
        one = changed(row, draw.choice(places), draw.choice(VALUES))
        right = checker.is_valid(one)
        assert (seasoned(one) is None) == right, one
        wrong += not right
    assert 100 < wrong < 380, wrong


def test_records_are_of_few_shapes() -> None:
    """Which is why it is quick."""
    asked: schema.Asked = {}
    assert schema.texts_asked(wanted(), asked) and "crc32" in asked and "cache" in asked
    rows = records()
    assert len({schema.shape(row, asked) for row in rows}) <= len(rows) // 4


@pytest.mark.parametrize(
    "asks",
    [
        {"maximum": 3},
        {"minimum": 1},
        {"type": "array", "minItems": 1},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"enum": [1, 2]},
        {"type": "string", "maxLength": 3},
        {"not": {"type": "integer"}},
        {"anyOf": [{"type": "null"}, {"multipleOf": 2}]},
        {"additionalProperties": {"enum": ["a"]}},
        {"properties": {"x": {"additionalProperties": {"pattern": "a"}}}},
    ],
)
def test_a_schema_that_asks_more_is_asked_each_time(asks: dict[str, Any], tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that no shape does justice to."""
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"title": FORMAT, "properties": {"value": asks}}))
    monkeypatch.setenv("FAULTLINE_SCHEMA", str(path))
    checker, seasoned = jsonschema.Draft202012Validator({"properties": {"value": asks}}), schema.validator(FORMAT)
    found = set()
    for value in (*VALUES, {"x": {"y": "a"}}, {"x": {"y": "b"}}, {"b": "a"}, {"b": "b"}, [1, 2], ["a"], 4, 5, "abcd"):
        right = checker.is_valid({"value": value})
        assert (seasoned({"value": value}) is None) == right, (asks, value)
        found.add(right)
    assert found == {True, False}
