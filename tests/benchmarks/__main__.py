"""Run the named benchmarks, or all, and print each figure next to its limit."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.figures import Figure, table

NAMES = (
    "cli", "first_sample", "script", "prepare", "agreement", "compare", "planted", "sessions", "tui", "tui_cost",
    "profile", "load", "crowd", "overhead",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Return 1 if a figure exceeds its limit."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or NAMES:
        print(f"{name} ..", file=sys.stderr, flush=True)
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        with tempfile.TemporaryDirectory() as folder:
            figures += module.figures(Path(folder))
    print(table(figures))
    return int(any(not figure.holds for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
