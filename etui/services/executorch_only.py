"""What works only with ExecuTorch programs, and is refused for the programs of other runtimes."""

from __future__ import annotations

from etui.catalog.delegates import RECORDS
from etui.errors import UsageError
from etui.results import RunDocument


def reason_not_available(document: RunDocument, what: str) -> str | None:
    """Return why ``what``, such as "the profile", is not available for a run; None if its program is ExecuTorch's."""
    record = RECORDS.get(document.delegate)
    if record is None or not record.is_baseline:
        return None
    return f"{what} is not available for {record.runtime} programs"


def require_executorch(document: RunDocument, what: str) -> None:
    """Raise UsageError if the program of a run is executed by another runtime than ExecuTorch."""
    if reason := reason_not_available(document, what):
        raise UsageError(reason, "choose a run whose program is an ExecuTorch program (.pte)")
