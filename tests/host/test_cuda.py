"""Finding GPUs without torch, from what ``nvidia-smi`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from etui.catalog import delegates as catalog
from etui.catalog.delegates import is_listed
from etui.catalog.find import find_model
from etui.cli.main import cli
from etui.doctor import hardware
from etui.host import cuda
from etui.runner.program_cache import own_versions, version_names
from etui.services.request import FieldError, with_baselines
from etui.spec import Variant
from etui.tui.picker_options import baseline_items

BASELINES = ("cuda", "cuda-tf32", "cuda-fp16", "cuda-bf16")
TWO = """0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 570.86.15, 1980
1, GPU-bbbb-2, NVIDIA L4, 570.86.15, [N/A]
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    def clear() -> None:
        for cached in (cuda.gpus, cuda.torch_build, catalog.baseline, own_versions):
            cached.cache_clear()

    clear()
    yield
    clear()


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: int = 0) -> None:
    folder.joinpath("printed").write_text(printed)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{folder}/printed'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (None, ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]),
        ("1", ["NVIDIA L4"]),
        ("1,0", ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]),
        ("GPU-bbbb", ["NVIDIA L4"]),
        ("0,7,1", ["NVIDIA H100 80GB HBM3"]),
        ("MIG-1", []),
        ("", []),
        ("-1", []),
    ],
)
def test_visible_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, names: list[str]) -> None:
    nvidia_smi(tmp_path, monkeypatch, TWO)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [gpu.name for gpu in cuda.gpus()] == names
    assert cuda.clock_mhz() == (1980.0 if names[:1] == ["NVIDIA H100 80GB HBM3"] else None)


@pytest.mark.parametrize(
    ("printed", "status"), [("", 0), ("NVIDIA-SMI has failed", 9), ("No devices were found\n", 6), ("a, b\n", 0)]
)
def test_without_a_gpu_nothing_is_listed_and_a_request_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: int
) -> None:
    nvidia_smi(tmp_path, monkeypatch, printed, status)
    assert not any(map(is_listed, BASELINES))
    for name in BASELINES:
        with pytest.raises(FieldError, match=f"{name} is not available: no CUDA device"):
            with_baselines(find_model("resnet18"), [Variant("fp32", "xnnpack")], [name])
    found = hardware.gpu()
    assert (found.status, found.seen) == ("ok", "no CUDA device")
    assert not {item.name for item in baseline_items(None, ())} & set(BASELINES)
    (chosen,) = [item for item in baseline_items(None, (), ["cuda"]) if item.name == "cuda"]
    assert chosen.reason is not None and "no CUDA device" in chosen.reason
    with pytest.raises(FieldError) as refused:
        with_baselines(find_model("resnet18"), [Variant("fp32", "xnnpack")], ["abacus"])
    assert "cuda" not in refused.value.hint


def test_a_gpu_with_a_cpu_build_of_torch_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, TWO)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cuda, "torch_build", lambda: None)
    assert not is_listed("cuda")
    found = hardware.gpu()
    assert found.status == "warn" and "H100" in found.seen and "CUDA build" in found.advice


def test_with_a_gpu_each_is_a_variant_in_its_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, TWO)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cuda, "torch_build", lambda: "12.8")
    assert all(map(is_listed, BASELINES))
    variants = with_baselines(find_model("resnet18"), [Variant("int8", "xnnpack")], BASELINES)
    assert [each.name for each in variants] == [
        "int8/xnnpack", "fp32/cuda", "fp32/cuda-tf32", "fp16/cuda-fp16", "fp32/cuda-bf16",
    ]  # fmt: skip
    items = {item.name: item.reason for item in baseline_items(find_model("resnet18"), ["int8"])}
    assert [items[name] for name in BASELINES] == [None] * 4
    expected = {"GPU": "NVIDIA H100 80GB HBM3", "NVIDIA driver": "570.86.15", "CUDA": "12.8"}
    assert own_versions("cuda-fp16") == expected
    assert set(expected) <= set(version_names("cuda-fp16"))
    assert not own_versions("xnnpack")
    assert "H100" in hardware.gpu().seen


def test_commands_do_not_show_it_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, "")
    monkeypatch.setenv("ETUI_DB", str(tmp_path / "etui.db"))
    done = CliRunner().invoke(cli, ["delegates"])
    assert "cuda-fp16" not in done.stdout and "onnxruntime" in done.stdout
    refused = CliRunner().invoke(cli, ["run", "resnet18", "--baseline", "cuda"])
    assert (refused.exit_code, refused.stderr.count("\n"), refused.stdout) == (2, 1, "")
    assert "no CUDA device" in refused.stderr
