# SPDX-License-Identifier: MIT
"""The OpenMetrics text, read by a parser of its own that holds it to the specification."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fake_run
from conftest import ROOT
from fake_run import FakeArm
from faultline import openmetrics, records, summary, verdict
from faultline.verdict import Results

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
DESCRIPTION = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)')
SUFFIXES = {"gauge": "", "stateset": "", "info": "_info"}
Labels = frozenset[tuple[str, str]]


def unescape(text: str) -> str:
    """What an escaped text stands for."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def labels_of(text: str) -> Labels:
    """The labels between the braces; each name once."""
    found: dict[str, str] = {}
    while text:
        match = LABEL.match(text)
        assert match, text
        assert match[1] not in found, text
        found[match[1]] = unescape(match[2])
        text = text[match.end() :]
        assert bool(text) == (match[3] == ","), "a comma at the end"
    return frozenset(found.items())


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """Samples by family and labels. Every rule of the format that the text makes use of is asserted."""
    *lines, end, nothing = text.split("\n")
    assert end == "# EOF" and nothing == ""
    families: dict[str, dict[str, str]] = {}
    samples: dict[str, dict[Labels, float]] = {}
    current = ""
    for line in lines:
        if line.startswith("#"):
            match = DESCRIPTION.fullmatch(line)
            assert match, line
            kind, name, said = match.groups()
            if name != current:
                assert name not in families, f"{name} is there in two places"
                current = name
                families[name] = {}
            assert kind not in families[name] and not samples.get(name), line
            families[name][kind] = said
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        about = families[current]
        assert match[1] == current + SUFFIXES[about["TYPE"]], line
        labels = labels_of(match[2] or "")
        assert labels not in samples.setdefault(current, {}), line
        samples[current][labels] = float(match[3])
    for name, about in families.items():
        check_family(name, about, samples[name])
    return samples


def check_family(name: str, about: dict[str, str], samples: dict[Labels, float]) -> None:
    """What the format demands of a family of each type."""
    assert about["HELP"] and samples, name
    if "UNIT" in about:
        assert name.endswith("_" + about["UNIT"]) and about["TYPE"] == "gauge"
    if about["TYPE"] == "stateset":
        sets: dict[Labels, list[float]] = {}
        for labels, value in samples.items():
            assert value in (0, 1) and name in dict(labels)
            sets.setdefault(frozenset(pair for pair in labels if pair[0] != name), []).append(value)
        assert all(sum(values) == 1 for values in sets.values())
    if about["TYPE"] == "info":
        assert set(samples.values()) == {1}


def of(samples: dict[Labels, float], **wanted: str) -> dict[Labels, float]:
    """The samples with these labels."""
    return {labels: value for labels, value in samples.items() if set(wanted.items()) <= labels}


def test_every_figure_is_there(whole: Results) -> None:
    found = parse(openmetrics.exposition(whole))
    written = summary.summary(whole)
    arms = 0
    for cell in written["cells"]:
        for arm in cell["arms"]:
            mine = dict(machine="fake", scenario=cell["scenario"], cell=cell["cell"], arm=arm["name"])
            for family, figure, scale in (("op_seconds", "ns_per_op", 1e-9), ("ratio", "ratio", 1.0)):
                for bound in ("estimate", "low", "high"):
                    values = list(of(found[f"faultline_{family}"], **mine, bound=bound).values())
                    wanted = arm[figure] and arm[figure][bound]
                    assert values == ([] if wanted is None else [pytest.approx(wanted * scale, rel=1e-8)])
            states = of(found["faultline_verdict"], **mine)
            told = [dict(labels)["faultline_verdict"] for labels, value in states.items() if value]
            assert told == ([arm["verdict"]] if arm["verdict"] else []) and len(states) in (0, 5)
            counts = {dict(k)["count"]: v for k, v in of(found["faultline_count_per_op"], **mine).items()}
            assert counts == pytest.approx(arm["counts_per_op"])
            assert list(of(found["faultline_trials"], **mine).values()) == [arm["trials"]]
            arms += 1
    assert arms == len(found["faultline_trials"]) > 60
    (grade,) = [dict(labels)["faultline_noise_grade"] for labels, v in found["faultline_noise_grade"].items() if v]
    assert grade == written["noise_grade"]
    assert list(found["faultline_noise_floor_ratio"].values()) == [pytest.approx(written["noise_floor"])]


def test_texts_are_escaped(tmp_path: Path) -> None:
    name = 'a "quoted" \\ back\\nslash\nand a line, {braces} = # é'
    scenario = fake_run.read_or_map(arms=[FakeArm("pread"), FakeArm(name, 0.5)], cells=[{}], trials=6)
    results = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", [scenario])))
    found = parse(openmetrics.exposition(results))
    assert len(of(found["faultline_ratio"], arm=name.replace("\n", "\\x0a"))) == 3


def test_nothing_measured_is_a_text_too(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(trials=0)])
    found = parse(openmetrics.exposition(verdict.conclude(records.run_load(run))))
    assert "faultline_ratio" not in found and list(found["faultline_records"].values()) == [0]


def test_what_is_not_known_has_no_label(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=2)])
    machine, manifest = (json.loads((run / name).read_text()) for name in ("machine.json", "manifest.json"))
    for name, fingerprint, wanted in ((None, "aa", "aa"), (None, None, None), ("lab", "aa", "lab")):
        (run / "machine.json").write_text(json.dumps({**machine, "name": name}))
        manifest["plan"]["profile"] = None
        (run / "manifest.json").write_text(json.dumps({**manifest, "machine": fingerprint, "tool": {}}))
        text = openmetrics.exposition(verdict.conclude(records.run_load(run)))
        (about,) = parse(text)["faultline_run"]
        assert dict(about).get("machine") == wanted and "None" not in text
        assert not {"profile", "version"} & set(dict(about))


def test_numbers() -> None:
    for value in (0.0, 1.0, 1.13e-7, 123456789.0, 1e12):
        assert float(openmetrics.number(value)) == value
    assert math.isnan(float(openmetrics.number(math.nan)))


def test_the_option(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=2)])

    def call(target: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-B", "-m", "faultline.report", str(run), "--table-only", "--openmetrics", str(target)]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts")}
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    before = sorted(path.name for path in run.iterdir())
    target = tmp_path / "metrics.txt"
    assert call(target).returncode == 0 and parse(target.read_text())
    assert sorted(path.name for path in run.iterdir()) == before
    link = tmp_path / "link"
    link.symlink_to(target)
    for wrong in (link, tmp_path, Path("/dev/null")):
        done = call(wrong)
        assert done.returncode == 2 and done.stderr.endswith(f"{wrong} is no file\n")
    assert Path("/dev/null").is_char_device() and link.is_symlink()
