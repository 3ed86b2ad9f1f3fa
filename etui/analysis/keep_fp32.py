"""The modules of a quantized run that were kept in FP32, read from the specification of its session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from etui.results import RunDocument

_UNQUANTIZED = frozenset({"fp32", "fp16", "as-is"})
"""Precisions without quantization: in a session with quantized ones too, the option does not apply to them."""


def kept_fp32(document: RunDocument) -> tuple[str, ...]:
    """Return the sorted paths of the modules that a run kept in FP32; see ``kept_in``."""
    return kept_in(document.session.spec, document.precision, document.repeats)


def kept_in(spec: Mapping[str, object], precision: str, repeats: str | None) -> tuple[str, ...]:
    """Return the sorted paths of the modules kept in FP32; empty if ``precision`` does not quantize, or the session is
    older than the option. ``spec`` is the session's specification, ``repeats`` the run that a run of a duel repeats."""
    for variant in _mappings(spec.get("variants")):
        repeated = variant.get("repeats")
        if repeats is not None and isinstance(repeated, Mapping) and repeated.get("run") == repeats:
            spec = repeated
    if precision in _UNQUANTIZED:
        return ()
    return tuple(sorted({path for path in _items(spec.get("keep_fp32")) if isinstance(path, str)}))


def _mappings(value: object) -> Iterable[Mapping[str, object]]:
    return [item for item in _items(value) if isinstance(item, Mapping)]


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()
