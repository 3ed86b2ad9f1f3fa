"""Make ``import torchvision`` work with a CPU build of torch, with which its compiled operators cannot be loaded.

torchvision's wheel is built against CUDA. With a CPU torch its library fails to load, and its Python code, which
registers functions for operators of that library, fails at import (and so does code in transformers that imports it).
Declaring those two operators is enough: no classification model calls them. A working torchvision is not changed. The
same is done when a user's file imports it (``etui.engine.models.user_code``).
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from etui.engine.explain.source_lines import chain

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[torch.library.Library] = []  # A library that is garbage-collected unregisters its operators.
_searching: list[bool] = []


def prepare_torchvision() -> bool:
    """Declare the missing operators if torchvision's library does not load; return whether that was needed.

    Call it before anything imports torchvision or transformers. Calling it again does nothing.
    """
    if "torchvision" in sys.modules or _libraries or _searching:
        return bool(_libraries)
    _searching.append(True)  # finding the package may ask finders that call this function
    try:
        folder = _torchvision_folder()
    finally:
        _searching.clear()
    if folder is None or _loads(folder):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        if not _declared(name):
            library.define(schema)  # type: ignore[no-untyped-call]
    _libraries.append(library)
    return True


def needs_compiled_torchvision(error: BaseException) -> bool:
    """Return whether an error is that of a compiled operator of torchvision, which was only declared here."""
    return bool(_libraries) and any(
        "torchvision::" in str(each) or "Couldn't load custom C++ ops" in str(each) for each in chain(error)
    )


@contextmanager
def deferred_import(module: str, function: str) -> Iterator[None]:
    """Let code import ``function`` of ``module`` without importing the module until the function is called.

    torchvision imports torch's compiler, which takes a second, for one function that only detection models call. A
    module that is already imported is not changed.
    """
    if module in sys.modules:
        yield
        return
    stand_in = types.ModuleType(module)
    setattr(stand_in, function, _calling(module, function))
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        del sys.modules[module]


def _calling(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


def _torchvision_folder() -> Path | None:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _loads(folder: Path) -> bool:
    """Return whether torchvision's compiled library loads and registers its operators."""
    for path in sorted([*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]):
        try:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
        except (OSError, ImportError):
            continue
        if _declared("nms"):
            return True
    return False


def _declared(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)
