# SPDX-License-Identifier: MIT
"""What a job of continuous integration is told: its page, its outputs and its annotations.

Used by scripts/ci-run, ci-compare and ci-history. Three things are written, each only where GitHub Actions asks for it:
GITHUB_STEP_SUMMARY (Markdown, at most 1 MiB a step), GITHUB_OUTPUT (`name<<DELIMITER`, value, DELIMITER) and, with
GITHUB_ACTIONS=true, at most 10 `::error` lines on standard output. Source of the formats and limits: GitHub's
documentation, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from faultline import files
from faultline.text import safe

NAME = "faultline CI"
VERDICTS = ("FASTER", "SLOWER", "SAME", "CANNOT TELL", "INVALID")
PAGE_BYTES = 1024 * 1024
ANNOTATIONS = 10
PRECEDENCE = (2, 7, 6, 5, 4, 1, 3)  # of several comparisons; any other status, such as that of a signal, comes first
FAILS = {"never": (), "broken": (5, 7), "invalid": (4, 5, 7), "undecided": (4, 5, 7)}  # statuses that fail a job


@dataclass(frozen=True)
class Note:
    """An annotation: of which file in the workspace, if any, and what it says."""

    title: str
    message: str
    file: str | None = None


def escaped(text: str) -> str:
    """The message of a workflow command: %, CR and LF as %25, %0D, %0A."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_escaped(text: str) -> str:
    """The value of a property of one: as the message, and `:` and `,` too."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")


def command(note: Note) -> str:
    """The workflow command of an annotation, without its line end."""
    properties = [f"file={property_escaped(note.file)}"] if note.file else []
    properties.append(f"title={property_escaped(note.title)}")
    return f"::error {','.join(properties)}::{escaped(note.message)}"


def commands(notes: Sequence[Note]) -> list[str]:
    """At most ANNOTATIONS of them: GitHub shows no more of a step. The last says how many there are beyond."""
    if len(notes) > ANNOTATIONS:
        rest = len(notes) - ANNOTATIONS + 1
        notes = [*notes[: ANNOTATIONS - 1], Note("faultline", f"and {rest} more: see the job's summary")]
    return [command(note) for note in notes]


def output_text(outputs: Mapping[str, object]) -> str:
    """Lines for GITHUB_OUTPUT; whatever a value holds, it cannot end early: the delimiter is random."""
    parts = []
    for name, value in outputs.items():
        delimiter = f"faultline-{secrets.token_hex(16)}"
        parts.append(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    return "".join(parts)


def page_text(parts: Sequence[tuple[str, str]], room: int) -> str:
    """Markdown parts, each with its name; those that no longer fit into `room` bytes are named instead. Empty when not
    even their names fit."""
    sizes = [len(text.encode()) for _, text in parts]
    for kept in range(len(parts), -1, -1):
        left_out = [name for name, _ in parts[kept:]]
        end = f"\nLeft out, for a step's summary holds 1 MiB: {', '.join(left_out)}\n" if left_out else ""
        if sum(sizes[:kept]) + len(end.encode()) <= room:
            return "".join(text for _, text in parts[:kept]) + end
    return ""


def page_add(parts: Sequence[tuple[str, str]], environment: Mapping[str, str]) -> None:
    """Adds Markdown to the page of the step, if it has one; OSError when it cannot be written."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    if path:
        with open(path, "a+", encoding="utf-8", newline="\n") as stream:
            stream.seek(0, os.SEEK_END)
            stream.write(page_text(parts, PAGE_BYTES - stream.tell()))


def outputs_add(outputs: Mapping[str, object], environment: Mapping[str, str]) -> None:
    """Adds the outputs of the step, if somebody reads them; OSError when they cannot be written."""
    path = environment.get("GITHUB_OUTPUT")
    if path:
        with open(path, "a", encoding="utf-8", newline="\n") as stream:
            stream.write(output_text(outputs))


def notes_print(notes: Sequence[Note], environment: Mapping[str, str]) -> None:
    """Prints the annotations, if this is a job of GitHub Actions."""
    if environment.get("GITHUB_ACTIONS") == "true":
        for line in commands(notes):
            print(line)


