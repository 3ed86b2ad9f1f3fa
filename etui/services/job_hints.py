"""The hint for a job that failed without a run, and so without a log."""

from __future__ import annotations

from pathlib import Path

from etui.catalog.find import Model, UserModel
from etui.services.one_job import JobFailed


def hint_without_log(error: JobFailed, model: Model) -> str:
    """Return the hint of a failed job; instead of the log, it names the file of a user's model."""
    if "log has" not in error.hint:
        return error.hint
    return f"fix {Path(model.path).name}" if isinstance(model, UserModel) and model.kind != "pte" else ""
