"""The schema of the database: its version and its numbered migrations.

A released migration never changes (see ``released_migrations``): a new one is added with the next number.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from etui.store.released_migrations import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlite_utils

VERSION = len(MIGRATIONS)
"""The number of the newest migration; an up-to-date file has it in ``PRAGMA user_version``."""

APPLICATION_ID = 0x65747569
"""``etui`` in ASCII, in ``PRAGMA application_id``: distinguishes an etui database from other SQLite files."""

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

    for name, statements in MIGRATIONS.items():
        migrations(name=name)(_execution(statements))
    migrations.apply(sqlite_utils.Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _execution(statements: Sequence[str]) -> Callable[[sqlite_utils.Database], None]:
    def execute(database: sqlite_utils.Database) -> None:
        for statement in statements:
            database.execute(statement)

    return execute
