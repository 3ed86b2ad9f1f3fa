"""``etui web`` in headless Chromium, as a user sees it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.machines import Machine
from tests.web.browser import CHROMIUM, PATIENCE_S, Page, browser
from tests.web.serving import served, start_tiny_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


async def _is(page: Page, expression: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)  # between two polls


@pytest.mark.slow
@pytest.mark.shared_programs
@pytest.mark.asyncio
async def test_a_run_is_started_shown_live_and_compared_in_a_browser(machine: Machine, tmp_path: Path) -> None:
    with served(machine) as running:
        async with browser(tmp_path / "profile") as page:
            await page.open(running.address)
            await page.shows("New run", "quit")
            await start_tiny_run(page)
            await page.shows("block 1 of")
            await page.shows("fp32/xnnpack: done", " idle ")
            await page.press("*")
            await page.shows("2 marked")
            await page.press("c")
            await page.shows("baseline", "Metrics")
            await page.press("escape")
            await page.shows("New run", "quit")
            assert page.problems == []
            await page.press("q")
            await _is(page, "document.body.classList.contains('-closed')")
            await page.press("enter")
            await page.shows("Runs 2", "tiny-convolutional")
            own = (running.address, running.address.replace("http:", "ws:"))
            assert len(page.requests) > 8 and all(address.startswith(own) for address in page.requests)
    assert [run["status"] for run in machine.summaries()] == ["done", "done"]


@contextmanager
def _other_site() -> Iterator[str]:
    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    site = HTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/"
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_page_of_another_site_cannot_connect_even_with_the_key(machine: Machine, tmp_path: Path) -> None:
    with served(machine) as running, _other_site() as other:
        socket = f"""new Promise(done => {{
            const socket = new WebSocket("{running.address.replace("http:", "ws:")}ws");
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        }})"""
        async with browser(tmp_path / "profile") as page:
            await page.open(other)
            await _is(page, f"location.href === '{other}'")
            assert await page.evaluate(socket) == "refused"
            await page.open(running.address)
            await page.shows("New run")
            assert await page.evaluate(socket) == "open"
