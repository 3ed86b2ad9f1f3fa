"""Paths of the database, cache, state and locks, each configurable by an environment variable."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from etui import __version__
from etui.errors import UsageError

APP = "etui"
LOCK_VARIABLE = "ETUI_BOX_LOCK"
LONGEST_NAME_BYTES = 255
"""The longest file name on Linux file systems."""
LONGEST_PATH_BYTES = 4095
_JOURNAL_BYTES = len("-journal")
"""The longest suffix that SQLite appends to a database's name for its auxiliary files."""
_KEY = re.compile(r"[0-9a-f]{1,64}")
_LONGEST_NAME = 200
_REQUESTER = ".requester"


def expanded(text: str) -> Path:
    """Return a path as typed, with ``~`` expanded; an unknown user name is kept as text."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError for an unknown user


def absolute(text: str, what: str, *, most_bytes: int = LONGEST_NAME_BYTES) -> Path:
    """Return the absolute path given for ``what`` (an option or an environment variable), with ``~`` expanded. It need
    not exist; names of more than ``most_bytes`` bytes are rejected.

    Raises UsageError if it cannot name a file: an unknown user, a name or path that is too long, a NUL character, text
    that is not Unicode, or a relative path if the working directory was removed.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"{what}: {text[:40]!a} is not a valid file name", "type it again") from None
    path = expanded(text)
    if text.startswith("~") and str(path).startswith("~"):
        raise UsageError(f"{what}: user {text[1:].partition('/')[0]!r} does not exist", "give the full path")
    if "\0" in text:
        raise UsageError(f"{what}: a path cannot contain a NUL character", "remove it")
    longest = max(path.parts, key=_bytes, default="")
    if _bytes(longest) > most_bytes:
        raise UsageError(
            f"{what}: the file name {longest[:20]}... is longer than {most_bytes} bytes",
            "use a shorter one",
        )
    try:
        path = path.absolute()
    except OSError as error:
        raise UsageError(
            f"{what}: {text} is relative to the working directory, which no longer exists ({error.strerror})",
            "give an absolute path, or change to an existing folder",
        ) from error
    if _bytes(str(path)) > LONGEST_PATH_BYTES:
        raise UsageError(f"{what}: a path of {_bytes(str(path)):,} bytes is too long", "use a shorter one")
    return path


def _bytes(text: str) -> int:
    return len(os.fsencode(text))


def database_path(option: str | None = None) -> Path:
    """Return the database file: ``--db``, else ``ETUI_DB``, else ``etui.db`` in the user's data folder. Raises
    UsageError."""
    if option:
        return absolute(option, "--db", most_bytes=LONGEST_NAME_BYTES - _JOURNAL_BYTES)
    if given := os.environ.get("ETUI_DB"):
        return absolute(given, "ETUI_DB", most_bytes=LONGEST_NAME_BYTES - _JOURNAL_BYTES)
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "etui.db"


def cache_dir() -> Path:
    """Return the folder of prepared programs, models and inputs: ``ETUI_CACHE``, else the user's cache folder. Raises
    UsageError."""
    if given := os.environ.get("ETUI_CACHE"):
        return absolute(given, "ETUI_CACHE")
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def program_path(cache: Path, key: str, name: str = "program.pte") -> Path | None:
    """Return the path of a program in a cache folder, whether it exists or not; ``name`` is that of its file (see
    ``etui.catalog.delegates.program_file``). None for an invalid key: keys may come
    from an imported file, and must not lead out of the cache."""
    return cache / "programs" / key / name if _KEY.fullmatch(key) else None


def state_dir() -> Path:
    """Return the folder of the runner's log and unsaved results: ``ETUI_STATE``, else the user's state folder. Raises
    UsageError."""
    if given := os.environ.get("ETUI_STATE"):
        return absolute(given, "ETUI_STATE")
    import platformdirs

    return Path(platformdirs.user_state_dir(APP, appauthor=False))


def npu_environment() -> Path:
    """Return the Python environment with the tools for Arm Ethos-U: ``ETUI_NPU_ENV``, else ``npu-env`` in the user's
    data folder. It need not exist. Raises UsageError."""
    if given := os.environ.get("ETUI_NPU_ENV"):
        return absolute(given, "ETUI_NPU_ENV")
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "npu-env"


