# SPDX-License-Identifier: MIT
"""What a job of continuous integration is told: its page, its outputs and its annotations.

Used by scripts/ci-run, ci-compare and ci-history. Three things are written, each only where GitHub Actions asks for it:
GITHUB_STEP_SUMMARY (Markdown, at most 1 MiB a step), GITHUB_OUTPUT (`name<<DELIMITER`, value, DELIMITER) and, with
GITHUB_ACTIONS=true, at most 10 annotations on standard output. Source of the formats and limits: GitHub's
documentation, "Workflow commands for GitHub Actions". What is told of a job that goes on is a warning, of one that
fails an error.
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
from faultline.text import percent, safe

NAME = "faultline CI"
VERDICTS = ("FASTER", "SLOWER", "SAME", "CANNOT TELL", "INVALID")  # those of faultline.verdict, which is slow to load
PAGE_BYTES = 1024 * 1024
ANNOTATIONS = 10
PRECEDENCE = (2, 7, 6, 5, 4, 1, 3)  # of several comparisons; any other status, such as that of a signal, comes first
UNDECIDED = 3
FAILS = {"never": (), "broken": (5, 7), "invalid": (4, 5, 7), "undecided": (UNDECIDED, 4, 5, 7)}  # a run's job
FOUND = (1, UNDECIDED, 4)  # statuses of a comparison that could be made; the others say that it could not, or not all


@dataclass(frozen=True)
class Note:
    """An annotation: of which file in the workspace, if any, and what it says. mild: a warning whatever becomes of the
    job."""

    title: str
    message: str
    file: str | None = None
    mild: bool = False


def escaped(text: str) -> str:
    """The message of a workflow command: %, CR and LF as %25, %0D, %0A."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_escaped(text: str) -> str:
    """The value of a property of one: as the message, and `:` and `,` too."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")


def command(note: Note, failed: bool) -> str:
    """The workflow command of an annotation, without its line end. failed: whether the job is to fail."""
    properties = [f"file={property_escaped(note.file)}"] if note.file else []
    properties.append(f"title={property_escaped(note.title)}")
    level = "error" if failed and not note.mild else "warning"
    return f"::{level} {','.join(properties)}::{escaped(note.message)}"


def commands(notes: Sequence[Note], failed: bool) -> list[str]:
    """At most ANNOTATIONS of them: GitHub shows no more of a step. The last says how many there are beyond."""
    if len(notes) > ANNOTATIONS:
        rest = len(notes) - ANNOTATIONS + 1
        notes = [*notes[: ANNOTATIONS - 1], Note("faultline", f"and {rest} more: see the job's summary")]
    return [command(note, failed) for note in notes]


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


def notes_print(notes: Sequence[Note], failed: bool, environment: Mapping[str, str]) -> None:
    """Prints the annotations, if this is a job of GitHub Actions."""
    if environment.get("GITHUB_ACTIONS") == "true":
        for line in commands(notes, failed):
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
    told = {verdict: count for verdict, count in summary["verdicts"].items() if count}
    if set(told) == {"CANNOT TELL"}:
        notes.append(Note("nothing could be told", f"all {told['CANNOT TELL']} comparisons are CANNOT TELL", mild=True))
    return notes


def run_status(status: int, fail_on: str, undecided: int) -> int:
    """Status of the job by that of a run with a summary, and by how many comparisons are CANNOT TELL."""
    ended = UNDECIDED if status == 0 and undecided else status
    return 0 if ended in FAILS["undecided"] and ended not in FAILS[fail_on] else ended


def run_told(directory: Path, status: int, archive: str, fail_on: str, environment: Mapping[str, str]) -> int:
    """Tells of one run; the status of the job. OSError and ValueError when files cannot be read or written."""
    left = directory if directory.exists() else ""
    outputs: dict[str, object] = {"directory": left, "archive": archive, "status": status}
    if not (directory / "summary.json").exists():
        outputs_add({**outputs, "noise_grade": "", **counts_outputs({})}, environment)
        notes_print([Note("faultline run", f"status {status}, and no summary was written")], True, environment)
        return status or 7
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    verdicts = summary["verdicts"]
    outputs_add({**outputs, "noise_grade": summary["noise_grade"] or "", **counts_outputs(verdicts)}, environment)
    page_add([("summary.md", (directory / "summary.md").read_text(encoding="utf-8") + "\n")], environment)
    argv = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["argv"]
    ended = run_status(status, fail_on, verdicts["CANNOT TELL"])
    notes_print(run_notes(summary, environment, argv), ended != 0, environment)
    return ended


def undecided_note(name: str, rows: Sequence[Mapping[str, Any]]) -> Note:
    """How many rows of a comparison nobody can tell, and how large a change may be among them."""
    left = [row for row in rows if row["verdict"] == "CANNOT TELL"]
    seen = sorted(row["detectable"] for row in left if row["detectable"] is not None)
    ends = " to ".join(percent(one) for one in dict.fromkeys((seen[0], seen[-1]))) if seen else ""
    hidden = f"a change below {ends} would not have been seen" if ends else "how large a change that hides is unknown"
    return Note(f"CANNOT TELL: {name}", f"{len(left)} of {len(rows)} rows; {hidden}", mild=True)


def compare_notes(name: str, found: Mapping[str, Any], environment: Mapping[str, str]) -> list[Note]:
    """What one comparison found that one should look at: why it was refused, what was left out, how much is open, and
    rows that are SLOWER or INVALID."""
    notes = [Note(f"not comparable: {name}", safe(reason)) for reason in found["refused"]]
    notes += [Note(f"not compared: {name}: {one['scenario']}", safe(one["reason"])) for one in found["left_out"]]
    if not found["rows"] and not notes:
        notes.append(Note(f"not compared: {name}", safe(found["conclusion"])))
    if any(row["verdict"] == "CANNOT TELL" for row in found["rows"]):
        notes.append(undecided_note(name, found["rows"]))
    for row in found["rows"]:
        if row["verdict"] in ("SLOWER", "INVALID"):
            title = f"{row['verdict']}: {row['scenario']} {row['cell']} {row['arm']}"
            change = row["change"]["estimate"]
            text = f"{name}: {row['quantity']}" + (f" {100 * (change - 1):+.2f} %" if change is not None else "")
            reason = f"; {row['why']}" if row["why"] else ""
            notes.append(Note(title, safe(text + reason), scenario_file(row["scenario"], environment)))
    return notes


def row_text(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return safe(text).replace("|", "\\|")


def cell_text(text: str) -> str:
    """Text of a name in a cell of a Markdown table, as code."""
    return "`" + row_text(text).replace("`", "'") + "`"


def is_open(found: Mapping[str, Any]) -> bool:
    """Whether a comparison has rows, and not one of them is decided."""
    return bool(found["rows"]) and all(row["verdict"] == "CANNOT TELL" for row in found["rows"])


@dataclass(frozen=True)
class Compared:
    """One comparison of a board: its name, how `faultline compare` ended, and compare.json where it wrote one."""

    name: str
    ended: int
    found: dict[str, Any] | None

    @property
    def status(self) -> int:
        """That of `faultline compare`; not 0 when nothing was decided."""
        return UNDECIDED if self.ended == 0 and self.found is not None and is_open(self.found) else self.ended

    def said(self) -> str:
        """The status in words."""
        if self.found is None:
            return f"{self.status}: nothing was compared"
        if not self.found["rows"]:
            return f"{self.status}: not compared: {row_text(self.found['conclusion'])}"
        return f"{self.status}: nothing could be told" if is_open(self.found) else str(self.status)


def board(base: str, compared: Sequence[Compared], missing: str) -> str:
    """The table above several comparisons, a row each. missing: what should be there and is not, in words."""
    lines = [f"# faultline: compared with {cell_text(base)}", "",
             f"| side | {' | '.join(VERDICTS)} | exit status |", f"| --- |{' ---: |' * (len(VERDICTS) + 1)}"]
    for one in compared:
        counts = [str(one.found["counts"][verdict]) if one.found else "" for verdict in VERDICTS]
        lines.append(f"| {cell_text(one.name)} | {' | '.join(counts)} | {one.said()} |")
    lines += ["", f"**{missing}**"] if missing else []
    return "\n".join([*lines, "", "`CANNOT TELL` is no all-clear.", ""])


def worst(statuses: Sequence[int]) -> int:
    """The status of several comparisons."""
    others = [status for status in statuses if status not in (0, *PRECEDENCE)]
    return others[0] if others else next((status for status in PRECEDENCE if status in statuses), 0)


def compared_read(out: Path, ended: str) -> Compared:
    """One comparison by `NAME=STATUS`; OSError and ValueError when its file cannot be read."""
    name, _, status = ended.rpartition("=")
    path = out / name / "compare.json"
    return Compared(name, int(status), json.loads(path.read_text(encoding="utf-8")) if path.exists() else None)


def compare_told(
    out: Path, base: str, ended: Sequence[str], report_only: bool, expected: int, environment: Mapping[str, str]
) -> int:
    """Tells of comparisons, each `NAME=STATUS` with its files in out/NAME; the status of the job. expected: how many
    sides there should be at least. OSError and ValueError when files cannot be read or written."""
    compared = [compared_read(out, one) for one in ended]
    sides = 1 + len(compared)
    missing = f"{expected} sides expected, {sides} there" if sides < expected else ""
    parts = [("the board", board(base, compared, missing))]
    notes = [Note("not all sides are there", missing)] if missing else []
    for one in compared:
        if one.found is None:
            notes.append(Note(f"nothing was compared: {one.name}", f"faultline compare ended with {one.ended}"))
            continue
        text = (out / one.name / "compare.md").read_text(encoding="utf-8")
        parts.append((one.name, f"\n## {cell_text(one.name)}\n\n{text}\n"))
        notes += compare_notes(one.name, one.found, environment)
    files.replace_text(out / "board.md", "".join(text for _, text in parts))
    statuses = [one.status for one in compared] + ([7] if missing else [])
    counts = {verdict: sum(one.found["counts"][verdict] for one in compared if one.found) for verdict in VERDICTS}
    outputs_add({"board": out / "board.md", "status": worst(statuses), **counts_outputs(counts)}, environment)
    page_add(parts, environment)
    status = worst([one for one in statuses if not report_only or one not in FOUND])
    notes_print(notes, status != 0, environment)
    return status


def board_notes(found: Mapping[str, Any]) -> list[Note]:
    """What a board over machines has to be looked at for: what is not the same on all, who wins where, what is INVALID,
    and how much is open."""
    notes = [Note(f"not the same on {one['label']}: {one['scenario']} {one['cell']} {one['arm'] or ''}".rstrip(),
                  safe(one["reason"])) for one in found["left_out"]]
    for row in found["rows"]:
        where = f"{row['scenario']} {row['cell']} {row['arm']}"
        bad = [machine["label"] for machine, value in zip(found["machines"], row["values"])
               if value is not None and value["verdict"] == "INVALID"]
        if bad:
            notes.append(Note(f"INVALID: {where}", safe(f"on {', '.join(bad)}")))
        if row["turns"]:
            title = f"the winner is not the same on all machines: {where}"
            notes.append(Note(title, safe(row["why"] or ""), mild=True))
    every = len(found["rows"])
    counts = {name: found["counts"][name] for name in ("cannot tell", "runs differ", "runs agree")}
    return notes + [Note(name, f"{count} of {every} rows of the board", mild=True) for name, count in counts.items()
                    if count]


def board_told(
    out: Path, ended: int, sides: int, report_only: bool, expected: int, environment: Mapping[str, str]
) -> int:
    """Tells of a board over machines that `faultline compare --board` has written into a directory; the status of the
    job. sides, expected: how many were given and how many there should be at least. OSError and ValueError when files
    cannot be read or written."""
    path = out / "board.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    missing = f"{expected} sides expected, {sides} there" if sides < expected else ""
    notes = [Note("not all sides are there", missing)] if missing else []
    parts = [("what is missing", f"**{missing}**\n\n")] if missing else []
    told: dict[str, object] = {}
    if found is None:
        notes.append(Note("no board was made", f"faultline compare --board ended with {ended}"))
    else:
        parts.append(("the board", (out / "board.md").read_text(encoding="utf-8")))
        notes += board_notes(found)
        told = {name.replace(" ", "_"): count for name, count in found["counts"].items()}
    status = worst([ended, *([7] if missing else [])])
    outputs_add({"board": out / "board.md" if found else "", "status": status, **told}, environment)
    page_add(parts, environment)
    status = 0 if report_only and status in FOUND else status
    notes_print(notes, status != 0, environment)
    return status


def text_page(title: str, text: str) -> str:
    """A text of columns as Markdown."""
    fence = "~" * max(3, 1 + max((len(line) for line in text.splitlines() if set(line) == {"~"}), default=0))
    return f"## {title}\n\n{fence}text\n{text.rstrip()}\n{fence}\n"


def history_told(index: Path, table: str, environment: Mapping[str, str]) -> int:
    """Puts the table of an index onto the page, and says what the index can tell by now: a rule that cannot judge is
    green every night. OSError when the index cannot be read or the page not be written."""
    from faultline import changes, history_index, history_view
    from faultline.command import Complaint

    try:
        with history_index.index_open(index) as connection, history_index.snapshot(connection):
            held = history_index.runs_held(connection)
            shown = history_view.view(connection, history_index.Filter())
        newest = max((one.last.started for one in shown), default="")
        going = [one for one in shown if one.last.started == newest and history_index.is_judged(one.series.quantity)]
    except Complaint as error:
        raise OSError(error) from None
    able = [one for one in going if one.changes or one.series.valid >= changes.RUNS_LEAST]
    said = (f"{held} runs in the index; of the last one {len(able)} of {len(going)} series can be judged "
            f"({changes.RUNS_LEAST} runs on one unchanged machine are needed)")
    print(said)
    page_add([("history", text_page("Results over runs", f"{table.rstrip()}\n\n{said}"))], environment)
    notes_print([] if able else [Note("the history judges nothing yet", said, mild=True)], False, environment)
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
    compare.add_argument("--expect", type=int, default=0, help="how many sides there should be")
    compare.add_argument("ended", metavar="NAME=STATUS", nargs="+")
    board_ = kinds.add_parser("board", help="a board over machines")
    board_.add_argument("out", type=Path)
    board_.add_argument("--ended", type=int, required=True, help="exit status of faultline compare --board")
    board_.add_argument("--sides", type=int, required=True, help="how many there were")
    board_.add_argument("--report-only", action="store_true")
    board_.add_argument("--expect", type=int, default=0, help="how many there should be")
    history = kinds.add_parser("history", help="an index, and a table of it on standard input")
    history.add_argument("index", type=Path)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command of the scripts."""
    options = parser_make().parse_args(argv)
    try:
        if options.kind == "run":
            return run_told(options.directory, options.status, options.archive, options.fail_on, os.environ)
        if options.kind == "compare":
            return compare_told(options.out, options.base, options.ended, options.report_only, options.expect,
                                os.environ)
        if options.kind == "board":
            return board_told(options.out, options.ended, options.sides, options.report_only, options.expect,
                              os.environ)
        return history_told(options.index, sys.stdin.read(), os.environ)
    except (OSError, ValueError) as error:
        print(f"{NAME}: {safe(error)}", file=sys.stderr)
        return 7


if __name__ == "__main__":
    sys.exit(main())
