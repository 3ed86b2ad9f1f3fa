"""Golden files: the wording of what etui prints, one text file per renderer, in the folder ``golden``.

Tests check facts (verdicts, numbers, names, sources, exit statuses) with separate assertions. The wording of a renderer
is only in its golden file, so that a change of wording changes one file and no assertion. After such a change, write
the files again and read the difference before committing it::

    python -m pytest tests/cli/test_wording.py tests/wording tests/tui/test_markdown.py --update-golden
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("golden")
UPDATE = "--update-golden"


class Golden:
    """Compares texts with the golden files, or writes the files if the tests run with ``--update-golden``."""

    def __init__(self, *, update: bool) -> None:
        self._update = update

    def __call__(self, name: str, text: str) -> None:
        """Check that ``golden/NAME.txt`` holds this text; spaces at the ends of lines and of the text do not count."""
        path = FOLDER / f"{name}.txt"
        text = "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
        if self._update:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"{path} does not exist: run this test with {UPDATE}"
        assert text == path.read_text(encoding="utf-8"), f"if the new wording is right, run this test with {UPDATE}"
