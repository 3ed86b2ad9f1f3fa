"""The NVIDIA GPUs that CUDA programs of this process would see, and whether the installed torch can use them, without
importing torch: CUDA that was initialized before a fork does not work after it."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_LIMIT_S = 20.0
_QUERY = "index,uuid,name,driver_version,clocks.sm"
_BUILD = re.compile(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", re.MULTILINE)
_NO_DEVICES = ("", "-1", "none", "void", "NoDevFiles")


class Gpu(NamedTuple):
    """One GPU as ``nvidia-smi`` describes it; ``place`` is its number there. ``clock_mhz`` is the present clock, None
    if it is not reported."""

    place: int
    uuid: str
    name: str
    driver: str
    clock_mhz: float | None


def cuda_problem() -> tuple[str, str] | None:
    """Return why models cannot be run on CUDA here and the next step, None if they can."""
    if not gpus():
        return "no CUDA device", "measure it on a machine with an NVIDIA GPU and its driver"
    if torch_build() is None:
        return f"the installed torch has no CUDA, but there is a {gpus()[0].name}", "install a CUDA build of torch"
    return None


@functools.cache
def torch_build() -> str | None:
    """Return the version of CUDA that the installed torch was built with; None for another build."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        found = _BUILD.search(Path(spec.origin).with_name("version.py").read_text("utf-8"))
    except OSError:
        return None
    return found.group(1) if found else None


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """Return the visible GPUs in the order in which CUDA counts them; empty without a driver."""
    return _visible(_all(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def clock_mhz() -> float | None:
    """Return the present clock of the GPU that is measured, the first visible one; None if it is not reported."""
    if not gpus():
        return None
    return next((gpu.clock_mhz for gpu in _all() if gpu.uuid == gpus()[0].uuid), None)


def versions() -> dict[str, str]:
    """Return what the result of a run on the GPU depends on: the GPU, its driver, and the CUDA of torch."""
    if not gpus():
        return {}
    return {"GPU": gpus()[0].name, "NVIDIA driver": gpus()[0].driver, "CUDA": torch_build() or ""}


VERSION_NAMES = ("GPU", "NVIDIA driver", "CUDA")
"""The keys of ``versions``."""


def _all() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return tuple(
        Gpu(int(index), uuid, name, driver, float(clock) if clock.replace(".", "", 1).isdigit() else None)
        for index, uuid, name, driver, clock in (row for row in rows if len(row) == 5 and row[0].isdigit())
    )


def _visible(found: tuple[Gpu, ...], setting: str | None) -> tuple[Gpu, ...]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` selects, by index or by the beginning of an id; like CUDA, it ends
    at the first that does not exist. A part of a GPU (MIG) is described by the GPU if there is only one."""
    if setting is None:
        return found
    selected: list[Gpu] = []
    for word in map(str.strip, setting.split(",")):
        if word in _NO_DEVICES:
            break
        if word.startswith("MIG-"):
            match = found[0] if len(found) == 1 else None
        else:
            match = next((gpu for gpu in found if word == str(gpu.place) or gpu.uuid.startswith(word)), None)
        if match is None:
            break
        selected.append(match)
    return tuple(selected)
