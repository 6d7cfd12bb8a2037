# SPDX-License-Identifier: MIT
"""The time between every two CPUs ÷ the median of their distance class: what differs from its like stands out."""

from __future__ import annotations

from typing import Any

from faultline import cpu_grid
from faultline.canvas import Layout
from faultline.tables import Table

name = "residuals"
title = "time between every two CPUs ÷ the median of their class"
scope = "scenario"


def applies(table: Table) -> bool:
    """Whether a distance class has several pairs that were visited."""
    return any(row["scope"] == "class" and row["pairs"] > 1 and row["role"] != "null" for row in table.pairs)


def heading(table: Table) -> str:
    """The question, and what the figure shows."""
    return cpu_grid.heading(table, "time by pair of CPUs ÷ median of its distance class")


def layout(table: Table) -> Layout:
    """A matrix an arm."""
    return cpu_grid.layout(table)


def legend(table: Table) -> list[Any]:
    """What a square may look like."""
    return cpu_grid.legend(table, cpu_grid.RESIDUAL)


def draw(table: Table, axes: Any) -> None:
    """The matrices and the scale."""
    cpu_grid.draw(table, axes, cpu_grid.RESIDUAL)
