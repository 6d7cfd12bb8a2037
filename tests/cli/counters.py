# SPDX-License-Identifier: MIT
"""--counters: what may be asked for, what a run without rights records, and that only this machine is measured."""

import json
import pathlib
import subprocess

import helper
import unprivileged

PARANOID = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")


def arms_of(run: pathlib.Path) -> list[dict]:
    """Every arm of every record."""
    return [arm for record in helper.records(run) for arm in record["arms"]]


def check_message(result: subprocess.CompletedProcess, status: int, *parts: str) -> None:
    """Nothing on standard output, and one line that says all of this."""
    helper.check_status(result, status)
    assert not result.stdout and len(result.stderr.splitlines()) == 1, (result.stdout, result.stderr)
    assert all(part in result.stderr for part in parts), result.stderr


def test_unknown(scratch: helper.Scratch) -> None:
    scenario = scratch.scenario()
    for command in ("run", "plan"):
        check_message(scratch.call([command, scenario, "--counters", "page_faults,no_such_event"]), 2,
                      "--counters", "'no_such_event'", "list counters", "libpfm4")
    check_message(scratch.call(["plan", scenario, "--counters", "cycles,cycles"]), 2, "'cycles' comes twice")
    check_message(scratch.call(["plan", scenario, "--counters", ""]), 2, "no counter is named")
    check_message(scratch.call(["plan", scenario, "--counters", "cycles,"]), 2, "''")
    assert not scratch.out.exists()


def test_listed(scratch: helper.Scratch) -> None:
    """`list` has every counter, `--counters list` and `machine` whether each opens here, in the same words."""
    listed = scratch.call(["list", "counters"])
    found = json.loads(scratch.call(["machine", "--json"]).stdout)["counters"]
    assert len(found) > 25 and all(name in listed.stdout for name in found)
    for words in (["plan", "--counters", "list"], ["run", "--counters", "list"], ["machine"]):
        result = scratch.call(words)
        helper.check_status(result, 0)
        for name, row in found.items():
            (line,) = [line for line in result.stdout.splitlines() if line.startswith(name + " ")]
            assert (row["reason"] or row["event"]) in line, (line, row)
    for name, row in found.items():
        assert row["opened"] == (row["reason"] is None) == (row["counted"] is not None), (name, row)
        assert not row["opened"] or row["encoded"], (name, row)


def test_recorded(scratch: helper.Scratch) -> None:
    """What can be counted is a number, what cannot is null with the reason, in the order asked for."""
    names = ["page_faults", "cycles", "hitm_remote", "tracepoint:nosuch:event"]
    helper.check_status(scratch.call(scratch.run_words("--counters", ",".join(names))), 0)
    assert helper.manifest(scratch.out)["plan"]["counters"] == names
    machine = json.loads((scratch.out / "machine.json").read_text())["counters"]
    for arm in arms_of(scratch.out):
        assert [event["name"].removesuffix(":u") for event in arm["events"]] == names
        for event in arm["events"]:
            count = arm["counts"][event["name"]]
            assert (count is None) == bool(event["reason"]) == (event["share"] is None), (event, count)
        for name in names[:3]:
            (event,) = [event for event in arm["events"] if event["name"].removesuffix(":u") == name]
            assert (event["reason"] is None) == machine[name]["opened"], (event, machine[name])
    helper.check_gone(scratch)


def test_not_asked_for(scratch: helper.Scratch) -> None:
    helper.check_status(scratch.call(scratch.run_words()), 0)
    assert helper.manifest(scratch.out)["plan"]["counters"] == []
    assert "counters" not in json.loads((scratch.out / "machine.json").read_text())
    assert all(arm["events"] is None and "page_faults" not in arm["counts"] for arm in arms_of(scratch.out))


