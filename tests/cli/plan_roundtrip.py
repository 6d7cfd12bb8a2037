# SPDX-License-Identifier: MIT
"""A plan made with `plan --json` and given to `run --plan` is the run that the scenarios themselves would have been."""

import json
import pathlib
import subprocess

import helper

SCENARIOS = ["access/copy-or-in-place", "access/lifetime", "floor/syscall-floor"]


def plan_words(scratch: helper.Scratch, *words: str) -> list[str]:
    return [scratch.scenario(), "--profile", "quick", "--directory", str(scratch.files), *words]


def plan_json(scratch: helper.Scratch, words: list[str]) -> dict:
    result = scratch.call(["plan", "--json", *words])
    helper.check_status(result, 0)
    return json.loads(result.stdout)


def orders(run: pathlib.Path) -> dict[tuple, list[list[int]]]:
    """The slots of each arm, by cell and trial."""
    return {(record["scenario"], record["cell"], record["trial"]): [arm["order"] for arm in record["arms"]]
            for record in helper.records(run)}


def check_same_orders(one: pathlib.Path, other: pathlib.Path) -> None:
    """Equal as far as both go: how many rounds there are is for the clock to say."""
    first, second = orders(one), orders(other)
    assert first.keys() == second.keys()
    for key, slots in first.items():
        for ours, theirs in zip(slots, second[key], strict=True):
            rounds = min(len(ours), len(theirs))
            assert rounds and ours[:rounds] == theirs[:rounds], key


def test_same_run(scratch: helper.Scratch) -> None:
    """Same cells, hashes, seed and orders, whether the plan comes by a pipe or was never written down."""
    words = plan_words(scratch, "--seed", "99")
    plan = plan_json(scratch, words)
    piped = scratch.path / "piped"
    with subprocess.Popen([str(helper.PROGRAM), "plan", "--json", *words], stdout=subprocess.PIPE) as maker:
        result = scratch.call(["run", "--plan", "/dev/stdin", "--no-report", "--out", str(piped)], stdin=maker.stdout)
    helper.check_status(result, 0)
    direct = scratch.path / "direct"
    helper.check_status(scratch.call(["run", *words, "--no-report", "--out", str(direct)]), 0)
    plans = [helper.manifest(piped)["plan"], helper.manifest(direct)["plan"], plan]
    for one in plans:
        del one["estimate_s"]  # each looks at the storage anew
    assert plans[0] == plans[1] == plans[2]
    assert helper.manifest(piped)["seed"] == helper.manifest(direct)["seed"] == 99
    seeds = [{(record["cell"], record["trial"]): record["seed"] for record in helper.records(run)}
             for run in (piped, direct)]
    assert seeds[0] == seeds[1] and len(set(seeds[0].values())) == len(seeds[0])
    check_same_orders(piped, direct)
    helper.check_gone(scratch)


def test_plans_of_the_tree(scratch: helper.Scratch) -> None:
    """Every scenario's plan survives the way through a file."""
    words = ["--profile", "quick", "--seed", "5", "--directory", str(scratch.files)]
    plan = plan_json(scratch, [*SCENARIOS, *words])
    path = scratch.path / "plan.json"
    path.write_text(json.dumps(plan))
    result = scratch.start(["run", "--plan", str(path), "--no-report", "--out", str(scratch.out)])
    helper.wait_for("the run to begin", (scratch.out / "manifest.json").exists)
    result.terminate()
    result.communicate()
    assert result.returncode == 143
    assert helper.manifest(scratch.out)["plan"] == plan


def test_what_a_plan_holds_cannot_be_changed(scratch: helper.Scratch) -> None:
    path = scratch.path / "plan.json"
    path.write_text(json.dumps(plan_json(scratch, plan_words(scratch))))
    for words in (["--profile", "quick"], ["--set", "arm_time=1ms"], ["--seed", "1"], ["--budget", "1s"],
                  ["--file", "/etc/hosts"], ["--allow-evict"], ["--directory", "/tmp"], ["floor/null"]):
        result = scratch.call(["run", "--plan", str(path), "--out", str(scratch.out), *words])
        helper.check_status(result, 2)
        assert "--plan" in result.stderr, result.stderr
    assert not scratch.out.exists()


def test_damaged_plans(scratch: helper.Scratch) -> None:
    """Refused before anything is written, with the place of the damage."""
    good = json.dumps(plan_json(scratch, plan_words(scratch)))
    path = scratch.path / "plan.json"
    damaged = ["", "{", "[]", "{}", good[:-10], good.replace("faultline.plan/1", "faultline.plan/2"),
               good.replace('"pread"', '"sendfile"'), good.replace('"block_bytes": 64', '"block_bytes": "64"'),
               good.replace('"method_version": ', '"method_version": 9')]
    for text in damaged:
        assert text != good
        path.write_text(text)
        result = scratch.call(["run", "--plan", str(path), "--out", str(scratch.out)])
        helper.check_status(result, 2)
        assert str(path) in result.stderr, result.stderr
    result = scratch.call(["run", "--plan", str(scratch.path / "missing"), "--out", str(scratch.out)])
    helper.check_status(result, 2)
    assert not scratch.out.exists()
    helper.check_gone(scratch)


def test_impossible_plans(scratch: helper.Scratch) -> None:
    """Status 2, and nothing is written by plan or run."""
    small = scratch.scenario()
    impossible = [[], ["no/such-scenario"], [small, "--set", "block_bytes=4KiB"], [small, "--set", "colour=red"],
                  [small, "--set", "arm_time"], [small, "--set", "file_bytes=4k"], [small, "--set", "file_bytes=16"],
                  [small, "--set", "workers=4096"], [small, "--profile", "hasty"], [small, "--budget", "soon"],
                  [small, "--seed", "-1"], [small, "--file", str(scratch.path / "missing")],
                  [small, "--file", str(scratch.path)], [small, "--directory", str(scratch.path / "missing")]]
    on_tmpfs = pathlib.Path("/dev/shm")
    if on_tmpfs.is_dir():
        impossible.append([small, "--set", "cache=cold", "--set", "backing=tmpfs"])
    before = sorted(scratch.path.rglob("*"))
    for words in impossible:
        for command in (["plan"], ["plan", "--json"], ["run", "--out", str(scratch.out)]):
            result = scratch.call([*command, *words], cwd=scratch.path)
            helper.check_status(result, 2)
            assert result.stderr and not result.stdout, (words, result.stdout)
    assert sorted(scratch.path.rglob("*")) == before


def test_plan_runs_nothing(scratch: helper.Scratch) -> None:
    before = sorted(scratch.path.rglob("*"))
    words = plan_words(scratch)
    for form in ([], ["--json"]):
        helper.check_status(scratch.call(["plan", *form, *words], cwd=scratch.path), 0)
    before.append(scratch.path / "survive.yaml")
    assert sorted(scratch.path.rglob("*")) == sorted(before)


helper.main(globals())
