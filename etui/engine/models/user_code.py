"""Run a user's Python file from source, and record the hash of every module it imports that is not from an installed
package: the hashes and the package versions identify the code that was run."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from etui.catalog.find import UserModel
from etui.engine.explain.source_lines import is_own
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.errors import PreparationError


def source_files(model: UserModel) -> list[str]:
    """Return the existing files that a user's model was built from, as far as they are known: its own, and for a
    factory also the loaded modules that belong neither to the standard library nor to an installed package."""
    files = [model.path]
    if model.kind == "factory":
        origins = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        files += sorted({origin for origin in origins if isinstance(origin, str) and is_own(origin)} - {model.path})
    return [file for file in files if Path(file).is_file()]


class UserFile:
    """A user's file while it runs. ``sources`` maps the name of each imported module, and ``""`` for the file itself,
    to the SHA-256 of its source; it grows with each import."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sources: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[ModuleType]:
        """Import the file as a module, with its folder on the import path while the context is open, so that called
        code may import more. Exceptions of the user's code are not caught.

        Raises:
            PreparationError: Python cannot import the file.
        """
        name = f"etui_user_{hashlib.sha256(str(self.path).encode()).hexdigest()[:16]}"
        # Modules imported by an earlier run in this process may have changed.
        for known, module in list(sys.modules.items()):
            if isinstance(getattr(module, "__loader__", None), _Recording):
                del sys.modules[known]
        before = set(sys.modules)
        spec = importlib.util.spec_from_file_location(name, self.path, loader=_Recording(name, self.path, self, ""))
        if spec is None or spec.loader is None:
            raise PreparationError(f"{self.path} cannot be imported", "give a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        folder, finder = str(self.path.parent), _Finder(self)
        sys.path.insert(0, folder)
        sys.meta_path.insert(0, finder)
        importlib.invalidate_caches()
        try:
            spec.loader.exec_module(module)
            yield module
            self._record_other_modules(before | {name})
        finally:
            sys.path.remove(folder)
            sys.meta_path.remove(finder)

    def _record_other_modules(self, before: set[str]) -> None:
        """Record modules that were not loaded from a source file: extension modules, or those of custom loaders."""
        for name in sorted(set(sys.modules) - before - set(self.sources)):
            origin = getattr(sys.modules[name], "__file__", None)
            if isinstance(origin, str) and is_own(origin) and Path(origin).is_file():
                self.sources[name] = hashlib.sha256(Path(origin).read_bytes()).hexdigest()


class _Recording(SourceFileLoader):
    """Compiles the source that it hashes. Bytecode on disk is neither used nor written: Python checks only the time in
    seconds and the size of its source, so that it may be that of an earlier version."""

    def __init__(self, name: str, path: Path, file: UserFile, recorded_as: str) -> None:
        super().__init__(name, str(path))
        self._file = file
        self._recorded_as = recorded_as

    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.path)
        self._file.sources[self._recorded_as] = hashlib.sha256(source).hexdigest()
        code: CodeType = self.source_to_code(source, self.path)
        return code


class _Finder(MetaPathFinder):
    """Loads source files outside installed packages with the recording loader; other modules are loaded as usual."""

    def __init__(self, file: UserFile) -> None:
        self._file = file

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            prepare_torchvision()
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        if type(spec.loader) is SourceFileLoader and spec.origin is not None and is_own(spec.origin):
            spec.loader = _Recording(fullname, Path(spec.origin), self._file, fullname)
            spec.cached = None
        return spec
