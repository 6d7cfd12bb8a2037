# SPDX-License-Identifier: MIT
"""A board over machines: which differences it calls real, which it puts down to page size or settings, what it leaves
out, and its files."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Sequence

import jsonschema
import numpy as np
import pytest
from scipy.optimize import curve_fit

import browser
import fake_run
from conftest import ROOT
from fake_compare import run, scenario
from fake_run import MIB, FakeArm, FakeScenario
from faultline import (
    board,
    board_axes,
    board_command,
    board_counts,
    board_files,
    board_light,
    board_machines,
    board_pages,
    board_pairs,
    board_picture,
    board_rows,
    board_table,
    board_words,
    compare,
    fingerprint,
    pairing,
    sources,
    stats,
)
from faultline.board import Board
from faultline.board_rows import AGREE, ALONE, OPEN, PAGE, REAL, RUNS_AGREE, RUNS_DIFFER, SETTINGS, BoardRow
from faultline.command import Complaint
from faultline.stats import Interval
from faultline.table import Look
from faultline.text import columns
from faultline.verdict import CANNOT_TELL, FASTER, INVALID, SAME, SLOWER

NASTY = "a\x1b[31m<script>alert(1)</script>|`*_[x](y)\u202e&\"'\n## h"
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "results" / "board.schema.json").read_text()))
SCHEMA.check_schema(SCHEMA.schema)
OTHER = {"cpu_model": "Other CPU"}


def machine(path: Path, seed: int = 1, scenarios: list[FakeScenario] | None = None, **changes: Any) -> Path:
    """A run of a machine that is called as its directory, and booted by itself."""
    return run(path, seed, scenarios, **{**dict(name=path.name, boot=path.name), **changes})


def single(fast: float = 0.9, **changes: Any) -> FakeScenario:
    """A cell with one arm to compare: 4 boots a side tell of two machines, 5 of three."""
    return scenario(**{**dict(arms=[FakeArm("pread"), FakeArm("fast", fast)], trials=8, rounds=12), **changes})


def booted(path: Path, seed: int, fast: float = 0.9, boots: int = 4, **changes: Any) -> list[Path]:
    """Runs of a machine that is called as the directory, each of a boot of its own."""
    return [machine(path / f"{number}", 100 * seed + number, [single(fast)],
                    **{**dict(name=path.name, boot=f"{path.name}{number}", hour=number), **changes})
            for number in range(boots)]


def made(*paths: Path | list[Path], **options: Any) -> Board:
    every = [one for given in paths for one in (given if isinstance(given, list) else [given])]
    return board.board_of(sources.side_load(every)[0], **options)


def row(found: Board, arm: str, quantity: str = "ratio", cell: str = "all") -> BoardRow:
    (one,) = [r for r in found.rows if (r.arm, r.quantity, r.cell) == (arm, quantity, cell)]
    return one


def column(found: Board, label: str) -> int:
    return [m.label for m in found.machines].index(label)


# ---- ratios ----


def test_a_real_difference(tmp_path: Path) -> None:
    found = made(booted(tmp_path / "a", 1), booted(tmp_path / "b", 2, 0.7, blocking=OTHER))
    one = row(found, "fast")
    assert one.finding == REAL and one.one_verdict == FASTER and not one.turns
    (apart,) = one.apart
    assert (apart.a, apart.b) == (0, 1) and apart.change is not None
    assert apart.change.estimate == pytest.approx(0.7 / 0.9, rel=0.01)
    assert "cpu_model" in str(one.why) and apart.differs.settings == () and not apart.differs.page
    assert board.exit_status(found) == board.exit_status(found, True) == 0
    assert "1 machine" not in board_words.conclusion(found) and "A real difference" in board_words.conclusion(found)


def test_runs_of_a_boot_each_tell_nothing_of_their_machines(tmp_path: Path) -> None:
    """`faultline compare` refuses two boots, too."""
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(fast=0.7)], blocking=OTHER))
    one = row(found, "fast")
    assert one.finding == RUNS_DIFFER and one.worst is not None and one.worst.change is not None
    assert one.worst.change.estimate == pytest.approx(0.7 / 0.9, rel=0.01)
    assert "1 against 1 boot; 5 a side are needed for 2 comparisons" in str(one.why)
    assert row(found, "faulting").finding == OPEN
    assert board.exit_status(found) == 0 and board.exit_status(found, True) == 3
    assert "A real difference" not in board_words.conclusion(found)
    assert "These runs differ" in board_words.conclusion(found)


@pytest.mark.parametrize(("boots", "finding", "alike"), [
    ((3, 3), RUNS_DIFFER, RUNS_AGREE), ((4, 4), REAL, AGREE), ((2, 9), RUNS_DIFFER, RUNS_AGREE), ((3, 7), REAL, AGREE)])
def test_how_many_boots_it_takes(tmp_path: Path, boots: tuple[int, int], finding: str, alike: str) -> None:
    """As many as the exact test needs, and 3 a machine; before that nothing is lost by adding some."""
    mine, its = booted(tmp_path / "a", 1, boots=boots[0]), booted(tmp_path / "b", 2, 0.8, boots[1], blocking=OTHER)
    assert row(made(mine, its), "fast").finding == finding
    same = booted(tmp_path / "c", 3, boots=boots[1], blocking=OTHER)
    found = made(mine, same, delta=0.05)
    assert row(found, "fast").finding == alike
    assert board.exit_status(found, True) == (0 if alike == AGREE else 3)


def test_boots_that_nobody_knows_are_no_units() -> None:
    machines = [SimpleNamespace(runs=[SimpleNamespace(name="r", boot=boot)], label="m", boots=[], place=place)
                for place, boot in enumerate(("b", None))]
    assert board_pairs.boots_unfit(*machines) == "nobody knows the boot of r"  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    sides = [boots_of(rng, truth, 0.0, 4) for truth in (0.0, 0.1)]
    (one,) = decided([sides], unfit="nobody knows the boot of r")
    assert one.finding == RUNS_DIFFER and "nobody knows the boot of r" in str(one.why)


def test_two_settings_of_one_machine_have_to_take_turns(tmp_path: Path) -> None:
    """As in `faultline compare --vary kernel`."""
    def kernels(hours: Sequence[int]) -> list[Path]:
        return [machine(tmp_path / f"{hours}{hour}", 10 + hour, [single(0.9 if number < 5 else 0.8)], name="m",
                        boot=f"m{hour}", hour=hour, blocking={"kernel_release": f"6.{number // 5}"})
                for number, hour in enumerate(hours)]

    told = {}
    for hours in (list(range(10)), [0, 3, 4, 7, 8, 1, 2, 5, 6, 9]):
        found = made(kernels(hours))
        assert [m.label for m in found.machines] == ["m 6.0", "m 6.1"]
        told[hours[1]] = row(found, "fast")
    assert told[1].finding == RUNS_DIFFER and "did not take turns" in str(told[1].why)
    assert told[3].finding == REAL and "kernel_release" in str(told[3].why)


def test_machines_are_judged_by_themselves_and_never_pooled(tmp_path: Path) -> None:
    """Each machine's ratio and verdict are those of its own report."""
    paths = [machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(fast=0.7)], blocking=OTHER)]
    found = made(*paths)
    for i, path in enumerate(paths):
        alone = next(a for a in sources.stored(path).results.cells[0].arms if a.name == "fast")
        value = row(found, "fast").values[i]
        assert value is not None and alone.ratio is not None and alone.ratio.interval is not None
        assert value.ratio == alone.ratio.interval.exp() and value.verdict == alone.verdict
        assert value.time == alone.ns_per_op


