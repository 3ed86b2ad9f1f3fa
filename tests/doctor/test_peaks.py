"""The doctor reports whether the peaks of this machine were measured."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from etui.doctor import hardware
from etui.store.kept_peaks import keep
from tests.rooflines import peaks


def test_peaks_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path))
    keep(peaks(host="another"))
    missing = hardware.peaks()
    assert (missing.status, missing.advice) == ("unknown", "etui peaks")
    keep(peaks(host=socket.gethostname()))
    assert hardware.peaks().status == "ok"
