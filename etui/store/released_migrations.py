"""The SQL statements of every released migration.

The statements never change and do not depend on constants of other modules: a database that was created years ago must
get the same schema as a new one. ``tests/store/test_upgrade.py`` has a hash of each migration.
"""

from __future__ import annotations

FIRST = (
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
    """
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
    latency_mean_ms REAL,
    latency_median_ms REAL,
    latency_min_ms REAL,
    latency_max_ms REAL,
    latency_std_ms REAL,
    latency_p90_ms REAL,
    latency_p95_ms REAL,
    latency_p99_ms REAL,
    latency_ci95_low_ms REAL,
    latency_ci95_high_ms REAL,
    eager_latency_mean_ms REAL,
    eager_latency_median_ms REAL,
    eager_latency_min_ms REAL,
    eager_latency_max_ms REAL,
    eager_latency_std_ms REAL,
    eager_latency_p90_ms REAL,
    eager_latency_p95_ms REAL,
    eager_latency_p99_ms REAL,
    eager_latency_ci95_low_ms REAL,
    eager_latency_ci95_high_ms REAL,
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
    "CREATE VIEW live_runs AS SELECT rowid AS number, * FROM runs WHERE status IN ('queued', 'preparing', 'measuring')",
    "CREATE INDEX sessions_waiting ON sessions(created_at) WHERE finished_at IS NULL",
    "CREATE INDEX runs_session ON runs(session)",
    "CREATE INDEX runs_environment ON runs(environment)",
    "CREATE INDEX runs_cancel_requested ON runs(session) WHERE cancel_requested = 1",
    "CREATE INDEX runs_choice ON runs(model, precision, delegate, created_at)",
    "CREATE INDEX blocks_session ON blocks(session, variant, block_index)",
    "CREATE INDEX run_blocks_block ON run_blocks(block)",
    "CREATE INDEX events_session ON events(session, id)",
    "CREATE INDEX events_run ON events(run)",
    "CREATE INDEX runs_by_created_at ON runs(created_at)",
    "CREATE INDEX runs_by_status ON runs(status)",
    "CREATE INDEX runs_by_model ON runs(model)",
    "CREATE INDEX runs_by_precision ON runs(precision)",
    "CREATE INDEX runs_by_delegate ON runs(delegate)",
    "CREATE INDEX runs_by_weights ON runs(weights)",
    "CREATE INDEX runs_by_preset ON runs(preset)",
    "CREATE INDEX runs_by_threads ON runs(threads)",
    "CREATE INDEX runs_by_box ON runs(box)",
    "CREATE INDEX runs_by_verdict ON runs(verdict)",
    "CREATE INDEX runs_by_latency_median_ms ON runs(latency_median_ms)",
    "CREATE INDEX runs_by_latency_mean_ms ON runs(latency_mean_ms)",
    "CREATE INDEX runs_by_latency_p95_ms ON runs(latency_p95_ms)",
    "CREATE INDEX runs_by_eager_latency_median_ms ON runs(eager_latency_median_ms)",
    "CREATE INDEX runs_by_speedup ON runs(speedup)",
    "CREATE INDEX runs_by_first_inference_ms ON runs(first_inference_ms)",
    "CREATE INDEX runs_by_load_ms ON runs(load_ms)",
    "CREATE INDEX runs_by_mae ON runs(mae)",
    "CREATE INDEX runs_by_sqnr_db ON runs(sqnr_db)",
    "CREATE INDEX runs_by_cosine ON runs(cosine)",
    "CREATE INDEX runs_by_size_bytes ON runs(size_bytes)",
    "CREATE INDEX runs_by_peak_rss_bytes ON runs(peak_rss_bytes)",
)
"""0001_first: sessions, runs and their data. Details are in a separate table, so that a scan over the columns of runs
does not read them. Events have AUTOINCREMENT: readers remember the last id they saw, so that an id must not be
reused."""

PAGES = (
    "ALTER TABLE runs ADD COLUMN words TEXT GENERATED ALWAYS AS (lower(coalesce(id, '') || ' ' || coalesce(model, "
    "'') || ' ' || coalesce(precision, '') || ' ' || coalesce(delegate, '') || ' ' || coalesce(status, '') || ' ' "
    "|| coalesce(weights, '') || ' ' || coalesce(box, '') || ' ' || coalesce(verdict, '') || ' ' || "
    "coalesce(note, '') || ' ' || coalesce(tags, '') || ' ' || coalesce(flags, ''))) VIRTUAL",
    "CREATE INDEX runs_page ON runs(words, created_at, status, model, precision, delegate, weights, preset, "
    "threads, box, verdict, speed_verdict, latency_median_ms, latency_mean_ms, latency_p95_ms, "
    "latency_ci95_low_ms, latency_ci95_high_ms, eager_latency_median_ms, speedup, first_inference_ms, load_ms, "
    "mae, sqnr_db, size_bytes, peak_rss_bytes, flags, tags, note, id)",
    "CREATE INDEX runs_by_latency_ci95_low_ms ON runs(latency_ci95_low_ms)",
    "CREATE INDEX runs_by_note ON runs(note)",
    "CREATE INDEX runs_by_flags ON runs(flags)",
    "CREATE INDEX runs_by_finished_at ON runs(finished_at)",
)
"""0002_pages: a covering index for the filters of the runs table, and the order of its other columns."""

INSIGHT = (
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
"""0003_insight: the queue of analyses of finished runs (``passes``), and the operators of a profile as rows."""

CLASSES = (
    "ALTER TABLE runs ADD COLUMN top1 REAL",
    "ALTER TABLE runs ADD COLUMN top5 REAL",
    """
UPDATE runs SET (top1, top5) = (
    SELECT json_extract(detail, '$.accuracy.end_to_end.overall.top1'),
        json_extract(detail, '$.accuracy.end_to_end.overall.top5')
    FROM details WHERE run = runs.id AND json_valid(detail)
)""",
    "CREATE INDEX runs_by_top1 ON runs(top1)",
)
"""0004_classes: top-1 and top-5 accuracy as columns, filled from the details of existing runs."""

LOOKUPS = (
    "CREATE INDEX runs_by_tags ON runs(tags)",
    "CREATE INDEX runs_by_speed_verdict ON runs(speed_verdict)",
    "CREATE INDEX runs_by_latency_p90_ms ON runs(latency_p90_ms)",
    "CREATE INDEX runs_by_latency_p99_ms ON runs(latency_p99_ms)",
    "CREATE INDEX runs_by_max_abs ON runs(max_abs)",
    "CREATE INDEX runs_by_rmse ON runs(rmse)",
    "CREATE INDEX runs_by_top5 ON runs(top5)",
    "CREATE INDEX runs_by_error ON runs(error) WHERE error IS NOT NULL",
    "CREATE INDEX runs_unusual_id ON runs(id) WHERE id GLOB '*[^0-9a-f]*'",
)
"""0005_lookups: an index for every other column that runs can be filtered by."""

ID_PARTS = (
    "CREATE VIRTUAL TABLE id_parts USING fts5(id, content='', tokenize='trigram', detail='none', columnsize=0)",
    "INSERT INTO id_parts (rowid, id) SELECT rowid, id FROM runs",
    "CREATE TRIGGER id_parts_insert AFTER INSERT ON runs BEGIN"
    " INSERT INTO id_parts (rowid, id) VALUES (new.rowid, new.id); END",
    "CREATE TRIGGER id_parts_delete AFTER DELETE ON runs BEGIN"
    " INSERT INTO id_parts (id_parts, rowid, id) VALUES ('delete', old.rowid, old.id); END",
)
"""0006_id_parts: every three consecutive characters of the ids, so that a part of an id is found without reading all of
them."""

INTERVAL_WIDTH = (
    "ALTER TABLE runs ADD COLUMN latency_ci95_percent REAL",
    """UPDATE runs SET latency_ci95_percent =
    (latency_ci95_high_ms - latency_ci95_low_ms) / 2 / latency_median_ms * 100
WHERE latency_ci95_low_ms IS NOT NULL AND latency_ci95_high_ms IS NOT NULL AND latency_median_ms <> 0""",
    "CREATE INDEX runs_by_latency_ci95_percent ON runs(latency_ci95_percent)",
)
"""0007_interval_width: the half-width of the median's interval as a column, so that runs can be sorted by it."""

SHAPES = (
    "ALTER TABLE runs ADD COLUMN variant TEXT",
    "ALTER TABLE runs ADD COLUMN input_height INTEGER",
    "ALTER TABLE runs ADD COLUMN input_width INTEGER",
    "ALTER TABLE runs ADD COLUMN batch INTEGER",
    "ALTER TABLE runs ADD COLUMN sequence INTEGER",
    "ALTER TABLE runs ADD COLUMN dynamic INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN method TEXT",
    "CREATE INDEX runs_by_input_height ON runs(input_height)",
    "CREATE INDEX runs_by_batch ON runs(batch)",
    "CREATE INDEX runs_by_sequence ON runs(sequence)",
    "CREATE INDEX runs_by_shown_verdict"
    " ON runs(CASE WHEN status = 'done' THEN coalesce(verdict, 'done') ELSE status END)",
    "CREATE INDEX runs_by_shown_note ON runs(coalesce(nullif(note, ''), error))",
)
"""0008_shapes: the requested shape of the inputs and the method, which are NULL in earlier runs: the model's own. The
order of runs by what the tables show as verdict and note."""

TRAINING_CHECKS = (
    """
CREATE TABLE training_checks (
    id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL,
    model TEXT NOT NULL,
    reference TEXT NOT NULL,
    passed INTEGER,
    error TEXT,
    box TEXT NOT NULL,
    etui_version TEXT NOT NULL,
    detail TEXT NOT NULL
)""",
    "CREATE INDEX training_checks_reference ON training_checks(reference, created_at)",
)
"""0009_training_checks: training checks with their losses. ``reference`` is what the model is found by; ``passed`` is
NULL if the check ended with an error."""

TRAININGS = (
    """
CREATE TABLE trainings (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    model TEXT NOT NULL,
    folder TEXT NOT NULL,
    request TEXT NOT NULL,
    result TEXT,
    error TEXT,
    etui_version TEXT NOT NULL,
    installation TEXT NOT NULL DEFAULT '',
    box TEXT,
    claimed_by TEXT,
    claimed_pid INTEGER,
    claimed_host TEXT,
    claimed_user TEXT
)""",
    "CREATE INDEX trainings_live ON trainings(queued_at) WHERE status IN ('queued', 'running')",
    """
CREATE TABLE training_epochs (
    training TEXT NOT NULL REFERENCES trainings(id) ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (training, epoch)
) WITHOUT ROWID""",
    """
CREATE TABLE training_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    training TEXT NOT NULL REFERENCES trainings(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    stage TEXT,
    done REAL,
    total REAL,
    left_s REAL,
    step TEXT
)""",
    "CREATE INDEX training_events_training ON training_events(training, id)",
    "ALTER TABLE runs ADD COLUMN map_percent REAL",
    "ALTER TABLE runs ADD COLUMN task_top1_percent REAL",
    "CREATE INDEX runs_by_map_percent ON runs(map_percent)",
    "CREATE INDEX runs_by_task_top1_percent ON runs(task_top1_percent)",
)
"""0010_trainings: trainings of classifiers in the queue, the figures of their epochs, and their logs. A training that
is resumed is queued again, at ``queued_at``. The accuracy of runs on labelled images, NULL in earlier runs."""

MIGRATIONS = {
    "0001_first": FIRST,
    "0002_pages": PAGES,
    "0003_insight": INSIGHT,
    "0004_classes": CLASSES,
    "0005_lookups": LOOKUPS,
    "0006_id_parts": ID_PARTS,
    "0007_interval_width": INTERVAL_WIDTH,
    "0008_shapes": SHAPES,
    "0009_training_checks": TRAINING_CHECKS,
    "0010_trainings": TRAININGS,
}
"""All migrations by name, in order. A released entry never changes; a new one is added at the end."""
