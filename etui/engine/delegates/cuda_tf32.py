"""Eager PyTorch on an NVIDIA GPU with TF32 for matrix products and convolutions."""

from __future__ import annotations

from etui.engine.delegates.cuda import EagerOnCuda

DELEGATE = EagerOnCuda("cuda-tf32", tf32=True)
