# SPDX-License-Identifier: MIT
"""Compare faultline with a bare loop of the same work, round by round.

Two processes on one CPU pass a turn to and fro through two pipes and measure a round each: a trial of faultline, and a
small program written without it (tests/programs/bareloop.c), on the same file. Their rounds lie fractions of a
millisecond apart, so that what the machine does meanwhile happens to both. A pair of processes gives one figure: the
median over neighbouring rounds of log(time of the one ÷ time of the other), taken apart by which of the two came first
and averaged. Over pairs, which take turns in who starts: Hodges–Lehmann with the exact signed-rank interval.

The same is done with two bare loops and with two trials: what identical sides differ by is what this comparison can
tell.

Exit status: 0 fine; 1 a loop differs by more than the margin beyond doubt; 3 something could not be told; 5 a side
failed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from faultline import stats
from faultline.stats import Interval
from faultline.text import safe
from faultline.trial_pair import EngineSide, Side, SideError, Turn, pair_log_ratio, play_times

MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
BATCH_NS = 250e3
MARGIN = 0.01


@dataclass(frozen=True)
class Loop:
    """A bare loop's name, the arm of faultline that does the same, and what it visits once in its list of offsets.

    A loop that goes through the file in order does so once a batch: parts of a file differ, and the two sides would not
    be at the same part.
    """

    name: str
    arm: str
    common: str
    bytes_apart: int
    whole_passes: bool = False
    is_compared: bool = True


LOOPS = {
    loop.name: loop
    for loop in (
        Loop("pread", "method: pread, buffer: reused", "pattern: random, block_bytes: 4KiB", 4096),
        Loop(
            "mapped",
            "method: mmap, sharing: shared, consume: in_place, lifetime: kept",
            "pattern: random, block_bytes: 64",
            64,
        ),
        Loop(
            "touch",
            "method: first_touch, sharing: shared",
            f"pattern: stride, stride_bytes: {PAGE_BYTES}, block_bytes: 64",
            PAGE_BYTES,
            whole_passes=True,
        ),
        Loop("empty", 'method: "null"', "pattern: random, block_bytes: 64", 64, is_compared=False),
    )
}


def bare_times(name: str, output: bytes) -> np.ndarray:
    """What a bare program printed: ns an operation [rounds]. SideError when it printed something else."""
    try:
        found = json.loads(output)
    except ValueError:
        raise SideError(f"{name}: printed no JSON") from None
    return np.array(found["batch_ns"], dtype=float) / found["ops"]


@dataclass(frozen=True)
class BareSide:
    """The bare loop."""

    program: Path
    loop: Loop
    file: Path
    ops: int
    rounds: int
    seed: int
    cpu: int
    name: str = "bare loop"

    def command(self, turn: Turn | None) -> tuple[list[str], bytes]:
        """As Side.command; without a turn it runs alone."""
        numbers = {"ops": self.ops, "rounds": self.rounds, "seed": self.seed, "cpu": self.cpu}
        if turn is not None:
            numbers |= {"read-fd": turn.read_fd, "write-fd": turn.write_fd, "starts": int(turn.starts)}
        options = [text for key, value in numbers.items() for text in (f"--{key}", str(value))]
        return [str(self.program), self.loop.name, str(self.file), *options], b""

    def times(self, output: bytes) -> np.ndarray:
        """As Side.times."""
        return bare_times(self.name, output)


@dataclass(frozen=True)
class Comparison:
    """One side against another over pairs: log ratios [pairs], median ns of an operation of each side [pairs]."""

    loop: str
    first: str
    second: str
    logs: tuple[float, ...]
    first_ns: tuple[float, ...]
    second_ns: tuple[float, ...]

    @property
    def interval(self) -> Interval:
        """Of the ratio first ÷ second."""
        return stats.hodges_lehmann(self.logs).exp()

    @property
    def is_control(self) -> bool:
        """Whether both sides are the same program."""
        return self.first == self.second

    def verdict(self, margin: float) -> str:
        """ "within", "beyond", or "cannot tell"; by where the 95 % interval lies."""
        interval = self.interval
        if interval.low is None or interval.high is None:
            return "cannot tell"
        if 1 / (1 + margin) <= interval.low and interval.high <= 1 + margin:
            return "within"
        return "beyond" if interval.low > 1 + margin or interval.high < 1 / (1 + margin) else "cannot tell"


@dataclass
class Contest:
    """The setting that all pairs share."""

    program: Path
    bare: Path
    file: Path
    file_bytes: int
    cpu: int
    rounds: int
    seed: int
    plans: dict[str, Mapping[str, Any]]
    ops: dict[str, int]

    def side(self, kind: str, loop: Loop, seed: int) -> Side:
        """A side of that kind, with orders of its own."""
        if kind == "bare loop":
            return BareSide(self.bare, loop, self.file, self.ops[loop.name], self.rounds, seed, self.cpu)
        return EngineSide(
            [str(self.program)], self.plans[loop.name], [self.ops[loop.name]], self.rounds, seed, [self.cpu]
        )

    def pair(self, loop: Loop, kinds: tuple[str, str], index: int) -> tuple[float, float, float]:
        """log ratio first ÷ second of one pair on a fresh file, and both medians of ns an operation.

        Odd pairs start with the second.
        """
        sides = [self.side(kind, loop, self.seed + 2 * index + i) for i, kind in enumerate(kinds)]
        swapped = index % 2 == 1
        self.file.unlink(missing_ok=True)
        file_make(self.file, self.file_bytes)
        times = play_times(*(sides[::-1] if swapped else sides))
        log = pair_log_ratio(*times)
        first, second = (float(np.nanmedian(t)) for t in (times[::-1] if swapped else times))
        return -log if swapped else log, first, second


def plan_make(program: Path, loop: Loop, file: Path, directory: Path) -> Mapping[str, Any]:
    """The resolved plan of the arm that does a loop's work on this file."""
    path = directory / f"{loop.name}.yaml"
    path.write_text(
        f"question: Is faultline as fast as a bare loop?\nop: block\nnull_arm: false\n"
        f"common: {{cache: warm, latency: none, {loop.common}}}\narms:\n  - {{name: {loop.name}, {loop.arm}}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(program), "plan", str(path), "--json", "--file", str(file), "--seed", "1"], capture_output=True
    )
    if done.returncode:
        raise SideError(f"faultline plan: {safe(done.stderr.decode(errors='replace').strip())}")
    plan = json.loads(done.stdout)
    if len(plan["cells"]) != 1 or plan["refused"]:
        raise SideError(f"faultline plan: {loop.name} is not one cell: {safe(json.dumps(plan['refused']))}")
    return plan


