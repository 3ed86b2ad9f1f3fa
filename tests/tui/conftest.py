"""Fixtures for the terminal UI: separate state, cache and config folders, and a machine of two cores.

Snapshots: ``test_snapshots*.py`` and ``test_form_snapshots.py`` compare the screen with the SVG files in
``__snapshots__``. A mismatch is not automatically a mistake: look at ``snapshot_report.html``, which a failing run
writes to the working directory. If the new picture is right, run the test files again with ``--snapshot-update``, which
rewrites what differs, adds what is new and deletes what no test uses, and commit the files with the change that caused
them. Every screen, tab and dialog has one snapshot at each of the two sizes it is designed for (80x24 and 120x40);
variations have one at one size; the light, high-contrast and ASCII looks have one each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui.catalog import delegates
from etui.services import request
from etui.tui.widgets import picker
from tests.model_summaries import made_up


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own is read or written."""
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    # Tests run next to whatever else the machine does; those about a busy machine say so.
    monkeypatch.setenv("ETUI_WAIT_QUIET", "0")
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
def made_up_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test starts a process that imports torch to summarize a model."""
    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: made_up(model=request.model))


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two cores, a C++ compiler, no GPU, and of the packages of delegates and baselines only ExecuTorch's and
    OpenVINO's, wherever the tests run."""
    for module in (request, picker):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)
    here = {"executorch", "openvino", "nncf"}
    monkeypatch.setattr(delegates, "_installed", lambda *modules: here.issuperset(modules))
    monkeypatch.setattr(delegates, "compiler_problem", lambda: None)
    monkeypatch.setattr(delegates, "cuda_problem", lambda: ("no CUDA device", "measure it on another machine"))
    for cached in (delegates.delegates, delegates.baseline):
        cached.cache_clear()
    yield
    for cached in (delegates.delegates, delegates.baseline):
        cached.cache_clear()
