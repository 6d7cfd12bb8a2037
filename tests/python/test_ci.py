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
from pathlib import Path
from typing import Any

import pytest

import fake_compare
import fake_run
import workflows
from conftest import ROOT
from faultline import ci_job, report
from faultline.ci_job import Note

GITHUB = ROOT / "examples" / "ci" / "github"
WORKFLOWS = [*sorted(GITHUB.glob("*.yml")), *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
PROGRAM = """#!/bin/sh
# Stands for the program: `run` leaves a run made beforehand, `compare --live` compares two of them, everything else is
# the real command.
command=$1
shift
if [ "$command" = run ]; then
    printf '%s\\n' "$*" >>"$FAKE_WORDS"
    while [ "$1" != --out ]; do shift; done
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
exec "$FAULTLINE_PYTHON" -m "faultline.$command" "$@"
"""


def made_single(path: Path, **changes: Any) -> Path:
    """A run with its report, of the scenario access/scan, which is a file of the tree."""
    made = fake_compare.scenario(name="access/scan", **changes)
    fake_compare.run(path, scenarios=[made])
    report.main([str(path), "--no-plots"])
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single run, and six a side that took turns and are alike."""
    top = tmp_path_factory.mktemp("made")
    made_single(top / "single")
    for side, paths in zip(("base", "candidate"), fake_compare.many(top, {"a": 0.9, "b": 0.9}, 6)):
        for number, path in enumerate(paths, 1):
            path.rename(top / f"{side}-{number:02d}")
    return top


class Site:
    """A workspace whose tree of faultline has the program that stands for the real one, and nothing built."""

    def __init__(self, path: Path, runs: Path) -> None:
        self.path, self.workspace, self.runs = path, path / "workspace", runs
        program = path / "faultline"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.program = program
        self.temporary = path / "temporary"
        self.temporary.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(path), "FAULTLINE_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
            "FAKE_RUNS": str(runs), "FAKE_WORDS": str(path / "words"), "RUNNER_TEMP": str(path / "runner"),
            "TMPDIR": str(self.temporary)}
        self.tree(self.workspace / "faultline")

    def tree(self, place: Path) -> Path:
        """The scripts of a tree, ci-build but for the building."""
        (place / "scripts").mkdir(parents=True)
        for one in (ROOT / "scripts").iterdir():
            if one.name != "ci-build":
                (place / "scripts" / one.name).symlink_to(one)
        build = place / "scripts" / "ci-build"
        build.write_text(f"#!/bin/sh\n[ \"$1\" != --key ] || exec echo 0123\necho '{self.program}'\n")
        build.chmod(0o755)
        return place

    def script(self, name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """A script of the tree, with nothing of GitHub's in the environment but what is given."""
        return subprocess.run([str(ROOT / "scripts" / name), *map(str, words)], cwd=self.workspace, text=True,
                              capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
                              env={**self.environment, **environment})

    def words(self) -> list[str]:
        """The command lines of the runs, without --out."""
        lines = (self.path / "words").read_text().splitlines()
        return [re.sub(r"--out \S+ ?", "", line) for line in lines]

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
    workflows.action_check(workflows.load(ROOT / "action.yml"))


def test_gitlab_keeps_the_rules() -> None:
    workflows.gitlab_check(workflows.load(ROOT / "examples" / "ci" / "gitlab" / ".gitlab-ci.yml"))


def test_all_workflows_are_there() -> None:
    assert {path.name for path in WORKFLOWS} == {"matrix.yml", "two-sides.yml", "nightly.yml", "pull-request.yml"}


@pytest.mark.parametrize(
    "file, old, new",
    [
        ("matrix.yml", "needs: measure", "needs: measured"),
        ("matrix.yml", "${{ matrix.machine }}", "${{ matrix.box }}"),
        ("matrix.yml", "budget: 300s", "budgets: 300s"),
        ("matrix.yml", "actions/checkout@v4", "actions/checkout@main"),
        ("matrix.yml", "contents: read", "contents: write"),
        ("matrix.yml", "timeout-minutes: 20", "timeout-minutes: 2000"),
        ("matrix.yml", "--report-only", "--report-alone"),
        ("matrix.yml", "  workflow_dispatch:", "  workflow_dispatched:"),
        ("two-sides.yml", "steps.build.outputs.program", "steps.build.outputs.programme"),
        ("two-sides.yml", "id: build", "id: built"),
        ("two-sides.yml", "scripts/ci-pack", "scripts/ci-pick"),
        ("two-sides.yml", "$(faultline/scripts/ci-build)", "$(faultline/scripts/ci-build"),
        ("two-sides.yml", "\"'$PROGRAM'\" --candidate", "\"${{ steps.build.outputs.program }}\" --candidate"),
        ("nightly.yml", "COMMIT: ${{", "COMMITTED: ${{"),
        ("nightly.yml", "        id: build\n", "        id: build\n        uses: actions/cache@v4\n"),
        ("nightly.yml", "          path: history\n", "          path: history\n          path: x\n"),
    ],
)
def test_the_rules_find_mistakes(tmp_path: Path, file: str, old: str, new: str) -> None:
    text = (GITHUB / file).read_text()
    assert old in text
    broken = tmp_path / file
    broken.write_text(text.replace(old, new))
    with pytest.raises((AssertionError, KeyError)):
        workflows.workflow_check(workflows.load(broken))


# --- their steps


def job(path: Path, name: str) -> list[dict[str, Any]]:
    """The steps of a job."""
    return workflows.load(path)["jobs"][name]["steps"]


def test_board_of_many_machines(site: Site) -> None:
    for number, machine in enumerate(("arm", "x64", "x64-new")):
        made = fake_compare.run(site.path / machine, seed=number, name=machine, boot=machine,
                                blocking={"cpu_model": machine, "kernel_release": f"6.{number}"})
        (site.workspace / "runs" / machine).mkdir(parents=True)
        with tarfile.open(site.workspace / "runs" / machine / "run.tar.gz", "w:gz") as archive:
            archive.add(made, machine)
    site.tree(site.workspace / "tree").joinpath("scripts").rename(site.workspace / "scripts")
    played = workflows.play(job(GITHUB / "matrix.yml", "board"), site.workspace, {}, site.environment)
    assert played.failed is None, played.said
    page = played.pages["Board"]
    assert "compared with `arm`" in page and "| `x64` |" in page and "## `x64-new`" in page
    assert page == (site.workspace / "board" / "board.md").read_text()
    found = json.loads((site.workspace / "board" / "x64" / "compare.json").read_text())
    assert found["rows"] and {one["key"] for one in found["fingerprint_diff"]} >= {"cpu_model", "kernel_release"}
    assert played.uploads == {"faultline-board": True}


def test_two_settings(site: Site) -> None:
    played = workflows.play(job(GITHUB / "two-sides.yml", "compare"), site.workspace, {}, site.environment)
    assert played.failed is None, played.said
    sides = ["base" if "write-4KiB" in words else "candidate" for words in site.words()]
    assert sides == ["base", "candidate", "candidate", "base"] * 3
    assert "access/scan" in site.words()[0] and "--profile quick --budget 90s" in site.words()[0]
    assert "| `candidate` |" in played.pages["Compare"] and played.uploads == {"faultline-sides": True}
    assert re.search(r"artifact  faultline-sides.tar.gz \(\d+ bytes\)", played.said)


@pytest.mark.parametrize("ended, failed", [("5", "Runs in turns"), ("4", None)])
def test_a_side_that_fails(site: Site, ended: str, failed: str | None) -> None:
    environment = {**site.environment, "FAKE_STATUS": ended}
    played = workflows.play(job(GITHUB / "two-sides.yml", "compare"), site.workspace, {}, environment)
    assert played.failed == failed and played.uploads == {"faultline-sides": True}, played.said
    assert len(site.words()) == (1 if failed else 12)
    assert not failed or played.statuses[failed] == 5


def test_the_slower_side_fails_the_job(site: Site, tmp_path: Path) -> None:
    made = tmp_path / "slower"
    for side, paths in zip(("base", "candidate"), fake_compare.many(made, {"a": 0.9, "b": 1.1}, 6)):
        for number, path in enumerate(paths, 1):
            path.rename(made / f"{side}-{number:02d}")
    environment = {**site.environment, "FAKE_RUNS": str(made)}
    played = workflows.play(job(GITHUB / "two-sides.yml", "compare"), site.workspace, {}, environment)
    assert played.failed == "Compare" and played.statuses["Compare"] == 1, played.said
    assert played.uploads == {"faultline-sides": True} and "::error title=SLOWER%3A access/read-or-map" in played.said


def test_nightly(site: Site) -> None:
    steps = job(GITHUB / "nightly.yml", "nightly")
    steps[1]["run"] = steps[1]["run"].replace("$(git -C faultline rev-parse --short HEAD)", "abc1234")
    played = workflows.play(steps, site.workspace, {}, site.environment)
    assert played.failed is None, played.said
    assert "Results over runs" in played.pages["History"] and played.uploads == {"faultline-nightly": True}
    again = site.script("ci-history", "--program", site.program, "--index", "history/history.sqlite", "sides/base/01")
    assert again.returncode == 0 and "there already" in again.stdout, again.stderr
    shown = site.script("ci-history", "--program", site.program, "--index", "history/history.sqlite", "nothing")
    assert shown.returncode == 7 and "nothing" in shown.stderr


def test_pull_request(site: Site) -> None:
    for side in ("head", "base"):
        site.tree(site.workspace / side)
    steps = job(ROOT / ".github" / "workflows" / "pull-request.yml", "compare")
    played = workflows.play(steps, site.workspace, {}, site.environment)
    assert played.failed is None, played.said
    assert set(played.outputs["build"]) == {"base", "head"} and played.uploads == {"faultline-live": True}
    sides = f"'{site.program}' '{site.program}'"
    assert site.words()[0].startswith(f"--live {sides} base/scenarios/access/read-or-map.yaml")
    assert site.words()[0].endswith("--profile quick --budget 300s --control 8 --quiet")
    assert "| `candidate` |" in played.pages["Compare them live, by the scenarios as they were"]


def play_action(site: Site, **environment: str) -> workflows.Played:
    document = workflows.load(ROOT / "action.yml")
    known = {f"inputs.{name}": given["default"] for name, given in document["inputs"].items()}
    known.update({"inputs.scenarios": "access/scan\nfloor", "inputs.machine-name": "box 1",
                  "inputs.arguments": "--set recipe=write-4KiB --arms 'pread,mapped in place'"})
    tree = site.workspace / "faultline"
    own = {**site.environment, "GITHUB_ACTION_PATH": str(tree), **environment}
    return workflows.play(document["runs"]["steps"], site.workspace, known, own)


def test_action(site: Site) -> None:
    played = play_action(site)
    assert played.failed is None, played.said
    assert site.words() == ["--quiet --profile quick --budget 300s --machine-name box 1 access/scan floor "
                            "--set recipe=write-4KiB --arms pread,mapped in place"]
    build = str(site.workspace / "faultline" / "build" / "release")
    assert played.outputs["build"] == {"key": "0123", "build": build} and played.uploads == {"faultline-run": True}
    outputs = played.outputs["run"]
    assert set(outputs) == workflows.SCRIPT_OUTPUTS["ci-run"]
    summary = json.loads((Path(outputs["directory"]) / "summary.json").read_text())
    assert outputs["status"] == "0" and outputs["noise_grade"] == summary["noise_grade"]
    assert {name: int(outputs[name]) for name in ("faster", "slower", "same", "cannot_tell", "invalid")} == {
        name.lower().replace(" ", "_"): count for name, count in summary["verdicts"].items()}


def test_action_uploads_after_a_failure(site: Site) -> None:
    played = play_action(site, FAKE_STATUS="5")
    assert played.failed == "Run" and played.statuses["Run"] == 5 and played.uploads == {"faultline-run": True}
    assert played.outputs["run"]["status"] == "5" and played.pages["Run"]


def test_action_without_any_run(site: Site) -> None:
    played = play_action(site, FAKE_STATUS="2", FAKE_NOTHING="yes")
    assert played.failed == "Run" and played.statuses["Run"] == 2 and not played.uploads
    assert played.outputs["run"]["directory"] == "" and "::error title=faultline run::status 2" in played.said


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
    [(4, "invalid", 4), (4, "broken", 0), (4, "never", 0), (4, "undecided", 4), (5, "broken", 5), (5, "never", 0),
     (7, "broken", 7), (7, "never", 0), (0, "undecided", 3), (0, "invalid", 0), (2, "never", 2), (130, "never", 130)],
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
    assert len(lines) == 10 and lines[-1].endswith("::and 5 more: see the job's summary"), lines
    start = "::error file=scenarios/access/scan.yaml,title=failed%3A access/scan"
    assert all(line.startswith(start) for line in lines[:9])
    assert "100 %25: shrank," in lines[0] and Path(github["GITHUB_STEP_SUMMARY"]).stat().st_size < 1 << 20


# --- what is told


def test_annotations_are_escaped() -> None:
    assert ci_job.command(Note("a:b,c%\n", "50 %: x,\r\ny", "f,g:h")) == (
        "::error file=f%2Cg%3Ah,title=a%3Ab%2Cc%25%0A::50 %25: x,%0D%0Ay")
    assert len(ci_job.commands([Note("t", str(n)) for n in range(10)])) == 10
    many = ci_job.commands([Note("t", str(n)) for n in range(25)])
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


def test_a_side_that_cannot_be_read(site: Site, github: dict[str, str], runs: Path) -> None:
    sides = site.workspace / "sides"
    sides.mkdir()
    for name, made in (("a", "base-01"), ("c", "candidate-01")):
        shutil.copytree(runs / made, sides / name)
    (sides / "b").mkdir()
    done = site.script("ci-compare", "--program", site.program, "--sides", sides, "--report-only", **github)
    assert done.returncode == 7 and "nothing was compared%3A b" in done.stdout, done.stderr
    assert "| `b` |  |  |  |  |  | 7: nothing was compared |" in Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    outputs = workflows.output_values(Path(github["GITHUB_OUTPUT"]))
    found = json.loads((site.workspace / "faultline-board" / "c" / "compare.json").read_text())
    assert outputs["status"] == "7" and int(outputs["cannot_tell"]) == found["counts"]["CANNOT TELL"]


@pytest.mark.parametrize(
    "words, status", [(["a"], 7), (["a", "x/a"], 2), (["a", "b", "--base", "c"], 2), (["a", "b", "-z"], 2)]
)
def test_compare_usage(site: Site, words: list[str], status: int) -> None:
    done = site.script("ci-compare", "--program", site.program, *words)
    assert done.returncode == status and done.stderr and site.left() == ["faultline"]


@pytest.mark.parametrize("words", [["x"], ["--base", "a", "x"], ["--base", "a", "--candidate", "b"],
                                   ["--base", "a", "--candidate", "b", "--runs", "0", "x"]])
def test_alternate_usage(site: Site, words: list[str]) -> None:
    assert site.script("ci-alternate", *words).returncode == 2 and site.left() == ["faultline"]


def test_key_follows_the_sources(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("bench", "cmake", "scenarios", "results", "scripts"):
        (tree / name).mkdir(parents=True)
    for name in ("CMakeLists.txt", "CMakePresets.json", "bench/a.c"):
        (tree / name).write_text("one")

    def key(source: Path) -> str:
        words = [str(ROOT / "scripts" / "ci-build"), "--source", str(source), "--key"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    first = key(tree)
    assert re.fullmatch(r"[0-9a-f]{32}\n", first) and key(tree) == first
    os.utime(tree / "bench" / "a.c", (0, 0))
    assert key(tree) == first
    (tree / "bench" / "a.c").write_text("two")
    assert key(tree) != first
    (tree / "bench" / "a.c").write_text("one")
    assert key(tree) == first and key(shutil.copytree(tree, tmp_path / "other")) != first


