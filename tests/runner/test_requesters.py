"""The lock of commands that wait for an analysis: when the analysis is deserted, when it continues without them, and
leftovers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from etui.paths import requester_lock_path, requester_lock_paths
from etui.runner.requesters import DesertionWatch, is_deserted, needs_nobody, remove_leftovers, wait_for

ONE, TWO = "a" * 12, "b" * 12


def _wait(database: Path, analysis_id: str, is_new: bool, parent: Connection) -> None:
    held = wait_for(database, analysis_id, is_new=is_new)
    parent.send(held is not None)
    parent.recv()


@contextmanager
def command(database: Path, analysis_id: str, *, is_new: bool) -> Iterator[bool]:
    """Start a process that waits for an analysis and is killed at the end; yield whether it is registered."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_wait, args=(database, analysis_id, is_new, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def test_analysis_is_deserted_when_its_last_command_is_killed(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    with command(database, ONE, is_new=True) as first:
        with command(database, ONE, is_new=False) as second:
            assert first and second and not is_deserted(database, ONE)
        assert not is_deserted(database, ONE)
    assert is_deserted(database, ONE) and not is_deserted(database, TWO)


def test_two_commands_for_a_new_analysis_share_one_file(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    with command(database, ONE, is_new=True) as first:
        with command(database, ONE, is_new=True) as second:
            assert first and second
        assert not is_deserted(database, ONE)
        assert list(tmp_path.iterdir()) == [requester_lock_path(database, ONE)]


def test_detached_analysis_stays_detached(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    with command(database, ONE, is_new=False) as registered:
        assert not registered
    assert not is_deserted(database, ONE) and not list(tmp_path.iterdir())
    with command(database, ONE, is_new=True):
        needs_nobody(database, ONE)
    assert not is_deserted(database, ONE)
    needs_nobody(database, ONE)


def test_command_that_starts_before_the_check_takes_over(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    with command(database, ONE, is_new=True):
        pass
    with command(database, ONE, is_new=False) as registered:
        assert registered and not is_deserted(database, ONE)


def test_desertion_once_detected_is_final(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    with command(database, ONE, is_new=True):
        pass
    watch = DesertionWatch(database, ONE)
    assert watch.check()
    needs_nobody(database, ONE)
    assert watch.check() and watch.deserted


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    database = tmp_path / ("d" * 240)
    for analysis_id in (ONE, TWO):
        with command(database, analysis_id, is_new=True):
            pass
    others = [tmp_path / f".{database.name[:200]}.x.requester", tmp_path / ".other.db.cccccccccccc.requester"]
    for other in others:
        other.touch()
    remove_leftovers(database, {TWO})
    assert [analysis_id for analysis_id, _ in requester_lock_paths(database)] == [TWO]
    assert all(other.exists() for other in others)


def test_unwritable_folder_registers_nothing(tmp_path: Path) -> None:
    database = tmp_path / "absent" / "etui.db"
    assert wait_for(database, ONE, is_new=True) is None
    assert not is_deserted(database, ONE) and requester_lock_paths(database) == []
