# SPDX-License-Identifier: MIT
"""What runs faultline in continuous integration: workflow files by their rules, and every step of them on made runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

import fake_compare
import fake_run
import workflows
from conftest import ROOT
from faultline import ci_job, compare, report, verdict
from faultline.ci_job import Note
from workflows import GITHUB, WORKFLOWS, Cancel, Service

PULL_REQUEST = ROOT / ".github" / "workflows" / "pull-request.yml"
PROGRAM = """#!/bin/sh
# Stands for the program: `run` leaves a run made beforehand, `compare --live` compares two of them, everything else is
# the real command. What a comparison of the same words on the same runs wrote before is taken from there: it is slow.
command=$1
shift
if [ "$command" = run ]; then
    printf '%s\\n' "$*" >>"$FAKE_WORDS"
    while [ "$1" != --out ]; do shift; done
    if [ -n "$FAKE_HANG" ]; then
        mkdir -p "$2"
        trap 'echo interrupted >"'"$2"'/end"; exit 130' INT
        [ "$FAKE_HANG" != deaf ] || trap '' INT TERM
        echo one >"$2/trials.jsonl"
        while :; do sleep 0.05; done
    fi
    made=$FAKE_RUNS/$(basename "$(dirname "$2")")-$(basename "$2")
    [ -e "$made" ] || made=$FAKE_RUNS/single
    [ -n "$FAKE_NOTHING" ] || cp -r "$made" "$2"
    exit "${FAKE_STATUS:-0}"
fi
if [ "$command $1" = "compare --live" ]; then
    printf '%s\\n' "$*" >>"$FAKE_WORDS"
    while [ "$1" != --out ]; do shift; done
    set -- "$FAKE_RUNS/base-01" "$FAKE_RUNS/candidate-01" --out "$2"
fi
if [ "$command" = compare ] && [ -n "$FAKE_CACHE" ]; then
    kept=$FAKE_CACHE/$(printf '%s ' "$FAKE_RUNS" "$@" | sed "s|$HOME|~|g; s|--out [^ ]*||" | sha256sum | cut -c 1-16)
    if [ ! -e "$kept/status" ]; then
        status=0
        "$FAULTLINE_PYTHON" -m faultline.compare "$@" >/dev/null || status=$?
        mkdir -p "$kept"
        while [ "$1" != --out ]; do shift; done
        [ ! -e "$2" ] || cp -r "$2" "$kept/out"
        echo "$status" >"$kept/status"
    else
        while [ "$1" != --out ]; do shift; done
        [ ! -e "$kept/out" ] || { mkdir -p "$(dirname "$2")"; cp -r "$kept/out" "$2"; }
    fi
    exit "$(cat "$kept/status")"
fi
exec "$FAULTLINE_PYTHON" -m "faultline.$command" "$@"
"""


PYTHON = f"""#!/bin/sh
# Python, which has all modules that somebody asks for: to see so takes as long as a test.
[ "$1" != -c ] || exec echo "$0"
exec {sys.executable} "$@"
"""


def made_single(path: Path, **changes: Any) -> Path:
    """A run with its report, of the scenario access/scan, which is a file of the tree."""
    made = fake_compare.scenario(name="access/scan", **changes)
    fake_compare.run(path, scenarios=[made])
    report.main([str(path), "--no-plots"])
    return path


def made_sides(top: Path, base: float = 0.9, candidate: float = 0.9) -> Path:
    """Six runs a side that took turns."""
    for side, paths in zip(("base", "candidate"), fake_compare.many(top, {"a": base, "b": candidate}, 6)):
        for number, path in enumerate(paths, 1):
            path.rename(top / f"{side}-{number:02d}")
    return top


def edited(runs: Path, to: Path, **blocking: Any) -> Path:
    """The same runs, the candidate's on a machine that differs in this."""
    shutil.copytree(runs, to)
    for path in to.glob("candidate-*"):
        machine, manifest = (json.loads((path / name).read_text()) for name in ("machine.json", "manifest.json"))
        machine["blocking"].update(blocking)
        machine["hash"] = manifest["machine"] = fake_run.machine_hash(machine["blocking"])
        (path / "machine.json").write_text(json.dumps(machine))
        (path / "manifest.json").write_text(json.dumps(manifest))
        records = [json.loads(line) for line in (path / "trials.jsonl").read_text().splitlines()]
        for record in records:
            del record["crc32"]
            record["machine"] = machine["hash"]
        (path / "trials.jsonl").write_text("".join(map(fake_run.line, records)))
    return to


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single run, and six a side that took turns and are alike."""
    top = tmp_path_factory.mktemp("made")
    made_single(top / "single")
    return made_sides(top)


@pytest.fixture(scope="module")
def slower_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs a side, the candidate's slower."""
    return made_sides(tmp_path_factory.mktemp("slower"), candidate=1.1)


class Site:
    """A workspace whose tree of faultline has the program that stands for the real one, and nothing built."""

    def __init__(self, path: Path, runs: Path) -> None:
        self.path, self.workspace = path, path / "workspace"
        self.program = workflows.program_make(path / "faultline", PROGRAM)
        self.temporary = path / "temporary"
        self.temporary.mkdir()
        self.environment = {
            "PATH": workflows.system_make(path / "system"), "HOME": str(path),
            "FAULTLINE_PYTHON": str(workflows.program_make(path / "python", PYTHON)), "FAKE_CACHE": str(runs / "cache"),
            "PYTHONPATH": str(ROOT / "scripts"), "PYTHONPYCACHEPREFIX": str(runs / "pycache"),
            "PYTHONIOENCODING": "utf-8",
            "FAKE_RUNS": str(runs), "FAKE_WORDS": str(path / "words"), "RUNNER_TEMP": str(path / "runner"),
            "TMPDIR": str(self.temporary)}
        self.tree = workflows.tree_make(self.workspace / "faultline", self.program)
        self.service = Service(path / "service")

    def job(self, path: Path, name: str, known: dict[str, str] | None = None, cancel: Cancel | None = None,
            **environment: str) -> workflows.Played:
        """Plays a job of a workflow."""
        return self.steps(workflows.load(path)["jobs"][name]["steps"], known, cancel, **environment)

    def steps(self, steps: list[dict[str, Any]], known: dict[str, str] | None = None, cancel: Cancel | None = None,
              **environment: str) -> workflows.Played:
        """Plays steps."""
        variables = {**self.environment, **environment}
        return workflows.play(steps, self.workspace, known or {}, variables, self.service, cancel)

    def script(self, name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """A script of the tree, with nothing of GitHub's in the environment but what is given."""
        return subprocess.run([str(ROOT / "scripts" / name), *map(str, words)], cwd=self.workspace, text=True,
                              capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
                              env={**self.environment, **environment})

    def words(self) -> list[str]:
        """The command lines of the runs, without --out."""
        lines = (self.path / "words").read_text().splitlines()
        return [re.sub(r"--out \S+ ?", "", line) for line in lines]

    def kept(self, name: str) -> set[str]:
        """What an artifact holds: the members of its archive, without the first folder."""
        (archive,) = (self.service.artifacts / name).iterdir()
        with tarfile.open(archive) as packed:
            return {member.removeprefix("./") for member in packed.getnames()}

    def left(self) -> list[str]:
        """What lies in the workspace and where temporary files are made."""
        return sorted(one.name for place in (self.workspace, self.temporary) for one in place.iterdir())


@pytest.fixture
def site(tmp_path: Path, runs: Path) -> Site:
    return Site(tmp_path, runs)


@pytest.fixture
def github(tmp_path: Path) -> dict[str, str]:
    """The variables of a step."""
    return {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "page"), "GITHUB_OUTPUT": str(tmp_path / "out")}