def test_who_wins_depends_on_the_machine(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(fast=1.3)], blocking=OTHER))
    assert found.rows[0] is row(found, "fast") and found.rows[0].turns
    said = board_words.conclusion(found)
    assert "In these runs the winner is not the same on all of them in 1" in said
    assert "FASTER" in said and "SLOWER" in said


def test_machines_that_agree(tmp_path: Path) -> None:
    found = made(booted(tmp_path / "a", 1), booted(tmp_path / "b", 2, blocking=OTHER), delta=0.05)
    assert row(found, "fast").finding == AGREE and row(found, "fast").why is None
    assert board.exit_status(found, insist=True) == 0


def test_settings_are_named(tmp_path: Path) -> None:
    changed = {**OTHER, "thp": {"enabled": "always"}}
    found = made(booted(tmp_path / "a", 1), booted(tmp_path / "b", 2, 0.7, blocking=changed))
    assert row(found, "fast").finding == SETTINGS and "thp.enabled" in str(row(found, "fast").why)
    assert "cpu_model" not in str(row(found, "fast").why)


def test_the_strongest_finding_of_several_machines(tmp_path: Path) -> None:
    """Only a and c differ in nothing but the processor; so the row is real though b has other settings."""
    always = {**OTHER, "thp": {"enabled": "always"}}
    paths = (booted(tmp_path / "a", 1, boots=5), booted(tmp_path / "b", 2, 0.6, 5, blocking=always),
             booted(tmp_path / "c", 3, 0.8, 5, blocking=OTHER))
    found = row(made(*paths), "fast")
    assert [(one.a, one.b, one.finding) for one in found.apart] == [
        (0, 1, SETTINGS), (0, 2, REAL), (1, 2, SETTINGS)]
    assert found.finding == REAL and found.worst is not None and (found.worst.a, found.worst.b) == (0, 2)
    found = row(made(*paths[:2], paths[2][:1]), "fast")  # of c one boot only
    assert [one.finding for one in found.apart] == [SETTINGS, RUNS_DIFFER, RUNS_DIFFER] and found.finding == SETTINGS


def test_a_lost_fingerprint_explains_nothing(tmp_path: Path) -> None:
    others = booted(tmp_path / "b", 2, 0.5, damage=lambda value: value.update(instance="b"))
    for one in others:
        (one / "machine.json").unlink()
    found = made(booted(tmp_path / "a", 1), others)
    assert row(found, "fast").finding == OPEN and "fingerprint of one is missing" in str(row(found, "fast").why)


def test_what_a_key_has_to_do_with_a_cell() -> None:
    warm, cold = {"backing": "file", "cache": "warm"}, {"backing": "file", "cache": "cold"}
    assert not board_machines.concerns("read_ahead_kb", warm) and board_machines.concerns("read_ahead_kb", cold)
    assert not board_machines.concerns("filesystem.type", {"backing": "memfd"})
    assert board_machines.concerns("thp.shmem", {"backing": "tmpfs"}) and not board_machines.concerns("thp.shmem", warm)
    assert board_machines.concerns("thp.enabled", warm)


@pytest.mark.parametrize(("mine", "its", "setting"), [
    ("Vulnerable", "Mitigation: PTI", True),
    ("Mitigation: PTI", "Not affected", False),
    ("Vulnerable", "Not affected", False),
    ("Mitigation: A", "Mitigation: B", False),
])
def test_a_mitigation_is_the_machines_unless_it_was_switched(mine: str, its: str, setting: bool) -> None:
    assert board_machines.is_protection_set(mine, its) is setting
    assert board_machines.is_protection_set(its, mine) is setting


def test_what_nobody_knows_is_no_difference(tmp_path: Path) -> None:
    """A virtual machine sees no governor."""
    found = made(booted(tmp_path / "a", 1, blocking={"governor": "performance"}),
                 booted(tmp_path / "b", 2, 0.7, blocking={**OTHER, "governor": None}))
    one = row(found, "fast")
    assert one.finding == REAL and found.differences["governor"] == ["performance", "unknown"]
    assert one.apart[0].differs.unknown == ("governor",) and "unknown of one at least: governor" in str(one.why)
    assert "known settings" in board_words.conclusion(found)


def test_one_machine_alone(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [fake_run.floor(trials=6)], blocking=OTHER))
    assert {r.finding for r in found.rows} == {ALONE} and board.exit_status(found) == 7
    assert board_words.conclusion(found).startswith("Nothing stands on the board: no two machines")
    assert "one machine only" in board_words.conclusion(made(tmp_path / "a"))


def test_an_arm_that_one_machine_cannot_do(tmp_path: Path) -> None:
    arms = [FakeArm("pread"), FakeArm("fast", status="unsupported", reason="no such call"),
            FakeArm("faulting", 1.3, faults=2)]
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(arms=arms)], blocking=OTHER))
    one = row(found, "fast")
    assert one.finding == ALONE and "no such call" in str(one.why)
    assert board_words.fields(found, one)[2] == "unsupported" and board.exit_status(found) == 0


def test_invalid_is_not_compared(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(null_bias=0.05)], blocking=OTHER))
    one = row(found, "fast")
    assert one.finding == ALONE and "INVALID" in str(one.why) and board.exit_status(found) == 4


# ---- several runs of one machine ----


