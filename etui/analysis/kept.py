"""Which modules a run left in FP32 while the rest was quantized, read from what its session was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from etui.results import RunDocument

_UNQUANTIZED = frozenset({"fp32", "fp16", "as-is"})
"""Precisions of a session that asked for quantized ones too: what those keep does not concern them."""


def kept_fp32(document: RunDocument) -> tuple[str, ...]:
    """The paths of the modules, sorted; none where the run's precision quantizes nothing, or its document is older."""
    spec: Mapping[str, object] = document.session.spec
    for variant in _mappings(spec.get("variants")):
        repeats = variant.get("repeats")
        if document.repeats is not None and isinstance(repeats, Mapping) and repeats.get("run") == document.repeats:
            spec = repeats
    if document.precision in _UNQUANTIZED:
        return ()
    return tuple(sorted({path for path in _items(spec.get("keep_fp32")) if isinstance(path, str)}))


def _mappings(value: object) -> Iterable[Mapping[str, object]]:
    return [one for one in _items(value) if isinstance(one, Mapping)]


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()