# --- the files


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_keep_the_rules(path: Path) -> None:
    workflows.workflow_check(workflows.load(path))


def test_action_keeps_the_rules() -> None:
    workflows.action_check(workflows.load(workflows.ACTION))


def test_gitlab_keeps_the_rules() -> None:
    workflows.gitlab_check(workflows.load(workflows.GITLAB))


def test_all_workflows_are_there() -> None:
    assert {path.name for path in WORKFLOWS} == {"matrix.yml", "two-settings.yml", "nightly.yml", "pull-request.yml"}


@pytest.mark.parametrize(
    "file, old, new",
    [
        ("matrix.yml", "needs: measure", "needs: measured"),
        ("matrix.yml", "machine-name: ${{ matrix.machine }}", "machine-name: ${{ matrix.box }}"),
        ("matrix.yml", "budget: 300s", "budgets: 300s"),
        ("matrix.yml", "actions/checkout@v6", "actions/checkout@main"),
        ("matrix.yml", "contents: read", "contents: write"),
        ("matrix.yml", "timeout-minutes: 20", "timeout-minutes: 2000"),
        ("matrix.yml", "--report-only", "--report-alone"),
        ("matrix.yml", "  workflow_dispatch:", "  workflow_dispatched:"),
        ("matrix.yml", "artifact: faultline-run-${{ matrix.machine }}", "artifact: faultline-run-here"),
        ("matrix.yml", "pattern: faultline-run-*", "pattern: faultline-*-run"),
        ("matrix.yml", "--expect 2", "--expect 3"),
        ("matrix.yml", "name: faultline-board", "name: faultline-run-board"),
        ("matrix.yml", "if: ${{ !cancelled() }}", "if: ${{ !canceled() }}"),
        ("matrix.yml", "if: ${{ !cancelled() }}", "if: matrix.box == 'a'"),
        ("two-settings.yml", "steps.build.outputs.program", "steps.build.outputs.programme"),
        ("two-settings.yml", "id: build", "id: built"),
        ("two-settings.yml", "scripts/ci-pack", "scripts/ci-pick"),
        ("two-settings.yml", "$(faultline/scripts/ci-build)", "$(faultline/scripts/ci-build"),
        ("two-settings.yml", "--base \"'$PROGRAM'\"", "--base \"${{ steps.build.outputs.program }}\""),
        ("two-settings.yml", "if: ${{ always() }}", "if: ${{ always() && }}"),
        ("two-settings.yml", "if: ${{ always() }}", "if: always() ${{ true }}"),
        ("two-settings.yml", "name: faultline-mount", "name: faultline-thp"),
        ("nightly.yml", "COMMIT: ${{", "COMMITTED: ${{"),
        ("nightly.yml", "        id: build\n", "        id: build\n        uses: actions/cache@v4\n"),
        ("nightly.yml", "name: faultline-nightly\n", "name: faultline-nightly\n          name: x\n"),
        ("nightly.yml", "inputs.index == ''", "inputs.indexes == ''"),
    ],
)
def test_the_rules_find_mistakes(tmp_path: Path, file: str, old: str, new: str) -> None:
    text = (GITHUB / file).read_text()
    assert old in text
    broken = tmp_path / file
    broken.write_text(text.replace(old, new))
    with pytest.raises((AssertionError, KeyError)):
        workflows.workflow_check(workflows.load(broken))


@pytest.mark.parametrize(
    "old, new",
    [
        ("variables:\n", "stages: [measure]\nvariables:\n"),
        ("  stage: test", "  stage: measure"),
        ('    - if: $FAULTLINE_JOB == "nightly"', "    - when: always"),
        ("  resource_group: faultline-$MACHINE\n", ""),
        ("faultline-board:", "board:"),
        ("scripts/ci-pack", "scripts/ci-pick"),
        ("$FAULTLINE_REF", "$FAULTLINE_REV"),
    ],
)
def test_the_rules_of_gitlab_find_mistakes(tmp_path: Path, old: str, new: str) -> None:
    text = workflows.GITLAB.read_text()
    assert old in text
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace(old, new))
    with pytest.raises((AssertionError, KeyError)):
        workflows.gitlab_check(workflows.load(broken))


@pytest.mark.parametrize(
    "text, state, holds",
    [("always()", "failure", True), ("!cancelled() && a.b == 'x'", "failure", True), ("success()", "failure", False),
     ("failure() || (a.b != 'x')", "success", False), ("always() && c.d == ''", "cancelled", True)],
)
def test_conditions(text: str, state: str, holds: bool) -> None:
    assert workflows.Condition(text, {"a.b": "x"}, state).value() is holds


# --- their jobs


def test_several_machines(site: Site, tmp_path: Path) -> None:
    """Each machine of the matrix with the inputs of its job, its artifact carried to the board's job. Then once more in
    the same workspaces: on a runner of one's own nothing is in the way. One machine that left nothing is told."""
    document = workflows.load(GITHUB / "matrix.yml")
    machines = document["jobs"]["measure"]["strategy"]["matrix"]["machine"]
    for number, machine in enumerate(machines):
        made = fake_compare.scenario(name="access/scan")
        fake_compare.run(tmp_path / machine / "single", seed=number, name=machine, boot=machine, scenarios=[made],
                         blocking={"cpu_model": machine, "kernel_release": f"6.{number}"})
        report.main([str(tmp_path / machine / "single"), "--no-plots"])
    for night in range(2):
        for machine in machines:
            played = site.job(GITHUB / "matrix.yml", "measure", {"matrix.machine": machine},
                              FAKE_RUNS=str(tmp_path / machine))
            assert played.failed is None and played.uploads == {f"faultline-run-{machine}": True}, played.said
        played = site.job(GITHUB / "matrix.yml", "board")
        assert played.failed is None and played.uploads == {"faultline-board": True}, played.said
        page = played.pages["Board"]
        assert page.startswith("# faultline board") and all(f"- {machine}: " in page for machine in machines), page
        assert "expected" not in page
        assert re.search(r"artifact  \S+/faultline-board.tar.gz \(\d+ bytes\)", played.said)
        found = json.loads((site.path / "runner" / "board" / "board.json").read_text())
        assert found["rows"] and {one["key"] for one in found["fingerprint_diff"]} >= {"cpu_model", "kernel_release"}
        assert found["counts"]["agree"] == 1 and [one["label"] for one in found["machines"]] == machines
    assert [f"--machine-name {machine} access/read-or-map access/scan" in words
            for machine, words in zip(machines * 2, site.words())] == [True] * 4
    assert site.left() == ["faultline"], "nothing of a job is left in the workspace"


