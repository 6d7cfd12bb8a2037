# SPDX-License-Identifier: MIT
"""Workflow files of GitHub and GitLab as tests need them: read, held to the rules of their formats, and played.

The rules are those of GitHub's "Workflow syntax" and "Metadata syntax" and of GitLab's "CI/CD YAML syntax reference" as
far as these files use them; a key, an action or an expression that is not listed here is a mistake until somebody
lists it.
What a runner does with a job, its files, its signals and its shells, is played; what the services do is not.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / "examples" / "ci" / "github"
GITLAB = ROOT / "examples" / "ci" / "gitlab" / ".gitlab-ci.yml"
ACTION = ROOT / "action.yml"
WORKFLOWS = [*sorted(GITHUB.glob("*.yml")), *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
WORKFLOW_KEYS = {"name", "on", "permissions", "concurrency", "jobs"}
EVENTS = {"workflow_dispatch", "schedule", "pull_request"}
RIGHTS = {"contents": "read", "actions": "read"}
JOB_KEYS = {"name", "needs", "if", "runs-on", "container", "timeout-minutes", "strategy", "steps"}
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env", "shell"}
ACTION_KEYS = {"name", "description", "author", "inputs", "outputs", "runs", "branding"}
RESTORE, SAVE = "actions/cache/restore@v5", "actions/cache/save@v5"
UPLOAD, DOWNLOAD = "actions/upload-artifact@v6", "actions/download-artifact@v7"
USES = {  # the first versions that run on Node 24
    "actions/checkout@v6": {"repository", "ref", "path", "fetch-depth", "persist-credentials"},
    UPLOAD: {"name", "path", "if-no-files-found", "retention-days", "compression-level"},
    DOWNLOAD: {"name", "pattern", "path", "run-id", "github-token"},
    RESTORE: {"path", "key", "restore-keys"},
    SAVE: {"path", "key"},
}
CONTEXT = {"github.run_id", "github.run_attempt", "github.event.pull_request.number", "github.token", "runner.os",
           "runner.arch", "runner.temp"}
FUNCTIONS = {"always", "cancelled", "success", "failure"}
GITLAB_GLOBAL = {"variables"}  # `stages` of an included file would take the place of the includer's
GITLAB_KEYS = {"extends", "stage", "image", "before_script", "parallel", "tags", "needs", "timeout", "rules", "script",
               "cache", "after_script", "artifacts", "resource_group"}
OURS = "OWNER/faultline@main"
GIVEN = {"GITHUB_OUTPUT", "GITHUB_ACTION_PATH", "GITHUB_WORKSPACE", "RUNNER_TEMP"}  # variables the runner sets
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


TOKEN = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.-]*|==|!=|&&|\|\||[!()])")


class Condition:
    """An expression, as far as conditions use them. state: success, failure or cancelled, of the steps before."""

    def __init__(self, text: str, known: Mapping[str, str], state: str) -> None:
        self.tokens, self.known, self.state, at = [], known, state, 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found, f"no condition: {text}"
            self.tokens.append(found[1])
            at = found.end()

    def value(self) -> bool:
        """Whether it holds; AssertionError for whatever is no expression."""
        found = self.either()
        assert not self.tokens, f"left over: {self.tokens}"
        return bool(found)

    def take(self, *wanted: str) -> str | None:
        """The next token, if it is one of these."""
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def either(self) -> bool | str:
        """a || b"""
        found = self.both()
        while self.take("||"):
            other = self.both()
            found = found or other
        return found

    def both(self) -> bool | str:
        """a && b"""
        found = self.compared()
        while self.take("&&"):
            other = self.compared()
            found = found and other
        return found

    def compared(self) -> bool | str:
        """a == b, a != b"""
        found = self.one()
        operator = self.take("==", "!=")
        return found if operator is None else (found == self.one()) == (operator == "==")

    def one(self) -> bool | str:
        """!a, (a), 'text', name, function()"""
        if self.take("!"):
            return not self.one()
        if self.take("("):
            found = self.either()
            assert self.take(")"), "a bracket is not closed"
            return found
        assert self.tokens, "something is missing"
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self.take("("):
            assert self.take(")") and token in FUNCTIONS, f"no function of these files: {token}"
            return token == "always" or token.startswith(self.state)
        assert re.match(r"[A-Za-z_]", token), f"no name: {token}"
        return self.known.get(token, "")


def condition_of(text: str) -> str:
    """The expression of an `if`, with ${{ }} or without: it must be all of the text, or it would always hold."""
    found = re.fullmatch(r"\$\{\{(.*)\}\}", text.strip(), re.S)
    inner = found[1] if found else text
    assert "${{" not in inner and "}}" not in inner, f"an expression and other text: {text}"
    return inner


def condition_check(text: str, known: set[str]) -> None:
    """An `if`: names that are known, and the grammar."""
    inner = condition_of(text)
    unknown = names_in(inner) - known - FUNCTIONS
    assert not unknown, f"{unknown} in {text}"
    Condition(inner, {}, "success").value()


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
    """The outputs a step sets."""
    if step.get("uses") == RESTORE:
        return {"cache-hit"}
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
    condition_check(step.get("if", "success()"), known)
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


def artifacts_of(job: Mapping[str, Any]) -> list[str]:
    """The names of all artifacts of a job, its matrix laid out; AssertionError when two of its jobs would take one."""
    default = load(ACTION)["inputs"]["artifact"]["default"]
    names = [step["with"]["name"] for step in job["steps"] if step.get("uses") == UPLOAD]
    names += [step["with"].get("artifact", default) for step in job["steps"] if step.get("uses") == OURS]
    for axis, values in job.get("strategy", {}).get("matrix", {}).items():
        mark = "${{ matrix.%s }}" % axis
        assert all(mark in name for name in names), f"every job of the matrix would upload one of {names}"
        names = [name.replace(mark, value) for name in names for value in values]
    return names


def artifacts_check(jobs: Mapping[str, Any]) -> None:
    """No artifact has the name of another; what is downloaded together is all that the jobs before uploaded, and as
    many as are expected."""
    all_names = [name for job in jobs.values() for name in artifacts_of(job)]
    assert len(set(all_names)) == len(all_names), all_names
    for job in jobs.values():
        for step in job["steps"]:
            if step.get("uses") == DOWNLOAD and "pattern" in step["with"]:
                names = artifacts_of(jobs[job["needs"]])
                assert names == fnmatch.filter(all_names, step["with"]["pattern"]), f"{step['with']} of {all_names}"
                asked = [found for text in texts(job) for found in re.findall(r"--expect (\d+)", text)]
                assert asked == [str(len(names))], f"--expect {asked}, and there are {names}"


def job_check(name: str, job: Mapping[str, Any], jobs: Mapping[str, Any], known: set[str]) -> None:
    """One job. known: the names that the whole workflow knows."""
    assert re.fullmatch(r"[A-Za-z_][\w-]*", name) and set(job) <= JOB_KEYS and job["steps"], name
    assert 1 <= job["timeout-minutes"] <= 360 and job["runs-on"], name
    needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
    assert set(needs) <= set(jobs) - {name}, f"{name} needs {needs}"
    known = known | {f"matrix.{axis}" for axis in job.get("strategy", {}).get("matrix", {})}
    condition_check(job.get("if", "success()"), known)
    for one in expressions({key: value for key, value in job.items() if key not in ("steps", "if")}):
        assert names_in(one) <= known, one
    if "container" in job:
        assert "runner.temp" not in str(job), "its path is that outside of the container"
    steps_check(job["steps"], False, known)


def workflow_check(document: dict[str, Any]) -> None:
    """A whole workflow."""
    assert set(document) <= WORKFLOW_KEYS and document["name"], set(document)
    assert document["on"] and set(document["on"]) <= EVENTS, document["on"]
    assert document["permissions"].items() <= RIGHTS.items(), "no more rights than to read"
    assert not any("secrets" in names_in(one) for one in expressions(document))
    given = (document["on"].get("workflow_dispatch") or {}).get("inputs", {})
    known = CONTEXT | {f"inputs.{name}" for name in given}
    for one in expressions(document["concurrency"]):
        assert names_in(one) <= known, one
    for name, job in document["jobs"].items():
        job_check(name, job, document["jobs"], known)
    artifacts_check(document["jobs"])


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


def gitlab_job(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A job with what it extends: each of its keys takes the place of that below."""
    job = document[name]
    return {**(gitlab_job(document, job["extends"]) if "extends" in job else {}), **job}


