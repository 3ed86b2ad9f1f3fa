"""A database on a network file system has a rollback journal, not WAL; the mount table is simulated."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from etui.doctor import software
from etui.errors import StoreError
from etui.host import filesystems
from etui.store import Store, database, opening
from tests.documents import make_document


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder that is on a network file system according to the mount table in ``tmp_path``."""
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:44 / {folder.resolve()} rw - nfs4 server:/data rw\n"
    )
    return folder


@pytest.fixture
def mounted(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "is_network", partial(filesystems.is_network, root=tmp_path))


def journal(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.usefixtures("mounted")
def test_new_file_has_a_synchronized_rollback_journal(data: Path, tmp_path: Path) -> None:
    with closing(opening.open_database(data / "etui.db", create=True)) as opened:
        for durable in (True, False):
            with opened.write(durable=durable) as connection:
                assert connection.execute("PRAGMA synchronous").fetchone()[0] >= 2
    assert journal(data / "etui.db") == "delete"
    with Store.open(tmp_path / "local.db"):
        pass
    assert journal(tmp_path / "local.db") == "wal"


def test_file_with_wal_is_switched_permanently(data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = data / "etui.db"
    with Store.open(path) as store:
        store.import_documents([make_document()])
    assert journal(path) == "wal"
    request.getfixturevalue("mounted")
    with Store.open(path) as store, Store.open(path) as other:
        store.import_documents([make_document("aaaaaaaaaaa2")])
        assert other.count() == 2
    assert journal(path) == "delete"
    assert [file.name for file in data.iterdir()] == ["etui.db"]
    moved = path.rename(tmp_path / "local.db")
    with Store.open(moved) as store:
        store.import_documents([make_document("aaaaaaaaaaa3")])
        assert store.count() == 3
    assert journal(moved) == "delete"


def test_file_used_with_wal_by_another_process_is_refused(
    data: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    path = data / "etui.db"
    with Store.open(path) as local:
        local.import_documents([make_document()])
        request.getfixturevalue("mounted")
        with pytest.raises(StoreError, match="network file system") as refused:
            Store.open(path)
        assert "--db or ETUI_DB" in refused.value.hint
        local.import_documents([make_document("aaaaaaaaaaa2")])
    with Store.open(path) as store:
        assert store.count() == 2


@pytest.mark.usefixtures("mounted")
def test_file_removed_during_use_is_reported(data: Path) -> None:
    with Store.open(data / "etui.db") as store:
        (data / "etui.db").unlink()
        with pytest.raises(StoreError, match="was removed or replaced"):
            store.import_documents([make_document()])


def test_concurrent_writers_lose_nothing(data: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from etui.store import Store, opening;"
        "from tests.documents import make_document; opening.is_network = lambda _: True;"
        "store = Store.open(Path(sys.argv[1]));"
        "[store.import_documents([make_document(f'aaaaaa{sys.argv[2]}{index:02d}')]) for index in range(20)]"
    )
    with ThreadPoolExecutor(3) as pool:
        ends = list(
            pool.map(
                lambda number: subprocess.run(
                    [sys.executable, "-c", code, data / "etui.db", str(number)],
                    check=False,
                    capture_output=True,
                    text=True,
                ),
                range(3),
            )
        )
    assert [(end.returncode, end.stderr) for end in ends] == [(0, "")] * 3
    assert journal(data / "etui.db") == "delete"
    with Store.open(data / "etui.db") as store:
        assert store.count() == 60


def test_doctor_reports_it_and_recommends_a_local_disk(data: Path, tmp_path: Path) -> None:
    result = software.database_file_system(data / "etui.db", tmp_path)
    assert result.status == "warn" and "nfs4" in result.seen and "ETUI_DB" in result.advice
    assert software.database_file_system(tmp_path / "etui.db", tmp_path).status == "ok"
    assert software.database_file_system(tmp_path / "etui.db", tmp_path / "none").status == "unknown"
