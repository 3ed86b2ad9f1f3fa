"""Which modules a run left in FP32 while the rest was quantized, read from what its session was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from etui.results import RunDocument

_UNQUANTIZED = frozenset({"fp32", "fp16", "as-is"})
"""Precisions of a session that asked for quantized ones too: what those keep does not concern them."""


def kept_fp32(document: RunDocument) -> tuple[str, ...]:
    """The paths of the modules that a run kept, sorted; see ``kept_in``."""
    return kept_in(document.session.spec, document.precision, document.repeats)


def kept_in(spec: Mapping[str, object], precision: str, repeats: str | None) -> tuple[str, ...]:
    """The paths of the modules, sorted; none if ``precision`` quantizes nothing, or the session is older than the
    option. ``spec`` is the session's specification, ``repeats`` the run that a run of a duel measured again."""
    for variant in _mappings(spec.get("variants")):
        repeated = variant.get("repeats")
        if repeats is not None and isinstance(repeated, Mapping) and repeated.get("run") == repeats:
            spec = repeated
    if precision in _UNQUANTIZED:
        return ()
    return tuple(sorted({path for path in _items(spec.get("keep_fp32")) if isinstance(path, str)}))


def _mappings(value: object) -> Iterable[Mapping[str, object]]:
    return [one for one in _items(value) if isinstance(one, Mapping)]


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()
