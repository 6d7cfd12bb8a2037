# SPDX-License-Identifier: MIT
"""What is written: the JSON contract, the tables, the page, the terminal, and names that mean harm."""

from __future__ import annotations

import html.parser
import io
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import fake_run
from conftest import DATA
from fake_run import FakeArm
from faultline import (
    conclusion,
    crossing,
    derive,
    files,
    markdown,
    page,
    pictures,
    records,
    schema,
    stats,
    summary,
    table,
    tables,
    text,
    verdict,
)
from faultline.verdict import Results

HOSTILE = "a\x1b[2J\x07<script>alert(1)</script>\"'&|`_*[x](y)=cmd\u202e,\n{{7*7}} 世界"


# Since the first version:
ADDED = {"copy_amplification", "counts_invalid", "damage", "environment_changes", "manifest_digest", "role"}


def approx_equal(found: Any, stored: Any, where: str = "") -> None:
    """Equal in everything, numbers to nine digits."""
    if isinstance(stored, dict):
        assert [key for key in found if key in stored] == list(stored), where
        assert set(found) - set(stored) <= ADDED, where
        for key in stored:
            approx_equal(found[key], stored[key], f"{where}/{key}")
    elif isinstance(stored, list):
        assert len(found) == len(stored), where
        for i, (one, other) in enumerate(zip(found, stored)):
            approx_equal(one, other, f"{where}/{i}")
    elif isinstance(stored, float):
        assert found == pytest.approx(stored, rel=1e-8), where
    else:
        assert found == stored, where


@pytest.mark.parametrize("directory", sorted(DATA.glob("golden-run-*")), ids=lambda p: p.name)
def test_golden_summary_of_every_version(directory: Path) -> None:
    found = json.loads(json.dumps(summary.summary(verdict.conclude(records.run_load(directory)))))
    approx_equal(found, json.loads((directory / "summary.json").read_text(encoding="utf-8")))


def test_there_is_a_golden_run() -> None:
    assert list(DATA.glob("golden-run-*"))


def test_summary_keeps_the_contract(whole: Results) -> None:
    found = summary.summary(whole)
    assert found["schema"] == "faultline.summary/1" and set(found) >= {"run", "noise_grade", "null", "cells", "claims"}
    arm_keys = {
        "name",
        "method",
        "baseline",
        "status",
        "reason",
        "ns_per_op",
        "ratio",
        "verdict",
        "mean_ratio",
        "quantiles",
        "counts_per_op",
        "trials",
    }
    for cell in found["cells"]:
        assert set(cell) >= {"scenario", "cell", "params", "status", "arms"} and cell["params"]["op"]
        for arm in cell["arms"]:
            assert set(arm) >= arm_keys and arm["verdict"] in (*verdict.VERDICTS, None)
            assert set(arm["ns_per_op"]) == {"estimate", "low", "high"}
    json.dumps(found, allow_nan=False)
    assert found["null"]["ratio"]["low"] <= 1 <= found["null"]["ratio"]["high"]


def test_tables_hold_what_was_concluded(whole: Results) -> None:
    read = tables.table_of(tables.texts(whole))
    assert len(read.cells) == len(whole.arms) and read.scenarios == list(whole.run.manifest.scenarios)
    by_key = {(r["scenario"], r["cell"], r["arm"]): r for r in read.cells}
    for cell in whole.cells:
        for arm in cell.arms:
            row = by_key[cell.scenario.name, cell.plan.cell, arm.name]
            assert row["ns_per_op"] == pytest.approx(arm.ns_per_op.estimate) and row["verdict"] == (arm.verdict or "")
            assert (row["ratio"] is None) == arm.is_baseline
            if arm.ratio is not None:
                assert math.log(row["ratio_low"]) == pytest.approx(arm.ratio.interval.low, abs=1e-8)
    sequences = [r["sequence"] for r in read.trials if r["role"] == "null"]
    assert sequences == sorted(sequences) and len(set(sequences)) == len(whole.run.trials)
    assert {(r["arm"], r["faster_above"]) for r in read.crossings if r["scenario"] == "access/scan-by-size"} == {
        ("mapped", 1.0),
        ("mapped-populated", 1.0),
    }


