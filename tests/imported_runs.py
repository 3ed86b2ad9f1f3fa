"""Runs from an untrusted source: documents that name a Python file which the user never named and which creates a
marker file when it is executed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.catalog.find import describe, find_model
from etui.results import RunDocument, SessionInfo
from etui.runner.program_cache import installed_versions
from etui.spec import SessionSpec, Variant
from tests.documents import ENVIRONMENT, make_document

IMPORTED = "cafe00000001"


def planted(folder: Path) -> tuple[Path, Path]:
    """Write a Python file with a factory; return its path and that of the file that exists once its code has been
    executed."""
    code, mark = folder / "planted.py", folder / "code-was-executed"
    code.write_text(f"open({str(mark)!r}, 'w').close()\n\n\ndef make():\n    raise SystemExit\n")
    return code, mark


def imported_document(code: Path, run_id: str = IMPORTED, *, weights: str = "auto", spec: object = None) -> RunDocument:
    """Return a finished run that claims to be resnet18 but whose session requests ``code``; it passes every check."""
    reference = f"{code}:make"
    spec = spec or SessionSpec(model=reference, variants=(Variant("int8", "xnnpack"),), weights=weights)
    return msgspec.structs.replace(
        make_document(run_id, precision="int8"),
        model=msgspec.structs.replace(describe(find_model(reference)), name="resnet18"),
        environment=msgspec.structs.replace(ENVIRONMENT, versions=installed_versions(), cpu_flags=[]),
        session=SessionInfo(id=f"5e55{run_id[4:]}", created_at="2026-11-20T10:00:00Z", spec=msgspec.to_builtins(spec)),
    )
