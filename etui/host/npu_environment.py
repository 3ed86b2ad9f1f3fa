"""The Python environment with the tools for Arm Ethos-U: they need other versions of some packages than etui, so they
are in an environment of their own, which etui makes on request or the user names."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from etui.errors import EtuiError

PACKAGES = ("torch", "executorch", "ethos-u-vela", "tosa-tools")
SIZE = "about 2 GB; several GB more if pip finds only a CUDA build of torch"

_LIMIT_S = 120.0
_STOP_S = 0.5
_VERSIONS = f"""
import json
from importlib.metadata import PackageNotFoundError, version
found = {{}}
for name in {PACKAGES!r}:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class NpuEnvironmentError(EtuiError):
    """The environment cannot be used or made."""


def python_of(environment: Path) -> Path:
    """Return the Python of an environment, given as its folder or as that Python."""
    return environment / "bin" / "python" if environment.is_dir() else environment


def problem(environment: Path) -> str | None:
    """Return why an environment cannot be used, None if it can."""
    python = python_of(environment)
    if not environment.exists():
        return f"the environment {environment} does not exist"
    if not python.is_file() or not os.access(python, os.X_OK):
        return f"{environment} is not a Python environment"
    missing = [name for name in PACKAGES if name not in versions(python)]
    return f"{environment} does not have {' and '.join(missing)}" if missing else None


@functools.cache
def versions(python: Path) -> dict[str, str]:
    """Return the versions of those of the tools that the environment of a Python has."""
    command = [str(python), "-I", "-c", _VERSIONS]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=True)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {str(name): str(each) for name, each in found.items()} if isinstance(found, dict) else {}


def requirements() -> list[str]:
    """Return what is installed into the environment: the tools for the installed ExecuTorch, and the same torch, since
    it reads the graph that etui's torch writes."""
    same = {name: version(name).partition("+")[0] for name in ("torch", "executorch")}
    return [f"torch=={same['torch']}", f"executorch[ethos-u]=={same['executorch']}"]


def make(environment: Path, say: Callable[[str], object], stopped: Callable[[], bool] = lambda: False) -> None:
    """Make the environment in a folder that does not exist or is empty, with the ``pip`` of this Python. ``say`` is
    called with a line before each step. What was made is removed if a step fails or is interrupted, also soon after
    ``stopped`` returns True.

    Raises:
        NpuEnvironmentError: the folder has something else, or a step failed.
    """
    if environment.is_file() or (environment.is_dir() and any(environment.iterdir())):
        raise NpuEnvironmentError(f"{environment} exists and has other content", "name another folder with --env")
    python = str(environment / "bin" / "python")
    steps = (
        (f"making {environment} ..", [sys.executable, "-m", "venv", str(environment)]),
        (
            f"installing {', '.join(requirements())} ..",
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements()],
        ),
    )
    made = False
    try:
        for line, command in steps:
            say(line)
            status, output = _run(command, stopped)
            if status != 0:
                lines = [text for text in output.splitlines() if text.strip()]
                causes = [text for text in lines if text.startswith("ERROR:")] or lines or ["no message"]
                raise NpuEnvironmentError(
                    f"the environment could not be made: {causes[0].removeprefix('ERROR:').strip()}",
                    "check pip's settings and the network, or make it yourself and name it with --env",
                )
        made = True
    except OSError as error:
        raise NpuEnvironmentError(
            f"the environment could not be made: {error}", "name another folder with --env"
        ) from error
    finally:
        versions.cache_clear()
        if not made:
            with contextlib.suppress(OSError):
                shutil.rmtree(environment)


def _run(command: list[str], stopped: Callable[[], bool]) -> tuple[int, str]:
    """Return the status of a command, and its errors, or else what it printed."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    printed, errors = process.communicate(timeout=_STOP_S)
                    return process.returncode, errors or printed
                if stopped():
                    raise NpuEnvironmentError("making the environment was stopped", "make it again")
        except BaseException:
            process.kill()
            raise
