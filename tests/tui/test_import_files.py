"""Which files a text names, and what comes of each."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.tui.database import Database
from etui.tui.import_files import FileImport, import_files, named_files, summary
from tests.documents import encode_documents, make_document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "some results"
    place.mkdir()
    (place / "a.json").write_bytes(encode_documents([make_document("aaaaaaaaaaa1")]))
    (place / "b.json").write_bytes(encode_documents([make_document("aaaaaaaaaaa2", precision="int8")]))
    (place / "c.txt").touch()
    return place


def imported(database: Path, files: list[Path], *, stopped: bool = False) -> list[FileImport]:
    """What came of each file."""

    async def collect() -> list[FileImport]:
        return [result async for result in import_files(Database(database), files, lambda: stopped)]

    return asyncio.run(collect())


def test_a_folder_stands_for_its_json_files(folder: Path) -> None:
    assert [path.name for path in named_files(str(folder))] == ["a.json", "b.json"]


def test_a_pattern_and_quotes_and_several(folder: Path) -> None:
    assert [path.name for path in named_files(f"'{folder}/'*.json")] == ["a.json", "b.json"]
    assert [path.name for path in named_files(f"'{folder}/b.json' '{folder}/a.json' '{folder}/b.json'")] == [
        "b.json",
        "a.json",
    ]


def test_a_path_with_a_space_needs_no_quotes_alone(folder: Path) -> None:
    assert named_files(f"{folder}/a.json") == [folder / "a.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no path"),
        ("/no/such.json", "does not exist"),
        ("/no/such/*.json", "matches no file"),
        ("'open", "quotation"),
    ],
)
def test_what_names_nothing_is_said(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        named_files(text)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.json files"):
        named_files(str(tmp_path))


def test_each_file_says_what_came_of_it(folder: Path, database: Path) -> None:
    (folder / "b.json").write_text("{")
    (folder / "d.json").write_bytes((folder / "a.json").read_bytes())
    taken = imported(database, named_files(str(folder)))
    assert [(one.path.name, one.new, one.known, one.refused is not None) for one in taken] == [
        ("a.json", 1, 0, False),
        ("b.json", 0, 0, True),
        ("d.json", 0, 1, False),
    ]
    assert re.findall(r"\d+", summary(taken)) == ["1", "1", "1"]


def test_files_that_are_all_refused_make_no_database(tmp_path: Path, database: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("nothing")
    assert imported(database, [bad])[0].refused
    assert not database.exists()


def test_it_stops_between_files(folder: Path, database: Path) -> None:
    assert imported(database, named_files(str(folder)), stopped=True) == []
