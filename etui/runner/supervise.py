"""Execute a session or an analysis under the machine lock, with its time limit, cancellation and a definite end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Literal, Protocol

from etui.errors import EtuiError, StoreError, StoreUnavailable
from etui.runner.machine_lock import WaitedTooLong, hold
from etui.runner.settings import patience_s
from etui.store import Store

CANCEL_POLL_S = 0.2

STOP_PATIENCE_S = 5.0
"""How long a runner that is being stopped waits for the database: it may soon be killed."""

EndStatus = Literal["failed", "timed out", "interrupted", "cancelled"]


class SupervisedWork(Protocol):
    """A session or an analysis in progress, as ``supervise`` sees it."""

    store: Store

    def report_waiting(self, message: str) -> None:
        """Report that another process holds the machine."""

    def cancel_requests(self) -> Collection[str]:
        """Read the ids of what is to be cancelled from the database. Raises StoreError."""

    def apply_cancels(self, requested: Collection[str]) -> bool:
        """Cancel what was requested; called at every poll. Return whether all of the work is cancelled."""

    def end_all(self, status: EndStatus, error: str | None) -> None:
        """End everything that has not ended yet."""

    def fail_all(self, error: EtuiError) -> None:
        """End everything that has not ended yet as failed."""

    async def close(self, patience_s: float) -> None:
        """Wait until everything is stored. Raises StoreError after ``patience_s`` seconds."""


async def supervise(
    work: SupervisedWork, execute: Callable[[asyncio.Timeout], Awaitable[None]], *, purpose: str, timeout_s: float
) -> None:
    """Execute ``work``; afterwards all of it has ended and is stored.

    ``purpose`` is shown to other processes that wait for the machine. ``execute`` gets the time limit of ``timeout_s``
    seconds, which starts when the machine is held, and may suspend it.

    Raises:
        StoreError: the database is gone, or did not accept the results within ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the work is interrupted.
    """
    main = asyncio.current_task()
    assert main is not None
    watcher = asyncio.create_task(_watch_cancels(work, main))
    patience = patience_s()
    try:
        async with hold(purpose, work.report_waiting):
            try:
                async with asyncio.timeout(timeout_s) as limit:
                    await execute(limit)
            except TimeoutError:
                work.end_all("timed out", f"stopped after {timeout_s:g} s, the time limit")
    except WaitedTooLong as error:
        work.end_all("timed out", str(error))
    except EtuiError as error:
        work.fail_all(error)
    except asyncio.CancelledError:
        # Stopping the runner cancels this task too; only a cancellation by the watcher is handled here.
        if not watcher.done() or main.uncancel() > 0:
            work.end_all("interrupted", "the runner was stopped")
            patience = min(patience, STOP_PATIENCE_S)
            raise
        watcher.result()
        work.end_all("cancelled", None)
    finally:
        watcher.cancel()
        work.end_all("failed", "internal runner error; see the runner log")
        # The machine lock is released before waiting for the database.
        await work.close(patience)


async def _watch_cancels(work: SupervisedWork, main: asyncio.Task[object]) -> None:
    """Cancel work on request, and ``main`` if all of it is cancelled or the database is gone or damaged.

    A database that is temporarily unavailable is polled again.

    Raises:
        StoreError: the database is gone, or damaged.
    """
    store, seen = work.store, -1
    try:
        while True:
            if not store.is_in_place():
                raise StoreError(f"the database {store.path} was removed or replaced", "try again")
            requested: Collection[str] = ()
            try:
                # This takes CPU time from the cores that are being timed: read only if the database changed.
                version = store.data_version()
                if version != seen:
                    requested = work.cancel_requests()
                seen = version
            except StoreUnavailable:
                requested = ()
            if work.apply_cancels(requested):
                main.cancel()
                return
            await asyncio.sleep(CANCEL_POLL_S)
    except StoreError:
        main.cancel()
        raise
