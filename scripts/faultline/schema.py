# SPDX-License-Identifier: MIT
"""Checks records against results/schema.json, which the program `faultline schema` writes.

The file is the JSON Schema of a record, or holds one a format under "$defs" by the format's name such as
"faultline.trial/1". Long lists are cut before the check: the schema says the same of every element, the reader checks
all of them itself, and a validator that walks 200 rounds of 16 arms would take longer than the rest of the analysis.
Nor is a record checked that differs from one that was right only in what the schema does not look at: the size of a
number, a text that may be any. The records of a run are of few shapes.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable

from faultline.command import Complaint
from faultline.text import safe


class SchemaError(Complaint):
    """The file of schemas cannot be used; the text is one line for the user."""


Validator = Callable[[Any], "str | None"]
# By the name of a value, what a schema asks of a text: to match a pattern, or, None, to be one of some.
Asked = dict[str, "list[re.Pattern[str] | None]"]
LIST_HEAD = 3
# What of a schema shape() does justice to; "required" is not checked (see lenient), and the last ones say nothing.
SHAPE_TELLS = frozenset(
    ("type", "minimum", "enum", "pattern", "properties", "items", "anyOf", "additionalProperties")
    + ("$schema", "title", "description", "unit", "direction", "exactness")
)
CUT = frozenset(("batch_ns", "order", "workers", "samples", "buckets", "worst", "pairs"))


def schema_path() -> Path | None:
    """Where the schema lies: $FAULTLINE_SCHEMA, the tree, or the prefix it is installed in; None when it is nowhere."""
    here = Path(__file__).resolve().parents
    places = [here[2] / "results" / "schema.json"]
    places += [here[4] / "share" / "faultline" / "schema" / "results.json"] if len(here) > 4 else []
    if os.environ.get("FAULTLINE_SCHEMA"):
        return Path(os.environ["FAULTLINE_SCHEMA"])
    return next((place for place in places if place.is_file()), None)


def document_load(path: Path) -> dict[str, Any]:
    """The file of schemas; SchemaError when it cannot be read or is no object with definitions."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: not JSON: {safe(error)}") from None
    if not isinstance(document, dict) or not isinstance(document.get("$defs", {}), dict):
        raise SchemaError(f"{path}: no schema: it is no object with definitions")
    return document


def definition(document: Any, name: str) -> Any:
    """The schema of that format: a definition in the document, or the document itself when it says so; None else."""
    if name in document.get("$defs", {}):
        return {"$defs": document["$defs"], "$ref": "#/$defs/" + name.replace("~", "~0").replace("/", "~1")}
    return document if str(document.get("title", "")).startswith(name) else None


def exact_counters() -> frozenset[str]:
    """Names of the counters that repeat exactly for the same work and state, and of which fewer is better: what the
    schema of a record says of its counts. Empty without a schema file; SchemaError when it is none."""
    path = schema_path()
    record = definition(document_load(path), "faultline.trial/1") if path is not None else None
    try:
        arm = (record or {})["properties"]["arms"]["items"]
        counts = arm["properties"]["counts"]["anyOf"][0]["properties"]
        rows = [(name, row.get("exactness"), row.get("direction")) for name, row in counts.items()]
    except (KeyError, IndexError, TypeError, AttributeError):
        return frozenset()
    return frozenset(name for name, exactness, direction in rows if (exactness, direction) == ("exact", "less"))


