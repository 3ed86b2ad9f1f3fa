"""The storage of etui: one SQLite file with the queue and the runs, and import and export of runs as JSON."""

from etui.store.analysis_queue import QueuedAnalysis
from etui.store.conditions import Condition
from etui.store.queue import Claim, QueuedSession, RunnerIdentity
from etui.store.store import Store

__all__ = ["Claim", "Condition", "QueuedAnalysis", "QueuedSession", "RunnerIdentity", "Store"]