def test_a_setting_that_is_preloaded(site: Site) -> None:
    played = site.job(GITHUB / "two-settings.yml", "preload")
    assert played.failed is None and played.uploads == {"faultline-preload": True}, played.said
    (words,) = site.words()
    library = site.path / "runner" / "preload.so"
    assert words == (f"--live '{site.program}' env LD_PRELOAD='{library}' '{site.program}' access/read-or-map "
                     "--profile quick --budget 300s --control 8 --quiet")
    assert library.stat().st_size and "| `candidate` |" in played.pages["Without it and with it"]


def test_a_setting_of_the_machine(site: Site, runs: Path, tmp_path: Path) -> None:
    """It is another one for each side, declared, and put back. Twice in one workspace."""
    setting = tmp_path / "enabled"
    setting.write_text("always [madvise] never\n")
    steps = workflows.load(GITHUB / "two-settings.yml")["jobs"]["thp"]["steps"]
    (turns,) = (step for step in steps if step["name"] == "Runs in turns")
    turns["env"]["SETTING"] = str(setting)
    made = edited(runs, tmp_path / "thp", thp={"enabled": "always"})
    for _ in range(2):
        played = site.steps(steps, FAKE_RUNS=str(made))
        assert played.failed is None and played.uploads == {"faultline-thp": True}, played.said
        assert setting.read_text() == "madvise\n" and "| `candidate` |" in played.pages["Compare"]
    assert site.left() == ["faultline"] and len(site.words()) == 24
    assert re.search(r"artifact  \S+/faultline-thp.tar.gz \(\d+ bytes\)", played.said)
    assert {"sides/candidate/06/trials.jsonl", "board/board.md"} <= site.kept("faultline-thp")


def test_two_mounts(site: Site, runs: Path, tmp_path: Path) -> None:
    made = edited(runs, tmp_path / "mounts", filesystem={"type": "ext4", "options": "nobarrier,rw"})
    played = site.job(GITHUB / "two-settings.yml", "mount", FAKE_RUNS=str(made))
    assert played.failed is None and played.uploads == {"faultline-mount": True}, played.said
    sides = [re.search(r"--directory \S+/(\w+)$", words)[1] for words in site.words()]
    assert sides == ["base", "candidate", "candidate", "base"] * 3
    assert not list((site.path / "runner").glob("*/.mounted")), "unmounted"


def test_what_is_not_declared_fails(site: Site, runs: Path, tmp_path: Path) -> None:
    """The words that declare a setting matter: without them the comparison is refused."""
    made = edited(runs, tmp_path / "mounts", filesystem={"type": "ext4", "options": "nobarrier,rw"})
    steps = workflows.load(GITHUB / "two-settings.yml")["jobs"]["mount"]["steps"]
    for step in steps:
        step["run"] = step.get("run", "").replace(" --vary filesystem", "") if "run" in step else None
    steps = [{key: value for key, value in step.items() if value is not None} for step in steps]
    played = site.steps(steps, FAKE_RUNS=str(made))
    assert played.failed == "Compare" and played.statuses["Compare"] == 6, played.said


@pytest.mark.parametrize("ended, failed", [("5", "Runs in turns"), ("4", None)])
def test_a_side_that_fails(site: Site, runs: Path, tmp_path: Path, ended: str, failed: str | None) -> None:
    made = edited(runs, tmp_path / "mounts", filesystem={"type": "ext4", "options": "nobarrier,rw"})
    played = site.job(GITHUB / "two-settings.yml", "mount", FAKE_STATUS=ended, FAKE_RUNS=str(made))
    assert played.failed == failed and played.uploads == {"faultline-mount": True}, played.said
    assert len(site.words()) == (1 if failed else 12) and "Unmount" in played.statuses
    assert not failed or played.statuses[failed] == 5


def test_the_slower_side_fails_the_job(site: Site, slower_runs: Path) -> None:
    played = site.job(GITHUB / "two-settings.yml", "mount", FAKE_RUNS=str(slower_runs))
    assert played.failed == "Compare" and played.statuses["Compare"] == 1, played.said
    assert played.uploads == {"faultline-mount": True}
    assert "::error title=SLOWER%3A access/read-or-map" in played.said


NIGHTLY = GITHUB / "nightly.yml"


def test_nightly(site: Site) -> None:
    """A first night by hand, a second one on its index; one that brings it back from an artifact, after the cache was
    lost; and one that has lost it without a word."""
    workflows.repository_make(site.tree)

    def night(run: str, index: str = "") -> workflows.Played:
        known = {"github.run_id": run, "github.run_attempt": "1", "inputs.index": index}
        return site.job(NIGHTLY, "nightly", known)

    played = night("1", "new")
    assert played.failed is None and played.uploads == {"faultline-nightly": True}, played.said
    page = played.pages["History"]
    assert "1 runs in the index; of the last one 0 of " in page and "17 runs on one unchanged machine" in page
    assert "::warning title=the history judges nothing yet::1 runs" in played.said
    assert played.pages["The program against itself, live"] and played.pages["Nothing may differ"]
    assert all("--machine-name nightly" in words for words in site.words() if not words.startswith("--live"))
    assert site.words()[0] == (f"--live '{site.program}' '{site.program}' access/read-or-map access/scan "
                               "--profile quick --budget 120s --quiet")
    played = night("2")
    assert played.failed is None and "there already" in played.said and "1 runs in the index" in played.pages["History"]
    shutil.rmtree(site.service.caches)
    site.service.caches.mkdir()
    played = night("3", index="2")
    assert played.failed is None and "there already" in played.said, played.said
    assert [one.name for one in site.service.caches.iterdir()] == ["faultline-history-3-1"]
    shutil.rmtree(site.service.caches / "faultline-history-3-1")
    played = night("4")
    assert played.statuses["History"] == 7 and "there is no index" in played.said
    assert not list(site.service.caches.iterdir()), "an index that nobody asked for is not kept"
    assert played.uploads == {"faultline-nightly": True}


