# SPDX-License-Identifier: MIT
"""One module a plot, found by its file name.

A module has:
    name      its name on the command line and in file names: the file's stem
    title     what it shows, a line for the help
    scope     "scenario": drawn for each scenario that it applies to; "run": once, for all of them
    applies(table) -> bool          whether the table holds what it draws
    heading(table) -> str           the text above the figure
    layout(table) -> canvas.Layout  size of the panels and margins, inches
    legend(table) -> list           entries of the legend; empty for none
    draw(table, axes) -> None       fills axes[rows, columns]
where it applies to much that another plot shows better,
    by_default(table) -> bool       whether it is drawn when no plot is asked for by name; the same as applies if missing
and, where gnuplot draws it too (gnuplot/NAME.gp) and needs several pictures for it,
    gnuplot_settings(table) -> list of what to set beside `run` and `scenario`, a picture each
It reads the table and computes no statistics: what it draws was estimated before.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


class NoSuchPlot(ValueError):
    """A name that no plot has; the text names those there are."""


def names() -> list[str]:
    """Names of all plots."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Any:
    """The module of that name; NoSuchPlot naming the ones there are."""
    if name not in names():
        raise NoSuchPlot(f"no plot named {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
