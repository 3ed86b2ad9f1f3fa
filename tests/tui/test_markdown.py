"""Runs as Markdown, and the honest word on where they went."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from etui.paths import state_dir
from etui.store import Store
from etui.tui.markdown import COPY_NAME, copy_markdown, run_markdown, table_markdown
from tests.documents import MODEL, make_document
from tests.facts import lacking
from tests.golden import Golden


class Terminal:
    """Takes what is copied."""

    def __init__(self) -> None:
        self.copied = ""

    def copy_to_clipboard(self, text: str) -> None:
        self.copied = text


def test_a_table_has_a_line_a_run(database: Path) -> None:
    with Store.open(database) as store:
        store.import_documents([make_document("aaaaaaaaaaa1"), make_document("aaaaaaaaaaa2", precision="int8")])
        lines = table_markdown(store.summaries()).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1
    assert "median ms" in lines[0] and "aaaaaaaaaaa2" in lines[2] + lines[3]


def test_a_run_says_what_must_be_known_with_its_figures() -> None:
    words = run_markdown(make_document())
    assert words.startswith("## resnet18 fp32/xnnpack\n")
    for part in ("16.0", "SQNR 28.5 dB", "PASS", "- **spread: the spread is 12 %**", "a note", "bench-1"):
        assert part in words


def test_the_wording_of_a_run(golden: Golden) -> None:
    golden("run_markdown", run_markdown(make_document()))


def test_a_run_without_figures_has_words_all_the_same() -> None:
    document = msgspec.structs.replace(
        make_document(), status="failed", error="it broke | badly", latency_ms=None, eager_latency_ms=None,
        speedup=None, accuracy=None, artifact=None, memory=None, weights=None, environment=None, flags=[], note="",
        tags=[], threads=None,
    )  # fmt: skip
    words = run_markdown(document)
    assert r"it broke \| badly" in words
    assert "### Latency" not in words and "### Errors" not in words


def test_names_are_text_and_nothing_else() -> None:
    model = msgspec.structs.replace(MODEL, name="<b>*evil*</b>|\x1b[31m`x`")
    words = run_markdown(make_document(model=model))
    assert "\x1b" not in words
    assert r"&lt;b>\*evil\*&lt;/b>\|\`x\`" in words


def test_a_copy_goes_to_the_terminal_and_to_a_file() -> None:
    terminal = Terminal()
    displayed = copy_markdown(cast("Any", terminal), "# words")
    path = state_dir() / COPY_NAME
    assert terminal.copied == path.read_text() == "# words"
    assert not lacking(displayed, "clipboard", str(path))


def test_where_no_file_can_be_written_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "file" / "below"))
    displayed = copy_markdown(cast("Any", Terminal()), "# words")
    assert "also written" not in displayed
    assert "the folder" in displayed
