# SPDX-License-Identifier: MIT
"""How often the rules that judge runs are wrong, and what they see: the simulated tables of docs/history.md and
docs/statistics.md.

    PYTHONPATH=scripts python3 -m faultline simulate TABLE [SHARE]

prints a table as it stands there; SHARE, below 1, makes it of that part of the series or families. Each row begins with
the same seed. Spreads are standard deviations of log ratios.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

import numpy as np
from scipy.special import betaincinv

from faultline import change_rows, changes, command, pairing
from faultline.change_rows import Pair, Row
from faultline.text import percent
from faultline.verdict import CANNOT_TELL, FASTER, SLOWER

SEED = 17
DELTA = 0.01
SPREAD = 0.003  # of runs, where nothing else is said
RUNS = 300  # of a series without a change
TRIALS = 10  # of a run
TRIAL_SPREAD = 0.0035  # of the trials of a quiet machine
AFTER = 25  # runs after a step
BOOT_RUNS = 7
FAMILIES = 1000

Logs = Callable[[np.random.Generator, int], np.ndarray]  # log ratios of so many runs without a change
Lines = Iterator[Sequence[object]]  # of a table: its head, then its rows


# ---- series of runs: docs/history.md ----


def noise(spread: float) -> Logs:
    """Independent runs."""
    return lambda rng, runs: rng.normal(0, spread, runs)


def outlying(share: float, size: float, upwards: bool) -> Logs:
    """A share of the runs is off by some `size`."""

    def make(rng: np.random.Generator, runs: int) -> np.ndarray:
        off = rng.normal(0, size, runs)
        return rng.normal(0, SPREAD, runs) + (rng.random(runs) < share) * (abs(off) if upwards else off)

    return make


def drifting(per_run: float) -> Logs:
    """A slow drift."""
    return lambda rng, runs: rng.normal(0, SPREAD, runs) + per_run * np.arange(runs)


def wandering(spread: float, correlation: float) -> Logs:
    """As the time of an operation does: neighbouring runs are alike."""

    def make(rng: np.random.Generator, runs: int) -> np.ndarray:
        out = rng.normal(0, spread, runs)
        for i in range(1, runs):
            out[i] = correlation * out[i - 1] + math.sqrt(1 - correlation**2) * out[i]
        return out

    return make


def booted(between: float, per: int) -> Logs:
    """Boots of so many runs each that differ by themselves."""

    def make(rng: np.random.Generator, runs: int) -> np.ndarray:
        return np.repeat(rng.normal(0, between, runs // per + 1), per)[:runs] + rng.normal(0, SPREAD, runs)

    return make


@dataclass(frozen=True)
class Quiet:
    """Series in which nothing changes. boot_runs: runs a boot, 0 where each is its own."""

    label: str
    make: Logs
    series: int = 400
    boot_runs: int = 0


QUIET = (
    *(Quiet(f"independent, spread {percent(s)}", noise(s)) for s in (0.003, 0.01, 0.02, 0.1)),
    Quiet("spread 0.3 %, one run in ten off by some 10 % either way", outlying(0.1, 0.1, upwards=False)),
    Quiet("spread 0.3 %, one run in twenty off by some 20 % upwards", outlying(0.05, 0.2, upwards=True)),
    *(Quiet(f"spread 0.3 %, drift of {percent(d)} in 100 runs", drifting(d / 100)) for d in (0.005, 0.01, 0.02)),
    Quiet("like times: spread 3.3 %, correlation of neighbours 0.8", wandering(0.033, 0.8)),
    Quiet("like times: spread 6.4 %, correlation of neighbours 0.95", wandering(0.064, 0.95)),
)
BOOTED = tuple(
    Quiet(f"boots of {per} runs each that differ by {percent(s)}", booted(s, per), 100, per)
    for s, per in ((0.003, 7), (0.005, 7), (0.01, 7), (0.01, 30))
)
NIGHTS = ((0.003, (100,)), (0.01, (10, 100)), (0.02, (10, 100)))  # spread, numbers of series


@dataclass(frozen=True)
class Alarms:
    """What was told although nothing had changed, in so many looks."""

    told: int
    looks: int

    @property
    def rate(self) -> float:
        """Of one look."""
        return self.told / self.looks

    @property
    def most(self) -> float:
        """The upper end of its 95 % interval, after Clopper and Pearson."""
        return float(betaincinv(self.told + 1, self.looks - self.told, 0.975))

    def __str__(self) -> str:
        """Of 1000 looks, with that end."""
        return f"{1000 * self.rate:.2g} ({1000 * self.most:.2g})"


def alarms(quiet: Quiet, share: float = 1, as_units: bool = True) -> Alarms:
    """Series one after the other; with as_units=False the rule does not know of boots."""
    rng, number = np.random.default_rng(SEED), max(1, round(share * quiet.series))
    units = [run // quiet.boot_runs for run in range(RUNS)] if quiet.boot_runs and as_units else None
    told = sum(len(changes.find(np.exp(quiet.make(rng, RUNS)), DELTA, units=units)) for _ in range(number))
    return Alarms(told, number * RUNS)


def history_alarms(share: float) -> Lines:
    """False alarms of runs that are each their own boot."""
    yield "runs", "false alarms", "in looks", "of 1000 looks"
    for quiet in QUIET:
        found = alarms(quiet, share)
        yield quiet.label, found.told, found.looks, found


def history_boots(share: float) -> Lines:
    """False alarms of runs that hang together by boots."""
    yield "runs", "false alarms", "in looks", "of 1000 looks", "of 1000 if boots were not known"
    for quiet in BOOTED:
        found, as_runs = (alarms(quiet, share, known) for known in (True, False))
        yield quiet.label, found.told, found.looks, found, as_runs


def nights(found: Alarms, series: int) -> tuple[str, str]:
    """On which share of nights independent series raise an alarm, and on which `--fail-on-change` fails: one alarm in
    two is SLOWER, and is told for 20 runs. Where none was seen, that is at most as many as the interval allows."""
    rate = found.rate or found.most
    shares = (1 - (1 - rate) ** series, 1 - (1 - rate / 2) ** (20 * series))
    return tuple(f"{'' if found.told else 'below '}{100 * one:.2g} %" for one in shares)  # type: ignore[return-value]


def history_nights(share: float) -> Lines:
    """What that means for many series."""
    yield "spread between runs", "series", "nights with an alarm", "nights on which `--fail-on-change` (20) fails"
    for spread, numbers in NIGHTS:
        found = alarms(Quiet("", noise(spread)), share)
        for series in numbers:
            yield percent(spread), series, *nights(found, series)


def told_line(needed: Sequence[int], series: int) -> tuple[object, str]:
    """How many of the steps were told, and with which run after the step."""
    if not needed:
        return f"0 of {series}", "–"
    middle, late = np.percentile(needed, (50, 95), method="higher")
    return f"{len(needed)} of {series}", f"{middle:.0f}, {late:.0f}, {max(needed)}"


def steps(before: int, step: float, series: int, between: float = 0.0, per: int = 0) -> list[list[changes.Change]]:
    """What is found in so many series with a step after so many runs; per: runs a boot, the step coming with one."""
    rng, runs = np.random.default_rng(SEED), before + AFTER
    units = [run // per for run in range(runs)] if per else None
    make = booted(between, per) if per else noise(SPREAD)
    stepped = math.log1p(step) * (np.arange(runs) >= before)
    return [changes.find(np.exp(make(rng, runs) + stepped), DELTA, units=units) for _ in range(series)]


def needed(found: Sequence[Sequence[changes.Change]], before: int) -> list[int]:
    """With which run after the step the first change from it on was told, of the series in which one was."""
    late = (next((one for one in each if one.confirmed >= before), None) for each in found)
    return [one.confirmed - before + 1 for one in late if one is not None]


def history_power(share: float) -> Lines:
    """Which steps are told of independent runs, and when."""
    yield "runs before the change", "step", "told", "with run after it: median, 95 %, most", "at the very run"
    series = max(1, round(share * 1000))
    for before in (12, 30, 80):
        for step in (0.012, 0.02, 0.03):
            found = steps(before, step, series)
            exact = sum(any(one.first == before for one in each) for each in found)
            yield before, percent(step), *told_line(needed(found, before), series), exact


def history_power_boots(share: float) -> Lines:
    """The same of boots of several runs, the step coming with a boot."""
    yield "boots differ by", "boots before the step", "step", "told", "with run after it: median, 95 %, most"
    series = max(1, round(share * 100))
    for between in (0.001, 0.005):
        for boots, step in ((1, 0.05), (3, 0.03), (3, 0.05), (10, 0.03)):
            before = boots * BOOT_RUNS
            found = steps(before, step, series, between, BOOT_RUNS)
            yield percent(between), boots, percent(step), *told_line(needed(found, before), series)


# ---- two runs: docs/statistics.md ----


def single_runs(rng: np.random.Generator, between: float, within: float, move: float, allowed: bool = True,
                trials: int = TRIALS) -> Pair:
    """A row of two single runs that differ by themselves by `between`, their trials by `within`, and truly by `move`
    (log). allowed: whether what runs differ by is allowed for, or trials are taken for units."""
    logs = [rng.normal(0, between) + rng.normal(shift, within, trials) for shift in (0, move)]
    spread = change_rows.unseen_spread(*logs, change_rows.RUN_SPREAD) if allowed else 0.0
    return Pair(Row("s", "c", "a", "ratio", None, None, None, CANNOT_TELL), *logs, math.log1p(DELTA), None, spread)


def families(between: float, within: float, pairs: int, number: int, move: float = 0.0,
             allowed: bool = True) -> Iterator[list[Pair]]:
    """So many families of rows of single runs, decided; the first row of each has changed by `move`."""
    rng = np.random.default_rng(SEED)
    for _ in range(number):
        moves = (math.log1p(move), *[0.0] * (pairs - 1))
        family = [single_runs(rng, between, within, one, allowed) for one in moves]
        change_rows.family_decide(family, pairing.TRIAL)
        yield family


def family_alarms(between: float, within: float, pairs: int, number: int, allowed: bool = True) -> float:
    """The share of families of equal rows that have an alarm."""
    found = families(between, within, pairs, number, allowed=allowed)
    return float(np.mean([any(pair.row.verdict in (FASTER, SLOWER) for pair in family) for family in found]))


def family_told(between: float, within: float, pairs: int, number: int, move: float) -> float:
    """The share of families whose one change is told."""
    found = families(between, within, pairs, number, move)
    return float(np.mean([family[0].row.verdict == (SLOWER if move > 0 else FASTER) for family in found]))


PAIRS = (1, 12, 36)
RUNS_DIFFER = ((0.002, TRIAL_SPREAD), (TRIAL_SPREAD, TRIAL_SPREAD), (0.005, TRIAL_SPREAD), (0.007, TRIAL_SPREAD),
               (0.01, TRIAL_SPREAD), (0.1, 0.1))  # between runs, within


def shares(values: Sequence[float]) -> str:
    """Shares, in whole per cent or, below 1 %, in tenths."""
    return ", ".join(f"{100 * one:.1f} %" if 0 < one < 0.0095 else f"{100 * one:.0f} %" for one in values)


def compare_alarms(share: float) -> Lines:
    """False alarms of single runs."""
    yield "runs differ by (σ)", "trials differ by (σ)", "pairs", "alarms", "if trials were the units"
    number = max(1, round(share * FAMILIES))
    for between, within in RUNS_DIFFER:
        found = [shares([family_alarms(between, within, pairs, number, allowed) for pairs in PAIRS])
                 for allowed in (True, False)]
        yield percent(between), percent(within), ", ".join(map(str, PAIRS)), *found


def compare_power(share: float) -> Lines:
    """Which changes are told of single runs."""
    moves, number = (0.02, 0.03, 0.04, 0.05), max(1, round(share * FAMILIES))
    yield "runs differ by (σ)", "pairs", *(f"{percent(move)} is told" for move in moves)
    for between in (0.002, TRIAL_SPREAD, 0.005):
        for pairs in PAIRS:
            told = [family_told(between, TRIAL_SPREAD, pairs, number, move) for move in moves]
            yield percent(between), pairs, *(shares([one]) for one in told)


TABLES: dict[str, Callable[[float], Lines]] = {
    "history-alarms": history_alarms, "history-boots": history_boots, "history-nights": history_nights,
    "history-power": history_power, "history-power-boots": history_power_boots,
    "compare-alarms": compare_alarms, "compare-power": compare_power,
}


def part(text: str) -> float:
    """A share above 0, at most 1."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share above 0, at most 1")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table, in Markdown."""
    parser = argparse.ArgumentParser(prog="faultline simulate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("share", type=part, nargs="?", default=1.0)
    options = parser.parse_args(argv)
    for number, row in enumerate(TABLES[options.table](options.share)):
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        if not number:
            print(f"|{'---|' * len(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(command.guarded("faultline simulate", main))
