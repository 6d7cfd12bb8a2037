# SPDX-License-Identifier: MIT
"""report.html: what it holds and in which order, for everybody and whatever the run holds."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

import fake_run
from fake_run import FakeArm
from faultline import conclusion, gaps, markdown, origin, page, pictures, records, strips, tables, verdict
from faultline.verdict import Results

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202e\x1b[2J"


class Document(html.parser.HTMLParser):
    """The elements of a page with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), []))
        self.open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, _, texts in self.open:
            texts.append(data)

    def texts(self, tag: str) -> list[str]:
        """What these elements say."""
        return [" ".join("".join(texts).split()) for name, _, texts in self.elements if name == tag]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Their attributes."""
        return [found for name, found, _ in self.elements if name == tag]


def conclude(directory: Path, *scenarios: fake_run.FakeScenario, **machine: Any) -> Results:
    """The conclusions of a made run, with these members of machine.json besides."""
    run = fake_run.write(directory, list(scenarios))
    told = json.loads((run / "machine.json").read_text())
    told["blocking"].update(machine.pop("blocking", {}))
    (run / "machine.json").write_text(json.dumps({**told, **machine}))
    return verdict.conclude(records.run_load(run))


def test_parts_in_their_order(whole: Results, whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    found = Document(page.html(whole, whole_drawn))
    questions = [scenario.question for scenario, _ in verdict.scenarios_of(whole)]
    rest = ["Where it ran", "Can this run be trusted?", "What has no figure, and why", "How to run it again"]
    assert found.texts("h2") == ["All ratios", *questions, *(title for title in rest if title != rest[2])]
    (paragraph,) = ["".join(t) for name, a, t in found.elements if name == "p" and a.get("class") == "first"]
    assert paragraph == " ".join(conclusion.run_sentences(whole))


def test_the_first_paragraph_is_made_from_the_verdicts(whole: Results) -> None:
    counts = whole.verdict_counts()
    first, *others = conclusion.run_sentences(whole)
    assert f"faster than its baseline in {counts['FASTER']} of {sum(counts.values())} comparisons" in first
    assert f"slower in {counts['SLOWER']}, the same within δ in {counts['SAME']}." in first and "told" not in first
    told = [arm for arm in whole.arms if arm.verdict == "FASTER"]
    best = min(told, key=lambda arm: arm.ratio.interval.estimate)  # type: ignore[union-attr]
    assert others[0].startswith(f"The largest gain: {best.name} takes {conclusion.factor(best)} the time of ")
    assert others[-1] == conclusion.noise_sentence(whole)


def test_what_is_open_is_told_first(tmp_path: Path) -> None:
    results = conclude(tmp_path / "r", fake_run.read_or_map(trials=4, cells=[{}]))
    assert conclusion.tally_sentence(results).endswith("; 3 cannot be told.")
    assert len(conclusion.run_sentences(results)) == 2  # nothing decided: neither gain nor loss


def test_a_run_without_verdicts_says_so(tmp_path: Path) -> None:
    alone = conclude(tmp_path / "alone", fake_run.floor(trials=3))
    assert conclusion.run_sentences(alone)[0] == "No comparison of this run has a verdict."
    nothing = conclude(tmp_path / "nothing", fake_run.read_or_map(trials=0))
    assert conclusion.run_sentences(nothing)[0] == "Nothing was measured."
    for results in (alone, nothing):
        assert "All ratios" not in page.html(results, [])


def test_only_the_page_s_own_script_may_run(whole: Results) -> None:
    text = page.html(whole, [])
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    (policy,) = [a["content"] or "" for a in Document(text).attributes("meta") if "http-equiv" in a]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_tables_can_be_read_aloud(whole: Results, whole_drawn: list[tuple[pictures.Picture, bytes]]) -> None:
    found = Document(page.html(whole, whole_drawn))
    assert {a.get("scope") for a in found.attributes("th")} == {"col", "row", "rowgroup"}
    regions = [a for a in found.attributes("div") if a.get("class") == "scroll"]
    assert len(regions) == len(found.texts("table"))
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in found.attributes("svg"))
    assert found.attributes("html") == [{"lang": "en"}]
    ids = [a["id"] for _, a, _ in found.elements if "id" in a]
    links = [str(a["href"]) for a in found.attributes("a")]
    assert links and all(link.removeprefix("#") in ids for link in links)


def test_strips_are_on_one_scale() -> None:
    assert [strips.place(x) for x in (-9.0, 0.0, 0.6931471805599453, 9.0)] == ["0", "80", "100", "160"]


def test_strips_hold_every_verdict(whole: Results) -> None:
    rows = strips.strips(whole)
    assert sum(count for row in rows for _, count in row.verdicts) == sum(whole.verdict_counts().values())
    strokes, arrows = (sum(path.count(word) for row in rows for _, path in row.marks) for word in ("V", "L"))
    beyond = sum(abs(arm.ratio.interval.estimate) > strips.EXPONENT * math.log(2) for arm in whole.arms if arm.verdict)
    assert strokes + arrows // 2 == sum(whole.verdict_counts().values()) and arrows == 2 * beyond > 0


def test_what_has_no_figure_is_told_with_its_reason(tmp_path: Path) -> None:
    arms = [FakeArm("pread"), FakeArm("uring", status="unsupported", reason="io_uring is disabled <here>")]
    cells = fake_run.product(block_bytes=[64, 4096])
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(arms=arms, cells=cells, trials=6)])
    manifest = json.loads((run / "manifest.json").read_text())
    refusal = {"scenario": "access/read-or-map", "reason": "no two CPUs share an L2 cache"}
    manifest["plan"]["refused"] = [{**refusal, "cell": f"place={i}"} for i in range(4)]
    (run / "manifest.json").write_text(json.dumps(manifest))
    machine = json.loads((run / "machine.json").read_text())
    machine["available"] = {"cachestat": True, "hugetlb": "no huge page is free"}
    (run / "machine.json").write_text(json.dumps(machine))
    results = verdict.conclude(records.run_load(run))
    found = gaps.gaps(results)
    assert [gap.what for gap in found] == [
        "4 cells: not run",
        "uring, cells block_bytes=64; block_bytes=4KiB: unsupported",
        "hugetlb: not here",
    ]
    assert "io_uring is disabled <here>" in found[1].why and found[2].why == "no huge page is free"
    text = page.html(results, [])
    assert "What has no figure, and why" in text and "io_uring is disabled &lt;here&gt;" in text


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["run", "a/b", "--out", "/tmp/x", "--seed", "1"], "faultline run a/b --seed 7"),
        (["faultline", "run", "a/b", "--out=/tmp/x", "--cell", "a=b c"], "faultline run a/b --cell 'a=b c' --seed 7"),
        (["run", "--plan", "plan.json"], "faultline run --plan plan.json"),
    ],
)
def test_the_command_that_runs_it_again(argv: list[str], wanted: str, tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=1)])
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "argv": argv}))
    results = verdict.conclude(records.run_load(run))
    assert origin.command(results.run.manifest) == wanted and Document(page.html(results, [])).texts("pre") == [wanted]


def test_the_machine_is_told(tmp_path: Path) -> None:
    cpus = [
        {"os_index": i, "allowed": True, "core": i // 2, "smt": i % 2, "l2": i // 2, "l3": i // 4, "die": None,
         "numa_node": 0, "package": 0, "kind": 0, "frequency_mhz": None}
        for i in range(8)
    ]
    caches = [{"level": 1, "type": "data", "bytes": 32768, "cpus": 2, "count": 4}, {"level": 2}]
    counts = {"packages": 1, "numa_nodes": 1, "cores": 4, "cpus": 8}
    topology = {"source": "hwloc", "this_machine": True, **counts, "pus": cpus, "caches": caches}
    against = {"meltdown": "Not affected", "spectre_v2": "Mitigation: Retpolines"}
    blocking = {"thp": {"shmem": "never"}, "governor": None, "boost": None, "mitigations": against}
    unknown = {"governor": "there is none"}
    results = conclude(tmp_path / "r", fake_run.floor(trials=1), topology=topology, blocking=blocking, unknown=unknown)
    rows = dict(origin.fingerprint(results.run.machine, "00aa"))
    assert rows["thp.shmem"] == "never" and rows["mitigations"] == "spectre_v2: Mitigation: Retpolines"
    assert rows["governor"] == "unknown (there is none)" and rows["boost"] == "unknown"
    assert rows["fingerprint"] == "00aa"
    assert origin.tree_sentence(results.run.machine) == (
        "1 package, 1 NUMA node, 4 cores, 8 CPUs. Caches: L1d 4 × 32KiB for 2 CPUs each. Source: hwloc."
    )
    head, *groups = origin.cpu_table(results.run.machine)
    assert head == ["package", "node", "L3", "cores", "CPUs"]
    assert groups == [["0", "0", "0", "2", "0-3"], ["0", "0", "1", "2", "4-7"]]
    assert origin.ranges([5, 1, 0, 9, 2]) == "0-2,5,9"


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=1)])
    for told in ({}, {"blocking": None, "topology": [2], "available": [], "unknown": 3}):
        (run / "machine.json").write_text(json.dumps({"schema": "faultline.machine/1", **told}))
        results = verdict.conclude(records.run_load(run))
        assert "The tree of its CPUs is not known." in page.html(results, [])


def test_a_large_run_stays_below_the_limit(
    tmp_path: Path, whole_drawn: list[tuple[pictures.Picture, bytes]]
) -> None:
    """320 cells of four arms, and more pictures than there is room for."""
    cells = fake_run.product(block_bytes=[64 << i for i in range(10)], touches=list(range(1, 33)))
    arms = [FakeArm("pread")] + [FakeArm(f"a mapping with a long name, number {i}", 1 + i / 8) for i in range(3)]
    many = fake_run.read_or_map(cells=cells, arms=arms, trials=1, rounds=2)
    results = conclude(tmp_path / "r", many)
    board = next((picture, svg) for picture, svg in whole_drawn if picture.stem == "board-access-read-or-map")
    run_s = next((picture, svg) for picture, svg in whole_drawn if picture.scenario == "")
    text = page.html(results, [board] * 60 + [run_s])
    assert 1_000_000 < len(text.encode()) <= page.BYTES_MOST
    assert re.search(r"The table shows \d+ of 320 cells; all are in cells\.csv\.", text)
    left = re.search(r"Left out for want of room: (\d+) pictures: plots/board-access-read-or-map\.svg", text)
    assert left and 0 < int(left[1]) < 60 and text.count("too large for this page") == int(left[1])
    assert "Two identical arms (null arm" in text.partition("Can this run be trusted?")[2]


@pytest.mark.parametrize(("most", "cells"), [(None, 28), (45_000, 10), (30_000, 0)])
def test_tables_give_way_to_the_limit(
    most: int | None, cells: int, whole: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 28 cells as many are shown as there is room for, and the page says how many."""
    monkeypatch.setattr(page, "ROOMS", tuple(map(page.Room, (28, 10, 0))))
    monkeypatch.setattr(page, "BYTES_MOST", most or page.BYTES_MOST)
    text = page.html(whole, [])
    titles = re.findall(r'scope="rowgroup"><span class="stay">[^<]* · \d+ trials', text)
    assert len(titles) == cells and len(text.encode()) <= page.BYTES_MOST
    assert ("cells; all are in cells.csv." in text) == (cells < 28)