def gitlab_check(document: dict[str, Any]) -> None:
    """A .gitlab-ci.yml that others may include."""
    names = [name for name in document if name not in GITLAB_GLOBAL]
    assert all(re.fullmatch(r"\.?faultline[\w-]*", name) for name in names), "no name that an includer's job may have"
    assert all(name.startswith("FAULTLINE_") for name in document["variables"]), document["variables"]
    for name in names:
        job = gitlab_job(document, name)
        assert set(job) <= GITLAB_KEYS and job["stage"] == "test", name
        if name.startswith("."):
            continue
        assert set(job["needs"] if "needs" in job else []) <= set(names) - {name}, name
        assert re.fullmatch(r"\d+ minutes", job["timeout"]) and job["tags"], name
        assert all(re.fullmatch(r'\$FAULTLINE_JOB == "\w+"', rule["if"]) for rule in job["rules"]), "not on a push"
        assert job["artifacts"]["when"] == "always" and job["artifacts"]["paths"], name
        own = "\n".join([*job["script"], *job.get("after_script", [])])
        assert "resource_group" in job or not re.search("ci-run|ci-alternate|--live", own), f"{name} measures alone"
        shell_check("\n".join([*job["before_script"], own]))
        scripts_check(own)
        read = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", " ".join(texts({**job, "parallel": ""}))))
        assert read <= set(document["variables"]) | matrix_axes(job) | {"PROGRAM", "PWD"}, f"{name} reads {read}"


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