def test_from_a_plan(scratch: helper.Scratch) -> None:
    """A plan carries them; they cannot be added to it, and one whose counters are no names is refused."""
    words = scratch.run_words("--counters", "page_faults")
    plan = scratch.path / "plan.json"
    made = scratch.call(["plan", "--json", *(word for word in words[1:] if word not in ("--no-report", "--out",
                                                                                         str(scratch.out)))])
    helper.check_status(made, 0)
    plan.write_text(made.stdout)
    run = ["run", "--plan", str(plan), "--no-report", "--out", str(scratch.out)]
    check_message(scratch.call([*run, "--counters", "cycles"]), 2, "--plan holds a resolved plan")
    helper.check_status(scratch.call(run), 0)
    assert all(arm["events"][0]["name"].startswith("page_faults") for arm in arms_of(scratch.out))
    for wrong in (["a,b"], [""], [3], ["x"] * 33):
        plan.write_text(json.dumps({**json.loads(made.stdout), "counters": wrong}))
        check_message(scratch.call(run), 2, "'counters' must be")


def test_another_cpu(scratch: helper.Scratch) -> None:
    """Events of another CPU may be planned with, never measured."""
    found = json.loads(scratch.call(["machine", "--json"]).stdout)["available"]
    if found["libpfm4"] is not True:
        raise helper.Skip(f"libpfm4: {found['libpfm4']}")
    other = {"LIBPFM_ENCODE_INACTIVE": "1", "LIBPFM_FORCE_PMU": "spr"}
    words = scratch.run_words("--counters", "OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM")
    planned = scratch.call(["plan", *words[1:words.index("--no-report")], "--counters",
                            "OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM"], environment=other)
    helper.check_status(planned, 0)
    assert "counted besides: OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM\n" in planned.stdout, planned.stdout
    check_message(scratch.call(words, environment=other), 4, "LIBPFM_ENCODE_INACTIVE", "measuring is not")
    check_message(scratch.call(scratch.run_words(), environment={"LIBPFM_FORCE_PMU": "spr"}), 4, "LIBPFM_FORCE_PMU")
    assert not scratch.out.exists()


def test_user_mode_only(scratch: helper.Scratch) -> None:
    """Without rights faults are counted in user mode, under a name that says so; switches are not."""
    if PARANOID.read_text().strip() != "2":
        raise helper.Skip(f"perf_event_paranoid is {PARANOID.read_text().strip()}, not 2")
    program = unprivileged.settle(scratch)
    out = scratch.path / "home" / "run"
    words = [*unprivileged.words_of(scratch, "access/copy-or-in-place"), "--out", str(out), "--budget", "2s",
             "--counters", "page_faults,context_switches"]
    result = scratch.call(words, program=program, prefix=unprivileged.prefix(), cwd="/",
                          environment={"HOME": "/nonexistent"})
    helper.check_status(result, 0)
    for arm in arms_of(out):
        faults, switches = arm["events"]
        assert faults["name"] == "page_faults:u" and faults["user_only"] and arm["counts"]["page_faults:u"] is not None
        assert switches["name"] == "context_switches" and "perf_event_paranoid is 2" in switches["reason"]
        assert arm["counts"]["context_switches"] is None


def test_reported(scratch: helper.Scratch) -> None:
    """The table, summary.json, the tidy table, summary.md and the page have them."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not beside the program")
    words = [word for word in scratch.run_words("--counters", "page_faults,hitm_remote") if word != "--no-report"]
    result = scratch.call(words)
    assert result.returncode in (0, 4), result.stderr  # so short a run may find its null arms to differ
    if not json.loads((scratch.out / "machine.json").read_text())["counters"]["page_faults"]["opened"]:
        raise helper.Skip("page_faults cannot be counted here")
    summary = json.loads((scratch.out / "summary.json").read_text())
    arm = summary["cells"][0]["arms"][1]
    (name,) = [name for name in arm["counters"] if name.startswith("page_faults")]
    assert name in arm["counts_per_op"] and arm["counters"][name]["share"] == 1
    missing = arm["counters"]["hitm_remote"]["reason"]
    assert missing and "Counted, per operation" in result.stdout and name in result.stdout
    assert f"{name}_per_op" in (scratch.out / "cells.csv").read_text().splitlines()[0]
    for file in ("summary.md", "report.html"):
        text = (scratch.out / file).read_text()
        assert "Counted, per operation" in text and "hitm" in text and "not counted" in text, file


helper.main(globals())