def test_nightly_fails_on_any_difference(site: Site, slower_runs: Path, tmp_path: Path) -> None:
    """A program that is faster than itself is as suspicious as one that is slower."""
    made = tmp_path / "turned"
    made.mkdir()
    for path in slower_runs.iterdir():
        side, _, number = path.name.partition("-")
        (made / f"{'base' if side == 'candidate' else 'candidate'}-{number}").symlink_to(path)
    steps = workflows.load(NIGHTLY)["jobs"]["nightly"]["steps"]
    board = [step for step in steps if step["name"] == "Nothing may differ"]
    sides = site.path / "runner" / "sides"
    job = workflows.Job(site.workspace, {**site.environment, "FAKE_RUNS": str(made)})
    for path in made.iterdir():
        side, _, number = path.name.partition("-")
        (sides / side).mkdir(parents=True, exist_ok=True)
        (sides / side / number).symlink_to(path)
    played = job.steps(board, {"steps.build.outputs.program": str(site.program), "steps.build.outcome": "success"}, {})
    assert played.statuses == {"Nothing may differ": 1}, played.said


def test_pull_request(site: Site) -> None:
    """Built are the merge of the change, and what main has by now: its first parent, not the commit where it began."""
    head = workflows.tree_make(site.workspace / "head", site.program)
    workflows.repository_make(head)
    workflows.git(head, "checkout", "-q", "-b", "change")
    (head / "changed").touch()
    workflows.git_commit(head, "change")
    workflows.git(head, "checkout", "-q", "main")
    (head / "moved").touch()
    workflows.git_commit(head, "main moves")
    workflows.git(head, "merge", "-q", "--no-ff", "-m", "merge", "change")
    for _ in range(2):
        played = site.job(PULL_REQUEST, "compare")
        assert played.failed is None and played.uploads == {"faultline-live": True}, played.said
        base = site.path / "runner" / "base"
        assert (base / "moved").exists() and not (base / "changed").exists() and (head / "changed").exists()
    assert set(played.outputs["build"]) == {"base", "head"} and site.left() == ["faultline", "head"]
    sides = f"'{site.program}' '{site.program}'"
    assert site.words()[0].startswith(f"--live {sides} {base}/scenarios/access/read-or-map.yaml")
    assert site.words()[0].endswith("--profile quick --budget 300s --control 8 --quiet")
    assert "| `candidate` |" in played.pages["Compare them live, by the scenarios as they were"]


def play_action(site: Site, cancel: Cancel | None = None, **environment: str) -> workflows.Played:
    """The action with inputs of a user's."""
    given = {"scenarios": "access/scan\nfloor", "machine-name": "box 1",
             "arguments": "--set recipe=write-4KiB --arms 'pread,mapped in place'"}
    return site.steps([{"name": "ours", "uses": workflows.OURS, "with": given}], cancel=cancel, **environment)


def test_action(site: Site) -> None:
    played = play_action(site)
    assert played.failed is None, played.said
    assert site.words() == ["--quiet --profile quick --budget 300s --machine-name box 1 access/scan floor "
                            "--set recipe=write-4KiB --arms pread,mapped in place"]
    build = str(site.workspace / "faultline" / "build" / "release")
    assert played.outputs["build"] == {"key": "0123", "folder": build} and played.uploads == {"faultline-run": True}
    outputs = played.outputs["run"]
    assert set(outputs) == workflows.SCRIPT_OUTPUTS["ci-run"] and played.said.count("artifact  ") == 1
    summary = json.loads((Path(outputs["directory"]) / "summary.json").read_text())
    assert outputs["status"] == "0" and outputs["noise_grade"] == summary["noise_grade"]
    assert {name: int(outputs[name]) for name in ("faster", "slower", "same", "cannot_tell", "invalid")} == {
        name.lower().replace(" ", "_"): count for name, count in summary["verdicts"].items()}
    document = workflows.load(workflows.ACTION)
    for given in document["outputs"].values():
        step, _, name = workflows.expressions(given)[0].strip().removeprefix("steps.").partition(".outputs.")
        assert name in played.outputs[step], given


def test_action_keeps_the_build(site: Site) -> None:
    built = site.tree / "build" / "release"
    built.mkdir(parents=True)
    (built / "faultline").touch()
    assert play_action(site).outputs["cache"] == {"cache-hit": "false"}
    shutil.rmtree(built)
    assert play_action(site).outputs["cache"] == {"cache-hit": "true"} and (built / "faultline").exists()


def test_action_uploads_after_a_failure(site: Site) -> None:
    played = play_action(site, FAKE_STATUS="5")
    assert played.failed == "Run" and played.statuses["Run"] == 5 and played.uploads == {"faultline-run": True}
    assert played.outputs["run"]["status"] == "5" and played.pages["Run"]


def test_action_without_any_run(site: Site) -> None:
    played = play_action(site, FAKE_STATUS="2", FAKE_NOTHING="yes")
    assert played.failed == "Run" and played.statuses["Run"] == 2 and played.uploads == {"faultline-run": False}
    assert played.outputs["run"]["directory"] == "" and "::error title=faultline run::status 2" in played.said


def test_a_cancelled_action(site: Site) -> None:
    """The program hears of it, although the runner signals one process; what there is by then is uploaded."""
    run = site.path / "runner" / "faultline" / "faultline-run"
    cancel = Cancel("Run", (run / "trials.jsonl").exists)
    played = play_action(site, cancel, FAKE_HANG="yes")
    assert played.cancelled and played.uploads == {"faultline-run": True} and played.statuses["Run"] == 130, played.said
    assert {"faultline-run/trials.jsonl", "faultline-run/end"} <= site.kept("faultline-run")


def test_an_action_that_does_not_end(site: Site) -> None:
    """The runner ends all of it, and what there is by then is uploaded."""
    run = site.path / "runner" / "faultline" / "faultline-run"
    cancel = Cancel("Run", (run / "trials.jsonl").exists, wait_s=0.2)
    played = play_action(site, cancel, FAKE_HANG="deaf")
    assert played.uploads == {"faultline-run": True} and "Pack, where the run was ended" in str(played.statuses)
    assert site.kept("faultline-run") == {"faultline-run", "faultline-run/trials.jsonl"}


@pytest.mark.parametrize("name, step", [("mount", "Runs in turns")])
def test_a_cancelled_comparison(site: Site, name: str, step: str) -> None:
    side = site.path / "runner" / "sides" / "base" / "01"
    cancel = Cancel(step, (side / "trials.jsonl").exists)
    played = site.job(GITHUB / "two-settings.yml", name, cancel=cancel, FAKE_HANG="yes")
    assert played.cancelled and "Compare" not in played.statuses and played.uploads == {"faultline-mount": True}
    assert {"sides/base/01/trials.jsonl", "sides/base/01/end"} <= site.kept("faultline-mount")


# --- GitLab


def gitlab(site: Site, name: str, **variables: str) -> workflows.PlayedGitlab:
    """A job of GitLab's with faultline at a commit that is neither branch nor tag."""
    if not (site.tree / ".git").exists():
        site.commit = workflows.repository_make(site.tree)
        workflows.git_commit(site.tree, "another")
        site.tree = site.tree.rename(site.path / "origin")
    given = {"FAULTLINE_REPOSITORY": str(site.tree), "FAULTLINE_REF": site.commit, **variables}
    return workflows.play_gitlab(name, site.workspace, given, site.environment, site.service)


