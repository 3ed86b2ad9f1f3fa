"""The schema of the database: its version, its numbered migrations, and the columns of its indexes.

A released migration never changes (see ``released_migrations``): a new one is added with the next number.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from etui.store import released_migrations as released

if TYPE_CHECKING:
    import sqlite_utils

VERSION = 6
"""The number of the newest migration; an up-to-date file has it in ``PRAGMA user_version``."""

APPLICATION_ID = 0x65747569
"""``etui`` in ASCII, in ``PRAGMA application_id``: distinguishes an etui database from other SQLite files."""

SORTABLE = (
    "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "eager_latency_median_ms", "speedup",
    "first_inference_ms", "load_ms", "mae", "sqnr_db", "cosine", "size_bytes", "peak_rss_bytes", "top1",
)  # fmt: skip
"""The columns of ``runs`` with a separate index, from which a page sorted by the column is read in order."""

IN_ORDER = frozenset(
    {
        "id", *SORTABLE, "latency_ci95_low_ms", "note", "flags", "finished_at", "tags", "speed_verdict",
        "latency_p90_ms", "latency_p99_ms", "max_abs", "rmse", "top5",
    }
)  # fmt: skip
"""The columns for which an index has the order."""

SCANNED = (
    "words", "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "speed_verdict", "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "latency_ci95_low_ms",
    "latency_ci95_high_ms", "eager_latency_median_ms", "speedup", "first_inference_ms", "load_ms", "mae", "sqnr_db",
    "size_bytes", "peak_rss_bytes", "flags", "tags", "note", "id",
)  # fmt: skip
"""The columns of the index ``runs_page``; a scan of it is ten times faster than one of the rows."""


UNUSUAL_ID = "id GLOB '*[^0-9a-f]*'"
"""Condition for ids that, unlike those of etui, are not lower-case hexadecimal; only imported runs have them. A
separate index contains them, so that a word with any other letter is not searched in a million ids."""


def migrate(connection: sqlite3.Connection) -> None:
    """Apply every migration that the file does not have. The caller opens the write transaction and commits it.

    Raises sqlite3 errors unchanged.
    """
    # Imported here because it takes up to 0.5 s (with pandas installed), and only a new or older database needs it.
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
