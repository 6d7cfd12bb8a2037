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
from faultline import compare_causes, compare_files, compare_pages, compare_table, compare_words, sources
from faultline.comparison import Comparison, compare
from faultline.pairing import FAILED, UNLIKE, LeftOut
from faultline.table import Look
from faultline.text import columns
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER

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
        if value["scenario"] != "floor/null":
            value["arms"][1].update(status="failed", reason="SIGBUS: the file shrank", batch_ns=[], order=[], voided=[])

    def other_work(value: dict[str, Any]) -> None:
        if value["scenario"] != "floor/null":
            value["arms"][1]["checksum"] = "0" * 16

    run(top / "base", 1)
    run(top / "again", 2)
    run(top / "slower", 3, [scenario(fast=0.99)])
    run(top / "faster", 4, [scenario(fast=0.8)])
    run(top / "other_kernel", 5, blocking={"kernel_release": "6.18.0"}, boot="b2")
    run(top / "other_plan", 8, [scenario(op="page touched")])
    run(top / "other_machine", 9, [scenario(fast=0.8)], {"cpu_model": "Other"}, boot="b3", name="other")
    floor = fake_run.floor(trials=8)
    run(top / "with_floor", 10, [scenario(), floor])
    run(top / "half_plan", 11, [scenario(op="page touched"), floor])
    run(top / "other_work", 12, [scenario(), floor], damage=other_work)
    for name, more in (("null_moved", {}), ("failed", {"damage": fail})):
        bias = 0.05 * (name == "null_moved")
        run(top / name, 6 + len(more), [scenario(null_bias=bias), floor], **more)
    run(top / "damaged", 3, [scenario(fast=0.99), floor])
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
    (("base", "slower", "--bisect", "--fail-on", "never"), 125),
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
    misused = status == 2 or words == ("base", "--bisect") or {"--bisect", "never"} <= set(words)
    if misused or {"absent", "unreadable"} & set(words):
        assert out == "" and len(err.splitlines()) == 1 and err.startswith("faultline compare: ")
    else:
        assert out.startswith("base: 2026") and err == ""


def test_precedence(runs: Path) -> None:
    """2, 7, 6, 5, 4, 1, 3: each beside the next ones."""
    found = loaded(runs / "base", runs / "again")
    found.rows[0].verdict = CANNOT_TELL
    assert compare_causes.exit_status(found, insist=True) == 3
    found.rows[1].verdict = SLOWER
    assert compare_causes.exit_status(found, insist=True) == 1
    found.rows[2].verdict = INVALID
    assert compare_causes.exit_status(found, insist=True) == 4
    found.left_out = [LeftOut("s", "c", "why", FAILED)]
    assert compare_causes.exit_status(found, insist=True) == 5
    found.left_out = []
    found.runs[0].results.cells[0].checksum_wrong = True
    assert compare_causes.exit_status(found, insist=True) == 5
    found.left_out.append(LeftOut("s", None, "why", UNLIKE))
    assert compare_causes.exit_status(found, insist=True) == 6
    found.compared = 0
    assert compare_causes.exit_status(found, insist=True) == 7


