"""What is imported before a fork must not use the GPU, which no worker could use then."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from etui.engine.process.preload import gpus_hidden

CODE = """
import os, torch
from etui.engine.process.preload import preload_measure, preload_prepare
preload_measure(["torchvision:resnet18", "transformers:openai-community/gpt2"])
preload_prepare()
assert not torch.cuda.is_initialized()
child = os.fork()
if child == 0:
    os._exit(0 if torch.ones(2, device="cuda").sum().item() == 2 else 3)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("setting", [None, "1"])
def test_no_gpu_is_found_while_importing_and_the_setting_returns(
    monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    before = dict(os.environ)
    with pytest.raises(ImportError), gpus_hidden():
        assert not torch.cuda.is_available()
        assert torch.cuda.device_count() == 0
        raise ImportError
    assert dict(os.environ) == before


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_worker_forked_after_all_imports_can_use_the_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
