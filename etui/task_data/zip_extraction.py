"""Extract files of a ZIP archive into a folder, and nothing outside of it."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from etui.errors import EtuiError, StoreError
from etui.text import plain

_PIECE = 1 << 20


def extract(archive: Path, folder: Path, wanted: Callable[[str], bool], progress: Callable[[int, int], None]) -> int:
    """Write the files whose names are ``wanted`` below ``folder``, and return their number. ``progress`` is called with
    the bytes that are written and of all.

    Raises:
        EtuiError: the archive is damaged, or has a name that is not below the folder, or a link.
        StoreError: a file cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if not member.is_dir()]
            for member in members:
                _refuse_unsafe(archive, member)
            chosen = [member for member in members if wanted(member.filename)]
            total = sum(member.file_size for member in chosen)
            done = 0
            for member in chosen:
                _extract(content, member, folder / member.filename)
                done += member.file_size
                progress(done, total)
            return len(chosen)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise EtuiError(
            f"{plain(str(archive))} is damaged or not a ZIP archive ({plain(str(error))})", "download it again"
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot extract {plain(str(archive))} ({error.strerror or error})", "check the folder and its free space"
        ) from error


def _extract(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Reading to the end verifies the member's checksum.
    with content.open(member) as source, target.open("xb") as output:
        shutil.copyfileobj(source, output, _PIECE)


def _refuse_unsafe(archive: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0] if path.parts else True
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise EtuiError(
            f"{plain(str(archive))} has {plain(name)!r}, which is a link or not below the folder",
            "nothing was extracted; get the archive from another source",
        )