def test_runs_of_one_machine_are_one_column(tmp_path: Path) -> None:
    paths = [machine(tmp_path / "x" / "a", seed, hour=seed) for seed in (1,)]
    for seed in (2, 3):
        paths.append(run(tmp_path / f"again{seed}", seed, name="a", boot="a", hour=seed))
    found = made(*paths, machine(tmp_path / "b", 4, [scenario(fast=0.7)], blocking=OTHER))
    assert [len(m.runs) for m in found.machines] == [3, 1]
    value = row(found, "fast").values[0]
    assert value is not None and value.ratio is not None and value.runs == 3 and value.verdict == FASTER
    singles = [next(r for r in made(path).rows if r.arm == "fast").values[0] for path in paths]
    ratios = [v.ratio for v in singles if v is not None and v.ratio is not None]
    assert value.ratio.low == min(r.low for r in ratios if r.low)
    assert value.ratio.high == max(r.high for r in ratios if r.high)
    assert value.ratio.estimate == pytest.approx(float(np.median([r.estimate for r in ratios])))


def test_runs_that_disagree_tell_nothing(tmp_path: Path) -> None:
    paths = [run(tmp_path / f"a{i}", i, [scenario(fast=fast)], name="a", hour=i) for i, fast in ((1, 0.9), (2, 1.2))]
    found = made(*paths, machine(tmp_path / "b", 4, blocking=OTHER))
    value = row(found, "fast").values[0]
    assert value is not None and value.verdict == CANNOT_TELL and value.why == "its runs say FASTER, SLOWER"


def test_a_copy_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine(tmp_path / "a", 1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    machine(tmp_path / "b", 2, blocking=OTHER)
    assert compare.main(["--board", *(str(tmp_path / name) for name in ("a", "copy", "b"))]) == 0
    assert "it counts once" in capsys.readouterr().out


def test_two_machines_of_one_name(tmp_path: Path) -> None:
    for number, (rows, told) in enumerate((
        ([(4096, "A", "ext4"), (16384, "A", "ext4")], ["vm 4KiB", "vm 16KiB"]),
        ([(4096, "A", "ext4"), (16384, "A", "ext4"), (16384, "B", "ext4")], ["vm 4KiB", "vm", "vm B"]),
        ([(4096, "A", "ext4"), (4096, "A", "xfs")], ["vm ext4", "vm xfs"]),
    )):
        paths = [run(tmp_path / f"{number}-{i}", 10 * number + i, name="vm", blocking={
            "page_bytes": page, "cpu_model": model, "filesystem": {"type": kind}})
            for i, (page, model, kind) in enumerate(rows)]
        assert [m.label for m in made(*paths).machines] == told


@pytest.mark.parametrize(("one", "other", "labels"), [
    (dict(name="localhost", boot="1"), dict(name="localhost", boot="2"), ["x86_64", "x86_64 #2"]),
    (dict(name="localhost", boot="1"), dict(name="localhost", boot="1"), ["x86_64"]),
    (dict(name="m", boot="1"), dict(name="m", boot="2"), ["m"]),
    (dict(name="m", boot="1"), dict(name="of another name", boot="1"), ["m"]),
    (dict(name="m", boot="1", instance="i"), dict(name="m", boot="2", instance="j"), ["i", "j"]),
    (dict(name="m", boot="1", instance="i"), dict(name="of another name", boot="2", instance="i"), ["i"]),
])
def test_what_is_one_machine(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], labels: list[str]
) -> None:
    """As `faultline compare` takes it: a boot, a name that is one, or what --instance said."""
    paths = [machine(tmp_path / f"{number}", number, hour=number, name=its["name"], boot=its["boot"],
                     damage=lambda value, its=its: value.update(instance=its.get("instance")))
             for number, its in enumerate((one, other))]
    found = made(*paths)
    assert [m.label for m in found.machines] == labels
    both = sources.side_load(paths)[0]
    assert len(pairing.groups(both, pairing.INSTANCE)) == len(labels)


def test_nameless_machines_are_called_by_their_architecture(tmp_path: Path) -> None:
    paths = [run(tmp_path / a, 1 + i, name="(none)", blocking={"architecture": a})
             for i, a in enumerate(("x86_64", "ppc64le"))]
    assert [m.label for m in made(*paths).machines] == ["x86_64", "ppc64le"]


# ---- what is not the same ----


@pytest.mark.parametrize(("change", "reason"), [
    (dict(op="page touched"), "its operation or δ differs"),
    (dict(delta=0.05), "its operation or δ differs"),
    (dict(common={"arm_time": 7}), "its parameters differ: arm_time (50000000 and 7)"),
    (dict(arms=[FakeArm("read"), FakeArm("fast", 0.9)]), "its baseline is pread and read"),
])
def test_cells_that_are_not_the_same_are_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(**change)], blocking=OTHER))
    (one,) = found.left_out
    assert one.machine == "b" and one.reason == reason and board.exit_status(found) == 7
    assert any(reason in line for line in board_words.left_out_lines(found))


def test_versions_are_not_put_side_by_side(tmp_path: Path) -> None:
    newer = {**OTHER, "tool": {"version": "0.2.0", "build": "release"}}
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, blocking=OTHER),
                 machine(tmp_path / "c", 3, blocking=newer))
    assert {one.machine for one in found.left_out} == {"c"} and board.exit_status(found) == 6
    assert row(found, "fast").values[column(found, "c")] is None and row(found, "fast").values[1] is not None


def test_a_method_of_another_version_is_left_out_alone(tmp_path: Path) -> None:
    def newer(value: dict[str, Any]) -> None:
        value["arms"][1]["method_version"] = 2

    other = machine(tmp_path / "b", 2, blocking=OTHER, damage=newer)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["plan"]["cells"][0]["arms"][1]["method_version"] = 2
    (other / "manifest.json").write_text(json.dumps(manifest))
    found = made(machine(tmp_path / "a", 1), other)
    (one,) = found.left_out
    assert (one.arm, one.reason) == ("fast", "version 1 and 2 of its method") and board.exit_status(found) == 6
    assert row(found, "fast").finding == ALONE and row(found, "faulting").finding != ALONE


def test_another_set_of_cells_shares_what_is_the_same(tmp_path: Path) -> None:
    """The hash of a scenario differs where a machine lacks some cells; the others are put side by side."""
    cells = fake_run.product(block_bytes=[64, 4096, 65536])
    found = made(machine(tmp_path / "a", 1, [scenario(cells=cells, trials=12)]),
                 machine(tmp_path / "b", 2, [scenario(cells=cells[:2], trials=12, fast=0.6)], blocking=OTHER))
    assert [r.finding for r in found.ratios if r.arm == "fast"] == [RUNS_DIFFER, RUNS_DIFFER, ALONE]
    assert not found.left_out


# ---- pages of different sizes ----


def paged(faults: float, page: int, **changes: Any) -> FakeScenario:
    """A cell that visits 64 pages of 64 KiB an operation."""
    arms = [FakeArm("pread"), FakeArm("touching", 0.8, faults=faults)]
    return fake_run.read_or_map(**{**dict(
        cells=[{}], arms=arms, trials=12, common={"stride_bytes": page}, bytes_per_op=lambda p: 4 * MIB), **changes})


