"""Where etui keeps things: the database, the cache, the locks; an environment variable moves each."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from etui import __version__

APP = "etui"


def expanded(text: str) -> Path:
    """A path as somebody typed it, ``~`` made the home folder; a user who does not exist stays text."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError for an unknown user


def database_path(chosen: str | None = None) -> Path:
    """The database file: ``--db``, else ``ETUI_DB``, else ``etui.db`` in the user's data folder."""
    given = chosen or os.environ.get("ETUI_DB")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "etui.db"


def cache_dir() -> Path:
    """Prepared programs, models and inputs: ``ETUI_CACHE``, else the user's cache folder."""
    given = os.environ.get("ETUI_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def state_dir() -> Path:
    """The runner's locks and its own log: ``ETUI_STATE``, else the user's state folder."""
    given = os.environ.get("ETUI_STATE")
    if given:
        return Path(given).expanduser().absolute()
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


def box_lock_path() -> Path:
    """What names the one lock of this machine, the same for every user and database, and the file that earlier versions
    lock; ``ETUI_BOX_LOCK`` is for tests."""
    return Path(os.environ.get("ETUI_BOX_LOCK", "/tmp/etui-box.lock"))


def runner_lock_path(database: Path, installation: str) -> Path:
    """The lock that the runner of one database and installation holds as long as it lives."""
    name = hashlib.sha256(f"{database.resolve()} {installation}".encode()).hexdigest()[:16]
    return state_dir() / f"runner-{name}.lock"


def runner_log_path(database: Path, installation: str) -> Path:
    """What a runner itself has to say: its own failures, never a run's log."""
    return runner_lock_path(database, installation).with_suffix(".log")


def installation() -> str:
    """The Python environment, code, cache, cores and settings this process measures with. A runner only takes sessions
    that were queued under the same text: one that is still warm under ``taskset``, ``nice`` or another ``HF_HOME``
    would measure something else.

    It is stored with queued sessions, so it holds no value of an environment variable. The versions of packages are
    not part of it: a queued session is measured with what is installed when it begins (see ``etui.installed``).
    """
    # The terminal UI needs this module for its first paint, and neither of these before a key.
    from etui import process_settings
    from etui.environment import cgroup_cpus

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
