# SPDX-License-Identifier: MIT
"""Pairs of CPUs: what is planted in fake machines is found, and what is not there is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_run
import fake_topology
from fake_topology import FakePairs
from faultline import markdown, page, pair_words, records, summary, tables, topology, verdict
from faultline.pairs import ArmPairs, Values, estimate
from faultline.verdict import Results


def results(directory: Path, pairs: FakePairs, damage: Any = lambda value: value, **changes: Any) -> Results:
    scenario = fake_run.ping_pong(pairs, **changes)
    return verdict.conclude(
        records.run_load(fake_run.write(directory, [scenario], damage=damage, topology=pairs.topology))
    )


def arm_of(found: Results, name: str = "cas") -> ArmPairs:
    assert not found.run.problems
    return next(one for one in found.cells[0].pairs if one.arm == name)


def slow(found: ArmPairs) -> set[tuple[str, int, bool]]:
    return {(one.level, one.index, one.within) for one in found.slow}


def test_classes_are_what_was_planted(tmp_path: Path) -> None:
    found = arm_of(results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True)))
    assert [one.name for one in found.classes] == ["core", "l3", "package", "machine"]
    assert [len(one.pairs) for one in found.classes] == [8, 16, 32, 64]
    for one in found.classes:
        truth = fake_topology.COSTS[one.name]
        low, high = one.found.ns.low, one.found.ns.high
        assert low is not None and high is not None and low < truth * 1.02 and high > truth / 1.02
        assert one.found.ns.estimate == pytest.approx(truth, rel=0.02)
        assert one.uniform is True and one.off == [] and len(one.found.modes) == 1
        assert one.found.interval_of == "trials" and one.quantiles["q05"] < truth < one.quantiles["q95"]
    assert found.slow == () and found.lost == () and found.voided == 0
    assert found.canary is not None and not found.canary.moves and (found.canary.a, found.canary.b) == (0, 1)


def test_both_orders_of_a_pair_are_one(tmp_path: Path) -> None:
    def swap(value: dict[str, Any]) -> dict[str, Any]:
        if value["trial"] % 2:
            for visit in value["pairs"]:
                visit["a"], visit["b"] = visit["b"], visit["a"]
        return value

    found = arm_of(results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True), swap))
    assert sum(len(one.pairs) for one in found.classes) == 120
    assert {pair.values.medians.size for pair in found.pairs} == {8}


@pytest.mark.parametrize("every", (True, False))
def test_a_slow_cpu_is_named(every: bool, tmp_path: Path) -> None:
    found = arm_of(results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=every, cpus={5: 1.5})))
    assert slow(found) == {("cpu", 5, False)}
    assert found.slow[0].residual == pytest.approx(1.5, rel=0.05)
    odd = {frozenset((pair.a, pair.b)) for one in found.classes for pair in one.off}
    assert odd and all(5 in pair for pair in odd)
    assert all(one.uniform is False for one in found.classes if any(5 in (p.a, p.b) for p in one.pairs))


def test_a_slow_cpu_and_a_slow_l3_among_512(tmp_path: Path) -> None:
    machine = fake_topology.large()
    found = results(tmp_path / "r", FakePairs(machine, cpus={37: 1.4}, l3s={20: 1.5}, rounds=4), trials=2)
    assert slow(arm_of(found)) == {("l3", 20, False), ("cpu", 37, False)}
    said = " ".join(pair_words.sentences(found.cells))
    assert "L3 20 1.5" in said and "CPU 37 1.4" in said and "Not uniform" in said


def test_an_l3_that_is_slow_within_itself(tmp_path: Path) -> None:
    machine = fake_topology.made(1, 1, 4, 4, 1)
    inside = [row["os_index"] for row in machine["pus"] if row["l3"] == 2]
    planted = {(a, b): 1.6 for a in inside for b in inside if a < b}
    found = arm_of(results(tmp_path / "r", FakePairs(machine, all_pairs=True, pairs=planted)))
    assert slow(found) == {("l3", 2, True)}


def test_one_odd_pair_condemns_no_cpu(tmp_path: Path) -> None:
    found = arm_of(results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True, pairs={(2, 9): 1.5})))
    assert found.slow == ()
    assert [(pair.a, pair.b) for one in found.classes for pair in one.off] == [(2, 9)]


def test_noise_leaves_uniformity_open(tmp_path: Path) -> None:
    found = arm_of(
        results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True), trials=2, round_noise=0.4, wander=0.1)
    )
    assert found.slow == () and all(one.uniform is not True for one in found.classes)


def test_modes_within_pairs_are_told_from_pairs_that_differ(tmp_path: Path) -> None:
    planted = FakePairs(fake_topology.guest(), all_pairs=True, modes={"machine": (115 / 35, 0.4)}, cpus={5: 1.5})
    run = results(tmp_path / "r", planted, trials=12)
    found = arm_of(run)
    by_name = {one.name: one for one in found.classes}
    assert by_name["machine"].modes_within >= 60 and by_name["l3"].modes_within == 0
    first, *_ = by_name["machine"].found.modes
    assert first.ns == pytest.approx(230, rel=0.05) and slow(found) == {("cpu", 5, False)}
    said = pair_words.sentences(run.cells)
    assert any("Several modes: cas" in one and "class machine" in one for one in said)
    assert not any("Several modes" in one and "class l3" in one for one in said)


def test_a_canary_that_moves(tmp_path: Path) -> None:
    run = results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True, canary_drift=3.0))
    canary = arm_of(run).canary
    assert canary is not None and canary.moves and canary.span == pytest.approx(3.0, rel=0.1)
    times = [visit.t_s for visit in canary.visits]
    assert times == sorted(times) and len(times) == 8 * 11
    assert any(one.startswith("The machine moved: cas") for one in pair_words.sentences(run.cells))


def test_voided_rounds_are_left_out(tmp_path: Path) -> None:
    def void(value: dict[str, Any]) -> dict[str, Any]:
        first = value["pairs"][1]
        start = value["pairs"][0]["rounds"]
        for arm in value["arms"]:
            arm["batch_ns"][start : start + first["rounds"]] = [None] * first["rounds"]
        return value

    pairs = FakePairs(fake_topology.guest(), all_pairs=True)
    found = arm_of(results(tmp_path / "r", pairs, void, void=0.1, trials=1))
    assert len(found.lost) == 1 and found.voided > 8
    assert sum(len(one.pairs) for one in found.classes) == 119
    assert {one.found.interval_of for one in found.classes[0].pairs} <= {"rounds", None}


def test_fixed_places_have_one_visit_a_trial(tmp_path: Path) -> None:
    pairs = FakePairs(fake_topology.guest())
    run = results(tmp_path / "r", pairs, cells=[{"place": p} for p in ("same-core", "same-l3", "other-package")])
    assert [[one.name for one in cell.pairs[0].classes] for cell in run.cells] == [["core"], ["l3"], ["machine"]]
    assert all(len(cell.pairs[0].classes[0].pairs) == 3 and cell.pairs[0].canary is None for cell in run.cells)
    said = pair_words.ladder_sentences(run.cells)
    assert len(said) == 2 and said[0].startswith("cas by what two CPUs share: core ")


def test_two_cpus_have_one_pair(tmp_path: Path) -> None:
    run = results(tmp_path / "r", FakePairs(fake_topology.two_cpus()))
    (one,) = arm_of(run).classes
    assert len(one.pairs) == 1 and one.uniform is None and pair_words.sentences(run.cells) == []
    assert "one pair" in markdown.markdown(run) and "one pair" in page.html(run, [])


@pytest.mark.parametrize("value", (None, "absent"))
def test_records_without_pairs(value: str | None, tmp_path: Path) -> None:
    def older(record: dict[str, Any]) -> dict[str, Any]:
        record["pairs"] = None
        return record if value is None else {k: v for k, v in record.items() if k != "pairs"}

    run = results(tmp_path / "r", FakePairs(fake_topology.guest()), older)
    assert not run.run.problems and run.cells[0].pairs == [] and pair_words.rows(run.cells) == []
    contents = tables.texts(run)
    assert [contents[name].count("\n") for name in ("pairs.csv", "ladder.csv", "canary.csv")] == [1, 1, 1]
    assert summary.summary(run)["pairs"] == [] and "Pairs of CPUs" not in markdown.markdown(run) + page.html(run, [])


@pytest.mark.parametrize("machine", ({}, {"topology": None}, {"topology": {"pus": None, "classes": [3]}}))
def test_without_a_topology_pairs_are_still_told(machine: dict[str, Any], tmp_path: Path) -> None:
    directory = tmp_path / "r"
    results(directory, FakePairs(fake_topology.guest(), all_pairs=True, cpus={5: 1.5}))
    told = json.loads((directory / "machine.json").read_text())
    del told["topology"]
    (directory / "machine.json").write_text(json.dumps({**told, **machine}))
    run = verdict.conclude(records.run_load(directory))
    found = arm_of(run)
    assert slow(found) == {("cpu", 5, False)} and {one.name for one in found.classes} == set(
        ("core", "l3", "machine", "package")
    )
    assert tables.table_of(tables.texts(run)).cpus == ()


def test_a_class_without_a_name(tmp_path: Path) -> None:
    def nameless(value: dict[str, Any]) -> dict[str, Any]:
        for visit in value["pairs"]:
            visit["class"] = None
        return value

    found = arm_of(results(tmp_path / "r", FakePairs(fake_topology.two_cpus()), nameless))
    assert [one.name for one in found.classes] == ["unknown class"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    (
        ({"rounds": 7}, "do not add up"),
        ({"a": -1}, "negative"),
        ({"b": 0}, "one CPU twice"),
        ({"class": 4}, "class"),
        ({"canary": None}, "canary"),
        ({"t_ns": "now"}, "t_ns"),
    ),
)
def test_wrong_pairs_are_errors_of_their_line(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> dict[str, Any]:
        if value["trial"] == 1:
            value["pairs"][0].update(change)
        return value

    run = results(tmp_path / "r", FakePairs(fake_topology.two_cpus()), damage)
    (problem,) = run.run.problems
    assert problem.severity == "error" and problem.where == "trials.jsonl:2" and complaint in problem.text


def test_intervals_say_what_they_are_of() -> None:
    many, few, one = (np.linspace(9, 11, n) for n in (8, 3, 1))
    rounds = np.linspace(9, 11, 40)
    assert estimate(Values(rounds, many, np.arange(many.size))).interval_of == "trials"
    found = estimate(Values(rounds, few, np.arange(few.size)))
    assert found.interval_of == "range" and (found.ns.low, found.ns.high) == (9, 11)
    assert estimate(Values(rounds, one, np.arange(1))).interval_of == "rounds"
    assert estimate(Values(one, one, np.arange(1))).interval_of is None and estimate(Values(one, one, np.arange(1))).ns.low is None


def test_tables_hold_what_summary_json_says(tmp_path: Path) -> None:
    run = results(tmp_path / "r", FakePairs(fake_topology.guest(), all_pairs=True, cpus={5: 1.5}))
    table = tables.table_of(tables.texts(run))
    objects = {(one["arm"], c["name"]): c for one in summary.summary(run)["pairs"] for c in one["classes"]}
    for row in table.pairs:
        if row["scope"] == "class":
            told = objects[(row["arm"], row["class"])]
            assert row["ns_per_op"] == told["ns_per_op"]["estimate"] and row["pairs"] == told["pairs"]
            assert (row["uniform"] == 1) == (told["uniform"] is True)
            mine = [r for r in table.pairs if (r["arm"], r["class"], r["scope"]) == (row["arm"], row["class"], "pair")]
            assert len(mine) == told["pairs"] and sum(r["off"] == 1 for r in mine) == len(told["off"])
            binned = [r for r in table.ladder if (r["arm"], r["class"]) == (row["arm"], row["class"])]
            assert sum(r["samples"] for r in binned) == row["samples"] == told["samples"]
            assert binned[0]["ns_low"] <= row["least"] and row["most"] <= binned[-1]["ns_high"]
    cpus = [r for r in table.pairs if r["scope"] == "cpu" and r["arm"] == "cas"]
    assert len(cpus) == 16 and {r["pairs"] for r in cpus} == {15}
    assert max(cpus, key=lambda r: r["residual"])["a"] == 5


def test_blocks_of_a_large_machine(tmp_path: Path) -> None:
    run = results(tmp_path / "r", FakePairs(fake_topology.large(), l3s={20: 1.5}, rounds=4), trials=1)
    table = tables.table_of(tables.texts(run))
    blocks = [row for row in table.pairs if row["scope"] == "l3" and row["arm"] == "cas"]
    assert blocks and all(0 <= row["a"] <= row["b"] < 32 for row in blocks)
    assert sum(row["pairs"] for row in blocks) == sum(r["scope"] == "pair" and r["arm"] == "cas" for r in table.pairs)
    assert all((row["residual"] > 1.3) == (20 in (row["a"], row["b"])) for row in blocks)


def test_the_order_of_the_tree() -> None:
    found = topology.pus_of({"topology": fake_topology.guest()})
    assert [pu.cpu for pu in found] == [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]
    assert topology.block_level(found, 128) is None
    assert topology.block_level(topology.pus_of({"topology": fake_topology.large()}), 128) == "l3"
    forbidden = fake_topology.guest()
    forbidden["pus"][3]["allowed"] = False
    assert len(topology.pus_of({"topology": forbidden})) == 15


def test_a_made_up_machine_says_so(tmp_path: Path) -> None:
    run = results(tmp_path / "r", FakePairs(fake_topology.large(), rounds=2, per_class=1), trials=1)
    assert "synthetic" in run.run.machine["blocking"]["cpu_model"]
    assert tables.table_of(tables.texts(run)).cpus[0]["source"].startswith("not this machine: synthetic")
