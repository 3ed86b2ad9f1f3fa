"""The program cache: used entries are not removed, damaged ones are not used, and leftovers are removed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from etui.errors import EtuiError
from etui.files import cache_entries
from etui.files.cache_entries import Scratch, making
from etui.host import filesystems
from etui.jobs import BundleResult, LowerResult
from etui.results import Artifact, InputsInfo, ModelInfo, Stage, WeightsInfo
from etui.runner.program_cache import ProgramCache

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32
"""Keys in the cache's format: 32 hexadecimal digits."""

LONG_AGO_S = 1_000_000_000


def _program(cache: ProgramCache, key: str, size: int = 1000) -> Path:
    folder = cache.program_dir(key)
    content = os.urandom(size)
    lowered = LowerResult(
        path="elsewhere",
        artifact=Artifact(kind="pte", size_bytes=size, sha256=_sha256(content), key=key),
        stages=[Stage(name="lower", seconds=1.0)],
    )
    with making(folder) as made:
        (made / "program.pte").write_bytes(content)
        (made / "reference.safetensors").write_bytes(_safetensors(4))
        (made / "lowered.json").write_bytes(msgspec.json.encode(lowered))
    return folder


def _bundle(cache: ProgramCache, key: str, *, cached: bool = True) -> BundleResult:
    folder = cache.root / "models" / key
    result = BundleResult(
        path=str(folder),
        key=key,
        model=ModelInfo(name="m", family="cnn", source="s", identity="i"),
        weights=WeightsInfo(kind="synthetic", detail="d"),
        inputs=InputsInfo(
            kind="k", detail="d", accuracy_count=1, calibration_count=1, sha256="0", shapes=[], dtypes=[]
        ),
        stages=[],
        cached=cached,
    )
    if not folder.exists():
        with making(folder) as made:
            (made / "weights.safetensors").write_bytes(_safetensors(8))
            (made / "bundle.json").write_bytes(msgspec.json.encode(result))
    return result


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _safetensors(size: int) -> bytes:
    header = msgspec.json.encode({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    return len(header).to_bytes(8, "little") + header + os.urandom(size)


def _age(folder: Path, at_s: int = LONG_AGO_S) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (at_s, at_s))


async def _take(cache: ProgramCache, key: str) -> tuple[LowerResult | None, list[str]]:
    messages: list[str] = []
    return await cache.take(key, messages.append), messages


def _hold_program(root: Path, key: str, parent: Connection) -> None:
    cache = ProgramCache(root)
    asyncio.run(cache.take(key, print))
    parent.send("held")
    parent.recv()


@contextmanager
def _held_elsewhere(root: Path, key: str) -> Iterator[multiprocessing.process.BaseProcess]:
    """Start another process, like one of another runner, that uses a program."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold_program, args=(root, key, theirs))
    process.start()
    assert ours.recv() == "held"
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.asyncio
async def test_cached_program_is_found_and_marked_as_cached(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    program, messages = await _take(cache, ONE)
    assert program is not None and program.path == str(folder / "program.pte")
    assert program.artifact.cached and program.stages[0].cached
    assert cache.has(ONE) and not messages
    assert await _take(cache, TWO) == (None, []) and not cache.has(TWO)
    assert await _take(cache, "../elsewhere") == (None, [])


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["program.pte", "reference.safetensors", "lowered.json", "files.json"])
@pytest.mark.parametrize("damage", ["cut", "zeroed", "missing"])
async def test_damaged_program_is_removed_and_reported(tmp_path: Path, name: str, damage: str) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    path = folder / name
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[:-1])
        case "zeroed":
            path.write_bytes(bytes(len(content)))
        case "missing":
            path.unlink()
    program, messages = await _take(cache, ONE)
    if (name, damage) == ("files.json", "missing"):
        # Like one of an earlier version, which is verified by its own lengths and hash.
        assert program is not None and not messages
    else:
        assert program is None and len(messages) == 1
        assert not folder.exists()
    assert not [entry for entry in (tmp_path / "programs").iterdir() if entry.name.startswith(".")]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["program.pte", "reference.safetensors"])
async def test_entry_of_an_earlier_version_is_verified_without_a_file_list(tmp_path: Path, name: str) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    (folder / "files.json").unlink()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(bytes(len(content)))
    program, messages = await _take(cache, ONE)
    assert program is None and messages


@pytest.mark.asyncio
async def test_damage_after_a_verification_is_detected(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    program = folder / "program.pte"
    _age(folder)
    assert (await _take(cache, ONE))[0] is not None
    program.write_bytes(bytes(program.stat().st_size))
    os.utime(program, (LONG_AGO_S, LONG_AGO_S))
    assert (await _take(cache, ONE))[0] is None


@pytest.mark.asyncio
async def test_damaged_bundle_is_rebuilt(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    _bundle(cache, ONE)
    (tmp_path / "models" / ONE / "weights.safetensors").write_bytes(b"")
    messages: list[str] = []
    made = 0

    async def make() -> BundleResult:
        nonlocal made
        made += 1
        return _bundle(cache, ONE, cached=made == 1)

    bundle = await cache.take_bundle(make, messages.append)
    assert (made, bundle.cached, len(messages)) == (2, False, 1)
    assert (Path(bundle.path) / "weights.safetensors").stat().st_size > 0


@pytest.mark.asyncio
async def test_bundle_removed_before_it_is_locked_is_rebuilt(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    made = 0

    async def make() -> BundleResult:
        nonlocal made
        made += 1
        bundle = _bundle(cache, ONE)
        if made == 1:
            # Like the removal by another runner, once the worker has released it.
            assert ProgramCache(tmp_path).sweep(cap_bytes=0) > 0
        return bundle

    bundle = await cache.take_bundle(make, lambda message: None)
    assert made == 2 and Path(bundle.path).exists()
    assert ProgramCache(tmp_path).sweep(cap_bytes=0) == 0


@pytest.mark.asyncio
async def test_damaged_program_in_use_is_not_removed(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    with _held_elsewhere(tmp_path, ONE):
        (folder / "program.pte").write_bytes(b"")
        with pytest.raises(EtuiError, match="another process"):
            await _take(cache, ONE)
        assert folder.exists()


@pytest.mark.asyncio
async def test_size_limit_removes_the_least_recently_used_but_not_locked_entries(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    folders = [_program(cache, key) for key in (ONE, TWO, THREE)]
    await _take(cache, ONE)
    for age, folder in enumerate(folders):
        os.utime(folder, (1000 + age, 1000 + age))
    size = sum(file.stat().st_size for file in folders[0].iterdir())
    assert cache.sweep(cap_bytes=2 * size + 10) == pytest.approx(size, abs=100)
    assert [folder.exists() for folder in folders] == [True, False, True]
    cache.release()
    cache.sweep(cap_bytes=0)
    assert not any(folder.exists() for folder in folders)
    assert not list((tmp_path / "locks").iterdir())


def test_entry_used_by_another_process_is_not_removed(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    folder = _program(cache, ONE)
    with _held_elsewhere(tmp_path, ONE) as process:
        _age(folder)
        cache.sweep(cap_bytes=0)
        assert folder.exists()
        # Its lock is released with it, however it ends.
        process.kill()
        process.join()
        cache.sweep(cap_bytes=0)
        assert not folder.exists()


def _leave(root: Path) -> None:
    """End like a process that is killed while it creates files."""
    Scratch(root / "scratch" / "session-x")
    (root / "scratch" / "session-x" / "programs").mkdir()
    with making(root / "programs" / ONE) as made:
        (made / "program.pte").write_bytes(b"half")
        os._exit(0)


def test_leftovers_of_an_ended_process_are_removed_but_not_those_of_a_live_one(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=_leave, args=(tmp_path,))
    process.start()
    process.join()
    own = cache.scratch("session")
    with making(tmp_path / "programs" / TWO) as mine:
        left = [entry for entry in (tmp_path / "programs").iterdir() if entry != mine]
        assert len(left) == 1 and (tmp_path / "scratch" / "session-x").exists()
        cache.sweep()
        assert mine.exists() and own.root.exists()
        assert not left[0].exists() and not (tmp_path / "scratch" / "session-x").exists()
    own.remove()
    assert not (tmp_path / "scratch").exists()


def test_leftovers_of_other_hosts_are_kept_for_a_day(tmp_path: Path) -> None:
    """Their names contain a process id, which has no meaning on another host or in another container."""
    cache = ProgramCache(tmp_path)
    making_it, session = tmp_path / "programs" / ".4190000-abc", tmp_path / "scratch" / "4190000-session"
    for folder in (making_it, session):
        folder.mkdir(parents=True)
    cache.sweep()
    assert making_it.exists() and session.exists()
    for folder in (making_it, session):
        _age(folder)
    cache.sweep()
    assert not making_it.exists() and not session.exists()


@pytest.mark.parametrize("obstacle", ["no locks", "network"])
def test_only_old_entries_are_removed_without_reliable_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "no locks":

        def refuse(fd: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
    else:
        monkeypatch.setattr(cache_entries, "is_network", lambda path: True)
        assert not filesystems.is_network(tmp_path)
    cache = ProgramCache(tmp_path)
    recent, old = _program(cache, ONE), _program(cache, TWO)
    half_made = tmp_path / "programs" / f".{THREE}-abc"
    half_made.mkdir()
    _age(old)
    cache.sweep(cap_bytes=0)
    assert recent.exists() and half_made.exists() and not old.exists()
    _age(half_made)
    cache.sweep(cap_bytes=10**9)
    assert not half_made.exists()


def test_entries_that_disappear_during_removal_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another runner sweeps the same folder at the same time."""
    cache = ProgramCache(tmp_path)
    gone = [_program(cache, key) for key in (ONE, TWO)]
    for folder in gone:
        _age(folder)
    original = os.walk
    calls = 0

    def walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        nonlocal calls
        calls += 1
        entries = list(original(top))
        for folder in gone:
            cache_entries.remove(folder)
        return iter(entries)

    monkeypatch.setattr(os, "walk", walk)
    cache.sweep(cap_bytes=0)
    assert calls and not any(folder.exists() for folder in gone)


def test_entry_is_synchronized_to_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ProgramCache(tmp_path)
    synced: list[str] = []
    original = os.fsync

    def fsync(fd: int) -> None:
        if not cache.program_dir(ONE).exists():
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    _program(cache, ONE)
    assert {"program.pte", "reference.safetensors", "lowered.json", "files.json"} <= set(synced)
    assert any(name.startswith(f".{ONE}-") for name in synced)


def test_leftover_files_are_removed_after_a_day(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    (tmp_path / "hashes").mkdir()
    left = [tmp_path / name for name in (".write-1", ".hub-x", "hashes/.abc.1")]
    for file in left:
        file.write_text("")
    cache.sweep()
    assert all(file.exists() for file in left)
    for file in left:
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))
    cache.sweep()
    assert not any(file.exists() for file in left)


def test_unwritable_cache_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EtuiError, match="cannot write to the cache"):
        ProgramCache(tmp_path / "file")
