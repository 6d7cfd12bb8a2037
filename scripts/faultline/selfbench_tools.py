# SPDX-License-Identifier: MIT
"""hyperfine, fio and Google Benchmark for real, beside `faultline compare --live`: who finds a slow-down, and who cries
wolf.

A preloaded library (tests/programs/preload_pread.c) calculates before each pread of 4 KiB for about 2 % or 5 % of what
the pread takes, or on both sides for nothing. Part of a calculation is carried out beside what comes before it; how much
that hides is found once, by a long one between sides that take turns. faultline compares first; the others get as many seconds as it took, half
for each side, one side after the other. Each comparison is a line of tools.jsonl.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from faultline import rules
from faultline.bench_figures import OWN, bounded, share, spelled
from faultline.text import safe
from faultline.verdict import FASTER, SLOWER

SCENARIO = OWN / "preads.yaml"
SCHEMA = "faultline.selfbench-tool/1"
EXTRAS = (0.0, 0.02, 0.05)  # of a pread
CHAINS = (4, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64)  # multiplications that the library knows to make
FILE_BYTES = 1 << 20
PROBE = 200_000  # preads by which their time is found, as it is now
BUDGET_S = 10  # of faultline's comparison
RUN_S, RUNS_LEAST = 0.1, 10  # of a program that hyperfine times
FIO_JOBS = 5  # of each side
FIO_START_S = 0.35  # that fio takes besides
REPETITIONS = 10  # of Google Benchmark, whose compare.py asks for nine
SEARCHES = 3  # repetitions that it takes as long as, while it looks for a number of operations
LIMIT_S = 300  # after which a tool has hung


class ToolFailed(Exception):
    """A tool ended without a result; the text says why."""


@dataclass(frozen=True)
class Ground:
    """What all comparisons have in common. chains: by extra work, the length of the chain; chain_ns: what it adds;
    pread_ns: what the pread takes without."""

    program: Path
    preload: Path
    preads: Path
    google: Path | None
    file: Path
    directory: Path
    pread_ns: float
    chains: dict[float, int]
    chain_ns: dict[float, float]


@dataclass(frozen=True)
class Said:
    """What came of one comparison. ratio: of the times, as the tool gives them; verdict: SLOWER, FASTER or None."""

    rule: str
    verdict: str | None
    ratio: float


# ---- the ground ----


def called(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> str:
    """What a program prints; ToolFailed when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"{words[0]}: {safe(error)}") from None
    if done.returncode:
        raise ToolFailed(f"{words[0]}: status {done.returncode}: {safe(done.stderr.decode(errors='replace').strip())}")
    return done.stdout.decode(errors="replace")