def test_gitlab_machines(site: Site, tmp_path: Path) -> None:
    document = workflows.load(workflows.GITLAB)
    (machines,) = (one["MACHINE"] for one in document["faultline-measure"]["parallel"]["matrix"])
    for number, machine in enumerate(machines):
        made = fake_compare.scenario(name="access/scan")
        fake_compare.run(tmp_path / machine / "single", seed=number, name=machine, boot=machine, scenarios=[made],
                         blocking={"cpu_model": machine})
        site.environment["FAKE_RUNS"] = str(tmp_path / machine)
        played = gitlab(site, "faultline-measure", MACHINE=machine)
        assert played.artifacts == [f"runs/{machine}.tar.gz"], played.said
        assert workflows.git(site.workspace / "faultline", "rev-parse", "HEAD") == site.commit
    played = gitlab(site, "faultline-board")
    assert played.status == 0 and played.artifacts == ["out/faultline-board.tar.gz"], played.said
    board = (site.workspace / "out" / "board" / "board.md").read_text()
    assert board.startswith("# faultline board") and all(f"- {machine}: " in board for machine in machines)
    assert re.search(r"artifact  out/faultline-board.tar.gz \(\d+ bytes\)", played.said)


def test_gitlab_settings(site: Site) -> None:
    played = gitlab(site, "faultline-settings")
    assert played.status == 0 and played.artifacts == ["out/faultline-settings.tar.gz"], played.said
    (words,) = site.words()
    library = site.workspace / "out" / "preload.so"
    assert words.startswith(f"--live '{site.program}' env LD_PRELOAD='{library}' '{site.program}' access/read-or-map")


def test_gitlab_nightly(site: Site, slower_runs: Path) -> None:
    """A first night and a second one on its index, of a program that differs from itself; one that has lost it."""
    site.environment["FAKE_RUNS"] = str(slower_runs)
    played = gitlab(site, "faultline-nightly", FAULTLINE_HISTORY="new")
    assert played.status == 1 and played.artifacts == ["out/faultline-nightly.tar.gz"], played.said
    assert "1 runs in the index" in played.said
    assert "there already" in gitlab(site, "faultline-nightly").said
    shutil.rmtree(site.service.caches / "history")
    played = gitlab(site, "faultline-nightly")
    assert played.status == 7 and "there is no index" in played.said
    assert played.artifacts == ["out/faultline-nightly.tar.gz"]


def test_gitlab_packs_after_a_failure(site: Site) -> None:
    """What comes after is of a shell that knows nothing of the first."""
    site.environment["FAKE_STATUS"] = "5"
    played = gitlab(site, "faultline-nightly", FAULTLINE_HISTORY="new")
    assert played.status == 5 and played.artifacts == ["out/faultline-nightly.tar.gz"], played.said


# --- ci-run by itself


def test_run_outside_of_github(site: Site) -> None:
    done = site.script("ci-run", "--program", site.program, "access/scan")
    assert done.returncode == 0, done.stderr
    assert site.left() == ["faultline", "faultline-run", "faultline-run.tar.gz"] and "::error" not in done.stdout
    size = (site.workspace / "faultline-run.tar.gz").stat().st_size
    assert f"faultline-run.tar.gz ({size} bytes)" in done.stdout
    with tarfile.open(site.workspace / "faultline-run.tar.gz") as archive:
        assert {"./faultline-run/trials.jsonl", "./faultline-run/summary.md"} <= set(archive.getnames())
    assert site.script("ci-run", "--program", site.program, "access/scan").returncode == 2, "the directory is there"


@pytest.mark.parametrize(
    "ended, fail_on, status",
    [(4, "invalid", 4), (3, "never", 0), (4, "broken", 0), (4, "never", 0), (4, "undecided", 4), (5, "broken", 5),
     (5, "never", 0), (7, "broken", 7), (7, "never", 0), (0, "undecided", 3), (0, "invalid", 0), (2, "never", 2), (130, "never", 130)],
)
def test_what_fails_a_job(ended: int, fail_on: str, status: int) -> None:
    assert ci_job.run_status(ended, fail_on, undecided=1) == status
    assert ci_job.run_status(0, fail_on, undecided=0) == 0


@pytest.mark.parametrize(
    "words",
    [[], ["--fail-on", "slower", "x"], ["--out"], ["--words", "it's", "x"], ["--nothing", "x"], ["--out", "", "x"]],
)
def test_run_usage(site: Site, words: list[str]) -> None:
    done = site.script("ci-run", "--program", site.program, *words)
    assert done.returncode == 2 and done.stderr and site.left() == ["faultline"]


def test_no_half_archive_is_left(site: Site) -> None:
    (site.workspace / "faultline-run.tar.gz").mkdir()
    (site.workspace / "faultline-run.tar.gz" / "faultline-run.tar.gz.part").mkdir()
    done = site.script("ci-run", "--program", site.program, "access/scan")
    assert done.returncode == 7 and "could not be packed" in done.stderr
    assert site.left() == ["faultline", "faultline-run", "faultline-run.tar.gz"]


def test_run_fails_with_annotations(site: Site, github: dict[str, str], tmp_path: Path) -> None:
    def fail(value: dict[str, Any]) -> None:
        reason = "100 %: shrank,\r\nthen SIGBUS"
        value["arms"][1].update(status="failed", reason=reason, batch_ns=[], order=[], voided=[])

    broken = tmp_path / "broken" / "single"
    cells = fake_run.product(block_bytes=[1 << power for power in range(6, 20)])
    fake_compare.run(broken, scenarios=[fake_compare.scenario(name="access/scan", cells=cells, trials=6)], damage=fail)
    assert report.main([str(broken), "--no-plots"]) == 5
    done = site.script("ci-run", "--program", site.program, "access/scan", **github, FAKE_STATUS="5",
                       FAKE_RUNS=str(broken.parent))
    assert done.returncode == 5, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert len(lines) == 10 and lines[-1].endswith("::and 6 more: see the job's summary"), lines
    start = "::error file=scenarios/access/scan.yaml,title=failed%3A access/scan"
    assert all(line.startswith(start) for line in lines[:9])
    assert "100 %25: shrank," in lines[0] and Path(github["GITHUB_STEP_SUMMARY"]).stat().st_size < 1 << 20


# --- what is told


def test_annotations_are_escaped() -> None:
    assert ci_job.command(Note("a:b,c%\n", "50 %: x,\r\ny", "f,g:h"), True) == (
        "::error file=f%2Cg%3Ah,title=a%3Ab%2Cc%25%0A::50 %25: x,%0D%0Ay")
    assert ci_job.command(Note("t", "m"), False) == ci_job.command(Note("t", "m", mild=True), True) == (
        "::warning title=t::m")
    assert len(ci_job.commands([Note("t", str(n)) for n in range(10)], True)) == 10
    many = ci_job.commands([Note("t", str(n)) for n in range(25)], True)
    assert len(many) == 10 and many[8].endswith("::8") and "and 16 more" in many[9]


