"""A summary is kept until the model's files change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from etui.errors import EtuiError, UsageError
from etui.services.summarize import summarize

NET = "import torch\nfrom layers import WIDTH\ndef net():\n    return torch.nn.Linear(4, WIDTH), (torch.randn(1, 4),)\n"


def write(file: Path, content: str) -> None:
    file.write_text(content)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    # As if files were written long ago.
    monkeypatch.setattr("etui.services.summarize.is_settled", lambda path: True)


@pytest.mark.slow
def test_a_summary_is_made_again_when_an_imported_file_changes(tmp_path: Path) -> None:
    write(tmp_path / "net.py", NET)
    write(tmp_path / "layers.py", "WIDTH = 3\n")
    begun: list[str] = []
    model = f"{tmp_path}/net.py:net"
    first = summarize(model, begin=begun.append)
    assert summarize(model, begin=begun.append) == first
    assert len(begun) == 1
    write(tmp_path / "layers.py", "WIDTH = 5\n")
    os.utime(tmp_path / "layers.py", (time.time() + 5, time.time() + 5))
    assert summarize(model, begin=begun.append).macs == 4 * 5
    assert len(begun) == 2


@pytest.mark.slow
def test_an_error_is_not_kept(tmp_path: Path) -> None:
    write(tmp_path / "net.py", "def net():\n    return 3\n")
    for _ in range(2):
        with pytest.raises(EtuiError, match="does not return a module"):
            summarize(f"{tmp_path}/net.py:net")


def test_a_finished_program_has_no_modules(tmp_path: Path) -> None:
    write(tmp_path / "net.pte", "")
    with pytest.raises(UsageError, match="finished program"):
        summarize(str(tmp_path / "net.pte"))
