# SPDX-License-Identifier: MIT
"""Test live comparisons: how often a change that was made is found, and how often one is told where there is none.

Both sides are the same program with a library that calculates before each pread (tests/programs/preload_pread.c); on
one side it calculates for a known while, on the other not at all. The chain that comes nearest to the change asked for
is taken: what a pread takes is measured first. Each figure comes with its n and its Clopper–Pearson bounds (95 %).

Exit status: 0 every change was found and none was told where there is none; 1 one was missed, or told; 5 a comparison
failed; 7 unreadable.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from faultline.bench_figures import share
from faultline.compare import share as fraction
from faultline.live import seconds
from faultline.selfbench import RunFailed, signals_end
from faultline.text import percent, safe

LENGTHS = (4, 8, 10, 12, 14, 16, 64, 256)  # of the chains that the library has
COMPARED = (0, 1, 3)  # statuses of a comparison that came to verdicts
SCENARIO = """question: Is pread as quick on both sides?
op: block read
null_arm: false
common: {file_bytes: 64KiB, recipe: write-64KiB, pattern: random, block_bytes: 4KiB, arm_time: 20ms, batch_time: 100us,
         latency: none, count_ops: 8}
arms:
  - {name: pread, method: pread, buffer: reused}
"""


@dataclass(frozen=True)
class Told:
    """What one comparison said of the arm: ratio candidate ÷ base, pairs, wall seconds."""

    verdict: str
    ratio: float
    pairs: int
    wall_s: float
    base_ns: float


@dataclass(frozen=True)
class Stage:
    """The setting that all comparisons share. words: options of each."""

    program: Path
    preload: Path
    folder: Path
    words: Sequence[str]

    def launcher(self, length: int) -> str:
        """A side whose preads come after a chain of that length."""
        return f"env 'LD_PRELOAD={self.preload}' FAULTLINE_TEST_CHAIN={length} '{self.program}'"

    def compare(self, length: int, number: int) -> Told:
        """One comparison of a side without a chain and one with it; RunFailed when it came to no verdict."""
        scenario, out = self.folder / "pread.yaml", self.folder / f"{length}-{number}"
        scenario.write_text(SCENARIO, encoding="utf-8")
        command = [sys.executable, "-m", "faultline.live", self.launcher(0), self.launcher(length), str(scenario)]
        command += ["--out", str(out), "--seed", str(number + 1), "--quiet", *self.words]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in COMPARED:
            raise RunFailed(f"a comparison ended with {done.returncode}: {safe(done.stderr.strip())}")
        found = json.loads((out / "compare.json").read_text(encoding="utf-8"))
        row = next(one for one in found["rows"] if one["quantity"] == "ns_per_op")
        ratio, base = row["change"]["estimate"], (row["base"] or {}).get("estimate")
        if ratio is None or base is None:
            raise RunFailed(f"a comparison has no figure: {safe(row['why'])}")
        return Told(row["verdict"], ratio, row["units"][0], time.monotonic() - begin, base)


def chain_ns(library: Path) -> dict[int, float]:
    """What each chain takes by itself; OSError when the library cannot be loaded."""
    ask = ctypes.CDLL(str(library)).pread_chain_ns
    ask.restype = ctypes.c_double
    return {length: float(ask(ctypes.c_uint64(length))) for length in LENGTHS}


def summary(told: Sequence[Told], verdicts: Sequence[str]) -> dict[str, Any]:
    """How many comparisons gave one of these verdicts, with the size they saw, their pairs and how long they took."""
    logs = np.log([one.ratio for one in told])
    return {
        "told": share(sum(one.verdict in verdicts for one in told), len(told)),
        "change": [float(np.expm1(q)) for q in np.quantile(logs, (0, 0.5, 1))] if told else None,
        "pairs": float(np.median([one.pairs for one in told])) if told else None,
        "wall_s": float(np.median([one.wall_s for one in told])) if told else None,
    }


def line(name: str, found: dict[str, Any]) -> str:
    """A summary as the user reads it."""
    told, change = found["told"], found["change"]
    if not told["n"]:
        return f"{name}: not tried"
    bounds = f"{told['low']:.1%} to {told['high']:.1%}"
    sizes = f"seen as {change[1]:+.2%} ({change[0]:+.2%} to {change[2]:+.2%})"
    each = f"{found['pairs']:g} pairs, {found['wall_s']:.1f} s"
    return f"{name}: told in {told['k']} of {told['n']} ({bounds}); {sizes}; {each}"


def bench(stage: Stage, options: argparse.Namespace) -> int:
    """Makes the comparisons and says what came of them."""
    pread_ns = stage.compare(0, 0).base_ns
    chains = chain_ns(stage.preload)
    length = min(chains, key=lambda one: abs(chains[one] / pread_ns - options.change))
    made = chains[length] / pread_ns
    print(f"a pread takes {pread_ns:.0f} ns, a chain of {length} {chains[length]:.1f} ns: a change of {percent(made)}")
    changed = [stage.compare(length, number) for number in range(1, options.found + 1)]
    print(line("a change that was made", found := summary(changed, ("SLOWER",))), flush=True)
    same = [stage.compare(0, number) for number in range(1, options.alarms + 1)]
    print(line("no change at all", alarms := summary(same, ("SLOWER", "FASTER"))))
    loads = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"load of the machine, over 1, 5 and 15 minutes: {loads} on {os.cpu_count()} CPUs")
    if options.json:
        value = {"schema": "faultline.selfbench-live/1", "made": made, "found": found, "alarms": alarms}
        options.json.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return int(found["told"]["k"] < found["told"]["n"] or alarms["told"]["k"] > 0)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/selfbench live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, required=True, help="of faultline (scripts/selfbench gives it)")
    parser.add_argument("--preload", type=Path, required=True, help="the library (scripts/selfbench gives it)")
    parser.add_argument("--change", metavar="D", type=fraction, default=0.015, help="which is made (default: 1.5%%)")
    parser.add_argument("--found", metavar="N", type=int, default=20, help="comparisons with it (default: 20)")
    parser.add_argument("--alarms", metavar="N", type=int, default=60, help="comparisons without any (default: 60)")
    parser.add_argument("--budget", metavar="TIME", type=seconds, default=10.0, help="of each (default: 10s)")
    parser.add_argument("--directory", metavar="DIR", help="where files under test are made (default: /var/tmp)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures to this file")
    options = parser.parse_args(argv)
    if options.found < 0 or options.alarms < 0 or options.found + options.alarms == 0:
        parser.error("--found and --alarms cannot be negative, nor both 0")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    options = arguments(argv)
    signals_end()
    words = ["--budget", f"{options.budget}s", *(["--directory", options.directory] if options.directory else [])]
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-selfbench-") as folder:
            return bench(Stage(options.program.resolve(), options.preload.resolve(), Path(folder), words), options)
    except RunFailed as error:
        print(f"selfbench: {error}", file=sys.stderr)
        return 5
    except OSError as error:
        print(f"selfbench: {safe(error)}", file=sys.stderr)
        return 7


if __name__ == "__main__":
    sys.exit(main())
