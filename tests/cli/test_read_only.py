"""Every command that reads works on a database that cannot be written; those that write say so in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from etui.errors import EXIT_FAILED
from etui.store import Store
from tests.documents import make_document, make_spec
from tests.machines import Machine
from tests.mounts import read_only_view

FIRST, SECOND = "aaaaaaaaaaa1", "aaaaaaaaaaa2"


@pytest.fixture
def sealed(machine: Machine, tmp_path: Path) -> Iterator[Path]:
    """A database on a file system that is mounted read-only."""
    folder = tmp_path / "data"
    folder.mkdir()
    with Store.open(folder / "etui.db") as store:
        documents = [make_document(FIRST), make_document(SECOND, precision="int8", median=8.0)]
        for document in documents:
            document.session = msgspec.structs.replace(document.session, spec=msgspec.to_builtins(make_spec()))
        store.import_documents(documents)
    with read_only_view(folder, tmp_path / "view") as view:
        machine.database = view / "etui.db"
        machine.environment["ETUI_DB"] = str(machine.database)
        yield machine.database


@pytest.mark.slow
def test_reading_commands_read_it(machine: Machine, sealed: Path, tmp_path: Path) -> None:
    for words, expected in (
        (["runs"], FIRST[:6]),
        (["show", FIRST], "resnet18"),
        (["log", FIRST], "measuring fp32"),
        (["log", "-f", FIRST], "measuring fp32"),
        (["compare", FIRST, SECOND], "int8"),
        (["trend", FIRST], "resnet18"),
    ):
        done = machine.etui(*words)
        assert expected in done.stdout, words
    machine.etui("export", FIRST, "-o", tmp_path / "out.json")
    machine.etui("report", FIRST, SECOND, "-o", tmp_path / "out.html")
    assert (tmp_path / "out.json").stat().st_size and (tmp_path / "out.html").stat().st_size
    assert [file.name for file in sealed.parent.iterdir()] == ["etui.db"]
    assert machine.processes() == []


def test_writing_commands_say_in_one_line_that_it_is_read_only(machine: Machine, sealed: Path, tmp_path: Path) -> None:
    machine.etui("export", FIRST, "-o", tmp_path / "out.json")
    for words in (
        ["import", tmp_path / "out.json"],
        ["delete", FIRST, "--yes"],
        ["run", "resnet18"],
    ):
        done = machine.etui(*words, status=EXIT_FAILED)
        (line,) = done.stderr.splitlines()
        assert "is read-only: its file system is mounted read-only" in line and str(sealed) in line
    assert machine.processes() == []
