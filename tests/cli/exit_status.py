# SPDX-License-Identifier: MIT
"""Every exit status that run and its neighbours can give, --help, and what is refused before anything happens."""

import json
import os
import pathlib
import re
import signal

import helper

COMMANDS = ("run", "plan", "list", "machine", "schema")


def options_of(command: str) -> list[str]:
    """The options of a command, from the table that the parser is made of."""
    table = (helper.TREE / "bench" / "options.def").read_text()
    rows = re.findall(r"^OPTION\((\w+), (\"[^\"]*\"|NULL), ([A-Z_| ]+),", table, re.MULTILINE)
    assert len(rows) == table.count("\nOPTION("), "the table looks other than this test believes"
    wanted = f"IN_{command.upper()}"
    return ["--" + name.replace("_", "-") for name, _, commands in rows if wanted in commands.split(" | ")]


def test_help(scratch: helper.Scratch) -> None:
    for command in COMMANDS:
        options = options_of(command)
        assert "--help" in options
        for form in ("--help", "-h"):
            result = scratch.call([command, form])
            helper.check_status(result, 0)
            assert result.stderr == "" and f"usage: faultline {command}" in result.stdout
            for option in options:
                assert re.search(rf"^  {re.escape(option)}\b", result.stdout, re.MULTILINE), (command, option)
    for form in (["--help"], ["-h"], ["help"]):
        result = scratch.call(form)
        helper.check_status(result, 0)
        for command in (*COMMANDS, "report", "plot", "compare", "history", "verdicts"):
            assert re.search(rf"^  {command}\b", result.stdout, re.MULTILINE), command
    helper.check_status(scratch.call([]), 2)
    version = scratch.call(["--version"])
    helper.check_status(version, 0)
    assert re.match(r"faultline \d+\.\d+\.\d+ ", version.stdout)


def test_help_comes_first(scratch: helper.Scratch) -> None:
    """--help beside other words still only helps."""
    result = scratch.call(["run", "no/such-scenario", "--out", str(scratch.out), "--help"])
    helper.check_status(result, 0)
    assert not scratch.out.exists()


def test_usage(scratch: helper.Scratch) -> None:
    """Status 2 with the word that is wrong, on standard error."""
    small = scratch.scenario()
    wrong = {
        ("measure",): "measure", ("--frobnicate",): "--frobnicate", ("run", "--frobnicate"): "--frobnicate",
        ("run",): "scenario", ("run", small, "-x"): "-x", ("run", small, "--seed"): "--seed",
        ("run", small, "--seed", "1", "--seed", "2"): "--seed", ("run", small, "--seed", "many"): "many",
        ("run", small, "--quiet=yes"): "--quiet", ("run", small, "--deadline", "soon"): "soon",
        ("run", small, "--deadline", "0s"): "0s", ("run", small, "--json"): "--json", ("plan", "--out", "x"): "--out",
        ("plan",): "scenario", ("list",): "what", ("list", "everything"): "what", ("list", "methods", "fields"): "what",
        ("machine", "here"): "options", ("schema", "of"): "options", ("run", "--set", "x", "--set"): "--set",
        ("run", small, "--profile", ""): "profile", ("run", small, *["--set", "arm_time=1ms"] * 65): "--set",
        ("run", small, "--budget", "-1s"): "-1s", ("run", small, "--budget", "0s"): "0s",
        ("run", small, "--deadline", "500000000000s"): "500000000000s",
        ("run", small, "--seed", "18446744073709551616"): "184467",
        ("plan", small, "--page-bytes", "3000"): "3000", ("plan", small, "--page-bytes", "2KiB"): "2KiB",
        ("plan", small, "--page-bytes", "2MiB"): "2MiB", ("plan", small, "--page-bytes", "large"): "large",
        ("run", small, "--page-bytes", "16KiB"): "--page-bytes",
    }
    for words, word in wrong.items():
        result = scratch.call(list(words), cwd=scratch.path)
        helper.check_status(result, 2)
        assert word in result.stderr and not result.stdout, (words, result.stderr)
    assert sorted(path.name for path in scratch.path.iterdir()) == ["files", "survive.yaml"]


def test_fine(scratch: helper.Scratch) -> None:
    helper.check_status(scratch.call(scratch.run_words()), 0)
    assert helper.manifest(scratch.out)["exit_status"] == 0
    assert helper.manifest(scratch.out)["stopped"] == "trials"


