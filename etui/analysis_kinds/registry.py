"""All kinds of analysis."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from etui.analysis_kinds.gap import GAP
from etui.analysis_kinds.kind import AnyKind
from etui.analysis_kinds.profile import PROFILE
from etui.results import RunDocument

KINDS: dict[str, AnyKind] = {kind.name: kind for kind in (PROFILE, GAP)}
"""All kinds by name. A new kind is one entry."""


def kind_of_result(result: msgspec.Struct) -> AnyKind:
    """Return the kind of an analysis with this result."""
    return next(kind for kind in KINDS.values() if type(result) is kind.result)


def check_results(document: RunDocument) -> None:
    """Check the results in ``document.analyses``. Those of unknown kinds, which a newer version wrote, are accepted.

    Raises:
        msgspec.ValidationError: one does not have the fields of its kind.
    """
    for kind in _kept_by_name():
        try:
            kind.result_in(document)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.analyses.{kind.name}", 1)) from error


def _kept_by_name() -> Iterable[AnyKind]:
    return (kind for kind in KINDS.values() if not kind.document_field)
