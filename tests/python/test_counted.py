# SPDX-License-Identifier: MIT
"""Counters that were asked for: counts over trials, what is marked, what has a reason, and where it is shown."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Callable

import pytest

import fake_run
from fake_run import FakeArm, FakeScenario
from faultline import counted, markdown, page, records, summary, table, tables, verdict

Change = Callable[[dict[str, Any], int], None]


def event(name: str, **changes: Any) -> dict[str, Any]:
    """A counter that was counted all the time in the first pass."""
    code = {"type": 1, "config": 2, "config1": 0}
    whole = {"name": name, "event": f"software:{name}", "user_only": False, "share": 1.0, "pass": 0, "reason": None}
    return {**whole, "code": code, **changes}


def missing(name: str, reason: str) -> dict[str, Any]:
    """One that could not be counted."""
    return event(name, share=None, **{"pass": None, "reason": reason})


def with_events(change: Change | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Every arm counts page faults as rusage does, and cycles not at all; `change` may say otherwise."""

    def damage(record: dict[str, Any]) -> dict[str, Any]:
        for arm in record["arms"]:
            arm["events"] = [event("page_faults"), missing("cycles", "there is no unit")]
            arm["counts"].update({"page_faults": arm["counts"]["minor_faults"], "cycles": None})
            if change is not None:
                change(arm, record["trial"])
        return record

    return damage


def results_of(directory: Path, change: Change | None = None, asked: bool = True) -> verdict.Results:
    """A run of one cell, three arms with the null arm, eight trials."""
    scenario = FakeScenario(arms=[FakeArm("pread", method="pread"), FakeArm("mapped", 0.5, faults=2.0)], trials=8)
    run = fake_run.write(directory / "run", [scenario], damage=with_events(change) if asked else lambda r: r)
    return verdict.conclude(records.run_load(run))


def arm_named(results: verdict.Results, name: str) -> verdict.ArmResult:
    """The arm of the only cell."""
    return next(arm for arm in results.cells[0].arms if arm.name == name)


def notes_of(results: verdict.Results) -> str:
    """All that is said of the counters."""
    return "\n".join(table.counted_notes(results.cells))


def printed(results: verdict.Results, width: int = 100) -> str:
    """The terminal table."""
    stream = io.StringIO()
    table.write(results, stream, width)
    return stream.getvalue()


def test_counts_are_per_operation_and_reasons_stay(tmp_path: Path) -> None:
    results = results_of(tmp_path)
    faults, cycles = arm_named(results, "mapped").counted
    assert (faults.name, faults.per_op, faults.share, faults.reason) == ("page_faults", 2.0, 1.0, None)
    assert (cycles.per_op, cycles.share, cycles.reason) == (None, None, "there is no unit")
    assert notes_of(results) == "cycles: not counted: there is no unit"
    arm = summary.summary(results)["cells"][0]["arms"][1]
    assert arm["counts_per_op"]["page_faults"] == 2 and "cycles" not in arm["counts_per_op"]
    assert arm["counters"]["cycles"] == {
        "event": "software:cycles", "user_only": False, "share": None, "reason": "there is no unit", "disagreements": 0,
    }


def test_nothing_is_said_where_nothing_was_asked_for(tmp_path: Path) -> None:
    results = results_of(tmp_path, asked=False)
    assert "counters" not in summary.summary(results)["cells"][0]["arms"][0]
    assert table.counted_rows(results.cells) == [] and notes_of(results) == ""
    assert "Counted" not in printed(results) + markdown.markdown(results) + page.html(results, [])


def test_it_is_shown_everywhere(tmp_path: Path) -> None:
    results = results_of(tmp_path)
    for shown in (printed(results), printed(results, 50), markdown.markdown(results), page.html(results, [])):
        assert "Counted, per operation" in shown and "not counted" in shown
    assert "mapped: page_faults 2" in printed(results)
    assert "mapped | 2 |" in markdown.markdown(results)
    rows = tables.table_of(tables.texts(results)).cells
    assert [row["page_faults_per_op"] for row in rows] == [0, 2, 0]


@pytest.mark.parametrize(("share", "marked"), [(1.0, False), (0.95, False), (0.949, True)])
def test_a_share_below_the_least_is_marked(tmp_path: Path, share: float, marked: bool) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        arm["events"][0]["share"] = share if trial == 3 else 1.0

    results = results_of(tmp_path, change)
    faults = arm_named(results, "mapped").counted[0]
    assert faults.share == share and faults.is_partial == marked
    assert ("2*" in printed(results)) == marked == ("not scaled up" in notes_of(results))
    assert faults.per_op == 2.0


def test_user_mode_is_marked(tmp_path: Path) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        arm["events"][0].update({"name": "page_faults:u", "user_only": True})
        arm["counts"]["page_faults:u"] = arm["counts"].pop("page_faults")

    results = results_of(tmp_path, change)
    assert "page_faults:u 2" in printed(results) and ":u counts user mode only" in notes_of(results)
    assert "page_faults:u_per_op" in tables.texts(results)["cells.csv"].splitlines()[0]
    assert arm_named(results, "mapped").counted[0].disagreements == 0


def test_witnesses_that_differ_are_named(tmp_path: Path) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        if arm["name"] == "mapped" and trial in (2, 5):
            arm["counts"]["page_faults"] -= 1

    results = results_of(tmp_path, change)
    assert arm_named(results, "mapped").counted[0].disagreements == 2
    assert "page_faults and rusage differ in 2 passes" in notes_of(results)


def test_another_pass_is_no_witness(tmp_path: Path) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        arm["events"][0]["pass"] = 1
        arm["counts"]["page_faults"] += 1

    assert "differ" not in notes_of(results_of(tmp_path, change))


def test_a_count_in_some_trials_is_of_those(tmp_path: Path) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        if trial < 5:
            arm["events"][0] = missing("page_faults", "no file descriptor is left")
            arm["counts"]["page_faults"] = None

    faults = arm_named(results_of(tmp_path, change), "mapped").counted[0]
    assert faults.per_op == 2.0 and faults.reason is None


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"share": "all"}, {"user_only": 1}, {"name": None}])
def test_what_is_no_counter_damages_the_record(tmp_path: Path, wrong: dict[str, Any]) -> None:
    def change(arm: dict[str, Any], trial: int) -> None:
        if trial == 0:
            arm["events"][0].update(wrong)

    results = results_of(tmp_path, change)
    assert len(results.run.trials) == 7 and len(results.run.problems) == 1


def test_hostile_names_are_made_safe(tmp_path: Path) -> None:
    hostile = "<script>|\x1b[31m"

    def change(arm: dict[str, Any], trial: int) -> None:
        arm["events"].append(event(hostile))
        arm["counts"][hostile] = 256

    results = results_of(tmp_path, change)
    assert "\x1b" not in printed(results) + markdown.markdown(results) + page.html(results, [])
    assert "<script>|" not in markdown.markdown(results) and "<script>|" not in page.html(results, [])


def test_columns_are_those_that_somebody_counted() -> None:
    one = counted.Counted("a", None, 1.0, 1.0, False, None)
    none = counted.Counted("b", None, None, None, False, "why")
    other = counted.Counted("c", None, 0.5, 0.5, False, None)
    assert counted.names([[one, none], [other]]) == ["a", "c"]
    assert counted.fields([other, one], ["a", "c"]) == ["1", "0.500*"]
    assert counted.fields([none], ["a", "c"]) == ["", ""]
