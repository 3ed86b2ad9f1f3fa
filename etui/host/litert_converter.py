"""The Python environment that converts models to LiteRT: litert-torch needs other versions of some packages than etui,
so it is usually in a separate environment, which the user names."""

from __future__ import annotations

import functools
import os
import sys
from importlib.util import find_spec

VARIABLE = "ETUI_LITERT_PYTHON"
PACKAGE = "litert-torch"

_LIMIT_S = 60.0
_HINT = "python3 -m venv DIR && DIR/bin/pip install litert-torch, then --litert-python DIR/bin/python"


def converter_python() -> str | None:
    """Return the Python of the converter's environment: ``ETUI_LITERT_PYTHON``, else etui's own if litert-torch is
    installed there, else None."""
    if given := os.environ.get(VARIABLE):
        return given
    return sys.executable if find_spec("litert_torch") is not None else None


def converter_problem() -> tuple[str, str] | None:
    """Return why models cannot be converted and the next step, None if they can."""
    python = converter_python()
    if python is None:
        return f"no environment with {PACKAGE} is named, which converts the model", _HINT
    if not os.access(python, os.X_OK):
        return f"{python} is not an executable file", _HINT
    if not converter_version(python):
        return f"{python} has no package {PACKAGE}", _HINT
    return None


@functools.cache
def converter_version(python: str) -> str:
    """Return the version of litert-torch in the environment of a Python; empty if it is not installed there."""
    import subprocess

    code = f"from importlib.metadata import version; print(version({PACKAGE!r}))"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
