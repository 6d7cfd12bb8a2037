# SPDX-License-Identifier: MIT
"""The command `faultline compare`: exit statuses, streams and files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence
from xml.etree import ElementTree

import jsonschema
import pytest

import fake_compare
import fake_run
from conftest import ROOT
from fake_compare import run, scenario
from fake_run import FakeArm
from faultline import compare as compare_command
from faultline import compare_files, compare_pages, compare_table, comparison, sources
from faultline.comparison import Comparison, compare
from faultline.pairing import FAILED, UNLIKE, LeftOut
from faultline.table import Look
from faultline.text import columns
from faultline.verdict import CANNOT_TELL, INVALID, SLOWER

NASTY = "a\x1b[31m<script>alert(1)</script>|`*_[x](y)\u202e&\"'\n## h"
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "results" / "compare.schema.json").read_text()))
SCHEMA.check_schema(SCHEMA.schema)


def command(*words: object, code: str = "") -> subprocess.CompletedProcess[str]:
    """faultline compare with these words; `code` runs before it in the same process."""
    start = [sys.executable, "-c", f"{code}\nimport sys\nfrom faultline.compare import main\nsys.exit(main())"]
    return subprocess.run(
        [*start, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONIOENCODING": "utf-8"},
    )


def loaded(base: Path, candidate: Path, **options: Any) -> Comparison:
    return compare(*(sources.side_load([one])[0] for one in (base, candidate)), **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of runs by what they are for."""
    top = tmp_path_factory.mktemp("runs")

    def fail(value: dict[str, Any]) -> None:
        value["arms"][1].update(status="failed", reason="SIGBUS: the file shrank", batch_ns=[], order=[], voided=[])

    run(top / "base", 1)
    run(top / "again", 2)
    run(top / "slower", 3, [scenario(fast=0.99)])
    run(top / "faster", 4, [scenario(fast=0.8)])
    run(top / "other_kernel", 5, blocking={"kernel_release": "6.18.0"}, boot="b2")
    run(top / "null_moved", 6, [scenario(null_bias=0.05)])
    run(top / "failed", 7, [scenario(fast=0.99)], damage=fail)
    run(top / "other_plan", 8, [scenario(op="page touched")])
    run(top / "other_machine", 9, [scenario(fast=0.8)], {"cpu_model": "Other"}, boot="b3", name="other")
    shutil.copytree(top / "slower", top / "damaged")
    text = (top / "damaged" / "trials.jsonl").read_text()
    (top / "damaged" / "trials.jsonl").write_text(text.replace('"process":2,', '"process":3,', 1))
    (top / "unreadable").mkdir()
    (top / "unreadable" / "manifest.json").write_text("{}")
    return top


NAMES = {"base", "again", "slower", "faster", "other_kernel", "null_moved", "failed", "other_plan", "damaged",
         "unreadable", "absent"}
STATUSES: list[tuple[Sequence[str], int]] = [
    (("base", "again"), 0),
    (("base", "faster"), 0),
    (("base", "faster", "--fail-on", "any"), 1),
    (("base", "slower"), 1),
    (("base", "slower", "--fail-on", "never"), 0),
    (("base", "slower", "--require-conclusive"), 1),
    (("base", "again", "--require-conclusive"), 3),
    (("base", "again", "--require-conclusive", "--quantity", "minor_faults"), 0),
    (("base", "null_moved"), 4),
    (("base", "failed"), 5),
    (("null_moved", "failed"), 5),
    (("base", "other_kernel"), 6),
    (("base", "base"), 6),
    (("failed", "other_kernel"), 6),
    (("base", "other_plan"), 7),
    (("base", "damaged"), 7),
    (("base", "unreadable"), 7),
    (("base", "absent"), 7),
    (("base",), 2),
    (("base", "again", "slower"), 2),
    (("base", "again", "--vary", "colour"), 2),
    (("base", "absent", "--vary", "colour"), 2),
    (("base", "again", "--vary", ""), 2),
    (("base", "again", "--delta", "200%"), 2),
    (("base", "again", "--delta", "small"), 2),
    (("base", "again", "--scenario", "no/such"), 2),
    (("base", "again", "--quantity", "joules"), 2),
    (("base", "again", "--frobnicate"), 2),
    (("base", "again", "--bis"), 2),
    (("base", "--candidate", "again"), 2),
    (("base", "again", "--bisect", "--quantity", "minor_faults"), 0),
    (("base", "slower", "--bisect"), 1),
    (("base", "again", "--bisect"), 125),
    (("base", "null_moved", "--bisect"), 125),
    (("base", "failed", "--bisect"), 125),
    (("base", "other_kernel", "--bisect"), 125),
    (("base", "absent", "--bisect"), 125),
    (("base", "--bisect"), 125),
]


