"""Run a user's Python file from its source alone, and record the hash of every module it imports that is no installed
package's: together with the versions of the packages they name the code that was run."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from etui.errors import PreparationError

_PACKAGES = frozenset({"site-packages", "dist-packages"})
_STDLIB = tuple({f"{Path(sysconfig.get_path(name)).resolve()}/" for name in ("stdlib", "platstdlib")})


class UserFile:
    """A user's file while it runs. ``sources`` has the SHA-256 of each module's source by the module's name, the file
    itself under ``""``; it grows with what is imported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sources: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[ModuleType]:
        """Import the file as a module and let its folder be importable as long as the context lasts; what is called in
        there may import more. Whatever the user's code raises passes through as it is.

        Raises:
            PreparationError: it is not a file that Python can import.
        """
        name = f"etui_user_{hashlib.sha256(str(self.path).encode()).hexdigest()[:16]}"
        # What an earlier run in this process imported may have changed since.
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
            self._record_the_rest(before | {name})
        finally:
            sys.path.remove(folder)
            sys.meta_path.remove(finder)

    def _record_the_rest(self, before: set[str]) -> None:
        """Record what came in by another way than a source file: extension modules, or loaders of the user's own."""
        for name in sorted(set(sys.modules) - before - set(self.sources)):
            origin = getattr(sys.modules[name], "__file__", None)
            if isinstance(origin, str) and _is_own(origin) and Path(origin).is_file():
                self.sources[name] = hashlib.sha256(Path(origin).read_bytes()).hexdigest()


class _Recording(SourceFileLoader):
    """Compiles the source that it hashes. Bytecode on disk is neither used nor written: it is taken as current by the
    second and the size of its source, so that it can be that of an earlier version."""

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
    """Has source files outside of installed packages loaded by a recording loader; everything else is left alone."""

    def __init__(self, file: UserFile) -> None:
        self._file = file

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        if type(spec.loader) is SourceFileLoader and spec.origin is not None and _is_own(spec.origin):
            spec.loader = _Recording(fullname, Path(spec.origin), self._file, fullname)
            spec.cached = None
        return spec


def _is_own(origin: str) -> bool:
    """Whether a file is neither of the standard library nor of an installed package."""
    path = Path(origin)
    # Some installers put links into site-packages.
    parts = {*path.parts, *path.resolve().parts}
    return not _PACKAGES & parts and not str(path.resolve()).startswith(_STDLIB)
