"""Download a file over HTTP: continue what was begun, and verify size and checksum."""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import msgspec

from etui.errors import EtuiError, StoreError
from etui.files.atomic import sync
from etui.text import plain, size

Progress = Callable[[str, int, int], None]
"""Is called with what is being done, and the bytes that are done and of all."""

PAUSES_S = (1.0, 3.0, 10.0, 30.0)
"""The waits before another attempt after a connection broke; data that arrive begin them again."""

_PIECE = 1 << 20
_SILENCE_S = 60.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_AGAIN = "run the command again: it continues where it stopped"


class RemoteFile(msgspec.Struct, frozen=True):
    """A file with its size and SHA-1 as published."""

    url: str
    size_bytes: int
    sha1: str

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]


class _Broken(Exception):
    """The connection ended early; the message is the reason."""


def part_path(target: Path) -> Path:
    """Return the file that a download is collected in until it is complete."""
    return target.with_name(f"{target.name}.part")


def download(file: RemoteFile, target: Path, progress: Progress, pauses_s: Sequence[float] = PAUSES_S) -> None:
    """Download a file, which appears as ``target`` when it is complete and verified. What was downloaded before is
    kept in ``part_path`` if the download fails or is interrupted, and is not requested again.

    Raises:
        EtuiError: there is no connection, it broke repeatedly, or the server has another file.
        StoreError: the target cannot be written.
    """
    part = part_path(target)
    left = list(pauses_s)
    best = -1
    while (present := _size(part)) < file.size_bytes:
        try:
            _receive(file, part, present, progress)
            break
        except _Broken as error:
            reached, reason = _size(part), str(error)
        if reached > max(best, 0):
            left = list(pauses_s)
        best = max(best, reached)
        if not left:
            host = urlsplit(file.url).hostname
            at = f"{size(reached)} of {size(file.size_bytes)}"
            raise EtuiError(f"the download of {file.name} from {host} broke at {at} ({reason})", _AGAIN)
        progress(f"{file.name}: waiting to continue ({reason})", reached, file.size_bytes)
        time.sleep(left.pop(0))
    _verify(file, part, progress)
    try:
        sync(part)
        part.replace(target)
    except OSError as error:
        raise _not_written(target, error) from error


def _receive(file: RemoteFile, part: Path, present: int, progress: Progress) -> None:
    """Append what is missing to the part. Raises _Broken if the connection ends early."""
    with _connected(file, present) as (response, begin), _opened(part, begin) as output:
        done = begin
        while done < file.size_bytes:
            try:
                piece = response.read(min(_PIECE, file.size_bytes - done))
            except (OSError, http.client.HTTPException) as error:
                raise _Broken(_reason(error)) from error
            if not piece:
                raise _Broken("the connection was closed")
            try:
                output.write(piece)
                output.flush()
            except OSError as error:
                raise _not_written(part, error) from error
            done += len(piece)
            progress(file.name, done, file.size_bytes)


@contextmanager
def _connected(file: RemoteFile, present: int) -> Iterator[tuple[Any, int]]:
    """The server's response, and the offset at which it begins; ``present`` bytes need not be sent."""
    headers = {"User-Agent": "etui", "Accept-Encoding": "identity"}
    if present:
        headers["Range"] = f"bytes={present}-"
    host = urlsplit(file.url).hostname
    try:
        response = urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise EtuiError(f"{host} answers {error.code} {plain(str(error.reason))} for {file.url}", _AGAIN) from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if present and isinstance(reason, ConnectionError | TimeoutError):
            raise _Broken(_reason(reason)) from error
        raise EtuiError(f"cannot connect to {host} ({_reason(reason)})", f"check the network, then {_AGAIN}") from error
    with response:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status == 206 and found is not None:
            begin, total = int(found[1]), int(found[2])
        else:
            begin, total = 0, int(response.headers.get("Content-Length") or -1)
        if total != file.size_bytes or begin not in {0, present}:
            has = f"{total:,} bytes" if total >= 0 else "an unknown size"
            raise EtuiError(
                f"the file at {file.url} has {has} instead of {file.size_bytes:,}",
                "check whether a proxy or a login page answers for the server",
            )
        yield response, begin


def _opened(part: Path, begin: int) -> IO[bytes]:
    try:
        return part.open("ab" if begin else "wb")
    except OSError as error:
        raise _not_written(part, error) from error


def _verify(file: RemoteFile, part: Path, progress: Progress) -> None:
    """Compare size and checksum, and remove a file that differs."""
    digest = hashlib.sha1(usedforsecurity=False)
    done = 0
    with part.open("rb") as content:
        while piece := content.read(_PIECE):
            digest.update(piece)
            done += len(piece)
            progress(f"verifying {file.name}", done, file.size_bytes)
    if done != file.size_bytes or digest.hexdigest() != file.sha1:
        part.unlink(missing_ok=True)
        raise EtuiError(
            f"the downloaded {file.name} does not have the published checksum, and was removed",
            "run the command again; if it repeats, another server or a proxy answers",
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved: no network, or no DNS"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return plain(text or type(error).__name__)


def _not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {plain(str(path))} ({error.strerror or error})", "check the folder and its free space"
    )