LARGE = {**OTHER, "page_bytes": 65536}


@pytest.mark.parametrize(("faults", "finding", "why"), [
    (64, PAGE, "1 a page on all of them"),
    (1024, AGREE, None),
    (3, OPEN, "the page's size alone does not explain it: 1, 0.0469 a page"),
])
def test_counts_a_page(tmp_path: Path, faults: float, finding: str, why: str | None) -> None:
    found = made(machine(tmp_path / "a", 1, [paged(1024, 4096)]),
                 machine(tmp_path / "b", 2, [paged(faults, 65536)], blocking=LARGE))
    one = row(found, "touching", "minor_faults")
    assert one.finding == finding and not found.left_out
    assert (why in str(one.why)) if why else one.why is None
    if finding == PAGE:
        assert [v.per_page for v in one.values if v is not None] == [1.0, 1.0]


def test_bytes_are_counted_in_pages() -> None:
    """A store that writes its page back: 4 KiB here, 64 KiB there."""
    values = [board_rows.Value(None, None, per_page=float(page), page_bytes=page) for page in (4096, 16384, 65536)]
    assert board_counts.page_rule("write_bytes", values) == "the bytes of a page a page on all of them"
    assert board_counts.page_rule("minor_faults", values) is None
    twice = dataclasses.replace(values[0], per_page=8192.0)
    assert board_counts.page_rule("write_bytes", [twice, *values[1:]]) is None


def test_a_ratio_may_come_from_the_page_size(tmp_path: Path) -> None:
    arms = [FakeArm("pread"), FakeArm("touching", 0.5)]
    names = [(name, number) for name in "ab" for number in range(4)]
    found = made(*(machine(tmp_path / f"{name}{number}", i, [paged(0, 65536, arms=arms) if i > 3 else paged(0, 4096)],
                           name=name, blocking=LARGE if i > 3 else {}) for i, (name, number) in enumerate(names)))
    assert row(found, "touching").finding == PAGE and "page_bytes" in str(row(found, "touching").why)


def test_only_what_follows_from_the_page_may_differ(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1, [paged(1, 4096)]),
                 machine(tmp_path / "b", 2, [paged(1, 8192)], blocking=LARGE))  # a stride that is no page of b
    assert "stride_bytes (4096 and 8192)" in found.left_out[0].reason
    one = {"pattern": "stride", "stride_bytes": 4096, "working_set_bytes": MIB, "touches": 256}
    other = {"pattern": "stride", "stride_bytes": 65536, "working_set_bytes": MIB, "touches": 16}
    assert board_machines.params_unlike(one, other, (4096, 65536)) == {}
    assert set(board_machines.params_unlike(one, {**other, "touches": 17}, (4096, 65536))) == {"touches"}


def test_a_count_that_trials_do_not_agree_on(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        value["arms"][2]["counts"]["minor_faults"] += value["trial"] % 2

    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, blocking=OTHER, damage=damage))
    one = row(found, "faulting", "minor_faults")
    assert one.finding == OPEN and "b: it differs between its trials: 2 to 2.00" in str(one.why)


def test_counts_of_one_page_size(tmp_path: Path) -> None:
    arms = [FakeArm("pread"), FakeArm("fast", 0.9), FakeArm("faulting", 1.3, faults=1)]
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(arms=arms)], blocking=OTHER))
    one = row(found, "faulting", "minor_faults")
    assert one.finding == REAL and one.apart[0].change == Interval(0.5)
    assert not [r for r in found.counts if r.arm == "fast"]  # nothing was counted there but none


# ---- emulated machines ----

EMULATED = {"virtualisation": "QEMU (emulated)", "cpu_model": "Emulated"}


def test_times_of_an_emulated_machine_stand_apart(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1, [*light_scenarios(50), scenario()]),
                 machine(tmp_path / "b", 2, [*light_scenarios(50), scenario(fast=0.2)], blocking=EMULATED))
    one = row(found, "fast")
    assert one.values[1] is None and one.finding == ALONE and "emulat" in str(one.why)
    assert not found.times  # a real machine's has none to stand beside
    assert any(r.values[0] is not None for r in found.light) and all(r.values[1] is None for r in found.light)
    assert row(found, "faulting", "minor_faults").finding == AGREE  # its counts are
    assert any("Emulated: b" in note for note in found.notes) and board.exit_status(found) == 0
    assert "0.2" not in "\n".join(board_table.lines(found, Look(), True))


def test_between_emulated_machines_nothing_is_real(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1, blocking={**EMULATED, "cpu_model": "One"}),
                 machine(tmp_path / "b", 2, [scenario(fast=0.2)], blocking=EMULATED))
    assert row(found, "fast").finding == OPEN and row(found, "fast").values[1] is not None
    assert "All of these machines are emulated" in found.notes[0]
    assert board.exit_status(found) == 0  # counts are compared


def test_a_board_that_no_rule_may_judge_has_compared_nothing(tmp_path: Path) -> None:
    """Not even who wins is said, and the row is none of the first."""
    found = made(machine(tmp_path / "a", 1, blocking={**EMULATED, "cpu_model": "One"}),
                 machine(tmp_path / "b", 2, [scenario(fast=1.3)], blocking=EMULATED), quantities=["ratio"])
    one = row(found, "fast")
    assert [value.verdict for value in one.values if value is not None] == [FASTER, SLOWER] and not one.turns
    assert board.exit_status(found) == 7
    assert board_words.conclusion(found).startswith("Nothing stands on the board: no rule may judge")


def test_a_board_of_which_nothing_can_be_told_is_undecided(tmp_path: Path) -> None:
    paths = [machine(tmp_path / name, i, [single(trials=2)], blocking={"cpu_model": name})
             for i, name in enumerate("ab")]
    found = made(*paths)
    assert {one.finding for one in found.rows} == {OPEN}
    assert board.exit_status(found) == board.exit_status(found, True) == 3


def test_a_processor_that_is_none_is_emulated(tmp_path: Path) -> None:
    """QEMU's "max" for aarch64, whose firmware does not say what carries it out."""
    path = machine(tmp_path / "a", blocking={"cpu_model": "arm 0x00/0x051/0x0/0", "virtualisation": None})
    assert fingerprint.emulated(sources.stored(path).run)
    real = machine(tmp_path / "b", blocking={"cpu_model": "arm 0x41/0xd0c/0x3/1", "virtualisation": None})
    assert not fingerprint.emulated(sources.stored(real).run)


# ---- crossovers and costs ----


