"""The real ``etui web`` for a test, and a tab: the websocket that the page opens."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import psutil

from tests.machines import Machine
from tests.web.screen_text import ScreenText

PATIENCE_S = 120.0
TINY = f"{Path(__file__).parents[1] / 'engine' / 'tiny.py'}:convolutional"
_SENT = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "space": " ",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
}


class Served:
    """A running ``etui web``: its process, and the address that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.address = process.stdout.readline().strip()
        assert self.address, process.communicate()[1]
        parts = urlsplit(self.address)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    def apps(self) -> list[psutil.Process]:
        """The app processes, one per open tab."""
        return [one for one in psutil.Process(self.process.pid).children() if one.status() != psutil.STATUS_ZOMBIE]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Stop the server and return its status and what it has printed on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        stderr = self.process.communicate(timeout=PATIENCE_S)[1]
        return self.process.returncode, stderr


@contextmanager
def served(
    machine: Machine, *options: str | Path, before: tuple[str | Path, ...] = (), **variables: str
) -> Iterator[Served]:
    """Start ``etui web`` on a free port, and stop it in the end."""
    server = Served(machine.start(*before, "web", "--port", "0", *options, **variables))
    try:
        yield server
    finally:
        server.stop()


class Tab:
    """The websocket of a tab, as the page uses it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.screen = ScreenText()
        self.socket = socket

    async def press(self, *keys: str) -> None:
        """Send what a terminal sends for keys: characters, or the names in ``_SENT``."""
        for key in keys:
            await self.socket.send_json(["stdin", _SENT.get(key, key)])

    async def shows(self, *texts: str) -> None:
        """Read until the screen shows all texts."""
        await self.until(lambda: all(text in self.screen.text for text in texts), f"{texts} not on the screen")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Read until this holds."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    message = await self.socket.receive()
                    if message.type == aiohttp.WSMsgType.BINARY:
                        self.screen.feed(message.data)
                    elif message.type != aiohttp.WSMsgType.TEXT:
                        raise AssertionError(f"closed with {what}:\n{self.screen.text}")
        except TimeoutError:
            raise AssertionError(f"{what}:\n{self.screen.text}") from None

    async def closed(self) -> int | None:
        """Read until the server closes the connection, and return the code."""
        async with asyncio.timeout(PATIENCE_S):
            async for message in self.socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    self.screen.feed(message.data)
        return self.socket.close_code


class Screen(Protocol):
    """A tab of either kind: a websocket, or a page in a browser."""

    @property
    def screen(self) -> ScreenText:
        """What is drawn."""

    async def press(self, *keys: str) -> None:
        """Press keys by name or character."""

    async def shows(self, *texts: str) -> None:
        """Wait until the screen shows all texts."""


async def start_tiny_run(opened: Screen) -> None:
    """Choose a small model and a short preset in the picker with keys, and start the run."""
    await opened.shows("New run")
    await opened.press("n")
    await opened.shows("▌Model")
    for field in ("Precision", "Delegate", "Baseline", "Weights", "Preset"):
        await opened.press("tab")
        await opened.shows(f"▌{field}")
    await opened.press("left")
    await opened.shows("quick")
    await opened.press("n")
    await opened.shows("▌Model")
    await opened.press(*TINY)
    await opened.shows("convolutional")
    await opened.press("enter")
    await opened.shows("⏎ run")
    await opened.press("enter")


@asynccontextmanager
async def tab(server: Served, width: int = 120, height: int = 40) -> AsyncIterator[Tab]:
    """Open a tab of this size in cells, with the focus in it."""
    async with (
        aiohttp.ClientSession(headers={"Origin": server.origin}) as session,
        session.ws_connect(f"{server.address}ws?width={width}&height={height}", max_msg_size=0) as socket,
    ):
        opened = Tab(socket)
        await opened.shows("Runs")
        await socket.send_str(json.dumps(["focus"]))
        yield opened