def test_junit_counts(whole: Results) -> None:
    root = ElementTree.fromstring(summary.junit(whole))
    cases = root.findall(".//testcase")
    assert len(cases) == sum(arm.competes for arm in whole.arms)
    for suite in root:
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(key, "-1")) == len(suite.findall(f"testcase/{tag}"))


def test_junit_kinds(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> dict[str, Any]:
        for arm in value["arms"]:
            if arm["name"] == "broken":
                arm.update(status="failed", reason="SIGBUS", batch_ns=[], order=[])
        if value["cell"] == "block_bytes=4KiB":
            value["boot_id"] = f"b{value['trial'] % 2}"
        return value

    arms = [FakeArm("pread"), FakeArm("fast", 0.5), FakeArm("near", 1.0099), FakeArm("broken", 1.0)]
    run = fake_run.write(
        tmp_path / "r",
        [fake_run.read_or_map(arms=arms, cells=fake_run.product(block_bytes=[64, 4096]), trials=15)],
        damage=damage,
    )
    root = ElementTree.fromstring(summary.junit(verdict.conclude(records.run_load(run))))
    kinds = {case.get("name"): case[0].tag for case in root.iter("testcase")}
    assert kinds["block_bytes=64 fast"] == "system-out" and kinds["block_bytes=64 near"] == "skipped"
    assert kinds["block_bytes=64 broken"] == "failure" and kinds["block_bytes=4KiB fast"] == "error"


def test_junit_of_a_failed_baseline(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> dict[str, Any]:
        if value["trial"] < 3:
            value["arms"][0].update(status="failed", reason="SIGBUS", batch_ns=[], order=[])
        return value

    arms = [FakeArm("pread"), FakeArm("fast", 0.5)]
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=arms, cells=[{}], trials=9)], damage=damage)
    (suite,) = ElementTree.fromstring(summary.junit(verdict.conclude(records.run_load(run))))
    assert suite.get("failures") == "1" and suite[0][0].tag == "failure"
    assert suite[0][0].get("message") == "no ratio in 3 of 9 trials: the baseline is failed"


def test_trials_are_those_with_a_ratio(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> dict[str, Any]:
        if value["trial"] < 2:
            value["arms"][0].update(status="failed", reason="SIGBUS", batch_ns=[], order=[])
        return value

    arms = [FakeArm("pread"), FakeArm("fast", 0.5)]
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=arms, cells=[{}], trials=9)], damage=damage)
    found = verdict.conclude(records.run_load(run))
    assert [arm["trials"] for arm in summary.summary(found)["cells"][0]["arms"]] == [7, 7, 7]
    assert [row["trials"] for row in tables.table_of(tables.texts(found)).cells] == [7, 7, 7]
    assert table.cell_title(found.cells[0], False) == "all · 9 trials (pread: 7, fast: 7, null: 7)"


def test_badge_leaves_nothing_out(whole: Results) -> None:
    found = summary.badge(whole)
    assert found["schemaVersion"] == 1 and "faster" in found["message"] and f"noise {whole.grade}" in found["label"]


class Reader(html.parser.HTMLParser):
    """Collects tags; refuses anything that loads from elsewhere or runs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attributes:
            assert not key.startswith("on"), (tag, key)
            assert not (key in ("src", "href", "xlink:href", "action") and not str(value).startswith("#")), (
                tag,
                key,
                value,
            )
            if key == "id":
                self.ids.append(str(value))


def test_page_stands_alone(whole: Results, whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    drawn = whole_drawn
    found = page.html(whole, drawn)
    reader = Reader()
    reader.feed(found)
    assert reader.tags.count("script") == 1 and "link" not in reader.tags and "img" not in reader.tags
    assert len(re.findall("<figure><div", found)) == len(drawn) >= 6 and len(set(reader.ids)) == len(reader.ids)
    for name in set(re.findall(r"url\(#([^)]+)\)", found)):
        assert name in reader.ids
    assert len(found.encode()) < page.BYTES_MOST and "prefers-color-scheme: dark" in found and "@media print" in found


def test_page_names_pictures_that_do_not_fit(
    whole: Results, whole_drawn: list[tuple[pictures.Picture, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own picture stays, then the first of each scenario."""
    everything = page.html(whole, whole_drawn)
    sizes = [len(page.inline(svg, "p0-", p.caption).encode()) for p, svg in whole_drawn]
    monkeypatch.setattr(page, "BYTES_MOST", len(everything.encode()) - sizes[-2])
    found = page.html(whole, whole_drawn)
    lost = re.findall(r"too large for this page: plots/([a-z_]+)-", found)
    assert lost and not {"board", "null_run"} & set(lost) and len(found.encode()) <= page.BYTES_MOST