@pytest.mark.parametrize(("words", "status"), STATUSES, ids=[" ".join(words) for words, _ in STATUSES])
def test_exit_status(runs: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], status: int) -> None:
    made = [str(runs / word) if word in NAMES else word for word in words]
    assert compare_command.main(made) == status
    out, err = capsys.readouterr()
    if status == 2 or {"absent", "unreadable"} & set(words) or words == ("base", "--bisect"):
        assert out == "" and len(err.splitlines()) == 1 and err.startswith("faultline compare: ")
    else:
        assert "CANNOT TELL" in out and err == ""


def test_precedence(runs: Path) -> None:
    """2, 7, 6, 5, 4, 1, 3: each beside the next ones."""
    found = loaded(runs / "base", runs / "again")
    found.rows[0].verdict = CANNOT_TELL
    assert comparison.exit_status(found, insist=True) == 3
    found.rows[1].verdict = SLOWER
    assert comparison.exit_status(found, insist=True) == 1
    found.rows[2].verdict = INVALID
    assert comparison.exit_status(found, insist=True) == 4
    found.left_out = [LeftOut("s", "c", "why", FAILED)]
    assert comparison.exit_status(found, insist=True) == 5
    found.left_out = []
    found.runs[0].results.cells[0].checksum_wrong = True
    assert comparison.exit_status(found, insist=True) == 5
    found.left_out.append(LeftOut("s", None, "why", UNLIKE))
    assert comparison.exit_status(found, insist=True) == 6
    found.compared = 0
    assert comparison.exit_status(found, insist=True) == 7