def crossing_at(size: int, **changes: Any) -> FakeScenario:
    """Open to close by file size; the arm wins from `size` on."""
    arms = [FakeArm("pread", 1.0, "pread"),
            FakeArm("mapped", lambda p: math.exp(-0.2 * math.log2(p["file_bytes"] / size)))]
    return fake_run.scan(**{**dict(arms=arms, trials=15), **changes})


def test_crossovers_stand_side_by_side(tmp_path: Path) -> None:
    sizes = (700_000, 11_000_000)
    found = made(machine(tmp_path / "a", 1, [crossing_at(sizes[0])]),
                 machine(tmp_path / "b", 2, [crossing_at(sizes[1])], blocking=OTHER))
    (one,) = found.crossings
    assert (one.axis, one.arm) == ("file_bytes", "mapped")
    for turn, size in zip(one.values, sizes):
        assert turn is not None and turn.at is not None and turn.at.estimate == pytest.approx(size, rel=0.05)
        assert turn.faster_above and turn.at.low is not None and turn.at.low < size < (turn.at.high or 0)
    assert "Crossovers, not compared: mapped" in board_words.conclusion(found)


def test_a_machine_on_which_an_arm_never_crosses(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1, [crossing_at(700_000)]),
                 machine(tmp_path / "b", 2, [crossing_at(1000)], blocking=OTHER))
    (one,) = found.crossings
    assert one.values[1] is not None and one.values[1].verdict == FASTER
    assert board_axes.turn_text("file_bytes", one.values[1]) == "never: FASTER"


@pytest.mark.parametrize(("verdicts", "turn"), [
    ((FASTER, FASTER, FASTER), board_axes.Turn(None, verdict=FASTER)),
    ((SAME, SAME, SAME), board_axes.Turn(None, verdict=SAME)),
    ((FASTER, SAME, FASTER), board_axes.Turn(None, why="it does not cross, and is FASTER or SAME")),
    ((FASTER, CANNOT_TELL, FASTER), board_axes.Turn(None, why="some of its points cannot be told")),
    ((FASTER, INVALID, FASTER), board_axes.Turn(None, why="some of its points cannot be told")),
])
def test_an_arm_that_never_crosses_has_one_verdict_or_none(
    verdicts: Sequence[str], turn: board_axes.Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_axes.crossing, "crossings_of", lambda _: [])
    points = [SimpleNamespace(arm=SimpleNamespace(verdict=verdict)) for verdict in verdicts]
    assert board_axes.turn_of_run(SimpleNamespace(points=points)) == turn  # type: ignore[arg-type]


def test_crossovers_of_runs_that_disagree() -> None:
    found = [board_axes.Turn(None, verdict=verdict) for verdict in (FASTER, SLOWER)]
    assert board_axes.turn_of(found).why == "its runs do not agree"
    assert board_axes.turn_of(found[:1] * 2) == found[0]


def test_a_fit_against_scipy() -> None:
    rng = np.random.default_rng(5)
    sizes = np.array([1.0, 64, 4096, 65536, MIB])
    for _ in range(20):
        times = (300 + 0.04 * sizes) * np.exp(rng.normal(0, 0.05, sizes.size))
        expected, _ = curve_fit(lambda x, a, b: a + b * x, sizes, times, p0=(300, 0.04), sigma=times)
        assert board_axes.fit(sizes, times) == pytest.approx(expected, rel=1e-4)


def test_what_a_byte_costs(tmp_path: Path) -> None:
    cells = fake_run.product(block_bytes=[64, 4096, 65536, MIB])

    def copies(per_byte: float) -> FakeScenario:
        return scenario(cells=cells, trials=10, base_ns=lambda p: 400 + per_byte * p["block_bytes"])

    found = made(machine(tmp_path / "a", 1, [copies(0.06)]), machine(tmp_path / "b", 2, [copies(0.03)], blocking=OTHER))
    one = next(r for r in found.slopes if r.arm == "pread")
    for line, cost in zip(one.values, (0.06, 0.03)):
        assert line is not None and line.is_straight and line.bytes == (64, MIB)
        assert line.per_byte.estimate == pytest.approx(cost, rel=0.05)
        assert line.fixed.estimate == pytest.approx(400, rel=0.1)


# ---- the speed-of-light panel ----


def light_scenarios(ns: float) -> list[FakeScenario]:
    common: dict[str, Any] = dict(trials=8)
    return [
        fake_run.read_or_map(name="floor/syscall-floor", cells=[{}], base_ns=ns,
                             arms=[FakeArm("getppid", 1.0, "syscall_floor")], **common),
        fake_run.read_or_map(name="floor/copy-slope", cells=fake_run.product(block_bytes=[4096, MIB]),
                             common={"recipe": "write-2MiB"}, base_ns=lambda p: p["block_bytes"] / 8,
                             arms=[FakeArm("pread", 1.0, "pread"), FakeArm("mapped-copy", 0.8)], **common),
        fake_run.read_or_map(name="faults/tlb", cells=[{"working_set_bytes": 64 * MIB}], base_ns=40.0,
                             arms=[FakeArm("anonymous-small"), FakeArm("anonymous-thp", 0.5)], **common),
        fake_run.read_or_map(name="contention/ping-pong", cells=[{"place": "same-l3"}],
                             common={"worker_kind": "process"}, base_ns=60.0, arms=[FakeArm("cas")], **common),
    ]


def test_the_panel(tmp_path: Path) -> None:
    found = made(machine(tmp_path / "a", 1, [*light_scenarios(50), scenario()]),
                 machine(tmp_path / "b", 2, blocking=OTHER))
    panel = {r.light.name: r.values for r in found.light}
    expected = {"system call": 50, "copy of 1 MiB": 10, "TLB miss, 64 MiB": 20, "cache line, same-l3": 60}
    for name, value in expected.items():
        assert panel[name][0] is not None and panel[name][0].estimate == pytest.approx(value, rel=0.1), name
        assert panel[name][1] is None
    assert panel["minor fault, one page"] == [None, None]
    for machine_, row_ in ((m, r) for r in found.light for m in found.machines if r.light.name == "system call"):
        told = board_words.light_text(row_, machine_, row_.values[found.machines.index(machine_)], False)
        assert told == "not measured" if machine_.label == "b" else told.endswith(" ns")
    missing = board_words.light_missing(found)
    assert missing[0] == ("faultline run floor/syscall-floor", "b")
    assert ("faultline run faults/single-fault", "a, b") in missing


