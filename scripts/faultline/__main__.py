# SPDX-License-Identifier: MIT
"""python3 -m faultline NAME …: a command of that name. What cannot be loaded ends it as any other mishap does."""

from __future__ import annotations

import importlib
import sys

from faultline import command


def run(name: str, words: list[str]) -> int:
    """The command's exit status."""
    return int(importlib.import_module(f"faultline.{name}").main(words))


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    sys.exit(command.guarded(f"faultline {name}", lambda: run(name, words), command.broken(words)))
