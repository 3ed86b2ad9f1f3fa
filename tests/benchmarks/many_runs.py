"""Fill a database quickly with any number of synthetic runs: whole runs with sessions, blocks, samples and logs.

Everything about run number n follows from n, so that two databases of the same size are equal. The figures are spread
as in real use: 24 models of which some are measured far more often than others, a few runs in a hundred failed, some
have a note or tags, and four runs share a session.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from etui.results import RunDocument
from etui.store import Store
from tests.documents import make_block, make_document, make_spec

RUNS_PER_SESSION = 4
MODELS = (
    "mobilenet_v2", "resnet18", "resnet50", "vit_b_16", "gpt2", "minilm", "clip", "efficientnet_b0", "squeezenet1_1",
    "densenet121", "inception_v3", "shufflenet_v2", "regnet_y", "convnext_tiny", "swin_t", "bert-base", "distilbert",
    "whisper-tiny", "wav2vec2", "deeplabv3", "yolo_nano", "unet", "my_model.py:make", "encoder.py:small",
)  # fmt: skip
RARE_MODEL = MODELS[-1]
BOXES = ("bench-1", "bench-2", "laptop", "arm-board")
NOTES = (
    "before the kernel fix", "after the kernel fix", "second try, other BIOS settings", "governor set to performance",
    "cold machine", "Ünïcode: größer, 模型", "regression?", "compare with the release",
)  # fmt: skip
TAGS = ('["nightly"]', '["release"]', '["nightly","arm"]', '["bisect"]', '["wip","try 2"]')
ERRORS = (
    "lowering failed: operator aten.foo is not supported", "the worker was killed by signal 9 (out of memory?)",
    "the weights do not fit: missing key head.bias", "timed out after 3600 s",
    "exporting failed: data-dependent control flow",
)  # fmt: skip
FIRST_SECOND = 1_700_000_000
"""The time at which the first session was queued, in seconds since 1970; the next ones follow every 240 s."""


def fill(database: Path, count: int) -> None:
    """Create a database of ``count`` runs. Run n is ``run_id(n)``; the newest are those with the highest n."""
    with Store.open(database) as store:
        store.import_documents([_template()])
    connection = sqlite3.connect(database, isolation_level=None)
    # The database is discarded if this is interrupted.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    connection.create_function("run_id", 1, run_id, deterministic=True)
    connection.create_function("session_id", 1, session_id, deterministic=True)
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    _fill_tables(connection, count)
    # An index created over existing rows is built in order, not row by row.
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def run_id(n: int) -> str:
    """Return the id of run number ``n``: 12 hexadecimal digits, as different as random ones."""
    return f"{(n + 1) * 0x9E3779B97F4A7C15 >> 4 & 0xFFFFFFFFFFFF:012x}"


def session_id(n: int) -> str:
    """Return the id of session number ``n``."""
    return f"{(n + 1) * 0xD1B54A32D192ED03 >> 8 & 0xFFFFFFFFFFFF:012x}"


def _template() -> RunDocument:
    """Return a run with little content outside the columns; all others are copies of it."""
    document = make_document(run_id(0), session_id=session_id(0))
    spec = msgspec.to_builtins(make_spec())
    document.session = msgspec.structs.replace(document.session, spec=spec)
    document.blocks, document.eager_blocks = [make_block("fp32/xnnpack", 0)], [make_block("eager", 0)]
    document.stages, document.log = [], []
    return document


def _fill_tables(connection: sqlite3.Connection, count: int) -> None:
    sessions = (count + RUNS_PER_SESSION - 1) // RUNS_PER_SESSION
    first = run_id(0)
    connection.execute("CREATE TEMP TABLE numbers AS WITH RECURSIVE up(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up"
                       " WHERE n < ?) SELECT n, run_id(n) AS run, session_id(n / ?) AS session FROM up",
                       (count - 1, RUNS_PER_SESSION))  # fmt: skip
    connection.execute("CREATE TEMP TABLE template AS SELECT * FROM runs WHERE id = ?", (first,))
    connection.execute("CREATE TEMP TABLE texts AS SELECT * FROM details WHERE run = ?", (first,))
    for machine in BOXES:
        connection.execute(
            "INSERT INTO environments (id, box, detail) SELECT ?, ?, json_set(detail, '$.box', ?) FROM environments"
            " LIMIT 1",
            (f"environment {machine}", machine, machine),
        )
    connection.execute(
        "INSERT INTO sessions (id, created_at, box, spec, imported, finished_at) SELECT session_id(n),"  # noqa: S608
        f" {_time('n')}, {_one_of(BOXES, 'n / 7')}, spec, 1, {_time('n')} FROM numbers,"
        " (SELECT spec FROM sessions LIMIT 1) WHERE n BETWEEN 1 AND ?",
        (sessions - 1,),
    )
    _fill_runs(connection)
    connection.execute(
        "INSERT INTO details (run, detail) SELECT numbers.run, json_set(texts.detail, '$.model.name', model)"
        " FROM numbers CROSS JOIN runs ON runs.rowid = n + 1 CROSS JOIN texts WHERE n > 0"
    )
    _fill_blocks(connection, first)
    for table in ("artifacts", "accuracy"):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "run"]
        columns = ", ".join(names)
        connection.execute(f"CREATE TEMP TABLE one_{table} AS SELECT {columns} FROM {table} WHERE run = ?", (first,))  # noqa: S608
        connection.execute(
            f"INSERT INTO {table} (run, {columns}) SELECT run, {columns} FROM numbers, one_{table} WHERE n > 0"  # noqa: S608
        )
    connection.execute(
        "INSERT INTO events (session, run, kind, at, level, message, stage) SELECT session, run, 'stage',"  # noqa: S608
        f" {_time(f'(n / {RUNS_PER_SESSION})')}, 'info', 'measuring', 'measure' FROM numbers"
    )


def _fill_runs(connection: sqlite3.Connection) -> None:
    chance = "(n * 2654435761 % 4294967296 / 4294967296.0)"
    # The square gives most runs to the models named first.
    model = _one_of(MODELS, f"cast({len(MODELS)} * {chance} * {chance} AS INTEGER)")
    status = (
        "CASE WHEN n % 23 = 5 THEN 'failed' WHEN n % 199 = 7 THEN 'timed out' WHEN n % 211 = 9 THEN 'cancelled'"
        " ELSE 'done' END"
    )
    done = "NOT (n % 23 = 5 OR n % 199 = 7 OR n % 211 = 9)"
    median = f"(1 + 60 * {chance} * {chance} + n * 7919 % 100003 / 25000.0)"
    changed = {
        "id": "run",
        "session": "numbers.session",
        "model": model,
        "status": status,
        "precision": _one_of(("fp32", "int8", "fp16", "int8_dynamic"), "n % 4"),
        "delegate": _one_of(("xnnpack",) * 7 + ("portable", "openvino", "coreml"), "n * 31 / 7"),
        "weights": _one_of(("pretrained", "synthetic", "checkpoint"), "n / 5"),
        "preset": _one_of(("default", "quick", "rigorous"), "n / 9"),
        "threads": _one_of(("1", "2", "4", "8"), "n / 3", quoted=False),
        "box": _one_of(BOXES, f"n / {7 * RUNS_PER_SESSION}"),
        "environment": f"'environment ' || {_one_of(BOXES, f'n / {7 * RUNS_PER_SESSION}')}",
        "note": f"CASE WHEN n % 37 = 3 THEN {_one_of(NOTES, 'n / 37')} || ' ' || (n % 1000) ELSE '' END",
        "tags": f"CASE WHEN n % 11 = 4 THEN {_one_of(TAGS, 'n / 11')} ELSE '[]' END",
        "flags": """CASE WHEN n % 9 = 2 THEN '["spread"]' WHEN n % 31 = 6 THEN '["drift","spread"]' ELSE '[]' END""",
        "error": f"CASE WHEN n % 23 = 5 OR n % 199 = 7 THEN {_one_of(ERRORS, 'n / 23')} END",
        "verdict": f"CASE WHEN {done} THEN CASE WHEN n % 13 = 1 THEN 'FAIL' ELSE 'PASS' END END",
        "speed_verdict": f"CASE WHEN {done} THEN {_one_of(('faster', 'slower', 'inconclusive'), 'n / 2')} END",
        "latency_median_ms": f"CASE WHEN {done} THEN {median} END",
        "latency_mean_ms": f"CASE WHEN {done} THEN {median} * 1.02 END",
        "latency_p90_ms": f"CASE WHEN {done} THEN {median} * 1.08 END",
        "latency_p95_ms": f"CASE WHEN {done} THEN {median} * 1.1 END",
        "latency_p99_ms": f"CASE WHEN {done} THEN {median} * 1.3 END",
        "latency_ci95_low_ms": f"CASE WHEN {done} THEN {median} * 0.99 END",
        "latency_ci95_high_ms": f"CASE WHEN {done} THEN {median} * 1.01 END",
        "eager_latency_median_ms": f"CASE WHEN {done} THEN {median} * (1 + n * 31 % 977 / 400.0) END",
        "speedup": f"CASE WHEN {done} THEN 1 + n * 31 % 977 / 400.0 END",
        "first_inference_ms": f"CASE WHEN {done} THEN {median} * 3 END",
        "mae": f"CASE WHEN {done} THEN n * 104729 % 99991 / 1e6 END",
        "max_abs": f"CASE WHEN {done} THEN n * 104729 % 99991 / 1e5 END",
        "sqnr_db": f"CASE WHEN {done} THEN 10 + n * 7907 % 9973 / 200.0 END",
        "top1": f"CASE WHEN {done} AND n % 3 THEN 1 - n % 50 / 400.0 END",
        "size_bytes": f"CASE WHEN {done} THEN 1000000 + n * 37 % 90000000 END",
        "peak_rss_bytes": f"CASE WHEN {done} THEN 100000000 + n * 101 % 900000000 END",
        "created_at": _time(f"(n / {RUNS_PER_SESSION})"),
    }
    names = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    connection.execute("DELETE FROM runs")
    connection.execute(
        f"INSERT INTO runs ({', '.join(names)}) SELECT"  # noqa: S608 - names of this code's own schema
        f" {', '.join(changed.get(name, f'template.{name}') for name in names)} FROM numbers, template ORDER BY n"
    )


def _fill_blocks(connection: sqlite3.Connection, first: str) -> None:
    """Store one block per run and one of eager per session, eight samples in each."""
    connection.execute(
        "CREATE TEMP TABLE one AS SELECT detail, started_at, count, float64_le FROM blocks JOIN samples ON block = id"
        " WHERE variant = 'eager'"
    )
    connection.execute("DELETE FROM blocks")
    connection.execute("DELETE FROM samples")
    connection.execute("DELETE FROM run_blocks WHERE run = ?", (first,))
    own = (
        "(SELECT numbers.session || ':' || precision || '/' || delegate || ':0' AS id, numbers.session AS session, run,"
        " precision || '/' || delegate AS variant FROM numbers CROSS JOIN runs ON runs.rowid = n + 1)"
    )
    eager = (
        "(SELECT session || ':eager:0' AS id, session, run, 'eager' AS variant,"  # noqa: S608
        f" n % {RUNS_PER_SESSION} AS place FROM numbers)"
    )
    columns = "id, session, variant, block_index, position, started_at, detail"
    connection.execute(
        f"INSERT OR IGNORE INTO blocks ({columns}) SELECT id, session, variant, 0, 0, started_at,"  # noqa: S608
        f" json_set(detail, '$.variant', variant) FROM {own}, one"
    )
    connection.execute(
        f"INSERT INTO blocks ({columns}) SELECT id, session, variant, 0, 1, started_at, detail FROM {eager}, one"  # noqa: S608
        " WHERE place = 0"
    )
    connection.execute(
        "INSERT INTO samples (block, series, count, float64_le) SELECT id, 'latency_ms', count, float64_le"
        " FROM blocks, one"
    )
    for role, table in (("own", own), ("eager", eager)):
        connection.execute(
            f"INSERT INTO run_blocks (run, role, position, block) SELECT run, '{role}', 0, id FROM {table}"  # noqa: S608
        )


def _time(session: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S.000Z', {FIRST_SECOND} + {session} * 240, 'unixepoch')"


def _one_of(values: tuple[str, ...], place: str, *, quoted: bool = True) -> str:
    texts = [f"'{value}'" if quoted else value for value in values]
    cases = " ".join(f"WHEN {index} THEN {value}" for index, value in enumerate(texts[:-1]))
    return f"CASE ({place}) % {len(values)} {cases} ELSE {texts[-1]} END"