def test_the_program_finds_the_command(runs: Path) -> None:
    """faultline compare is faultline-compare beside the program, where one was built."""
    built = next((p for p in (ROOT / "build" / name / "faultline" for name in ("release", "dev")) if p.exists()), None)
    if built is None or not (built.parent / "faultline-compare").exists():
        pytest.skip("no program was built here")
    words = [built, "compare", runs / "base", runs / "slower"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "A ratio to the baseline rose in 1 of " in done.stdout


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
    parts = ["base: ", "candidate: ", "Difference of the fingerprints", "A ratio to the baseline rose in 1 of ",
             "0 FASTER · 1 SLOWER", "· δ 1 %", "\n  access/read-or-map all"]
    places = [done.stdout.index(part) for part in parts]
    assert places == sorted(places) and "0 INVALID" in done.stdout and value["deltas"] == [0.01]


@pytest.mark.parametrize("candidate", ["again", "slower", "faster", "null_moved", "failed", "other_kernel", "base",
                                       "other_plan", "other_machine"])
def test_every_comparison_keeps_the_schema(runs: Path, candidate: str) -> None:
    found = loaded(runs / "base", runs / candidate, vary=["cpu"])
    value = json.loads(json.dumps(compare_files.document(found, compare_causes.exit_status(found)), allow_nan=False))
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


# What each comparison ends with, and what is said of it; the rows asked for have nothing against them.
BAD = [
    ("null_moved", 4, "a run is invalid as a whole"),
    ("failed", 5, "a trial failed"),
    ("other_work", 5, "an arm did other work than its baseline"),
    ("half_plan", 6, "something is not the same on both sides"),
    ("damaged", 7, "records are damaged"),
]


@pytest.mark.parametrize(("candidate", "status", "what"), BAD)
def test_nothing_is_green_that_is_not(runs: Path, candidate: str, status: int, what: str) -> None:
    """Whoever reads but one of the outputs learns of a status that no row shows."""
    only = [] if candidate == "half_plan" else ["floor/null"]
    found = loaded(runs / "with_floor", runs / candidate, quantities=["minor_faults"], scenarios=only)
    assert found.counts[SAME] == len(found.rows) > 0 and compare_causes.exit_status(found, "never") == status
    begin = f"Status {status}: {what}"
    sentence = compare_files.document(found, status)["conclusion"]
    assert sentence.startswith(begin) and ". No change: all " in sentence
    terminal = "\n".join(compare_table.lines(found, Look(), False))
    for output in (terminal, compare_pages.markdown(found), compare_pages.html(found)):
        words = output.replace("\n", " ")
        assert begin in words and (status in (6, 7) or f"{begin}: {runs}" in words)
    badge = compare_files.badge(found)
    assert badge["color"] == "red" and badge["message"].endswith(f"(status {status})")
    root = ElementTree.fromstring(compare_files.junit(found))
    (case,) = (case for case in root.iter("testcase") if case.get("name") == "exit status")
    assert what in case[0].get("message", "") and case[0].tag == "error"
    assert root[-1].get("errors") == str(1 + (candidate == "half_plan"))


def test_what_was_not_compared_is_an_error(runs: Path) -> None:
    for candidate in ("other_kernel", "other_plan", "base"):
        found = loaded(runs / "base", runs / candidate)
        other = ElementTree.fromstring(compare_files.junit(found))
        assert [child.tag for case in other.iter("testcase") for child in case].count("error") == 2
        assert compare_files.badge(found)["color"] == "red"


def test_badge(runs: Path) -> None:
    """Green only when everything is the same or faster, and a lower ratio is not known to be faster."""
    colours = {}
    for name, options in {"again": {}, "slower": {}, "null_moved": {}, "other_kernel": {}, "other_plan": {}}.items():
        colours[name] = compare_files.badge(loaded(runs / "base", runs / name, **options))
    assert {name: badge["color"] for name, badge in colours.items()} == {
        "again": "lightgrey", "slower": "red", "null_moved": "red", "other_kernel": "red", "other_plan": "red"}
    assert "cannot tell" in colours["again"]["message"] and "1 slower" in colours["slower"]["message"]
    clear = compare_files.badge(loaded(runs / "base", runs / "again", quantities=["minor_faults"]))
    assert clear["color"] == "brightgreen" and clear["message"] == "3 same"
    fell = loaded(runs / "base", runs / "faster", quantities=["ratio"])
    fell.rows = [row for row in fell.rows if row.verdict == FASTER]
    assert len(fell.rows) == 1 and compare_files.badge(fell)["color"] == "lightgrey"
    fell.rows[0].baseline_kept = True
    assert compare_files.badge(fell)["color"] == "brightgreen"


def test_rows_that_are_invalid_are_said_first(runs: Path) -> None:
    found = loaded(runs / "base", runs / "again")
    found.rows[0].verdict = INVALID
    assert compare_words.conclusion(found).startswith("Status 4: rows are INVALID. No row is known to have changed")
    assert not any(note.startswith("Status") for note in compare_words.notes(found))


def test_words_for_ratios(runs: Path) -> None:
    """A ratio falls when its baseline slows down, too: it is no speed of the candidate."""
    found = loaded(runs / "base", runs / "faster")
    assert compare_words.conclusion(found).startswith("A ratio to the baseline fell in 1 of 11 rows, most in ratio")
    found.rows[1].verdict = SLOWER
    assert "The candidate is slower in 1 of 11 rows" in compare_words.conclusion(found)


def test_no_effect_of_what_is_invalid(runs: Path) -> None:
    found = loaded(runs / "base", runs / "null_moved")
    assert all(row.detectable for row in found.rows if row.quantity == "ratio")
    assert not any("would have been seen" in note for note in compare_words.notes(found))
    assert any("would have been seen" in note for note in compare_words.notes(loaded(runs / "base", runs / "again")))


def test_declared_parameters_are_shown(runs: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", 3, [scenario(common={"recipe": "write-4KiB"})])
    found = loaded(runs / "base", other, vary=["recipe"])
    line = "access/read-or-map: recipe (declared): write-1MiB → write-4KiB"
    assert line in "\n".join(compare_table.lines(found, Look(width=100), False))
    assert line in compare_pages.markdown(found)
    value = compare_files.document(found, 0)
    SCHEMA.validate(value)
    assert value["fingerprint_diff"][0]["key"] == "access/read-or-map: recipe"


def test_a_run_keeps_its_own_files(runs: Path, tmp_path: Path) -> None:
    """--out with a run's directory would replace its junit.xml and badge.json."""
    mine = shutil.copytree(runs / "slower", tmp_path / "mine")
    (mine / "junit.xml").write_text("mine")
    done = command(runs / "base", mine, "--out", mine)
    assert done.returncode == 2 and "is a run" in done.stderr and (mine / "junit.xml").read_text() == "mine"
    assert not (mine / "compare.json").exists()


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
    arms = [FakeArm("pread"), FakeArm("a-mapping-with-a-long-name", 0.9)]
    found = loaded(*(run(tmp_path / f"r{i}", i, [fake_run.read_or_map(cells=[{}], arms=arms, trials=2, rounds=4)])
                     for i in (1, 2)))
    found.rows *= 120  # as if of that many cells
    assert len(found.rows) > 700
    text = compare_pages.markdown(found)
    assert len(text.encode()) <= 60 * 1024 and re.search(r"Left out to stay below 60 KiB: \d+ lines", text)
    assert not set("✓✔✅🟢") & set(text)
    assert len(list(compare_table.lines(found, Look(), False))) < 80
    found.notes += ["x" * 5000] * 500
    assert len(compare_pages.markdown(found).encode()) <= 60 * 1024


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
