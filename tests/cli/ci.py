# SPDX-License-Identifier: MIT
"""The scripts for continuous integration with the real program: a run, two settings in turns, their comparison."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile

import helper

GITHUB_PAGE = 1 << 20  # bytes a step's summary may have
OUTPUTS = ["archive", "cannot_tell", "directory", "faster", "invalid", "noise_grade", "same", "slower", "status"]


def start(scratch: helper.Scratch, name: str, *words: str, github: bool = True) -> subprocess.Popen:
    """A script as a step of a job, or as a command of somebody's."""
    environment = {key: value for key, value in scratch.environment().items() if not key.startswith("GITHUB_")}
    if github:
        environment.update(GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(scratch.path / "page"),
                           GITHUB_OUTPUT=str(scratch.path / "outputs"), GITHUB_WORKSPACE=str(scratch.path))
    return subprocess.Popen([str(helper.TREE / "scripts" / name), *words], cwd=scratch.path, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)


def ended(program: subprocess.Popen) -> subprocess.CompletedProcess:
    """Its status and what it said, once it has ended."""
    said = program.communicate(timeout=200)
    return subprocess.CompletedProcess(program.args, program.returncode, *said)


def script(scratch: helper.Scratch, name: str, *words: str, github: bool = True) -> subprocess.CompletedProcess:
    """The same to its end."""
    return ended(start(scratch, name, *words, github=github))


def small_words(scratch: helper.Scratch) -> list[str]:
    """The words of a small run: those of helper without what the scripts give themselves."""
    words = scratch.run_words()[1:]
    for option, width in (("--out", 2), ("--no-report", 1)):
        at = words.index(option)
        del words[at:at + width]
    return words


def check_clean(scratch: helper.Scratch, *names: str) -> None:
    """Nothing is left but files of these names."""
    assert sorted(os.listdir(scratch.path)) == sorted(["files", "survive.yaml", *names]), os.listdir(scratch.path)
    assert not scratch.leftovers()


def test_a_run(scratch: helper.Scratch) -> None:
    """It is packed, and told to the job's page and its outputs."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = ["--program", str(helper.PROGRAM), "--out", "run", "--", *small_words(scratch)]
    done = script(scratch, "ci-run", *words)
    helper.check_status(done, 0)
    check_clean(scratch, "run", "run.tar.gz", "page", "outputs")
    archive = scratch.path / "run.tar.gz"
    assert f"run.tar.gz ({archive.stat().st_size} bytes)" in done.stdout, done.stdout
    with tarfile.open(archive) as packed:
        assert {"./run/trials.jsonl", "./run/summary.json", "./run/report.html"} <= set(packed.getnames())
    page = (scratch.path / "page").read_text()
    assert page == (scratch.out.parent / "run" / "summary.md").read_text() + "\n"
    assert 0 < len(page.encode()) < GITHUB_PAGE
    outputs = (scratch.path / "outputs").read_text()
    assert sorted(re.findall(r"^(\w+)<<", outputs, re.M)) == OUTPUTS, outputs
    assert f"\n{scratch.path / 'run'}\n" in outputs


def test_status_is_passed_on(scratch: helper.Scratch) -> None:
    """A plan that cannot be is status 2, and leaves nothing."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = small_words(scratch)
    done = script(scratch, "ci-run", "--program", str(helper.PROGRAM), "--fail-on", "never", "--", *words,
                  "--set", "a=b")
    helper.check_status(done, 2)
    assert "::error title=faultline run::status 2" in done.stdout, done.stdout
    check_clean(scratch, "outputs")


def test_a_cancelled_run(scratch: helper.Scratch) -> None:
    """What a signal leaves is packed, nothing goes on, and the status says it was one."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    words = small_words(scratch)
    scratch.scenario(trials=60, arm_time="20ms")
    program = start(scratch, "ci-run", "--program", str(helper.PROGRAM), "--out", "run", "--fail-on", "never", "--",
                    *words)
    records = scratch.path / "run" / "trials.jsonl"
    helper.wait_for("a record", lambda: records.exists() and records.stat().st_size)
    program.send_signal(signal.SIGTERM)
    helper.check_status(ended(program), 128 + signal.SIGTERM)
    check_clean(scratch, "run", "run.tar.gz", "page", "outputs")
    assert not scratch.processes()


def test_two_settings(scratch: helper.Scratch) -> None:
    """Two recipes in turns: declared, they are compared; otherwise they are not."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    program = str(helper.PROGRAM)
    done = script(scratch, "ci-alternate", "--base", f"'{program}'", "--candidate", f"env A=1 '{program}'",
                  "--runs", "2", "--out", "sides", "--candidate-words", "--set recipe=write-4KiB", "--",
                  *small_words(scratch))
    helper.check_status(done, 0)
    runs = sorted(pathlib.Path(scratch.path / "sides").glob("*/*"), key=lambda path: helper.manifest(path)["started"])
    assert [path.parent.name for path in runs] == ["base", "candidate", "candidate", "base"], runs
    assert {helper.records(path)[0]["params"]["recipe"] for path in runs[1:3]} == {"write-4KiB"}
    words = ["--program", program, "sides/base", "sides/candidate", "--out"]
    compared = script(scratch, "ci-compare", *words, "board", "--vary", "recipe", "--fail-on", "never")
    helper.check_status(compared, 0)
    found = json.loads((scratch.path / "board" / "candidate" / "compare.json").read_text())
    assert found["rows"] and not found["left_out"], found
    assert (scratch.path / "page").read_text() == (scratch.path / "board" / "board.md").read_text()
    helper.check_status(script(scratch, "ci-compare", *words, "other"), 7)
    page = (scratch.path / "page").read_text()
    told = script(scratch, "ci-history", "--program", program, "--index", "history.sqlite", "sides/base/01",
                  github=False)
    helper.check_status(told, 0)
    assert "added as" in told.stdout and (scratch.path / "page").read_text() == page


def test_live(scratch: helper.Scratch) -> None:
    """The program against itself, round by round: the board tells what faultline compare wrote."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    program, scenario = str(helper.PROGRAM), scratch.scenario()
    more = f"--profile quick --pairs 2 --quiet --directory '{scratch.files}'"
    done = script(scratch, "ci-compare", "--program", program, "--live", f"'{program}'", f"env A=1 '{program}'",
                  "--out", "board", "--words", more, scenario)
    helper.check_status(done, 0)
    found = json.loads((scratch.path / "board" / "candidate" / "compare.json").read_text())
    assert found["rows"] and (scratch.path / "board" / "candidate" / "live.json").exists(), found
    assert "cannot_tell<<" in (scratch.path / "outputs").read_text()
    assert (scratch.path / "page").read_text() == (scratch.path / "board" / "board.md").read_text()
    check_clean(scratch, "board", "page", "outputs")


helper.main(globals())
