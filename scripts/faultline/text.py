# SPDX-License-Identifier: MIT
"""Values as people read them. Every string that came from outside passes through `safe` before it is shown."""

from __future__ import annotations

import math
import unicodedata
from typing import Sequence

MINUS = "−"
TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def safe(value: object) -> str:
    """Text without control, format or unassigned characters (terminal escapes, bidirectional overrides, lone halves of
    surrogate pairs): each becomes visible as \\xNN or \\uNNNN."""
    out = []
    for character in str(value):
        if unicodedata.category(character)[0] == "C" or character in "\u2028\u2029":
            code = ord(character)
            out.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        else:
            out.append(character)
    return "".join(out)


def columns(text: str) -> int:
    """Terminal columns a text takes: wide East Asian characters two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """The text cut in its middle so that it takes at most `width` columns; start and end stay readable."""
    if columns(text) <= width:
        return text
    head = tail = ""
    for before, after in zip(text, reversed(text)):
        if columns(head + before + tail) + 1 > width:
            break
        head += before
        if columns(head + after + tail) + 1 > width:
            break
        tail = after + tail
    return head + "…" + tail


def cut(text: str, most: int) -> str:
    """The first characters of a text, at most so many, with an ellipsis where that is not all: also of a text whose
    characters take no columns."""
    return text if len(text) <= most else text[: most - 1] + "…"


def listed(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def digits(value: float, significant: int = 3) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 123, 1234 (whole above 100)."""
    if value == 0:
        return "0"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, decimals)
    if abs(rounded) >= 10 ** (significant - decimals) and decimals:
        decimals -= 1
    return f"{rounded:.{decimals}f}"


def time_unit(ns: float) -> tuple[float, str]:
    """The unit in which this many ns is at least 1 (ns below that): (ns a unit, its name)."""
    return next((row for row in TIMES if abs(ns) >= row[0]), TIMES[-1])


def count(value: float | None) -> str:
    """A count per operation: whole numbers whole, else three digits, "–" when unknown."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == round(value) and value < 1e6 else digits(value)


def time_tick(ns: float) -> str:
    """A round time on an axis: 10000 → "10 µs"."""
    scale, unit = time_unit(ns)
    return f"{ns / scale:.4g} {unit}"


def time(ns: float | None) -> str:
    """612 → "612 ns", 5310 → "5.31 µs"."""
    if ns is None:
        return "–"
    scale, unit = time_unit(ns)
    return f"{digits(ns / scale)} {unit}"


def time_ends(ns: float, low: float | None, high: float | None, like: float | None = None) -> str:
    """ "612 [601, 630] ns": one unit for the three, that of `like` ns where that is given; without an interval "612
    ns"."""
    scale, unit = time_unit(ns if like is None else like)
    middle = digits(ns / scale)
    if low is None or high is None:
        return f"{middle} {unit}"
    return f"{middle} [{digits(low / scale)}, {digits(high / scale)}] {unit}"


def size(count: float) -> str:
    """Bytes: 65536 → "64KiB"; what no binary unit divides stays plain."""
    for scale, unit in SIZES:
        if count >= scale and count % scale == 0:
            return f"{int(count // scale)}{unit}"
    return f"{count:g}" if count < 1024 else size_near(count)


def size_near(count: float) -> str:
    """Bytes to three digits: 1400000 → "1.34MiB"."""
    for scale, unit in SIZES:
        if count >= scale:
            return f"{digits(count / scale)}{unit}"
    return f"{digits(count)}B"


def ratio(value: float | None) -> str:
    """0.6214 → "0.621"; 2.94 → "2.94"; 13.42 → "13.4": as many digits as a ratio deserves."""
    if value is None:
        return "–"
    return f"{value:.3f}" if 0.1 <= value < 1.9995 else digits(value)


def percent(value: float) -> str:
    """A fraction as a percentage: 0.0084 → "0.84 %", 0.01 → "1 %"."""
    found = digits(100 * value, 2)
    return f"{found.rstrip('0').rstrip('.') if '.' in found else found} %"


def signed(log: float) -> str:
    """A change on the log scale as a percentage with its sign: "+3.1 %", "−0.4 %", "0 %"."""
    share = math.expm1(log)
    found = percent(abs(share))
    return found if found == "0 %" else f"{'+' if share > 0 else MINUS}{found}"


def field(name: str, value: object) -> str:
    """A parameter's value as its table spells it: sizes binary, times with their unit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return safe(value)
    if name.endswith("_bytes"):
        return size(value)
    return f"{value:g}"


def plain(text: str) -> str:
    """The nearest ASCII for a terminal that is not UTF-8."""
    table = {
        "×": "x",
        "–": "-",
        "—": "-",
        "…": "..",
        "µ": "u",
        "δ": "delta",
        "±": "+-",
        "≥": ">=",
        "≤": "<=",
        "−": "-",
        "·": "|",
        "→": "->",
        "“": '"',
        "”": '"',
        "’": "'",
        "─": "-",
        "│": "|",
        "÷": "/",
        "▏": "|",
    }
    return "".join(table.get(c, c if ord(c) < 128 else "?") for c in text)