def test_a_walk_that_costs_nothing_is_no_figure(tmp_path: Path) -> None:
    """Where huge pages were not faster, the difference is noise and no cost of a TLB miss."""
    slower = fake_run.read_or_map(name="faults/tlb", cells=[{"working_set_bytes": 64 * MIB}], base_ns=40.0, trials=8,
                                  arms=[FakeArm("anonymous-small"), FakeArm("anonymous-thp", 1.5)])
    found = made(machine(tmp_path / "a", 1, [slower]))
    (one,) = [r for r in found.light if r.light.name == "TLB miss, 64 MiB"]
    assert one.values == [None] and board_words.light_text(one, found.machines[0], None, False) == "no valid figure"


def test_the_panel_asks_for_scenarios_that_there_are() -> None:
    """Names of scenarios and arms, and the parameters that are looked for, are those of the shipped files."""
    looked_for = {"floor/syscall-floor": ("getppid",), "faults/single-fault": ("shared", "load"),
                  "floor/copy-slope": ("mapped-copy", "1MiB", "write-2MiB"),
                  "faults/tlb": ("anonymous-small", "anonymous-thp", "64MiB"),
                  "contention/ping-pong": ("cas", *board_light.PLACES, "process")}
    lights = board_light.lights_of([])
    assert {light.scenario for light in lights} == set(looked_for)
    for name, words in looked_for.items():
        content = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        assert all(re.search(rf"\b{re.escape(word)}\b", content) for word in words), name


# ---- statistics ----

MARGIN = math.log1p(0.01)
Runs = list[tuple[int, np.ndarray]]  # of one machine: which boot, the log ratios of the run's trials


def boots_of(rng: np.random.Generator, truth: float, between: float, boots: int = 1, runs: int = 1,
             within: float = 0.0035, trials: int = 10) -> Runs:
    """Runs of a machine: its boots are off as a whole by `between`, the trials by `within` (standard deviations of the
    log ratio)."""
    off = [truth + rng.normal(0, between) for _ in range(boots)]
    return [(boot, off[boot] + rng.normal(0, within, trials)) for boot in range(boots) for _ in range(runs)]


def decided(rows: Sequence[Sequence[Runs]], margin: float = MARGIN, unfit: str | None = None) -> list[BoardRow]:
    """The rows of one family, each of the runs of its machines; the fingerprints differ in nothing."""
    judged = []
    for machines in rows:
        told = {}
        for i, its in enumerate(machines):
            boots, logs = zip(*its)
            medians = [float(np.median(stats.walsh_averages(one))) for one in logs]
            told[i] = board_rows.Value(FASTER, None, logs=logs, boots=board_rows.by_boot(medians, boots))
        pairs = {(i, j): board_pairs.MachinePair((told[i].boots, told[j].boots), (told[i].logs, told[j].logs), margin,
                                                 unfit) for i, j in itertools.combinations(told, 2)}
        differs = {key: board_machines.MachineDifference(False) for key in pairs}
        row_ = BoardRow("s", "c", "a", "ratio", list(told.values()), OPEN)
        judged.append(board_rows.Judged(row_, told, pairs, differs))
    board_rows.findings_put(judged, [SimpleNamespace(label=name) for name in "abc"])  # type: ignore[misc]
    return [one.row for one in judged]


def alarms(finding: str, boards: int, machines: int, rows: int, between: float, **changes: int) -> float:
    """How often a board of equal machines has that finding in any row."""
    rng = np.random.default_rng([boards, machines, rows, round(between * 1e4), *changes.values()])
    return sum(
        any(row.finding == finding for row in decided(
            [[boots_of(rng, 0.0, between, **changes) for _ in range(machines)] for _ in range(rows)]))
        for _ in range(boards)) / boards


@pytest.mark.parametrize(("machines", "rows", "boots"), [(2, 1, 4), (2, 12, 6), (3, 4, 6)])
@pytest.mark.parametrize("between", [0.005, 0.015])
def test_equal_machines_are_seldom_called_different(machines: int, rows: int, boots: int, between: float) -> None:
    """By boots, however far these differ by themselves: 5 % of boards at most, and what chance adds to 150."""
    assert alarms(REAL, 150, machines, rows, between, boots=boots) <= 0.1


@pytest.mark.parametrize("changes", [dict(boots=1), dict(boots=1, runs=3), dict(boots=2), dict(boots=5)])
def test_too_few_boots_are_never_called_different(changes: dict[str, int]) -> None:
    assert alarms(REAL, 10, 2, 12, 0.015, **changes) == 0


def test_of_two_runs_it_is_said_that_these_differ() -> None:
    assert alarms(RUNS_DIFFER, 20, 2, 12, 0.015) >= 0.8


def test_several_runs_of_one_boot_are_no_further_evidence() -> None:
    """They share what the boot is off by; what their own trials scatter by is allowed for in each."""
    assert alarms(RUNS_DIFFER, 40, 2, 12, 0.0035, boots=1, runs=3) <= alarms(RUNS_DIFFER, 40, 2, 12, 0.0035) + 0.05


def test_many_runs_of_few_boots_are_told_by_the_outermost() -> None:
    rng = np.random.default_rng(2)
    sides = [boots_of(rng, truth, 0.0, runs=100) for truth in (0.0, 0.1)]
    (one,) = decided([sides])
    assert one.finding == RUNS_DIFFER
    lows = [min(float(np.median(logs)) for _, logs in side) for side in sides]
    highs = [max(float(np.median(logs)) for _, logs in side) for side in sides]
    change = one.apart[0].change
    assert change is not None and None not in (change.low, change.high)
    assert math.log(change.low or 1) < lows[1] - highs[0] < highs[1] - lows[0] < math.log(change.high or 1)


def test_a_difference_of_the_margin_is_seldom_called_real() -> None:
    """Each pair alone at the margin itself, where the test may err in 2.5 %."""
    rng = np.random.default_rng(5)
    found = [decided([[boots_of(rng, truth, 0.005, 5) for truth in (0.0, MARGIN)]])[0] for _ in range(300)]
    assert sum(row.finding == REAL for row in found) / 300 <= 0.045


def test_a_large_difference_is_found() -> None:
    rng = np.random.default_rng(4)
    rows = [[boots_of(rng, truth, 0.005, 7) for truth in (0.0, 0.0, 0.06)] for _ in range(12)]
    found = decided(rows)
    assert sum(row.finding == REAL for row in found) >= 11
    assert {(one.a, one.b) for row in found for one in row.apart} == {(0, 2), (1, 2)}


def test_how_small_a_difference_is_found() -> None:
    """3 % in one row of 12, of 7 boots that differ by 0.5 %."""
    rng = np.random.default_rng(7)
    boards = [decided([[boots_of(rng, truth if number == 0 else 0.0, 0.005, 7) for truth in (0.0, 0.03)]
                       for number in range(12)]) for _ in range(20)]
    assert sum(rows[0].finding == REAL for rows in boards) >= 18


