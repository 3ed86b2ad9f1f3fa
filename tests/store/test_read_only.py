"""A database that cannot be written can be read, and never with an old or inconsistent state."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from etui.doctor import software
from etui.errors import StoreError
from etui.host.user import user_name
from etui.runner.start import recover
from etui.store import RunnerIdentity, Store, opening, schema
from etui.store.transfer import read_documents
from etui.tui.database import Database
from etui.tui.feed import Feed
from etui.tui.run_rows import RunRows
from tests.documents import MODEL, make_document, make_spec
from tests.mounts import read_only_view
from tests.store.test_upgrade import schema_of, unpacked

Seal = Callable[[Path], AbstractContextManager[Path]]


@pytest.fixture(params=["mount", "permissions"])
def seal(request: pytest.FixtureRequest, tmp_path: Path) -> Seal:
    """Make a folder read-only by a mount or by its permissions: permissions do not restrict root, and only root can
    mount. Yield the folder's path."""

    @contextmanager
    def sealed(folder: Path) -> Iterator[Path]:
        if request.param == "mount":
            with read_only_view(folder, tmp_path / "view") as view:
                yield view
            return
        folder.chmod(0o500)
        try:
            if os.access(folder, os.W_OK):
                pytest.skip("permissions do not bind this user")
            yield folder
        finally:
            folder.chmod(0o700)

    return sealed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that contains a database with two runs and nothing else."""
    folder = tmp_path / "data"
    folder.mkdir()
    with Store.open(folder / "etui.db") as store:
        store.import_documents([make_document(), make_document("aaaaaaaaaaa2", precision="int8", median=8.0)])
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_closed_database_is_read_without_creating_files(folder: Path, seal: Seal) -> None:
    with seal(folder) as view, Store.open(view / "etui.db", create=False) as store:
        assert store.read_only
        assert store.document("aaaaaaaaaaa1") == make_document()
        assert store.count() == 2
        assert store.data_version() == store.data_version()
        assert store.is_in_place()
        assert names(view) == ["etui.db"]


def test_writing_is_refused_in_one_line_with_the_reason(folder: Path, seal: Seal) -> None:
    with seal(folder) as view, Store.open(view / "etui.db") as store:
        with pytest.raises(StoreError, match="is read-only: ") as refused:
            store.import_documents([make_document("aaaaaaaaaaa3")])
        assert "--db or ETUI_DB" in refused.value.hint and "\n" not in str(refused.value)
        assert store.count() == 2


def test_no_files_are_created_next_to_a_read_only_file(folder: Path, tmp_path: Path) -> None:
    # A journal owned by the reader would lock out the users who may write the file.
    (tmp_path / "shared").mkdir()
    with (
        read_only_view(folder / "etui.db", tmp_path / "shared" / "etui.db") as file,
        Store.open(file) as store,
    ):
        assert store.count() == 2 and store.read_only
        assert names(tmp_path / "shared") == ["etui.db"]
    assert names(tmp_path / "shared") == ["etui.db"]


def test_missing_database_is_not_created_in_a_read_only_folder(tmp_path: Path, seal: Seal) -> None:
    (tmp_path / "empty").mkdir()
    with seal(tmp_path / "empty") as view:
        with pytest.raises(StoreError, match="cannot be created: "):
            Store.open(view / "etui.db")
        with pytest.raises(StoreError, match="there is no database"):
            Store.open(view / "etui.db", create=False)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(["etui.db", "etui.db-wal"], id="in an archive"),
        pytest.param(["etui.db", "etui.db-shm", "etui.db-wal"], id="original folder"),
    ],
)
def test_journal_of_a_killed_process_is_read(folder: Path, tmp_path: Path, seal: Seal, left: list[str]) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    with Store.open(folder / "etui.db") as store:
        store.import_documents([make_document("aaaaaaaaaaa3")])
        for name in left:
            shutil.copyfile(folder / name, killed / name)
    with seal(killed) as view, Store.open(view / "etui.db") as store:
        assert store.document("aaaaaaaaaaa3") == make_document("aaaaaaaaaaa3")
        assert store.count() == 3 and store.read_only
        assert names(view) == left


def test_interrupted_transaction_is_not_read(folder: Path, tmp_path: Path, seal: Seal) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    connection = sqlite3.connect(folder / "etui.db", isolation_level=None)
    assert connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete"
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE runs SET note = hex(zeroblob(20000)), model = 'half'")
    connection.execute("UPDATE details SET detail = hex(zeroblob(20000))")
    for name in ("etui.db", "etui.db-journal"):
        shutil.copyfile(folder / name, killed / name)
    connection.execute("ROLLBACK")
    connection.close()
    with seal(killed) as view:
        with closing(opening.open_database(view / "etui.db", create=False)) as opened, opened.read() as read:
            assert read.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert {tuple(row) for row in read.execute("SELECT model, note FROM runs")} == {("resnet18", "a note")}
        with Store.open(view / "etui.db") as store:
            assert store.document("aaaaaaaaaaa1") == make_document()
        assert names(view) == ["etui.db", "etui.db-journal"]


def test_concurrent_changes_are_visible(folder: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        view = stack.enter_context(read_only_view(folder, tmp_path / "view"))
        reader = stack.enter_context(Store.open(view / "etui.db"))
        seen = {reader.data_version()}
        for number in (3, 4):
            # Opened, written and closed again by a user with write access: first alone, then while the reader shares
            # the view.
            with Store.open(folder / "etui.db") as writer:
                for half in ("a", "b"):
                    writer.import_documents([make_document(f"aaaaaaaaaa{half}{number}")])
                    assert reader.data_version() not in seen
                    seen.add(reader.data_version())
                    assert reader.document(f"aaaaaaaaaa{half}{number}").id == f"aaaaaaaaaa{half}{number}"
            assert reader.count() == writer_count(folder)
        assert reader.read_only


def writer_count(folder: Path) -> int:
    with Store.open(folder / "etui.db") as store:
        return store.count()


def test_change_during_a_read_is_detected(folder: Path, tmp_path: Path) -> None:
    with read_only_view(folder, tmp_path / "view") as view:
        reader = opening.open_database(view / "etui.db", create=False)
        with pytest.raises(StoreError, match="was changed while it was read"), reader.read() as connection:
            connection.execute("SELECT count(*) FROM runs").fetchone()
            with Store.open(folder / "etui.db") as writer:
                writer.import_documents([make_document("aaaaaaaaaaa3")])
        with reader.read() as connection:
            assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] == 3
        reader.close()


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_older_schema_is_read_from_a_copy_and_the_file_is_not_changed(
    tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    database, export = unpacked(f"schema{version}.db", tmp_path / "data"), unpacked(f"schema{version}.json", tmp_path)
    before = database.read_bytes()
    with seal(tmp_path / "data") as view, Store.open(view / database.name) as store:
        documents = [store.document(summary.id) for summary in store.summaries(descending=False)]
        assert documents == read_documents(export)
        assert store.summaries(order_by="top1")
        with pytest.raises(StoreError, match="is read-only"):
            store.annotate(documents[0].id, note="mine")
        assert names(view) == [database.name]
    assert database.read_bytes() == before and schema_of(database) == version
    assert names(tmp_path / "tmp") == []


def test_doctor_reports_a_read_only_database(folder: Path, seal: Seal) -> None:
    with seal(folder) as view:
        result = software.database(view / "etui.db")
    assert result.status == "bad" and "with 2 runs: read-only" in result.seen and "ETUI_DB" in result.advice


def test_newer_foreign_or_damaged_file_is_refused(folder: Path, tmp_path: Path, seal: Seal) -> None:
    with sqlite3.connect(folder / "newer.db") as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        connection.execute("CREATE TABLE t (a)")
    with sqlite3.connect(folder / "foreign.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    (folder / "text.db").write_text("no database " * 200)
    with seal(folder) as view:
        for name, message in (
            ("newer", "newer version"),
            ("foreign", "another program"),
            ("text", "is not a database"),
        ):
            with pytest.raises(StoreError, match=message):
                Store.open(view / f"{name}.db")


def test_screen_reads_the_database_and_starts_no_runner(
    folder: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object) -> None:
        raise AssertionError("a runner was started on a read-only database")

    monkeypatch.setattr("etui.runner.start.ensure_runner", start)
    host = socket.gethostname()
    with Store.open(folder / "etui.db") as store:
        queued = store.add_session(make_spec(), model=MODEL, box=host)
        store.claim_next(RunnerIdentity(pid=2**22 + 1, host=host, user=user_name(), started_at="then"))
        store.add_session(make_spec(), model=MODEL, box=host)
    with seal(folder) as view:
        database = Database(view / "etui.db")
        database.open()
        assert len(RunRows(database).ids([])) == 6
        feed = Feed(database, lambda snapshot: None, lambda error: None)
        snapshot = feed.look()
        assert snapshot is not None and snapshot.problem is None
        assert snapshot.current is not None and snapshot.current.session.id == queued.id
        assert feed.look() is not None
        feed.close()
        database.close()
        with Store.open(view / "etui.db") as store:
            assert recover(store) == []
            assert store.summary(queued.runs[0][0]).status == "queued"
