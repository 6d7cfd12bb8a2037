# SPDX-License-Identifier: MIT
"""Memory that is mapped twice: what is said of its cache lines, and the picture by the views' distance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

import fake_run
from fake_run import KIB, MIB, FakeArm
from faultline import canvas, conclusion, plots, records, verdict, views
from faultline.plots import alias_ladder
from test_plots import overlaps, table_of

DISTANCES = [4 * KIB, 64 * KIB, 16 * MIB, 256 * MIB, 1 << 34, 1 << 46]
Ratio = float | Callable[[dict[str, Any]], float]


def differs(params: dict[str, Any]) -> bool:
    """Whether the way hashes do."""
    return params["alias_bytes"] % (256 * MIB) != 0


def fetches(other: Ratio, distances: list[int] | None = None, **changes: Any) -> fake_run.FakeScenario:
    """Lines that were flushed, in an L2 cache's time where they were brought back through the same view."""
    arms = [
        FakeArm("fetched-same-view", 1.0, "flushed_load", params={"through": "same"}),
        FakeArm("fetched-other-view", other, "flushed_load", params={"through": "other"}),
        FakeArm("flushed", 30.0, "flushed_load", params={"through": "copy"}),
    ]
    return scenario("techniques/alias-line", arms, distances or DISTANCES, **changes)


def turns(distances: list[int], equal: int | None, price: float) -> fake_run.FakeScenario:
    """Loads in turns through two views; equal: what the counting pass of 256 operations has of equal hashes."""
    arms = [
        FakeArm("same-view", 1.0, "alias_load", params={"through": "same"}),
        FakeArm("other-view", price, "alias_load", params={"through": "other"}),
    ]
    return scenario("techniques/alias", arms, distances, counts={"occurred": equal})


def scenario(name: str, arms: list[FakeArm], distances: list[int], **changes: Any) -> fake_run.FakeScenario:
    return fake_run.FakeScenario(
        **{
            **dict(
                name=name,
                question="Does a second view of a page use the same cache lines?",
                op="load",
                arms=arms,
                cells=fake_run.product(alias_bytes=distances),
                base_ns=5.0,
                trials=12,
            ),
            **changes,
        }
    )


def results(directory: Path, *made: fake_run.FakeScenario) -> verdict.Results:
    return verdict.conclude(records.run_load(fake_run.write(directory, list(made))))


def said(directory: Path, made: fake_run.FakeScenario) -> str:
    return " ".join(views.sentences(results(directory, made).cells))


def test_a_line_that_comes_quickly_is_the_same(tmp_path: Path) -> None:
    text = said(tmp_path / "r", fetches(lambda p: 1.9 if differs(p) else 1.1))
    assert text.startswith("The second view uses the same cache line: ") and text.count(" ns to ") <= 2


def test_a_line_that_comes_from_memory_is_another(tmp_path: Path) -> None:
    text = said(tmp_path / "r", fetches(31.0))
    assert text.startswith("The second view does not use the same cache line: ")


@pytest.mark.parametrize("other", (15.0, lambda p: 31.0 if differs(p) else 1.1))
def test_what_is_neither_is_not_told(other: Ratio, tmp_path: Path) -> None:
    text = said(tmp_path / "r", fetches(other))
    assert text.startswith("Whether the second view uses the same cache line cannot be told of all distances ")
    assert ("in 0 of 6" if other == 15.0 else "in 3 of 6 cells it does, in 3 it does not") in text


def test_too_few_trials_say_nothing(tmp_path: Path) -> None:
    assert said(tmp_path / "r", fetches(1.1, trials=2)) == ""


def test_nothing_is_said_of_other_scenarios(tmp_path: Path) -> None:
    assert views.sentences(results(tmp_path / "r", fake_run.scan(trials=2, rounds=4)).cells) == []


@pytest.mark.parametrize(
    ("equal", "where"),
    ((0, " where the way hashes of the two addresses differ"), (256, " where they are equal"), (None, "")),
)
def test_the_price_is_told_by_the_hash(equal: int | None, where: str, tmp_path: Path) -> None:
    found = results(tmp_path / "r", turns([4 * KIB], equal, 5.0))
    (text,) = views.sentences(found.cells)
    assert text.startswith("Loads through two views of a line in turns, by the time of loads through one view: ")
    price = text.removesuffix(f" times{where}.").rpartition(": ")[2]
    assert float(price) == pytest.approx(5.0, rel=0.02)
    assert text in conclusion.scenario_sentences(found.cells)


def test_the_picture_has_a_curve_an_arm_and_dashed_references(tmp_path: Path) -> None:
    found = table_of(tmp_path / "r", fetches(lambda p: 1.9 if differs(p) else 1.1))
    figure = canvas.figure(found, alias_ladder)
    panel = figure.axes[0]
    curves = [line for line in panel.lines if len(line.get_xdata()) == len(DISTANCES)]
    for line, arm in zip(curves, ("fetched-same-view", "fetched-other-view", "flushed"), strict=True):
        rows = [row for row in found.cells if row["arm"] == arm]
        assert [float(x) for x in line.get_xdata()] == DISTANCES
        assert [float(y) for y in line.get_ydata()] == [row["ns_per_op"] for row in rows]
        assert (line.get_linestyle() == "--") == (arm != "fetched-other-view")
    assert overlaps(figure) == []


def test_equal_hashes_are_marked(tmp_path: Path) -> None:
    equal = table_of(tmp_path / "a", turns(DISTANCES, 256, 1.0))
    unequal = table_of(tmp_path / "b", turns(DISTANCES, 0, 5.0))
    assert alias_ladder.equal_places(equal) == DISTANCES and "one way hash" in alias_ladder.heading(equal)
    assert alias_ladder.equal_places(unequal) == [] and "one way hash" not in alias_ladder.heading(unequal)


def test_it_applies_to_distances_alone(tmp_path: Path) -> None:
    few = fetches(1.1, distances=DISTANCES[:2], trials=1, rounds=4)
    assert not alias_ladder.applies(table_of(tmp_path / "a", few))
    assert not alias_ladder.applies(table_of(tmp_path / "b", fake_run.scan(trials=1, rounds=4)))
    assert alias_ladder.applies(table_of(tmp_path / "c", fetches(1.1, trials=1, rounds=4)))
    assert "alias_ladder" in plots.names()