def endless(directory: Path) -> Results:
    """A run whose texts are long and whose lists are, in all that has no bound of its own."""
    long = "a text <that> has no end & no sense · " * 60
    some = [FakeArm(f"{i} {long}", 0.5) for i in range(3)]
    arms = [FakeArm("pread"), *some, FakeArm("x", status="failed", reason=long)]
    many = [
        fake_run.read_or_map(name=f"s/{i} {long}", question=long, op=long, arms=arms, cells=[{}], trials=2, rounds=2)
        for i in range(24)
    ]
    run = fake_run.write(directory, many)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest.update(argv=["run", *[long] * 100], expected=10**6, run=long, stopped=long)
    manifest["plan"]["refused"] = [{"scenario": f"{i} {long}", "cell": "all", "reason": long} for i in range(60)]
    (run / "manifest.json").write_text(json.dumps(manifest))
    machine = json.loads((run / "machine.json").read_text())
    machine["blocking"].update({f"{i} {long}": long for i in range(400)})
    (run / "machine.json").write_text(json.dumps(machine))
    return verdict.conclude(records.run_load(run))


def test_whatever_a_run_holds_the_limits_are_kept(
    tmp_path: Path, whole_drawn: list[tuple[pictures.Picture, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = endless(tmp_path / "r")
    text = page.html(results, whole_drawn[:3])
    assert len(text.encode()) <= page.BYTES_MOST and "not finished: 48 of 1000000 planned records" in text
    assert "no end &amp; no sense" in text and Document(text).texts("h2")
    assert len(markdown.markdown(results).encode()) <= markdown.BYTES_MOST
    monkeypatch.setattr(page, "BYTES_MOST", 60_000)  # as of a run that is far larger
    text = page.html(results, whole_drawn[:3])
    assert len(text.encode()) <= page.BYTES_MOST and "scenarios; all are in summary.json and cells.csv." in text
    assert re.search(r"and \d+ more, in machine\.json", text)


def test_a_run_that_was_interrupted_says_so_first(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.read_or_map(cells=[{}], trials=3)])
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "expected": 8, "stopped": "interrupted"}))
    results = verdict.conclude(records.run_load(run))
    said = "The run is not finished: 3 of 8 planned records (stopped: interrupted)."
    assert page.warnings(results)[0] == said
    header = page.html(results, []).partition("<main>")[0]
    assert header.count(said) == 1 and f"\n> {markdown.escape(said)}\n" in markdown.markdown(results)


