# SPDX-License-Identifier: MIT
"""The history of real runs: what the program wrote is indexed, and another setting is another series."""

import json
import os

import helper


def test_runs_become_series(scratch: helper.Scratch) -> None:
    """Three runs, the last with another parameter, one of them added twice; then a folder that is none."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    index = scratch.path / "index.sqlite"
    words = scratch.run_words()
    runs = [scratch.path / name for name in ("first", "second", "other")]
    for run in runs:
        words[words.index("--out") + 1] = str(run)
        more = ["--set", "recipe=write-4KiB"] if run.name == "other" else []
        helper.check_status(scratch.call([*words, *more]), 0)
    add = ["history", "add", "--index", str(index), "--commit", "abc"]
    added = scratch.call([*add, str(runs[2]), str(runs[0]), str(runs[1]), str(runs[0])])
    helper.check_status(added, 0)
    assert added.stdout.count("added as") == 3 and added.stdout.count("there already as") == 1, added.stdout

    shown = scratch.call(["history", "show", "--index", str(index), "--json", "--quantity", "ratio", "--arm", "mapped"])
    helper.check_status(shown, 0)
    series = json.loads(shown.stdout)["series"]
    assert sorted(one["runs"] for one in series) == [1, 1, 2, 2], series
    names = {one["last"]["run"]["run"]: one for one in series}
    assert set(names) == {"second", "other"}
    program = helper.manifest(runs[0])["tool"]["program"]
    for one in series:
        assert one["scenario_hash"] in {s["hash"] for run in runs for s in helper.manifest(run)["plan"]["scenarios"]}
        assert one["fingerprint"] == helper.manifest(runs[0])["machine"] and one["method_version"] == 1
        assert one["last"]["run"]["program"] == program and one["last"]["run"]["commit"] == "abc"
        assert one["last"]["trials"] == helper.TRIALS and one["last"]["estimate"] > 0
    follow = names["other"]["follows"]
    assert follow["differs"][0]["key"] == "scenario_hash" and not follow["beside"], follow

    table = scratch.call(["history", "show", "--index", str(index), "--fail-on-change"])
    helper.check_status(table, 0)
    said = ("2 (2 of few trials)", "too few runs (0 of 17)", "not joined")  # fewer trials than an interval needs
    assert all(one in table.stdout for one in said), table.stdout
    broken = scratch.call([*add, str(scratch.files), str(runs[0])])
    helper.check_status(broken, 7)
    assert broken.stderr.count("\n") == 1 and "manifest.json" in broken.stderr, broken.stderr
    helper.check_status(scratch.call(["history", "show", "--index", str(index), "--arm", "nobody"]), 7)
    helper.check_status(scratch.call(["history"]), 2)


def test_what_the_report_concluded_is_taken(scratch: helper.Scratch) -> None:
    """The run enters its exit status into the manifest after the report, and is not concluded a second time for that: a
    figure that is changed in summary.json is what is shown, and the tables stay."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = [word for word in scratch.run_words() if word != "--no-report"]
    done = scratch.call(words)
    assert done.returncode in (0, 4), done.stderr  # 4: identical arms differ by more than this scenario's tiny δ
    stored, index = scratch.out / "summary.json", scratch.path / "index.sqlite"
    assert (scratch.out / "manifest.json").stat().st_mtime_ns > stored.stat().st_mtime_ns
    times = stored.stat()
    value = json.loads(stored.read_text())
    value["cells"][0]["arms"][0]["ns_per_op"]["estimate"] = 123456.5
    stored.write_text(json.dumps(value))
    os.utime(stored, ns=(times.st_atime_ns, times.st_mtime_ns))
    helper.check_status(scratch.call(["history", "add", "--index", str(index), str(scratch.out)]), 0)
    shown = scratch.call(["history", "show", "--index", str(index), "--json", "--quantity", "ns_per_op"])
    helper.check_status(shown, 0)
    assert 123456.5 in [one["last"]["estimate"] for one in json.loads(shown.stdout)["series"]], shown.stdout
    before = (scratch.out / "cells.csv").stat().st_mtime_ns
    helper.check_status(scratch.call(["plot", str(scratch.out), "null_run", "--format", "png"]), 0)
    assert (scratch.out / "cells.csv").stat().st_mtime_ns == before


helper.main(globals())