def scenario_file(name: str, environment: Mapping[str, str], given: Sequence[str] = ()) -> str | None:
    """The file of a scenario, relative to the workspace, where it has it: among the words `given` to the run, or where
    scenarios lie in a tree of faultline."""
    workspace = environment.get("GITHUB_WORKSPACE")
    if not workspace:
        return None
    named = [word for word in given if f"/{word}".endswith(f"/{name}.yaml")]
    for candidate in (*named, f"scenarios/{name}.yaml"):
        path = Path(os.path.normpath(Path(workspace) / candidate))
        if path.is_relative_to(workspace) and path.is_file():
            return str(path.relative_to(workspace))
    return None


def counts_outputs(counts: Mapping[str, int]) -> dict[str, object]:
    """Verdict counts as outputs, by names that expressions can hold."""
    return {verdict.lower().replace(" ", "_"): counts.get(verdict, 0) for verdict in VERDICTS}


def run_notes(summary: dict[str, Any], environment: Mapping[str, str], given: Sequence[str] = ()) -> list[Note]:
    """What went wrong in a run: what failed, what is INVALID, what the reader had to say. given: words of the run."""
    notes = [Note("damaged records", safe(problem)) for problem in summary["problems"]]
    for cell in summary["cells"]:
        place = scenario_file(cell["scenario"], environment, given)
        where = f"{cell['scenario']} {cell['cell']}"
        if cell["status"] in ("failed", "invalid"):
            notes.append(Note(f"{cell['status']}: {where}", safe(cell["reason"] or "no reason was recorded"), place))
            continue
        for arm in cell["arms"]:
            if arm["status"] == "failed" or arm["verdict"] == "INVALID":
                word = "failed" if arm["status"] == "failed" else "INVALID"
                reason = arm["reason"] or arm["verdict_reason"] or "no reason was recorded"
                notes.append(Note(f"{word}: {where} {arm['name']}", safe(reason), place))
    return notes


def run_status(status: int, fail_on: str, undecided: int) -> int:
    """Status of the job by that of a run with a summary, and by how many comparisons are CANNOT TELL."""
    if status in (4, 5, 7):
        return status if status in FAILS[fail_on] else 0
    return 3 if status == 0 and fail_on == "undecided" and undecided else status


def run_told(directory: Path, status: int, archive: str, fail_on: str, environment: Mapping[str, str]) -> int:
    """Tells of one run; the status of the job. OSError and ValueError when files cannot be read or written."""
    left = directory if directory.exists() else ""
    outputs: dict[str, object] = {"directory": left, "archive": archive, "status": status}
    if not (directory / "summary.json").exists():
        outputs_add({**outputs, "noise_grade": "", **counts_outputs({})}, environment)
        notes_print([Note("faultline run", f"status {status}, and no summary was written")], environment)
        return status or 7
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    verdicts = summary["verdicts"]
    outputs_add({**outputs, "noise_grade": summary["noise_grade"] or "", **counts_outputs(verdicts)}, environment)
    page_add([("summary.md", (directory / "summary.md").read_text(encoding="utf-8") + "\n")], environment)
    argv = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["argv"]
    notes_print(run_notes(summary, environment, argv), environment)
    return run_status(status, fail_on, verdicts["CANNOT TELL"])


def compare_notes(name: str, found: dict[str, Any], environment: Mapping[str, str]) -> list[Note]:
    """What one comparison found that one should look at: why it was refused, and rows that are SLOWER or INVALID."""
    notes = [Note(f"not comparable: {name}", safe(reason)) for reason in found["refused"]]
    for row in found["rows"]:
        if row["verdict"] in ("SLOWER", "INVALID"):
            title = f"{row['verdict']}: {row['scenario']} {row['cell']} {row['arm']}"
            change = row["change"]["estimate"]
            text = f"{name}: {row['quantity']}" + (f" {100 * (change - 1):+.2f} %" if change is not None else "")
            reason = f"; {row['why']}" if row["why"] else ""
            notes.append(Note(title, safe(text + reason), scenario_file(row["scenario"], environment)))
    return notes


