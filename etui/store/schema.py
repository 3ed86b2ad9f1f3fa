"""The database's schema as numbered migrations.

A migration that has been released never changes: a new one is added under the next number.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlite_utils

VERSION = 5
"""The number of the newest migration; an up-to-date file carries it in ``PRAGMA user_version``."""

APPLICATION_ID = 0x65747569
"""``etui`` in ASCII, in ``PRAGMA application_id``: tells an etui database from somebody else's SQLite file."""

# What the migrations below read is as frozen as they are: a newer column goes into the live tuple and a new migration.

_FIRST_SORTED = (
    "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "eager_latency_median_ms", "speedup",
    "first_inference_ms", "load_ms", "mae", "sqnr_db", "cosine", "size_bytes", "peak_rss_bytes",
)  # fmt: skip

SORTABLE = (*_FIRST_SORTED, "top1")
"""The columns of ``runs`` with an index of their own, so that a page sorted by one is read in order, not sorted."""

_STATS = ("mean", "median", "min", "max", "std", "p90", "p95", "p99", "ci95_low", "ci95_high")
_LATENCY_COLUMNS = ",\n    ".join(f"{side}latency_{stat}_ms REAL" for side in ("", "eager_") for stat in _STATS)

_TABLES = (
    """
CREATE TABLE environments (
    id TEXT PRIMARY KEY,
    box TEXT NOT NULL,
    detail TEXT NOT NULL
)""",
    """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL,
    installation TEXT NOT NULL DEFAULT '',
    box TEXT,
    spec TEXT NOT NULL,
    imported INTEGER NOT NULL DEFAULT 0,
    claimed_by TEXT,
    claimed_pid INTEGER,
    claimed_host TEXT,
    claimed_user TEXT,
    claimed_at TEXT,
    finished_at TEXT
)""",
    f"""
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    model TEXT NOT NULL,
    precision TEXT NOT NULL,
    delegate TEXT NOT NULL,
    weights TEXT,
    threads INTEGER,
    preset TEXT NOT NULL,
    box TEXT,
    {_LATENCY_COLUMNS},
    speedup REAL,
    speedup_low REAL,
    speedup_high REAL,
    speed_verdict TEXT,
    first_inference_ms REAL,
    load_ms REAL,
    mae REAL,
    max_abs REAL,
    rmse REAL,
    sqnr_db REAL,
    cosine REAL,
    verdict TEXT,
    size_bytes INTEGER,
    peak_rss_bytes INTEGER,
    flags TEXT NOT NULL DEFAULT '[]',
    note TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '[]',
    error TEXT,
    summary_only INTEGER NOT NULL DEFAULT 0,
    etui_version TEXT NOT NULL,
    environment TEXT REFERENCES environments(id)
)""",
    # Apart from the run's row, so that a scan over the columns does not read through the trees.
    """
CREATE TABLE details (
    run TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    detail TEXT NOT NULL
)""",
    """
CREATE TABLE blocks (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    variant TEXT NOT NULL,
    block_index INTEGER NOT NULL,
    position INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    detail TEXT NOT NULL
)""",
    """
CREATE TABLE samples (
    block TEXT NOT NULL REFERENCES blocks(id) ON DELETE CASCADE,
    series TEXT NOT NULL,
    count INTEGER NOT NULL,
    float64_le BLOB NOT NULL,
    PRIMARY KEY (block, series)
)""",
    """
CREATE TABLE run_blocks (
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    position INTEGER NOT NULL,
    block TEXT NOT NULL REFERENCES blocks(id) ON DELETE CASCADE,
    PRIMARY KEY (run, role, position)
) WITHOUT ROWID""",
    """
CREATE TABLE accuracy (
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    comparison TEXT NOT NULL,
    position INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    name TEXT NOT NULL,
    shape TEXT NOT NULL,
    dtype TEXT NOT NULL,
    informative INTEGER NOT NULL,
    problem TEXT,
    mae REAL,
    max_abs REAL,
    rmse REAL,
    sqnr_db REAL,
    cosine REAL,
    top1 REAL,
    top5 REAL,
    exact INTEGER,
    PRIMARY KEY (run, comparison, position)
) WITHOUT ROWID""",
    """
CREATE TABLE artifacts (
    run TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    cache_key TEXT NOT NULL,
    cached INTEGER NOT NULL
)""",
    # AUTOINCREMENT: a reader remembers the last id it saw, so an id must not be given twice.
    """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    run TEXT REFERENCES runs(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    stage TEXT,
    done REAL,
    total REAL,
    left_s REAL
)""",
)

_VIEWS = (
    "CREATE VIEW live_runs AS SELECT rowid AS number, * FROM runs WHERE status IN ('queued', 'preparing', 'measuring')",
)

_INDEXES = (
    "CREATE INDEX sessions_waiting ON sessions(created_at) WHERE finished_at IS NULL",
    "CREATE INDEX runs_session ON runs(session)",
    "CREATE INDEX runs_environment ON runs(environment)",
    "CREATE INDEX runs_cancel_requested ON runs(session) WHERE cancel_requested = 1",
    "CREATE INDEX runs_choice ON runs(model, precision, delegate, created_at)",
    "CREATE INDEX blocks_session ON blocks(session, variant, block_index)",
    "CREATE INDEX run_blocks_block ON run_blocks(block)",
    "CREATE INDEX events_session ON events(session, id)",
    "CREATE INDEX events_run ON events(run)",
    *(f"CREATE INDEX runs_by_{column} ON runs({column})" for column in _FIRST_SORTED),
)

