# SPDX-License-Identifier: MIT
"""How commands end when nothing goes as it should."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

import fake_run
from fake_run import FakeArm
from faultline import command, compare, report

ROOT = Path(__file__).resolve().parents[2]


def raises(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arms = [FakeArm("pread"), FakeArm("mapped", 0.8)]
    return fake_run.write(tmp_path_factory.mktemp("runs") / "run", [
        fake_run.read_or_map(cells=[{}], arms=arms, trials=9, rounds=4)])


@pytest.mark.parametrize("error, told", [
    (KeyError("no\nsuch"), r"internal error: KeyError: 'no\nsuch', test_command.py:"),
    (RecursionError("deep"), "internal error: RecursionError: deep"),
    (MemoryError(), "out of memory"),
    (ModuleNotFoundError("No module named 'jinja2'", name="jinja2"), "a module of Python is missing: No module named"),
    (OSError(28, "No space left on device", "x\x1b[2J"), r"[Errno 28] No space left on device: 'x\x1b[2J'"),
    (command.Complaint("wrong"), "wrong"),
])
def test_whatever_goes_wrong(error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.guarded("faultline x", raises(error)) == 7
    assert command.guarded("faultline x", raises(error), 125) == 125
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"faultline x: {told}"), lines


def test_an_interrupt_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.guarded("faultline x", raises(KeyboardInterrupt())) == 128 + signal.SIGINT
    assert capsys.readouterr().err == ""


def test_an_error_inside_is_no_regression(run: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("faultline.comparison.compare", lambda *_: 1 / 0)
    assert compare.main([str(run), str(run)]) == 7
    assert compare.main(["--bisect", str(run), str(run)]) == 125
    monkeypatch.setattr("faultline.live.main", lambda words: 1 / 0)
    assert compare.main(["--live", "a", "b"]) == 7
    assert capsys.readouterr().err.count("internal error: ZeroDivisionError") == 3


def started(words: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run([sys.executable, "-B", "-m", *words], env=environment, text=True, stderr=subprocess.PIPE,
                          timeout=300, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["faultline.report", "--table-only"], ["faultline.compare"]])
def test_output_that_cannot_be_written(run: Path, words: list[str]) -> None:
    runs = [str(run)] * (1 + (words[0] == "faultline.compare"))
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = started([*words, *runs], stdout=full)
    assert done.returncode == 7 and done.stderr.count("\n") == 1 and "No space left" in done.stderr, done


def test_a_reader_that_has_gone_still_gets_the_files(run: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = started(["faultline.report", "--no-plots", str(run)], stdout=write)
    os.close(write)
    assert (run / "report.html").exists() and done.returncode == 0 and done.stderr == "", done


def test_a_name_that_is_too_long(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        report.main([str(run), "--openmetrics", "x" * 300])
    assert caught.value.code == 2 and "File name too long" in capsys.readouterr().err


def test_a_schema_that_is_nowhere(run: Path, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FAULTLINE_SCHEMA", "/nowhere")
    for words in ([], ["--vary", "cpu"]):
        assert compare.main([str(run), str(run), *words]) == 7
        told = capsys.readouterr().err
        assert told == "faultline compare: /nowhere: No such file or directory\n", told
    assert report.main([str(run)]) == 7
    assert capsys.readouterr().err == "faultline report: /nowhere: No such file or directory\n"


@pytest.mark.parametrize("words, status", [(["report"], 7), (["compare", "--bisect", "x"], 125), (["plot"], 7)])
def test_without_a_module(run: Path, tmp_path: Path, words: list[str], status: int) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('No module named numpy', name='numpy')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'scripts'}"}
    done = subprocess.run([sys.executable, "-B", "-m", "faultline", *words, str(run)], env=environment, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == status and done.stderr == (
        f"faultline {words[0]}: a module of Python is missing: No module named numpy (scripts/setup installs what is"
        " needed)\n")


@pytest.mark.parametrize("path", sorted((ROOT / "scripts" / "faultline").rglob("*.py")), ids=lambda path: path.stem)
def test_every_module_can_be_imported(path: Path) -> None:
    """Also those of commands that no test runs whole."""
    parts = path.relative_to(ROOT / "scripts").with_suffix("").parts
    importlib.import_module(".".join(parts).removesuffix(".__init__"))