def is_default_folder(path: Path) -> bool:
    """Whether a folder is one of etui's default folders in the user's home, which no other program uses."""
    if path.name != APP:
        return False
    import platformdirs

    functions = (platformdirs.user_data_dir, platformdirs.user_cache_dir, platformdirs.user_state_dir)
    return str(path) in {folder(APP, appauthor=False) for folder in functions}


def machine_lock_path() -> Path:
    """Return the path that identifies the machine lock, the same for every user and database, and that earlier versions
    lock as a file; ``ETUI_BOX_LOCK`` is for tests."""
    return Path(os.environ.get(LOCK_VARIABLE, "/tmp/etui-box.lock"))


def runner_lock_path(database: Path, installation: str, host: str) -> Path:
    """Return the lock file of the runner of one database, installation and host: a hidden file next to the database, so
    that every process that sees the database sees the lock."""
    resolved = database.resolve()
    # Without the folder: the same file can be mounted elsewhere in a container.
    name = _short_hash(f"{resolved.name} {installation} {host}")
    return resolved.with_name(f".{_stem(resolved)}.{name}.runner")


def requester_lock_path(database: Path, analysis_id: str) -> Path:
    """Return the lock file of the commands that wait for an analysis: a hidden file next to the database."""
    resolved = database.resolve()
    return resolved.with_name(f".{_stem(resolved)}.{analysis_id}{_REQUESTER}")


def requester_lock_paths(database: Path) -> list[tuple[str, Path]]:
    """Return the existing lock files of commands that wait for analyses, each with the id of its analysis."""
    resolved = database.resolve()
    start = f".{_stem(resolved)}."
    try:
        files = [path for path in resolved.parent.iterdir() if path.name.startswith(start)]
    except OSError:
        return []
    middles = [(path.name.removeprefix(start).removesuffix(_REQUESTER), path) for path in files]
    return [(middle, path) for middle, path in middles if path.name.endswith(_REQUESTER) and _KEY.fullmatch(middle)]


def _stem(database: Path) -> str:
    """The name of a database in the names of hidden files next to it, shortened if it is too long for that."""
    return database.name if len(os.fsencode(database.name)) <= _LONGEST_NAME else _short_hash(database.name)


def runner_log_path(database: Path, installation: str) -> Path:
    """Return the log file of a runner for its own failures, separate from the logs of runs."""
    return state_dir() / f"runner-{_short_hash(f'{database.resolve()} {installation}')}.log"


def unsaved_places(database: Path) -> list[tuple[Path, str]]:
    """Return where a runner keeps results that the database does not accept: folders, the preferred one first, each
    with the prefix of its file names."""
    resolved = database.resolve()
    return [
        (state_dir(), f"unsaved-{_short_hash(str(resolved))}-"),
        (resolved.parent, f".unsaved-{_short_hash(resolved.name)}-"),
    ]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def installation() -> str:
    """Return a text that identifies the Python environment, code, cache, cores and settings of this process. A runner
    only takes sessions that were queued under the same text: a runner started under ``taskset``, ``nice`` or another
    ``HF_HOME`` would measure something else.

    The text is stored with queued sessions, so it contains no value of an environment variable except ``ETUI_CACHE_GB``
    and paths. Package versions are not part of it: a queued session is measured with the packages installed when it
    starts (see ``etui.host.installed``).
    """
    # Imported late: the screen needs this module for its first paint, but not these.
    from etui.host import process_settings
    from etui.host.cgroups import cgroup_cpus
    from etui.host.litert_converter import VARIABLE as LITERT_VARIABLE

    cores = process_settings.affinity()
    parts = {
        "etui": __version__,
        "code": process_settings.code_folder(),
        "cache": cache_dir(),
        "cache-gb": os.environ.get("ETUI_CACHE_GB"),
        "cores": "all" if cores is None else ",".join(map(str, cores)),
        "quota": cgroup_cpus(),
        "settings": process_settings.digest(),
        "litert-python": os.environ.get(LITERT_VARIABLE),
    }
    return " ".join([sys.prefix, *(f"{name} {value}" for name, value in parts.items() if value is not None)])