def test_the_program_finds_the_command(runs: Path) -> None:
    """faultline compare is faultline-compare beside the program, where one was built."""
    built = next((p for p in (ROOT / "build" / name / "faultline" for name in ("release", "dev")) if p.exists()), None)
    if built is None or not (built.parent / "faultline-compare").exists():
        pytest.skip("no program was built here")
    words = [built, "compare", runs / "base", runs / "slower"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout.startswith("The candidate is slower in ")


def test_all_files(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    single = {option: tmp_path / f"x.{option}" for option in ("json", "markdown", "junit", "html", "badge")}
    words = [word for option, path in single.items() for word in (f"--{option}", path)]
    done = command(runs / "base", runs / "slower", "--out", out, *words)
    assert done.returncode == 1 and done.stderr == ""
    assert {p.name for p in out.iterdir()} == {"compare.json", "compare.md", "junit.xml", "compare.html", "badge.json"}
    assert (out / "junit.xml").read_bytes() == single["junit"].read_bytes()
    value = json.loads((out / "compare.json").read_text())
    SCHEMA.validate(value)
    assert value["exit"] == 1 and value["schema"] == "faultline.compare/1"
    top = value["rows"][0]
    assert (top["arm"], top["quantity"], top["verdict"]) == ("fast", "ratio", "SLOWER")
    assert top["change"]["low"] < 1.1 < top["change"]["high"] and top["p_holm"] <= 0.05
    assert value["base"]["runs"][0]["given"] == str(runs / "base")
    assert done.stdout.splitlines()[0].startswith("The candidate is slower in 1 of ")
    assert "0 FASTER · 1 SLOWER" in done.stdout and "0 INVALID" in done.stdout


@pytest.mark.parametrize("candidate", ["again", "slower", "faster", "null_moved", "failed", "other_kernel", "base",
                                       "other_plan", "other_machine"])
def test_every_comparison_keeps_the_schema(runs: Path, candidate: str) -> None:
    found = loaded(runs / "base", runs / candidate, vary=["cpu"])
    value = json.loads(json.dumps(compare_files.document(found, comparison.exit_status(found)), allow_nan=False))
    SCHEMA.validate(value)
    assert set(value["counts"]) == {"FASTER", "SLOWER", "SAME", "INVALID", "CANNOT TELL"}
    wrong = {**value, "counts": {}}
    assert not SCHEMA.is_valid(wrong)


def test_different_machines_on_the_terminal(runs: Path) -> None:
    done = command(runs / "base", runs / "other_machine", "--vary", "cpu")
    assert done.returncode == 0 and "side by side, of different machines: not compared" in done.stdout
    assert re.search(r"pread: \d+ ns \| \d+ ns", done.stdout)
    assert "cpu_model (declared): Example CPU → Other" in done.stdout


def test_junit(runs: Path) -> None:
    """SLOWER = failure, INVALID = error, CANNOT TELL = skipped; what was refused or left out is no success either."""
    found = loaded(runs / "base", runs / "slower")
    root = ElementTree.fromstring(compare_files.junit(found))
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases["all fast ratio"] == ["failure"] and cases["all fast ns_per_op"] == ["skipped"]
    assert cases["all fast minor_faults"] == ["system-out"] and len(cases) == len(found.rows)
    (suite,) = root
    assert suite.get("failures") == "1" and suite.get("tests") == str(len(found.rows))
    assert int(suite.get("skipped", "")) == found.counts[CANNOT_TELL]
    invalid = ElementTree.fromstring(compare_files.junit(loaded(runs / "base", runs / "null_moved")))
    timed = [case for case in invalid.iter("testcase") if str(case.get("name")).endswith(("ratio", "ns_per_op"))]
    assert len(timed) == 5 and {child.tag for case in timed for child in case} == {"error"}
    for candidate in ("other_kernel", "other_plan", "base"):
        other = ElementTree.fromstring(compare_files.junit(loaded(runs / "base", runs / candidate)))
        assert [child.tag for case in other.iter("testcase") for child in case].count("error") >= 1


def test_badge(runs: Path) -> None:
    """Green only when everything is the same or faster."""
    colours = {}
    for name, options in {"again": {}, "slower": {}, "null_moved": {}, "other_kernel": {}, "other_plan": {}}.items():
        colours[name] = compare_files.badge(loaded(runs / "base", runs / name, **options))
    assert {name: badge["color"] for name, badge in colours.items()} == {
        "again": "lightgrey", "slower": "red", "null_moved": "red", "other_kernel": "red", "other_plan": "red"}
    assert "cannot tell" in colours["again"]["message"] and "1 slower" in colours["slower"]["message"]
    clear = compare_files.badge(loaded(runs / "base", runs / "again", quantities=["minor_faults"]))
    assert clear["color"] == "brightgreen" and clear["message"] == "3 same"


def nasty_run(path: Path, seed: int, ratio: float) -> Path:
    arms = [FakeArm("pread"), FakeArm(NASTY, ratio)]
    return run(path, seed, [fake_run.read_or_map(name="x/" + NASTY, cells=[{}], arms=arms, trials=12)],
               informational={NASTY: f"{NASTY}{seed}"}, name=NASTY)


def test_hostile_strings(tmp_path: Path) -> None:
    found = loaded(nasty_run(tmp_path / "a", 1, 0.9), nasty_run(tmp_path / "b", 2, 1.2))
    found.notes.append(NASTY)
    terminal = "\n".join(compare_table.lines(found, Look(), True))
    page, text = compare_pages.html(found), compare_pages.markdown(found)
    for output in (terminal, page, text, compare_files.junit(found).decode()):
        assert "\x1b" not in output and "\u202e" not in output and "## h" not in output.splitlines()
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert "<script>" not in re.sub(r"`[^`]*`", "", text.replace("\\`", ""))
    for line in text.splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 8, line
    ElementTree.fromstring(compare_files.junit(found))
    SCHEMA.validate(compare_files.document(found, 0))


def test_hostile_names_of_runs(runs: Path, tmp_path: Path) -> None:
    """In the sentence that refuses, too."""
    path = shutil.copytree(runs / "base", tmp_path / "a\x1b[31m\nb")
    done = command(runs / "base", path)
    assert done.returncode == 6 and "\x1b" not in done.stdout and "\\x1b[31m\\x0ab" in done.stdout


def test_the_page_needs_no_network(runs: Path) -> None:
    page = compare_pages.html(loaded(runs / "base", runs / "slower"))
    assert not re.search(r"https?://|<script|<link|<img|url\(", page) and "default-src 'none'" in page
    assert "SLOWER" in page and page.count("<tr>") > 10


def test_markdown_stays_small(tmp_path: Path) -> None:
    """60 KiB at most, and it says what is missing; there is no sign that looks like success."""
    cells = fake_run.product(block_bytes=[64 << i for i in range(10)], workers=list(range(1, 13)))
    arms = [FakeArm("pread"), FakeArm("a-mapping-with-a-long-name", 0.9)]
    found = loaded(*(run(tmp_path / f"r{i}", i, [fake_run.read_or_map(cells=cells, arms=arms, trials=2, rounds=4)])
                     for i in (1, 2)))
    assert len(found.rows) > 700
    text = compare_pages.markdown(found)
    assert len(text.encode()) <= 60 * 1024 and re.search(r"Left out to stay below 60 KiB: \d+ lines", text)
    assert not set("✓✔✅🟢") & set(text)
    found.notes += ["x" * 5000] * 500
    assert len(compare_pages.markdown(found).encode()) <= 60 * 1024
    assert len("\n".join(compare_table.lines(found, Look(), False)).splitlines()) < 1e5


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits(runs: Path, width: int) -> None:
    for candidate in ("slower", "again", "null_moved", "other_kernel", "other_plan"):
        found = loaded(runs / "base", runs / candidate)
        for line in compare_table.lines(found, Look(width=width), True):
            assert columns(line) <= width, line


def test_folded_rows(tmp_path: Path) -> None:
    cells = fake_run.product(block_bytes=[64 << i for i in range(8)])
    arms = [FakeArm("pread"), FakeArm("fast", 0.9)]
    made = [fake_run.read_or_map(cells=cells, arms=arms, trials=3)]
    found = loaded(*(run(tmp_path / f"r{i}", i, made) for i in (1, 2)))
    short, full = ("\n".join(compare_table.lines(found, Look(), everything)) for everything in (False, True))
    assert "rows more that did not change or cannot be told" in short and "rows more" not in full
    assert full.count("minor_faults") == 16


def test_options_for_several_runs(tmp_path: Path) -> None:
    sides = fake_compare.many(tmp_path, {"a": 0.9, "b": 1.0}, 5)
    done = command("--base", *sides[0], "--candidate", *sides[1][:2], "--candidate", *sides[1][2:], "--all")
    assert done.returncode == 1 and "a unit is a run: 5 against 5" in " ".join(done.stdout.split())
    assert "SLOWER" in done.stdout and "(5 runs)" in done.stdout


def test_no_file_is_left_behind(runs: Path, tmp_path: Path) -> None:
    """Neither when an archive was read, nor when it was refused, nor when it is ended meanwhile."""
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", runs / "slower")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = f"import tempfile; tempfile.tempdir = {str(scratch)!r}"
    assert command(runs / "base", packed, code=code).returncode == 1
    (tmp_path / "bad.tar").write_bytes(b"x" * 999)
    assert command(runs / "base", tmp_path / "bad.tar", code=code).returncode == 7
    ended = f"{code}\nimport os\nfrom faultline import archive\narchive.unpack = lambda *_: os.kill(os.getpid(), 15)"
    assert command(runs / "base", packed, code=ended).returncode == 143
    assert not list(scratch.iterdir())


def test_where_nothing_can_be_written(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command(runs / "base", runs / "slower", "--out", tmp_path / "file" / "below")
    assert done.returncode == 7 and "file" in done.stderr and len(done.stderr.splitlines()) == 1


def test_help() -> None:
    done = command("--help")
    assert done.returncode == 0 and "--vary" in done.stdout and "When several apply: 2, 7, 6, 5, 4, 1, 3" in done.stdout
