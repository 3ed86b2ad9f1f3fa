"""The backends that programs name: the delegate each belongs to, and how to get a runtime that has it."""

from __future__ import annotations

from etui.catalog.delegates import RECORDS, delegates

_OTHER_HINTS = {"VgfBackend": "run it on a device with Arm's ML extensions for Vulkan"}
"""How to run programs of backends that no delegate of the catalog has."""


def hint_for(backend: str) -> str:
    """Return what to do if this machine lacks a backend."""
    record = next((record for record in RECORDS.values() if record.backend == backend), None)
    if record is None:
        return _OTHER_HINTS.get(backend, f"use a build of ExecuTorch that has {backend}")
    if record.missing_library_hint and delegates()[record.name].runs_here:
        return record.missing_library_hint
    return record.backend_hint
