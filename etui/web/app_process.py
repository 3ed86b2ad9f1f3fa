"""One app process for one browser tab: its start, its environment and its end."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence

from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

PATIENCE_S = 10.0
"""How long an app process may take to quit before it is killed."""


class AppProcess(AppService):
    """The service of textual-serve for a command given as arguments, started without a shell.

    ``send`` and ``close`` belong to the websocket of the tab. What the process prints on stderr goes to the server's.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        send_bytes: Callable[[bytes], Awaitable[None]],
        send_text: Callable[[str], Awaitable[None]],
        close: Callable[[], Awaitable[object]],
    ) -> None:
        async def send(data: bytes) -> None:
            # The tab may be gone. The output of the process must be read all the same, or it could not quit.
            with contextlib.suppress(ConnectionError):
                await send_bytes(data)

        async def close_tab() -> None:
            await close()

        super().__init__(
            shlex.join(arguments),
            write_bytes=send,
            write_str=send_text,
            close=close_tab,
            download_manager=DownloadManager(),
        )
        self._arguments = arguments

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        # The terminal of the server is not the one that is drawn on.
        return super()._build_environment(width, height) | {"TERM": "xterm-256color"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        # In a session of its own, so that Ctrl-C reaches the server only, which lets the process quit.
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=PIPE,
            stdout=PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        self._stdin = process.stdin
        # The service expects a reader.
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        return process

    async def run(self) -> None:
        """Pass on what the process draws until it ends, then close the tab's connection."""
        await super().run()
        await self.remote_close()

    async def stop(self) -> None:
        """Let the process quit, and kill it if it does not."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await super().stop()
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
