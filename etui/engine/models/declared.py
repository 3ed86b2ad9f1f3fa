"""Check what an ``etui.Model`` declares besides its module and inputs: tolerance, labels and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from etui.catalog.precisions import PRECISIONS
from etui.errors import PreparationError
from etui.model import Model
from etui.results import Tolerance

_OF_SESSIONS = frozenset({"source", "map_drop", "top1_drop"})
_LIMITS = tuple(name for name in Tolerance.__struct_fields__ if name not in _OF_SESSIONS)
_AT_MOST_1 = frozenset({"cosine_min", "top1_min"})


def tolerances_of(model: Model, source: str) -> dict[str, Tolerance]:
    """Return the limits that a model declares, by precision; the key ``""`` is for all.

    Raises:
        PreparationError: they are not as the documentation of ``etui.Model`` describes.
    """
    declared = model.tolerance
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        raise _wrong(source, f"is a {type(declared).__name__}")
    if any(isinstance(value, Mapping) for value in declared.values()):
        unknown = [name for name in declared if name not in PRECISIONS]
        if unknown:
            raise _wrong(source, f"has the unknown precision {unknown[0]!r}")
        return {str(name): _tolerance(value, source) for name, value in declared.items()}
    return {"": _tolerance(declared, source)}


def _tolerance(limits: object, source: str) -> Tolerance:
    if not isinstance(limits, Mapping):
        raise _wrong(source, "has limits for some precisions that are not a dict")
    for name, value in limits.items():
        if name not in _LIMITS:
            raise _wrong(source, f"has the unknown limit {name!r}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(source, f"has {value!r} as {name}")
        if not math.isfinite(value):
            raise _wrong(source, f"has {value!r} as {name}")
        if name in _AT_MOST_1 and value > 1:
            raise _wrong(source, f"has {value!r} as {name}, which is at most 1")
    if not limits:
        raise _wrong(source, "has no limit")
    limited = {str(name): float(value) for name, value in limits.items()}
    return msgspec.convert({**limited, "source": f"the tolerance in {source}"}, Tolerance)


def _wrong(source: str, problem: str) -> PreparationError:
    return PreparationError(
        f"the tolerance of {source} {problem}", f"give a dict of {', '.join(_LIMITS)}, or one for each precision"
    )
