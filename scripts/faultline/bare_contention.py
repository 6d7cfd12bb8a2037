# SPDX-License-Identifier: MIT
"""Compare faultline's workers that meet with a bare program of the same work, round by round.

A trial of faultline and a small program written without it (tests/programs/barecontention.c) pass a turn to and fro,
as in faultline.trial_pair; each has two workers on the same two CPUs, which sleep while it is not their turn. A pair of
programs gives one figure: the median over neighbouring rounds of log(time of the one ÷ time of the other), taken apart
by which came first and averaged. Over pairs, which take turns in who starts: Hodges–Lehmann with the exact signed-rank
interval.

Where times come in heaps (a virtual machine whose CPUs are moved about shows 36 ns or 115 ns a hand-over), the heaps of
all rounds are told, with each side's share of them, and only neighbours in the same heap are compared; that both sides
have the same shares is then asked as well.

Exit status: 0 fine; 1 a kernel differs by more than the margin beyond doubt; 3 something could not be told; 5 a side
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
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from faultline import derive, modes, stats, turns
from faultline.stats import Interval
from faultline.text import safe
from faultline.trial_pair import EngineSide, Side, SideError, Turn, play_times

MARGIN = 0.05
SHARE_MARGIN = 0.2  # of the rounds in a heap
BATCH_NS = 250e3
OPS_LEAST = 32  # of a worker: a batch has a beginning and an end that the two programs do not have in common
LOOKS_SLACK = 2  # how a waiting worker looks: bare loops that count looks, or look at a second word, differ by 6 %
PLACES_SLACK = 3  # where buffers of their own lie, and how loops are laid out: bare loops differ by 14 %
FAULTS_SLACK = 3  # what else a process has mapped or touched: bare loops that map more differ by 10 %


@dataclass(frozen=True)
class Kernel:
    """What the bare program is told to do, and the arm of faultline that does the same.

    `slack`: so many margins may lie between the two, where bare programs of the same work differ by more than one; 0:
    by so much that the figures are only stated.
    """

    name: str
    bare: str
    arm: str
    common: str = ""
    ops_most: int = 1 << 20
    slack: int = 1


def hand_overs() -> list[Kernel]:
    """A line that goes to and fro between two workers."""
    ping = "method: ping_pong"
    return [
        Kernel("cas", "cas", f"{ping}, hand_over: cas"),
        Kernel("store", "store", f"{ping}, hand_over: store"),
        Kernel("two-lines", "two-lines", f"{ping}, hand_over: two-lines", slack=LOOKS_SLACK),
        Kernel("alias", "cas --alias 1", f"{ping}, hand_over: cas, alias: yes"),
        Kernel("home-first", "cas --fresh 1", f"{ping}, home: first"),
        Kernel("home-second", "cas --fresh 2", f"{ping}, home: second"),
        Kernel("after-pause", "cas --pause 1000000", f"{ping}, pause: 1ms", ops_most=64),
    ]


def writers() -> list[Kernel]:
    """Workers that all write, to one line or to lines apart."""
    return [
        *(
            Kernel(f"sharing-{apart}", f"add --apart {apart}", f"method: false_sharing, apart_bytes: {apart}")
            for apart in (0, 8, 64, 128)
        ),
        Kernel("add", "add", "method: write_write"),
        Kernel("add-apart", "add --apart 1024", "method: write_write, apart_bytes: 1024"),
        Kernel("add-by-cas", "add-by-cas", "method: write_write, update: cas"),
        Kernel("cas-apart", "add-by-cas --apart 1024", "method: write_write, update: cas, apart_bytes: 1024"),
    ]


def readers() -> list[Kernel]:
    """A line that one worker writes and the other reads."""
    read = "method: reader_writer"
    return [
        *(
            Kernel(f"{name}{end}", f"{bare} --adds {adds}{apart}", f"{read}, timed: {timed}, update: {update}{field_}")
            for name, bare, timed, adds, update in (
                ("load-stored", "load", "readers", 0, "store"),
                ("load-added", "load", "readers", 1, "fetch-add"),
                ("store-loaded", "write", "writer", 0, "store"),
                ("add-loaded", "write", "writer", 1, "fetch-add"),
            )
            for end, apart, field_ in (("", "", ""), ("-apart", " --apart 4096", ", apart_bytes: 4096"))
        ),
        Kernel("answer-store", "answer", f"{read}, timed: round-trip, update: store", slack=LOOKS_SLACK),
        Kernel("answer-add", "answer --adds 1", f"{read}, timed: round-trip, update: fetch-add", slack=LOOKS_SLACK),
    ]


def seqlocks() -> list[Kernel]:
    """A payload under a sequence lock."""
    return [
        Kernel(
            f"{name}-{size}",
            f"{bare} --payload {size}",
            f"method: seqlock, timed: {timed}",
            f"payload_bytes: {size}",
            slack=slack,
        )
        for name, bare, timed, size, slack in (
            ("seqlock-copy", "copy", "readers", 64, 1),
            ("seqlock-copy", "copy", "readers", 1024, PLACES_SLACK),
            # how often readers look decides: one that pauses between its looks leaves a write 6 ns instead of 18
            ("seqlock-write", "rewrite", "writer", 64, 0),
            ("seqlock-write", "rewrite", "writer", 1024, 1),
        )
    ]


def payloads() -> list[Kernel]:
    """A payload that one worker hands to the other: through a ring, or with a word that says so."""
    hand = "method: hand_off, consume: copy"
    return [
        *(
            Kernel(
                f"ring-{size}{end}",
                f"ring --payload {size} --ring 16384 --in-place {int(bool(end))}",
                f"method: spsc_ring, ring_bytes: 16384, consume: {consume}",
                f"payload_bytes: {size}",
                slack=PLACES_SLACK if size > 64 else 1,
            )
            for size, end, consume in ((64, "", "copy"), (1024, "", "copy"), (64, "-in-place", "in_place"))
        ),
        *(
            Kernel(f"spin-{size}", f"spin --payload {size}", f"{hand}, via: mapped-spin", f"payload_bytes: {size}")
            for size in (64, 4096)
        ),
        Kernel(
            "spin-in-place",
            "spin --in-place 1",
            "method: hand_off, via: mapped-spin, consume: in_place",
            slack=PLACES_SLACK,
        ),
        Kernel("futex", "futex", f"{hand}, via: mapped-futex"),
        Kernel("pipe", "pipe", f"{hand}, via: pipe"),
    ]


def faults() -> list[Kernel]:
    """Workers that fault at the same time, by where they meet."""
    return [
        Kernel(
            name,
            f"fault {bare}",
            f"method: fault_contention, meet: {meet}",
            "recipe: write-4KiB",
            ops_most=512,
            slack=slack,
        )
        for name, bare, meet, slack in (
            ("fault-own-file", "--own-file 1", "other-file", FAULTS_SLACK),
            ("fault-same-file", "--apart 1024", "other-table", FAULTS_SLACK),
            # who sleeps on the folio's lock, always the same one or now the one and now the other: 4 us or 20
            ("fault-same-page", "", "same-page", 0),
        )
    ]


KERNELS = {
    one.name: one for one in (*hand_overs(), *writers(), *readers(), *seqlocks(), *payloads(), *faults())
}


@dataclass(frozen=True)
class BareSide:
    """The bare program."""

    program: Path
    kernel: Kernel
    ops: int
    rounds: int
    cpus: Sequence[int]
    worker_kind: str
    name: str = "bare"

    def command(self, turn: Turn | None) -> tuple[list[str], bytes]:
        """As Side.command; without a turn it runs alone."""
        numbers = {"ops": self.ops, "rounds": self.rounds, "cpu0": self.cpus[0], "cpu1": self.cpus[1]}
        if self.worker_kind == "thread":
            numbers["threads"] = 1
        if turn is not None:
            numbers |= {"read-fd": turn.read_fd, "write-fd": turn.write_fd, "starts": int(turn.starts)}
        options = [text for key, value in numbers.items() for text in (f"--{key}", str(value))]
        return [str(self.program), *self.kernel.bare.split(), *options], b""

    def times(self, output: bytes) -> np.ndarray:
        """As Side.times."""
        return turns.bare_times(self.name, output)


@dataclass(frozen=True)
class Heaps:
    """Where the times of all rounds of both sides lie: medians of their heaps, ascending, and what parts them."""

    ns: tuple[float, ...]

    @classmethod
    def find(cls, times: np.ndarray) -> "Heaps":
        """From times [n], of which NaN are left out."""
        return cls(tuple(mode.ns for mode in modes.modes(times[np.isfinite(times)])))

    def of(self, times: np.ndarray) -> np.ndarray:
        """Which heap each time is nearest to, on a logarithmic scale [n]."""
        cuts = [math.sqrt(low * high) for low, high in zip(self.ns, self.ns[1:])]
        return np.searchsorted(cuts, times)

    def shares(self, times: np.ndarray) -> np.ndarray:
        """Share of the times in each heap [heaps]; NaN are left out."""
        kept = times[np.isfinite(times)]
        return np.bincount(self.of(kept), minlength=len(self.ns)) / max(1, kept.size)


@dataclass(frozen=True)
class Pair:
    """The rounds of two programs that took turns: ns an operation [rounds], of the first side and the second."""

    first: np.ndarray
    second: np.ndarray
    first_starts: bool

    def log_ratio(self, heaps: Heaps) -> float | None:
        """log(first ÷ second) over neighbouring rounds in the same heap; None where there are none."""
        one, two = (self.first, self.second) if self.first_starts else (self.second, self.first)
        if one.size != two.size:
            raise SideError(f"{one.size} rounds on one side, {two.size} on the other")
        log = np.log(one), np.log(two)
        heap = heaps.of(one), heaps.of(two)
        values = np.concatenate((log[0] - log[1], log[0][1:] - log[1][:-1]))
        values[np.concatenate((heap[0] != heap[1], heap[0][1:] != heap[1][:-1]))] = math.nan
        ratio = derive.stratified(values, np.arange(values.size) < one.size)
        return ratio if ratio is None or self.first_starts else -ratio


@dataclass(frozen=True)
class Found:
    """All pairs of one kernel: what is to be said of it."""

    kernel: str
    first: str
    second: str
    ops: int
    pairs: tuple[Pair, ...] = field(repr=False)

    @property
    def is_stated_only(self) -> bool:
        """Of two programs that differ in nothing a verdict is due all the same."""
        return KERNELS[self.kernel].slack == 0 and self.first != self.second

    @cached_property
    def heaps(self) -> Heaps:
        """Of all rounds of both sides."""
        return Heaps.find(np.concatenate([times for pair in self.pairs for times in (pair.first, pair.second)]))

    @cached_property
    def share_difference(self) -> Interval | None:
        """Of the share of rounds in the slowest heap, first less second, over pairs; None where there is one heap."""
        heaps = self.heaps
        if len(heaps.ns) < 2:
            return None
        return stats.hodges_lehmann([float((heaps.shares(p.first) - heaps.shares(p.second))[-1]) for p in self.pairs])

    @property
    def is_apart(self) -> bool:
        """Whether one side is oftener in the slowest heap beyond doubt: then the heaps are what they differ in."""
        shares = self.share_difference
        if shares is None or shares.low is None or shares.high is None:
            return False
        return shares.low > SHARE_MARGIN or shares.high < -SHARE_MARGIN

    def logs(self) -> list[float]:
        """log(first ÷ second) of each pair that has one: of neighbours in the same heap, unless the sides are apart."""
        heaps = Heaps((1.0,)) if self.is_apart else self.heaps
        return [log for pair in self.pairs if (log := pair.log_ratio(heaps)) is not None]

    def interval(self) -> Interval | None:
        """Of the ratio; None where no pair has one."""
        logs = self.logs()
        return stats.hodges_lehmann(logs).exp() if logs else None

    def ns(self, second: bool) -> float:
        """The median over pairs of the median round of one side."""
        return float(np.median([np.nanmedian(pair.second if second else pair.first) for pair in self.pairs]))

    def verdict(self, margin: float) -> str:
        """ "within", "beyond", "other heaps" or "cannot tell", by where the 95 % intervals lie; or "stated only"."""
        if self.is_stated_only:
            return "stated only"
        margin *= max(1, KERNELS[self.kernel].slack)
        interval = self.interval()
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        if low is not None and high is not None and (low > 1 + margin or high < 1 / (1 + margin)):
            return "beyond"
        if self.is_apart:
            return "other heaps"
        if low is None or high is None:
            return "cannot tell"
        return "within" if 1 / (1 + margin) <= low and high <= 1 + margin else "cannot tell"


@dataclass
class Contest:
    """The setting that all pairs share."""

    program: Path
    bare: Path
    cpus: Sequence[int]
    worker_kind: str
    rounds: int
    seed: int
    plans: dict[str, Mapping[str, Any]]
    ops: dict[str, int]

    def side(self, kind: str, kernel: Kernel, seed: int) -> Side:
        """A side of that kind."""
        ops = self.ops[kernel.name]
        if kind == "bare":
            return BareSide(self.bare, kernel, ops, self.rounds, self.cpus, self.worker_kind)
        return EngineSide([str(self.program)], self.plans[kernel.name], [ops], self.rounds, seed, self.cpus)

    def pair(self, kernel: Kernel, kinds: tuple[str, str], index: int) -> Pair:
        """One pair; odd ones start with the second side."""
        first, second = (self.side(kind, kernel, self.seed + 2 * index + i) for i, kind in enumerate(kinds))
        if index % 2:
            second_ns, first_ns = play_times(second, first)
        else:
            first_ns, second_ns = play_times(first, second)
        return Pair(first_ns, second_ns, index % 2 == 0)


def plan_make(program: Path, kernel: Kernel, worker_kind: str, directory: Path) -> Mapping[str, Any]:
    """The resolved plan of the arm that does a kernel's work."""
    path = directory / f"{kernel.name}.yaml"
    size = "16MiB" if "fault" in kernel.arm else "512KiB"
    common = f"backing: memfd, file_bytes: {size}, cache: as-found, workers: 2, worker_kind: {worker_kind}"
    common += ", latency: none, count_ops: 10" + (f", {kernel.common}" if kernel.common else "")
    path.write_text(
        "question: Do workers that meet cost what they cost in a bare loop?\nop: operation\nnull_arm: false\n"
        f"common: {{{common}}}\narms:\n  - {{name: {kernel.name}, {kernel.arm}}}\n",
        encoding="utf-8",
    )
    done = subprocess.run([str(program), "plan", str(path), "--json", "--seed", "1"], capture_output=True)
    if done.returncode:
        raise SideError(f"faultline plan: {safe(done.stderr.decode(errors='replace').strip())}")
    plan: Mapping[str, Any] = json.loads(done.stdout)
    if len(plan["cells"]) != 1 or plan["refused"]:
        raise SideError(f"faultline plan: {kernel.name} is not one cell: {safe(json.dumps(plan['refused']))}")
    return plan