def test_compact_pictures_are_the_same_pictures(whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    sizes = []
    for _, svg in whole_drawn:
        small = page.compact(svg.decode()[svg.decode().index("<svg") :])
        sizes.append((len(small), len(svg.decode())))
        before, after = ElementTree.fromstring(svg), ElementTree.fromstring(small)
        drawn = "{http://www.w3.org/2000/svg}"
        for kind in ("text", "path", "use"):
            assert len(list(before.iter(drawn + kind))) == len(list(after.iter(drawn + kind)))
        assert [e.text for e in before.iter(drawn + "text")] == [e.text for e in after.iter(drawn + "text")]
    assert sum(small for small, _ in sizes) < 0.75 * sum(big for _, big in sizes)


def hostile(directory: Path) -> Results:
    arms = [FakeArm("pread"), FakeArm(HOSTILE, 0.5, status="ok"), FakeArm("x", status="failed", reason=HOSTILE)]
    scenario = fake_run.read_or_map(
        name="s/" + HOSTILE,
        question=HOSTILE,
        op=HOSTILE,
        arms=arms,
        trials=8,
        cells=fake_run.product(recipe=["write-1MiB", HOSTILE, "write-4KiB"]),
    )
    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario])))


@pytest.mark.filterwarnings("ignore:Glyph .* missing from current font")
def test_hostile_names_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "schema_path", lambda: None)  # it knows the recipes, and would not let this one in
    found = hostile(tmp_path / "r")
    stream = io.StringIO()
    table.write(found, stream, 120)
    contents = tables.texts(found)
    document = markdown.markdown(found)
    for shown in (stream.getvalue(), document, *contents.values()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert "\\x1b[2J" in stream.getvalue() and len(contents["cells.csv"].splitlines()) == 1 + len(found.arms)
    read = tables.table_of(contents)
    drawn = [(p, p.render("svg")) for p in pictures.pictures(read)]
    assert {p.plot.name for p, _ in drawn} >= {"board", "recipe", "null_run"}
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", p.stem) for p, _ in drawn)
    reader = Reader()
    reader.feed(page.html(found, drawn))
    assert reader.tags.count("script") == 1 and "<script" not in re.sub(r"(?<!\\)`[^`]*`", "", document)
    ElementTree.fromstring(summary.junit(found))
    json.dumps(summary.summary(found), allow_nan=False)


def test_markdown_is_cut_below_its_limit(tmp_path: Path) -> None:
    cells = fake_run.product(block_bytes=[64 << i for i in range(12)], touches=list(range(1, 26)))
    arms = [FakeArm("pread"), FakeArm("mapped with a name that takes room", 0.5)]
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(cells=cells, arms=arms, trials=1, rounds=2)])
    found = markdown.markdown(verdict.conclude(records.run_load(run)))
    assert 50_000 < len(found.encode()) <= markdown.BYTES_MOST
    assert re.search(r"the tables of access/read-or-map \(from cell \d+ of 300 on\)\. Every figure is in", found)