def test_budget_is_fine(scratch: helper.Scratch) -> None:
    """A spent budget is no failure."""
    result = scratch.call(scratch.run_words("--budget", "500ms", trials=30, arm_time="20ms"))
    helper.check_status(result, 0)
    manifest = helper.manifest(scratch.out)
    assert manifest["stopped"] == "budget" and 0 < manifest["finished"] < manifest["expected"], \
        (manifest["stopped"], manifest["finished"], manifest["expected"])
    counts = [sum(record["cell"] == cell for record in helper.records(scratch.out))
              for cell in ("block_bytes=64", "block_bytes=4KiB")]
    assert abs(counts[0] - counts[1]) <= 1, f"cut short, it is balanced: {counts}"


def test_unsupported_is_fine(scratch: helper.Scratch) -> None:
    """What this kernel or disk does not have is said, and is no failure."""
    huge = "  - {name: huge, method: pread, buffer: huge}\n"
    state = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    result = scratch.call(scratch.run_words(arms=helper.PREAD + huge, blocks="64"))
    helper.check_status(result, 0)
    statuses = {arm["status"] for record in helper.records(scratch.out) for arm in record["arms"]
                if arm["name"] == "huge"}
    assert statuses <= {"ok", "unsupported"}, statuses
    if state.exists() and "[never]" in state.read_text():
        assert statuses == {"unsupported"}


def test_environment(scratch: helper.Scratch) -> None:
    """4: the topology is not this machine's."""
    result = scratch.call(scratch.run_words(), environment={"HWLOC_SYNTHETIC": "core:8 pu:2"})
    helper.check_status(result, 4)
    assert "topology" in result.stderr
    assert not scratch.out.exists()


def test_topologies_that_are_none(scratch: helper.Scratch) -> None:
    """2: what is planned for is never this machine without a word; over some files hwloc itself crashes."""
    crash = helper.TREE / "tests/fuzz/corpus/topology/hwloc-crash.xml"
    for given, why in (("", "names no machine"), ("synthetic:", "names no machine"), ("/", "hwloc cannot load"),
                       ("/nowhere.xml", "hwloc cannot load it"), (str(crash), "hwloc breaks down over it")):
        result = scratch.call(["plan", "access/read-or-map", "--topology", given])
        helper.check_status(result, 2)
        assert result.stderr.count("\n") == 1 and why in result.stderr, result.stderr


def test_failed_arm(scratch: helper.Scratch) -> None:
    """5: a file that another has cut short since the plan was made."""
    path = scratch.path / "yours"
    path.write_bytes(os.urandom(1 << 20))
    words = scratch.run_words("--file", str(path))
    plan = scratch.path / "plan.json"
    plan.write_text(scratch.call(["plan", "--json", *words[1:words.index("--no-report")], "--file", str(path)]).stdout)
    os.truncate(path, 1 << 19)
    result = scratch.call(["run", "--plan", str(plan), "--no-report", "--out", str(scratch.out)])
    helper.check_status(result, 5)
    found = helper.records(scratch.out)
    assert len(found) == 2 * helper.TRIALS
    assert all("shrunk" in reason for reason in helper.reasons(found))
    assert helper.manifest(scratch.out)["exit_status"] == 5


def test_wrong_checksum(scratch: helper.Scratch) -> None:
    """5: an arm that has done other work than the others, here by a record put into a run that is gone on with."""
    process = scratch.start(scratch.run_words(trials=8))
    helper.wait_for("records", lambda: len(helper.record_lines(scratch.out)) >= 3)
    process.terminate()
    process.communicate()
    lines = helper.record_lines(scratch.out)
    record = helper.record_read(lines[0])
    record["arms"][1]["checksum"] = "00000000deadbeef"
    del record["crc32"]
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    lines[0] = helper.record_seal(body)
    (scratch.out / "trials.jsonl").write_bytes(b"".join(lines))
    helper.check_status(scratch.call(["run", "--resume", str(scratch.out), "--no-report"]), 5)


def test_nothing_measured(scratch: helper.Scratch) -> None:
    """7: no record at all, as when the budget is spent before the first trial."""
    result = scratch.call(scratch.run_words("--budget", "1ns"))
    helper.check_status(result, 7)
    assert helper.records(scratch.out) == []
    assert result.stdout == f"{scratch.out}\n"


def test_interrupted(scratch: helper.Scratch) -> None:
    """130 and 143, whatever else was wrong."""
    for number in (signal.SIGINT, signal.SIGTERM):
        scratch.out = scratch.path / number.name
        process = scratch.start(scratch.run_words(trials=30))
        helper.wait_for("the run to begin", (scratch.out / "manifest.json").exists)
        process.send_signal(number)
        output, _ = process.communicate()
        assert process.returncode == 128 + number
        assert output == f"{scratch.out}\n"
        assert helper.manifest(scratch.out)["exit_status"] == 128 + number


helper.main(globals())
