# SPDX-License-Identifier: MIT
"""Workers that meet, beside a bare program of the same work: every kernel has its other side, a factor is found."""

import json
import os
import subprocess
from dataclasses import dataclass, replace

import helper

helper.sys.path.insert(0, str(helper.TREE / "scripts"))

from faultline import bare_contention as bare  # noqa: E402  (the tree's package, once it can be found)
from faultline import trial_pair  # noqa: E402

PROGRAM = helper.PROGRAM.parent / "tests" / "barecontention"
OPS, ROUNDS = 32, 5


def cpus_here() -> tuple[int, int]:
    """Two CPUs, and the program built beside faultline; or the case cannot run."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise helper.Skip("two workers that meet need two CPUs")
    if not PROGRAM.exists():
        raise helper.Skip(f"{PROGRAM.name} was not built beside the program")
    return cpus[0], cpus[1]


def contest(scratch: helper.Scratch, kernel: bare.Kernel, worker_kind: str, ops: int = OPS) -> bare.Contest:
    """A contest in one kernel."""
    plans = {kernel.name: bare.plan_make(helper.PROGRAM, kernel, worker_kind, scratch.path)}
    return bare.Contest(helper.PROGRAM, PROGRAM, cpus_here(), worker_kind, ROUNDS, 1, plans, {kernel.name: ops})


def play_all(scratch: helper.Scratch, worker_kind: str) -> None:
    """A pair of each kernel: whoever starts, both sides deliver a time for every round."""
    for index, kernel in enumerate(bare.KERNELS.values()):
        pair = contest(scratch, kernel, worker_kind).pair(kernel, ("faultline", "bare"), index)
        for ns in (pair.first, pair.second):
            assert len(ns) == ROUNDS and all(ns > 0), (kernel, worker_kind, ns)


def test_processes(scratch: helper.Scratch) -> None:
    """Neither side misses a hand-over, an addition or a message, or it would have said so."""
    play_all(scratch, "process")


def test_threads(scratch: helper.Scratch) -> None:
    """The same between threads."""
    play_all(scratch, "thread")


def test_command(scratch: helper.Scratch) -> None:
    """The whole comparison, with its table and its file; what it concludes is what its status says."""
    cpus = ",".join(str(cpu) for cpu in cpus_here())
    out = scratch.path / "out.json"
    words = [helper.sys.executable, "-m", "faultline.bare_contention", "--program", str(helper.PROGRAM), "--bare"]
    words += [str(PROGRAM), "--cpus", cpus, "--pairs", "6", "--rounds", "8", "--kernel", "add-apart"]
    words += ["--json", str(out)]
    environment = os.environ | {"PYTHONPATH": str(helper.TREE / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    (row,) = json.loads(out.read_text())["comparisons"]
    assert row["kernel"] == "add-apart" and len(row["logs"]) == 6 and row["ratio"]["low"] is not None, row
    assert "add-apart" in done.stdout and "faultline ÷ bare" in done.stdout, done.stdout
    status = {"within": 0, "beyond": 1, "other heaps": 1, "cannot tell": 3}
    assert done.returncode == status[row["verdict"]], (done.returncode, row["verdict"], done.stderr)


@dataclass(frozen=True)
class Planted(bare.BareSide):
    """A bare program that does three times the work that it says it did."""

    def command(self, turn: trial_pair.Turn | None) -> tuple[list[str], bytes]:
        """As Side.command."""
        return replace(self, ops=3 * self.ops).plain().command(turn)

    def plain(self) -> bare.BareSide:
        """What it pretends to be."""
        return bare.BareSide(self.program, self.kernel, self.ops, self.rounds, self.cpus, self.worker_kind)

    def times(self, output: bytes) -> object:
        """As Side.times."""
        return 3 * super().times(output)


def find_planted() -> bare.Found:
    """Six pairs of an honest bare program and one that does more."""
    kernel = bare.KERNELS["add-apart"]
    honest = bare.BareSide(PROGRAM, kernel, 4096, 20, cpus_here(), "process")
    planted = Planted(PROGRAM, kernel, 4096, 20, cpus_here(), "process")
    pairs = []
    for index in range(6):
        sides = (honest, planted) if index % 2 == 0 else (planted, honest)
        times = trial_pair.play_times(*sides, wait_s=60)
        pairs.append(bare.Pair(*(times if index % 2 == 0 else times[::-1]), index % 2 == 0))
    return bare.Found("add-apart", "honest", "planted", 4096, tuple(pairs))


def test_planted_factor_is_found(scratch: helper.Scratch) -> None:
    """Beyond any doubt, and by the factor that was planted; a busy machine may hide it twice."""
    found = find_planted()
    for _ in range(2):
        if found.verdict(0.05) != "beyond":
            found = find_planted()
    assert found.verdict(0.05) == "beyond", found.interval()
    assert 0.2 < found.interval().estimate < 0.5, found.interval()


def test_refuses(scratch: helper.Scratch) -> None:
    """What does not fit, or could never end, is told at once."""
    cpus_here()
    for words in (["cas", "--cpu0", "0", "--cpu1", "0"], ["fault", "--ops", "513"], ["none"], ["ring", "--ring", "8"]):
        done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "Invalid argument" in done.stderr and not done.stdout, (words, done)


helper.main(globals())
