"""The cost of the terminal UI with 100,000 runs: its first paint compared with a bare app's, a key to its repaint,
memory."""

from __future__ import annotations

import fcntl
import math
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
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from etui.store import Store
from tests.benchmarks.figures import Figure, ratio
from tests.documents import make_document
from tests.machines import ETUI

RUNS = 100_000
ROUNDS = 5
KEYS = 60
FILTERS = 8
WORDS = ("resnet18", "model:gpt2", "p50<10", "-status:failed", "mae<1e-3 delegate:xnnpack")
BARE = Path(__file__).with_name("bare_app.py")


def figures(folder: Path) -> list[Figure]:
    """Measure first paints in turn, then one session of keys."""
    database = folder / "etui.db"
    fill(database, RUNS)
    ours, bare = [], []
    for _ in range(ROUNDS):
        with terminal([str(ETUI)], folder) as screen:
            ours.append(screen.wait(rb"Runs 100,000") / 1e3)
        with terminal([sys.executable, str(BARE)], folder) as screen:
            bare.append(screen.wait(rb"Runs 100,000") / 1e3)
    keys = _keys(folder)
    return [
        ratio("tui: first paint with its runs", ours, bare, 1.5, "a bare app with no data"),
        Figure("tui: memory", keys.rss / 1e6, 130.0, "MB", "after the keys below, charts drawn"),
        _to_repaint("moving", keys.moving, ""),
        _to_repaint("sorting", keys.sorting, ""),
        _to_repaint("sorting what is filtered", keys.sorting_filtered, ""),
        _to_repaint("filtering", keys.filtering, f", and their number at {p95(keys.counted):.0f} ms"),
    ]


class Screen:
    """One end of a terminal: its output, and keys for it."""

    def __init__(self, end: int, process: subprocess.Popen[bytes]) -> None:
        self._end = end
        self._process = process
        self._seen = b""
        self._started = time.perf_counter()

    def wait(self, pattern: bytes, timeout_s: float = 30.0) -> float:
        """Read until the pattern was written since the last key, or since the start; return the milliseconds since
        then."""
        until = time.perf_counter() + timeout_s
        while time.perf_counter() < until:
            if re.search(pattern, self._seen):
                return (time.perf_counter() - self._started) * 1e3
            if select.select([self._end], [], [], 0.2)[0]:
                self._seen += os.read(self._end, 1 << 16)
        raise TimeoutError(f"{pattern!r} was not drawn")

    def press(self, key: bytes) -> None:
        """Type a key, once nothing has been drawn for a while."""
        while select.select([self._end], [], [], 0.25)[0]:
            os.read(self._end, 1 << 16)
        self._seen = b""
        self._started = time.perf_counter()
        os.write(self._end, key)

    def rest(self, seconds: float) -> None:
        """Read the output for this time."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if select.select([self._end], [], [], left)[0]:
                os.read(self._end, 1 << 16)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the process."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Return the current memory of the process."""
        return int(psutil.Process(self._process.pid).memory_info().rss)


@contextmanager
def terminal(command: list[str], folder: Path) -> Iterator[Screen]:
    """Run a command in a terminal of 120 by 40."""
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


@dataclass
class Keys:
    """Milliseconds from keys to their effect on the screen: the rows, and with a filter then the number of runs."""

    moving: list[float] = field(default_factory=list)
    sorting: list[float] = field(default_factory=list)
    sorting_filtered: list[float] = field(default_factory=list)
    filtering: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)
    rss: int = 0


def _keys(folder: Path) -> Keys:
    keys = Keys()
    with terminal([str(ETUI)], folder) as screen:
        screen.wait(rb"Runs 100,000")
        for key in (b"j", b"k", b"\x04", b"\x15", b"G", b"g") * (KEYS // 6):
            screen.press(key)
            keys.moving.append(screen.wait(rb"\x1b\["))
        for _ in range(KEYS):
            screen.press(b"s")
            keys.sorting.append(screen.wait(rb"\xe2\x96[\xb2\xbc]"))
        screen.press(b"/")
        for word in WORDS * FILTERS:
            # The title is drawn with the rows: with the new filter in it, they are those of the last letter.
            title = rb" \xc2\xb7 " + re.escape(word.encode())
            screen.press(word[:-1].encode())
            screen.wait(rb"Runs [\d,]+")
            screen.press(word[-1].encode())
            keys.filtering.append(screen.wait(rb"Runs (\xe2\x80\xa6|[\d,]+)" + title))
            keys.counted.append(screen.wait(rb"Runs [\d,]+" + title))
            screen.press(b"\x15")
            screen.wait(rb"Runs 100,000")
        screen.press(b"-status:failed resnet\r")
        screen.wait(rb"Runs [\d,]+")
        for _ in range(KEYS // 2):
            screen.press(b"s")
            keys.sorting_filtered.append(screen.wait(rb"\xe2\x96[\xb2\xbc]"))
        keys.rss = screen.rss()
    return keys


def _to_repaint(what: str, values_ms: list[float], more: str) -> Figure:
    return Figure(f"tui: a key to its repaint, {what}, p95", p95(values_ms), 50.0, "ms", f"{len(values_ms)} keys{more}")


def p95(values: list[float]) -> float:
    """Return the 95th percentile by nearest rank."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def fill(database: Path, count: int) -> None:
    """Store this number of runs with synthetic values in all columns, as copies of one in everything else."""
    with Store.open(database) as store:
        store.import_documents([make_document()])
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
