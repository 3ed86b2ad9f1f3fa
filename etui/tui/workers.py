"""Start coroutines in Textual workers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def start(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], *, group: str = "default", exclusive: bool = False
) -> Worker[None]:
    """Run ``work`` in a worker of ``node``.

    The coroutine is created when the worker starts, so a worker that is cancelled before leaves no coroutine that is
    never awaited.
    """
    anything: Any = work  # mypy cannot resolve run_worker's overloads for a callable
    worker: Worker[None] = node.run_worker(anything, group=group, exclusive=exclusive)
    return worker
