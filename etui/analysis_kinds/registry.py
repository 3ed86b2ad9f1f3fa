"""All kinds of analysis: the records that the modules of this package declare."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from etui.analysis_kinds.kind import AnalysisKind, AnyKind
from etui.results import RunDocument


def _declared() -> Iterable[AnyKind]:
    for name in sorted(path.stem for path in Path(__file__).parent.glob("*.py")):
        if name not in ("__init__", "kind", "registry"):
            module = importlib.import_module(f"etui.analysis_kinds.{name}")
            yield from (value for value in vars(module).values() if isinstance(value, AnalysisKind))


KINDS: dict[str, AnyKind] = {kind.name: kind for kind in _declared()}
"""All kinds by name. A new kind is a new module in this package."""


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
