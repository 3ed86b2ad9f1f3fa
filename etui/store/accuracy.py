"""The accuracy of a run as rows: one per output, input and reference."""

from __future__ import annotations

import sqlite3

import msgspec

from etui.results import Accuracy, Comparison, Metrics, OutputAccuracy
from etui.store.detail_json import AccuracyDetail, ComparisonDetail

END_TO_END = "end_to_end"
LOWERING = "lowering"
_METRICS = ("mae", "max_abs", "rmse", "sqnr_db", "cosine", "top1", "top5")


def without_outputs(accuracy: Accuracy | None) -> AccuracyDetail | None:
    """Return the part of an accuracy that is not stored as rows."""
    if accuracy is None:
        return None
    return AccuracyDetail(
        verdict=accuracy.verdict,
        reason=accuracy.reason,
        tolerance=accuracy.tolerance,
        end_to_end=_without_outputs(accuracy.end_to_end),
        lowering=_without_outputs(accuracy.lowering) if accuracy.lowering else None,
        task=accuracy.task,
    )


def save_outputs(connection: sqlite3.Connection, run_id: str, accuracy: Accuracy | None) -> None:
    """Store the outputs of both comparisons, replacing those of the run."""
    connection.execute("DELETE FROM accuracy WHERE run = ?", (run_id,))
    if accuracy is None:
        return
    for name, comparison in ((END_TO_END, accuracy.end_to_end), (LOWERING, accuracy.lowering)):
        for position, output in enumerate(comparison.outputs if comparison else ()):
            metrics = output.metrics
            connection.execute(
                "INSERT INTO accuracy (run, comparison, position, input, output, name, shape, dtype, informative,"
                " problem, mae, max_abs, rmse, sqnr_db, cosine, top1, top5, exact)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id, name, position, output.input, output.output, output.name,
                    msgspec.json.encode(output.shape).decode(), output.dtype, int(output.informative), output.problem,
                    *(getattr(metrics, metric, None) for metric in _METRICS),
                    None if metrics is None else int(metrics.exact),
                ),
            )  # fmt: skip


def load_accuracy(connection: sqlite3.Connection, run_id: str, detail: AccuracyDetail | None) -> Accuracy | None:
    """Return the accuracy of a run from its detail and its rows."""
    if detail is None:
        return None
    outputs: dict[str, list[OutputAccuracy]] = {END_TO_END: [], LOWERING: []}
    for row in connection.execute("SELECT * FROM accuracy WHERE run = ? ORDER BY comparison, position", (run_id,)):
        outputs[row["comparison"]].append(_output(row))
    lowering = detail.lowering
    return Accuracy(
        verdict=detail.verdict,
        reason=detail.reason,
        tolerance=detail.tolerance,
        end_to_end=_with_outputs(detail.end_to_end, outputs[END_TO_END]),
        lowering=_with_outputs(lowering, outputs[LOWERING]) if lowering else None,
        task=detail.task,
    )


def _output(row: sqlite3.Row) -> OutputAccuracy:
    metrics = None
    if row["exact"] is not None:
        metrics = Metrics(**{metric: row[metric] for metric in _METRICS}, exact=bool(row["exact"]))
    return OutputAccuracy(
        input=row["input"],
        output=row["output"],
        name=row["name"],
        shape=msgspec.json.decode(row["shape"], type=list[int]),
        dtype=row["dtype"],
        informative=bool(row["informative"]),
        metrics=metrics,
        problem=row["problem"],
    )


def _without_outputs(comparison: Comparison) -> ComparisonDetail:
    return ComparisonDetail(against=comparison.against, overall=comparison.overall, worst=comparison.worst)


def _with_outputs(detail: ComparisonDetail, outputs: list[OutputAccuracy]) -> Comparison:
    return Comparison(against=detail.against, overall=detail.overall, worst=detail.worst, outputs=outputs)
