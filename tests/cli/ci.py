# SPDX-License-Identifier: MIT
"""The scripts for continuous integration with the real program: a run, two settings in turns, their comparison; and the
words that the workflows give it."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
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
    told = script(scratch, "ci-history", "--program", program, "--index", "history.sqlite", "--new", "sides/base/01",
                  github=False)
    helper.check_status(told, 0)
    assert "added as" in told.stdout and (scratch.path / "page").read_text() == page


def test_live(scratch: helper.Scratch) -> None:
    """The program against itself, round by round: the board tells what faultline compare wrote."""
    if not helper.has_report():
        raise helper.Skip("the analysis is not here")
    # Within a margin as small as that of the other tests noise is taken for a difference, also of identical arms.
    program, scenario = str(helper.PROGRAM), scratch.scenario(delta="50%")
    more = f"--profile quick --pairs 8 --quiet --directory '{scratch.files}'"
    done = script(scratch, "ci-compare", "--program", program, "--live", f"'{program}'", f"env A=1 '{program}'",
                  "--out", "board", "--words", more, scenario)
    helper.check_status(done, 0)
    found = json.loads((scratch.path / "board" / "candidate" / "compare.json").read_text())
    assert found["rows"] and (scratch.path / "board" / "candidate" / "live.json").exists(), found
    assert "cannot_tell<<" in (scratch.path / "outputs").read_text()
    assert (scratch.path / "page").read_text() == (scratch.path / "board" / "board.md").read_text()
    check_clean(scratch, "board", "page", "outputs")


RECORDER = """#!/bin/sh
# Notes its words, each ended by a 0 byte, the last one by two, and leaves what somebody would pack.
printf '%s\\0' "$@" '' >>"$RECORDED"
[ "$1" = run ] || exit 0
while [ "$1" != --out ]; do shift; done
mkdir -p "$2" && echo 1 >"$2/trials.jsonl"
"""
RUN_ONLY = {"--out": 2, "--machine-name": 2, "--quiet": 1, "--no-report": 1}  # options of `run` that `plan` has not


class Words:
    """A workspace whose program notes what it is asked for."""

    def __init__(self, scratch: helper.Scratch) -> None:
        sys.path[:0] = [str(helper.TREE / "tests" / "python"), str(helper.TREE / "scripts")]
        sys.dont_write_bytecode = True
        try:
            import workflows  # it needs yaml
        except ImportError as error:
            raise helper.Skip(str(error)) from None
        self.workflows, self.scratch, self.workspace = workflows, scratch, scratch.path / "workspace"
        self.recorded = scratch.path / "recorded"
        self.program = workflows.program_make(scratch.path / "recorder", RECORDER)
        self.tree = workflows.tree_make(self.workspace / "faultline", self.program)
        workflows.git(self.tree, "init", "-q", "-b", "main")
        workflows.git_commit(self.tree, "one")
        self.commit = workflows.git_commit(self.tree, "two")
        # Nobody analyses anything here.
        python = workflows.program_make(scratch.path / "python", "#!/bin/sh\n[ \"$1\" != -c ] || echo \"$0\"\n")
        self.environment = {"PATH": workflows.system_make(scratch.path / "system"), "HOME": str(scratch.path),
                            "RUNNER_TEMP": str(scratch.path / "runner"), "RECORDED": str(self.recorded),
                            "FAULTLINE_PYTHON": str(python)}
        self.service = workflows.Service(scratch.path / "service")

    def said(self) -> set[tuple[str, ...]]:
        """The command lines since the last look."""
        if not self.recorded.exists():
            return set()
        text = self.recorded.read_text()
        self.recorded.unlink()
        return {tuple(line.split("\0")) for line in text.removesuffix("\0\0").split("\0\0")}

    def of_workflow(self, document: dict, name: str) -> set[tuple[str, ...]]:
        """Those of a job of a workflow, on two machines where it has several."""
        steps = document["jobs"][name]["steps"]
        for step in steps:
            if "SETTING" in step.get("env", {}):
                step["env"]["SETTING"] = str(self.scratch.path / "setting")
                (self.scratch.path / "setting").write_text("[madvise]\n")
        for machine in ("one", "two") if "strategy" in document["jobs"][name] else ("",):
            job = self.workflows.Job(self.workspace, self.environment, self.service)
            job.steps(steps, {"inputs.index": "new", "matrix.machine": machine}, {})
        return self.said()

    def check(self, line: tuple[str, ...]) -> None:
        """What the program is asked for is what it understands: its own plan, or the parser of a command in Python."""
        command, words = line[0], list(line[1:])
        if command == "run":
            self.plan(words)
        elif command == "history":
            self.parsed("history", words)
        elif "--live" in words:
            words.remove("--live")
            options = self.parsed("live", words)
            assert options.scenarios and options.quiet, line
            more = [word for one in options.set for word in ("--set", one)]
            self.plan([*options.scenarios, "--profile", options.profile, *more])
        else:
            from faultline import compare, fingerprint, schema

            options = self.parsed("compare", words)
            try:
                compare.vary_check(options.vary, fingerprint.known_keys() | set(schema.parameter_types()))
            except compare.UsageError as error:
                raise AssertionError(str(error)) from None

    def parsed(self, module: str, words: list[str]) -> object:
        """The options, by the parser of a command in Python."""
        from faultline import compare, history, live

        said = self.scratch.path / "parser"
        with said.open("w") as stream, contextlib.redirect_stderr(stream):
            try:
                return history.arguments(words) if module == "history" else {
                    "compare": compare, "live": live}[module].parser_make().parse_args(words)
            except (SystemExit, compare.UsageError) as error:
                raise AssertionError(f"{module} {words}: {error} {said.read_text()}") from None

    def plan(self, words: list[str]) -> None:
        """Words of a run, as those of a plan."""
        left = []
        while words:
            width = RUN_ONLY.get(words[0], 0)
            left += [] if width else words[:1]
            words = words[width or 1:]
        done = self.scratch.call(["plan", *left])
        assert done.returncode == 0, f"plan {left}: {done.stderr}"


def workflow_jobs(words: Words) -> list[tuple[dict, str]]:
    """Every job of every workflow that measures or compares, with its document."""
    documents = [words.workflows.load(path) for path in words.workflows.WORKFLOWS]
    return [(document, name) for document in documents for name in document["jobs"] if name != "check"]


def test_words_of_the_workflows(scratch: helper.Scratch) -> None:
    """Every job of GitHub's, and the action as it is by default."""
    words = Words(scratch)
    (words.tree.parent / "head").symlink_to(words.tree)
    commands = set()
    for document, name in workflow_jobs(words):
        said = words.of_workflow(document, name)
        assert said, f"{name} asked for nothing"
        for line in said:
            words.check(line)
            commands.add((line[0], "--live" in line))
    assert commands == {("run", False), ("compare", False), ("compare", True), ("history", False)}, commands
    document = {"jobs": {"action": {"steps": [{"name": "ours", "uses": words.workflows.OURS}]}}}
    (line,) = words.of_workflow(document, "action")
    assert "access/read-or-map" in line
    words.check(line)


