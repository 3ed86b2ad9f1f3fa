"""Convert an exported program to LiteRT: a script for the Python of an environment with litert-torch, which need not
have etui: ``python litert_convert.py MODEL.pt2 MODEL.tflite``."""

from __future__ import annotations

import sys


def convert(exported: str, target: str) -> None:
    """Load an exported program, and write it as a ``.tflite`` file."""
    import litert_torch
    import torch

    program = torch.export.load(exported)
    inputs, _ = program.example_inputs
    with torch.no_grad():
        litert_torch.convert(program.module(check_guards=False), tuple(inputs)).export(target)


if __name__ == "__main__":
    convert(*sys.argv[1:3])
