"""The table of generated files: where each is, and the function that returns its text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.docs import api, catalog, commands, configuration, examples, facts, filters, flags, keys, schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PICTURE = DOCS / "screen.svg"
COUNTS = DOCS / "reference" / "multiply-adds.md"

FILES: dict[Path, Callable[[], str]] = {
    DOCS / "reference" / "commands.md": commands.page,
    DOCS / "reference" / "keys.md": keys.page,
    DOCS / "reference" / "filters.md": filters.page,
    DOCS / "reference" / "facts.md": facts.page,
    DOCS / "reference" / "configuration.md": configuration.page,
    DOCS / "reference" / "catalog.md": catalog.page,
    DOCS / "reference" / "warning-flags.md": flags.page,
    DOCS / "reference" / "python-api.md": api.page,
    DOCS / "schema" / "etui.run-1.schema.json": schema.text,
}


def pages_with_examples() -> list[Path]:
    """The pages in which the output of commands is kept up to date."""
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    return [path for path in pages if examples.has_examples(path.read_text("utf-8"))]