def test_words_of_gitlab(scratch: helper.Scratch) -> None:
    """Every job of GitLab's, in an order in which each has what it needs."""
    words = Words(scratch)
    origin = words.tree.rename(scratch.path / "origin")
    given = {"FAULTLINE_REPOSITORY": str(origin), "FAULTLINE_REF": words.commit, "FAULTLINE_HISTORY": "new"}
    document = words.workflows.load(words.workflows.GITLAB)
    for name in (name for name in document if name.startswith("faultline-")):
        for machine in ("one", "two") if "parallel" in document[name] else ("",):
            words.workflows.play_gitlab(name, words.workspace, {**given, "MACHINE": machine}, words.environment,
                                        words.service)
        said = words.said()
        assert said, f"{name} asked for nothing"
        for line in said:
            words.check(line)


def test_wrong_words_are_found(scratch: helper.Scratch) -> None:
    """Words in quotes, which no rule of the files sees."""
    words = Words(scratch)
    for file, job, old, new in (
        ("two-settings.yml", "preload", "--control 8", "--contrl 8"),
        ("two-settings.yml", "preload", "access/read-or-map", "access/read-or-maps"),
        ("two-settings.yml", "thp", "--budget 90s", "--words '--budgett 90s'"),
        ("two-settings.yml", "thp", "access/destination", "--words '--set recipe=write-3KiB' access/scan"),
        ("two-settings.yml", "mount", "--vary filesystem", "--vary filesystems"),
        ("matrix.yml", "measure", "access/scan", "access/scann"),
        ("nightly.yml", "nightly", "--machine-name nightly", "--machine-names nightly"),
    ):
        text = (words.workflows.GITHUB / file).read_text()
        assert old in text, (file, old)
        broken = scratch.path / "broken.yml"
        broken.write_text(text.replace(old, new))
        said = words.of_workflow(words.workflows.load(broken), job)
        try:
            for line in said:
                words.check(line)
        except AssertionError as error:
            wrong = set(new.replace("'", "").split()) - set(old.split())
            assert any(word in str(error) for word in wrong - {"--words", "--set"}), (file, new, error)
        else:
            raise AssertionError(f"{file}: {new} was not found")


helper.main(globals())