def test_markdown_names_the_tables_it_leaves_out(whole: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = markdown.markdown(whole)
    assert "Left out" not in everything and everything.count("\n### ") == 4
    monkeypatch.setattr(markdown, "BYTES_MOST", len(everything.encode()) - 600)
    found = markdown.markdown(whole)
    assert len(found.encode()) <= markdown.BYTES_MOST and "Left out" in found.splitlines()[-1]
    for name in whole.run.manifest.scenarios:
        assert f"\n### {name}\n" in found or name in found.splitlines()[-1]
    assert found.count("\n## ") == 4  # what they say is there all the same


def test_markdown_has_no_head_without_rows(whole: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = markdown.markdown(whole)
    first = everything.index("\n### ")
    for more in range(0, 2400, 150):
        monkeypatch.setattr(markdown, "BYTES_MOST", len(everything[:first].encode()) + 1700 + more)
        found = markdown.markdown(whole).splitlines()
        heads = [i for i, line in enumerate(found) if line.startswith("| ---")]
        assert all(found[i + 1].startswith("| ") for i in heads)
    assert heads


def test_markdown_names_what_a_cut_begins_with() -> None:
    blocks = [markdown.Block(text, what) for text, what in (
        ("h", ""), ("c1", "cell 1 of 2"), ("c2", "cell 2 of 2"), ("k", "what was counted"), ("p", ""), ("p1", "pairs"))]
    for room, wanted in ((0, 0), (1, 0), (3, 2), (5, 3), (6, 4), (7, 4), (9, 6)):
        assert len(markdown.blocks_that_fit(blocks, room)) == wanted, room


def test_markdown_makes_no_links() -> None:
    assert markdown.escape("https://x.y, http://x and www.z") == "https\\://x.y, http\\://x and www\\.z"
    assert markdown.escape("a: b") == "a: b"


def hole_make(directory: Path, cells: list[dict[str, Any]], lost: set[str], **arms: Any) -> list[verdict.CellResult]:
    """The cells of a run in which the arm `x` is not supported in some of them."""

    def damage(value: dict[str, Any]) -> dict[str, Any]:
        if value["cell"] in lost:
            value["arms"][1].update(status="unsupported", reason="too large", batch_ns=[], order=[])
        return value

    some = [FakeArm("pread"), FakeArm("x", **{"ratio": 0.5, **arms})]
    run = fake_run.write(directory, [fake_run.read_or_map(arms=some, cells=cells, trials=12)], damage=damage)
    return verdict.conclude(records.run_load(run)).cells


def test_a_cell_without_a_verdict_is_counted_in_the_whole(tmp_path: Path) -> None:
    cells = fake_run.product(recipe=["write-4KiB", "write-64KiB"])
    found = hole_make(tmp_path / "two", cells, {"recipe=write-4KiB"})
    assert conclusion.scenario_sentences(found)[0].startswith(
        "x is faster than pread in 1 of 2 cells (recipe=write-64KiB): 0.")
    eight = fake_run.product(recipe=["write-4KiB", "write-64KiB"], cache=["warm", "cold"], backing=["file", "memfd"])
    lost = {fake_run.cell_id(cell) for cell in eight[:2]}
    sentences = conclusion.scenario_sentences(hole_make(tmp_path / "eight", eight, lost))
    assert sentences[0].startswith("x is faster than pread in 6 of 8 cells: 0.")
    assert sentences[-1].startswith("2 of 8 comparisons have no ratio: unsupported in 12 of 12 trials, ")


def test_a_hole_breaks_a_stretch(tmp_path: Path) -> None:
    cells = [{"block_bytes": 64 << 2 * i} for i in range(5)]
    ends = hole_make(tmp_path / "middle", cells, {"block_bytes=1KiB"})
    (sentence, _) = conclusion.scenario_sentences(ends)
    assert re.fullmatch(r"x against pread by block_bytes: faster \([^)]+\) up to 256; no verdict at 1KiB; "
                        r"faster \([^)]+\) from 4KiB on\.", sentence), sentence
    (sentence, _) = conclusion.scenario_sentences(hole_make(tmp_path / "first", cells, {"block_bytes=64"}))
    assert re.fullmatch(r"x against pread by block_bytes: no verdict at 64; faster \([^)]+\) from 256 on\.", sentence)
    (sentence,) = conclusion.scenario_sentences(hole_make(tmp_path / "none", cells, set()))
    assert " at every block_bytes from 64 to 16KiB." in sentence


def test_comparisons_without_a_verdict_are_in_the_tally(tmp_path: Path) -> None:
    hole_make(tmp_path / "r", [{"block_bytes": 64}, {"block_bytes": 4096}], {"block_bytes=64"})
    results = verdict.conclude(records.run_load(tmp_path / "r"))
    found = conclusion.tally_sentence(results)
    assert "faster than its baseline in 1 of 1 comparisons" in found and found.endswith("; 1 more has no verdict.")


def test_a_checksum_says_whose_it_differs_from(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> dict[str, Any]:
        value["arms"][0].update(checksum=None)
        value["arms"][2].update(checksum="f" * 16)
        return value

    arms = [FakeArm("pread"), FakeArm("x", 0.5), FakeArm("y", 0.5)]
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=arms, cells=[{}], trials=6)], damage=damage)
    (cell,) = verdict.conclude(records.run_load(run)).cells
    assert cell.reason == "the checksum of y differs from that of x, first in trial 0"