def test_outputs_hold_any_text(tmp_path: Path) -> None:
    values = {"one": "a\nfaultline-0\nb=c\n<<EOF", "two": "", "three": "x"}
    ci_job.outputs_add(values, {"GITHUB_OUTPUT": str(tmp_path / "out")})
    assert workflows.output_values(tmp_path / "out") == values


def test_page_stays_below_its_limit(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("before\n")
    parts = [(f"side{n}", "ä" * 30000 + "\n") for n in range(20)]
    ci_job.page_add(parts, {"GITHUB_STEP_SUMMARY": str(page)})
    text = page.read_text()
    assert ci_job.PAGE_BYTES - 61000 < page.stat().st_size <= ci_job.PAGE_BYTES
    assert text.startswith("before\n") and "side17" in text.splitlines()[-1] and "side0," not in text
    page.write_text("x" * ci_job.PAGE_BYTES)
    ci_job.page_add(parts, {"GITHUB_STEP_SUMMARY": str(page)})
    assert page.stat().st_size == ci_job.PAGE_BYTES
    ci_job.page_add(parts, {})


def test_file_of_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.yaml").touch()
    inside = {"GITHUB_WORKSPACE": str(tmp_path / "mine")}
    above = {"GITHUB_WORKSPACE": str(tmp_path)}
    assert ci_job.scenario_file("own", above, ["run", "./mine/own.yaml"]) == "mine/own.yaml"
    assert ci_job.scenario_file("own", inside, ["run", str(tmp_path / "mine" / "own.yaml")]) == "own.yaml"
    assert ci_job.scenario_file("wn", inside, ["own.yaml"]) is None
    assert ci_job.scenario_file("own", inside, ["../own.yaml"]) is None
    assert ci_job.scenario_file("own", {}, ["own.yaml"]) is None


@pytest.mark.parametrize(
    "statuses, status",
    [([0, 0], 0), ([3, 1], 1), ([1, 4], 4), ([4, 5, 6], 6), ([6, 7], 7), ([7, 2], 2), ([2, 130], 130)],
)
def test_status_of_several(statuses: list[int], status: int) -> None:
    assert ci_job.worst(statuses) == status


def sides_of(site: Site, **made: Path) -> Path:
    """A folder of sides, whose comparisons are those of no other test."""
    site.environment["FAKE_CACHE"] = ""
    sides = site.workspace / "sides"
    for name, path in made.items():
        shutil.copytree(path, sides / name)
    return sides


def test_a_side_that_cannot_be_read(site: Site, github: dict[str, str], runs: Path) -> None:
    sides = sides_of(site, a=runs / "base-01", c=runs / "candidate-01")
    (sides / "b").mkdir()
    done = site.script("ci-compare", "--program", site.program, "--sides", sides, "--report-only", **github)
    assert done.returncode == 7 and "nothing was compared%3A b" in done.stdout, done.stderr
    assert "| `b` |  |  |  |  |  | 7: nothing was compared |" in Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    outputs = workflows.output_values(Path(github["GITHUB_OUTPUT"]))
    found = json.loads((site.workspace / "faultline-board" / "c" / "compare.json").read_text())
    assert outputs["status"] == "7" and int(outputs["cannot_tell"]) == found["counts"]["CANNOT TELL"]


def test_what_was_not_compared_is_no_green(site: Site, github: dict[str, str], tmp_path: Path, runs: Path) -> None:
    """--report-only is about what was found, not about there being nothing: refused, unlike, nothing in common."""
    unlike = fake_compare.run(tmp_path / "unlike", hashed="f" * 32)
    other = fake_compare.run(tmp_path / "other", scenarios=[fake_compare.scenario(name="another")])
    refused = fake_compare.run(tmp_path / "refused", seed=9, blocking={"kernel_release": "6.9"})
    base = fake_compare.run(tmp_path / "base", seed=5)
    sides = sides_of(site, a=base, other=other, refused=refused, unlike=unlike)
    ended = {}
    for name in ("other", "refused", "unlike"):
        done = site.script("ci-compare", "--program", site.program, "--report-only", "--out", name, sides / "a",
                           sides / name, **github)
        ended[name] = done.returncode
        assert "::error" in done.stdout and "::warning" not in done.stdout, done.stdout
    assert ended == {"other": 7, "refused": 6, "unlike": 7}
    page = Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    assert len(re.findall(r"\| \d: not compared: \w+", page)) == 3, page
    assert "not comparable%3A refused" in done.stdout or "not compared%3A unlike" in done.stdout


def test_sides_that_are_missing(site: Site, github: dict[str, str], runs: Path) -> None:
    sides = sides_of(site, a=runs / "base-01", b=runs / "candidate-01")
    words = ["--program", site.program, "--report-only", "--sides", sides, "--expect"]
    done = site.script("ci-compare", *words, "3", "--out", "three", **github)
    assert done.returncode == 7 and "::error title=not all sides are there::3 sides expected, 2 there" in done.stdout
    assert "**3 sides expected, 2 there**" in Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    assert site.script("ci-compare", *words, "2", "--out", "two", **github).returncode == 0


def test_a_board_over_machines(site: Site, github: dict[str, str], tmp_path: Path) -> None:
    """Who wins where, what is not the same, what is missing; nothing on it is no green."""
    def machine(name: str, seed: int, **changes: Any) -> Path:
        return fake_compare.run(tmp_path / name, seed, [fake_compare.scenario(**changes)], name=name, boot=name,
                                blocking={"cpu_model": name})

    sides = sides_of(site, a=machine("a", 1), b=machine("b", 2, fast=1.4), c=machine("c", 3, op="page touched"))
    words = ["--program", site.program, "--board", "--report-only", "--expect"]
    done = site.script("ci-compare", *words, "2", "--out", "two", sides / "a", sides / "b", **github)
    assert done.returncode == 0, done.stderr
    assert "::warning title=the winner is not the same on all machines%3A access/read-or-map all fast::" in done.stdout
    assert "::error" not in done.stdout
    outputs = workflows.output_values(Path(github["GITHUB_OUTPUT"]))
    assert outputs["status"] == "0" and int(outputs["runs_differ"]) >= 1 and outputs["real_difference"] == "0"
    assert Path(outputs["board"]).read_text() in Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    done = site.script("ci-compare", *words, "4", "--out", "three", "--sides", sides, **github)
    assert done.returncode == 7 and "::error title=not the same on c%3A access/read-or-map all::" in done.stdout
    assert "**4 sides expected, 3 there**" in Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    done = site.script("ci-compare", *words, "2", "--out", "none", sides / "a", sides / "c", **github)
    assert done.returncode == 7
    done = site.script("ci-compare", *words, "2", "--out", "bad", sides / "a", site.workspace / "absent", **github)
    assert done.returncode == 7 and "no board was made" in done.stdout
    assert site.script("ci-compare", *words, "2", "--base", "a", "--sides", sides).returncode == 2


def test_a_board_on_which_nothing_can_be_told(tmp_path: Path) -> None:
    counts = {"real difference": 0, "settings": 0, "page size": 0, "runs differ": 0, "cannot tell": 2, "runs agree": 0,
              "agree": 0, "one machine": 1}
    (tmp_path / "board.json").write_text(json.dumps({"counts": counts, "rows": [], "machines": [], "left_out": []}))
    (tmp_path / "board.md").write_text("")
    assert ci_job.board_told(tmp_path, 3, 2, False, 0, {}) == 3 and ci_job.board_told(tmp_path, 3, 2, True, 0, {}) == 0
    assert ci_job.board_told(tmp_path, 6, 2, True, 0, {}) == 6


def test_what_was_found_is_a_warning_where_it_fails_nothing(
    site: Site, github: dict[str, str], slower_runs: Path, tmp_path: Path
) -> None:
    for side in ("base", "candidate"):
        (tmp_path / side).mkdir()
        for path in slower_runs.glob(f"{side}-*"):
            (tmp_path / side / path.name).symlink_to(path)
    for words, status, level in (
        ([], 1, "error"), (["--report-only"], 0, "warning"), (["--fail-on", "never"], 0, "warning"),
    ):
        done = site.script("ci-compare", "--program", site.program, *words, "--out", f"board-{len(words)}",
                           tmp_path / "base", tmp_path / "candidate", **github)
        assert done.returncode == status and ",title=SLOWER%3A" in done.stdout, done.stdout
        assert {line.split()[0] for line in done.stdout.splitlines() if "title=SLOWER" in line} == {f"::{level}"}


def row(told: str, detectable: float | None = None) -> dict[str, Any]:
    """A row of compare.json."""
    return {"verdict": told, "scenario": "s", "cell": "c", "arm": "a", "quantity": "ratio", "why": None,
            "change": {"estimate": None}, "detectable": detectable}


def written(out: Path, rows: list[dict[str, Any]], left: list[dict[str, str]]) -> Path:
    """A comparison that ended with 0."""
    (out / "x").mkdir(parents=True)
    counts = {name: sum(one["verdict"] == name for one in rows) for name in ci_job.VERDICTS}
    found = {"rows": rows, "counts": counts, "refused": [], "left_out": left, "conclusion": "nothing | at all"}
    (out / "x" / "compare.json").write_text(json.dumps(found))
    (out / "x" / "compare.md").write_text("")
    return out


def test_what_is_open_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    github = {"GITHUB_ACTIONS": "true"}
    some = written(tmp_path / "some", [row("SAME"), row("CANNOT TELL", 0.02), row("CANNOT TELL", 0.051)], [])
    assert ci_job.compare_told(some, "base", ["x=0"], False, 0, github) == 0
    assert capsys.readouterr().out == (
        "::warning title=CANNOT TELL%3A x::2 of 3 rows; a change below 2 %25 to 5.1 %25 would not have been seen\n")
    none = written(tmp_path / "none", [row("CANNOT TELL"), row("CANNOT TELL")], [])
    assert ci_job.compare_told(none, "base", ["x=0"], False, 0, github) == 3
    assert "2 of 2 rows; how large a change that hides is unknown" in capsys.readouterr().out
    assert "3: nothing could be told" in (none / "board.md").read_text()
    assert ci_job.compare_told(none, "base", ["x=0"], True, 0, github) == 0
    left = written(tmp_path / "left", [row("SAME")], [{"scenario": "s|t", "reason": "gone"}])
    capsys.readouterr()
    assert ci_job.compare_told(left, "base", ["x=6"], True, 0, github) == 6
    assert capsys.readouterr().out == "::error title=not compared%3A x%3A s|t::gone\n"
    empty = written(tmp_path / "empty", [], [])
    assert ci_job.compare_told(empty, "base", ["x=7"], True, 0, github) == 7
    assert "| 7: not compared: nothing \\| at all |" in (empty / "board.md").read_text()


def test_a_run_that_tells_nothing_says_so(runs: Path) -> None:
    summary = json.loads((runs / "single" / "summary.json").read_text())
    summary.update(cells=[], problems=[], verdicts={**dict.fromkeys(summary["verdicts"], 0), "CANNOT TELL": 3})
    (note,) = ci_job.run_notes(summary, {})
    assert note.mild and "all 3 comparisons" in note.message
    summary["verdicts"]["SAME"] = 1
    assert not ci_job.run_notes(summary, {})


def test_words_are_those_of_the_analysis() -> None:
    """What is written down twice, so that a job need not load the analysis, is the same."""
    assert sorted(ci_job.VERDICTS) == sorted(verdict.VERDICTS)
    order = re.search(r"When several apply: ([\d, ]+)\.", compare.__doc__ or "")
    assert order and tuple(map(int, order[1].split(", "))) == ci_job.PRECEDENCE


@pytest.mark.parametrize("valid, told", [(16, "0 of 1"), (17, "1 of 1")])
def test_a_history_says_when_it_can_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, valid: int, told: str
) -> None:
    """Of the last run's series: those of a machine that is gone have had their time."""
    from faultline import history_index, history_run

    index = tmp_path / "history.sqlite"
    with history_index.index_open(index, write=True) as connection:
        for number in range(20 + valid):
            machine = "gone" if number < 20 else "here"
            figure = history_run.Figure("s", "h", "c", "a", "m", 1, "candidate", 0.01, "ratio", 1.0, 0.9, 1.1, "SAME",
                                        10)
            started = f"2026-01-01T00:{number:02d}:00.000Z"
            run = history_run.RunFigures("", started, 1, machine, machine, {}, "", "", "", "", "", "", None, 10, "", (figure,))
            history_index.run_add(connection, run, "")
    assert ci_job.history_told(index, "table", {"GITHUB_ACTIONS": "true"}) == 0
    said = capsys.readouterr().out
    assert f"{20 + valid} runs in the index; of the last one {told} series can be judged" in said
    assert ("::warning" in said) == (valid < 17)
    assert ci_job.main(["history", str(tmp_path / "none")]) == 7


