"""Background work of the screen: the one way to do it.

Work that may take longer than a frame is a coroutine, started with ``start`` in a Textual worker of the screen or
widget that needs its result. In it,

- the database is read and written with ``await database.read(..)`` and ``await database.write(..)``
  (``etui.tui.database``); other blocking functions are called with ``await asyncio.to_thread(..)``. Widgets are changed
  by the coroutine, never in a thread, which may only pass its progress to ``call_later``;
- an expected error (EtuiError) is caught if it has a better place than a notice. Every other one is reported by the
  app, in a notice that its history keeps. Any other exception is a defect, which the app reports with the file of its
  traceback (``etui.tui.defect_guard``);
- when the screen or widget is removed, or ``exclusive`` work of its group is started again, the coroutine is cancelled
  at its ``await``. A function in a thread cannot be interrupted: one that takes long is given ``stop_flag``'s flag and
  returns when it is set. The process waits for it before it ends, unless it runs in ``in_daemon_thread``;
- work that repeats waits in ``Rest``.

The only other thread is the one that ends the process when its terminal is gone (``etui.tui.hangup``): the event loop
may be blocked then.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from textual.dom import DOMNode
from textual.worker import Worker

from etui.errors import EtuiError

if TYPE_CHECKING:
    from etui.tui.screen_host import ScreenHost

T = TypeVar("T")


def start(
    node: DOMNode,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    group: str = "default",
    exclusive: bool = False,
    title: str = "",
) -> Worker[None]:
    """Run ``work`` in a worker of ``node``. The app reports an EtuiError that it raises, under ``title``.

    The coroutine is created when the worker starts, so a worker that is cancelled before leaves no coroutine that is
    never awaited. ``exclusive`` cancels the earlier work of the group.
    """

    async def reporting_errors() -> None:
        try:
            await work()
        except EtuiError as error:
            cast("ScreenHost", node.app).complain(error, title)

    anything: Any = reporting_errors  # mypy cannot resolve run_worker's overloads for a callable
    worker: Worker[None] = node.run_worker(anything, group=group, exclusive=exclusive)
    return worker


async def in_daemon_thread(function: Callable[[], T]) -> T:
    """Call a blocking function as ``asyncio.to_thread`` does, but do not let it delay the end of the process: for work
    that may be lost, and may wait long for a lock."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(outcome: Callable[[], None]) -> None:
        if not future.done():
            outcome()

    def run() -> None:
        outcome: Callable[[], None]
        try:
            outcome = partial(future.set_result, function())
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            outcome = partial(future.set_exception, error)
        # The loop is closed if the app has ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name="etui-work", daemon=True).start()
    return await future


@contextlib.contextmanager
def stop_flag() -> Iterator[threading.Event]:
    """A flag for functions in threads that is set when the block is left, in particular when its task is cancelled."""
    flag = threading.Event()
    try:
        yield flag
    finally:
        flag.set()


class Rest:
    """The pause of work that repeats, which can be ended early."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End the pause, or the next one if there is none."""
        self._ended.set()

    async def wait(self, longest_s: float) -> None:
        """Pause until ``end`` is called, for at most this number of seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._ended.wait()
        self._ended.clear()
