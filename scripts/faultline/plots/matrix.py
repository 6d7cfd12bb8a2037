# SPDX-License-Identifier: MIT
"""The time of an operation between every two CPUs that were visited, in the order of the machine's tree."""

from __future__ import annotations

from typing import Any

from faultline import cpu_grid
from faultline.canvas import Layout
from faultline.tables import Table

name = "matrix"
title = "time between every two CPUs, in the order of the tree, on a fixed scale"
scope = "scenario"


def applies(table: Table) -> bool:
    """Whether pairs of CPUs were visited."""
    return bool(cpu_grid.matrix_rows(table))


def by_default(table: Table) -> bool:
    """Whether there are several pairs: of one the ladder shows more."""
    return cpu_grid.has_several_pairs(table)


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return cpu_grid.heading(table, "time by pair of CPUs, ns, median")


def gnuplot_settings(table: Table) -> list[dict[str, str]]:
    """A picture of gnuplot's a panel."""
    return [{"held": held, "arm": arm} for held, arm in cpu_grid.panels_of(cpu_grid.matrix_rows(table))]


def layout(table: Table) -> Layout:
    """A matrix an arm."""
    return cpu_grid.layout(table)


def legend(table: Table) -> list[Any]:
    """What a square may look like."""
    return cpu_grid.legend(table, cpu_grid.TIME)


def draw(table: Table, axes: Any) -> None:
    """The matrices and the scale."""
    cpu_grid.draw(table, axes, cpu_grid.TIME)
