"""A result names what was measured: real runs between which weights, code, packages or settings change."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from etui.results import RunDocument
from tests.facts import lacking
from tests.machines import ETUI, Machine

FEW = ("--repeat", "20", "--warmup", "2", "--no-check")

pytestmark = pytest.mark.slow


def _newest(machine: Machine) -> RunDocument:
    return machine.document(machine.summaries()[0]["id"])


def _install(folder: Path, package: str, version: str) -> None:
    """Do to a package's metadata what ``pip install -U`` does."""
    metadata = folder / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return a factory that reads its weights from a file and an activation from a helper module."""
    (tmp_path / "layers.py").write_text(
        "from torch import nn\nclass Act(nn.Module):\n    def forward(self, x):\n        return x * 1.0\n"
    )
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom pathlib import Path\nfrom torch import nn\nfrom layers import Act\n"
        "def make():\n"
        "    model = nn.Sequential(nn.Linear(16, 16), Act())\n"
        "    model.load_state_dict(torch.load(Path(__file__).parent / 'w.pt'))\n"
        "    return model, (torch.ones(1, 16),)\n"
    )
    _train(tmp_path, 1)
    return f"{tmp_path / 'mine.py'}:make"


def _train(folder: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(16, 16, generator=generator), torch.randn(16, generator=generator)
    torch.save({"0.weight": weight, "0.bias": bias}, folder / "w.pt")


def test_retrained_weights_are_prepared_again_and_reported(warm_machine: Machine, model: str, tmp_path: Path) -> None:
    warm_machine.etui("run", model, *FEW)
    before = _newest(warm_machine)
    _train(tmp_path, 2)
    again = warm_machine.etui("run", model, *FEW)
    after = _newest(warm_machine)
    assert "cached, nothing to prepare" not in again.stderr
    assert before.artifact is not None and after.artifact is not None
    assert before.artifact.key != after.artifact.key and before.artifact.sha256 != after.artifact.sha256
    # Against eager with the new weights, which both the program and its reference use.
    assert after.accuracy is not None and after.accuracy.verdict == "PASS"
    compared = warm_machine.etui("compare", before.id, after.id, status=None)
    assert "weights differ" in compared.stdout + compared.stderr
    refused = warm_machine.etui("duel", before.id, after.id, status=3)
    assert "its weights were embedded" in refused.stderr and "another content" in refused.stderr
    assert "cached, nothing to prepare" in warm_machine.etui("run", model, *FEW).stderr


def test_changed_helper_is_measured_and_the_old_program_is_refused(
    warm_machine: Machine, model: str, tmp_path: Path
) -> None:
    warm_machine.etui("run", model, *FEW)
    before = _newest(warm_machine)
    helper = tmp_path / "layers.py"
    helper.write_text(helper.read_text().replace("1.0", "9.0"))
    warm_machine.etui("run", model, *FEW)
    after = _newest(warm_machine)
    assert after.accuracy is not None and after.accuracy.verdict == "PASS"
    assert before.model.identity != after.model.identity
    assert before.artifact is not None and after.artifact is not None
    assert before.artifact.sha256 != after.artifact.sha256
    refused = warm_machine.etui("duel", before.id, after.id, status=3)
    assert "layers" in refused.stderr


def test_upgraded_package_gets_new_workers(machine: Machine, model: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    machine.environment["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    machine.etui("run", model, *FEW)
    first, fork_servers = _newest(machine), {(one.pid, one.create_time()) for one in machine.fork_servers()}
    _install(site, "executorch", "9.9.9")
    machine.etui("run", model, *FEW)
    second = _newest(machine)
    assert first.environment is not None and first.environment.versions["executorch"] != "9.9.9"
    assert second.environment is not None and second.environment.versions["executorch"] == "9.9.9"
    assert fork_servers and not fork_servers & {(one.pid, one.create_time()) for one in machine.fork_servers()}
    assert first.artifact is not None and second.artifact is not None and first.artifact.key != second.artifact.key


def test_session_fails_if_a_package_is_installed_meanwhile(machine: Machine, model: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    machine.environment["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    (run_id,) = machine.detach(model, "--repeat", "60000", "--timeout", "600", "--threads", "1", "--no-check")
    machine.wait_for_event(run_id, "block 1 of")
    _install(site, "torch", "9.9.9")
    assert machine.wait_for_status(run_id, "failed", "done") == "failed"
    document = machine.document(run_id)
    assert not lacking(document.error or "", "packages", "torch")


def test_other_settings_get_separate_workers_and_are_recorded(machine: Machine, model: str) -> None:
    machine.etui("run", model, *FEW)
    plain = _newest(machine)
    subprocess.run(
        ["nice", "-n", "3", str(ETUI), "run", model, *FEW],
        env={**machine.environment, "ONEDNN_MAX_CPU_ISA": "SSE41", "HF_TOKEN": "hf_geheim"},
        check=True,
        capture_output=True,
    )
    other = _newest(machine)
    runners = [one for one in machine.processes() if "etui.runner" in one.cmdline()]
    assert {one.environ().get("ONEDNN_MAX_CPU_ISA") for one in runners} == {None, "SSE41"}
    assert plain.environment is not None and other.environment is not None
    assert (plain.environment.nice, other.environment.nice) == (os.nice(0), os.nice(0) + 3)
    assert "ONEDNN_MAX_CPU_ISA" not in (plain.environment.variables or {})
    assert (other.environment.variables or {})["ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert all(b"hf_geheim" not in file.read_bytes() for file in machine.folder.rglob("*") if file.is_file())
    compared = json.loads(machine.etui("compare", plain.id, other.id, "--json", status=None).stdout)
    reasons = [reason["detail"] for reason in compared["comparisons"][0]["reasons"]]
    assert any(not lacking(reason, "nice", f"{os.nice(0)} and {os.nice(0) + 3}") for reason in reasons)
    assert any(not lacking(reason, "ONEDNN_MAX_CPU_ISA", "SSE41") for reason in reasons)
    # A run queued as before uses the first runner, which is still there.
    machine.etui("run", model, *FEW)
    last = _newest(machine).environment
    assert last is not None and last.variables == plain.environment.variables and last.nice == plain.environment.nice
    assert {one.pid for one in runners} == {one.pid for one in machine.processes() if "etui.runner" in one.cmdline()}