def ops_choose(bare: Path, kernel: Kernel, worker_kind: str, cpus: Sequence[int]) -> int:
    """The power of two of operations of a worker that comes nearest to a batch of 250 µs, within the limits."""
    probe = min(256, kernel.ops_most)
    side = BareSide(bare, kernel, probe, 20, cpus, worker_kind)
    command, _ = side.command(None)
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise SideError(f"{side.name}: {safe(done.stderr.decode(errors='replace').strip())}")
    found = json.loads(done.stdout)
    wanted = BATCH_NS * probe / float(np.median(found["batch_ns"]))
    return max(OPS_LEAST, min(1 << max(0, round(math.log2(wanted))), kernel.ops_most))


def contest_run(
    contest: Contest, chosen: Sequence[Kernel], kinds: Sequence[tuple[str, str]], pairs: int
) -> list[Found]:
    """All comparisons, breadth-first: every one has had a pair before any has its next."""
    found: dict[tuple[str, tuple[str, str]], list[Pair]] = {}
    for index in range(pairs):
        for kernel in chosen:
            for kind in kinds:
                found.setdefault((kernel.name, kind), []).append(contest.pair(kernel, kind, index))
        print(f"pair {index + 1} of {pairs}", file=sys.stderr)
    return [Found(name, *kind, contest.ops[name], tuple(rows)) for (name, kind), rows in found.items()]


