"""Build a C++ loop over one program, linked against the shared libraries in the executorch package."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("cpp_loop.cpp")
_LIBRARIES = (
    "executorch",
    "executorch_threadpool",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_backend_xnnpack",
)
_DEFINITIONS = ("C10_USING_CUSTOM_GENERATED_MACROS", "ET_EVENT_TRACER_ENABLED")
"""The definitions in the package's own CMake files, without which its headers do not compile or have another layout."""


class NoCompiler(Exception):
    """The C++ loop cannot be built here; the message gives the reason."""


def build(folder: Path) -> Path:
    """Compile the loop into ``folder`` and return the program for ``bursts.Bursts``.

    Raises:
        NoCompiler: there is no C++ compiler, or the package lacks headers or libraries.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise NoCompiler("there is no C++ compiler (g++, c++ or $CXX)")
    package = _package()
    include, libraries = package / "include", package / "lib"
    missing = [name for name in _LIBRARIES if not (libraries / f"lib{name}.so").is_file()]
    if missing or not include.is_dir():
        raise NoCompiler(f"the executorch package has no {', '.join(missing) or 'headers'}")
    binary = folder / "cpp_loop"
    command = [
        compiler,
        "-std=c++17",
        "-O2",
        *(f"-D{name}" for name in _DEFINITIONS),
        f"-I{include}",
        f"-I{include / 'executorch/runtime/core/portable_type/c10'}",
        str(_SOURCE),
        f"-L{libraries}",
        f"-Wl,-rpath,{libraries}",
        # Kernels and delegates register themselves when loaded; none of their symbols is referenced.
        "-Wl,--no-as-needed",
        *(f"-l{name}" for name in _LIBRARIES),
        "-o",
        str(binary),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCompiler(f"{compiler} cannot build the loop: {done.stderr.strip().splitlines()[-1]}\n{done.stderr}")
    return binary


def _package() -> Path:
    spec = importlib.util.find_spec("executorch")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        if Path(place, "lib").is_dir():
            return Path(place)
    raise NoCompiler("the executorch package has no lib folder")
