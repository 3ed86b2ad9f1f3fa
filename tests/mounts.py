"""File systems that are full or read-only, mounted for a test by root; the test is skipped if they cannot be
mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of this size, such as ``64k``, on a new folder."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "etui-test", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def full_file_system(folder: Path) -> Iterator[Path]:
    """Mount a file system without free space on a new folder."""
    with small_file_system(folder, "4k"):
        (folder / "filling").write_bytes(bytes(4096))
        yield folder


@contextmanager
def read_only_view(folder: Path, at: Path) -> Iterator[Path]:
    """Mount a folder or file read-only at another path; changes made at the original path are visible there."""
    if folder.is_dir():
        at.mkdir()
    else:
        at.touch()
    _mount("--bind", str(folder), str(at))
    try:
        _mount("-o", "remount,bind,ro", str(at))
        yield at
    finally:
        _unmount(at)


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # Lazily: a process of the test may still have a file open there for a moment.
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
