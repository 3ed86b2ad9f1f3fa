"""File systems that are full or read-only, mounted for a test by root; a test that cannot have them is skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, such as ``64k``, on a new folder."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "etui-test", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def full_file_system(folder: Path) -> Iterator[Path]:
    """A file system without space on a new folder."""
    with small_file_system(folder, "4k"):
        (folder / "filling").write_bytes(bytes(4096))
        yield folder


@contextmanager
def read_only_view(folder: Path, at: Path) -> Iterator[Path]:
    """A folder or file mounted read-only at another place; what is written to it where it is can be seen there."""
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


def _mount(*words: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # Lazily: a process that the test started may have a file open there for a moment.
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
