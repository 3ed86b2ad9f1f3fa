"""The result types of analyses, and how each is stored as part of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from etui.insight import NumericGap, Profile
from etui.store import Store

AnalysisResult = Profile | NumericGap

_SAVE: Mapping[type, Callable[[Store, str, Any], None]] = {
    Profile: Store.save_profile,
    NumericGap: Store.save_gap,
}


def save_result(store: Store, run_id: str, result: AnalysisResult) -> None:
    """Store the result of an analysis as part of its run.

    Raises:
        StoreError: the database does not accept it.
    """
    _SAVE[type(result)](store, run_id, result)
