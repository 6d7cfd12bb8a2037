# SPDX-License-Identifier: MIT
"""The phases of a use add up to the whole, in faults exactly and in time within what was seen."""

import json
import pathlib

import helper

TOLERANCE = 0.05


def measure(scratch: helper.Scratch, scenario: str) -> pathlib.Path:
    """The shipped scenario in its quick profile, with time enough for its trials on a busy machine.

    On folios of one page: a large one is mapped now by one fault, now in windows, so that faults do not repeat.
    """
    text = (helper.TREE / "scenarios" / f"{scenario}.yaml").read_text()
    assert "budget: 6s" in text and "trials: 9" in text and "recipe: write-1MiB" in text
    path = scratch.path / "phases.yaml"
    path.write_text(text.replace("budget: 6s", "budget: 100s").replace("trials: 9", "trials: 8")
                    .replace("recipe: write-1MiB", "recipe: write-4KiB", 1))
    out = scratch.path / "out"
    words = ["run", str(path), "--profile", "quick", "--set", "arm_time=4ms", "--directory", str(scratch.path), "--out",
             str(out), "--quiet"]
    helper.check_status(scratch.call(words), 0)
    return out


def check_sum(out: pathlib.Path) -> None:
    """Interleaved ratios: the sum's interval reaches within the tolerance of 1, however noisy the machine."""
    for cell in json.loads((out / "summary.json").read_text())["cells"]:
        total = cell["phases_sum"]
        assert total["low"] < 1 + TOLERANCE and total["high"] > 1 - TOLERANCE, total


def check_faults(out: pathlib.Path, slack: int) -> None:
    """Each fault of the whole happens in one of the phases.

    Fault-around windows are aligned in the address space: where a mapping begins decides whether its first touches
    take one window more. The whole and the phase have mappings of their own.
    """
    if b"__asan_init" in helper.PROGRAM.read_bytes():
        raise helper.Skip("the sum held; faults are exact only without a sanitizer, which touches memory of its own")
    for record in helper.records(out):
        faults = {arm["name"]: arm["counts"]["minor_faults"] for arm in record["arms"] if not arm["null"]}
        whole = faults.pop("whole")
        assert whole > 0 and abs(sum(faults.values()) - whole) <= slack, (whole, faults)


def test_mapping(scratch: helper.Scratch) -> None:
    out = measure(scratch, "phases/mapping")
    check_sum(out)
    check_faults(out, 1)


def test_reading(scratch: helper.Scratch) -> None:
    out = measure(scratch, "phases/reading")
    check_sum(out)
    check_faults(out, 0)


helper.main(globals())