def test_json_holds_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    value = {"a": "\x1b[2J \x9b31m \u202e \u2028 \ufeff é 世界"}
    files.replace_json(tmp_path / "a.json", value)
    stored = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(stored) == value and "é 世界" in stored
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ufeff]", stored)


def test_the_summary_says_what_each_arm_is_and_what_was_lost(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=[FakeArm("pread"), FakeArm("x", 0.5)], cells=[{}])])
    found = summary.summary(verdict.conclude(records.run_load(run)))
    assert [arm["role"] for arm in found["cells"][0]["arms"]] == ["baseline", "candidate", "null"]
    assert found["damage"] == [] and found["environment_changes"] == []
    (run / "trials.jsonl").write_text((run / "trials.jsonl").read_text().replace('"trial":3', '"trial":4', 1)[:-9])
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "finished": 0}))  # as a run leaves it that was killed
    found = summary.summary(verdict.conclude(records.run_load(run)))
    assert len(found["problems"]) == 2 and found["damage"] == [found["problems"][0]]


def test_a_table_of_many_arms_keeps_its_width(tmp_path: Path) -> None:
    arms = [FakeArm("pread")] + [FakeArm(f"one of many mappings, number {i}", 1 + i / 8) for i in range(14)]
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=arms, cells=[{}], trials=6, rounds=4)])
    found = verdict.conclude(records.run_load(run))
    for width in (60, 80, 100):
        lines = shown(found, width)
        assert max(text.columns(line) for line in lines) <= width
    assert sum("number 13" in line for line in shown(found, 100)) >= 2


def shown(found: Results, width: int, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    table.write(found, stream, width)
    return stream.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", (50, 60, 80, 100, 140))
def test_table_fits_its_width(whole: Results, width: int) -> None:
    lines = shown(whole, width)
    assert max(text.columns(line) for line in lines) <= width
    body = "\n".join(lines)
    assert "write-4KiB" in body and "0.550×" in body and "Noise grade" in body


def test_table_is_ascii_where_it_must_be(whole: Results) -> None:
    assert all(line.isascii() for line in shown(whole, 100, "ascii")) and not any(
        "?" * 2 in line for line in shown(whole, 100, "ascii")
    )


def test_table_says_the_recipe_beside_every_figure(whole: Results) -> None:
    for width in (60, 140):
        rows = [line for line in shown(whole, width) if "write-1MiB, warm" in line]
        assert (
            len(rows)
            >= sum(len(c.arms) if width == 140 else 1 for c in whole.cells if c.plan.params["recipe"] == "write-1MiB")
            // 2
        )


def test_no_recipe_is_shown_where_no_file_is_read(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=6, bytes_per_op=lambda params: 0)])
    found = verdict.conclude(records.run_load(run))
    for width in (60, 140):
        assert not any("write-1MiB" in line for line in shown(found, width))
    with_file = fake_run.write(tmp_path / "f", [fake_run.floor(trials=6)])
    for width in (60, 140):
        assert any("write-1MiB" in line for line in shown(verdict.conclude(records.run_load(with_file)), width))


def test_keys_are_made_safe(whole: Results) -> None:
    series = crossing.Series("a\x1b[2J", {"h\x1b[2J": 1}, "mapped", crossing.series_of(whole.cells[12:20])[1].points)
    assert series.arm == "mapped" and len(series.points) == 8
    for shown_text in (conclusion.series_sentence(series, "pread"), summary.held_text(series.held)):
        assert shown_text is not None and "\x1b" not in shown_text and "\\x1b[2J" in shown_text


