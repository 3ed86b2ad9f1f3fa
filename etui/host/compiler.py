"""The C++ compiler that Inductor would use: whether there is one, and its version."""

from __future__ import annotations

import functools
import os
import shutil
import sys

_DEFAULT = "clang++" if sys.platform == "darwin" else "g++"
_LIMIT_S = 20.0


def compiler() -> str:
    """Return the command of the compiler, as Inductor chooses it: the variable ``CXX``, else the platform's default."""
    return os.environ.get("CXX") or _DEFAULT


def compiler_problem() -> tuple[str, str] | None:
    """Return why there is no usable compiler and the next step, None if there is one. Only searches for the command."""
    command = compiler()
    if shutil.which(command) is not None:
        return None
    install = "install Xcode's command line tools" if sys.platform == "darwin" else "apt install g++"
    return f"no C++ compiler: {command} was not found", f"{install}, or set CXX to a C++ compiler"


@functools.cache
def compiler_version() -> str:
    """Return the first line that the compiler prints about its version; empty if it cannot be run."""
    import subprocess

    try:
        done = subprocess.run([compiler(), "--version"], capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()
