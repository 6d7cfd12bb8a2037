# SPDX-License-Identifier: MIT
"""Figures as files hold them: nine significant digits, more than any of them has, and few enough to be the same
everywhere."""

from __future__ import annotations

from typing import Any

from faultline.stats import Interval


def number(value: float | None) -> float | int | None:
    """A figure to nine digits; None for nothing. Whole numbers and truths stay."""
    return value if value is None or isinstance(value, (bool, int)) else float(f"{value:.9g}")


def interval(value: Interval | None) -> dict[str, Any] | None:
    """{"estimate", "low", "high"}, None for nothing."""
    if value is None:
        return None
    return {"estimate": number(value.estimate), "low": number(value.low), "high": number(value.high)}


def ends(name: str, value: Interval | None, scale: float = 1.0) -> dict[str, Any]:
    """Three columns of an interval, empty where there is none."""
    found = (value.estimate, value.low, value.high) if value is not None else (None, None, None)
    return {name + end: None if v is None else number(v * scale) for end, v in zip(("", "_low", "_high"), found)}
