"""Start work of the UI's own: in a worker, and not before the worker runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def start(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], *, group: str = "default", exclusive: bool = False
) -> Worker[None]:
    """Run ``work`` in a worker of ``node``. It is called when the worker runs, so that one which is cancelled before
    leaves no coroutine behind that nobody awaits."""
    anything: Any = work  # mypy cannot choose between the kinds of work that run_worker takes
    worker: Worker[None] = node.run_worker(anything, group=group, exclusive=exclusive)
    return worker