def test_conclusions_are_sentences_of_the_verdicts(whole: Results) -> None:
    scan = [cell for cell in whole.cells if cell.scenario.name == "access/scan-by-size"]
    sentences = conclusion.scenario_sentences(scan)
    assert len(sentences) == 2
    assert re.match(
        r"mapped against pread-128KiB by file_bytes: slower \(1\.\d+× to 4\.\d+×\) up to 256KiB; the same "
        r"\(1\.00\d×|0\.99\d× .*at 1MiB; faster \(0\.30\d× to 0\.\d+×\) from 4MiB on; the two cross at",
        sentences[0],
    )
    recipe = [cell for cell in whole.cells if cell.scenario.name == "access/recipe"]
    assert conclusion.scenario_sentences(recipe)[0].startswith(
        "one-page VMAs is slower than first touch in all 7 cells: "
    )
    assert conclusion.harness_sentence(whole) is not None and "0.4" in str(conclusion.harness_sentence(whole))


def test_a_scenario_of_one_arm_says_what_it_takes(whole: Results) -> None:
    floor = [cell for cell in whole.cells if cell.scenario.name == "floor/null"]
    (sentence,) = conclusion.scenario_sentences(floor)
    assert re.fullmatch(r"nothing: 0\.\d+ ns an operation; the scenario has no other arm\.", sentence)


def test_an_arm_that_cannot_be_told_says_its_ratio(tmp_path: Path) -> None:
    few = fake_run.read_or_map(arms=[FakeArm("pread"), FakeArm("near", 1.009)], cells=[{}], trials=4)
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", [few])))
    (sentence,) = conclusion.scenario_sentences(found.cells)
    assert re.match(r"near against pread: cannot tell, too few trials: 1\.0\d\d×", sentence)
    assert table.undecided(found) == ["cannot tell (1×): 4 trials; 6 are needed for 1 comparison"]


def test_numbers_as_people_read_them() -> None:
    assert [text.time(v) for v in (0.4, 612.4, 5312, 12_340_000, 3e9, None)] == [
        "0.400 ns",
        "612 ns",
        "5.31 µs",
        "12.3 ms",
        "3.00 s",
        "–",
    ]
    assert [text.size(v) for v in (64, 4096, 65536, 64 << 20, 1000)] == ["64", "4KiB", "64KiB", "64MiB", "1000"]
    assert [text.size_near(v) for v in (1_400_000, 1 << 20)] == ["1.34MiB", "1.00MiB"]
    assert [text.ratio(v) for v in (0.07991, 0.6214, 1.0, 1.99951, 2.941, 13.42)] == [
        "0.0799",
        "0.621",
        "1.000",
        "2.00",
        "2.94",
        "13.4",
    ]
    assert [text.percent(v) for v in (0.01, 0.0084, 0.125, 0.9)] == ["1 %", "0.84 %", "12 %", "90 %"]
    assert [text.digits(v) for v in (9.996, 99.96, 0.009996)] == ["10.0", "100", "0.0100"]
    assert (
        text.shorten("abcdefghij", 5) == "ab…ij"
        and text.columns("世界") == 4
        and text.columns(text.shorten("世界" * 5, 7)) <= 7
    )


def test_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    files.replace_json(path, {"a": 1})
    with pytest.raises(ValueError):
        files.replace_json(path, {"a": math.nan})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(OSError):
        files.replace_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_an_emulated_machine_is_told_everywhere(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "run", [fake_run.SCENARIOS["recipe"](trials=2)])
    machine = json.loads((run / "machine.json").read_text(encoding="utf-8"))
    for value, told in (("KVMKVMKVM", False), ("TCGTCGTCGTCG (emulated)", True)):
        machine["blocking"]["virtualisation"] = value
        (run / "machine.json").write_text(json.dumps(machine), encoding="utf-8")
        results = verdict.conclude(records.run_load(run))
        terminal = io.StringIO()
        table.write(results, terminal, 500)
        texts = (terminal.getvalue(), markdown.markdown(results), page.html(results, []).split("</header>")[0])
        assert ["emulated machine, TCGTCGTCGTCG" in one for one in texts] == [told] * 3


