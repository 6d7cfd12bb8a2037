# SPDX-License-Identifier: MIT
"""The scenarios that come with the program keep what is promised of them. Everything is planned, nothing run."""

import json
import math
import pathlib
import re

import helper

MIB = 1 << 20
QUICK_CELLS, QUICK_FILE_BYTES = 12, 64 * MIB
ALPHA = 0.05  # of the verdicts, over all comparisons of a scenario
NO_COMPARISON = {"floor/null", "sync/background", "techniques/ring-soak", "claims/flusher"}  # one arm each
LEFT_OUT = {("claims/flusher", "quick"), ("claims/flusher", "standard")}  # too long for these profiles
PROFILES = ("quick", "standard", "thorough")
# As many CPUs as any of them asks for, at every distance, and the rights of root: so that no cell is left out for want
# of either.
MACHINE = ("--topology", "synthetic:package:2 numa:2 l3:2 l2:2 core:2 pu:2", "--make-filesystems")


def shipped() -> dict[str, pathlib.Path]:
    """Name and file of each."""
    root = helper.TREE / "scenarios"
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.glob("*/*.yaml"))}


def planned(scratch: helper.Scratch, path: pathlib.Path, profile: str) -> dict:
    """What `plan --json` says."""
    result = scratch.call(["plan", str(path), "--profile", profile, "--json", *MACHINE])
    helper.check_status(result, 0)
    return json.loads(result.stdout)


def pairs(plan: dict) -> int:
    """Comparisons: each arm with its baseline, but for the null arm."""
    return sum(not arm["null"] for cell in plan["cells"] for arm in cell["arms"]) - len(plan["cells"])


def test_profiles(scratch: helper.Scratch) -> None:
    """Quick is quick; and every profile has the trials without which no verdict can fall, however clear the effect."""
    helper.needs_root()  # cells on made filesystems are left out for others
    for name, path in shipped().items():
        for profile in PROFILES:
            if (name, profile) in LEFT_OUT:
                result = scratch.call(["plan", str(path), "--profile", profile, *MACHINE])
                helper.check_status(result, 2)
                assert ": only with --profile thorough" in result.stderr, f"{name}, {profile}: {result.stderr}"
                continue
            plan = planned(scratch, path, profile)
            least = math.ceil(math.log2(2 * pairs(plan) / ALPHA)) if pairs(plan) else 1
            (scenario,) = plan["scenarios"]
            assert scenario["rungs"][-1] >= least, \
                f"{name}, {profile}: {scenario['rungs'][-1]} trials, {least} are needed for {pairs(plan)} comparisons"
            if profile == "quick":
                assert len(plan["cells"]) <= QUICK_CELLS, f"{name}: {len(plan['cells'])} cells"
                largest = max(cell["params"]["file_bytes"] for cell in plan["cells"])
                assert largest <= QUICK_FILE_BYTES, f"{name}: a file of {largest} bytes"


def test_on_a_file(scratch: helper.Scratch) -> None:
    """A file of the user's, of a size that nothing divides: cells it cannot have are left out, with that reason."""
    path = scratch.path / "mine"
    with path.open("wb") as file:
        file.truncate(20_000_003)
    left_out = 0
    for name, scenario in shipped().items():
        result = scratch.call(["plan", str(scenario), "--file", str(path), *MACHINE[:2]])
        assert result.returncode == 0 or "no cell is left to measure" in result.stderr, f"{name}: {result.stderr}"
        left_out += result.returncode != 0
    assert left_out < len(shipped()) / 2, f"{left_out} scenarios have nothing for a file of 20 MB"


def test_compare(scratch: helper.Scratch) -> None:
    """Each compares something, and shows what the instrument sees where nothing differs."""
    helper.needs_root()
    for name, path in shipped().items():
        plan = planned(scratch, path, "thorough")
        if name not in NO_COMPARISON:
            assert pairs(plan) >= len(plan["cells"]), name
            assert all(any(arm["null"] for arm in cell["arms"]) for cell in plan["cells"]), name


def test_documented(scratch: helper.Scratch) -> None:
    """Each but for claims has its paragraph in docs/scenarios, and each paragraph its scenario."""
    del scratch
    folder = helper.TREE / "docs" / "scenarios"
    text: dict[str, str] = {}
    for path in sorted(folder.glob("*.md")):  # subject.md, and subject-TOPIC.md where one page is not enough
        subject = path.stem.partition("-")[0]
        text[subject] = text.get(subject, "") + path.read_text()
    missing = []
    for name, path in shipped().items():
        subject = path.parent.name
        if subject == "claims":
            continue
        headed = re.search(rf"^## {re.escape(path.stem)}$", text[subject], re.MULTILINE)
        missing += [] if headed or f"`{name}`" in text[subject] or f"## {name}\n" in text["filesystems"] else [name]
    assert not missing, f"not in docs/scenarios: {missing}"
    named = {name for page in text.values() for name in re.findall(r"`([a-z]+/[a-z-]+)`", page)}
    unknown = {name for name in named if name.partition("/")[0] in text} - {"faults/op"} - set(shipped())
    assert not unknown, f"docs/scenarios names what is not there: {sorted(unknown)}"


def test_claims_documented(scratch: helper.Scratch) -> None:
    """Each claim has its paragraph in docs/claims.md, and each paragraph there its claim; no two have one name."""
    scenarios = planned(scratch, helper.TREE / "scenarios", "standard")["scenarios"]
    ids = [claim["id"] for scenario in scenarios for claim in scenario["claim"] or ()]
    headed = re.findall(r"^### (\S+)$", (helper.TREE / "docs" / "claims.md").read_text(), re.MULTILINE)
    assert sorted(ids) == sorted(headed), f"on one side alone: {sorted(set(ids) ^ set(headed))}"


helper.main(globals())
