"""Background work without an app: pauses that end early, and threads that the process does not wait for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from etui.tui.workers import Rest, in_daemon_thread


@pytest.mark.asyncio
async def test_a_rest_that_is_ended_before_it_begins_does_not_last() -> None:
    rest = Rest()
    rest.end()
    async with asyncio.timeout(20):
        await rest.wait(600)
        waiting = asyncio.create_task(rest.wait(600))
        await asyncio.sleep(0)
        rest.end()
        await waiting


def test_a_daemon_thread_that_is_blocked_does_not_delay_the_end() -> None:
    began, released, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        released.wait(20)
        ended.set()

    async def leave() -> None:
        waiting = asyncio.create_task(in_daemon_thread(block))
        await asyncio.to_thread(began.wait, 20)
        waiting.cancel()

    asyncio.run(leave())
    assert not ended.is_set()
    released.set()
    assert ended.wait(20)


@pytest.mark.asyncio
async def test_a_daemon_thread_returns_its_result_or_raises_its_error() -> None:
    assert await in_daemon_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 / 0)
