"""``etui tag`` and ``etui note``: what they change, print and refuse, and that the printed command reverses it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from etui.results import RunDocument
from etui.store import Store
from tests.cli.conftest import Etui
from tests.documents import make_document

FIRST, SECOND = "aaaaaaaaaaa1", "bbbbbbbbbbb2"


@pytest.fixture
def two(stored: Callable[..., None]) -> tuple[RunDocument, RunDocument]:
    first, second = make_document(FIRST), make_document(SECOND, precision="int8")
    first.tags, first.note = ["old"], "a note"
    second.tags, second.note = [], ""
    stored(first, second)
    return first, second


def facts(database: Path, run_id: str) -> tuple[list[str], str]:
    with Store.open(database, create=False) as store:
        summary = store.summary(run_id)
        return summary.tags, summary.note


def undo(stderr: str) -> list[list[str]]:
    """The commands that the output names, as words without the program's name."""
    return [shlex.split(line)[2:] for line in stderr.splitlines() if line.startswith("undo: etui ")]


def test_tags_are_added_and_removed_and_the_undo_commands_reverse_it(
    etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]
) -> None:
    done = etui("tag", "a", "b", "+release", "-old", "+before the fix")
    assert done.returncode == 0
    assert facts(database, FIRST)[0] == facts(database, SECOND)[0] == ["release", "before the fix"]
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == ["aaaaaa", "bbbbbb"]
    commands = undo(done.stderr)
    assert len(commands) == 2
    for command in commands:
        assert etui(*command).returncode == 0
    assert facts(database, FIRST)[0] == ["old"]
    assert facts(database, SECOND)[0] == []


def test_a_tag_keeps_the_note_and_nothing_is_changed_twice(
    etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]
) -> None:
    assert etui("tag", "a", "+old").returncode == 0
    done = etui("tag", "a", "-absent", "+old", "--json")
    assert json.loads(done.stdout) == [{"id": FIRST, "tags": ["old"], "added": [], "removed": []}]
    assert "absent" in done.stderr and not undo(done.stderr)
    assert facts(database, FIRST) == (["old"], "a note")


def test_tags_as_json(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("tag", "--json", "a", "b", "-old", "+new")
    assert json.loads(done.stdout) == [
        {"id": FIRST, "tags": ["new"], "added": ["new"], "removed": ["old"]},
        {"id": SECOND, "tags": ["new"], "added": ["new"], "removed": []},
    ]


@pytest.mark.parametrize("arguments", [["+x"], ["a", "+"], ["a", "+x,y"], ["a", "+x", "-x"], ["a", "+\x1b[31mx"],
                                       ["zzz", "+x"], ["a", "zzz", "+x"], ["a", "+x", "--bogus"]])  # fmt: skip
def test_a_wrong_edit_changes_nothing(
    etui: Etui, database: Path, two: tuple[RunDocument, RunDocument], arguments: list[str]
) -> None:
    done = etui("tag", *arguments)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert (facts(database, FIRST)[0], facts(database, SECOND)[0]) == (["old"], [])


def test_a_tag_that_begins_with_a_dash_can_be_removed(
    etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]
) -> None:
    (command,) = undo(etui("tag", "a", "+-x").stderr)
    assert facts(database, FIRST)[0] == ["old", "-x"]
    assert etui(*command).returncode == 0
    assert facts(database, FIRST)[0] == ["old"]


def test_a_note_is_set_printed_and_restored(etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]) -> None:
    assert etui("note", "a").stdout == "a note\n"
    done = etui("note", "a", "b", "it's\n$HOME")
    assert (done.returncode, done.stdout) == (0, "")
    assert facts(database, FIRST) == (["old"], "it's\n$HOME") and facts(database, SECOND)[1] == "it's\n$HOME"
    assert len(undo(done.stderr)) == 2
    for command in undo(done.stderr):
        assert etui(*command).returncode == 0
    assert (facts(database, FIRST)[1], facts(database, SECOND)[1]) == ("a note", "")


def test_a_note_of_several_lines_is_restored_too(
    etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]
) -> None:
    assert etui("note", "a", "-", stdin="one\ntwo -- 'three'\n").returncode == 0
    assert facts(database, FIRST)[1] == "one\ntwo -- 'three'"
    done = etui("note", "a", "four")
    words = shlex.split(done.stderr[done.stderr.index("undo: ") :])[2:]
    assert etui(*words).returncode == 0
    assert facts(database, FIRST)[1] == "one\ntwo -- 'three'"


def test_a_note_as_json(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    assert json.loads(etui("note", "a", "--json").stdout) == [{"id": FIRST, "note": "a note", "before": "a note"}]
    assert json.loads(etui("note", "a", "", "--json").stdout) == [{"id": FIRST, "note": "", "before": "a note"}]
    done = etui("note", "a")
    assert (done.returncode, done.stdout) == (0, "") and done.stderr.count("\n") == 1


def test_a_run_as_text_is_refused(etui: Etui, database: Path, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("note", FIRST, SECOND)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert facts(database, FIRST)[1] == "a note"
    assert etui("note", FIRST, "-", stdin="x" * 100_001).returncode == 2


def test_the_undo_command_names_the_database(etui: Etui, tmp_path: Path, written: Callable[..., Path]) -> None:
    other = tmp_path / "other.db"
    file = written("one.json", make_document(FIRST))
    assert etui("--db", other, "import", file).returncode == 0
    for command in (["tag", "a", "+x"], ["note", "a", "changed"]):
        (words,) = undo(etui("--db", other, *command).stderr)
        assert words[:2] == ["--db", str(other)]


def test_before_the_first_run_nothing_is_created(etui: Etui, database: Path) -> None:
    for command in (["tag", "a", "+x"], ["note", "a", "x"]):
        done = etui(*command)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert not database.parent.exists()


def test_the_notes_of_several_runs_are_listed(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("note", "model:resnet18")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["run", "note"], ["aaaaaa", "a note"], ["bbbbbb", "-"],
    ]  # fmt: skip
    assert etui("note", "has:note").stdout == "a note\n"


def test_a_word_without_a_sign_is_explained(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("tag", "a", "release")
    assert done.returncode == 2 and "+release" in done.stderr
    assert "+zzz" not in etui("tag", "zzz", "+x").stderr
