# SPDX-License-Identifier: MIT
"""What goes where: the run's directory is the last line of standard output, progress is on standard error, and output
that cannot be written is a status."""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

import helper


def test_last_line_and_progress(scratch: helper.Scratch) -> None:
    result = scratch.call(scratch.run_words(trials=8))
    helper.check_status(result, 0)
    assert result.stdout == f"{scratch.out}\n"
    lines = result.stderr.splitlines()
    assert "2 cells" in lines[0]
    for cell in ("block_bytes=64 ", "block_bytes=4KiB "):
        assert sum(cell in line for line in lines) == 1, "one line a cell, when it is finished"
    assert "\033" not in result.stderr
    verdict = re.compile(r"mapped [\d.e+-]+ \[[\d.e+-]+,[\d.e+-]+\] [A-Z]")
    assert all(verdict.search(line) for line in lines if "block_bytes" in line), lines


def test_quiet(scratch: helper.Scratch) -> None:
    result = scratch.call(scratch.run_words("--quiet"))
    helper.check_status(result, 0)
    assert result.stdout == f"{scratch.out}\n" and result.stderr == ""


def test_progress_while_it_lasts(scratch: helper.Scratch) -> None:
    """Not on a terminal: a line about every five seconds, with what is done and what is left."""
    process = scratch.start(scratch.run_words(trials=30, arm_time="500ms", blocks="4KiB"))
    time.sleep(12 if "--long" in sys.argv else 6)
    process.terminate()
    _, error = process.communicate()
    line = re.compile(r"^faultline: (\d+) of about (\d+) records, (\d+) s gone, about \d+ s left$", re.MULTILINE)
    progress = line.findall(error)
    gone = [int(seconds) for _, _, seconds in progress]
    assert gone and all(later - earlier >= 5 for earlier, later in zip([0, *gone], gone)), error
    assert all(0 < int(done) < int(expected) for done, expected, _ in progress), progress


