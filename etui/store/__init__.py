"""What is remembered: one SQLite file, its queue, its runs, and JSON in and out."""

from etui.store.queries import Condition
from etui.store.queue import QueuedSession, RunnerIdentity
from etui.store.store import Store

__all__ = ["Condition", "QueuedSession", "RunnerIdentity", "Store"]
