"""Conversion of a run's document to rows and back, without loss."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Literal, cast

import msgspec

from etui.errors import StoreError
from etui.insight import Profile, Section
from etui.results import LIVE_STATUSES, Artifact, Environment, RunDocument, SessionInfo, Status
from etui.spec import EAGER, SessionSpec, label
from etui.store import blocks, logs
from etui.store.accuracy import load_accuracy, save_outputs, without_outputs
from etui.store.columns import EARLY, columns_of
from etui.store.detail_json import RunDetail, decode_detail, encode_detail
from etui.store.operators import save_operators, with_operators_of, without_operators

_ORIGIN = ("model", "weights", "variants", "data", "allow_pickle")
"""The fields of a session's specification that name the files of its runs, and what these may do."""


def save_document(connection: sqlite3.Connection, document: RunDocument, *, log_is_complete: bool = False) -> None:
    """Store a run from its document, replacing its queued row if there is one.

    A note and tags that were set on the row in the meantime are kept. Unless ``log_is_complete``, the log of a run that
    was queued here consists of all its events, including later ones; otherwise of the lines of the document, in order.
    """
    session = _ensure_session(connection, document)
    columns = columns_of(document) | {"environment": _save_environment(connection, document.environment)}
    _upsert_run(connection, columns)
    run_id = document.id
    blocks.assign(connection, document.session.id, run_id, "own", document.blocks)
    blocks.assign(connection, document.session.id, run_id, "eager", document.eager_blocks)
    blocks.assign(connection, document.session.id, run_id, "superseded", document.superseded_blocks)
    _save_parts(connection, document)
    save_operators(connection, run_id, document.profile)
    ranges = logs.save_log(connection, document.session.id, run_id, document.log)
    stored_session = _session_info(session)
    detail = msgspec.structs.replace(
        _detail(document),
        session=document.session if document.session != stored_session else None,
        # A run measured here can get events after it was saved, so its log is not fixed.
        log=ranges if log_is_complete or session["imported"] else None,
        saved=True,
    )
    connection.execute("INSERT OR REPLACE INTO details (run, detail) VALUES (?, ?)", (run_id, encode_detail(detail)))


def save_partial(connection: sqlite3.Connection, document: RunDocument) -> None:
    """Store the known parts of a live run. Its status, times, blocks and log are not changed. A run that has ended is
    not changed."""
    if connection.execute("SELECT 1 FROM live_runs WHERE id = ?", (document.id,)).fetchone() is None:
        return
    columns = columns_of(document)
    values = {name: columns[name] for name in EARLY}
    values["environment"] = _save_environment(connection, document.environment)
    # A value that is not known yet does not replace a known one.
    assignments = ", ".join(f"{name} = coalesce(?, {name})" for name in values)
    connection.execute(
        # The column names are constants; every value is a parameter.
        f"UPDATE runs SET {assignments} WHERE id = ?",  # noqa: S608
        (*values.values(), document.id),
    )
    _save_parts(connection, document)
    connection.execute("UPDATE details SET detail = ? WHERE run = ?", (encode_detail(_detail(document)), document.id))


def _save_parts(connection: sqlite3.Connection, document: RunDocument) -> None:
    """Store the artifact and the outputs of a run, replacing earlier ones."""
    connection.execute("DELETE FROM artifacts WHERE run = ?", (document.id,))
    if (artifact := document.artifact) is not None:
        connection.execute(
            "INSERT INTO artifacts (run, kind, size_bytes, sha256, cache_key, cached) VALUES (?, ?, ?, ?, ?, ?)",
            (document.id, artifact.kind, artifact.size_bytes, artifact.sha256, artifact.key, int(artifact.cached)),
        )
    save_outputs(connection, document.id, document.accuracy)


def _detail(document: RunDocument) -> RunDetail:
    """Return the detail of a document, as of a run that is not saved whole."""
    return RunDetail(
        model=document.model,
        schema=document.schema,
        weights=document.weights,
        inputs=document.inputs,
        arithmetic=document.arithmetic,
        latency_ms=document.latency_ms,
        eager_latency_ms=document.eager_latency_ms,
        speedup=document.speedup,
        program_load_ms=document.program_load_ms,
        method_load_ms=document.method_load_ms,
        eager_first_inference_ms=document.eager_first_inference_ms,
        call=document.call,
        accuracy=without_outputs(document.accuracy),
        memory=document.memory,
        eager_memory=document.eager_memory,
        delegation=document.delegation,
        stages=document.stages,
        graph_stages=document.graph_stages,
        sections=document.artifact.sections if document.artifact else [],
        profile=without_operators(document.profile),
        gap=document.gap,
        analyses=document.analyses,
        task=document.task,
        flags=document.flags,
        eager_flags=document.eager_flags,
        quiet=document.quiet,
        repeats=document.repeats,
    )


