"""``etui run`` on exported programs from not_comparable, whose pickled parts would run code."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
import torch

from tests.machines import Machine

SHORT = ("--repeat", "20", "--warmup", "2")


class _Call:
    """Is unpickled as what a function gives."""

    def __init__(self, function: object, *arguments: str) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return self._call


def _exported(path: Path, by_name: object) -> Path:
    """An exported program whose sample inputs hold something else besides its tensor."""
    buffer, inputs = io.BytesIO(), torch.randn(1, 8)
    torch.save(((inputs,), by_name), buffer)
    whole = path.with_suffix(".whole.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(8, 8).eval(), (inputs,)), whole)
    with zipfile.ZipFile(whole) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            after.writestr(name, buffer.getvalue() if "sample_inputs" in name else before.read(name))
    whole.unlink()
    return path


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_nothing_is_queued_and_the_message_says_what_it_would_run(
    machine: Machine, tmp_path: Path, command: str
) -> None:
    proof = tmp_path / "proof"
    path = _exported(tmp_path / "evil.pt2", _Call(os.mkdir, str(proof)))
    refused = machine.etui(command, *(["--models"] if command == "sweep" else []), path, status=2)
    assert "posix.mkdir" in refused.stderr and "--allow-pickle" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not proof.exists() and not machine.processes()


@pytest.mark.slow
def test_what_is_allowed_is_run_and_can_be_used_again(machine: Machine, tmp_path: Path) -> None:
    path = _exported(tmp_path / "mine.pt2", _Call(dict))
    machine.etui("run", path, *SHORT, status=2)
    machine.etui("run", path, *SHORT, "--allow-pickle")
    (summary,) = machine.summaries()
    assert summary["status"] == "done"
    machine.etui("profile", summary["id"], "--inferences", "5")
    # The front end looks first; so does who loads it, where nothing of the kind was allowed.
    machine.etui("run", path, *SHORT, status=2)
