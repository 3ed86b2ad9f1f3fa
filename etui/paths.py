"""Where etui keeps things: the database, the cache, the locks; an environment variable moves each."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from etui import __version__
from etui.errors import UsageError

APP = "etui"
LONGEST_NAME_BYTES = 255
"""Linux file systems take no longer name of a file or folder."""
LONGEST_PATH_BYTES = 4095
_JOURNAL_BYTES = len("-journal")
"""What SQLite puts behind the name of a database for the files beside it."""
_KEY = re.compile(r"[0-9a-f]{1,64}")
_LONGEST_NAME = 200


def expanded(text: str) -> Path:
    """A path as somebody typed it, ``~`` made the home folder; a user who does not exist stays text."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError for an unknown user


def absolute(text: str, what: str, *, most_bytes: int = LONGEST_NAME_BYTES) -> Path:
    """The absolute path that somebody gave as ``what`` (an option or an environment variable), ``~`` made the home
    folder. Whether anything is there is not looked at; no name in it is longer than ``most_bytes``.

    Raises UsageError if it cannot name a file: an unknown user, a name or path that is too long, a NUL, text that is
    not Unicode, or a relative path if the working directory was removed.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"{what}: {text[:40]!a} cannot be the name of a file", "type it again") from None
    path = expanded(text)
    if text.startswith("~") and str(path).startswith("~"):
        raise UsageError(f"{what}: there is no user {text[1:].partition('/')[0]!r}", "write the whole path")
    if "\0" in text:
        raise UsageError(f"{what}: a path cannot hold a NUL character", "write the path without it")
    longest = max(path.parts, key=_bytes, default="")
    if _bytes(longest) > most_bytes:
        raise UsageError(
            f"{what}: the name {longest[:20]}... of a file or folder is longer than {most_bytes} bytes",
            "use a shorter one",
        )
    try:
        path = path.absolute()
    except OSError as error:
        raise UsageError(
            f"{what}: {text} is relative to the working directory, which is gone ({error.strerror})",
            "give an absolute path, or change to a folder that exists",
        ) from error
    if _bytes(str(path)) > LONGEST_PATH_BYTES:
        raise UsageError(f"{what}: a path of {_bytes(str(path)):,} bytes is too long", "use a shorter one")
    return path


def _bytes(text: str) -> int:
    return len(os.fsencode(text))


def database_path(chosen: str | None = None) -> Path:
    """The database file: ``--db``, else ``ETUI_DB``, else ``etui.db`` in the user's data folder. Raises UsageError."""
    if chosen:
        return absolute(chosen, "--db", most_bytes=LONGEST_NAME_BYTES - _JOURNAL_BYTES)
    if given := os.environ.get("ETUI_DB"):
        return absolute(given, "ETUI_DB", most_bytes=LONGEST_NAME_BYTES - _JOURNAL_BYTES)
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "etui.db"


def cache_dir() -> Path:
    """Prepared programs, models and inputs: ``ETUI_CACHE``, else the user's cache folder. Raises UsageError."""
    if given := os.environ.get("ETUI_CACHE"):
        return absolute(given, "ETUI_CACHE")
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def program_path(cache: Path, key: str) -> Path | None:
    """Where the program of a key lies in a cache folder if it is there. None for a key that is none: it may come from
    an imported file, and must not lead out of the cache."""
    return cache / "programs" / key / "program.pte" if _KEY.fullmatch(key) else None


def state_dir() -> Path:
    """The runner's locks and its own log: ``ETUI_STATE``, else the user's state folder. Raises UsageError."""
    if given := os.environ.get("ETUI_STATE"):
        return absolute(given, "ETUI_STATE")
    import platformdirs

    return Path(platformdirs.user_state_dir(APP, appauthor=False))


def is_default_folder(path: Path) -> bool:
    """Whether a folder is one of those that etui makes for itself in the user's home, so that nobody else has put
    anything there."""
    if path.name != APP:
        return False
    import platformdirs

    found = (platformdirs.user_data_dir, platformdirs.user_cache_dir, platformdirs.user_state_dir)
    return str(path) in {folder(APP, appauthor=False) for folder in found}


def machine_lock_path() -> Path:
    """What names the one lock of this machine, the same for every user and database, and the file that earlier versions
    lock; ``ETUI_BOX_LOCK`` is for tests."""
    return Path(os.environ.get("ETUI_BOX_LOCK", "/tmp/etui-box.lock"))


def runner_lock_path(database: Path, installation: str, host: str) -> Path:
    """The lock that the runner of one database, installation and host holds as long as it lives: a hidden file beside
    the database, so that everybody who sees the database sees it."""
    resolved = database.resolve()
    # The folder is no part of it: the same file can be mounted at another place in a container.
    name = _short_hash(f"{resolved.name} {installation} {host}")
    stem = resolved.name if len(os.fsencode(resolved.name)) <= _LONGEST_NAME else _short_hash(resolved.name)
    return resolved.with_name(f".{stem}.{name}.runner")


def runner_log_path(database: Path, installation: str) -> Path:
    """What a runner itself has to say: its own failures, never a run's log."""
    return state_dir() / f"runner-{_short_hash(f'{database.resolve()} {installation}')}.log"


def unsaved_places(database: Path) -> list[tuple[Path, str]]:
    """Where a runner puts results that the database does not take: folders, the preferred one first, and how the names
    of the files in them begin."""
    resolved = database.resolve()
    return [
        (state_dir(), f"unsaved-{_short_hash(str(resolved))}-"),
        (resolved.parent, f".unsaved-{_short_hash(resolved.name)}-"),
    ]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def installation() -> str:
    """The Python environment, code, cache, cores and settings this process measures with. A runner only takes sessions
    that were queued under the same text: one that is still warm under ``taskset``, ``nice`` or another ``HF_HOME``
    would measure something else.

    It is stored with queued sessions, so it holds no value of an environment variable. The versions of packages are
    not part of it: a queued session is measured with what is installed when it begins (see ``etui.host.installed``).
    """
    # The terminal UI needs this module for its first paint, and neither of these before a key.
    from etui.host import process_settings
    from etui.host.cgroups import cgroup_cpus

    cores = process_settings.affinity()
    parts = {
        "etui": __version__,
        "code": process_settings.code_folder(),
        "cache": cache_dir(),
        "cache-gb": os.environ.get("ETUI_CACHE_GB"),
        "cores": "all" if cores is None else ",".join(map(str, cores)),
        "quota": cgroup_cpus(),
        "settings": process_settings.digest(),
    }
    return " ".join([sys.prefix, *(f"{name} {value}" for name, value in parts.items() if value is not None)])
