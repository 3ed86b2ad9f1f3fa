"""``etui summary``: one command from a model to its modules, in every format, and one line for every mistake."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Etui
from tests.cli.interruption import ENDLESS, interrupted

NET = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
    def forward(self, values):
        return torch.relu(self.layer(values))

def net():
    return nn.Sequential(Block(), Block(), nn.Linear(8, 2)), (torch.randn(1, 8),)

def raises():
    raise ZeroDivisionError("my own mistake")

def misfit():
    return nn.Sequential(nn.Linear(8, 8), nn.Linear(9, 2)), (torch.randn(1, 8),)
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    file = tmp_path / "net.py"
    file.write_text(NET + ENDLESS)
    return file


@pytest.mark.slow
def test_every_format_has_the_same_modules(etui: Etui, net: Path, tmp_path: Path) -> None:
    done = etui("summary", f"{net}:net", "--json", "--csv", "net.csv", "--markdown", "net.md")
    assert (done.returncode, done.stderr) == (0, "wrote net.csv\nwrote net.md\n")
    summary = json.loads(done.stdout)
    assert (summary["macs"], summary["parameters"]) == (8 * 8 * 2 + 16, 72 * 2 + 18)
    paths = [module["path"] for module in summary["modules"]]
    assert paths == ["", "0", "0.layer", "1", "1.layer", "2"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "net.csv").read_text())))
    assert [(row["module"], int(row["macs"])) for row in rows] == [
        (module["path"], module["macs"]) for module in summary["modules"]
    ]
    assert "| 0.layer " in (tmp_path / "net.md").read_text()
    text = etui("summary", f"{net}:net", "--depth", "1").stdout
    assert "Block" in text
    assert "layer" not in text
    assert "Block" not in etui("summary", f"{net}:net", "--depth", "0").stdout
    refused = etui("summary", f"{net}:net", "--csv", "net.csv")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
def test_a_factory_that_raises_is_one_line(etui: Etui, net: Path) -> None:
    for factory, cause in (("raises", "my own mistake"), ("misfit", "in 1 (Linear)")):
        done = etui("summary", f"{net}:{factory}")
        assert done.returncode == 3
        assert cause in done.stderr
        assert done.stderr.count("\n") == 1
        assert not done.stdout


def test_a_finished_program_is_for_inspect(etui: Etui, tmp_path: Path) -> None:
    (tmp_path / "net.pte").write_bytes(b"")
    done = etui("summary", "net.pte")
    assert done.returncode == 2
    assert "etui inspect net.pte" in done.stderr
    assert etui("summary", "resnet81").returncode == 2


@pytest.mark.slow
def test_a_model_that_takes_too_long_is_stopped(etui: Etui, net: Path) -> None:
    done = etui("summary", f"{net}:endless", "--timeout", "4")
    assert done.returncode == 4
    assert "--timeout" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_process_that_runs_the_model(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    assert interrupted(tmp_path, "summary", f"{net}:endless") == (130, [])
