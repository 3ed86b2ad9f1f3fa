"""Files that etui keeps for itself are readable only by the user, whatever the umask; files that a user requests follow
the umask."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui import paths
from etui.errors import StoreError
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.runner.program_cache import ProgramCache
from etui.store import Store
from etui.store.transfer import write_documents
from tests.documents import make_document
from tests.machines import ETUI, Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"


@pytest.fixture(params=[0, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set and return the umask of this process and of its subprocesses."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _accessible_to_others(folder: Path) -> list[str]:
    """Return the paths in a folder, including the folder itself, that other users could access."""
    return [f"{path} {_mode(path):o}" for path in (folder, *folder.rglob("*")) if _mode(path) & 0o077]


def test_database_and_its_journals_are_private(tmp_path: Path, umask: int) -> None:
    with Store.open(tmp_path / "data" / "etui" / "etui.db") as store:
        store.import_documents([make_document()])
        names = {path.name for path in store.path.parent.iterdir()}
        assert names == {"etui.db", "etui.db-wal", "etui.db-shm"}
        assert _accessible_to_others(tmp_path / "data") == []


def test_database_created_through_a_dangling_link_is_private(tmp_path: Path, umask: int) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with Store.open(tmp_path / "link.db") as store:
        store.import_documents([make_document()])
        assert _mode(tmp_path / "real.db") == 0o600


def test_existing_folder_keeps_its_mode_and_its_files_become_private(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    with Store.open(shared / "etui.db") as store:
        store.import_documents([make_document()])
        # Like a file of an earlier version.
        for path in shared.iterdir():
            path.chmod(0o644)
    (shared / "etui.db-wal").touch(0o644)
    (shared / "etui.db-wal").chmod(0o644)
    with Store.open(shared / "etui.db", create=False) as store:
        assert store.count() == 1
        assert _mode(shared) == 0o755
        assert {_mode(path) for path in shared.iterdir()} == {0o600}


def test_folders_created_by_etui_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ETUI_DB", "ETUI_CACHE", "ETUI_STATE"):
        monkeypatch.delenv(name, raising=False)
    for kind in ("DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
        (tmp_path / kind / "etui").mkdir(parents=True)
        (tmp_path / kind / "etui").chmod(0o755)
    places = [paths.database_path().parent, paths.cache_dir(), paths.state_dir()]
    assert all(tmp_path in place.parents for place in places)
    with Store.open(paths.database_path()):
        ProgramCache(paths.cache_dir())
        write_file(paths.state_dir() / "last-view.json", b"{}", force=True, private=True)
    assert [_mode(place) for place in places] == [0o700] * 3
    assert all(_accessible_to_others(place) == [] for place in places)
    # The user's folder above them is not changed.
    (tmp_path / "DATA").chmod(0o755)
    with Store.open(paths.database_path()):
        assert _mode(tmp_path / "DATA") == 0o755


def test_state_is_private_and_exports_follow_the_umask(tmp_path: Path, umask: int) -> None:
    write_file(tmp_path / "state" / "last-view.json", b"{}", force=True, private=True)
    assert _accessible_to_others(tmp_path / "state") == []
    (exported,) = write_documents([make_document()], tmp_path / "out" / "run.json")
    assert _mode(exported) == 0o666 & ~umask and _mode(exported.parent) == 0o777 & ~umask


def test_private_file_is_never_accessible_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise others could open a file between its creation and the change of its mode."""
    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "fchmod", lambda *_: pytest.fail("it was created accessible to others"))
        monkeypatch.setattr(private_files, "tighten", lambda *_: pytest.fail("it was created accessible to others"))
        private_files.make_folder(tmp_path / "a" / "b")
        private_files.make_file(tmp_path / "a" / "file")
        private_files.open_to_append(tmp_path / "a" / "log").close()
        private_files.create(tmp_path / "a" / "new").close()
    finally:
        os.umask(before)
    assert _accessible_to_others(tmp_path / "a") == []


@pytest.mark.slow
def test_measured_run_leaves_nothing_accessible_to_others(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "etui"
    machine.environment |= {"ETUI_DB": str(folder / "data" / "etui.db"), "ETUI_CACHE": str(folder / "cache")}
    machine.environment["ETUI_STATE"] = str(folder / "state")
    machine.database = folder / "data" / "etui.db"
    # A shell sets the umask for the command, and the runner that it starts inherits it.
    command = 'umask 0; exec "$@"'
    out = tmp_path / "out"
    commands: list[list[str | Path]] = [
        ["run", f"{TINY}:convolutional", "-p", "int8", "--preset", "quick", "--repeat", "6", "-o", out / "x.json"],
        ["run", f"{TINY}:convolutional", "--export-only", "-o", out / "programs"],
    ]
    out.mkdir()
    for arguments in commands:
        done = subprocess.run(
            ["sh", "-c", command, "sh", ETUI, *arguments],
            env=machine.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    run_id = machine.summaries()[0]["id"]
    machine.etui("profile", run_id, "--inferences", "2")
    made = [path.name for path in folder.rglob("*")]
    assert {"program.pte", "etui.db", "weights.safetensors"} <= set(made) and any(x.startswith("runner-") for x in made)
    assert _accessible_to_others(folder) == []
    assert _mode(out / "x.json") == 0o666
    assert [_mode(path) for path in (out / "programs").iterdir()] == [0o666]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a device")
def test_device_keeps_its_mode(tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    null.chmod(0o666)
    private_files.tighten(null)
    private_files.open_to_append(null).close()
    with pytest.raises(StoreError):
        Store.open(null)
    assert stat.S_IMODE(null.stat().st_mode) == 0o666


def test_pipe_keeps_its_mode(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o666)
    (tmp_path / "pipe").chmod(0o666)
    private_files.tighten(tmp_path / "pipe")
    assert _mode(tmp_path / "pipe") == 0o666
