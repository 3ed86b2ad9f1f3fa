"""Fixtures for the terminal UI: state, cache and config of one's own, and a box of two cores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui.catalog import delegates
from etui.services import request
from etui.tui.widgets import picker


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own is read or written."""
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("NO_COLOR", raising=False)
    # Where the tests run says nothing of the colours a picture should have.
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "truecolor")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a test's database lies, once something is stored."""
    return tmp_path / "etui.db"


@pytest.fixture(autouse=True)
def known_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two cores, and of the delegates' packages only ExecuTorch's and OpenVINO's, wherever the tests run."""
    for module in (request, picker):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)
    here = {"executorch", "openvino", "nncf"}
    monkeypatch.setattr(delegates, "_installed", lambda *modules: here.issuperset(modules))
    delegates.delegates.cache_clear()
    yield
    delegates.delegates.cache_clear()
