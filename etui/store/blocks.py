"""Blocks and their raw samples: stored once, even if several runs share them, and read back bit for bit."""

from __future__ import annotations

import sqlite3
import sys
from array import array
from collections.abc import Iterable, Sequence

import msgspec

from etui.results import Block
from etui.spec import EAGER

LATENCY_SERIES = "latency_ms"

_LABEL = (
    "coalesce(runs.variant, precision || '/' || delegate)"
    " || iif(json_valid(detail), coalesce('@' || json_extract(detail, '$.repeats'), ''), '')"
)
"""SQL for the label of a run's variant (see ``etui.spec.label``), from its rows in ``runs`` and ``details``."""


def add_block(connection: sqlite3.Connection, session_id: str, block: Block) -> str:
    """Store a block unless the same one is stored already, and return its id: ``session:variant:index``.

    A block of the same variant and index with different content (a second attempt) gets the suffix ``:2``, ``:3`` etc.
    """
    base = f"{session_id}:{block.variant}:{block.index}"
    detail, samples = _encode(block)
    attempt, block_id = 1, base
    while (stored := _stored(connection, block_id)) is not None:
        if stored == (detail, samples) or _is_same(stored, block, samples):
            return block_id
        attempt += 1
        block_id = f"{base}:{attempt}"
    connection.execute(
        "INSERT INTO blocks (id, session, variant, block_index, position, started_at, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (block_id, session_id, block.variant, block.index, block.position, block.started_at, detail),
    )
    connection.execute(
        "INSERT INTO samples (block, series, count, float64_le) VALUES (?, ?, ?, ?)",
        (block_id, LATENCY_SERIES, len(block.samples_ms), samples),
    )
    return block_id


def session_blocks(connection: sqlite3.Connection, session_id: str, variant: str | None = None) -> list[Block]:
    """Return the blocks of a session, or of one variant, in the order of measurement."""
    rows = connection.execute(
        "SELECT detail, float64_le FROM blocks JOIN samples ON samples.block = blocks.id AND samples.series = ?"
        " WHERE session = ? AND (? IS NULL OR variant = ?) ORDER BY block_index, blocks.position, blocks.rowid",
        (LATENCY_SERIES, session_id, variant, variant),
    )
    return [_decode(row) for row in rows]


def blocks_after(connection: sqlite3.Connection, session_id: str, last: int) -> list[tuple[int, Block]]:
    """Return the blocks of a session that were stored after block number ``last``, with their numbers."""
    rows = connection.execute(
        "SELECT blocks.rowid AS number, detail, float64_le FROM blocks"
        " JOIN samples ON samples.block = blocks.id AND samples.series = ?"
        " WHERE session = ? AND blocks.rowid > ? ORDER BY blocks.rowid",
        (LATENCY_SERIES, session_id, last),
    )
    return [(int(row["number"]), _decode(row)) for row in rows]


def saved_blocks(connection: sqlite3.Connection, run_id: str, role: str) -> list[Block]:
    """Return the blocks of a saved run, in its order; ``role`` is ``own``, ``eager`` or ``superseded``."""
    rows = connection.execute(
        "SELECT detail, float64_le FROM run_blocks JOIN blocks ON blocks.id = run_blocks.block"
        " JOIN samples ON samples.block = blocks.id AND samples.series = ?"
        " WHERE run_blocks.run = ? AND role = ? ORDER BY run_blocks.position",
        (LATENCY_SERIES, run_id, role),
    )
    return [_decode(row) for row in rows]


def assign(connection: sqlite3.Connection, session_id: str, run_id: str, role: str, blocks: Sequence[Block]) -> None:
    """Store the blocks that are not stored yet, and assign all of them to the run under ``role``."""
    connection.execute("DELETE FROM run_blocks WHERE run = ? AND role = ?", (run_id, role))
    for position, block in enumerate(blocks):
        block_id = add_block(connection, session_id, block)
        connection.execute(
            "INSERT INTO run_blocks (run, role, position, block) VALUES (?, ?, ?, ?)",
            (run_id, role, position, block_id),
        )


def of_run(connection: sqlite3.Connection, session_id: str, run_id: str) -> list[str]:
    """Return the ids of the blocks that are assigned to a run or were measured for its variant."""
    rows = connection.execute(
        "SELECT block FROM run_blocks WHERE run = ? UNION"  # noqa: S608 - constants
        f" SELECT id FROM blocks WHERE session = ? AND blocks.variant = (SELECT {_LABEL}"
        " FROM runs JOIN details ON details.run = runs.id WHERE runs.id = ?)",
        (run_id, session_id, run_id),
    )
    return [row["block"] for row in rows]


def delete_unused(connection: sqlite3.Connection, session_id: str, block_ids: Iterable[str]) -> None:
    """Delete those of the blocks of a session that are assigned to no run and belong to no run's variant."""
    for block_id in block_ids:
        connection.execute(
            "DELETE FROM blocks WHERE id = ? AND blocks.variant <> ? AND blocks.variant NOT LIKE ? || ' %'"  # noqa: S608 - constants
            " AND NOT EXISTS (SELECT 1 FROM run_blocks WHERE block = blocks.id)"
            # The label begins with precision and delegate; the detail is decoded only for runs that match these.
            " AND NOT EXISTS (SELECT 1 FROM runs JOIN details ON details.run = runs.id WHERE session = ?"
            " AND substr(blocks.variant, 1, length(precision) + 1 + length(delegate)) = precision || '/' || delegate"
            f" AND blocks.variant = {_LABEL})",
            (block_id, EAGER, EAGER, session_id),
        )


def _stored(connection: sqlite3.Connection, block_id: str) -> tuple[str, bytes] | None:
    row = connection.execute(
        "SELECT detail, float64_le FROM blocks JOIN samples ON samples.block = blocks.id AND samples.series = ?"
        " WHERE blocks.id = ?",
        (LATENCY_SERIES, block_id),
    ).fetchone()
    return (row["detail"], row["float64_le"]) if row else None


def _is_same(stored: tuple[str, bytes], block: Block, samples: bytes) -> bool:
    """Whether a block equals the stored one although its JSON differs: an earlier version wrote fewer fields."""
    detail, stored_samples = stored
    bare = msgspec.structs.replace(block, samples_ms=[])
    return stored_samples == samples and msgspec.json.decode(detail, type=Block) == bare


def _encode(block: Block) -> tuple[str, bytes]:
    detail = msgspec.json.encode(msgspec.structs.replace(block, samples_ms=[])).decode()
    samples = array("d", block.samples_ms)
    if sys.byteorder == "big":
        samples.byteswap()
    return detail, samples.tobytes()


def _decode(row: sqlite3.Row) -> Block:
    block = msgspec.json.decode(row["detail"], type=Block)
    samples = array("d")
    samples.frombytes(row["float64_le"])
    if sys.byteorder == "big":
        samples.byteswap()
    block.samples_ms = samples.tolist()
    return block