def cell_text(text: str) -> str:
    """Text of a name in a cell of a Markdown table, as code."""
    return "`" + safe(text).replace("|", "\\|").replace("`", "'") + "`"


def board(base: str, rows: Sequence[tuple[str, int, dict[str, Any] | None]]) -> str:
    """The table above several comparisons: a row each, (name, exit status, compare.json or None)."""
    lines = [f"# faultline: compared with {cell_text(base)}", "",
             f"| side | {' | '.join(VERDICTS)} | exit status |", f"| --- |{' ---: |' * (len(VERDICTS) + 1)}"]
    for name, status, found in rows:
        counts = [str(found["counts"][verdict]) if found else "" for verdict in VERDICTS]
        said = str(status) if found else f"{status}: nothing was compared"
        lines.append(f"| {cell_text(name)} | {' | '.join(counts)} | {said} |")
    return "\n".join([*lines, "", "`CANNOT TELL` is no all-clear.", ""])


def worst(statuses: Sequence[int]) -> int:
    """The status of several comparisons."""
    others = [status for status in statuses if status not in (0, *PRECEDENCE)]
    return others[0] if others else next((status for status in PRECEDENCE if status in statuses), 0)


def compare_told(
    out: Path, base: str, ended: Sequence[str], report_only: bool, environment: Mapping[str, str]
) -> int:
    """Tells of comparisons, each `NAME=STATUS` with its files in out/NAME; the status of the job. OSError and
    ValueError when files cannot be read or written."""
    rows: list[tuple[str, int, dict[str, Any] | None]] = []
    parts: list[tuple[str, str]] = []
    notes: list[Note] = []
    for name, _, status in (one.rpartition("=") for one in ended):
        path = out / name / "compare.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        rows.append((name, int(status), found))
        if found:
            parts.append((name, f"\n## {cell_text(name)}\n\n{path.with_suffix('.md').read_text(encoding='utf-8')}\n"))
            notes += compare_notes(name, found, environment)
        else:
            notes.append(Note(f"nothing was compared: {name}", f"faultline compare ended with {status}"))
    parts.insert(0, ("the board", board(base, rows)))
    files.replace_text(out / "board.md", "".join(text for _, text in parts))
    status = worst([one for _, one, _ in rows])
    counts = {verdict: sum(found["counts"][verdict] for _, _, found in rows if found) for verdict in VERDICTS}
    outputs_add({"board": out / "board.md", "status": status, **counts_outputs(counts)}, environment)
    page_add(parts, environment)
    notes_print(notes, environment)
    return 0 if report_only and all(found for _, _, found in rows) else status


def text_told(title: str, text: str, environment: Mapping[str, str]) -> int:
    """Puts a text of columns onto the page."""
    fence = "~" * max(3, 1 + max((len(line) for line in text.splitlines() if set(line) == {"~"}), default=0))
    page_add([(title, f"## {title}\n\n{fence}text\n{text.rstrip()}\n{fence}\n")], environment)
    return 0


def parser_make() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    run = kinds.add_parser("run", help="one run")
    run.add_argument("directory", type=Path)
    run.add_argument("--status", type=int, required=True, help="exit status of the run")
    run.add_argument("--archive", default="", help="where it was packed")
    run.add_argument("--fail-on", choices=tuple(FAILS), default="invalid")
    compare = kinds.add_parser("compare", help="comparisons with one base")
    compare.add_argument("out", type=Path)
    compare.add_argument("--base", required=True)
    compare.add_argument("--report-only", action="store_true")
    compare.add_argument("ended", metavar="NAME=STATUS", nargs="+")
    text = kinds.add_parser("text", help="standard input, as it is")
    text.add_argument("title")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command of the scripts."""
    options = parser_make().parse_args(argv)
    try:
        if options.kind == "run":
            return run_told(options.directory, options.status, options.archive, options.fail_on, os.environ)
        if options.kind == "compare":
            return compare_told(options.out, options.base, options.ended, options.report_only, os.environ)
        return text_told(options.title, sys.stdin.read(), os.environ)
    except (OSError, ValueError) as error:
        print(f"{NAME}: {safe(error)}", file=sys.stderr)
        return 7


if __name__ == "__main__":
    sys.exit(main())
