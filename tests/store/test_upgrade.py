"""Databases and exports of every earlier schema open without loss; a failed upgrade does not change the file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from etui.doctor import software
from etui.errors import StoreError
from etui.results import Metrics, RunDocument
from etui.store import Store, opening, schema, upgrade
from etui.store import database as store_database
from etui.store.released_migrations import MIGRATIONS
from etui.store.transfer import read_documents
from tests.documents import encode_documents
from tests.machines import PATIENCE_S

FIXTURES = Path(__file__).parent / "fixtures"
ALL = range(1, schema.VERSION)

FROZEN = {
    "0001_first": "1ea8233e2ed35556d5fe1ac2cc2f726f3e287c2c98f3c375202fa679648e5377",
    "0002_pages": "ef57fd1383dce2f4012de9f144bd1209e35f96d72cb4913656a73cb99078f600",
    "0003_insight": "25533ea7ab3a0c25d33e3c36297f4fe5bac240025650c1077d0c50979d8ddfb7",
    "0004_classes": "80c9d595b3a1b63a7d2de3a43a5a54b5b5ca15fc960538e9f72f68e6b3d16841",
    "0005_lookups": "1d152f832ab647d1b241266c63842d5d38d77a1704bec4db0953058c3441567d",
    "0006_id_parts": "901a4d3ff2142095f19f71832220cfdc2c2cad555935793133e777d5029a9f36",
    "0007_interval_width": "0f18aad3fbf6fee165b4d5b954df050b0a9d6a1651d05376881c6391681c942c",
    "0008_shapes": "6a652f619d9a0c356cdafbdff230be5db4d54f6935e37202259fd705be9b553d",
    "0009_training_checks": "24971e5dc7361d65a5019d83014ed16e51d9c858aeb3c0d378456c440d01e131",
    "0010_trainings": "1f6889554dad25b2541d35637956e534c49d71730daa597ea8f6474a16355e35",
}
"""The hash of the statements of each released migration."""

OPEN = "import sys, pathlib; from etui.store import Store; print(Store.open(pathlib.Path(sys.argv[1])).count())"


def unpacked(name: str, folder: Path) -> Path:
    """Unpack a fixture and return its path."""
    target = folder / name
    target.write_bytes(gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()))
    return target


def documents(path: Path) -> list[RunDocument]:
    """Return all documents of a database, in the order they were stored."""
    with Store.open(path) as store:
        return [store.document(summary.id) for summary in store.summaries(descending=False)]


def statements(path: Path) -> set[tuple[str, str, str]]:
    """Return the schema of a file as its statements."""
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master"))


def schema_of(path: Path) -> int:
    """Return the schema version of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def holds(old: Any, new: Any) -> bool:
    """Whether the new JSON contains everything of the old one, possibly with additional fields."""
    if isinstance(old, dict):
        # Initially the kind of a log line was written even if it was the default.
        return isinstance(new, dict) and all(
            holds(value, new[key]) if key in new else (key, value) == ("kind", "log") for key, value in old.items()
        )
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(holds, old, new))
    return bool(old == new)


def test_released_migrations_are_frozen() -> None:
    hashes = {
        name: hashlib.sha256("\n".join(statements_of).encode()).hexdigest()
        for name, statements_of in MIGRATIONS.items()
    }
    assert hashes == FROZEN
    assert len(hashes) == schema.VERSION


@pytest.mark.parametrize("version", ALL)
def test_database_of_every_schema_opens_with_all_exported_runs(tmp_path: Path, version: int) -> None:
    database, export = unpacked(f"schema{version}.db", tmp_path), unpacked(f"schema{version}.json", tmp_path)
    assert schema_of(database) == version
    upgraded = documents(database)
    assert schema_of(database) == schema.VERSION
    assert {document.status for document in upgraded} == {"done", "failed", "interrupted"}
    assert any(document.profile for document in upgraded) is (version >= 3)
    assert upgraded == read_documents(export)
    assert holds(json.loads(export.read_bytes()), json.loads(encode_documents(upgraded)))
    new = tmp_path / "new.db"
    with Store.open(new) as store:
        assert set(store.import_documents(upgraded)) == {"new"}
    assert documents(new) == upgraded
    assert statements(database) == statements(new)
    assert {file.name for file in tmp_path.iterdir()} == {"new.db", database.name, export.name}


