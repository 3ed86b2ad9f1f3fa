"""The checks of the installed software."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.doctor import software


@pytest.mark.parametrize(
    ("needs", "has_cuda", "status"),
    [(b"libtorch_cuda.so", False, "warn"), (b"libtorch_cuda.so", True, "ok"), (b"libtorch_cpu.so", False, "ok")],
)
def test_a_torchvision_for_cuda_next_to_a_cpu_torch_is_found(
    tmp_path: Path, needs: bytes, has_cuda: bool, status: str
) -> None:
    torch, torchvision = tmp_path / "torch", tmp_path / "torchvision"
    (torch / "lib").mkdir(parents=True)
    torchvision.mkdir()
    (torchvision / "_C.so").write_bytes(b"\x7fELF\0" + needs + b"\0")
    if has_cuda:
        (torch / "lib" / "libtorch_cuda.so").touch()
    finding = software.torchvision(torch, torchvision)
    assert finding is not None and finding.status == status
    assert bool(finding.advice) == (status == "warn")


def test_without_torchvision_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert software.torchvision(tmp_path, tmp_path) is None
