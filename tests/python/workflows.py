# SPDX-License-Identifier: MIT
"""Workflow files of GitHub and GitLab as tests need them: read, held to the rules of their formats, and played.

The rules are those of GitHub's "Workflow syntax" and "Metadata syntax" as far as these files use them; a key, an action
or an expression that is not listed here is a mistake until somebody lists it.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

import yaml

from conftest import ROOT

WORKFLOW_KEYS = {"name", "on", "permissions", "concurrency", "jobs"}
EVENTS = {"workflow_dispatch", "schedule", "pull_request"}
JOB_KEYS = {"name", "needs", "if", "runs-on", "timeout-minutes", "strategy", "steps"}
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env", "shell"}
ACTION_KEYS = {"name", "description", "author", "inputs", "outputs", "runs", "branding"}
USES = {
    "actions/checkout@v4": {"repository", "ref", "path", "persist-credentials"},
    "actions/upload-artifact@v4": {"name", "path", "if-no-files-found", "retention-days", "compression-level"},
    "actions/download-artifact@v4": {"pattern", "path"},
    "actions/cache@v4": {"path", "key", "restore-keys"},
    "actions/cache/restore@v4": {"path", "key", "restore-keys"},
    "actions/cache/save@v4": {"path", "key"},
}
CONTEXT = {"github.run_id", "github.run_attempt", "github.event.pull_request.number",
           "github.event.pull_request.base.sha", "runner.os", "runner.arch"}
FUNCTIONS = {"always", "cancelled", "hashFiles"}
GITLAB_KEYS = {"extends", "stage", "parallel", "tags", "needs", "when", "timeout", "rules", "script", "cache",
               "after_script", "artifacts", "resource_group"}
OURS = "OWNER/faultline@main"
GIVEN = {"GITHUB_OUTPUT", "GITHUB_ACTION_PATH", "RUNNER_TEMP"}  # variables the runner sets
SCRIPT_OUTPUTS = {
    "ci-run": {"directory", "archive", "status", "noise_grade", "faster", "slower", "same", "cannot_tell", "invalid"}}


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, as GitHub does; `on` is a word, not a truth."""


