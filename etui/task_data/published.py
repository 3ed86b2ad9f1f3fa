"""Published data sets, and their download into a folder that ``etui`` reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from etui.errors import EtuiError, StoreError, UsageError
from etui.files.locks import Held, LocksUnsupported, locked
from etui.task_data.download import PAUSES_S, Progress, RemoteFile, download, part_path
from etui.task_data.zip_extraction import extract
from etui.text import plain, size

_LOCK = ".etui-download.lock"


class Archive(msgspec.Struct, frozen=True):
    """A ZIP archive of a data set: which of its files are used, as a pattern, the size of these, and the files or
    folders of the data set, relative to it, that are complete when they exist."""

    file: RemoteFile
    members: str
    extracted_bytes: int
    provides: tuple[str, ...]


_COCO = "http://images.cocodataset.org"
# The checksums are those that GluonCV publishes for these files
# (https://cv.gluon.ai/build/examples_datasets/mscoco.html).
_COCO_ANNOTATIONS = Archive(
    RemoteFile(
        f"{_COCO}/annotations/annotations_trainval2017.zip", 252_907_541, "8551ee4bb5860311e79dace7e79cb91e432e78b3"
    ),
    "annotations/instances_*.json",
    500_000_000,
    ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
)
_COCO_VAL = Archive(
    RemoteFile(f"{_COCO}/zips/val2017.zip", 815_585_330, "4950dc9d00dbe1c933ee0170f5797584351d2a41"),
    "val2017/*.jpg",
    830_000_000,
    ("val2017",),
)
_COCO_TRAIN = Archive(
    RemoteFile(f"{_COCO}/zips/train2017.zip", 19_336_861_798, "10ad623668ab00c62c096f0ed636d6aff41faca5"),
    "train2017/*.jpg",
    19_700_000_000,
    ("train2017",),
)

COCO2017 = (_COCO_ANNOTATIONS, _COCO_VAL, _COCO_TRAIN)
COCO2017_VAL = (_COCO_ANNOTATIONS, _COCO_VAL)


def get_archives(
    archives: Sequence[Archive], folder: Path, progress: Progress, pauses_s: Sequence[float] = PAUSES_S
) -> None:
    """Download archives and extract them into a folder, one after the other; each archive is removed afterwards. What
    is there already is not downloaded again.

    Raises:
        EtuiError: a download failed, an archive is damaged, or another process downloads into the folder.
        UsageError: there is not enough disk space, or the folder is a file.
        StoreError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [archive for archive in archives if not _is_there(folder, archive)]
        _check_space(missing, folder)
        with _alone(folder):
            for archive in missing:
                _get(archive, folder, progress, pauses_s)
    except FileExistsError as error:
        raise UsageError(f"{plain(str(folder))} is a file", "choose another folder") from error
    except OSError as error:
        raise StoreError(
            f"cannot write {plain(str(folder))} ({error.strerror or error})", "check the folder and its free space"
        ) from error


def bytes_to_download(archives: Sequence[Archive], folder: Path) -> int:
    """Return what is still to be downloaded into a folder."""
    return sum(_to_download(archive, folder) for archive in archives if not _is_there(folder, archive))


def _is_there(folder: Path, archive: Archive) -> bool:
    return all((folder / name).exists() for name in archive.provides)


def _to_download(archive: Archive, folder: Path) -> int:
    zipped = folder / archive.file.name
    for present in (zipped, part_path(zipped)):
        with suppress(OSError):
            return max(0, archive.file.size_bytes - present.stat().st_size)
    return archive.file.size_bytes


def _check_space(missing: Sequence[Archive], folder: Path) -> None:
    kept = needed = 0
    for archive in missing:
        needed = max(needed, kept + _to_download(archive, folder) + archive.extracted_bytes)
        kept += archive.extracted_bytes
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{plain(str(folder))} has {size(free)} of free disk space, and {size(needed)} are needed",
            "choose a folder on another disk",
        )


def _get(archive: Archive, folder: Path, progress: Progress, pauses_s: Sequence[float]) -> None:
    zipped = folder / archive.file.name
    if not zipped.exists():
        download(archive.file, zipped, progress, pauses_s)
    made = folder / f".{archive.file.name}.extracted"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        extract(
            zipped,
            made,
            lambda name: fnmatchcase(name, archive.members),
            lambda done, of: progress(f"extracting {archive.file.name}", done, of),
        )
        absent = [name for name in archive.provides if not (made / name).exists()]
        if absent:
            raise EtuiError(f"{archive.file.name} does not have {absent[0]}", "remove it, and run the command again")
        for name in archive.provides:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if not (folder / name).exists():
                (made / name).rename(folder / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    zipped.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder. Raises EtuiError if another process has it."""
    path = folder / _LOCK
    try:
        lock = locked(path, lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), exclusive=True)
    except LocksUnsupported:
        yield
        return
    if lock is None:
        raise EtuiError(f"another process is downloading into {plain(str(folder))}", "wait for it")
    held = Held(path, lock)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        held.release()
