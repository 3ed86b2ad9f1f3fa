"""Why a program cannot be loaded on this machine, from its file and from what this process's runtime provides."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from executorch.extension.pybindings import _C

from etui.catalog.backends import hint_for
from etui.engine.delegates import support_of_backend
from etui.engine.runtime.execution import registered_backends
from etui.programs.program import ProgramFile

MAX_MEMORY_SHARE = 0.5
"""A program that plans more than this share of the free memory is not loaded: the runtime writes to all memory that it
reserves, and other processes need the rest."""


def needed_backends(program: ProgramFile) -> list[str]:
    """Return the backends that a program's subgraphs need, in the order of the file."""
    return list(dict.fromkeys(subgraph.backend for method in program.methods for subgraph in method.delegates))


def available_backends(program: ProgramFile) -> list[str]:
    """Return those of a program's backends that this runtime has."""
    needed = needed_backends(program)
    for name in needed:
        if (support := support_of_backend(name)) is not None:
            support.prepare_runtime()
    registered = set(registered_backends())
    return [name for name in needed if name in registered and _C._is_available(name)]


def load_problem(program: ProgramFile, available: Collection[str]) -> tuple[str, str]:
    """Return why a program cannot be loaded, and what to do; two empty texts if nothing is known against it.
    ``available`` are the backends that this machine has."""
    if not program.methods:
        return "it has no methods", "lower the model again"
    missing = [name for name in needed_backends(program) if name not in available]
    if missing:
        return f"it needs {' and '.join(missing)}, which this machine does not have", hint_for(missing[0])
    kernels = kernel_names()
    unknown = sorted({name for method in program.methods for name in method.operators if name not in kernels})
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        problem = f"this runtime has no kernel for {', '.join(unknown[:3])}{more}"
        return problem, "use a runtime built with these kernels"
    planned, free = _planned_bytes(program), available_bytes()
    if free is not None and planned > free * MAX_MEMORY_SHARE:
        limit = f"{MAX_MEMORY_SHARE:.0%} of the {free / 1e9:,.1f} GB that are free"
        return f"it plans {planned / 1e9:,.1f} GB of memory, more than {limit}", "use a machine with more memory"
    return "", ""


def kernel_names() -> set[str]:
    """Return the names of the operators that this runtime has kernels for, such as ``aten.add.out``."""
    return {name.replace("::", ".") for name in _C._get_operator_names()}


def available_bytes() -> int | None:
    """Return the available memory in bytes, None if it cannot be read."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def _planned_bytes(program: ProgramFile) -> int:
    return max((sum(size for size in method.planned if size > 0) for method in program.methods), default=0)