def draw_on_terminal(scratch: helper.Scratch, words: list[str], rows: int, columns: int) -> tuple[int, str]:
    """Runs on a terminal of that size; status, and all that was written to it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen([str(helper.PROGRAM), *words], stdin=slave, stdout=subprocess.DEVNULL, stderr=slave,
                               env=scratch.environment({"TERM": "xterm"}))
    os.close(slave)
    text = b""
    while True:
        ready, _, _ = select.select([master], [], [], 0.2)
        try:
            piece = os.read(master, 65536) if ready else b""
        except OSError:  # EIO: the other end is closed
            break
        if piece:
            text += piece
        elif process.poll() is not None:
            break
    os.close(master)
    return process.wait(), text.decode()


def screen_of(text: str, rows: int, columns: int) -> list[str]:
    """What stands on the terminal at the end: enough of one for lines, cursor up and erase below."""
    lines, row = [""], 0
    for part in re.findall(r"\033\[(\d*)([A-Za-z])|(\r?\n)|([^\033\r\n]+)", text):
        number, command, newline, plain = part
        if newline:
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif plain:
            assert len(plain) < columns or "\033" not in text[:text.index(plain)], f"redrawn, but too wide: {plain}"
            lines[row] = plain
        elif command == "A":
            assert int(number) < rows, "further up than the terminal is high"
            row -= int(number)
        elif command == "J":
            del lines[row:]
            lines.append("")
        else:
            raise AssertionError(f"unknown control sequence {part}")
    return lines


def test_terminal(scratch: helper.Scratch) -> None:
    """Redrawn in place: a line a cell with a first, provisional verdict, then refined."""
    status, text = draw_on_terminal(scratch, scratch.run_words(trials=12, arm_time="20ms"), 24, 100)
    assert status == 0
    assert "\033[" in text, "nothing was redrawn"
    assert re.search(r"block_bytes=4KiB \([1-5]\)  mapped [\d.]+ [A-Z ]+\?", text), "no provisional verdict"
    final = [line for line in screen_of(text, 24, 100) if line]
    cells = [line for line in final if "block_bytes=" in line]
    assert len(cells) == 2 and all("(12, done)" in line for line in cells), final
    assert not any("records" in line for line in final), "how far it is is gone at the end"


def test_small_terminal(scratch: helper.Scratch) -> None:
    """More cells than lines, and lines wider than the terminal: still in place."""
    blocks = "64, 128, 256, 512, 1KiB, 2KiB, 4KiB, 8KiB, 16KiB"
    status, text = draw_on_terminal(scratch, scratch.run_words(trials=2, arm_time="5ms", blocks=blocks), 8, 40)
    assert status == 0
    assert len([line for line in screen_of(text, 8, 40) if line]) <= 8


def test_dumb_terminal(scratch: helper.Scratch) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen([str(helper.PROGRAM), *scratch.run_words()], stdin=slave, stdout=subprocess.DEVNULL,
                               stderr=slave, env=scratch.environment({"TERM": "dumb"}))
    os.close(slave)
    assert process.wait() == 0
    assert b"\033" not in os.read(master, 65536)
    os.close(master)


COMMANDS = [["--help"], ["--version"], ["run", "--help"], ["list", "fields"], ["list", "methods", "--markdown"],
            ["list", "scenarios"], ["machine"], ["machine", "--json"], ["schema"], ["plan", "floor/null"],
            ["plan", "floor/null", "--json"]]


def test_full_device(scratch: helper.Scratch) -> None:
    for words in COMMANDS:
        with open("/dev/full", "w", encoding="ascii") as full:
            result = scratch.call(words, stdout=full)
        helper.check_status(result, 7)
        assert "standard output" in result.stderr, (words, result.stderr)


def test_closed_pipe(scratch: helper.Scratch) -> None:
    for words in COMMANDS:
        reader, writer = os.pipe()
        os.close(reader)
        result = scratch.call(words, stdout=writer)
        os.close(writer)
        helper.check_status(result, 7)
    nowhere = scratch.call(["--version"], prefix=["sh", "-c", 'exec "$0" "$@" >&-'])
    helper.check_status(nowhere, 7)


def test_run_whose_output_is_lost(scratch: helper.Scratch) -> None:
    """The records are there all the same."""
    for name, streams in (("full", ("stdout",)), ("both", ("stdout", "stderr"))):
        scratch.out = scratch.path / name
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w", encoding="ascii") as full:
            lost = full if name == "full" else writer
            result = scratch.call(scratch.run_words(), **dict.fromkeys(streams, lost))
        os.close(writer)
        helper.check_status(result, 7)
        helper.check_complete(scratch.out)
        helper.check_gone(scratch)
    scratch.out = scratch.path / "silent"
    with open("/dev/full", "w", encoding="ascii") as full:
        helper.check_status(scratch.call(scratch.run_words(), stderr=full), 0)
    helper.check_complete(scratch.out)


def test_closed_streams(scratch: helper.Scratch) -> None:
    """No file of the run takes the number of a standard stream that is not there."""
    result = scratch.call(scratch.run_words(), prefix=["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'])
    helper.check_status(result, 7)
    helper.check_complete(scratch.out)


def test_without_python(scratch: helper.Scratch) -> None:
    """The program alone measures, says that nothing is concluded, and that is fine."""
    alone = scratch.path / "bin"
    alone.mkdir()
    program = alone / "faultline"
    shutil.copy(helper.PROGRAM, program)
    words = [word for word in scratch.run_words() if word != "--no-report"]
    result = scratch.call(words, program=program, environment={"PATH": str(scratch.path / "nothing")})
    helper.check_status(result, 0)
    assert "faultline-report is not here" in result.stderr and "Python" in result.stderr, result.stderr
    assert result.stdout == f"{scratch.out}\n"
    helper.check_complete(scratch.out)
    missing = scratch.call(["report", str(scratch.out)], program=program, environment={"PATH": ""})
    helper.check_status(missing, 2)
    assert "report" in missing.stderr


def test_subcommands_are_found(scratch: helper.Scratch) -> None:
    """faultline-NAME on PATH is a command, gets its arguments, and its status is passed on."""
    folder = scratch.path / "commands"
    folder.mkdir()
    command = folder / "faultline-greet-all"
    command.write_text('#!/bin/sh\necho "hello $*"\nexit 41\n')
    command.chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    result = scratch.call(["greet-all", "--you", "there"], environment=path)
    assert (result.returncode, result.stdout) == (41, "hello --you there\n"), result
    for name in ("greet", "../greet-all", "Greet-all", "", "-greet"):
        helper.check_status(scratch.call([name], environment=path), 2)


def test_report_fails(scratch: helper.Scratch) -> None:
    """What the report says by its status is what the run says; the graver of the two."""
    alone = scratch.path / "bin"
    alone.mkdir()
    program = alone / "faultline"
    shutil.copy(helper.PROGRAM, program)
    report = alone / "faultline-report"
    words = [word for word in scratch.run_words() if word != "--no-report"]
    for script, status in (("exit 0", 0), ("exit 4", 4), ("exit 7", 7), ("kill -SEGV $$", 7)):
        report.write_text(f'#!/bin/sh\ntest -s "$1/trials.jsonl" || exit 9\necho "table of $1"\n{script}\n')
        report.chmod(0o755)
        result = scratch.call(words, program=program)
        helper.check_status(result, status)
        assert result.stdout == f"table of {scratch.out}\n{scratch.out}\n", result.stdout
        assert helper.manifest(scratch.out)["exit_status"] == status
        shutil.rmtree(scratch.out)


def test_relative_names(scratch: helper.Scratch) -> None:
    words = scratch.run_words()
    words[words.index("--out") + 1] = "here"
    words[words.index("--directory") + 1] = "files"
    result = scratch.call(words, cwd=scratch.path)
    helper.check_status(result, 0)
    assert result.stdout == "here\n"
    helper.check_complete(pathlib.Path(scratch.path / "here"))


helper.main(globals())
