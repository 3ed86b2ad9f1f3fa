"""A local HTTP server for files, which can break connections, ignore ranges, or answer with something else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from etui.task_data.download import RemoteFile


class FileServer:
    """``files`` by path. The first ``len(breaks_after)`` answers end after that number of bytes of content. ``ranges``
    are those that were requested, "" for the whole file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks_after: list[int] = []
        self.supports_ranges = True
        self.status = 200
        self.ranges: list[str] = []
        self.address = ""

    def add(self, name: str, content: bytes) -> RemoteFile:
        self.files[f"/{name}"] = content
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return RemoteFile(f"{self.address}/{name}", len(content), sha1)


@contextmanager
def serving() -> Iterator[FileServer]:
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.ranges.append(wanted)
            content = state.files.get(self.path)
            if content is None or state.status != 200:
                self.send_error(state.status if content is not None else 404)
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.supports_ranges else 0
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            body = content[begin:]
            if state.breaks_after:
                body = body[: state.breaks_after.pop(0)]
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