@pytest.mark.parametrize("version", ALL)
def test_added_columns_are_filled_from_the_documents(tmp_path: Path, version: int) -> None:
    with Store.open(unpacked(f"schema{version}.db", tmp_path)) as store:
        summaries = store.summaries(order_by="top1")
        for summary in summaries:
            accuracy = store.document(summary.id).accuracy
            overall = accuracy.end_to_end.overall if accuracy and accuracy.end_to_end else Metrics()
            assert (summary.top1, summary.top5) == (overall.top1, overall.top5)
    assert summaries[0].top1 is not None and summaries[-1].top1 is None


@pytest.mark.parametrize("version", ALL)
def test_export_of_every_schema_is_imported_unchanged(tmp_path: Path, version: int) -> None:
    export = unpacked(f"schema{version}.json", tmp_path)
    imported = read_documents(export)
    with Store.open(tmp_path / "new.db") as store:
        store.import_documents(imported)
    assert documents(tmp_path / "new.db") == imported
    again = tmp_path / "again.json"
    again.write_bytes(encode_documents(imported))
    assert read_documents(again) == imported


def test_several_processes_can_upgrade_one_file_at_once(tmp_path: Path) -> None:
    database, export = unpacked("schema1.db", tmp_path), unpacked("schema1.json", tmp_path)
    with ThreadPoolExecutor(4) as pool:
        ends = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", OPEN, database], check=False, capture_output=True, text=True
                ),
                range(4),
            )
        )
    exported = read_documents(export)
    assert [(end.returncode, end.stdout, end.stderr) for end in ends] == [(0, f"{len(exported)}\n", "")] * 4
    assert documents(database) == exported
    assert upgrade.kept_copies(database) == []


