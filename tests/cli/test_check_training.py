"""``etui check-training``: a verdict with an exit status, kept for later, and one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Etui
from tests.cli.interruption import ENDLESS, interrupted

NET = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)), (torch.randn(1, 8),)

def dead():
    module, inputs = net()
    nn.init.constant_(module[0].bias, -100.0)
    return module, inputs

def frozen():
    module, inputs = net()
    return module.requires_grad_(False), inputs

def raises():
    raise ZeroDivisionError("my own mistake")

def crashes():
    import os
    os.abort()
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    file = tmp_path / "net.py"
    file.write_text(NET + ENDLESS)
    return file


@pytest.mark.slow
def test_a_model_that_trains_passes_and_can_be_shown_again(etui: Etui, net: Path) -> None:
    assert etui("check-training", f"{net}:net", "--last").returncode == 2
    done = etui("check-training", f"{net}:net", "--optimizer", "sgd,adam", "--steps", "24", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    checked = json.loads(done.stdout)
    assert checked["passed"]
    assert [one["optimizer"] for one in checked["optimizers"]] == ["sgd", "adam"]
    assert [len(one["losses"]) for one in checked["optimizers"]] == [24, 24]
    again = etui("check-training", f"{net}:net", "--last", "--json")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    text = etui("check-training", "net.py:net", "--last").stdout
    assert text.count("PASS") == 3
    assert "cross entropy of 4 logits" in text
    assert etui("check-training", f"{net}:dead", "--last").returncode == 2
    (listed,) = json.loads(etui("check-training", "--list", "--json").stdout)
    assert (listed["passed"], listed["model"]) == (True, checked["model"])
    shown = etui("check-training", "--show", listed["id"][:8], "--json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout).items() >= {**checked, "id": listed["id"]}.items()
    assert etui("check-training", "--delete", "aaaa", "--delete", listed["id"]).returncode == 2
    assert etui("check-training", "--delete", listed["id"]).returncode == 0
    assert json.loads(etui("check-training", f"{net}:net", "--list", "--json").stdout) == []


@pytest.mark.slow
def test_a_fault_has_its_layer_and_status_1(etui: Etui, net: Path) -> None:
    done = etui("check-training", f"{net}:dead", "--optimizer", "sgd,adamw", "--steps", "8")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL sgd, adamw: all outputs are zero in the last quarter of the steps in 1 (ReLU)" in done.stdout
    assert etui("check-training", f"{net}:dead", "--last").returncode == 1


@pytest.mark.slow
def test_what_cannot_be_trained_is_one_line(etui: Etui, net: Path) -> None:
    for factory, options, status, cause in [
        ("frozen", [], 3, "no trainable parameters"),
        ("raises", [], 3, "my own mistake"),
        ("crashes", [], 3, "abort"),
        ("net", ["--loss", "language-modelling"], 2, "language-modelling does not fit"),
    ]:
        done = etui("check-training", f"{net}:{factory}", *options)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (status, 1, "")
        assert cause in done.stderr
    listed = json.loads(etui("check-training", "--list", "--json").stdout)
    assert [(one["passed"], one["error"] is None) for one in listed] == [(None, False)] * 3
    shown = etui("check-training", "--show", listed[0]["id"])
    assert (shown.returncode, "abort" in shown.stdout) == (0, True)


def test_wrong_arguments_are_refused_before_anything_runs(etui: Etui, net: Path, tmp_path: Path) -> None:
    (tmp_path / "net.pte").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for arguments, cause in [
        (["resnet81"], "resnet81"),
        (["net.pte"], "FACTORY"),
        ([f"{net}:net", "--optimizer", "sgd,lion"], "lion"),
        ([f"{net}:net", "--optimizer", ","], "optimizer"),
        ([f"{net}:net", "--learning-rate", "0"], "--learning-rate"),
        ([f"{net}:net", "--steps", "3"], "--steps"),
        ([f"{net}:net", "--data", "empty"], "empty has no images"),
        ([f"{net}:net", "--loss", "hinge"], "hinge"),
        ([], "model"),
        (["--list", "--show", "aa"], "exclude"),
        ([f"{net}:net", "--show", "aa"], "id of a check"),
    ]:
        done = etui("check-training", *arguments)
        assert done.returncode == 2
        assert cause in done.stderr


@pytest.mark.slow
def test_a_check_that_takes_too_long_is_stopped(etui: Etui, net: Path) -> None:
    done = etui("check-training", f"{net}:endless", "--timeout", "4")
    assert done.returncode == 4
    assert "--timeout" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_process_that_trains(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    assert interrupted(tmp_path, "check-training", f"{net}:endless") == (130, [])
