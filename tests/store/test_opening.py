"""Opening the file: made, migrated once, refused where it is not ours, and never written when refused."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from etui.errors import StoreError
from etui.store import Store, database, schema
from tests.documents import make_document

FROZEN = "0de736015df0f7bc9362fab138c1a80591451cc9ab989abe71220f7abea538a6"
"""The hash over the statements of migrations 1 to 3, as they were released."""


def test_a_new_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "etui.db"
    with Store.open(path):
        pass
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("SELECT name FROM _sqlite_migrations").fetchall() == [
        ("0001_first",),
        ("0002_pages",),
        ("0003_insight",),
        ("0004_classes",),
        ("0005_lookups",),
    ]


def test_a_file_of_version_3_is_migrated_with_its_top1(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    document, without = make_document(), make_document("aaaaaaaaaaa2")
    without.accuracy = None
    with Store.open(path) as store:
        store.import_documents([document, without])
    connection = sqlite3.connect(path)
    connection.executescript(" ".join(f"DROP INDEX {statement.split()[2]};" for statement in schema._LOOKUPS))
    connection.executescript(
        "DROP INDEX runs_by_top1; ALTER TABLE runs DROP COLUMN top1; ALTER TABLE runs DROP COLUMN top5;"
        "DELETE FROM _sqlite_migrations WHERE name >= '0004_classes'; PRAGMA user_version = 3;"
    )
    connection.close()
    with Store.open(path) as store:
        found = {summary.id: summary.accuracy for summary in store.summaries(order_by="top1")}
        assert (found[document.id].top1, found[document.id].top5) == (1.0, 0.96)
        assert (found[without.id].top1, found[without.id].top5) == (None, None)
        assert store.document(document.id) == document
        store.save_document(make_document("aaaaaaaaaaa3"))
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone()[0] == schema.VERSION


def test_the_released_migrations_are_frozen() -> None:
    statements = "\n".join((*schema._TABLES, *schema._VIEWS, *schema._INDEXES, *schema._PAGES, *schema._INSIGHT))
    assert hashlib.sha256(statements.encode()).hexdigest() == FROZEN


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Store.open(tmp_path / "etui.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    code = "import sys; from pathlib import Path; from etui.store import Store; Store.open(Path(sys.argv[1])).count()"
    with ThreadPoolExecutor(4) as pool:
        ends = list(
            pool.map(lambda _: subprocess.run([sys.executable, "-c", code, path], check=False).returncode, range(4))
        )
    assert ends == [0, 0, 0, 0]


def test_an_up_to_date_file_is_opened_without_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    Store.open(path).close()
    code = (
        "import sys; from pathlib import Path; from etui.store import Store; Store.open(Path(sys.argv[1])).summaries();"
        "print({'sqlite_utils', 'pandas', 'numpy', 'torch', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_migrating_does_not_hide_pandas_for_good(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from etui.store import Store; Store.open(Path(sys.argv[1]));"
        "assert 'sqlite_utils' in sys.modules; assert 'pandas' not in sys.modules; import numpy; numpy.zeros(1)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "etui.db"], check=True)


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    Store.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer etui.*update etui"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    path.write_text("not a database, but long enough to be read as the header of one " * 20)
    with pytest.raises(StoreError, match="is not a database"):
        Store.open(path)
    with pytest.raises(StoreError, match="is a folder"):
        Store.open(tmp_path)


def test_a_damaged_file_is_one_clear_word(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    with Store.open(path) as store:
        for index in range(50):
            store.save_document(make_document(f"aaaaaaaaaa{index:02d}"))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="damaged"), Store.open(path) as store:
        store.summaries()


def test_a_locked_file_is_one_clear_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_cannot_be_written_is_one_clear_word(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot"):
        Store.open(tmp_path / "etui.db")


def test_a_path_through_a_file_is_one_clear_word(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create the folder"):
        Store.open(tmp_path / "file" / "below" / "etui.db")


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "etui.db")
    broken = make_document("aaaaaaaaaaa2")
    broken.model = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        store.import_documents([make_document(), broken])
    assert store.count() == 0
    assert store.import_document(make_document()) == "new"
