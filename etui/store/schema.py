"""The database's schema: its number, its numbered migrations, and the columns that its indexes hold.

A migration that has been released never changes (see ``released``): a new one is added under the next number.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etui.store import released

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlite_utils

VERSION = 6
"""The number of the newest migration; an up-to-date file carries it in ``PRAGMA user_version``."""

APPLICATION_ID = 0x65747569
"""``etui`` in ASCII, in ``PRAGMA application_id``: tells an etui database from somebody else's SQLite file."""

SORTABLE = (
    "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "eager_latency_median_ms", "speedup",
    "first_inference_ms", "load_ms", "mae", "sqnr_db", "cosine", "size_bytes", "peak_rss_bytes", "top1",
)  # fmt: skip
"""The columns of ``runs`` with an index of their own, so that a page sorted by one is read in order, not sorted."""

IN_ORDER = frozenset(
    {
        "id", *SORTABLE, "latency_ci95_low_ms", "note", "flags", "finished_at", "tags", "speed_verdict",
        "latency_p90_ms", "latency_p99_ms", "max_abs", "rmse", "top5",
    }
)  # fmt: skip
"""The columns whose order an index holds."""

SCANNED = (
    "words", "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "speed_verdict", "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "latency_ci95_low_ms",
    "latency_ci95_high_ms", "eager_latency_median_ms", "speedup", "first_inference_ms", "load_ms", "mae", "sqnr_db",
    "size_bytes", "peak_rss_bytes", "flags", "tags", "note", "id",
)  # fmt: skip
"""The columns of the index ``runs_page``: a scan of it is ten times shorter than one of the rows themselves."""


UNUSUAL_ID = "id GLOB '*[^0-9a-f]*'"
"""Ids that are not made of lower-case hexadecimal digits, as those of etui are; only an import can bring one. They have
an index of their own, so that a word with any other letter is not looked for in a million ids."""


def migrate(connection: sqlite3.Connection) -> None:
    """Apply every migration the file lacks. The caller holds the write transaction and commits it.

    Raises sqlite3 errors as they come.
    """
    with _without_pandas():
        import sqlite_utils
        from sqlite_utils.migrations import Migrations

    migrations = Migrations("etui")

    @migrations(name="0001_first")
    def first(database: sqlite_utils.Database) -> None:
        for statement in released.FIRST:
            database.execute(statement)

    @migrations(name="0002_pages")
    def pages(database: sqlite_utils.Database) -> None:
        for statement in released.PAGES:
            database.execute(statement)

    @migrations(name="0003_insight")
    def insight(database: sqlite_utils.Database) -> None:
        for statement in released.INSIGHT:
            database.execute(statement)

    @migrations(name="0004_classes")
    def classes(database: sqlite_utils.Database) -> None:
        for statement in released.CLASSES:
            database.execute(statement)

    @migrations(name="0005_lookups")
    def lookups(database: sqlite_utils.Database) -> None:
        for statement in released.LOOKUPS:
            database.execute(statement)

    @migrations(name="0006_id_parts")
    def id_parts(database: sqlite_utils.Database) -> None:
        for statement in released.ID_PARTS:
            database.execute(statement)

    migrations.apply(sqlite_utils.Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Hide pandas and numpy while sqlite-utils is imported.

    It imports both where they are installed, only to recognise their types; that costs 0.2 s, and etui hands it none.
    """
    hidden = [name for name in ("pandas", "numpy") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
