"""The range of shapes that a dynamic program was lowered for, read from the specification of its session."""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN_RANGE = "yes"


def shape_range(spec: object, *, is_dynamic: bool) -> str:
    """Return the range of each varied part of the shape, such as ``height 128 to 224, batch 1 to 8``; empty for a
    static program. Programs for other ranges are other programs, although their inputs may be the same.

    ``spec`` is the specification of the run's session. In a duel, and without a readable specification, the range is
    not known: ``UNKNOWN_RANGE``.
    """
    if not is_dynamic:
        return ""
    variants = spec.get("variants") if isinstance(spec, Mapping) else None
    parts: dict[str, set[int]] = {}
    for variant in variants if isinstance(variants, list | tuple) else ():
        if not isinstance(variant, Mapping) or not variant.get("dynamic") or variant.get("repeats"):
            continue
        size = variant.get("input_size")
        height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (None, None)
        shape = {"height": height, "width": width, "batch": variant.get("batch"), "sequence": variant.get("sequence")}
        for name, value in shape.items():
            if isinstance(value, int):
                parts.setdefault(name, set()).add(value)
    varied = [f"{name} {min(values)} to {max(values)}" for name, values in parts.items() if len(values) > 1]
    return ", ".join(varied) or UNKNOWN_RANGE
