"""The installed ``etui`` command over a database of its own, and a bench that others can fill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from etui.results import RunDocument
from etui.store import Store
from tests.documents import encode_documents
from tests.machines import PATIENCE_S

Etui = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "etui.db"


@pytest.fixture
def etui(tmp_path: Path, database: Path) -> Etui:
    """Run ``etui`` with some arguments and return its status, stdout and stderr."""
    environment = os.environ | {
        "ETUI_DB": str(database),
        "ETUI_CACHE": str(tmp_path / "cache"),
        "ETUI_STATE": str(tmp_path / "state"),
        "ETUI_BOX_LOCK": str(tmp_path / "box.lock"),
        "HF_HUB_OFFLINE": "1",
        "TZ": "UTC",
    }

    def run(
        *arguments: str | Path, stdin: str = "", stdout: IO[str] | int = subprocess.PIPE, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("etui"), *arguments],
            input=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment | variables,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def stored(database: Path) -> Callable[..., None]:
    """Put documents into the database."""

    def store(*documents: RunDocument) -> None:
        with Store.open(database) as opened:
            opened.import_documents(documents)

    return store


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Put documents into a file of this name and return its path."""

    def write(name: str, *documents: RunDocument) -> Path:
        path = tmp_path / name
        path.write_bytes(encode_documents(documents))
        return path

    return write