def test_a_history_begins_where_that_was_said(site: Site, runs: Path) -> None:
    words = ["--program", site.program, "--index", "history.sqlite", runs / "base-01"]
    done = site.script("ci-history", *words)
    assert done.returncode == 7 and "there is no index" in done.stderr and site.left() == ["faultline"]
    assert site.script("ci-history", "--new", *words).returncode == 0
    assert site.script("ci-history", "--new", *words).returncode == 2
    assert site.script("ci-history", *words[:-1], "nothing").returncode == 7


@pytest.mark.parametrize(
    "words, status",
    [(["a"], 7), (["a", "b", "--expect", "x"], 2), (["a", "x/a"], 2),
     (["a", "b", "--base", "c"], 2), (["a", "b", "-z"], 2)]
)
def test_compare_usage(site: Site, words: list[str], status: int) -> None:
    done = site.script("ci-compare", "--program", site.program, *words)
    assert done.returncode == status and done.stderr and site.left() == ["faultline"]


@pytest.mark.parametrize("words", [["x"], ["--base", "a", "x"], ["--base", "a", "--candidate", "b"],
                                   ["--base", "a", "--candidate", "b", "--runs", "0", "x"]])
def test_alternate_usage(site: Site, words: list[str]) -> None:
    assert site.script("ci-alternate", *words).returncode == 2 and site.left() == ["faultline"]


