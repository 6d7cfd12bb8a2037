# SPDX-License-Identifier: MIT
"""Claims against runs whose truth is known: every way to SUPPORTED, REFUTED and INCONCLUSIVE, and what says them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_run
from fake_run import FakeArm
from faultline import canvas, claim_plan, claim_table, claim_words, claims, markdown, page, pictures, plots, records, report, tables
from faultline import verdict, verdicts
from faultline.claim_plan import INCONCLUSIVE, REFUTED, SUPPORTED
from faultline.claims import Decision
from faultline.stats import Interval
from faultline.verdict import Results

ARMS = [FakeArm("pread", 1.0, "pread"), FakeArm("half", 0.5), FakeArm("near", 0.8), FakeArm("double", 2.0, faults=1)]


def factor(kind: str, arm: str, than: str, threshold: float = 1.25, rule: str = "at_least", **more: Any) -> dict[str, Any]:
    return {"quantity": {kind: arm, "than": than, **more}, "rule": rule, "threshold": threshold}


def counted(of: str, threshold: float, rule: str = "at_least", **more: Any) -> dict[str, Any]:
    return {"quantity": {"count": "minor_faults", "of": of, **more}, "rule": rule, "threshold": threshold}


def claim(test: dict[str, Any], **more: Any) -> dict[str, Any]:
    said = {"id": "it-is-so", "statement": "It is so.", "heard": "everywhere"}
    controls = {
        "positive_control": factor("slower", "double", "pread"),
        "negative_control": factor("slower", "null", "pread"),
    }
    return {**said, **controls, **test, **more}


def results(directory: Path, *found: dict[str, Any], **changes: Any) -> Results:
    few = {"common": {"latency_ops": 20}, "trials": 10}  # nothing here is about latencies
    cells = fake_run.product(block_bytes=[64, 4096])
    scenario = fake_run.read_or_map(**{**few, "arms": ARMS, "cells": cells, "claim": list(found), **changes})
    return verdict.conclude(records.run_load(fake_run.write(directory, [scenario])))


def one(directory: Path, found: dict[str, Any], **changes: Any) -> Decision:
    """The decision in the first cell; the second is the same."""
    decided = claims.decisions(results(directory, found, **changes))
    assert len(decided) == 2 and decided[0].answer == decided[1].answer
    return decided[0]


@pytest.mark.parametrize(
    "test, answer",
    [
        (factor("faster", "half", "pread"), SUPPORTED),
        (factor("faster", "half", "double", 3.9), SUPPORTED),
        (factor("faster", "half", "double", 4.1), REFUTED),
        (factor("faster", "double", "half"), REFUTED),
        (factor("slower", "double", "half", 3.9), SUPPORTED),
        (factor("slower", "half", "pread", 1.0), REFUTED),
        (factor("slower", "double", "pread", 1.25, "at_most"), REFUTED),
        (factor("slower", "half", "pread", 1.25, "at_most"), SUPPORTED),
        (factor("faster", "near", "pread", 1.25), INCONCLUSIVE),
        (counted("double", 1), SUPPORTED),
        (counted("double", 1, "at_most"), SUPPORTED),
        (counted("double", 1.5), REFUTED),
        (counted("pread", 0, "at_most"), SUPPORTED),
        (counted("double", 0, "at_most"), REFUTED),
        (counted("double", 1, beyond="pread"), SUPPORTED),
        (counted("double", 0.1, "at_least", beyond="null"), SUPPORTED),
        (counted("pread", 0.1, "at_least", beyond="double"), REFUTED),
    ],
)
def test_known_truth_is_told(tmp_path: Path, test: dict[str, Any], answer: str) -> None:
    found = one(tmp_path / "r", claim(test))
    assert found.answer == answer and (found.why is None) == (answer != INCONCLUSIVE)
    assert found.evidence is not None and found.evidence.trials == 10 and found.evidence.value is not None


def test_the_factor_and_its_interval_are_those_of_the_arms(tmp_path: Path) -> None:
    whole = results(tmp_path / "r", claim(factor("faster", "half", "double")))
    found = claims.decisions(whole)[0].evidence
    assert found is not None and found.value is not None
    assert found.value.estimate == pytest.approx(4, rel=0.01)
    logs = []
    for trial in whole.cells[0].trials:
        arms = {arm.name: arm for arm in trial.arms}
        first = arms["double"].order < arms["half"].order
        rounds = np.log(arms["double"].batch_ns / arms["half"].batch_ns)
        logs.append((np.median(rounds[first]) + np.median(rounds[~first])) / 2)
    assert found.value == claims.stats.hodges_lehmann(logs).exp()
    assert found.value.low is not None and 3.9 < found.value.low < found.value.estimate


def test_a_baseline_that_is_missing_takes_no_other_claim_along(tmp_path: Path) -> None:
    arms = [FakeArm("pread", 1.0, "pread", status="unsupported", reason="none here"), *ARMS[1:]]
    beside = {"positive_control": factor("slower", "double", "near"), "negative_control": factor("slower", "near", "double")}
    found = one(tmp_path / "r", claim(factor("faster", "half", "double"), **beside), arms=arms)
    assert found.answer == SUPPORTED
    without = one(tmp_path / "s", claim(factor("faster", "half", "pread"), **beside), arms=arms)
    assert without.answer == INCONCLUSIVE and "none here" in str(without.why)


def test_cells_of_unequal_length_are_compared_over_the_shorter(tmp_path: Path) -> None:
    sides = {"at": {"block_bytes": 4096}, "than_at": {"block_bytes": 64}}
    told = claim(factor("slower", "pread", "pread", 2, **sides))
    scenario = fake_run.read_or_map(
        arms=ARMS, cells=fake_run.product(block_bytes=[64, 4096]), trials=12, claim=[told], base_ns=slow_at_4096
    )
    fake_run.write(tmp_path / "r", [scenario])
    file = tmp_path / "r/trials.jsonl"
    kept = [line for line in file.read_text().splitlines() if not long_cell_only(json.loads(line))]
    file.write_text("\n".join(kept) + "\n")
    found = claims.decisions(verdict.conclude(records.run_load(tmp_path / "r")))[0]
    assert found.answer == SUPPORTED and found.evidence is not None and found.evidence.trials == 8


def long_cell_only(record: dict[str, Any]) -> bool:
    return record["trial"] >= 8 and record["params"]["block_bytes"] == 64


def test_a_single_cell_of_a_scenario_has_its_own_expectation(tmp_path: Path) -> None:
    expected = [{"verdict": REFUTED, "where": {"block_bytes": 64}}, {"verdict": SUPPORTED}]
    told = claim(factor("faster", "half", "pread"), expected=expected)
    found = claims.decisions(results(tmp_path / "r", told, cells=[{"block_bytes": 64}]))
    assert [(one.expected, one.held) for one in found] == [(REFUTED, {})]


@pytest.mark.parametrize(
    "value, rule, answer",
    [
        ((2.0, 1.25, 3.0), "at_least", SUPPORTED),
        ((1.2, 1.1, 1.2499), "at_least", REFUTED),
        ((1.2, 1.1, 1.25), "at_least", INCONCLUSIVE),
        ((1.2, 1.1, 1.25), "at_most", SUPPORTED),
        ((1.3, 1.2501, 1.4), "at_most", REFUTED),
        ((1.3, 1.25, 1.4), "at_most", INCONCLUSIVE),
    ],
)
def test_the_threshold_itself_counts_as_claimed(value: tuple[float, float, float], rule: str, answer: str) -> None:
    assert claims.answer_of(Interval(*value), rule, 1.25) == answer


def test_a_control_that_fails_leaves_the_claim_open(tmp_path: Path) -> None:
    right = claim(factor("faster", "half", "pread"))
    for key, wrong, said in (
        ("positive_control", factor("slower", "half", "pread"), "the positive control came out the other way"),
        ("negative_control", factor("slower", "double", "pread"), "the negative control came out the other way"),
        ("positive_control", factor("faster", "near", "pread"), "the positive control did not come out: the threshold"),
    ):
        found = one(tmp_path / f"{key}-{said[-3:]}", {**right, key: wrong})
        assert found.answer == INCONCLUSIVE and str(found.why).startswith(said)
        assert found.evidence is not None and found.evidence.answer == SUPPORTED


def test_a_control_that_fails_is_named_beside_what_else_is_wrong(tmp_path: Path) -> None:
    near = claim(factor("faster", "near", "pread"), negative_control=factor("slower", "double", "pread"))
    found = one(tmp_path / "r", near)
    assert found.answer == INCONCLUSIVE
    assert found.why == "the threshold lies within the interval; the negative control came out the other way"
    alike = one(tmp_path / "s", claim(factor("faster", "half", "pread")), trials=5)
    assert alike.why == "5 trials, too few for an interval", "one reason, told once"


def test_too_few_trials_are_no_verdict(tmp_path: Path) -> None:
    found = one(tmp_path / "five", claim(factor("faster", "half", "pread")), trials=5)
    assert found.answer == INCONCLUSIVE and "5 trials, too few for an interval" in str(found.why)
    two = one(tmp_path / "two", claim(counted("double", 1)), trials=2)
    assert two.answer == INCONCLUSIVE and "2 trials, 3 are needed for a count" in str(two.why)


def test_what_has_no_figure_is_named(tmp_path: Path) -> None:
    arms = [*ARMS, FakeArm("gone", 0.5, status="unsupported", reason="this kernel has none")]
    found = one(tmp_path / "r", claim(factor("faster", "gone", "pread")), arms=arms)
    assert found.answer == INCONCLUSIVE and "this kernel has none" in str(found.why) and found.evidence is not None
    absent = one(tmp_path / "s", claim(factor("faster", "other", "pread")))
    assert absent.answer == INCONCLUSIVE and absent.why == "other is not in this run"
    unknown = one(tmp_path / "t", claim({**counted("pread", 1), "quantity": {"count": "occurred", "of": "pread"}}))
    assert unknown.answer == INCONCLUSIVE and unknown.why == "occurred of pread is unknown"


def test_an_invalid_cell_decides_nothing(tmp_path: Path) -> None:
    biased = one(tmp_path / "r", claim(factor("faster", "half", "pread")), null_bias=0.1)
    assert biased.answer == INCONCLUSIVE and "two identical arms differ" in str(biased.why)
    exact = claim(counted("double", 1), positive_control=counted("double", 1), negative_control=counted("pread", 1))
    assert one(tmp_path / "s", exact, null_bias=0.1).answer == SUPPORTED, "counts do not depend on identical times"


def test_two_conditions_are_compared_trial_by_trial(tmp_path: Path) -> None:
    size, quick = {"at": {"block_bytes": 4096}, "than_at": {"block_bytes": 64}}, {"base_ns": slow_at_4096}
    found = claims.decisions(results(tmp_path / "r", claim(factor("slower", "pread", "pread", 2, **size)), **quick))
    assert len(found) == 1 and found[0].held == {} and found[0].answer == SUPPORTED
    value = found[0].evidence.value  # type: ignore[union-attr]
    assert value is not None and value.estimate == pytest.approx(3, rel=0.1)
    row = claim_words.rows(results(tmp_path / "s", claim(factor("slower", "pread", "pread", 2, **size)), **quick))[0]
    assert "pread (block_bytes=4KiB) takes" in row.evidence and "the time of pread (block_bytes=64)" in row.evidence


def slow_at_4096(params: dict[str, Any]) -> float:
    return 1800.0 if params["block_bytes"] == 4096 else 600.0


def test_a_claim_that_depends_on_the_condition_says_so(tmp_path: Path) -> None:
    arms = [*ARMS, FakeArm("some", lambda params: 0.5 if params["block_bytes"] == 64 else 2.0)]
    found = results(tmp_path / "r", claim(factor("faster", "some", "pread")), arms=arms)
    rows = claim_words.rows(found)
    assert [(row.answer, row.where) for row in rows] == [
        (SUPPORTED, "block_bytes=64"),
        (REFUTED, "block_bytes=4KiB"),
    ]
    alike = claim_words.rows(results(tmp_path / "s", claim(factor("faster", "half", "pread"))))
    assert [(row.answer, row.where) for row in alike] == [(SUPPORTED, "")] and "so in 2 conditions" in alike[0].evidence


@pytest.mark.parametrize(
    "expected, wanted",
    [
        ([{"verdict": REFUTED}], REFUTED),
        ([{"verdict": REFUTED, "where": {"block_bytes": 64}}, {"verdict": SUPPORTED}], REFUTED),
        ([{"verdict": REFUTED, "where": {"block_bytes": 4096}}, {"verdict": SUPPORTED}], SUPPORTED),
        ([{"verdict": REFUTED, "cpu": "other"}, {"verdict": SUPPORTED, "cpu": "example"}], SUPPORTED),
        ([{"verdict": REFUTED, "kernel_from": "6.1"}], REFUTED),
        ([{"verdict": REFUTED, "kernel_from": "6.10"}], None),
        ([], None),
    ],
)
def test_expectations_go_by_condition_and_machine(tmp_path: Path, expected: list[Any], wanted: str | None) -> None:
    found = claims.decisions(results(tmp_path / "r", claim(factor("faster", "half", "pread"), expected=expected)))[0]
    assert found.expected == wanted and found.surprising == (wanted == REFUTED)
    (row,) = claim_words.rows(results(tmp_path / "s", claim(factor("faster", "half", "pread"), expected=expected)))
    refuted = next((one for one in expected if one["verdict"] == REFUTED), {})
    only = {64: "block_bytes=64", 4096: "block_bytes=4KiB"}.get(refuted.get("where", {}).get("block_bytes"))
    told = f"REFUTED was expected {f'with {only}' if only else 'here'}" if wanted == REFUTED or only else None
    assert row.surprise == told


def test_every_output_has_the_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = claim(factor("faster", "half", "pread"), expected=[{"verdict": REFUTED}], statement="A <b> | it is so.")
    found = results(tmp_path / "r", told, claim(counted("double", 1.5), id="other"))
    assert report.main([str(tmp_path / "r"), "--no-plots"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"SUPPORTED +it-is-so\n +A <b> \| it is so\.\n +→ half is 2\.0\d?× \[", printed)
    assert "REFUTED was expected here" in printed and "Claims: 1 SUPPORTED · 1 REFUTED · 0 INCONCLUSIVE" in printed
    summary = json.loads((tmp_path / "r/summary.json").read_text())["claims"]
    assert [(one["id"], one["verdict"]) for one in summary] == [("it-is-so", SUPPORTED), ("other", REFUTED)]
    assert summary[0]["evidence"].startswith("half is 2") and len(summary[0]["conditions"]) == 2
    assert summary[1]["conditions"][0]["test"]["value"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r/claims.csv").read_text())))
    assert [row["answer"] for row in rows] == [SUPPORTED, SUPPORTED, REFUTED, REFUTED]
    assert [row["claim"] for row in tables.table_of(tables.texts(found)).claims] == [row["claim"] for row in rows]
    text = markdown.markdown(found)
    assert "| SUPPORTED | `it-is-so`<br>A &lt;b&gt; \\| it is so. | half is 2" in text
    html = page.html(found, [])
    assert "A &lt;b&gt; | it is so." in html and 'class="verdict v-REFUTED"' in html


def test_a_run_without_claims_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(tmp_path / "r", claim=None)
    assert list(claim_table.lines(found, claim_table.Look())) == [] and "Claims" not in markdown.markdown(found)
    assert verdicts.main([str(tmp_path / "r")]) == 7
    assert "no scenario of this run has a claim" in capsys.readouterr().err


def test_the_command_prints_the_verdicts_and_insists_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = results(
        tmp_path / "r", claim(factor("faster", "near", "pread")), claim(factor("faster", "half", "pread"), id="b")
    )
    assert verdicts.main([str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    assert "INCONCLUSIVE  it-is-so" in printed and "→ the threshold lies within the interval" in printed
    assert verdicts.main(["--strict", str(tmp_path / "r")]) == 3
    decided = [one for one in claims.decisions(made) if one.answer == SUPPORTED]
    nothing = dataclasses.replace(decided[0], answer=INCONCLUSIVE, evidence=None)
    assert [verdicts.undecided(found) for found in (decided, [*decided, nothing], [nothing])] == [False, False, True]
    for words in ([], [str(tmp_path / "r"), "--run"]):
        with pytest.raises(SystemExit) as ended:
            verdicts.main(words)
        assert ended.value.code == 2


@pytest.mark.parametrize(
    "handed, rest",
    [
        ([], ["claims", "--profile", "quick"]),
        (["--out", "x"], ["claims", "--profile", "quick", "--out", "x"]),
        (["claims/one", "--seed", "3"], ["--profile", "quick", "claims/one", "--seed", "3"]),
        (["--quiet", "claims/one"], ["--profile", "quick", "--quiet", "claims/one"]),
        (["--profile=standard"], ["claims", "--profile=standard"]),
        (["--resume", "x"], ["--resume", "x"]),
    ],
)
def test_what_is_handed_to_the_run(monkeypatch: pytest.MonkeyPatch, handed: list[str], rest: list[str]) -> None:
    monkeypatch.setenv("FAULTLINE_PROGRAM", "/there/faultline")
    assert verdicts.run_words(handed) == ["/there/faultline", "run", *rest]


@pytest.mark.parametrize(
    "damage",
    [
        {"quantity": {}},
        {"quantity": {"faster": "half"}},
        {"rule": "about"},
        {"threshold": None},
        {"threshold": 0},
        {"threshold": "2"},
        {"statement": 3},
        {"positive_control": None},
        {"expected": [3]},
        {"expected": [{"verdict": "TRUE"}]},
    ],
)
def test_a_claim_that_is_none_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    with pytest.raises(records.RecordsError, match="claim"):
        results(tmp_path / "r", {**claim(factor("faster", "half", "pread")), **damage})


def test_a_scenario_that_could_not_be_planned_is_named(tmp_path: Path) -> None:
    found = results(tmp_path / "r", claim(factor("faster", "half", "pread")))
    manifest = json.loads((tmp_path / "r/manifest.json").read_text())
    other = {**manifest["plan"]["scenarios"][0], "name": "claims/other"}
    manifest["plan"]["scenarios"].append(other)
    manifest["plan"]["refused"] = [{"scenario": "claims/other", "cell": "all", "reason": "needs two nodes"}]
    (tmp_path / "r/manifest.json").write_text(json.dumps(manifest))
    found = verdict.conclude(records.run_load(tmp_path / "r"))
    last = claim_words.rows(found)[-1]
    assert last.answer == INCONCLUSIVE and last.unsure == "nothing of claims/other could be measured here: needs two nodes"


def left_out(directory: Path, told: dict[str, Any], *cells: str) -> Results:
    """A run whose plan has left these cells out."""
    results(directory, told)
    manifest = json.loads((directory / "manifest.json").read_text())
    name = manifest["plan"]["scenarios"][0]["name"]
    manifest["plan"]["refused"] = [{"scenario": name, "cell": cell, "reason": "needs a mount"} for cell in cells]
    manifest["plan"]["refused"].append({"scenario": "other", "cell": "block_bytes=1", "reason": "needs a mount"})
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return verdict.conclude(records.run_load(directory))


def test_conditions_that_could_not_be_planned_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = claim(factor("faster", "half", "pread"))
    found = left_out(tmp_path / "r", plain, "backing=ext4,block_bytes=64", "backing=ext4,block_bytes=4KiB")
    (row,) = claim_words.rows(found)
    said = "2 conditions were not measured: backing=ext4, block_bytes=64; backing=ext4, block_bytes=4KiB"
    assert (row.answer, row.where, row.missing) == (SUPPORTED, "", said)
    assert report.main([str(tmp_path / "r"), "--no-plots"]) == 0
    assert "2 conditions were not measured" in capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "r/summary.json").read_text())["claims"]
    assert entry["unmeasured"] == ["backing=ext4, block_bytes=64", "backing=ext4, block_bytes=4KiB"]
    assert said in markdown.markdown(found).replace("\\", "") and said in page.html(found, [])


def test_what_the_claim_itself_compares_is_no_condition(tmp_path: Path) -> None:
    sizes = claim(factor("slower", "pread", "pread", 1, at={"block_bytes": 4096}, than_at={"block_bytes": 64}))
    (row,) = claim_words.rows(left_out(tmp_path / "r", sizes, "block_bytes=1MiB"))
    assert row.missing is None
    both = ("backing=xfs,block_bytes=64", "backing=xfs,block_bytes=4KiB")
    (row,) = claim_words.rows(left_out(tmp_path / "s", sizes, *both))
    assert row.missing == "1 condition was not measured: backing=xfs"


def test_the_board_turns_every_rule_the_same_way(tmp_path: Path) -> None:
    board = plots.load("verdict_board")
    rows = {
        "more": dict(rule="at_least", threshold=2.0),
        "less": dict(rule="at_most", threshold=2.0),
        "none": dict(rule="at_most", threshold=0.0),
    }
    assert [board.multiple(rows["more"], value) for value in (4.0, 1.0, 0.0, 1e9)] == [2, 0.5, *board.SCALE]
    assert [board.multiple(rows["less"], value) for value in (4.0, 1.0)] == [0.5, 2]
    assert [board.multiple(rows["none"], value) for value in (0.0, 1.0)] == [board.SCALE[1], board.SCALE[0]]


def test_the_board_is_drawn_and_names_every_claim(tmp_path: Path) -> None:
    found = results(tmp_path / "r", claim(factor("faster", "half", "pread")), claim(counted("double", 0), id="zero"))
    table = tables.table_of(tables.texts(found))
    svg = canvas.render(table, plots.load("verdict_board"), "svg").decode()
    assert svg.count(">SUPPORTED</text>") == 3  # the legend, and a line a claim
    assert "claimed ≥ 1.25×" in svg and "zero" in svg
    assert "conditions" not in svg
    assert not plots.load("verdict_board").applies(tables.table_of(tables.texts(results(tmp_path / "s", claim=None))))
    html = page.html(found, [(p, p.render("svg")) for p in pictures.pictures(table, ["verdict_board"])])
    assert html.index("What people say, on this machine: what was measured") < html.index("All ratios")


def test_the_board_has_a_line_a_claim_and_verdict_in_as_many_columns_as_it_takes(tmp_path: Path) -> None:
    board = plots.load("verdict_board")
    arms = [*ARMS, FakeArm("some", lambda params: 0.5 if params["block_bytes"] == 64 else 2.0)]
    split = claim(factor("faster", "some", "pread"), id="split")
    alike = [claim(factor("faster", "half", "pread"), id=f"alike-{i}") for i in range(46)]
    table = tables.table_of(tables.texts(results(tmp_path / "r", split, *alike, arms=arms)))
    lines = board.lines_of(table)
    assert len(lines) == 48 and [len(part) for part in board.columns(lines)] == [24, 24]
    assert [board.label(rows, lines) for rows in lines[:3]] == ["split  block_bytes=64", "split  block_bytes=4KiB", "alike-0"]
    assert len(board.columns(lines[:46])) == 1 and len(board.layout(table).widths) == 2


@pytest.mark.parametrize(
    "threshold, rule, bias, answer",
    [
        (1.9, "at_least", 0.0, SUPPORTED),
        (1.9, "at_least", 0.09, INCONCLUSIVE),
        (1.9, "at_least", -0.09, INCONCLUSIVE),
        (1.25, "at_least", 0.09, SUPPORTED),
        (2.1, "at_least", 0.09, INCONCLUSIVE),
        (3.0, "at_least", 0.09, REFUTED),
        (2.1, "at_most", 0.09, INCONCLUSIVE),
        (3.0, "at_most", -0.09, SUPPORTED),
        (1.9, "at_most", 0.09, INCONCLUSIVE),
        (1.25, "at_most", -0.09, REFUTED),
    ],
)
def test_a_bias_of_identical_arms_is_held_against_a_factor(
    tmp_path: Path, threshold: float, rule: str, bias: float, answer: str
) -> None:
    """Within δ, so that the cell counts; only where it could carry the factor of 2 over the threshold does it matter."""
    found = one(tmp_path / "r", claim(factor("faster", "half", "pread", threshold, rule)), null_bias=bias, delta=0.2)
    assert found.answer == answer, found.why
    assert found.evidence is not None and found.evidence.value is not None
    assert found.evidence.value.estimate == pytest.approx(2, rel=0.01), "the figure is what was measured"
    if answer == INCONCLUSIVE:
        told = rf"two identical arms differ by up to 9\.\d+ % here, which could carry the factor over {threshold}×: "
        assert re.match(told + r"\[1\.[78]\d*, 2\.[12]\d*\]$", str(found.why)), found.why


@pytest.mark.parametrize(
    "null, low, high",
    [
        (None, 1.9, 2.2),
        ((0.0, 0.0, 0.0), 1.9, 2.2),
        ((0.1, 0.1, 0.1), 1.9 / math.exp(0.1), 2.2 * math.exp(0.1)),
        ((-0.1, -0.1, -0.1), 1.9 / math.exp(0.1), 2.2 * math.exp(0.1)),
        ((0.0, -0.3, 0.4), 2 / math.exp(math.hypot(math.log(2 / 1.9), 0.35)), 2 * math.exp(math.hypot(math.log(1.1), 0.35))),
    ],
)
def test_bias_and_noise_of_identical_arms_widen_an_interval(
    null: tuple[float, float, float] | None, low: float, high: float
) -> None:
    wide = claims.biased(claims.Found(Interval(2, 1.9, 2.2), 10, Interval(*null) if null else None))
    assert (wide.estimate, wide.low, wide.high) == pytest.approx((2, low, high))


@pytest.mark.parametrize("worse", [64, 4096])
def test_the_worse_of_two_cells_is_held_against_their_factor(tmp_path: Path, worse: int) -> None:
    size = {"at": {"block_bytes": 4096}, "than_at": {"block_bytes": 64}}
    bias = {"null_bias": lambda params: 0.09 if params["block_bytes"] == worse else 0.0, "delta": 0.2}
    tests = [factor("slower", "pread", "pread", threshold, **size) for threshold in (2, 2.8)]
    told = [claim(test, id=f"from-{i}") for i, test in enumerate(tests)]
    found = claims.decisions(results(tmp_path / "r", *told, base_ns=slow_at_4096, **bias))
    assert [one.answer for one in found] == [SUPPORTED, INCONCLUSIVE]
    clean = claims.decisions(results(tmp_path / "s", *told, base_ns=slow_at_4096))
    assert [one.answer for one in clean] == [SUPPORTED, SUPPORTED]


def test_a_control_is_held_to_the_same(tmp_path: Path) -> None:
    near = claim(factor("faster", "half", "pread"), positive_control=factor("slower", "double", "pread", 1.9))
    assert one(tmp_path / "r", near).answer == SUPPORTED
    found = one(tmp_path / "s", near, null_bias=0.09, delta=0.2)
    assert found.answer == INCONCLUSIVE and "the positive control did not come out: two identical arms" in str(found.why)


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ({"filesystem.type": "ext4"}, SUPPORTED),
        ({"filesystem.type": "xfs"}, None),
        ({"overcommit_memory": "0"}, SUPPORTED),
        ({"overcommit_memory": "1"}, None),
        ({"filesystem.type": "ext4", "overcommit_memory": "2"}, None),
        ({"filesystem.nothing": "ext4"}, None),
        ({"filesystem": "ext4"}, None),
    ],
)
def test_an_expectation_may_go_by_the_machines_description(wanted: dict[str, str], expected: str | None) -> None:
    machine = {"blocking": {"filesystem": {"type": "ext4"}}, "informational": {"overcommit_memory": 0}}
    said = [{"verdict": SUPPORTED, "machine": wanted}]
    told = claim_plan.claim_read(claim(factor("faster", "half", "pread"), expected=said))
    assert (SUPPORTED if claims.applies(told.expected[0], {}, machine) else None) == expected