def show(comparisons: Sequence[Found], margin: float) -> None:
    """The table: ns an operation, and below a kernel whose times come in heaps, these with each side's shares."""
    print(
        f"{'kernel':20} {'sides':18} {'ns/op':>10} {'ns/op':>10} {'ratio':>7} {'95 % interval':>17} {'pairs':>6}  "
        "within"
    )
    for c in comparisons:
        interval, verdict = c.interval() or Interval(math.nan), c.verdict(margin)
        told = {"within": "yes", "beyond": "NO", "other heaps": "NO: other heaps"}.get(verdict, verdict)
        allowed = "" if c.is_stated_only else f"{margin * max(1, KERNELS[c.kernel].slack):.0%}: "
        limits = f"[{turns.number(interval.low)}, {turns.number(interval.high)}]"
        print(
            f"{c.kernel:20} {c.first + ' ÷ ' + c.second:18} {c.ns(False):10.2f} {c.ns(True):10.2f} "
            f"{interval.estimate:7.4f} {limits:>17} {len(c.logs()):6}  {allowed}{told}"
        )
        heaps = c.heaps
        if len(heaps.ns) > 1:
            first, second = (
                heaps.shares(np.concatenate([getattr(p, side) for p in c.pairs])) for side in ("first", "second")
            )
            heap = (f"{ns:.4g} ns ({a:.0%}, {b:.0%})" for ns, a, b in zip(heaps.ns, first, second))
            print(f"{'':20} in heaps: {', '.join(heap)}")