def import_document(connection: sqlite3.Connection, document: RunDocument) -> Literal["new", "known"]:
    """Store an imported run unless its id is known. A run that was live when it was exported becomes interrupted."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (document.id,)).fetchone() is not None:
        return "known"
    if document.status in LIVE_STATUSES:
        error = f"the run was {document.status} when it was exported"
        document = msgspec.structs.replace(document, status="interrupted", error=document.error or error)
    # If the run was measured here and deleted, its log lines are added again, after those of its session: the order of
    # the document has to be stored.
    save_document(connection, document, log_is_complete=True)
    return "new"


def is_imported(connection: sqlite3.Connection, run_id: str) -> bool:
    """Whether the origin of a run is from an imported file, including a file that claims to belong to a session that
    was queued here. Raises StoreError if the run does not exist."""
    row = connection.execute(
        "SELECT sessions.imported, sessions.spec, details.detail FROM runs JOIN details ON details.run = runs.id"
        " JOIN sessions ON sessions.id = runs.session WHERE runs.id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        raise StoreError(f"there is no run {run_id}", "see etui runs", screen_hint="")
    if row["imported"]:
        return True
    claimed = decode_detail(row["detail"]).session
    if claimed is None:
        return False
    queued = msgspec.json.decode(row["spec"], type=dict[str, object])
    return any(claimed.spec.get(name) != queued.get(name) for name in _ORIGIN)


def save_result(connection: sqlite3.Connection, run_id: str, result: msgspec.Struct) -> None:
    """Store the result of an analysis in the document of a run, unless that run was deleted."""
    from etui.analysis_kinds.registry import kind_of_result

    row = connection.execute("SELECT detail FROM details WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        return
    kind, detail, stored = kind_of_result(result), decode_detail(row["detail"]), result
    if isinstance(result, Profile):
        save_operators(connection, run_id, result)
        stored = without_operators(result)
    changes: dict[str, object] = {kind.document_field: stored}
    if not kind.document_field:
        changes = {"analyses": {**(detail.analyses or {}), kind.name: msgspec.to_builtins(stored)}}
    detail = msgspec.structs.replace(detail, **changes)
    connection.execute("UPDATE details SET detail = ? WHERE run = ?", (encode_detail(detail), run_id))


def load_document(connection: sqlite3.Connection, run_id: str, *, with_operators: bool = True) -> RunDocument:
    """Return the document of a run; of a live one, the parts known so far. Unless ``with_operators``, the operators of
    its profile are empty lists.

    Raises StoreError if the run does not exist or is damaged.
    """
    row = connection.execute(
        "SELECT runs.*, details.detail FROM runs JOIN details ON details.run = runs.id WHERE id = ?", (run_id,)
    ).fetchone()
    if row is None:
        raise StoreError(f"there is no run {run_id}", "see etui runs", screen_hint="")
    try:
        document = _document(connection, row)
        # Imported here to keep it out of the start of the screen.
        from etui.analysis_kinds.registry import check_results

        check_results(document)
        if document.profile is not None:
            # Earlier versions also stored the operators of imported profiles in the detail.
            profile = without_operators(document.profile)
            document.profile = with_operators_of(connection, run_id, profile) if with_operators else profile
        return document
    except (msgspec.DecodeError, ValueError, LookupError, TypeError) as error:
        raise StoreError(
            f"run {run_id} is damaged in the database ({error})", "delete the run, or restore a backup of the database"
        ) from error


def _document(connection: sqlite3.Connection, row: sqlite3.Row) -> RunDocument:
    run_id, session_id = row["id"], row["session"]
    detail = decode_detail(row["detail"])
    session = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if detail.saved:
        own = blocks.saved_blocks(connection, run_id, "own")
        eager = blocks.saved_blocks(connection, run_id, "eager")
        superseded = blocks.saved_blocks(connection, run_id, "superseded")
    else:
        name = row["variant"] or f"{row['precision']}/{row['delegate']}"
        run_label = label(name, detail.repeats)
        own = blocks.session_blocks(connection, session_id, run_label)
        eager = blocks.session_blocks(connection, session_id, _eager_label(row["variant"], run_label, session))
        superseded = [block for block in (*own, *eager) if block.superseded]
        own, eager = ([block for block in side if not block.superseded] for side in (own, eager))
    return RunDocument(
        schema=detail.schema,
        etui_version=row["etui_version"],
        id=run_id,
        session=detail.session or _session_info(session),
        status=cast("Status", row["status"]),
        created_at=row["created_at"],
        model=detail.model,
        precision=row["precision"],
        delegate=row["delegate"],
        preset=row["preset"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
        weights=detail.weights,
        inputs=detail.inputs,
        threads=row["threads"],
        arithmetic=detail.arithmetic,
        latency_ms=detail.latency_ms,
        eager_latency_ms=detail.eager_latency_ms,
        speedup=detail.speedup,
        program_load_ms=detail.program_load_ms,
        method_load_ms=detail.method_load_ms,
        first_inference_ms=row["first_inference_ms"],
        eager_first_inference_ms=detail.eager_first_inference_ms,
        call=detail.call,
        accuracy=load_accuracy(connection, run_id, detail.accuracy),
        memory=detail.memory,
        eager_memory=detail.eager_memory,
        delegation=detail.delegation,
        artifact=_artifact(connection, run_id, detail.sections),
        stages=detail.stages,
        graph_stages=detail.graph_stages,
        profile=detail.profile,
        gap=detail.gap,
        analyses=detail.analyses,
        task=detail.task,
        environment=_environment(connection, row["environment"]),
        flags=detail.flags,
        eager_flags=detail.eager_flags,
        quiet=detail.quiet,
        repeats=detail.repeats,
        variant=row["variant"],
        input_size=None if row["input_height"] is None else (row["input_height"], row["input_width"]),
        batch=row["batch"],
        sequence=row["sequence"],
        dynamic=bool(row["dynamic"]),
        method=row["method"],
        summary_only=bool(row["summary_only"]),
        note=row["note"],
        tags=msgspec.json.decode(row["tags"], type=list[str]),
        blocks=own,
        eager_blocks=eager,
        superseded_blocks=superseded,
        log=logs.load_log(connection, session_id, run_id, detail.log),
    )


def _eager_label(variant: str | None, run_label: str, session: sqlite3.Row) -> str:
    """Return the label of the eager baseline of a run that has not ended."""
    if variant is None:
        return EAGER
    spec = msgspec.json.decode(session["spec"], type=SessionSpec)
    return next((each.eager_label for each in spec.variants if each.label == run_label), EAGER)


def _ensure_session(connection: sqlite3.Connection, document: RunDocument) -> sqlite3.Row:
    """Return the session's row; if the session is not known, insert it as imported, so that no runner claims it."""
    info = document.session
    connection.execute(
        "INSERT INTO sessions (id, created_at, box, spec, imported, finished_at) VALUES (?, ?, ?, ?, 1, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (
            info.id,
            info.created_at,
            document.environment.box if document.environment else None,
            msgspec.json.encode(info.spec).decode(),
            document.finished_at or document.created_at,
        ),
    )
    return cast("sqlite3.Row", connection.execute("SELECT * FROM sessions WHERE id = ?", (info.id,)).fetchone())


