"""What stands in the way of loading a program here, told from its file and from what this process's runtime has."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from executorch.extension.pybindings import _C

from etui.catalog.backends import hint_for
from etui.engine.runtime.execution import OPENVINO_BACKEND, find_openvino_library, registered_backends
from etui.programs.program import ProgramFile

MOST_OF_THE_MEMORY = 0.5
"""A program that plans more than this part of the free memory is not loaded: the runtime fills what it reserves, and
others on the box need the rest."""


def needed_backends(program: ProgramFile) -> list[str]:
    """The backends a program's subgraphs need, in the order they come."""
    return list(dict.fromkeys(one.backend for method in program.methods for one in method.delegates))


def backends_here(program: ProgramFile) -> list[str]:
    """Those of the backends a program needs that this runtime has."""
    needed = needed_backends(program)
    if OPENVINO_BACKEND in needed:
        find_openvino_library()
    registered = set(registered_backends())
    return [name for name in needed if name in registered and _C._is_available(name)]


def obstacle(program: ProgramFile, here: Collection[str]) -> tuple[str, str]:
    """What stands in the way, and what to do; two empty texts for nothing. ``here`` are the backends this box has."""
    if not program.methods:
        return "it has no method that could be loaded", "lower the model again"
    missing = [name for name in needed_backends(program) if name not in here]
    if missing:
        return f"it needs {' and '.join(missing)}, which this box does not have", hint_for(missing[0])
    kernels = {name.replace("::", ".") for name in _C._get_operator_names()}
    unknown = sorted({name for method in program.methods for name in method.operators if name not in kernels})
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        words = f"this runtime has no kernel for {', '.join(unknown[:3])}{more}"
        return words, "load it in a runtime built with them"
    planned, free = _planned_bytes(program), available_bytes()
    if free is not None and planned > free * MOST_OF_THE_MEMORY:
        words = f"it plans {planned / 1e9:,.1f} GB of memory, too much of the {free / 1e9:,.1f} GB that are free here"
        return words, "load it on a box with more memory"
    return "", ""


def available_bytes() -> int | None:
    """The memory that is free, None where that cannot be read."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _planned_bytes(program: ProgramFile) -> int:
    return max((sum(size for size in method.planned if size > 0) for method in program.methods), default=0)
