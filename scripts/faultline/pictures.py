# SPDX-License-Identifier: MIT
"""All pictures of a run: which plot applies to what, and under which name it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

from faultline import plots
from faultline.tables import Table


@dataclass(frozen=True)
class Picture:
    """One picture to draw. `scenario` is "" for a plot of the whole run."""

    plot: Any
    scenario: str
    table: Table
    stem: str

    @property
    def caption(self) -> str:
        """The text above the figure."""
        return str(self.plot.heading(self.table))

    def render(self, form: str) -> bytes:
        """Its file's content."""
        from faultline import canvas

        return canvas.render(self.table, self.plot, form)


def stem(name: str, scenario: str) -> str:
    """A file name of a plot and a scenario: letters, digits, dash, underscore and dot only."""
    return "-".join(part for part in (name, re.sub(r"[^A-Za-z0-9_.-]+", "-", scenario).strip("-.")[:100]) if part)


def pictures(table: Table, wanted: Sequence[str] = ()) -> Iterator[Picture]:
    """The pictures that the table allows, of the plots of these names, scenario by scenario; by default of all, but for
    those that have little to show (a plot's own `by_default`)."""
    used: set[str] = set()
    modules = [plots.load(name) for name in (wanted or plots.names())]
    parts = [(scenario, table.of(scenario), "scenario") for scenario in table.scenarios] + [("", table, "run")]
    for scenario, part, scope in parts:
        for module in modules:
            shows = module.applies if wanted else getattr(module, "by_default", module.applies)
            if module.scope == scope and shows(part):
                name = stem(module.name, scenario)
                while name in used:
                    name += "_"
                used.add(name)
                yield Picture(module, scenario, part, name)
