# SPDX-License-Identifier: MIT
"""Pictures of a machine's CPUs, on machines of two, 16 and 512 of them: which apply, what is in them, that their texts
keep apart, and that gnuplot draws the same figures from the same tables."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fake_run
import fake_topology
from conftest import ROOT
from fake_run import FakeArm, FakeScenario
from fake_topology import FakePairs
from faultline import canvas, cpu_grid, pictures, plots, records, tables, topology, verdict
from faultline.tables import Table
from test_plots import GNUPLOT, gnuplot, overlaps

PLACES = fake_run.product(
    worker_kind=["process", "thread"], place=["same-core", "same-l3", "other-node", "other-package"]
)
MACHINES: dict[str, Any] = {
    "two": lambda: fake_run.ping_pong(FakePairs(fake_topology.two_cpus()), trials=6),
    "guest": lambda: fake_run.ping_pong(
        FakePairs(fake_topology.guest(), all_pairs=True, cpus={5: 1.5}, modes={"machine": (3.3, 0.4)}), trials=6
    ),
    "places": lambda: fake_run.ping_pong(FakePairs(fake_topology.guest()), cells=PLACES, trials=6),
    "large": lambda: fake_run.ping_pong(
        FakePairs(fake_topology.large(), cpus={37: 1.4}, rounds=4, canary_every=100), trials=2
    ),
}


def table_of(directory: Path, scenario: FakeScenario, machine: dict[str, Any] | None = None, **how: Any) -> Table:
    machine = scenario.pairs.topology if machine is None and scenario.pairs is not None else machine
    run = records.run_load(fake_run.write(directory, [scenario], topology=machine, **how))
    assert not run.problems
    contents = tables.texts(verdict.conclude(run))
    tables.write(directory, contents)
    return tables.table_of(contents)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, make in MACHINES.items():
        found[name] = tmp_path_factory.mktemp(name) / "run"
        table_of(found[name], make())
    return found


def load(directory: Path) -> Table:
    return tables.table_of({name: (directory / name).read_text(encoding="utf-8") for name in tables.FILES})


@pytest.mark.parametrize(
    ("name", "wanted"),
    (
        ("two", {"ladder", "canary"}),  # of one pair
        ("guest", {"ladder", "matrix", "residuals", "canary", "machine"}),
        ("places", {"ladder", "matrix", "residuals", "machine"}),
        ("large", {"ladder", "matrix", "residuals", "canary", "machine"}),
    ),
)
def test_pictures_that_apply_and_their_texts(name: str, wanted: set[str], runs: dict[str, Path]) -> None:
    table = load(runs[name])
    found = {p.plot.name: p for p in pictures.pictures(table) if p.plot.name not in ("board", "null_run")}
    assert set(found) == wanted
    asked = {p.plot.name: p for p in pictures.pictures(table, ("matrix", "machine"))}
    assert set(asked) == {"matrix", "machine"}
    found |= asked
    for picture in found.values():
        figure = canvas.figure(picture.table, picture.plot)
        assert overlaps(figure) == [], picture.stem
        assert ("synthetic" in picture.caption) == (name == "large"), picture.caption
        svg = picture.render("svg")
        assert b"<image" not in svg and len(svg) < 700_000


def test_without_pairs_none_of_them_applies(tmp_path: Path) -> None:
    def older(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "pairs": None}

    table = table_of(tmp_path / "r", fake_run.ping_pong(FakePairs(fake_topology.guest())), damage=older)
    names = {p.plot.name for p in pictures.pictures(table)}
    assert not names & {"ladder", "matrix", "residuals", "canary", "machine"} and len(table.cpus) == 16


def test_without_a_topology_the_matrix_is_by_number(tmp_path: Path) -> None:
    scenario = fake_run.ping_pong(FakePairs(fake_topology.guest(), all_pairs=True))
    table = table_of(tmp_path / "r", scenario, machine={})
    units = cpu_grid.units_of(table)
    assert [unit.index for unit in units] == list(range(16)) and cpu_grid.partitions(units) == []
    assert "tree is not known" in plots.load("matrix").heading(table)
    assert not plots.load("machine").applies(table)
    canvas.figure(table, plots.load("matrix"))


def test_one_cpu_has_no_pairs(tmp_path: Path) -> None:
    machine = fake_topology.real(fake_topology.made(1, 1, 1, 1, 1))
    table = table_of(tmp_path / "r", fake_run.floor(trials=2), machine=machine)
    assert len(table.cpus) == 1 and table.pairs == ()


def test_the_matrix_is_in_the_order_of_the_tree_with_its_brackets(runs: dict[str, Path]) -> None:
    units = cpu_grid.units_of(load(runs["guest"]))
    assert [unit.index for unit in units] == [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]
    levels = cpu_grid.partitions(units)
    assert [name for name, _ in levels] == ["package", "node, die, L3", "L2, core"]
    assert levels[0][1] == [(0, 7, "0"), (8, 15, "1")] and len(levels[2][1]) == 8
    blocks = cpu_grid.units_of(load(runs["large"]))
    assert len(blocks) == 32 and [name for name, _ in cpu_grid.partitions(blocks)] == ["package, node"]


def test_scales_are_the_same_for_every_machine(runs: dict[str, Path]) -> None:
    for name in ("two", "guest", "large"):
        figure = canvas.figure(load(runs[name]), plots.load("matrix"))
        limits = [axis.get_ylim() for axis in figure.axes if axis.axison][-1]
        assert limits == (3.0, 3000.0)
    assert cpu_grid.TIME.step(1.0) == 0 and cpu_grid.TIME.step(1e5) == cpu_grid.TIME.steps - 1


def test_figures_and_marks_in_the_matrix(runs: dict[str, Path]) -> None:
    table = load(runs["guest"])
    figure = canvas.figure(table, plots.load("matrix"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    wide = [x for line in figure.axes[0].lines if line.get_marker() == "o" for x in line.get_xdata()]
    mine = [r for r in table.pairs if r["scope"] == "pair" and r["arm"] == "cas"]
    assert sum(text == "8.02" or text.startswith("8.") or text.startswith("7.9") for text in texts) >= 14
    assert len(wide) == 2 * sum(cpu_grid.is_wide(r, "ns_per_op") for r in mine) > 0


def test_odd_pairs_are_framed(runs: dict[str, Path]) -> None:
    table = load(runs["guest"])
    odd = [r for r in table.pairs if r["scope"] == "pair" and r["arm"] == "cas" and r["off"] == 1]
    figure = canvas.figure(table, plots.load("residuals"))
    (frames,) = [p.get_path() for p in figure.axes[0].patches if not p.get_fill()]
    assert len(odd) >= 7 and len(frames.vertices) == 5 * 2 * len(odd)


def test_the_ladder_holds_every_round_and_shows_modes(runs: dict[str, Path]) -> None:
    table = load(runs["guest"])
    ladder = plots.load("ladder")
    figure = canvas.figure(table, ladder)
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert any("modes" in note for note in notes) and any("not uniform" in note for note in notes)
    rows = [r for r in table.ladder if r["arm"] == "cas" and r["class"] == "machine"]
    assert sum(r["samples"] for r in rows) == 64 * 8 * 6


def test_the_map_has_every_cpu_once(runs: dict[str, Path]) -> None:
    machine = plots.load("machine")
    table = load(runs["large"])

    def cpus(box: Any) -> list[int]:
        return [box.cpu] if box.cpu is not None else [cpu for child in box.children for cpu in cpus(child)]

    assert sorted(cpus(machine.whole(table))) == list(range(512))
    figure = canvas.figure(table, machine)
    frames = [p for p in figure.axes[2].patches if p.get_linewidth() > 1 and p.get_zorder() == 3]
    assert len(frames) == 1  # the planted CPU


def test_channels_of_a_hand_over(tmp_path: Path) -> None:
    counts = {"voluntary_switches": {"pipe": 512}, "instructions": {"pipe": 2600}, "cycles": None, "page_walks": None}
    table = table_of(tmp_path / "r", fake_run.hand_off(counts=counts), machine=fake_topology.guest())
    found = {p.plot.name: p for p in pictures.pictures(table)}
    assert {"hand_off", "counters"} <= set(found)
    assert "unknown here: write_bytes, cycles, page_walks" in found["counters"].caption
    for name in ("hand_off", "counters"):
        figure = canvas.figure(table, plots.load(name))
        assert overlaps(figure) == []
    labels = [entry.get_label() for entry in plots.load("hand_off").legend(table)]
    assert labels == ["payload 64\u00a0B", "payload 4KiB", "payload 64KiB"]


def test_counts_have_their_range_and_unknown_ones_a_column(tmp_path: Path) -> None:
    def vary(value: dict[str, Any]) -> dict[str, Any]:
        for arm in value["arms"]:
            arm["counts"]["voluntary_switches"] = 256 * (1 + value["trial"])
        return value

    table = table_of(tmp_path / "r", fake_run.hand_off(trials=3, counts={"cycles": None}), damage=vary)
    row = table.cells[0]
    assert [row[f"voluntary_switches_per_op{end}"] for end in ("", "_low", "_high")] == [2, 1, 3]
    assert row["counts_unknown"] == "write_bytes cycles"


ORDERS = {
    "pack": [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15],
    "spread": [0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15],
}


@pytest.mark.parametrize(
    ("place", "edges"),
    (
        ("pack", {2: "then siblings", 4: "L3 and node full", 8: "package full"}),
        ("spread", {2: "one in every package", 4: "one in every L3 and node", 8: "then siblings"}),
    ),
)
def test_edges_of_the_tree_in_scaling_curves(place: str, edges: dict[int, str], tmp_path: Path) -> None:
    def bind(value: dict[str, Any]) -> dict[str, Any]:
        for arm in value["arms"]:
            arm["proof"]["cpus"] = ORDERS[place][: value["params"]["workers"]]
        return value

    scenario = FakeScenario(
        name="scaling/reading",
        common={"place": place},
        cells=[{"workers": n} for n in (1, 2, 4, 8, 16)],
        arms=[FakeArm("pread", 1.0, "pread")],
        base_ns=lambda p: 600 / p["workers"] ** 0.9,
        trials=8,
    )
    table = table_of(tmp_path / "r", scenario, machine=fake_topology.guest(), damage=bind)
    scaling = plots.load("scaling")
    assert table.cells[-1]["cpus"] == " ".join(map(str, ORDERS[place]))
    assert scaling.edges_of(table, scaling.measured(table)) == edges
    figure = canvas.figure(table, scaling)
    assert overlaps(figure) == []
    words = {text.get_text() for text in figure.axes[0].texts}
    assert set(edges.values()) <= words
    bare = Table(table.cells, (), ())
    assert scaling.edges_of(bare, scaling.measured(bare)) == {}


def test_boundaries_need_a_known_tree() -> None:
    assert topology.boundaries([0, 1], lambda cpu, level: None, {level: {} for level in topology.LEVELS}, False) == {}


@GNUPLOT
@pytest.mark.parametrize("script", ("ladder", "matrix"))
@pytest.mark.parametrize("name", ("two", "guest", "places", "large"))
def test_gnuplot_draws_them_from_the_tables(script: str, name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    done = gnuplot(script, f"run='{runs[name]}'; columns=130")
    assert done.returncode == 0 and done.stderr == "" and "contention/ping-pong" in done.stdout
    assert ("synthetic" in done.stdout) == (name == "large" and script == "matrix")
    for form in ("svg", "png", "pdf"):
        target = tmp_path / f"{script}.{form}"
        done = gnuplot(script, f"run='{runs[name]}'; output='{target}'")
        assert done.returncode == 0 and done.stderr == "" and target.stat().st_size > 2000
    assert b"<image" not in (tmp_path / f"{script}.svg").read_bytes()


@GNUPLOT
def test_gnuplot_shows_the_same_figures(runs: dict[str, Path]) -> None:
    table = load(runs["guest"])
    lines = [line.split() for line in gnuplot("matrix", f"run='{runs['guest']}'; columns=130").stdout.splitlines()]
    order = [unit.index for unit in cpu_grid.units_of(table)]
    assert [int(number) for number in lines[2][:-1]] == order
    shown = {int(line[0]): line[1:] for line in lines[3:]}
    for row in table.pairs:
        if row["scope"] == "pair" and row["arm"] == "cas":
            ns = row["ns_per_op"]
            assert shown[int(row["a"])][order.index(int(row["b"]))] == (f"{ns:.1f}" if ns < 100 else f"{ns:.0f}")
    rungs = gnuplot("ladder", f"run='{runs['guest']}'; columns=130").stdout
    for row in table.pairs:
        if row["scope"] == "class" and row["role"] != "null":
            assert f"{row['ns_per_op']:.3g} ns" in rungs and f"{row['arm']}: {row['class']}, " in rungs


@GNUPLOT
@pytest.mark.parametrize("script", ("ladder", "matrix"))
@pytest.mark.parametrize(
    ("settings", "status", "message"),
    (
        ("x=1", 2, "say which run"),
        ("run='/nowhere'", 7, "no table of pairs"),
        ("run='{run}'; scenario='none'", 7, "no pairs of CPUs in scenario none"),
        ("run='{run}'; output='a.gif'", 2, "neither .svg nor .png nor .pdf"),
        ('run="it\'s"', 2, "quote"),
    ),
)
def test_gnuplot_says_what_is_wrong(
    script: str, settings: str, status: int, message: str, runs: dict[str, Path]
) -> None:
    done = gnuplot(script, settings.replace("{run}", str(runs["two"])))
    assert done.returncode == status and message in done.stderr


@GNUPLOT
def test_the_command_draws_a_picture_a_panel(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["places"], tmp_path / "run")
    words = [sys.executable, "-m", "faultline.plot", str(run)]
    kind: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
    kind["env"] = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*words, "matrix", "--gnuplot"], **kind)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4
    done = subprocess.run([*words, "ladder", "--terminal"], **kind)
    assert done.returncode == 0 and done.stdout.count("all rounds by time") == 2
    done = subprocess.run([*words, "machine"], **kind)
    assert done.returncode == 0 and done.stdout.strip().endswith("plots/machine-contention-ping-pong.svg")
