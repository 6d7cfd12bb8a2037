# SPDX-License-Identifier: MIT
"""The figures of a run in the OpenMetrics text format 1.0, for a monitoring system that keeps series over time.

https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import math
from typing import Iterable, Mapping, NamedTuple

from faultline.records import Run
from faultline.stats import Interval
from faultline.summary import role
from faultline.text import safe
from faultline.verdict import VERDICTS, ArmResult, CellResult, Results

Labels = Mapping[str, str]
Sample = tuple[Labels, float]
GRADES = ("A", "B", "C", "D", "F")
NS = 1e-9  # OpenMetrics wants base units: seconds


class Family(NamedTuple):
    """A metric family with its samples. The name ends in its unit, "" for none."""

    name: str
    kind: str
    unit: str
    text: str
    samples: list[Sample]


def escape(value: str) -> str:
    """A label's value or a help text: backslash, quote and line feed behind a backslash. Other control characters are
    made visible before."""
    return safe(value).replace("\\", "\\\\").replace('"', '\\"')


def number(value: float) -> str:
    """A number with nine significant digits, as in summary.json."""
    return "NaN" if math.isnan(value) else f"{value:.9g}"


def sample_line(name: str, labels: Labels, value: float) -> str:
    """One sample."""
    inner = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {number(value)}" if inner else f"{name} {number(value)}"


def family_lines(family: Family) -> list[str]:
    """A family: its description, then its samples; nothing for none."""
    if not family.samples:
        return []
    unit = [f"# UNIT {family.name} {family.unit}"] if family.unit else []
    head = [f"# TYPE {family.name} {family.kind}", *unit, f"# HELP {family.name} {escape(family.text)}"]
    suffix = "_info" if family.kind == "info" else ""
    return head + [sample_line(family.name + suffix, labels, value) for labels, value in family.samples]


def ends(labels: Labels, found: Interval | None, scale: float = 1.0) -> list[Sample]:
    """An interval as samples told apart by the label `bound`: estimate, low, high; ends that are not known are left
    out."""
    if found is None:
        return []
    values = (("estimate", found.estimate), ("low", found.low), ("high", found.high))
    return [({**labels, "bound": bound}, value * scale) for bound, value in values if value is not None]


def states(name: str, labels: Labels, there: str | None, possible: Iterable[str]) -> list[Sample]:
    """A state set: one sample a state, 1 for the one that holds; its label has the name of the family."""
    return [({**labels, name: state}, float(state == there)) for state in possible]


def known(**labels: object) -> dict[str, str]:
    """The labels that have a value."""
    return {name: str(value) for name, value in labels.items() if value is not None}


def machine_labels(run: Run) -> dict[str, str]:
    """The machine's name, or its fingerprint; nothing where neither is known."""
    name = run.machine.get("name")
    return known(machine=name if name is not None else run.manifest.machine)


def arm_labels(run: Run, cell: CellResult, arm: ArmResult) -> dict[str, str]:
    """What tells an arm apart from all others of all machines."""
    return {
        **machine_labels(run),
        "scenario": cell.scenario.name,
        "cell": cell.plan.cell,
        "arm": arm.name,
        "role": role(arm),
    }


def arm_families(results: Results) -> list[Family]:
    """What is known of every arm."""
    verdict = "faultline_verdict"
    families = {
        "time": Family("faultline_op_seconds", "gauge", "seconds", "Median time of an operation over trials.", []),
        "ratio": Family("faultline_ratio", "gauge", "ratio", "Time of the arm divided by time of the baseline.", []),
        "verdict": Family(verdict, "stateset", "", "What may be concluded from the ratio of an arm.", []),
        "counts": Family("faultline_count_per_op", "gauge", "", "Counts of an operation, median over trials.", []),
        "trials": Family("faultline_trials", "gauge", "", "Trials behind the figures of an arm.", []),
    }
    for cell in results.cells:
        for arm in cell.arms:
            labels = arm_labels(results.run, cell, arm)
            ratio = arm.ratio.interval if arm.ratio is not None else None
            families["time"].samples.extend(ends(labels, arm.ns_per_op, NS))
            families["ratio"].samples.extend(ends(labels, ratio.exp() if ratio is not None else None))
            if arm.verdict is not None:
                families["verdict"].samples.extend(states(verdict, labels, arm.verdict, VERDICTS))
            families["counts"].samples.extend(({**labels, "count": k}, v) for k, v in arm.counts_per_op.items())
            families["trials"].samples.append((labels, float(arm.trials_used)))
    return list(families.values())


def run_families(results: Results) -> list[Family]:
    """What is known of the whole run."""
    manifest = results.run.manifest
    labels = machine_labels(results.run)
    version = manifest.tool.get("version")
    about = labels | known(
        run=manifest.run, fingerprint=manifest.machine, profile=manifest.profile, version=version
    )
    floor = [] if results.noise_floor is None else [(labels, math.expm1(results.noise_floor))]
    grade = states("faultline_noise_grade", labels, results.grade, GRADES) if results.grade is not None else []
    text = "What one comparison of two identical arms resolves in the middle cell, as a fraction."
    return [
        Family("faultline_run", "info", "", "The run that the other metrics are of.", [(about, 1.0)]),
        Family("faultline_noise_grade", "stateset", "", "How much identical arms differ.", grade),
        Family("faultline_noise_floor_ratio", "gauge", "ratio", text, floor),
        Family(
            "faultline_records", "gauge", "", "Usable records of the run.", [(labels, float(len(results.run.trials)))]
        ),
    ]


def exposition(results: Results) -> str:
    """The whole text, ended as the format demands."""
    families = run_families(results) + arm_families(results)
    return "".join(f"{line}\n" for family in families for line in family_lines(family)) + "# EOF\n"