def test_what_a_file_went_through_is_said_of_files_alone(tmp_path: Path) -> None:
    """Arms that work on memory alone have no proof of a file's pages, and no heading speaks of its recipe."""
    def in_memory(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "arms": [{**arm, "proof": {"cpus": [1]}} for arm in record["arms"]]}

    def as_it_is(record: dict[str, Any]) -> dict[str, Any]:
        return record

    for on_file in (True, False):
        damage = as_it_is if on_file else in_memory
        run = fake_run.write(tmp_path / str(on_file), [fake_run.SCENARIOS["read-or-map"](trials=10)], damage=damage)
        results = verdict.conclude(records.run_load(run))
        assert not results.run.problems, results.run.problems
        written = tables.texts(results)
        found = tables.table_of(written)
        (board,) = pictures.pictures(found, ["board"])
        for width in (60, 500):
            terminal = io.StringIO()
            table.write(results, terminal, width)
            assert ("write-1MiB" in terminal.getvalue()) == on_file
            assert ("recipe" in terminal.getvalue()) == (on_file and width == 500)
        assert ("write-1MiB" in written["cells.csv"]) == on_file
        assert ("recipe write-1MiB, warm" in board.plot.heading(found)) == on_file
        assert ("write-1MiB" in markdown.markdown(results)) == on_file
        assert ("write-1MiB" in page.html(results, [])) == on_file


def test_what_a_store_copies_is_told_where_each_fault_is_a_copy(tmp_path: Path) -> None:
    """A page a fault, for the bytes stored to: of objects one, of a private mapping those of its blocks."""
    arms = [
        FakeArm("spread", 1.0, "object_write", faults=lambda p: 1),
        FakeArm("packed", 0.5, "object_write", faults=lambda p: 0.25),
        FakeArm("private", 1.0, "cow_break", faults=lambda p: 1),
        FakeArm("forked", 1.0, "fork_break", faults=lambda p: 1),  # who comes second finds the page its own
    ]
    scenario = fake_run.FakeScenario(arms=arms, trials=10, bytes_per_op=lambda p: 64)
    results = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", [scenario])))
    found = {arm.name: summary.arm_object(arm)["copy_amplification"] for arm in results.cells[0].arms}
    exactly = {"spread": 4096, "packed": 1024, "private": 64}
    assert found == {
        **{name: {"estimate": times, "low": times, "high": times} for name, times in exactly.items()},
        "forked": None,
        "null": found["spread"],
    }
    shown = {row["arm"]: row["copy_amplification"] for row in tables.table_of(tables.texts(results)).cells}
    assert shown == {**exactly, "forked": None, "null": 4096}
    written = {arm.name: table.row(results.cells[0], arm)[table.COPIED] for arm in results.cells[0].arms}
    assert written == {"spread": "4096×", "packed": "1024×", "private": "64.0×", "forked": "", "null": "4096×"}


def test_what_a_store_on_huge_pages_copies_is_not_told() -> None:
    """A fault of those copies 2 MiB."""
    assert derive.breaking_bytes("cow_break", {"backing": "file"}, 64) == 64
    assert derive.breaking_bytes("cow_break", {"backing": "hugetlbfs"}, 64) is None


def test_workers_that_fall_behind_are_named(tmp_path: Path) -> None:
    found = verdict.conclude(records.run_load(fake_run.write(tmp_path / "r", [fake_run.read_or_map(trials=8, cells=[{}])])))
    (cell,) = found.cells
    assert not conclusion.unfair_sentences(found.cells)
    cell.arms[1].fairness = stats.Interval(0.5, 0.25, 0.75)
    cell.arms[0].fairness = stats.Interval(0.95, None, None)
    (sentence,) = conclusion.unfair_sentences(found.cells)
    assert sentence == f"{cell.arms[1].name} is not fair: the slowest worker does 0.50 [0.25, 0.75] of what the quickest does."
    assert sentence in conclusion.scenario_sentences(found.cells)
