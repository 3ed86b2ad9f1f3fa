"""What the terminal UI costs with 100,000 runs: its first paint beside a bare app's, a key to its repaint, memory."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from etui.store import Store
from tests.benchmarks.figures import Figure, ratio
from tests.boxes import ETUI
from tests.documents import make_document

RUNS = 100_000
ROUNDS = 5
KEYS = 60
WORDS = ("resnet18", "model:gpt2", "p50<10", "-status:failed", "mae<1e-3 delegate:xnnpack")
BARE = Path(__file__).with_name("bare_app.py")


def figures(folder: Path) -> list[Figure]:
    """First paints in turns, then one session of keys."""
    database = folder / "etui.db"
    fill(database, RUNS)
    ours, bare = [], []
    for _ in range(ROUNDS):
        with terminal([str(ETUI)], folder) as screen:
            ours.append(screen.wait(rb"Runs 100,000") / 1e3)
        with terminal([sys.executable, str(BARE)], folder) as screen:
            bare.append(screen.wait(rb"Runs 100,000") / 1e3)
    moving, sorting, filtering, rss = _keys(folder)
    return [
        ratio("tui: first paint with its runs", ours, bare, 1.5, "a bare app with no data"),
        Figure("tui: memory", rss / 1e6, 130.0, "MB", "after the keys below, charts drawn"),
        Figure("tui: a key to its repaint, moving, p95", _p95(moving), 50.0, "ms", f"{len(moving)} keys"),
        Figure("tui: a key to its repaint, sorting, p95", _p95(sorting), 50.0, "ms", f"{len(sorting)} keys"),
        Figure("tui: a key to its repaint, filtering, p95", _p95(filtering), 50.0, "ms", f"{len(filtering)} keys"),
    ]


class Screen:
    """One end of a terminal: what is written to it, and keys for it."""

    def __init__(self, end: int, process: subprocess.Popen[bytes]) -> None:
        self._end = end
        self._process = process
        self._started = time.perf_counter()

    def wait(self, pattern: bytes, timeout_s: float = 30.0) -> float:
        """Read until the pattern was written; the milliseconds since the last key, or since the start."""
        seen, until = b"", time.perf_counter() + timeout_s
        while time.perf_counter() < until:
            if select.select([self._end], [], [], 0.2)[0]:
                seen += os.read(self._end, 1 << 16)
                if re.search(pattern, seen):
                    return (time.perf_counter() - self._started) * 1e3
        raise TimeoutError(f"{pattern!r} was not drawn")

    def press(self, key: bytes) -> None:
        """Type, once nothing has been drawn for a while."""
        while select.select([self._end], [], [], 0.25)[0]:
            os.read(self._end, 1 << 16)
        self._started = time.perf_counter()
        os.write(self._end, key)

    def rss(self) -> int:
        """The memory of the process now."""
        return int(psutil.Process(self._process.pid).memory_info().rss)


@contextmanager
def terminal(command: list[str], folder: Path) -> Iterator[Screen]:
    """A command in a terminal of 120 by 40."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = os.environ | {
        "ETUI_DB": str(folder / "etui.db"), "ETUI_STATE": str(folder / "state"), "ETUI_CACHE": str(folder / "cache"),
        "ETUI_CONFIG": str(folder / "config.toml"), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        process.terminate()
        while process.poll() is None:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    os.read(ours, 1 << 16)
                except OSError:
                    break
        process.wait()
        os.close(ours)


def _keys(folder: Path) -> tuple[list[float], list[float], list[float], int]:
    moving, sorting, filtering = [], [], []
    with terminal([str(ETUI)], folder) as screen:
        screen.wait(rb"Runs 100,000")
        for key in (b"j", b"k", b"\x04", b"\x15", b"G", b"g") * (KEYS // 6):
            screen.press(key)
            moving.append(screen.wait(rb"\x1b\["))
        for _ in range(KEYS):
            screen.press(b"s")
            sorting.append(screen.wait(rb"\xe2\x96[\xb2\xbc]"))
        screen.press(b"/")
        for word in WORDS * 4:
            screen.press(word[:-1].encode())
            screen.wait(rb"Runs [\d,]+")
            screen.press(word[-1].encode())
            filtering.append(screen.wait(rb"Runs [\d,]+"))
            screen.press(b"\x15")
            screen.wait(rb"Runs 100,000")
        rss = screen.rss()
    return moving, sorting, filtering, rss


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.95 * len(values)))]


def fill(database: Path, count: int) -> None:
    """So many runs of made-up figures, as copies of one in all that is not a column."""
    with Store.open(database) as store:
        store.import_document(make_document())
    with sqlite3.connect(database) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        changed = {
            "id": "printf('%012x', n * 2654435761 % 281474976710656)",
            "model": "CASE n % 5 WHEN 0 THEN 'resnet18' WHEN 1 THEN 'gpt2' WHEN 2 THEN 'clip' ELSE 'mobilenet_v2' END",
            "precision": "CASE n % 3 WHEN 0 THEN 'fp32' WHEN 1 THEN 'int8' ELSE 'fp16' END",
            "delegate": "CASE n % 7 WHEN 0 THEN 'portable' ELSE 'xnnpack' END",
            "status": "CASE n % 11 WHEN 0 THEN 'failed' ELSE 'done' END",
            "created_at": "strftime('%Y-%m-%dT%H:%M:%S.000Z', '2026-11-20', '-' || (n * 7) || ' minutes')",
            "latency_median_ms": "CASE WHEN n % 11 THEN 1 + (n * 7919 % 100003) / 500.0 END",
            "mae": "CASE WHEN n % 11 THEN (n * 104729 % 99991) / 1e6 END",
            "speedup": "CASE WHEN n % 11 THEN (n * 31 % 977) / 100.0 END",
            "size_bytes": "1000000 + n * 37 % 90000000",
        }
        columns = ", ".join(names)
        values = ", ".join(changed.get(name, f"runs.{name}") for name in names)
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        connection.execute(f"INSERT INTO runs ({columns}) {numbers} SELECT {values} FROM numbers, runs", (count,))  # noqa: S608
        connection.execute(
            "INSERT INTO details (run, detail) SELECT runs.id, details.detail FROM runs, details WHERE runs.id <> run"
        )
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