def test_machines_that_differ_by_the_margin_are_seldom_said_to_agree() -> None:
    """A test of equivalence at 5 %: at the margin itself it may err that often. Of one boot each it is not said."""
    rng = np.random.default_rng(6)
    margin = math.log1p(0.05)
    apart = [decided([[boots_of(rng, t, 0.01, 5) for t in (0.0, margin)]], margin)[0] for _ in range(300)]
    assert sum(row.finding == AGREE for row in apart) / 300 <= 0.08
    same = [decided([[boots_of(rng, 0.0, 0.01, 5) for _ in range(2)]], margin)[0] for _ in range(100)]
    assert sum(row.finding == AGREE for row in same) >= 95
    alone = [decided([[boots_of(rng, t, 0.01) for t in (0.0, margin)]], margin)[0] for _ in range(100)]
    assert {row.finding for row in alone} <= {RUNS_AGREE, RUNS_DIFFER, OPEN}


def test_too_few_trials_tell_nothing() -> None:
    (one,) = decided([[[(0, np.array([0.0, 0.01]))], [(0, np.array([2.0, 2.01]))]]])
    assert one.finding == OPEN and one.why == "2 trials on a are too few for 1 comparison"


# ---- command, statuses, files ----


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs by what they are for."""
    top = tmp_path_factory.mktemp("machines")

    def fail(value: dict[str, Any]) -> None:
        value["arms"][1].update(status="failed", reason="SIGBUS: the file shrank", batch_ns=[], order=[], voided=[])

    machine(top / "a", 1)
    machine(top / "b", 2, blocking=OTHER)
    booted(top / "many_a", 7)
    booted(top / "many_b", 8, blocking=OTHER)
    machine(top / "null_moved", 3, [scenario(null_bias=0.05)], blocking=OTHER)
    machine(top / "failed", 4, blocking=OTHER, damage=fail)
    machine(top / "other_plan", 5, [scenario(op="page touched")], blocking=OTHER)
    shutil.copytree(machine(top / "damaged", 6, blocking=OTHER), top / "kept")
    text = (top / "kept" / "trials.jsonl").read_text()
    (top / "damaged" / "trials.jsonl").write_text(text.replace('"process":2,', '"process":3,', 1))
    shutil.rmtree(top / "kept")
    return top


STATUSES: list[tuple[Sequence[str], int]] = [
    (("a", "b"), 0),
    (("a", "b", "--require-conclusive"), 3),
    (("a", "b", "--require-conclusive", "--delta", "5%"), 3),
    (("many_a", "many_b", "--require-conclusive", "--delta", "5%"), 0),
    (("a", "null_moved"), 4),
    (("a", "failed"), 5),
    (("null_moved", "failed", "--require-conclusive"), 5),
    (("a", "b", "other_plan"), 6),
    (("a", "failed", "other_plan"), 6),
    (("a", "other_plan"), 7),
    (("a",), 7),
    (("a", "damaged"), 7),
    (("a", "absent"), 7),
    ((), 2),
    (("a", "b", "--scenario", "no/such"), 2),
    (("a", "b", "--quantity", "joules"), 2),
    (("a", "b", "--delta", "200%"), 2),
    (("a", "b", "--vary", "cpu"), 2),
]


@pytest.mark.parametrize(("words", "status"), STATUSES, ids=[" ".join(words) or "nothing" for words, _ in STATUSES])
def test_exit_status(runs: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], status: int) -> None:
    given = [str(runs / word) if word in {"absent", *(p.name for p in runs.iterdir())} else word for word in words]
    assert compare.main(["--board", *given]) == status
    out, err = capsys.readouterr()
    if status == 2 or "absent" in words:
        assert out == "" and len(err.splitlines()) == 1 and err.startswith("faultline compare --board: ")
    else:
        assert err == "" and "Speed of light" in out


def test_archives_and_folders(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all").mkdir()
    for name in ("a", "b"):
        shutil.make_archive(str(tmp_path / "all" / name), "gztar", runs, name)
    assert compare.main(["--board", str(tmp_path / "all")]) == 0
    assert "2 machines: a, b." in capsys.readouterr().out


def test_files(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--board", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(board_command.OUTPUTS.values())
    found = json.loads((tmp_path / "board.json").read_text())
    SCHEMA.validate(found)
    assert found["exit"] == 0 and [m["label"] for m in found["machines"]] == ["a", "b"]
    assert found["conclusion"].startswith("2 machines: a, b.")
    assert capsys.readouterr().out.startswith("2 machines: a, b.")
    alone = str(tmp_path / "board.svg")
    assert compare.main(["--board", str(runs / "a"), "--picture", alone]) == 7
    assert not Path(alone).exists()  # an older picture does not stay


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Three machines, many cells, names made to do harm."""
    top = tmp_path_factory.mktemp("large")
    cells = fake_run.product(block_bytes=[64 << i for i in range(8)], working_set_bytes=[MIB << i for i in range(5)])
    arms = [FakeArm("pread"), FakeArm(NASTY, 0.8, faults=3), FakeArm("mapped", 0.9, faults=1),
            FakeArm("other", 1.1, faults=2)]
    paths = [machine(top / f"m{i}", i, [scenario(name=f"s/{NASTY}", cells=cells, arms=arms, trials=3, rounds=4)],
                     name=f"{NASTY}{i}", blocking={"cpu_model": f"{NASTY}{i}"}) for i in range(3)]
    return made(*paths)


def test_pages_stay_within_their_bounds(large: Board) -> None:
    said = board_pages.markdown(large)
    assert len(said.encode()) <= 60 * 1024 and "*Left out to stay below 60 KiB: " in said
    assert "\x1b" not in said and "<script" not in said
    page = board_pages.html(large, board_pages.picture(large))
    assert len(page.encode()) <= 2_000_000 and "<script" not in page and "\x1b" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page) and "rows more are in board.json" not in page
    SCHEMA.validate(json.loads(json.dumps(board_files.document(large, 0), allow_nan=False)))


def test_a_page_of_too_many_rows_shows_fewer(large: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_pages, "PAGE_BYTES", 100_000)
    page = board_pages.html(large, None)
    assert len(page.encode()) <= 100_000 and "rows more are in board.json" in page
    monkeypatch.setattr(board_pages, "PAGE_BYTES", 10)
    with pytest.raises(Complaint, match="would be larger"):
        board_pages.html(large, None)