def mapping(loader: Loader, node: yaml.MappingNode) -> dict[str, Any]:
    """A mapping whose keys are as they are written."""
    keys = [key.value for key, _ in node.value]
    assert len(set(keys)) == len(keys), f"a key stands twice: {keys}, {node.start_mark}"
    return {key.value: loader.construct_object(value, deep=True) for key, value in node.value}


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(path: Path) -> dict[str, Any]:
    """The document of a file."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506: a safe loader


def texts(value: Any) -> Iterator[str]:
    """Every text of a document, keys left out."""
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    else:
        yield str(value)


def expressions(value: Any) -> list[str]:
    """What stands between ${{ and }}."""
    return [found for text in texts(value) for found in re.findall(r"\$\{\{(.*?)\}\}", text, re.S)]


def names_in(expression: str) -> set[str]:
    """The names of an expression, texts in quotes left out."""
    return set(re.findall(r"[A-Za-z_][\w.-]*", re.sub(r"'[^']*'", "", expression)))


def shell_check(script: str) -> None:
    """`bash -n`: the syntax is that of a shell."""
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{script}"


def scripts_check(script: str) -> None:
    """Every script of ours is there, may be run, and knows the options it is given."""
    joined = re.sub(r'"\$\([^)]*\)"', "", script.replace("\\\n", " "))  # other programs within
    calls = re.findall(r"(?:^|[\s\"/(])scripts/([a-z-]+)\"?([^\n)]*)", joined)
    assert ("scripts/" in script) == bool(calls), script
    for name, words in calls:
        path = ROOT / "scripts" / name
        assert os.access(path, os.X_OK), f"there is no script {name}"
        known = set(re.findall(r"(?<![\w-])--[a-z-]+", path.read_text().split("HELP")[1])) if "ci-" in name else set()
        outside = re.sub(r"\"[^\"]*\"|'[^']*'", "", words).partition(" -- ")[0]  # words for others stand in quotes
        used = set(re.findall(r"(?<![\w-])--[a-z-]+", outside))
        assert used <= known, f"{name} does not know {used - known}"


def outputs_of(step: Mapping[str, Any]) -> set[str]:
    """The outputs a step of ours sets."""
    run = step.get("run", "")
    found = set(re.findall(r"(?:'|\\n)(\w+)=%s", run))
    for name in re.findall(r"scripts/([a-z-]+)", run):
        found |= SCRIPT_OUTPUTS.get(name, set())
    return found


def step_check(step: dict[str, Any], composite: bool, known: set[str]) -> None:
    """One step. known: the names its expressions may use."""
    assert set(step) <= STEP_KEYS and ("uses" in step) != ("run" in step), step
    assert ("shell" in step) == (composite and "run" in step), f"a shell is named where it must be: {step}"
    assert step.get("name"), step
    for expression in expressions(step):
        unknown = names_in(expression) - known - FUNCTIONS
        assert not unknown, f"{unknown} in {step['name']}"
    if "run" in step:
        assert "${{" not in step["run"], "what an expression holds would be run: give it by env"
        assert "with" not in step
        shell_check(step["run"])
        scripts_check(step["run"])
        bare = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", step["run"]))
        assert bare <= GIVEN | set(step.get("env", {})), f"{bare} in {step['name']}"
        unused = set(step.get("env", {})) - bare
        assert not unused, f"nobody reads {unused}"
        return
    allowed = set(load(ROOT / "action.yml")["inputs"]) if step["uses"] == OURS else USES[step["uses"]]
    assert set(step.get("with", {})) <= allowed, step
    if step["uses"].startswith("actions/checkout"):
        assert step["with"]["persist-credentials"] is False, "the token is not kept"


def steps_check(steps: list[dict[str, Any]], composite: bool, known: set[str]) -> set[str]:
    """Steps in their order; the names that are known after them."""
    known, ids = set(known), set()
    for step in steps:
        step_check(step, composite, known)
        if "id" in step:
            assert step["id"] not in ids, f"id {step['id']} stands twice"
            ids.add(step["id"])
            known |= {f"steps.{step['id']}.outputs.{name}" for name in outputs_of(step)}
            known.add(f"steps.{step['id']}.outcome")
    return known


def workflow_check(document: dict[str, Any]) -> None:
    """A whole workflow."""
    assert set(document) <= WORKFLOW_KEYS and document["name"], set(document)
    assert document["on"] and set(document["on"]) <= EVENTS, document["on"]
    assert document["permissions"] == {"contents": "read"}, "no more rights than to read"
    assert not any("secrets" in names_in(one) for one in expressions(document))
    for one in expressions(document.get("concurrency", {})):
        assert names_in(one) <= CONTEXT, one
    for name, job in document["jobs"].items():
        assert re.fullmatch(r"[A-Za-z_][\w-]*", name) and set(job) <= JOB_KEYS and job["steps"], name
        assert 1 <= job["timeout-minutes"] <= 360 and job["runs-on"], name
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        assert set(needs) <= set(document["jobs"]) - {name}, f"{name} needs {needs}"
        known = CONTEXT | {f"matrix.{axis}" for axis in job.get("strategy", {}).get("matrix", {})}
        for one in expressions({key: value for key, value in job.items() if key != "steps"}):
            assert names_in(one) <= known | FUNCTIONS, one
        steps_check(job["steps"], False, known)


def action_check(document: dict[str, Any]) -> None:
    """The metadata of a composite action."""
    assert set(document) == ACTION_KEYS and document["runs"]["using"] == "composite", set(document)
    for name, given in document["inputs"].items():
        assert set(given) == {"description", "required", "default"} and isinstance(given["default"], str), name
    inputs = {f"inputs.{name}" for name in document["inputs"]}
    known = steps_check(document["runs"]["steps"], True, CONTEXT | inputs)
    used = {name for one in expressions(document["runs"]) for name in names_in(one)}
    assert inputs <= used, f"nobody reads {inputs - used}"
    for name, given in document["outputs"].items():
        assert set(given) == {"description", "value"}, name
        assert names_in(expressions(given)[0]) <= known, f"output {name}"


def gitlab_check(document: dict[str, Any]) -> None:
    """A .gitlab-ci.yml."""
    jobs = {name: job for name, job in document.items() if name not in ("variables", "stages")}
    variables = set(document["variables"]) | {"CI_PIPELINE_SOURCE"}
    for name, job in jobs.items():
        if name.startswith("."):
            shell_check("\n".join(job["before_script"]))
            continue
        assert set(job) <= GITLAB_KEYS, name
        assert job["stage"] in document["stages"] and job["extends"] in jobs, name
        assert set(job.get("needs", [])) <= set(jobs) - {name} and re.fullmatch(r"\d+ minutes", job["timeout"]), name
        assert job["artifacts"]["when"] == "always" and job["artifacts"]["paths"], name
        script = "\n".join([*jobs[job["extends"]]["before_script"], *job["script"], *job.get("after_script", [])])
        shell_check(script)
        scripts_check("\n".join(job["script"] + job.get("after_script", [])))
        matrix = {axis for one in job.get("parallel", {}).get("matrix", []) for axis in one}
        read = set(re.findall(r"\$([A-Z][A-Z_]*)", script + str(job.get("tags", "")) + str(job.get("rules", ""))))
        assert read <= variables | matrix | {"PROGRAM"}, f"{name} reads {read}"


def output_values(path: Path) -> dict[str, str]:
    """The outputs in a GITHUB_OUTPUT file, read as the runner does."""
    lines = path.read_text().splitlines() if path.exists() else []
    found: dict[str, str] = {}
    while lines:
        line = lines.pop(0)
        first = re.match(r"(\w+)(=|<<)(.*)$", line)
        assert first, f"no output: {line}"
        if first[2] == "=":
            found[first[1]] = first[3]
            continue
        end = lines.index(first[3])
        found[first[1]] = "\n".join(lines[:end])
        lines = lines[end + 1 :]
    return found


@dataclass
class Played:
    """What the steps of a job did."""

    failed: str | None = None  # name of the first step that failed
    statuses: dict[str, int] = field(default_factory=dict)
    said: str = ""
    pages: dict[str, str] = field(default_factory=dict)  # by the name of the step
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)  # by the id of the step
    uploads: dict[str, bool] = field(default_factory=dict)  # name of the artifact: whether its path was there


def value_of(text: str, known: Mapping[str, str]) -> str:
    """A text with its expressions replaced; of names that nobody set, as the runner does, by nothing."""
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", lambda found: known.get(found[1], ""), text)


def is_run(step: Mapping[str, Any], played: Played, known: Mapping[str, str]) -> bool:
    """Whether a step is carried out: the conditions these files use."""
    condition = step.get("if", "")
    if "always()" not in condition:
        return played.failed is None
    for name, operator, text in re.findall(r"([\w.-]+) (==|!=) '([^']*)'", condition):
        if (known.get(name, "") == text) != (operator == "=="):
            return False
    return True


def play(
    steps: list[dict[str, Any]], workspace: Path, known: Mapping[str, str], environment: Mapping[str, str]
) -> Played:
    """Carries out the steps of a job in a workspace: commands as the runner's bash does, uploads by looking for what
    they would upload; other actions do nothing."""
    played, known = Played(), dict(known)
    for number, step in enumerate(steps):
        if not is_run(step, played, known):
            continue
        if step.get("uses", "").startswith("actions/upload-artifact"):
            with_ = {key: value_of(str(value), known) for key, value in step["with"].items()}
            played.uploads[with_["name"]] = (workspace / with_["path"]).exists()
        if "run" not in step:
            continue
        page, output = (workspace.parent / f"{kind}-{number}" for kind in ("page", "output"))
        own = {key: value_of(str(value), known) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=workspace, text=True,
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120,
            env={**environment, **own, "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(workspace),
                 "GITHUB_STEP_SUMMARY": str(page), "GITHUB_OUTPUT": str(output)})
        played.said += done.stdout
        played.statuses[step["name"]] = done.returncode
        played.pages[step["name"]] = page.read_text() if page.exists() else ""
        if done.returncode and not played.failed:
            played.failed = step["name"]
        if "id" in step:
            played.outputs[step["id"]] = output_values(output)
            known.update({f"steps.{step['id']}.outputs.{key}": value for key, value in output_values(output).items()})
            known[f"steps.{step['id']}.outcome"] = "failure" if done.returncode else "success"
    return played
