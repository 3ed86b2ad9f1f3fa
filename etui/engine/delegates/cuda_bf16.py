"""Eager PyTorch on an NVIDIA GPU with bfloat16 weights and inputs."""

from __future__ import annotations

import torch

from etui.engine.delegates.cuda import EagerOnCuda

DELEGATE = EagerOnCuda("cuda-bf16", dtype=torch.bfloat16)
