"""The storage of etui: one SQLite file with the queue and the runs, and import and export of runs as JSON.

The names are imported when they are first used: completing a command line reads a database with ``quick_reads`` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etui.store.analysis_queue import QueuedAnalysis
    from etui.store.conditions import Condition
    from etui.store.queue import Claim, QueuedSession, RunnerIdentity
    from etui.store.store import Store

__all__ = ["Claim", "Condition", "QueuedAnalysis", "QueuedSession", "RunnerIdentity", "Store"]

_MODULES = {
    "Claim": "queue",
    "Condition": "conditions",
    "QueuedAnalysis": "analysis_queue",
    "QueuedSession": "queue",
    "RunnerIdentity": "queue",
    "Store": "store",
}


def __getattr__(name: str) -> object:
    """Import a name of ``__all__`` from its module. Raises AttributeError for another name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
