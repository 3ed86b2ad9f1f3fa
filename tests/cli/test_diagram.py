"""``etui diagram``: one command from a model, a run or a program to a picture, and one line for every mistake."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from etui.results import RunDocument
from tests.cli.conftest import Etui
from tests.cli.interruption import ENDLESS, interrupted
from tests.documents import make_document

NET = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
    def forward(self, values):
        return torch.relu(self.layer(values)) + values

def net():
    return nn.Sequential(Block(), Block(), nn.Linear(8, 2)), (torch.randn(1, 8),)
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    file = tmp_path / "net.py"
    file.write_text(NET + ENDLESS)
    long_ago = time.time() - 1_000
    os.utime(file, (long_ago, long_ago))
    return file


@pytest.mark.slow
def test_every_format_has_the_same_boxes(etui: Etui, net: Path, tmp_path: Path) -> None:
    done = etui("diagram", f"{net}:net", "--level", "2", "--json", "-o", "net.svg")
    assert (done.returncode, done.stderr) == (0, "wrote net.svg\n")
    made = json.loads(done.stdout)
    names = [box["name"] for box in made["boxes"]]
    assert names == ["input", "0.layer", "0: relu, add", "1.layer", "1: relu, add", "2", "output 1"]
    assert [0, 2] in made["edges"] and [2, 4] in made["edges"]
    picture = (tmp_path / "net.svg").read_text()
    assert picture.count(">layer<") == 2 and picture.count(">relu, add<") == 2
    assert etui("diagram", f"{net}:net", "-o", "net.html", "--timeout", "60").returncode == 0
    assert "0: relu, add" in (tmp_path / "net.html").read_text()
    text = etui("diagram", f"{net}:net", "--level", "2").stdout
    rows = [line for line in text.splitlines() if "Linear" in line]
    assert [row.split()[-3] for row in rows] == ["Linear"] * 3
    assert "┐" in text
    assert etui("diagram", f"{net}:net", PYTHONIOENCODING="ascii").stdout.isascii()


@pytest.mark.slow
def test_the_time_limit_and_ctrl_c_end_the_process(
    etui: Etui, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = etui("diagram", f"{net}:endless", "--timeout", "0.3")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    assert interrupted(tmp_path, "diagram", f"{net}:endless") == (130, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("resnet18", "-o", "x.jpg"), ".svg, .png, .html"),
        (("resnet18", "--colour", "time"), "etui diagram RUN"),
        (("resnet18", "--explorer", "--json"), "--explorer"),
        (("nothing",), "neither a model nor a run"),
        (("missing.pte",), "file not found"),
        (("net.py",), "FACTORY"),
        (("resnet18", "--method", "forward"), "--method"),
    ],
)
def test_mistakes_are_one_line(etui: Etui, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = etui("diagram", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert not (tmp_path / "cache" / "graphs").exists()  # no model was exported for that


def test_a_run_without_what_the_colour_shows_names_the_command_that_makes_it(
    etui: Etui, stored: Callable[..., None]
) -> None:
    document: RunDocument = make_document("run1")
    stored(document)
    for colour in ("time", "gap"):
        done = etui("diagram", document.id, "--colour", colour)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert {"time": "etui profile", "gap": "etui gap"}[colour] in done.stderr