def parameter_types() -> dict[str, type]:
    """Types of all parameters by name, as the schema of a record has them: int, float (a whole number is one too) or
    str; empty without a schema file. SchemaError when it is none."""
    path = schema_path()
    record = definition(document_load(path), "faultline.trial/1") if path is not None else None
    try:
        rows = (record or {})["properties"]["params"]["properties"]
        return {name: {"integer": int, "number": float}.get(row.get("type"), str) for name, row in rows.items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def lenient(definition_of: Any) -> Any:
    """The same schema without "required": a record of an earlier version lacks the counters and fields that came later,
    and the reader itself insists on what it cannot do without."""
    if isinstance(definition_of, dict):
        return {k: lenient(v) for k, v in definition_of.items() if not (k == "required" and isinstance(v, list))}
    return [lenient(v) for v in definition_of] if isinstance(definition_of, list) else definition_of


def texts_asked(wanted: Any, asked: Asked, key: str = "") -> bool:
    """Puts into `asked` what a schema asks of texts. False when it asks something that shape() does not tell: then a
    shape decides nothing. key: the name under which the value stands."""
    if not isinstance(wanted, dict) or set(wanted) - SHAPE_TELLS or wanted.get("minimum", 0) != 0:
        return not wanted or wanted is True
    if not all(one is None or isinstance(one, str) for one in wanted.get("enum", ())):
        return False
    if "enum" in wanted or "pattern" in wanted:
        asked.setdefault(key, []).append(re.compile(wanted["pattern"]) if "pattern" in wanted else None)
    of_others: Asked = {}  # values whose names the schema does not know
    if not texts_asked(wanted.get("additionalProperties", True), of_others) or of_others:
        return False
    return all(texts_asked(one, asked, key) for one in (*wanted.get("anyOf", ()), wanted.get("items", True))) and all(
        texts_asked(one, asked, name) for name, one in wanted.get("properties", {}).items()
    )


def shape(value: Any, asked: Asked, key: str = "") -> str:
    """What a schema can tell a value by that asks this of texts: names, types, signs, whether a number is whole, and
    what was asked. Elements of a list are told once each, and of long lists the first (see cut)."""
    kind = type(value)
    if kind is dict:
        return "{" + ",".join([f"{name!r}:{shape(one, asked, name)}" for name, one in value.items()]) + "}"
    if kind is list:
        head = value[:LIST_HEAD] if key in CUT else value
        return "[" + ",".join(dict.fromkeys([shape(one, asked, key) for one in head])) + "]"
    if kind is str:
        told = [repr(value) if one is None else str(one.search(value) is None) for one in asked.get(key, ())]
        return "text" + "".join(told)
    if kind is int or kind is float:
        return ("-" if value < 0 else "+") + ("whole" if kind is int or value.is_integer() else "broken")
    return repr(value)


def cut(value: Any, key: str = "") -> Any:
    """The same value with long lists of measurements cut to their first elements."""
    if isinstance(value, dict):
        return {k: cut(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [cut(v) for v in (value[:LIST_HEAD] if key in CUT else value)]
    return value


def stamp(path: Path) -> tuple[int, int]:
    """What changes when the file does; (0, 0) when it cannot be looked at, which reading it will tell."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def checker_of(path: Path, as_of: tuple[int, int], name: str) -> Any:
    """The checker for a format, None when the file does not have it; made once for all runs that a command reads.
    as_of: the file's stamp. SchemaError when the file is no schema."""
    wanted = definition(document_load(path), name)
    if wanted is None:
        return None
    import jsonschema  # slow to load, and not needed where no schema is there

    checker = jsonschema.Draft202012Validator(lenient(wanted))
    try:
        jsonschema.Draft202012Validator.check_schema(checker.schema)
    except jsonschema.exceptions.SchemaError as error:
        raise SchemaError(f"{path}: no schema: {safe(error.message)[:200]}") from None
    return checker


def validator(name: str) -> Validator:
    """A function that returns what is wrong with a value, or None. Without a schema file it never complains.

    SchemaError, also from the function, when the file or what it holds is no schema.
    """
    path = schema_path()
    checker = None if path is None else checker_of(path, stamp(path), name)
    if checker is None:
        return lambda value: None
    import jsonschema

    asked: Asked = {}
    tells = texts_asked(checker.schema, asked)
    right: set[str] = set()

    def complain(value: Any) -> str | None:
        told = shape(value, asked) if tells else None
        if told in right:
            return None
        try:
            error = jsonschema.exceptions.best_match(checker.iter_errors(cut(value)))
        except Exception as failed:  # a reference that leads nowhere: its class differs between versions of jsonschema
            raise SchemaError(f"{path}: no schema: {safe(failed)[:200]}") from None
        if error is None:
            if told is not None:
                right.add(told)
            return None
        where = "/".join(str(p) for p in error.absolute_path) or "the record"
        return safe(f"{where}: {error.message}")[:300]

    return complain