def google_compile(source: Path, folder: Path) -> Path | None:
    """The program for Google Benchmark; None where there is no compiler or no library."""
    compiler = shutil.which("c++")
    made = folder / "googlebench"
    if compiler is None:
        return None
    words = [compiler, "-O2", str(source), "-o", str(made), "-lbenchmark", "-lpthread"]
    done = subprocess.run(words, capture_output=True, timeout=LIMIT_S)
    if done.returncode:
        said = safe(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        print(f"selfbench: {source.name} does not compile: {said}", file=sys.stderr)
    return made if done.returncode == 0 else None


def ground_make(program: Path, tests: Path, sources: Path, folder: Path) -> Ground:
    """File, programs, and the chains that add 2 % and 5 % to a pread. tests: where the build has its test programs."""
    file, library = folder / "file", tests / "libpreload_pread.so"
    file.write_bytes(os.urandom(FILE_BYTES))
    loaded = ctypes.CDLL(str(library))
    loaded.pread_chain_ns.restype = ctypes.c_double
    takes = {length: float(loaded.pread_chain_ns(ctypes.c_uint64(length))) for length in CHAINS}
    compiled = google_compile(sources / "googlebench.cc", folder)
    longest = CHAINS[-1]
    bare = Ground(
        program, library, tests / "preads", compiled, file, folder, 0.0, {0.0: 0, math.inf: longest}, {0.0: 0.0}
    )
    row = time_row(live_compared(bare, math.inf))
    pread_ns = row["base"]["estimate"]
    hidden = takes[longest] - (row["change"]["estimate"] - 1) * pread_ns
    adds = {length: ns - hidden for length, ns in takes.items()}
    chains = {extra: min(adds, key=lambda length: abs(adds[length] - extra * pread_ns)) for extra in EXTRAS if extra}
    chain_ns = {0.0: 0.0, **{extra: adds[length] for extra, length in chains.items()}}
    return replace(bare, pread_ns=pread_ns, chains={0.0: 0, **chains}, chain_ns=chain_ns)


def preload(ground: Ground, extra: float) -> dict[str, str]:
    """The environment of a side."""
    return {"LD_PRELOAD": str(ground.preload), "FAULTLINE_TEST_CHAIN": str(ground.chains[extra])}


def launcher(ground: Ground, extra: float) -> list[str]:
    """The same as words before a command."""
    return ["env", *(f"{key}={value}" for key, value in preload(ground, extra).items())]


# ---- the tools ----


def time_row(value: dict[str, Any]) -> dict[str, Any]:
    """The row of compare.json on the time."""
    (row,) = (one for one in value["rows"] if one["quantity"] == "ns_per_op")
    return row


def live_said(value: dict[str, Any]) -> list[Said]:
    """What compare.json of a live comparison says of the time."""
    row = time_row(value)
    told = row["verdict"] if row["verdict"] in (FASTER, SLOWER) else None
    return [Said("faultline compare --live", told, row["change"]["estimate"])]


def live_compared(ground: Ground, extra: float) -> dict[str, Any]:
    """compare.json of `faultline compare --live`, of as many pairs as it wants and the budget allows."""
    out = ground.directory / "live"
    sides = [" ".join([*launcher(ground, side), str(ground.program)]) for side in (0.0, extra)]
    words = [str(ground.program), "compare", "--live", *sides, str(SCENARIO), "--quiet", "--out", str(out)]
    words += ["--budget", f"{BUDGET_S}s", "--directory", str(ground.directory)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        if done.returncode not in (0, 1):
            complaint = safe(done.stderr.decode(errors="replace").strip())
            raise ToolFailed(f"compare --live: status {done.returncode}: {complaint}")
        return json.loads((out / "compare.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def hyperfine_said(value: dict[str, Any]) -> list[Said]:
    """What --export-json says: hyperfine's own ratio with its uncertainty, and its script for Welch's test."""
    base, other = (np.array(one["times"]) for one in value["results"])
    sides = ([np.array([t]) for t in base], [np.array([t]) for t in other])
    ratio = float(other.mean() / base.mean())
    return [
        Said("hyperfine, mean ± σ", rules.mean_sigma(*sides), ratio),
        Said("hyperfine, Welch's t", rules.welch(*sides), ratio),
    ]


def hyperfine(ground: Ground, extra: float, seconds: float) -> list[Said]:
    """Two programs that do as many preads; hyperfine runs the one so often, then the other."""
    begin = time.monotonic()
    called([ground.preads, ground.file, str(PROBE)])
    each_s = (time.monotonic() - begin) / PROBE  # as it is now, beside whatever else runs
    runs = max(RUNS_LEAST, round(seconds / 2 / RUN_S))
    count = max(1, round(seconds / 2 / (runs + 1) / each_s))  # one more is the warm-up
    out = ground.directory / "hyperfine.json"
    commands = [" ".join([*launcher(ground, side), f"{ground.preads} {ground.file} {count}"]) for side in (0.0, extra)]
    called(
        ["hyperfine", "--shell=none", "--style=none", "--warmup=1", f"--runs={runs}", f"--export-json={out}", *commands]
    )
    return hyperfine_said(json.loads(out.read_text(encoding="utf-8")))


def fio_said(jobs: dict[float, list[dict[str, Any]]], extra: float) -> list[Said]:
    """Mean times of an operation of each job, both sides. jobs: fio's JSON by extra work, the base's under −1."""
    base, other = (
        np.array([job["jobs"][0]["job_runtime"] * 1e6 / job["jobs"][0]["read"]["total_ios"] for job in jobs[side]])
        for side in (-1.0, extra)
    )
    ratio = float(other.mean() / base.mean())
    beyond = abs(math.log(ratio)) > math.log1p(rules.THRESHOLD)
    return [
        Said("fio, means 1 % apart", rules.direction(math.log(ratio)) if beyond else None, ratio),
        Said("fio, ranges apart", rules.apart(base, other), ratio),
    ]


def fio(ground: Ground, extra: float, seconds: float) -> list[Said]:
    """Random preads by engine psync: so many jobs of the one side, then of the other."""
    each_ms = max(100, round((seconds / 2 / FIO_JOBS - FIO_START_S) * 1e3))
    words = ["fio", "--name=preads", f"--filename={ground.file}", "--readonly", "--rw=randread", "--bs=4k"]
    words += ["--ioengine=psync", "--invalidate=0", "--norandommap", "--gtod_reduce=1", "--time_based", "--thread"]
    words += [f"--runtime={each_ms}ms", f"--size={FILE_BYTES}", "--output-format=json"]
    jobs: dict[float, list[dict[str, Any]]] = defaultdict(list)
    for key, side in ((-1.0, 0.0), (extra, extra)):
        for _ in range(FIO_JOBS):
            printed = called(words, preload(ground, side))
            jobs[key].append(json.loads(printed[printed.index("{") :]))
    return fio_said(jobs, extra)


def google_said(base: dict[str, Any], other: dict[str, Any]) -> list[Said]:
    """The rule of its tools/compare.py: Mann–Whitney at 0.05 over the repetitions."""
    a, b = (
        np.array([one["real_time"] for one in side["benchmarks"] if one["run_type"] == "iteration"])
        for side in (base, other)
    )
    return [Said("Google Benchmark, U test", rules.rank_sum(a, b), float(np.median(b) / np.median(a)))]


def google(ground: Ground, extra: float, seconds: float) -> list[Said]:
    """Ten repetitions of the one side, then of the other."""
    each = seconds / 2 / (REPETITIONS + SEARCHES)
    words: list[str | Path] = [ground.google or "", f"--benchmark_repetitions={REPETITIONS}"]
    words += [f"--benchmark_min_time={each:.3f}", "--benchmark_format=json"]
    printed = [
        called(words, {**preload(ground, side), "FAULTLINE_TEST_FILE": str(ground.file)}) for side in (0.0, extra)
    ]
    return google_said(*map(json.loads, printed))


def tools_here(ground: Ground) -> dict[str, Callable[[Ground, float, float], list[Said]]]:
    """Those that are installed."""
    found: dict[str, Callable[[Ground, float, float], list[Said]]] = {}
    if shutil.which("hyperfine"):
        found["hyperfine"] = hyperfine
    if shutil.which("fio"):
        found["fio"] = fio
    if ground.google is not None:
        found["Google Benchmark"] = google
    return found


# ---- rounds ----


def line_of(ground: Ground, tool: str, extra: float, said: Said, seconds: float) -> dict[str, Any]:
    """One line of tools.jsonl."""
    return {
        "schema": SCHEMA,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "tool": tool,
        **asdict(said),
        "extra": extra,
        "seconds": round(seconds, 3),
        "pread_ns": round(ground.pread_ns, 1),
        "added_ns": round(ground.chain_ns[extra], 2),
    }


def round_make(ground: Ground) -> Iterator[dict[str, Any]]:
    """Each tool on each amount of extra work, in a drawn order; faultline first, for the others get its seconds."""
    for extra in random.sample(EXTRAS, len(EXTRAS)):
        begin = time.monotonic()
        said = live_said(live_compared(ground, extra))
        given = time.monotonic() - begin
        yield from (line_of(ground, "faultline", extra, one, given) for one in said)
        tools = list(tools_here(ground).items())
        for name, tool in random.sample(tools, len(tools)):
            begin = time.monotonic()
            said = tool(ground, extra, given)
            took = time.monotonic() - begin
            yield from (line_of(ground, name, extra, one, took) for one in said)


# ---- figures ----


def figures(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By rule and extra work: how often it was right to call the second side slower, or wrong to call it anything."""
    table: dict[str, dict[str, Any]] = {}
    for rule in dict.fromkeys(line["rule"] for line in lines):
        mine = [line for line in lines if line["rule"] == rule]
        table[rule] = {"seconds": float(np.median([line["seconds"] for line in mine]))}
        for extra in EXTRAS:
            told = [line for line in mine if line["extra"] == extra]
            hits = sum(line["verdict"] == SLOWER if extra else line["verdict"] is not None for line in told)
            table[rule][f"{extra:g}"] = {
                **share(hits, len(told)),
                "said": dict(Counter(line["verdict"] or "nothing" for line in told)),
                "ratio": float(np.median([line["ratio"] for line in told])) if told else None,
            }
    added = {
        f"{extra:g}": float(np.median([line["added_ns"] for line in lines if line["extra"] == extra] or [math.nan]))
        for extra in EXTRAS
        if any(line["extra"] == extra for line in lines)
    }
    return {"pread_ns": float(np.median([line["pread_ns"] for line in lines])), "added_ns": added, "rules": table}


def rows_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The table, a row a rule and amount of extra work."""
    added = ", ".join(f"{spelled(float(key))}: {value:.0f} ns" for key, value in found["added_ns"].items())
    yield "tools, on the same slow-down", f"pread {found['pread_ns']:.0f} ns; added for {added}"
    for rule, row in found["rules"].items():
        yield f"  {rule}", f"{row['seconds']:.1f} s a comparison"
        for key, words in (("0", "equal, called different"), ("0.02", "2 % found"), ("0.05", "5 % found")):
            value = row[key]
            if value["n"]:
                counts = f"{value['k']} of {value['n']}: {bounded(value, 'share', 0)}"
                yield f"    {words}", f"{counts}; ratio {value['ratio']:.3f}"