def result_json(contest: Contest, comparisons: Sequence[Found], margin: float) -> dict[str, Any]:
    """Everything, for other programs."""
    return {
        "schema": "faultline.barecontention/1",
        "rounds": contest.rounds,
        "cpus": list(contest.cpus),
        "worker_kind": contest.worker_kind,
        "margin": margin,
        "comparisons": [
            {
                "kernel": c.kernel,
                "first": c.first,
                "second": c.second,
                "ops_per_worker": c.ops,
                "ratio": None if (interval := c.interval()) is None else vars(interval),
                "verdict": c.verdict(margin),
                "logs": c.logs(),
                "heaps_ns": c.heaps.ns,
                "rounds_ns": [
                    [[None if math.isnan(ns) else ns for ns in side] for side in (pair.first, pair.second)]
                    for pair in c.pairs
                ],
            }
            for c in comparisons
        ],
    }


def exit_status(comparisons: Sequence[Found], margin: float) -> int:
    """1 when a kernel differs beyond doubt, 3 when one of them could not be told, 0 otherwise; controls count as
    well."""
    told = {c.verdict(margin) for c in comparisons}
    return 1 if told & {"beyond", "other heaps"} else 3 if "cannot tell" in told else 0


def cpus_parse(text: str) -> tuple[int, int]:
    """Two CPUs that differ, from `A,B`."""
    first, second = (int(part) for part in text.split(","))
    if first == second or min(first, second) < 0:
        raise ValueError
    return first, second


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bareloop contention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, required=True, help="the faultline program (scripts/bareloop gives it)")
    parser.add_argument("--bare", type=Path, required=True, help="the bare program (scripts/bareloop gives it)")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of programs a comparison (default: 12)")
    parser.add_argument("--rounds", type=int, default=100, help="rounds a pair, at most 200 (default: 100)")
    parser.add_argument(
        "--kernel", choices=KERNELS, metavar="NAME", action="append", help=f"only this one: {', '.join(KERNELS)}"
    )
    parser.add_argument("--worker-kind", choices=("process", "thread"), default="process", help="(default: process)")
    parser.add_argument("--controls", action="store_true", help="also compare each side with its like")
    parser.add_argument(
        "--cpus", type=cpus_parse, metavar="A,B", help="CPUs of the two workers (default: the first two)"
    )
    parser.add_argument("--margin", type=float, default=MARGIN, help=f"difference that counts (default: {MARGIN})")
    parser.add_argument("--seed", type=int, default=1, help="of faultline's layouts (default: 1)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    options = parser.parse_args(argv)
    if not (options.pairs > 0 and 0 < options.rounds <= 200 and options.seed > 0 and options.margin > 0):
        parser.error("--pairs, --rounds (at most 200), --margin and --seed must be positive")
    if options.cpus is None:
        options.cpus = tuple(sorted(os.sched_getaffinity(0))[:2])
        if len(options.cpus) < 2:
            parser.error("two workers that meet need two CPUs")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    options = arguments(argv)
    chosen = [KERNELS[name] for name in options.kernel or KERNELS]
    kinds = [("faultline", "bare")] + ([("bare", "bare"), ("faultline", "faultline")] if options.controls else [])
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-barecontention-") as folder:
            plans = {k.name: plan_make(options.program, k, options.worker_kind, Path(folder)) for k in chosen}
            ops = {k.name: ops_choose(options.bare, k, options.worker_kind, options.cpus) for k in chosen}
            contest = Contest(
                options.program,
                options.bare,
                options.cpus,
                options.worker_kind,
                options.rounds,
                options.seed,
                plans,
                ops,
            )
            comparisons = contest_run(contest, chosen, kinds, options.pairs)
    except (SideError, OSError) as error:
        print(f"bareloop: {safe(error)}", file=sys.stderr)
        return 5 if isinstance(error, SideError) else 7
    show(comparisons, options.margin)
    if options.json:
        result = result_json(contest, comparisons, options.margin)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return exit_status(comparisons, options.margin)


if __name__ == "__main__":
    sys.exit(main())
