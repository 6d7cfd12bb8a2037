# SPDX-License-Identifier: MIT
"""--seed reproduces a plan and every order; another seed, or none, gives others."""

import json
import pathlib

import helper


def run(scratch: helper.Scratch, name: str, *words: str) -> pathlib.Path:
    out = scratch.path / name
    given = scratch.run_words(arm_time="24ms")
    for option in ("--seed", "--out"):
        del given[given.index(option):given.index(option) + 2]
    helper.check_status(scratch.call([*given, "--out", str(out), *words]), 0)
    return out


def by_trial(out: pathlib.Path) -> dict[tuple, dict]:
    return {(record["cell"], record["trial"]): record for record in helper.records(out)}


def orders_agree(one: dict, other: dict) -> bool:
    """Whether two records of a trial have the same orders, as far as both go."""
    pairs = [(ours["order"], theirs["order"]) for ours, theirs in zip(one["arms"], other["arms"], strict=True)]
    rounds = min(min(len(ours), len(theirs)) for ours, theirs in pairs)
    assert rounds >= 12, "too few rounds to tell"
    return all(ours[:rounds] == theirs[:rounds] for ours, theirs in pairs)


def setup_turns(record: dict) -> list[int]:
    """In which turn each arm was set up, from 1 on."""
    turns = [arm["proof"]["setup_turn"] for arm in record["arms"]]
    assert sorted(turns) == list(range(1, len(turns) + 1)), turns
    return turns


def test_same_seed(scratch: helper.Scratch) -> None:
    one, other = (by_trial(run(scratch, name, "--seed", "424242")) for name in ("one", "other"))
    assert one.keys() == other.keys()
    for key, record in one.items():
        twin = other[key]
        assert record["seed"] == twin["seed"]
        assert orders_agree(record, twin), key
        assert setup_turns(record) == setup_turns(twin), key
        assert [arm["checksum"] for arm in record["arms"]] == [arm["checksum"] for arm in twin["arms"]]


def test_order_of_trials(scratch: helper.Scratch) -> None:
    """With equal seeds the cells come in the same sequence; breadth first whatever the seed."""
    sequences = []
    for name, seed in (("one", "11"), ("two", "11"), ("three", "12")):
        found = helper.records(run(scratch, name, "--seed", seed))
        sequences.append([(record["cell"], record["trial"]) for record in found])
        trials = [trial for _, trial in sequences[-1]]
        assert trials == sorted(trials), trials
    assert sequences[0] == sequences[1]
    assert sequences[0] != sequences[2]


def test_first_rungs_come_first(scratch: helper.Scratch) -> None:
    """Where one scenario can be decided from 8 trials on and another from 10, no cell gets more before all have that."""
    names = {"few": 8, "many": 10}
    for name, kinds in (("few", 2), ("many", 13)):
        arms = "".join(f"  - {{name: arm{i}, method: \"null\"}}\n" for i in range(kinds))
        (scratch.path / f"{name}.yaml").write_text(
            "question: q\nop: o\ncommon: {backing: tmpfs, file_bytes: 64KiB, cache: as-found, arm_time: 250us, latency: none}\n"
            f"delta: 0.001%\narms:\n{arms}profiles: {{quick: {{precision: 0.001%, trials: 10}}}}\n", encoding="utf-8")
    out = scratch.path / "rungs"
    helper.check_status(scratch.call(["run", *(str(scratch.path / f"{name}.yaml") for name in names), "--profile",
                                      "quick", "--quiet", "--no-report", "--directory", str(scratch.files),
                                      "--out", str(out)]), 0)
    rungs = {scenario["name"].split("/")[-1].removesuffix(".yaml"): scenario["rungs"][0]
             for scenario in helper.manifest(out)["plan"]["scenarios"]}
    assert rungs == names, rungs
    late = [record["trial"] >= names[record["scenario"].split("/")[-1].removesuffix(".yaml")]
            for record in helper.records(out)]
    assert late.count(True) == 2 and not any(late[:-2]), late


def test_other_seed(scratch: helper.Scratch) -> None:
    one, other = (by_trial(run(scratch, seed, "--seed", seed)) for seed in ("1", "2"))
    assert all(one[key]["seed"] != other[key]["seed"] for key in one)
    assert not all(orders_agree(one[key], other[key]) for key in one)


def test_no_arm_is_always_set_up_first(scratch: helper.Scratch) -> None:
    """Of some trials the baseline comes first in some, and its duplicate in others."""
    turns = [setup_turns(record) for record in helper.records(run(scratch, "turns", "--seed", "7"))]
    assert len(turns) == 2 * helper.TRIALS, len(turns)
    assert len({tuple(one) for one in turns}) > 1 and {one[0] for one in turns} != {1}, turns
    assert 0 < sum(one[0] < one[-1] for one in turns) < len(turns), turns


def test_no_seed(scratch: helper.Scratch) -> None:
    """A random one is drawn and recorded: with it the run can be had again."""
    first, second = run(scratch, "first"), run(scratch, "second")
    seed = helper.manifest(first)["plan"]["seed"]
    assert seed == helper.manifest(first)["seed"] != helper.manifest(second)["plan"]["seed"]
    again = by_trial(run(scratch, "again", "--seed", str(seed)))
    assert all(orders_agree(record, again[key]) for key, record in by_trial(first).items())


def test_arms_take_turns(scratch: helper.Scratch) -> None:
    """In each block of rounds every arm is once in every slot; in every round each slot is taken once."""
    for record in helper.records(run(scratch, "run", "--seed", "3")):
        slots = [arm["order"] for arm in record["arms"]]
        count = len(slots)
        for taken in zip(*slots, strict=True):
            assert sorted(taken) == list(range(count)), taken
        for order in slots:
            for block in range(0, len(order) - count + 1, count):
                assert sorted(order[block:block + count]) == list(range(count)), (block, order)


def test_plan(scratch: helper.Scratch) -> None:
    words = ["plan", "--json", scratch.scenario(), "--profile", "quick", "--directory", str(scratch.files)]
    plans = [json.loads(scratch.call([*words, *more]).stdout)
             for more in (["--seed", "5"], ["--seed=5"], ["--seed", "6"])]
    for plan in plans:
        del plan["estimate_s"]  # each looks at the storage anew
    assert plans[0] == plans[1]
    assert plans[2]["seed"] == 6 and {**plans[2], "seed": 5} == plans[0]


helper.main(globals())
