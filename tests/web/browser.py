"""Headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.web.screen_text import ScreenText

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 120.0
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip
_CODES = {
    "enter": ("Enter", 13, "\r"),
    "escape": ("Escape", 27, ""),
    "tab": ("Tab", 9, ""),
    "space": (" ", 32, " "),
    "down": ("ArrowDown", 40, ""),
    "up": ("ArrowUp", 38, ""),
    "left": ("ArrowLeft", 37, ""),
    "right": ("ArrowRight", 39, ""),
}


class Page:
    """A tab. ``requests`` are the addresses it has loaded, ``problems`` the errors on its console, ``screen`` what the
    server has drawn on its terminal."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.screen = ScreenText()
        self._socket = socket
        self._sent = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._news = asyncio.Event()

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        self._sent += 1
        answer = self._answers[self._sent] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_S):
            result: dict[str, Any] = await answer
        return result

    async def listen(self) -> None:
        """Read answers and events until the browser ends."""
        async for message in self._socket:
            content = message.json()
            if "id" in content:
                answer = self._answers.pop(content["id"])
                if "error" in content:
                    answer.set_exception(RuntimeError(content["error"]["message"]))
                else:
                    answer.set_result(content["result"])
            else:
                self._take(content["method"], content["params"])
            self._news.set()

    def _take(self, event: str, about: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Network.webSocketCreated":
            self.requests.append(about["url"])
            self.screen = ScreenText()
        elif event == "Network.webSocketFrameReceived" and about["response"]["opcode"] == 2:
            self.screen.feed(base64.b64decode(about["response"]["payloadData"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.problems.append(about["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(str(about["exceptionDetails"]))

    async def open(self, address: str, width: int = 1280, height: int = 800) -> None:
        """Load a page in a window of this size in pixels."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Page.navigate", url=address)

    async def press(self, *keys: str) -> None:
        """Press keys: characters, or the names in ``_CODES``."""
        for key in keys:
            # The key code of a punctuation mark depends on the keyboard; the terminal takes the character instead.
            name, code, text = _CODES.get(key) or (key, ord(key.upper()) if key.isalnum() else 0, key)
            about = {"key": name, "windowsVirtualKeyCode": code} | ({"text": text} if text else {})
            await self.call("Input.dispatchKeyEvent", type="keyDown", **about)
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        done = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return done["result"].get("value")

    async def shows(self, *texts: str) -> None:
        """Wait until the terminal shows all texts."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not all(text in self.screen.text for text in texts):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{texts} not on the screen:\n{self.screen.text}") from None

    async def picture(self, path: Path) -> None:
        """Save a picture of the page as PNG."""
        done = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(done["data"]))


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    """Start Chromium with a new profile in this folder and yield its first tab."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(PATIENCE_S):
                port = await _debugging_port(profile, process)
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tab = next(one for one in await answer.json() if one["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listener = asyncio.create_task(page.listen())
                yield page
                listener.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listener
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


async def _debugging_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    while True:
        assert process.poll() is None, "Chromium has ended"
        try:
            return int((profile / "DevToolsActivePort").read_text().split()[0])
        except (OSError, IndexError):
            await asyncio.sleep(0.05)  # between two polls
