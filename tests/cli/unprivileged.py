# SPDX-License-Identifier: MIT
"""Nothing needs root, a home, or a tree that can be written."""

import os
import pathlib
import shutil
import subprocess

import helper

NOBODY = 65534


def prefix() -> list[str]:
    """Launcher that gives up what root has; nothing for other users."""
    if os.geteuid() != 0:
        return []
    helper.needs_tool("setpriv")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
            "--bounding-set=-all", "--inh-caps=-all"]


def settle(scratch: helper.Scratch) -> pathlib.Path:
    """A copy of program and scenarios that everybody may read (the tree may lie where only its owner can), and folders
    that are the user's own. The program."""
    scratch.path.chmod(0o755)
    program = scratch.path / "faultline"
    shutil.copy(helper.PROGRAM, program)
    shutil.copytree(helper.TREE / "scenarios", scratch.path / "scenarios")
    home = scratch.path / "home"
    home.mkdir()
    if os.geteuid() == 0:
        for path in (home, scratch.files):
            os.chown(path, NOBODY, NOBODY)
    return program


def words_of(scratch: helper.Scratch, *scenarios: str) -> list[str]:
    return ["run", *(str(scratch.path / "scenarios" / f"{name}.yaml") for name in scenarios), "--profile", "quick",
            "--set", "arm_time=2ms", "--directory", str(scratch.files), "--no-report"]


def test_measures(scratch: helper.Scratch) -> None:
    """All of the floor and a scenario of access."""
    program = settle(scratch)
    floor = sorted(path.relative_to(helper.TREE / "scenarios").with_suffix("").as_posix()
                   for path in (helper.TREE / "scenarios" / "floor").glob("*.yaml"))
    out = scratch.path / "home" / "run"
    words = [*words_of(scratch, *floor, "access/copy-or-in-place"), "--budget", "4s", "--out", str(out)]
    result = scratch.call(words, program=program, prefix=prefix(), cwd="/", environment={"HOME": "/nonexistent"})
    helper.check_status(result, 0)
    found = helper.records(out)
    assert {record["scenario"].rpartition("/")[2] for record in found} == \
        {name.rpartition("/")[2] for name in (*floor, "access/copy-or-in-place")}
    assert all(arm["status"] == "ok" for record in found for arm in record["arms"]), helper.reasons(found)
    if os.geteuid() == 0:
        assert out.stat().st_uid == NOBODY
    helper.check_gone(scratch)


def test_cold(scratch: helper.Scratch) -> None:
    """Evicting one's own file needs no privilege; where the disk does not play along the arm says so."""
    program = settle(scratch)
    out = scratch.path / "home" / "run"
    words = [*words_of(scratch, "access/cold-scan"), "--out", str(out), "--budget", "2s"]
    result = scratch.call(words, program=program, prefix=prefix(), cwd="/", environment={"HOME": "/nonexistent"})
    assert result.returncode in (0, 2), (result.returncode, result.stderr)
    if result.returncode == 2:
        raise helper.Skip(f"nothing is ever cold here: {result.stderr.strip()}")
    assert helper.records(out)


def test_commands(scratch: helper.Scratch) -> None:
    program = settle(scratch)
    for words in (["machine"], ["machine", "--json"], ["schema"], ["list", "methods"], ["list", "fields"],
                  ["list", "counters"], ["list", "looks"], ["plan", str(scratch.path / "scenarios" / "floor")]):
        result = scratch.call(words, program=program, prefix=prefix(), cwd="/", environment={"HOME": "/nonexistent"})
        helper.check_status(result, 0)
        assert result.stdout and not result.stderr, (words, result.stderr)


def test_closed_out(scratch: helper.Scratch) -> None:
    """A directory of somebody else is refused in words."""
    program = settle(scratch)
    closed = scratch.path / "closed"
    closed.mkdir(mode=0o555)
    words = words_of(scratch, "floor/syscall-floor")
    result = scratch.call([*words, "--out", str(closed / "run")], program=program, prefix=prefix())
    helper.check_status(result, 7)
    assert str(closed) in result.stderr and "ermission denied" in result.stderr, result.stderr
    words[words.index("--directory") + 1] = str(closed)
    result = scratch.call([*words, "--out", str(scratch.path / "home" / "run")], program=program, prefix=prefix())
    assert result.returncode in (4, 7), (result.returncode, result.stderr)
    assert str(closed) in result.stderr and "ermission denied" in result.stderr, result.stderr


def test_tree_cannot_be_written(scratch: helper.Scratch) -> None:
    """Without --out and with a tree that is read-only, the run goes into the current folder."""
    helper.own_mounts()
    helper.needs_tool("mount")
    tree = str(helper.TREE)
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", tree], check=True)
        work = scratch.path / "work"
        work.mkdir()
        words = ["run", "floor/syscall-floor", "--profile", "quick", "--set", "arm_time=2ms", "--no-report"]
        result = scratch.call([*words, "--directory", str(scratch.files)], cwd=work)
        helper.check_status(result, 0)
        run = work / result.stdout.splitlines()[-1]
        assert run.parent.resolve() == work.resolve() and helper.records(run), result.stdout
    finally:
        subprocess.run(["umount", tree], check=True)


if __name__ == "__main__":
    helper.main(globals())
