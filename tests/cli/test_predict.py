"""``etui predict``: an estimate of Arm's compiler, marked as predicted, with one line for every mistake.

The tools need an environment of their own. Where ``ETUI_NPU_ENV`` names one it is used; elsewhere a stand-in for its
Python copies what Vela 5.1 wrote for a model with two subgraphs (``vela_two_subgraphs.json``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from etui import paths
from etui.cli.main import cli
from etui.host import npu_environment
from etui.npu_prediction import NpuPrediction
from etui.wording import npu_prediction as wording
from tests.cli.conftest import Etui

RECORDED = Path(__file__).with_name("vela_two_subgraphs.json")
NET = """
import torch
from torch import nn

class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        return self.second(torch.sort(self.first(x).relu(), dim=-1).values).relu()

def mixed():
    return Mixed(), (torch.randn(1, 3, 16, 16),)
"""
STAND_IN = """#!/bin/sh
if [ "$2" = -c ]; then echo '{"torch": "1", "executorch": "1", "ethos-u-vela": "1", "tosa-tools": "1"}'; exit; fi
test -s "$3/model.pt2" -a -s "$3/calibration.pt" || exit 9
cp RECORDED "$3/prediction.json"
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    file = tmp_path / "net.py"
    file.write_text(NET)
    return f"{file}:mixed"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder like an environment, whose Python answers with what was recorded."""
    python = tmp_path / "npu env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.replace("RECORDED", f"'{RECORDED}'"))
    python.chmod(0o755)
    return python.parents[1]


@pytest.mark.slow
def test_the_estimate_is_the_sum_over_subgraphs_and_names_the_fallback(
    etui: Etui, net: str, environment: Path, database: Path
) -> None:
    done = etui("predict", net, "--npu", "ethos-u55-128", "--env", environment, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(RECORDED.read_text())["subgraphs"]
    made = msgspec.json.decode(done.stdout, type=NpuPrediction)
    assert json.loads(done.stdout)["source"] == "predicted"
    assert made.cycles == sum(int(row["cycles_total"]) for row in rows) > 0
    assert made.time_ms == pytest.approx(sum(1e3 * float(row["inference_time"]) for row in rows))
    assert (made.subgraphs, made.fallback) == (2, {"sort": 1})
    memories = {each.name: each for each in made.memories}
    assert memories["SRAM"].traffic_bytes == sum(int(row["sram_total_bytes"]) for row in rows) > 0
    assert memories["DRAM"].traffic_bytes == 0
    # Whether subgraphs share memory is not known.
    assert [each.used_bytes for each in made.memories] == [None] * 4
    assert (made.calibration_count, made.inputs.shapes) == (8, [[1, 3, 16, 16]])
    assert not database.exists()

    estimate, memory, _ = wording.sections(made)
    shown = {entry.label: entry.value for entry in estimate.entries}
    assert all("predicted" in shown[label] for label in ("cycles", "time"))
    assert "sort x1" in shown["fallback"]
    assert "operators on the CPU" in shown["not included"]
    assert memory.table is not None
    assert [row[0] for row in memory.table.rows] == ["SRAM", "DRAM", "off-chip flash"]


def test_wrong_requests_are_refused_in_one_line(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pte").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    absent = ("--env", "absent")
    for arguments, cause in [
        ([net, "--npu", "ethos-u55-128", *absent], "etui predict --make-env"),
        ([net, "--npu", "ethos-u55-128", "--env", "empty"], "not a Python environment"),
        ([net, *absent], "--npu"),
        ([net, "--npu", "ethos-n78"], "ethos-n78"),
        ([], "no model"),
        (["--make-env", *absent], "--yes"),
        (["net.pte", "--npu", "ethos-u55-128"], "finished program"),
        (["resnet81", "--npu", "ethos-u55-128", *absent], "resnet81"),
    ]:
        done = CliRunner().invoke(cli, ["predict", *arguments])
        assert (done.exit_code, done.stdout) == (2, "")
        assert cause in done.stderr
    assert not (tmp_path / "absent").exists()


def test_an_environment_without_the_tools_is_named_with_what_it_lacks(tmp_path: Path, environment: Path) -> None:
    assert npu_environment.problem(environment) is None
    assert npu_environment.problem(npu_environment.python_of(environment)) is None
    other = tmp_path / "other"
    other.write_text('#!/bin/sh\necho \'{"torch": "1", "executorch": "1"}\'\n')
    other.chmod(0o755)
    assert npu_environment.problem(other) == f"{other} does not have ethos-u-vela and tosa-tools"


def test_an_environment_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Python makes a folder whose pip fails."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nmkdir -p "$3/bin"\n'
        "printf '#!/bin/sh\\necho ERROR: no torch here >&2\\necho ERROR: more >&2\\nexit 1\\n' > \"$3/bin/python\"\n"
        'chmod +x "$3/bin/python"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    folder = tmp_path / "made"
    steps: list[str] = []
    with pytest.raises(npu_environment.NpuEnvironmentError, match="could not be made: no torch here"):
        npu_environment.make(folder, steps.append)
    assert len(steps) == 2
    assert not folder.exists()

    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(npu_environment.NpuEnvironmentError, match="other content"):
        npu_environment.make(folder, steps.append)
    assert (folder / "mine").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    npu_environment.problem(paths.npu_environment()) is not None,
    reason="no environment with executorch[ethos-u] is named by ETUI_NPU_ENV",
)
def test_vela_predicts_a_model_with_an_operator_on_the_cpu(etui: Etui, net: str) -> None:
    done = etui("predict", net, "--npu", "ethos-u55-128", "--json")
    assert done.returncode == 0, done.stderr
    made = msgspec.json.decode(done.stdout, type=NpuPrediction)
    assert (made.subgraphs, made.fallback) == (2, {"sort": 1})
    assert made.cycles > 0
    assert set(made.versions) >= {"ethos-u-vela", "executorch"}