def test_an_id_in_a_text_is_left_alone() -> None:
    words = 'see url(#a) and href="#a" and id="a"'
    svg = f'<svg><defs><path id="a"/></defs><use xlink:href="#a" clip-path="url(#a)"/><text>{words}</text></svg>'
    found = page.inline(svg.encode(), "p1-", "c")
    assert words in found and '<path id="p1-a"/>' in found and 'xlink:href="#p1-a" clip-path="url(#p1-a)"' in found


def test_pictures_of_a_scenario_with_an_unsafe_name_are_shown(tmp_path: Path) -> None:
    results = conclude(tmp_path / "r", fake_run.read_or_map(name="s/\x1b[2J", cells=[{}], trials=6))
    read = tables.table_of(tables.texts(results))
    drawn = [(picture, picture.render("svg")) for picture in pictures.pictures(read, ["board"])]
    assert page.html(results, drawn).count("<figure><div") == len(drawn) == 1


def test_a_manifest_that_says_little(tmp_path: Path) -> None:
    run = fake_run.write(tmp_path / "r", [fake_run.floor(trials=2)])
    manifest = json.loads((run / "manifest.json").read_text())
    for key in ("argv", "expected", "started", "tool"):
        del manifest[key]
    del manifest["plan"]["profile"], manifest["plan"]["seed"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    results = verdict.conclude(records.run_load(run))
    assert origin.line(results) == "2 records · faultline of an unknown version"
    text = page.html(results, [])
    assert "The manifest does not say how the run was started." in text and "None" not in text


def test_long_values_are_cut_visibly(tmp_path: Path) -> None:
    results = conclude(tmp_path / "r", fake_run.floor(trials=1), blocking={"cpu_model": "x" * 400})
    assert dict(origin.fingerprint(results.run.machine, "a"))["cpu_model"] == "x" * 299 + "…"


def test_every_scenario_shows_some_of_its_cells() -> None:
    assert [page.most_each([12, 8, 7, 1], room) for room in (28, 27, 10, 4, 3, 0)] == [12, 11, 3, 1, 0, 0]
    assert page.most_each([], 5) == 0


def hostile_page(directory: Path) -> str:
    """The page of a run with HOSTILE in every text of the machine, the plan and the manifest that it shows."""
    scenario = fake_run.read_or_map(
        name="s/" + HOSTILE,
        question=HOSTILE,
        op=HOSTILE,
        arms=[FakeArm("pread"), FakeArm(HOSTILE, 0.5), FakeArm("x", status="failed", reason=HOSTILE)],
        cells=[{}],
        trials=8,
    )
    run = fake_run.write(directory, [scenario], damage=counters_put)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest.update(run=HOSTILE, argv=["run", HOSTILE], machine=HOSTILE, started=HOSTILE)
    manifest["tool"].update(version=HOSTILE, compiler=HOSTILE)
    manifest["plan"]["refused"] = [{"scenario": HOSTILE, "cell": HOSTILE, "reason": HOSTILE}]
    manifest["plan"]["profile"] = HOSTILE
    (run / "manifest.json").write_text(json.dumps(manifest))
    machine = json.loads((run / "machine.json").read_text())
    machine.update(name=HOSTILE, available={HOSTILE: HOSTILE}, unknown={"cpu_model": HOSTILE})
    machine["blocking"].update({HOSTILE: HOSTILE, "mitigations": {HOSTILE: HOSTILE}, "cpu_model": None})
    machine["topology"] = {"source": HOSTILE, "packages": 1}
    (run / "machine.json").write_text(json.dumps(machine))
    results = verdict.conclude(records.run_load(run))
    assert results.measured
    assert {problem.where for problem in results.run.problems} == {"machine.json"}, "which was changed; all else is shown"
    read = tables.table_of(tables.texts(results))
    drawn = [(p, p.render("svg")) for p in pictures.pictures(read, ["board", "null_run"])]
    assert drawn
    return page.html(results, drawn)


def counters_put(value: dict[str, Any]) -> dict[str, Any]:
    """A record with counters that were asked for: one has a count, the other a reason why there is none."""
    for arm in value["arms"]:
        if arm["status"] == "ok":
            arm["counts"]["cycles"] = 512
            told = {"name": "cycles", "event": HOSTILE, "user_only": False, "share": 1.0, "pass": 0, "reason": None}
            arm["events"] = [told, {**told, "name": "of-a-stranger", "share": None, "pass": None, "reason": HOSTILE}]
    return value


@pytest.mark.filterwarnings("ignore:Glyph .* missing from current font")
def test_hostile_texts_do_nothing(tmp_path: Path) -> None:
    text = hostile_page(tmp_path / "r")
    found = Document(text)
    tags = [tag for tag, _, _ in found.elements]
    assert tags.count("script") == 1 and "img" not in tags
    assert not [key for _, attributes, _ in found.elements for key in attributes if key.startswith("on")]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert text.count("&lt;img src=x") >= 20