_WORDS = ("id", "model", "precision", "delegate", "status", "weights", "box", "verdict", "note", "tags", "flags")
"""The columns that a bare word of a filter is looked for in; ``words`` of a run is all of them in lower case."""

_FIRST_SCANNED = (
    "words", "created_at", "status", "model", "precision", "delegate", "weights", "preset", "threads", "box", "verdict",
    "speed_verdict", "latency_median_ms", "latency_mean_ms", "latency_p95_ms", "latency_ci95_low_ms",
    "latency_ci95_high_ms", "eager_latency_median_ms", "speedup", "first_inference_ms", "load_ms", "mae", "sqnr_db",
    "size_bytes", "peak_rss_bytes", "flags", "tags", "note", "id",
)  # fmt: skip

SCANNED = _FIRST_SCANNED
"""The columns of the index ``runs_page``: a scan of it is ten times shorter than one of the rows themselves."""

_SORTED_TOO = ("latency_ci95_low_ms", "note", "flags", "finished_at")
_FILTERED = ("tags", "speed_verdict", "latency_p90_ms", "latency_p99_ms", "max_abs", "rmse", "top5")
IN_ORDER = frozenset({"id", *SORTABLE, *_SORTED_TOO, *_FILTERED})
"""The columns whose order an index holds."""

UNUSUAL_ID = "id GLOB '*[^0-9a-f]*'"
"""Ids that are not made of lower-case hexadecimal digits, as those of etui are; only an import can bring one. They have
an index of their own, so that a word with any other letter is not looked for in a million ids."""

_PAGES = (
    "ALTER TABLE runs ADD COLUMN words TEXT GENERATED ALWAYS AS (lower("
    + " || ' ' || ".join(f"coalesce({column}, '')" for column in _WORDS)
    + ")) VIRTUAL",
    f"CREATE INDEX runs_page ON runs({', '.join(_FIRST_SCANNED)})",
    # A run's interval, note and flags are columns of the table on the screen too, and each of those can be sorted by.
    *(f"CREATE INDEX runs_by_{column} ON runs({column})" for column in _SORTED_TOO),
)

_INSIGHT = (
    # Work on a run that has ended, in the queue beside the sessions.
    """
CREATE TABLE passes (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    error TEXT,
    installation TEXT NOT NULL DEFAULT '',
    box TEXT,
    claimed_by TEXT,
    claimed_pid INTEGER,
    claimed_host TEXT,
    claimed_user TEXT
)""",
    "CREATE INDEX passes_run ON passes(run, created_at)",
    "CREATE INDEX passes_live ON passes(created_at) WHERE status IN ('queued', 'running')",
    # Where operators come from, once for all of those that come from there: a stack is far longer than the figures.
    """
CREATE TABLE origins (
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    module TEXT NOT NULL,
    module_type TEXT NOT NULL,
    operators TEXT NOT NULL,
    stack TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID""",
    """
CREATE TABLE operators (
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    side TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    calls INTEGER NOT NULL,
    median_ms REAL NOT NULL,
    p90_ms REAL,
    share REAL NOT NULL,
    delegate TEXT,
    subgraph INTEGER,
    module TEXT NOT NULL,
    origin INTEGER NOT NULL,
    PRIMARY KEY (run, side, position)
) WITHOUT ROWID""",
)

_CLASSES = (
    "ALTER TABLE runs ADD COLUMN top1 REAL",
    "ALTER TABLE runs ADD COLUMN top5 REAL",
    # Runs of before have both in their detail.
    """
UPDATE runs SET (top1, top5) = (
    SELECT json_extract(detail, '$.accuracy.end_to_end.overall.top1'),
        json_extract(detail, '$.accuracy.end_to_end.overall.top5')
    FROM details WHERE run = runs.id AND json_valid(detail)
)""",
    "CREATE INDEX runs_by_top1 ON runs(top1)",
)

_LOOKUPS = (
    *(f"CREATE INDEX runs_by_{column} ON runs({column})" for column in _FILTERED),
    "CREATE INDEX runs_by_error ON runs(error) WHERE error IS NOT NULL",
    f"CREATE INDEX runs_unusual_id ON runs(id) WHERE {UNUSUAL_ID}",
)


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
        for statement in (*_TABLES, *_VIEWS, *_INDEXES):
            database.execute(statement)

    @migrations(name="0002_pages")
    def pages(database: sqlite_utils.Database) -> None:
        for statement in _PAGES:
            database.execute(statement)

    @migrations(name="0003_insight")
    def insight(database: sqlite_utils.Database) -> None:
        for statement in _INSIGHT:
            database.execute(statement)

    @migrations(name="0004_classes")
    def classes(database: sqlite_utils.Database) -> None:
        for statement in _CLASSES:
            database.execute(statement)

    @migrations(name="0005_lookups")
    def lookups(database: sqlite_utils.Database) -> None:
        for statement in _LOOKUPS:
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