def _session_info(session: sqlite3.Row) -> SessionInfo:
    return SessionInfo(
        id=session["id"],
        created_at=session["created_at"],
        spec=msgspec.json.decode(session["spec"], type=dict[str, object]),
    )


def _upsert_run(connection: sqlite3.Connection, columns: dict[str, object]) -> None:
    merged = {
        "box": "coalesce(excluded.box, box)",
        "note": "CASE WHEN note <> '' THEN note ELSE excluded.note END",
        "tags": "CASE WHEN tags <> '[]' THEN tags ELSE excluded.tags END",
    }
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{name} = {merged.get(name, f'excluded.{name}')}" for name in columns if name != "id")
    connection.execute(
        # The column names are constants; every value is a parameter.
        f"INSERT INTO runs ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",  # noqa: S608
        tuple(columns.values()),
    )


def _save_environment(connection: sqlite3.Connection, environment: Environment | None) -> str | None:
    if environment is None:
        return None
    detail = msgspec.json.encode(environment)
    environment_id = hashlib.sha256(detail).hexdigest()[:16]
    connection.execute(
        "INSERT INTO environments (id, box, detail) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (environment_id, environment.box, detail.decode()),
    )
    return environment_id


def _environment(connection: sqlite3.Connection, environment_id: str | None) -> Environment | None:
    if environment_id is None:
        return None
    row = connection.execute("SELECT detail FROM environments WHERE id = ?", (environment_id,)).fetchone()
    return msgspec.json.decode(row["detail"], type=Environment)


def _artifact(connection: sqlite3.Connection, run_id: str, sections: list[Section]) -> Artifact | None:
    row = connection.execute("SELECT * FROM artifacts WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        return None
    return Artifact(
        kind=row["kind"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        key=row["cache_key"],
        cached=bool(row["cached"]),
        sections=sections,
    )
