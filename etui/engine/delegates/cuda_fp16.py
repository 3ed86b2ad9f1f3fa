"""Eager PyTorch on an NVIDIA GPU with 16-bit weights and inputs."""

from __future__ import annotations

import torch

from etui.engine.delegates.cuda import EagerOnCuda

DELEGATE = EagerOnCuda("cuda-fp16", dtype=torch.float16)