def test_a_page_leaves_out_its_picture_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And counts the crossovers and costs that it does not show."""
    cells = fake_run.product(block_bytes=[64, 4096, 65536, MIB])
    slopes = scenario(name="s/slopes", cells=cells, trials=3, rounds=4,
                      base_ns=lambda p: 400 + 0.06 * p["block_bytes"])
    found = made(*(machine(tmp_path / name, i, [crossing_at(700_000), slopes], blocking={"cpu_model": name})
                   for i, name in enumerate("ab")))
    assert len(found.crossings) == 1 and len(found.slopes) > 1
    svg = board_pages.picture(found)
    assert svg is not None
    whole = board_pages.html(found, svg)
    assert "<svg" in whole and "more are in board.json" not in whole
    monkeypatch.setattr(board_pages, "ROWS_MOST", (1, 0))
    few = board_pages.html(found, svg)
    assert "<svg" in few and f"{len(found.slopes) - 1} rows more are in board.json" in few
    monkeypatch.setattr(board_pages, "PAGE_BYTES", len(few.encode()) - 1)
    none = board_pages.html(found, svg)
    assert "<svg" in none and none.count("rows more are in board.json") == 4 and "1 rows more" in none
    monkeypatch.setattr(board_pages, "PAGE_BYTES", len(few.encode()) - len(svg) // 2)
    bare = board_pages.html(found, svg)
    assert "<svg" not in bare and "The picture is left out for want of room: board.svg has it." in bare


@pytest.mark.parametrize("width", [50, 80, 100, 200])
def test_lines_keep_within_the_terminal(large: Board, width: int) -> None:
    for everything in (False, True):
        lines = list(board_table.lines(large, Look(width), everything))
        assert all("\x1b" not in line and columns(line) <= width for line in lines)


def test_findings_are_counted_and_ordered(large: Board) -> None:
    counts = board.findings(large.rows)
    assert sum(counts.values()) == len(large.rows) and list(counts) == list(board_rows.FINDINGS)
    ranks = [board_rows.FINDINGS.index(r.finding) for r in large.rows if not r.turns]
    assert ranks == sorted(ranks)


@pytest.mark.skipif(browser.program() is None, reason="no browser is installed")
def test_the_page_in_a_browser(runs: Path, large: Board, tmp_path: Path) -> None:
    for name, found in (("small", made(runs / "a", runs / "b")), ("large", large)):
        path = tmp_path / f"{name}.html"
        path.write_text(board_pages.html(found, board_pages.picture(found)))
        with browser.Browser() as one:
            for width, scheme in ((360, "light"), (1280, "dark")):
                one.look(width, scheme)
                one.open(path)
                assert one.value(browser.LAYOUT) == [] and one.said == []
                assert [address for address in one.asked if not address.startswith("file:")] == []


def test_verdicts_of_a_row() -> None:
    values = [board_rows.Value(verdict, None) for verdict in (FASTER, SLOWER, INVALID)]
    made_row = BoardRow("s", "c", "a", "ratio", list(values), OPEN)
    assert not made_row.turns and made_row.one_verdict is None and made_row.worst is None
    made_row.finding = REAL
    assert made_row.turns


# ---- words ----


def test_times_side_by_side_have_one_unit() -> None:
    values = [board_rows.Value(None, None, time=Interval(at, at / 2, at * 2), bytes_per_op=1024 * 100)
              for at in (800.0, 2500.0)]
    assert board_words.time_texts([*values, None]) == ["800 [400, 1600] ns", "2500 [1250, 5000] ns", "–"]
    assert board_words.per_kib_texts([None, *values]) == ["–", "8.00 ns/KiB", "25.0 ns/KiB"]


def test_a_line_that_begins_below_nothing_says_so() -> None:
    lines = [board_axes.Line(Interval(fixed), Interval(0.5), 0.1, (1, 9)) for fixed in (-1500.0, 20000.0)]
    assert board_words.line_texts(lines) == ["0.500 ns a byte − 1.50 µs", "0.500 ns a byte + 20.0 µs"]


def test_what_counts_as_the_same_is_said(tmp_path: Path) -> None:
    other = scenario(name="s/other", delta=0.05)
    paths = [machine(tmp_path / name, i, [scenario(delta=0.01), other], blocking={"cpu_model": name})
             for i, name in enumerate("ab")]
    told = made(*paths)
    assert told.deltas == {"access/read-or-map": 0.01, other.name: 0.05}
    assert board_words.terms(told)[-1] == f"δ: 1 % in access/read-or-map, 5 % in {other.name}"
    assert board_words.terms(made(*paths, delta=0.03))[-1] == "δ: 3 %"
    document = board_files.document(told, 0)
    assert document["deltas"] == [0.01, 0.05]
    assert {row["delta"] for row in document["rows"] if row["quantity"] == "ratio"} == {0.01, 0.05}


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    """The row where the winner changes is the first of the real differences, too."""
    found = made(machine(tmp_path / "a", 1), machine(tmp_path / "b", 2, [scenario(fast=1.3)], blocking=OTHER))
    said = board_words.conclusion(found)
    assert said.count("fast, access/read-or-map all") == 1 and "that one among them" in said
    assert "1 is equal" in said


def test_ratios_come_before_counts_and_a_place_once(tmp_path: Path) -> None:
    cells = fake_run.product(block_bytes=[64, 4096])
    arms = [FakeArm("pread", faults=1), FakeArm("x", 0.8, faults=2), FakeArm("y", 0.9, faults=3)]
    found = made(*(machine(tmp_path / name, i, [scenario(cells=cells, arms=arms)], blocking={"cpu_model": name})
                   for i, name in enumerate("ab")), delta=0.2)
    assert {one.finding for one in found.rows} == {RUNS_AGREE, AGREE}
    places = [board_words.where(one) for one in found.rows]
    assert len(list(itertools.groupby(places))) == len(set(places)) == 4
    assert [one.quantity == "ratio" for one in found.rows] == sorted((one.quantity == "ratio" for one in found.rows),
                                                                     reverse=True)


def test_markers_of_many_machines_do_not_lie_on_each_other(tmp_path: Path) -> None:
    found = made(*(machine(tmp_path / f"m{i}", i, blocking={"cpu_model": f"m{i}"}) for i in range(6)))
    step = board_picture.step_inch(found)
    assert step * board_picture.SHARE / 6 >= 4.5 / 72 and step > board_picture.STEP_INCH[0]


def test_an_option_that_a_board_has_not_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--board", "--bisect"]) == compare.main(["--board", "--nonsense"]) == 2
    assert capsys.readouterr().err.count("faultline compare --board: ") == 2


def test_an_error_inside_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("faultline.board.board_of", lambda *_: 1 / 0)
    assert compare.main(["--board", str(machine(tmp_path / "a", 1))]) == 7
    assert capsys.readouterr().err.startswith("faultline compare --board: internal error: ZeroDivisionError")
