"""Paths given by users: which can name a file, and which are refused before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.paths import absolute, database_path, program_path


def test_valid_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert absolute("x.db", "--db") == tmp_path / "x.db"
    assert absolute("~/x.db", "--db") == Path("/home/somebody/x.db")
    assert absolute("n" * 255, "--db") == tmp_path / ("n" * 255)
    assert absolute("caf\udce9", "--db").name == "caf\udce9"  # a name whose bytes are not UTF-8


@pytest.mark.parametrize(
    "text",
    ["n" * 256, "é" * 128, "d/" * 3_000, "~nouser", "~nouser/x", "a\0b", "\ud800"],
    ids=lambda text: ascii(text[:8]),
)
def test_invalid_path_is_refused_in_one_line_with_its_name(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        absolute(text, "ETUI_DB")
    assert str(refused.value).startswith("ETUI_DB: ") and "\n" not in str(refused.value)
    assert refused.value.hint


def test_database_name_leaves_room_for_the_journal_suffix(tmp_path: Path) -> None:
    assert database_path(f"{tmp_path}/{'n' * 247}").name == "n" * 247
    with pytest.raises(UsageError, match="--db"):
        database_path(f"{tmp_path}/{'n' * 248}")


@pytest.mark.parametrize("key", ["", "..", "../../etc", "a/b", "a\0", "A" * 32, "f" * 65])
def test_imported_cache_key_cannot_escape_the_cache(tmp_path: Path, key: str) -> None:
    assert program_path(tmp_path, key) is None
    assert program_path(tmp_path, "0f" * 16) == tmp_path / "programs" / ("0f" * 16) / "program.pte"