class Service:
    """What a service keeps between jobs: artifacts and caches, each a folder."""

    def __init__(self, path: Path) -> None:
        self.artifacts, self.caches = path / "artifacts", path / "caches"
        for one in (self.artifacts, self.caches):
            one.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def put(place: Path, what: Path) -> bool:
        """Keeps a file or folder in a folder of its own; False when it is not there."""
        if not what.exists():
            return False
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if what.is_dir():
            shutil.copytree(what, place, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(what, place)
        return True

    def download(self, given: Mapping[str, str], path: Path) -> bool:
        """Artifacts: one by its name, or those of a pattern, each in a folder of its name."""
        names = sorted(one.name for one in self.artifacts.iterdir())
        for name in fnmatch.filter(names, given.get("pattern", given.get("name", ""))):
            target = path / name if "pattern" in given else path
            shutil.copytree(self.artifacts / name, target, dirs_exist_ok=True)
        return "pattern" in given or given["name"] in names

    def restore(self, given: Mapping[str, str], path: Path) -> bool:
        """A cache: that of the key, or the last one kept whose key begins so. Whether it was that of the key."""
        found = sorted(self.caches.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        begins = given.get("restore-keys", "").split()
        fit = [one for one in found if one.name == given["key"] or any(one.name.startswith(b) for b in begins)]
        exact = [one for one in fit if one.name == given["key"]]
        for one in (exact or fit)[-1:]:
            shutil.copytree(one, path, dirs_exist_ok=True)
        return bool(exact)


@dataclass
class Cancel:
    """A cancelled job: in which step, once what holds, and how long the runner waits for the step's own process."""

    step: str
    when: Callable[[], bool]
    wait_s: float = 5.0


@dataclass
class Played:
    """What the steps of a job did."""

    failed: str | None = None  # name of the first step that failed
    cancelled: bool = False
    statuses: dict[str, int] = field(default_factory=dict)
    said: str = ""
    pages: dict[str, str] = field(default_factory=dict)  # by the name of the step
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)  # by the id of the step
    uploads: dict[str, bool] = field(default_factory=dict)  # name of the artifact: whether its path was there

    @property
    def state(self) -> str:
        """What conditions see."""
        return "cancelled" if self.cancelled else "failure" if self.failed else "success"


def value_of(text: str, known: Mapping[str, str]) -> str:
    """A text with its expressions replaced; of names that nobody set, as the runner does, by nothing."""
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", lambda found: known.get(found[1], ""), text)


def is_run(step: Mapping[str, Any], played: Played, known: Mapping[str, str]) -> bool:
    """Whether a step is carried out. A condition that asks for no state of the job asks for success."""
    condition = condition_of(step.get("if", "success()"))
    if not names_in(condition) & FUNCTIONS:
        condition = f"success() && ({condition})"
    return Condition(condition, known, played.state).value()


def descendants(process: int) -> list[int]:
    """A process and all below it."""
    found = [process]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process:
            found += descendants(int(stat.parent.name))
    return found


def interrupt(program: subprocess.Popen[str], cancel: Cancel) -> None:
    """Ends a step as the runner does (actions/runner issue 1309): a signal to the step's own process, another one, and
    then the end of it and all below it."""
    limit = time.monotonic() + 30
    while not cancel.when():
        assert program.poll() is None and time.monotonic() < limit, "the step did not come that far"
        time.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGTERM):
        program.send_signal(number)
        try:
            program.wait(cancel.wait_s)
            return
        except subprocess.TimeoutExpired:
            pass
    for process in descendants(program.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


class Job:
    """A job on a runner: a workspace that is as the last job left it, and an empty folder for temporary files."""

    def __init__(self, workspace: Path, environment: Mapping[str, str], service: Service | None = None,
                 cancel: Cancel | None = None) -> None:
        self.workspace, self.environment, self.cancel = workspace, dict(environment), cancel
        self.temporary = Path(environment["RUNNER_TEMP"])
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        self.service = service or Service(self.temporary.with_name("service"))
        self.played, self.number = Played(), 0

    def run(self, step: Mapping[str, Any], known: dict[str, str], extra: Mapping[str, str]) -> None:
        """Carries out commands. With `shell: bash` a pipe fails with any of its parts, without only with the last."""
        self.number += 1
        page, output, script, log = (self.workspace.parent / f"{kind}-{self.number}"
                                     for kind in ("page", "output", "script", "log"))
        for one in (page, output):
            one.unlink(missing_ok=True)
        script.write_text(step["run"])
        own = {key: value_of(str(value), known) for key, value in step.get("env", {}).items()}
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if step.get("shell") == "bash" else ["bash", "-e"]
        with log.open("w") as stream:
            program = subprocess.Popen(
                [*shell, str(script)], cwd=self.workspace, text=True, stdout=stream, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**self.environment, **extra, **own, "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output),
                     "GITHUB_WORKSPACE": str(self.workspace), "GITHUB_STEP_SUMMARY": str(page)})
            if self.cancel and step["name"] == self.cancel.step:
                interrupt(program, self.cancel)
                self.played.cancelled = True
            status = program.wait(timeout=120)
        played = self.played
        played.said += log.read_text()
        played.statuses[step["name"]] = status
        played.pages[step["name"]] = page.read_text() if page.exists() else ""
        if status and not played.failed:
            played.failed = step["name"]
        self.told(step, output_values(output), known, "failure" if status else "success")

    def told(self, step: Mapping[str, Any], outputs: Mapping[str, str], known: dict[str, str], outcome: str) -> None:
        """What later steps know of one."""
        if "id" in step:
            self.played.outputs[step["id"]] = dict(outputs)
            known.update({f"steps.{step['id']}.outputs.{key}": value for key, value in outputs.items()})
            known[f"steps.{step['id']}.outcome"] = outcome

    def use(self, step: Mapping[str, Any], known: dict[str, str]) -> None:
        """Carries out an action: ours by its steps, those that keep files by copies, others by nothing."""
        given = {key: value_of(str(value), known) for key, value in step.get("with", {}).items()}
        path = self.workspace / given.get("path", "")
        if step["uses"] == OURS:
            self.ours(given)
        elif step["uses"] == UPLOAD:
            self.played.uploads[given["name"]] = Service.put(self.service.artifacts / given["name"], path)
        elif step["uses"] == DOWNLOAD:
            if not self.service.download(given, path):
                self.played.failed = self.played.failed or step["name"]
        elif step["uses"] == RESTORE:
            self.told(step, {"cache-hit": str(self.service.restore(given, path)).lower()}, known, "success")
        elif step["uses"] == SAVE:
            Service.put(self.service.caches / given["key"], path)

    def ours(self, given: Mapping[str, str]) -> None:
        """The steps of action.yml, with these inputs."""
        document = load(ACTION)
        inputs = {name: one["default"] for name, one in document["inputs"].items()} | dict(given)
        known = {f"inputs.{name}": value for name, value in inputs.items()}
        self.steps(document["runs"]["steps"], known, {"GITHUB_ACTION_PATH": str(self.workspace / "faultline")})

    def steps(self, steps: list[dict[str, Any]], known: Mapping[str, str], extra: Mapping[str, str]) -> Played:
        """Carries out steps. known: names of expressions with their values; extra: variables."""
        seen = {"runner.temp": str(self.temporary), **known}
        for step in steps:
            if is_run(step, self.played, seen):
                self.run(step, seen, extra) if "run" in step else self.use(step, seen)
        return self.played


