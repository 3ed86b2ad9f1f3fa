"""Opening the file: creation, migration, refusal of other files without changing them, and full disks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from etui.errors import StoreError
from etui.store import Store, database, schema
from etui.store.opening import open_database
from etui.store.released_migrations import MIGRATIONS
from tests.documents import make_document
from tests.mounts import full_file_system, small_file_system

NORMAL, EXTRA = 1, 3
"""Levels of SQLite's pragma ``synchronous``."""


def test_new_file_is_created_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "etui.db"
    with Store.open(path) as store:
        assert store.is_in_place() and not store.read_only
        path.rename(tmp_path / "moved.db")
        assert not store.is_in_place()
        (tmp_path / "moved.db").rename(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    names = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert names == list(MIGRATIONS)


def test_reading_creates_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Store.open(tmp_path / "etui.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_can_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    code = "import sys; from pathlib import Path; from etui.store import Store; Store.open(Path(sys.argv[1])).count()"
    with ThreadPoolExecutor(4) as pool:
        ends = list(
            pool.map(lambda _: subprocess.run([sys.executable, "-c", code, path], check=False).returncode, range(4))
        )
    assert ends == [0, 0, 0, 0]


def test_current_file_is_opened_without_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    Store.open(path).close()
    code = (
        "import sys; from pathlib import Path; from etui.store import Store; Store.open(Path(sys.argv[1])).summaries();"
        "print({'sqlite_utils', 'pandas', 'numpy', 'torch', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_newer_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    Store.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer version.*update etui"):
        Store.open(path)
    assert path.read_bytes() == before


def test_database_of_another_program_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(path)
    assert path.read_bytes() == before


def test_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    path.write_text("not a database, but long enough to be read as the header of one " * 20)
    with pytest.raises(StoreError, match="is not a database"):
        Store.open(path)
    with pytest.raises(StoreError, match="is a folder"):
        Store.open(tmp_path)


def test_damaged_file_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    with Store.open(path) as store:
        for index in range(50):
            store.save_document(make_document(f"aaaaaaaaaa{index:02d}"))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="damaged"), Store.open(path) as store:
        store.summaries()


def test_locked_file_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "etui.db"
    store = Store.open(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process"):
        store.save_document(make_document())
    assert store.count() == 0
    holder.execute("ROLLBACK")
    store.save_document(make_document())
    assert store.count() == 1


def test_path_through_a_file_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create the folder"):
        Store.open(tmp_path / "file" / "below" / "etui.db")


def test_loop_of_links_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    path.symlink_to(path)
    for create in (True, False):
        with pytest.raises(StoreError, match=r"no database at|cannot be opened"):
            Store.open(path, create=create)


def test_link_opens_its_target(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path, file = tmp_path / "link.db", tmp_path / "elsewhere" / "etui.db"
    path.symlink_to(file)
    with Store.open(path) as store:
        store.import_documents([make_document()])
    with Store.open(file, create=False) as store:
        assert store.count() == 1
    assert [file.name for file in tmp_path.iterdir() if "-wal" in file.name] == []


def test_all_writes_except_log_lines_are_synchronized(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "etui.db", create=True)) as opened:
        for durable, level in ((True, EXTRA), (False, NORMAL), (True, EXTRA)):
            with opened.write(durable=durable) as connection:
                assert connection.execute("PRAGMA synchronous").fetchone()[0] == level


def run_with_tmp(folder: Path, code: str, database: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has this folder for temporary files. SQLite reads the variables only once."""
    lines = (
        "import sys; from pathlib import Path; from etui.store import documents; from tests.documents import"
        f" make_document; from etui.store.opening import open_database; {code}"
    )
    environment = {**os.environ, "TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", lines, database], check=False, capture_output=True, text=True, env=environment
    )


STORE_MUCH = """
with open_database(Path(sys.argv[1]), create=True).write() as connection:
    for index in range(300):
        documents.import_document(connection, make_document(f"aaaaaaaaa{index:03d}"))
"""
DELETE_MUCH = """
with open_database(Path(sys.argv[1]), create=False).write() as connection:
    print(connection.execute("DELETE FROM runs").rowcount)
"""
"""One statement with a statement journal larger than SQLite keeps in memory by default."""


def test_full_folder_for_temporary_files_loses_nothing(tmp_path: Path) -> None:
    with full_file_system(tmp_path / "tmp") as full:
        done = run_with_tmp(full, STORE_MUCH + DELETE_MUCH, tmp_path / "etui.db")
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_missing_folder_for_temporary_files_loses_nothing(tmp_path: Path) -> None:
    done = run_with_tmp(tmp_path / "none", STORE_MUCH + DELETE_MUCH, tmp_path / "etui.db")
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_full_disk_is_reported_and_nothing_is_partially_stored(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", "1m") as small, Store.open(small / "etui.db") as store:
        large = make_document()
        large.blocks[0].samples_ms = [float(sample) for sample in range(200_000)]
        with pytest.raises(StoreError, match="no space is left on the file system of the database") as refused:
            store.import_documents([large])
        assert str(small) in refused.value.message and "free)" in refused.value.message
        assert store.count() == 0
        store.import_documents([make_document()])
        assert store.document("aaaaaaaaaaa1") == make_document()


def test_file_size_limit_is_reported(tmp_path: Path) -> None:
    Store.open(tmp_path / "etui.db").close()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    done = run_with_tmp(tmp_path, limit + STORE_MUCH, tmp_path / "etui.db")
    assert done.returncode == 1 and "ulimit -f" in done.stderr
    with Store.open(tmp_path / "etui.db") as store:
        assert store.count() == 0


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "etui.db")
    broken = make_document("aaaaaaaaaaa2")
    broken.model = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        store.import_documents([make_document(), broken])
    assert store.count() == 0
    assert store.import_documents([make_document()]) == ["new"]
