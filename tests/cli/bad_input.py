# SPDX-License-Identifier: MIT
"""Every bad scenario file gives its exact message and status 2, from `plan` and from `run`, and leaves nothing behind.

The first line of each file under tests/data/bad says what to expect: `# expect: LINE:COLUMN: message`, or a message
without a place where the fault has none.
"""

import pathlib
import re
import subprocess
import tempfile

import helper

BAD = helper.TREE / "tests" / "data" / "bad"


def expected_messages(path: pathlib.Path) -> set[str]:
    """With a place: after the path. Without: alone, or after the path where it is the file as a whole."""
    text = path.read_bytes().split(b"\n", 1)[0].decode("utf-8", "replace").removeprefix("# expect: ")
    if re.match(r"\d+:\d+: ", text):
        return {f"faultline: {path}:{text}"}
    return {f"faultline: {text}", f"faultline: {path}: {text}"}


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(helper.PROGRAM), *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def check(path: pathlib.Path, command: list[str]) -> list[str]:
    done = run(*command, str(path))
    faults = []
    if done.returncode != 2:
        faults.append(f"{path.name}: status {done.returncode}")
    if done.stdout:
        faults.append(f"{path.name}: wrote to standard output: {done.stdout!r}")
    message = done.stderr.removesuffix("\n")
    if message not in expected_messages(path):
        faults.append(f"{path.name}:\n  wanted one of {expected_messages(path)}\n  got {message!r}")
    return faults


def with_first_line(pattern: str) -> list[pathlib.Path]:
    return sorted(p for p in BAD.glob(pattern) if p.read_bytes().startswith(b"# expect: "))


def test_plan_says_exactly_what_is_wrong(scratch):
    files = with_first_line("*.yaml")
    assert len(files) >= 80, f"only {len(files)} bad files"
    faults = [fault for path in files for fault in check(path, ["plan"])]
    assert not faults, "\n".join(faults)


def test_run_refuses_before_it_makes_anything(scratch):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        for path in with_first_line("*.yaml")[::7]:
            assert run("run", str(path), "--out", str(out)).returncode == 2, path
            assert not out.exists(), path


if __name__ == "__main__":
    helper.main(globals())
