"""Convert an exported program to LiteRT, and quantize it: a script for the Python of an environment with litert-torch,
which need not have etui: ``python litert_convert.py MODEL.pt2 MODEL.tflite [RECIPE THREADS [CALIBRATION.npz]]``.

The recipes are ``int8-static``, ``int8-static-per-tensor`` (each also with ``-linear``) and ``int8-dynamic``. Arrays of
the calibration file are named ``ROW_COLUMN``. Exit status 3 means that the recipe quantizes nothing in the model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

QUANTIZED_NOTHING = 3

_LINEAR = ("FULLY_CONNECTED", "BATCH_MATMUL")


def convert(exported: str, target: str) -> None:
    """Load an exported program, and write it as a ``.tflite`` file."""
    import litert_torch
    import torch

    program = torch.export.load(exported)
    inputs, _ = program.example_inputs
    with torch.no_grad():
        litert_torch.convert(program.module(check_guards=False), tuple(inputs)).export(target)


def quantize(path: str, recipe: str, threads: int, calibration: str | None) -> bool:
    """Quantize a ``.tflite`` file with the AI Edge Quantizer; return whether anything is quantized.

    Inputs and outputs stay as they are, so that their conversion is part of what is measured. Weights have one scale
    per channel unless the recipe is per tensor.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

    tool = quantizer.Quantizer(path)
    per_tensor = "per-tensor" in recipe
    granularity = QuantGranularity.TENSORWISE if per_tensor else QuantGranularity.CHANNELWISE
    static = recipe.startswith("int8-static")
    linear = not static or recipe.endswith("-linear")
    for operation in _LINEAR if linear else ("ALL_SUPPORTED",):
        kind = TFLOperationName[operation]
        if static:
            tool.add_static_config(".*", kind, 8, 8, weight_granularity=granularity)
        else:
            tool.add_dynamic_config(".*", kind, 8, granularity=granularity)
    for edge in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        tool.update_quantization_recipe(".*", edge, algorithm_key=AlgorithmName.NO_QUANTIZE)
    result = None
    if tool.need_calibration:
        assert calibration is not None
        result = tool.calibrate(_calibration(path, calibration), num_threads=threads)
    quantized = bytes(tool.quantize(result).quantized_model)
    Path(path).write_bytes(quantized)
    return _is_quantized(path)


def _calibration(path: str, calibration: str) -> dict[str, list[dict[str, Any]]]:
    """Return the calibration inputs of the only signature, by the names of its inputs."""
    import numpy
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    (signature,) = interpreter.get_signature_list()
    details = interpreter.get_signature_runner(signature).get_input_details()
    names = sorted(details, key=lambda name: int(name.rpartition("_")[2]))
    rows: dict[str, list[Any]] = {}
    with numpy.load(calibration, allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            rows.setdefault(name.partition("_")[0], []).append(arrays[name])
    return {
        signature: [
            {name: array.astype(details[name]["dtype"], copy=False) for name, array in zip(names, row, strict=True)}
            for row in rows.values()
        ]
    }


def _is_quantized(path: str) -> bool:
    from ai_edge_litert.interpreter import Interpreter

    return any(each["dtype"].__name__ == "int8" for each in Interpreter(model_path=path).get_tensor_details())


def main(exported: str, target: str, recipe: str = "fp32", threads: str = "1", calibration: str | None = None) -> int:
    """Convert and quantize; return the exit status."""
    convert(exported, target)
    if recipe != "fp32" and not quantize(target, recipe, int(threads), calibration):
        return QUANTIZED_NOTHING
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