def play(
    steps: list[dict[str, Any]], workspace: Path, known: Mapping[str, str], environment: Mapping[str, str],
    service: Service | None = None, cancel: Cancel | None = None,
) -> Played:
    """Carries out the steps of a job in a workspace."""
    return Job(workspace, environment, service, cancel).steps(steps, known, {})


@dataclass
class PlayedGitlab:
    """What a job of GitLab did."""

    status: int
    said: str
    artifacts: list[str]  # files that were kept, by their paths in the workspace


def matrix_axes(job: Mapping[str, Any]) -> set[str]:
    """The variables of a GitLab job's matrix."""
    return {axis for one in job.get("parallel", {}).get("matrix", []) for axis in one}


def play_gitlab(
    name: str, workspace: Path, variables: Mapping[str, str], environment: Mapping[str, str], service: Service
) -> PlayedGitlab:
    """Carries out a job as GitLab's runner does: in a clean workspace, with the artifacts of the jobs it needs and its
    cache; before_script and script in one shell, after_script in another, whatever came of the first."""
    document = load(GITLAB)
    job = gitlab_job(document, name)
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir()
    for needed in job.get("needs", []):
        for kept in service.artifacts.glob(f"{needed}*"):
            shutil.copytree(kept, workspace, dirs_exist_ok=True)
    cached = [workspace / path for path in job.get("cache", {}).get("paths", [])]
    for path in cached:
        if (service.caches / path.name).exists():
            shutil.copytree(service.caches / path.name, path)
    values = {**environment, **document["variables"], **variables}
    done = []
    for lines in ([*job["before_script"], *job["script"]], job.get("after_script", [])):
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)]
        done.append(subprocess.run(words, cwd=workspace, env=values, text=True, stdout=subprocess.PIPE, check=False,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120))
    for path in cached:
        Service.put(service.caches / path.name, path)
    place = service.artifacts / "-".join([name, *(variables[axis] for axis in matrix_axes(job))])
    kept = [path for pattern in job["artifacts"]["paths"] for path in workspace.glob(pattern)]
    for path in kept:
        target = place / path.relative_to(workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    found = sorted(str(path.relative_to(workspace)) for path in kept)
    return PlayedGitlab(done[0].returncode, "".join(one.stdout for one in done), found)


BUILD = """#!/bin/sh
# Stands for scripts/ci-build: nothing is built.
case $1 in
    --key) echo 0123 ;;
    --folder) echo "$(cd "$(dirname "$0")/.." && pwd)/build/release" ;;
    *) echo '%s' ;;
esac
"""
SYSTEM = {  # stand for what belongs to the system, by name
    "apt-get": "exit 0",
    "sudo": '[ "$1" != -n ] || shift; exec "$@"',
    "mkfs.ext4": 'shift; [ -s "$1" ]',
    "mount": '[ "$1" = -o ] && [ -e "$3" ] && [ -d "$4" ] && echo "$2" >"$4/.mounted"',
    "mountpoint": '[ -e "$2/.mounted" ]',
    "umount": 'rm "$1/.mounted"',
}


def tree_make(place: Path, program: Path) -> Path:
    """A tree of faultline: its scripts as they are, but for the building."""
    (place / "scripts").mkdir(parents=True)
    for name in ("tests", "scenarios"):
        (place / name).symlink_to(ROOT / name)
    for one in (ROOT / "scripts").iterdir():
        if one.name != "ci-build":
            (place / "scripts" / one.name).symlink_to(one)
    program_make(place / "scripts" / "ci-build", BUILD % program)
    return place


def program_make(path: Path, text: str) -> Path:
    """A program of this text."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def system_make(place: Path) -> str:
    """A PATH on which the programs of SYSTEM come first."""
    place.mkdir()
    for name, text in SYSTEM.items():
        program_make(place / name, f"#!/bin/sh\n{text}\n")
    return f"{place}:{os.environ['PATH']}"


def repository_make(place: Path) -> str:
    """Makes a folder a repository of one commit; its hash."""
    git(place, "init", "-q", "-b", "main")
    return git_commit(place, "one")


def git(place: Path, *words: str) -> str:
    """git in a folder, whatever the user has set; what it printed."""
    who = {f"GIT_{role}_{what}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", "-C", str(place), *words], text=True, capture_output=True, check=True,
                          env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(place), **who})
    return done.stdout.strip()


def git_commit(place: Path, text: str) -> str:
    """Commits all there is; its hash."""
    git(place, "add", "-A")
    git(place, "commit", "-q", "--allow-empty", "-m", text)
    return git(place, "rev-parse", "HEAD")