def ops_choose(bare: Path, loop: Loop, file: Path, cpu: int, seed: int) -> int:
    """The power of two of operations that comes nearest to a batch of 250 µs, at most one visit to every block or
    page."""
    limit = file.stat().st_size // loop.bytes_apart
    if loop.whole_passes:
        return limit
    side = BareSide(bare, loop, file, min(256, limit), 20, seed, cpu)
    command, _ = side.command(None)
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise SideError(f"{side.name}: {safe(done.stderr.decode(errors='replace').strip())}")
    ns = float(np.median(side.times(done.stdout)))
    return min(1 << max(0, round(math.log2(BATCH_NS / ns))), limit)


def file_make(path: Path, size: int) -> None:
    """A file of random bytes, written by 1 MiB and synced."""
    with path.open("xb", buffering=0) as stream:
        for _ in range(size // MIB):
            stream.write(os.urandom(MIB))
        os.fsync(stream.fileno())


def contest_run(
    contest: Contest, loops: Sequence[Loop], kinds: Sequence[tuple[str, str]], pairs: int
) -> list[Comparison]:
    """All comparisons, breadth-first: every comparison has had a pair before any has its next."""
    found: dict[tuple[str, tuple[str, str]], list[tuple[float, float, float]]] = {}
    for index in range(pairs):
        for loop in loops:
            for kind in kinds:
                found.setdefault((loop.name, kind), []).append(contest.pair(loop, kind, index))
        print(f"pair {index + 1} of {pairs}", file=sys.stderr)
    return [Comparison(name, *kind, *(tuple(values) for values in zip(*rows))) for (name, kind), rows in found.items()]


def number(value: float | None, decimals: int = 4) -> str:
    """A ratio, or a dash for none."""
    return "–" if value is None else f"{value:.{decimals}f}"


def show(comparisons: Sequence[Comparison], margin: float) -> None:
    """The table."""
    print(
        f"{'loop':8} {'sides':24} {'ratio':>7} {'95 % interval':>17} {'pairs':>6} {'sd':>7} {'ns/op':>9} {'ns/op':>9}  "
        f"within {margin:.0%}"
    )
    for c in comparisons:
        interval = c.interval
        spread = f"{np.std(c.logs, ddof=1):.2%}" if len(c.logs) > 1 else "–"
        told = {"within": "yes", "beyond": "NO"}.get(c.verdict(margin), c.verdict(margin))
        if not LOOPS[c.loop].is_compared:
            told = "stated only"
        print(
            f"{c.loop:8} {c.first + ' ÷ ' + c.second:24} {interval.estimate:7.4f} "
            f"{'[' + number(interval.low) + ', ' + number(interval.high) + ']':>17} {len(c.logs):6} {spread:>7} "
            f"{np.median(c.first_ns):9.3f} {np.median(c.second_ns):9.3f}  {told}"
        )


def result_json(contest: Contest, comparisons: Sequence[Comparison], margin: float) -> dict[str, Any]:
    """Everything, for other programs."""
    return {
        "schema": "faultline.bareloop/1",
        "rounds": contest.rounds,
        "cpu": contest.cpu,
        "margin": margin,
        "ops_per_batch": contest.ops,
        "comparisons": [
            {
                "loop": c.loop,
                "first": c.first,
                "second": c.second,
                "pairs": len(c.logs),
                "ratio": {"estimate": c.interval.estimate, "low": c.interval.low, "high": c.interval.high},
                "verdict": c.verdict(margin),
                "logs": c.logs,
                "first_ns": c.first_ns,
                "second_ns": c.second_ns,
            }
            for c in comparisons
        ],
    }


def exit_status(comparisons: Sequence[Comparison], margin: float) -> int:
    """1 when a loop differs beyond doubt, 3 when one of them could not be told, 0 otherwise; controls count as well."""
    told = [c.verdict(margin) for c in comparisons if LOOPS[c.loop].is_compared]
    return 1 if "beyond" in told else 3 if "cannot tell" in told else 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bareloop", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, required=True, help="the faultline program (scripts/bareloop gives it)")
    parser.add_argument("--bare", type=Path, required=True, help="the bare loop program (scripts/bareloop gives it)")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of processes a comparison (default: 12)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds a pair, at most 200 (default: 200)")
    parser.add_argument("--loop", choices=LOOPS, action="append", help="only this loop; may be given several times")
    parser.add_argument("--no-controls", action="store_true", help="leave the comparisons of identical sides out")
    parser.add_argument(
        "--cpu", type=int, default=max(os.sched_getaffinity(0)), help="CPU of both sides (default: the last)"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="where the file is made (default: /var/tmp)"
    )
    parser.add_argument("--file-mib", type=int, default=64, help="size of the file in MiB (default: 64)")
    parser.add_argument("--margin", type=float, default=MARGIN, help="difference that counts (default: 0.01)")
    parser.add_argument("--seed", type=int, default=1, help="of the orders of offsets (default: 1)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    options = parser.parse_args(argv)
    if not (options.pairs > 0 and 0 < options.rounds <= 200 and options.file_mib > 0 and options.seed > 0):
        parser.error("--pairs, --rounds (at most 200), --file-mib and --seed must be positive")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    options = arguments(argv)
    loops = [LOOPS[name] for name in options.loop or LOOPS]
    kinds = [("faultline", "bare loop")]
    if not options.no_controls:
        kinds += [("bare loop", "bare loop"), ("faultline", "faultline")]
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-bareloop-", dir=options.directory) as folder:
            file, size = Path(folder) / "file", options.file_mib * MIB
            file_make(file, size)
            plans = {loop.name: plan_make(options.program, loop, file, Path(folder)) for loop in loops}
            ops = {loop.name: ops_choose(options.bare, loop, file, options.cpu, options.seed) for loop in loops}
            contest = Contest(
                options.program, options.bare, file, size, options.cpu, options.rounds, options.seed, plans, ops
            )
            comparisons = contest_run(contest, loops, kinds, options.pairs)
    except (SideError, OSError) as error:
        print(f"bareloop: {safe(error)}", file=sys.stderr)
        return 5 if isinstance(error, SideError) else 7
    show(comparisons, options.margin)
    if options.json:
        options.json.write_text(
            json.dumps(result_json(contest, comparisons, options.margin), indent=1) + "\n", encoding="utf-8"
        )
    return exit_status(comparisons, options.margin)


if __name__ == "__main__":
    sys.exit(main())