def test_upgrade_is_waited_for_longer_than_other_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, migrate, is_upgraded = unpacked("schema3.db", tmp_path), schema.migrate, upgrade._is_upgraded
    begun, waited, may_go_on = Event(), Event(), Event()

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        assert may_go_on.wait(PATIENCE_S)
        migrate(connection)

    def checked(file: Path) -> bool:
        waited.set()
        return is_upgraded(file)

    monkeypatch.setattr(store_database, "BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(schema, "migrate", slow)
    monkeypatch.setattr(upgrade, "_is_upgraded", checked)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(documents, path)
        assert begun.wait(PATIENCE_S)
        second = pool.submit(documents, path)
        assert waited.wait(PATIENCE_S)
        may_go_on.set()
        assert first.result() == second.result()
    assert upgrade.kept_copies(path) == []


def test_private_copy_is_kept_during_an_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = unpacked("schema3.db", tmp_path)
    before, migrate = run_ids(database), schema.migrate
    seen: list[tuple[int, int, list[str]]] = []

    def check_copy_and_migrate(connection: sqlite3.Connection) -> None:
        (copy,) = upgrade.kept_copies(database)
        seen.append((copy.stat().st_mode & 0o777, schema_of(copy), run_ids(copy)))
        migrate(connection)

    monkeypatch.setattr(schema, "migrate", check_copy_and_migrate)
    old = os.umask(0)
    try:
        Store.open(database).close()
    finally:
        os.umask(old)
    assert seen == [(0o600, 3, before)]
    assert [file.name for file in tmp_path.iterdir() if "upgrade" in file.name] == []


def run_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [str(row[0]) for row in connection.execute("SELECT id FROM runs ORDER BY id")]


def drop_a_table(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE passes")
    raise sqlite3.OperationalError("migration failed")


def fail_in_python(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM runs")
    raise ValueError("migration failed")


def test_upgrade_prints_its_progress_only_for_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documents(unpacked("schema2.db", tmp_path))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(upgrade, "_LARGE_BYTES", 1)
    path = unpacked("schema3.db", tmp_path)
    documents(path)
    messages = capsys.readouterr().err.splitlines()
    assert len(messages) == 4 and str(path) in messages[0]
    documents(path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("broken", [drop_a_table, fail_in_python])
def test_failed_upgrade_leaves_the_file_unchanged_and_names_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    database, export = unpacked("schema3.db", tmp_path), unpacked("schema3.json", tmp_path)
    before = statements(database)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrate", broken)
        with pytest.raises(StoreError, match="could not be upgraded from schema 3") as refused:
            Store.open(database)
    (copy,) = upgrade.kept_copies(database)
    assert str(copy) in refused.value.hint and "\n" not in str(refused.value)
    assert schema_of(database) == schema_of(copy) == 3
    assert statements(database) == statements(copy) == before
    # The next attempt succeeds and removes the copy.
    assert documents(database) == read_documents(export)
    assert upgrade.kept_copies(database) == []


def test_database_that_fails_the_integrity_check_is_not_upgraded(tmp_path: Path) -> None:
    database = unpacked("schema2.db", tmp_path)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO artifacts VALUES ('nowhere', 'pte', 1, '', '', 0)")
        connection.commit()
    with pytest.raises(StoreError, match="a row of artifacts refers to a missing one"):
        Store.open(database)
    assert schema_of(database) == 2


def test_killed_upgrade_is_repeated(tmp_path: Path) -> None:
    database, export = unpacked("schema2.db", tmp_path), unpacked("schema2.json", tmp_path)
    code = (
        "import os, signal, sys; from pathlib import Path; from etui.store import Store, upgrade;"
        "upgrade._check = lambda _: os.kill(os.getpid(), signal.SIGKILL); Store.open(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, database], check=False)
    assert done.returncode == -signal.SIGKILL
    assert schema_of(database) == 2 and len(upgrade.kept_copies(database)) == 1
    assert documents(database) == read_documents(export)
    assert upgrade.kept_copies(database) == []


def test_doctor_reports_a_remaining_copy(tmp_path: Path) -> None:
    database = unpacked("schema3.db", tmp_path)
    Store.open(database).close()
    assert software.database(database).status == "ok"
    left = tmp_path / "schema3.db.before-upgrade-from-schema-3"
    left.touch()
    result = software.database(database)
    assert result.status == "warn" and str(left) in result.seen


def test_interrupted_upgrade_leaves_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = unpacked("schema3.db", tmp_path)

    def interrupted(_: sqlite3.Connection) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "migrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store.open(database)
    assert schema_of(database) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["schema3.db"]


def test_nothing_is_upgraded_without_space_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = unpacked("schema3.db", tmp_path)
    before = database.read_bytes()
    monkeypatch.setattr(upgrade, "free_bytes", lambda folder: database.stat().st_size)
    with pytest.raises(StoreError, match=r"needs .* in .* free") as refused:
        Store.open(database)
    assert str(tmp_path) in refused.value.message and refused.value.hint
    assert database.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["schema3.db"]


def test_unwritable_copy_prevents_the_upgrade(tmp_path: Path) -> None:
    database = unpacked("schema3.db", tmp_path)
    (tmp_path / "schema3.db.before-upgrade-from-schema-3.part").mkdir()
    with pytest.raises(StoreError, match="was not upgraded: its copy"):
        Store.open(database)
    assert schema_of(database) == 3


def test_database_with_a_long_name_is_upgraded(tmp_path: Path) -> None:
    database = unpacked("schema3.db", tmp_path).rename(tmp_path / ("n" * 240))
    Store.open(database).close()
    assert schema_of(database) == schema.VERSION
    assert [file.name for file in tmp_path.iterdir()] == [database.name]
    assert software.database(database).status == "ok"


@pytest.mark.parametrize("version", ALL)
def test_file_on_a_network_file_system_is_upgraded_with_a_rollback_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    database, export = unpacked(f"schema{version}.db", tmp_path), unpacked(f"schema{version}.json", tmp_path)
    monkeypatch.setattr(opening, "is_network", lambda _: True)
    assert documents(database) == read_documents(export)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
