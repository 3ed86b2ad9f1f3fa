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


def box_lock_path() -> Path:
    """The one lock of this machine, the same for every user and database; ``ETUI_BOX_LOCK`` is for tests."""
    return Path(os.environ.get("ETUI_BOX_LOCK", "/tmp/etui-box.lock"))


def runner_lock_path(database: Path, installation: str) -> Path:
    """The lock that the runner of one database and installation holds as long as it lives."""
    name = hashlib.sha256(f"{database.resolve()} {installation}".encode()).hexdigest()[:16]
    return state_dir() / f"runner-{name}.lock"


def runner_log_path(database: Path, installation: str) -> Path:
    """What a runner itself has to say: its own failures, never a run's log."""
    return runner_lock_path(database, installation).with_suffix(".log")


HEEDED = ("ETUI_CACHE_GB", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "OPENVINO_LIB_PATH")
"""Settings of the environment that the work of a runner heeds, besides those with a path of their own here."""


def installation() -> str:
    """The Python environment, code, cache, cores and settings this process measures with. No other one may take its
    sessions: a runner that is still warm under ``taskset`` or another ``HF_HOME`` would measure something else."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0)))) if hasattr(os, "sched_getaffinity") else "all"
    settings = [f"{name}={os.environ[name]}" for name in HEEDED if name in os.environ]
    return " ".join([sys.prefix, "etui", __version__, str(cache_dir()), "cores", cores, *settings])
