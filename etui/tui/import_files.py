"""Which files a line of text names, and what comes of taking each of them in."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from etui.errors import ImportRefused, UsageError
from etui.paths import expanded
from etui.store import Store
from etui.store.transfer import read_documents
from etui.text import counted


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one file: how many runs were new and how many known, or why it was refused."""

    path: Path
    new: int = 0
    known: int = 0
    refused: str | None = None


def named_files(text: str) -> list[Path]:
    """The files that a text names: a file, a folder (its .json files), a pattern with ``*``, or several of these with
    spaces between them, quoted where a name holds one.

    Raises UsageError where one of them names nothing, or cannot be read.
    """
    if not text.strip():
        raise UsageError("no path is given", "name a file, a folder or a pattern such as results/*.json")
    whole = expanded(text.strip())
    try:
        if whole.exists():
            return _files_of(str(whole))
        parts = shlex.split(text)
    except OSError as error:
        raise UsageError(f"cannot reach {text.strip()} ({error.strerror})", "check its permissions") from error
    except ValueError as error:
        raise UsageError(f"cannot tell the paths apart ({error})", "close the quotation mark") from error
    return list(dict.fromkeys(path for part in parts for path in _files_of(part)))


def take_in(database: Path, files: Sequence[Path], stopped: Callable[[], bool]) -> Iterator[Taken]:
    """Take in one file after the other, saying what came of each, until all are done or ``stopped`` says so.

    Raises StoreError where the database cannot be written.
    """
    store = None
    try:
        for path in files:
            if stopped():
                return
            try:
                documents = read_documents(path)
            except ImportRefused as error:
                yield Taken(path=path, refused=error.message)
                continue
            # A database is made for runs that can be taken in, not for files that cannot.
            store = store or Store.open(database)
            outcomes = store.import_documents(documents)
            yield Taken(path=path, new=outcomes.count("new"), known=outcomes.count("known"))
    finally:
        if store is not None:
            store.close()


def outcome(taken: Sequence[Taken]) -> str:
    """All of it in one sentence."""
    new, known = sum(one.new for one in taken), sum(one.known for one in taken)
    refused = sum(one.refused is not None for one in taken)
    words = [f"{counted(new, 'run')} came in"]
    if known:
        words.append(f"{known:,} {'was' if known == 1 else 'were'} there already")
    if refused:
        words.append(f"{counted(refused, 'file')} {'was' if refused == 1 else 'were'} refused")
    return ", ".join(words)


def _files_of(part: str) -> list[Path]:
    path = expanded(part)
    try:
        if path.is_dir():
            found = sorted(child for child in path.iterdir() if child.suffix == ".json" and child.is_file())
            if not found:
                raise UsageError(f"the folder {path} holds no .json files", "name another")
            return found
        if path.exists():
            return [path]
        found = sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file())  # noqa: PTH207
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})", "check its permissions") from error
    if not found:
        what = "matches no file" if glob.has_magic(str(path)) else "does not exist"
        raise UsageError(f"{path} {what}", "check the path")
    return found