@pytest.mark.parametrize(
    "words", [[], ["--", "true"], ["/x=1"], ["/x=1", "--"], ["x=1", "--", "true"], ["/x=", "--", "y"]]
)
def test_with_usage(site: Site, words: list[str]) -> None:
    assert site.script("ci-with", *words).returncode == 2


def test_settings_are_put_back(site: Site, tmp_path: Path) -> None:
    """After a success, a failure, a setting that cannot be made, and a signal; the status is the command's."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("always [madvise] never\n")
    other.write_text("60\n")
    settings = [f"{one}=never", f"{other}=1"]
    done = site.script("ci-with", *settings, "--", "sh", "-c", f"cat {one} {other}; exit 3")
    assert (done.returncode, done.stdout) == (3, "never\n1\n"), done.stderr
    assert (one.read_text(), other.read_text()) == ("madvise\n", "60\n")
    done = site.script("ci-with", *settings, f"{tmp_path}/none=1", "--", "touch", tmp_path / "done")
    assert done.returncode == 4 and "cannot be read" in done.stderr and not (tmp_path / "done").exists()
    assert (one.read_text(), other.read_text()) == ("madvise\n", "60\n")
    begun = tmp_path / "begun"
    program = subprocess.Popen([str(ROOT / "scripts" / "ci-with"), *settings, "--", "sh", "-c",
                                f"touch {begun}; while :; do sleep 0.02; done"], env=site.environment)
    while not begun.exists():
        time.sleep(0.01)
    program.terminate()
    assert program.wait(10) == 143 and (one.read_text(), other.read_text()) == ("madvise\n", "60\n")


@pytest.mark.parametrize("jsonschema, taken", [("Draft202012Validator = 1", True), ("Draft7Validator = 1", False)])
def test_python_without_the_validator_is_passed_over(tmp_path: Path, jsonschema: str, taken: bool) -> None:
    """jsonschema before version 4 can be imported, and is of no use."""
    for name in ("numpy", "scipy", "matplotlib", "jinja2"):
        (tmp_path / f"{name}.py").write_text("import sys; sys.executable = 'this one'")
    (tmp_path / "jsonschema.py").write_text(jsonschema)
    python = workflows.program_make(tmp_path / "python",
                                    f"#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} -B \"$@\"\n")
    done = subprocess.run(["bash", "-c", f". {ROOT}/scripts/lib.sh; python_find"], text=True, capture_output=True,
                          check=False, env={"PATH": os.environ["PATH"], "FAULTLINE_PYTHON": str(python)})
    assert (done.stdout == "this one\n") == taken, done.stdout


# --- ci-build


class Source:
    """A tree whose setup and cmake are stubs that note that they were called."""

    def __init__(self, path: Path) -> None:
        self.path, self.tree, self.log = path, path / "tree", path / "log"
        for name in ("bench", "cmake", "scenarios", "results", "scripts"):
            (self.tree / name).mkdir(parents=True)
        for name in ("CMakeLists.txt", "CMakePresets.json", "bench/a.c"):
            (self.tree / name).write_text("one")
        (path / "bin").mkdir()
        workflows.program_make(self.tree / "scripts" / "setup", f"#!/bin/sh\necho setup; echo setup >>{self.log}\n")
        build = self.tree / "build" / "release"
        workflows.program_make(path / "bin" / "cmake", f"""#!/bin/sh
echo "cmake speaks"
case "$1" in
    --preset) mkdir -p {build}; echo configure >>{self.log} ;;
    --build)
        echo build >>{self.log}
        [ ! -e {path}/broken ] || exit 1
        touch {build}/faultline && chmod +x {build}/faultline
        ;;
esac
""")
        workflows.program_make(path / "bin" / "cc", "#!/bin/sh\necho cc 12\n")
        self.environment = {"PATH": f"{path / 'bin'}:{os.environ['PATH']}", "HOME": str(path),
                            "FAULTLINE_PYTHON": str(workflows.program_make(path / "python", PYTHON))}

    def build(self, *words: str, tree: Path | None = None) -> subprocess.CompletedProcess[str]:
        """ci-build of this tree."""
        command = [str(ROOT / "scripts" / "ci-build"), "--source", str(tree or self.tree), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)

    def steps(self) -> list[str]:
        """What was called since the last look."""
        found = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return found


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def test_builds_once(source: Source) -> None:
    path = f"{source.tree}/build/release/faultline\n"
    done = source.build()
    assert (done.returncode, done.stdout) == (0, path), done.stderr
    assert source.steps() == ["setup", "configure", "build"]
    assert source.build().stdout == path and source.steps() == ["setup"]
    (source.tree / "bench" / "a.c").write_text("two")
    assert source.build().stdout == path and source.steps() == ["setup", "configure", "build"]
    assert source.build("--folder").stdout == f"{source.tree}/build/release\n" and source.steps() == []


def test_a_build_that_fails(source: Source) -> None:
    source.build()
    source.steps()
    (source.tree / "bench" / "a.c").write_text("two")
    (source.path / "broken").touch()
    done = source.build()
    assert (done.returncode, done.stdout) == (7, "") and "could not be built" in done.stderr
    assert not (source.tree / "build" / "release" / "ci-key").exists()
    (source.path / "broken").unlink()
    assert source.steps() and source.build().returncode == 0 and "build" in source.steps()


def test_key_follows_what_it_is_made_of(source: Source, tmp_path: Path) -> None:
    """The sources by their content, the place, the compiler and Python."""

    def key(tree: Path = source.tree) -> str:
        done = source.build("--key", tree=tree)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = key()
    assert re.fullmatch(r"[0-9a-f]{32}\n", first) and key() == first and set(source.steps()) == {"setup"}
    os.utime(source.tree / "bench" / "a.c", (0, 0))
    assert key() == first
    (source.tree / "bench" / "a.c").write_text("two")
    assert key() != first
    (source.tree / "bench" / "a.c").write_text("one")
    assert key() == first and key(shutil.copytree(source.tree, tmp_path / "other")) != first
    workflows.program_make(source.path / "bin" / "cc", "#!/bin/sh\necho cc 13\n")
    assert key() != first
    workflows.program_make(source.path / "bin" / "cc", "#!/bin/sh\necho cc 12\n")
    assert key() == first
    source.environment["FAULTLINE_PYTHON"] = str(workflows.program_make(tmp_path / "another", PYTHON))
    assert key() != first
