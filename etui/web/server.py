"""The web server: a page with a terminal, and one app process per open tab.

Everything is below a path with a random key, because other users of the machine reach the loopback address too.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

import textual_serve.server
from aiohttp import WSCloseCode, web
from textual_serve.server import Server, to_int

from etui.errors import EtuiError, UsageError
from etui.text import plain
from etui.web.access import is_loopback, is_numeric, is_own_host, is_own_origin, own_names
from etui.web.app_process import AppProcess

_PAGE = Path(__file__).with_name("page")
_ASSETS = Path(textual_serve.server.__file__).with_name("static")
_KEY_BYTES = 16
_MOST_CELLS = 1000
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self';"
        " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer(Server):
    """Serves the app with these arguments to browsers that know the key in the path."""

    def __init__(self, arguments: Sequence[str], host: str) -> None:
        super().__init__("etui", host=host)
        self.key = secrets.token_urlsafe(_KEY_BYTES)
        self._arguments = arguments
        self._names = own_names(host)
        self._tabs: WeakSet[web.WebSocketResponse] = WeakSet()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._checked])
        app.add_routes(
            [
                web.get(f"/{self.key}/", self._index),
                web.get(f"/{self.key}/ws", self.handle_websocket),
                web.static(f"/{self.key}/static", _ASSETS),
                web.static(f"/{self.key}/page", _PAGE),
            ]
        )
        app.on_response_prepare.append(_add_headers)
        app.on_shutdown.append(self.on_shutdown)
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer only requests under a name of this server and with the key."""
        if not is_own_host(request.host, self._names):
            return _refused(f"This server is not {plain(request.host)}. Start it with etui web --host and that name.")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _refused("Open the whole address that etui web has printed; its path contains a key.")

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(_PAGE / "index.html")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run one app process for as long as the tab is open."""
        if not is_own_origin(request.headers.get("Origin"), request.host):
            raise web.HTTPForbidden(text="Pages of other origins cannot use etui.")
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)
        self._tabs.add(websocket)
        process = AppProcess(
            self._arguments, send_bytes=websocket.send_bytes, send_text=websocket.send_str, close=websocket.close
        )
        width, height = (
            max(1, min(_MOST_CELLS, to_int(request.query.get(name, ""), otherwise)))
            for name, otherwise in (("width", 80), ("height", 24))
        )
        try:
            await process.start(width, height)
            await self._process_messages(websocket, process)
        except (ValueError, LookupError, AssertionError, TypeError, AttributeError):
            await websocket.close(code=WSCloseCode.UNSUPPORTED_DATA)
        finally:
            await process.stop()
        return websocket

    async def on_shutdown(self, app: web.Application) -> None:
        """Close all tabs, which ends their app processes."""
        await asyncio.gather(*(tab.close(code=WSCloseCode.GOING_AWAY) for tab in list(self._tabs)))


class Listening(NamedTuple):
    """The address to open, its port, and whether other machines can reach it."""

    address: str
    port: int
    is_public: bool


def serve_until_signal(arguments: Sequence[str], host: str, port: int, started: Callable[[Listening], None]) -> None:
    """Serve the app with these arguments until SIGINT, SIGTERM or SIGHUP, and call ``started`` once the server listens.
    Port 0 is any free port.

    Raises:
        UsageError: the host is unknown or not of this machine, or the port is not available.
    """
    if not host:
        raise UsageError("the host is empty", "give an address of this machine with --host")
    asyncio.run(_serve(WebServer(arguments, host), host, port, started))


async def _serve(server: WebServer, host: str, port: int, started: Callable[[Listening], None]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup, SIGHUP is ignored
            loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(await server._make_app(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, UnicodeError) as error:
            raise _not_listening(host, port, error) from error
        bound: int = runner.addresses[0][1]
        is_public = not all(is_loopback(address[0]) for address in runner.addresses)
        started(Listening(f"http://{_shown_host(host)}:{bound}/{server.key}/", bound, is_public))
        await stop.wait()
    finally:
        await runner.cleanup()


def _not_listening(host: str, port: int, error: OSError | UnicodeError) -> EtuiError:
    shown = plain(host)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return UsageError(f"the host {shown!r} is unknown", "give an address of this machine with --host")
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} of {shown} is in use", "choose another with --port, or any free one with --port 0"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"{shown} is not an address of this machine", "choose another with --host")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"port {port} needs more permissions", "choose one from 1024 up with --port")
    return EtuiError(f"cannot listen on {shown}, port {port} ({error.strerror or error})", "choose another with --port")


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if is_numeric(host) and ":" in host else host


def _refused(message: str) -> web.Response:
    return web.Response(status=403, text=f"{message}\n")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def app_arguments(database: Path) -> list[str]:
    """Return the command of the app on a database, found in the same way as this process."""
    # The console script does not search the working folder for modules; python -m etui does.
    safe = [] if Path(sys.argv[0]).name == "__main__.py" else ["-P"]
    return [sys.executable, *safe, "-m", "etui", "--db", str(database)]
