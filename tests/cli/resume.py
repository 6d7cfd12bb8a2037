# SPDX-License-Identifier: MIT
"""--resume goes on with a run that was cut short, and only with that: same conditions, its own directory."""

import json
import pathlib
import shutil
import signal
import subprocess

import helper


def begin(scratch: helper.Scratch, **options: object) -> pathlib.Path:
    """A run that was stopped with some of its records written."""
    process = scratch.start(scratch.run_words(trials=8, **options), stdout=subprocess.DEVNULL)
    helper.wait_for("some records", lambda: len(helper.record_lines(scratch.out)) >= 5)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    return scratch.out


def resume(scratch: helper.Scratch, run: pathlib.Path) -> subprocess.CompletedProcess:
    return scratch.call(["run", "--resume", str(run), "--no-report"])


def edit_manifest(run: pathlib.Path, **members: object) -> None:
    manifest = {**helper.manifest(run), **members}
    (run / "manifest.json").write_text(json.dumps(manifest))


def check_refused(scratch: helper.Scratch, run: pathlib.Path, status: int, word: str) -> None:
    """Refused with this status and word, and nothing of the run changes."""
    before = {path.name: path.read_bytes() for path in run.iterdir()} if run.is_dir() else {}
    result = resume(scratch, run)
    helper.check_status(result, status)
    assert word in result.stderr, result.stderr
    assert result.stdout == "", result.stdout
    after = {path.name: path.read_bytes() for path in run.iterdir()} if run.is_dir() else {}
    assert before == after, "a refused run was changed"
    helper.check_gone(scratch)


def test_goes_on(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    before = helper.record_lines(run)
    assert helper.manifest(run)["stopped"] == "interrupted"
    result = resume(scratch, run)
    helper.check_status(result, 0)
    assert result.stdout.splitlines()[-1] == str(run)
    assert helper.record_lines(run)[:len(before)] == before
    helper.check_complete(run, trials=8)
    assert helper.manifest(run)["stopped"] == "trials"
    helper.check_gone(scratch)


def test_finished_run_is_left_as_it_is(scratch: helper.Scratch) -> None:
    helper.check_status(scratch.call(scratch.run_words()), 0)
    before = helper.record_lines(scratch.out)
    helper.check_status(resume(scratch, scratch.out), 0)
    assert helper.record_lines(scratch.out) == before


def test_torn_tail(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    whole = helper.record_lines(run)
    for rest in (b"{", whole[0][:-1], whole[0][:len(whole[0]) // 2], b"x" * 9000):
        with (run / "trials.jsonl").open("ab") as file:
            file.write(rest)
    helper.check_status(resume(scratch, run), 0)
    assert helper.record_lines(run)[:len(whole)] == whole
    helper.check_complete(run, trials=8)


def test_nothing_but_a_torn_line(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    (run / "trials.jsonl").write_bytes(helper.record_lines(run)[0][:-20])
    helper.check_status(resume(scratch, run), 0)
    helper.check_complete(run, trials=8)


def test_damaged_record_is_measured_again(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    lines = helper.record_lines(run)
    damaged = lines[1].replace(b'"trial":', b'"trial": ', 1)
    (run / "trials.jsonl").write_bytes(b"".join([lines[0], damaged, *lines[2:]]))
    result = resume(scratch, run)
    helper.check_status(result, 0)
    assert "1 damaged record" in result.stderr, result.stderr
    after = helper.record_lines(run)
    assert after[1] == damaged, "what was there is not touched"
    whole = [helper.record_read(line) for line in after[:1] + after[2:]]
    assert len({(record["cell"], record["trial"]) for record in whole}) == len(whole) == 16


def test_another_build(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    tool = helper.manifest(run)["tool"]
    for member in ("version", "compiler", "flags", "build"):
        edit_manifest(run, tool={**tool, member: "another"})
        check_refused(scratch, run, 6, "another build")


def test_another_machine(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    edit_manifest(run, machine="0123456789abcdef")
    check_refused(scratch, run, 6, "another machine")


def test_another_plan(scratch: helper.Scratch) -> None:
    """A plan that this build cannot carry out as it was begun: its methods time something else now."""
    run = begin(scratch)
    plan = helper.manifest(run)["plan"]
    for cell in plan["cells"]:
        for arm in cell["arms"]:
            arm["method_version"] += 1
    edit_manifest(run, plan=plan)
    check_refused(scratch, run, 7, "version")


def test_no_run(scratch: helper.Scratch) -> None:
    empty = scratch.path / "empty"
    empty.mkdir()
    for path in (empty, scratch.path / "missing", scratch.path / "survive.yaml"):
        check_refused(scratch, path, 7, str(path))
    assert list(empty.iterdir()) == []
    (empty / "trials.jsonl").write_text("")
    check_refused(scratch, empty, 7, "manifest.json")
    for text in ("", "{", "[]", "{}", '{"schema": "faultline.manifest/1"}'):
        (empty / "manifest.json").write_text(text)
        check_refused(scratch, empty, 7, "manifest.json")


def test_unreadable_records(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    (run / "trials.jsonl").unlink()
    check_refused(scratch, run, 7, "trials.jsonl")
    (run / "trials.jsonl").mkdir()
    result = resume(scratch, run)
    helper.check_status(result, 7)
    shutil.rmtree(run)


def test_two_runs_in_one_directory(scratch: helper.Scratch) -> None:
    """The second is turned away, the first goes on undisturbed."""
    first = scratch.start(scratch.run_words(trials=15, arm_time="5ms"))
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    result = resume(scratch, scratch.out)
    helper.check_status(result, 7)
    assert "another run" in result.stderr, result.stderr
    assert first.poll() is None, "the first run was over too soon for this test"
    beside = scratch.call(scratch.run_words(blocks="64"))
    helper.check_status(beside, 0)
    assert pathlib.Path(beside.stdout.strip()).parent == scratch.out, "a new run was made inside the directory in use"
    _, error = first.communicate()
    assert first.returncode == 0, error
    helper.check_complete(scratch.out, trials=15)
    helper.check_gone(scratch)


def test_takes_no_other_plan(scratch: helper.Scratch) -> None:
    run = begin(scratch)
    for words in (["floor/null"], ["--seed", "8"], ["--set", "arm_time=2ms"], ["--out", str(scratch.path / "new")],
                  ["--profile", "quick"], ["--file", "/etc/hosts"], ["--budget", "1s"]):
        result = scratch.call(["run", "--resume", str(run), *words])
        helper.check_status(result, 2)
        assert "--resume" in result.stderr, result.stderr


helper.main(globals())
