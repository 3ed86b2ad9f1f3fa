"""Lower an exported program for an Ethos-U and write what Vela predicts: a script for the Python of an environment with
``executorch[ethos-u]``, which need not have etui: ``python ethos_u_predict.py WORK TARGET``.

WORK contains ``model.pt2`` and ``calibration.pt`` (a list of tuples of tensors); the result is ``prediction.json``
there: the rows of Vela's summary of each delegated subgraph, and the operators of the lowered graph.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("executorch", "torch", "ethos-u-vela", "tosa-tools")
_BOUNDARY = ("quantized_decomposed", "getitem")
"""What is in a graph only to convert tensors at the edge of a subgraph, or to take one of several outputs."""


def predict(work: Path, target: str) -> dict[str, Any]:
    """Quantize statically to INT8, lower with Arm's backend, and return what Vela and the lowered graph say."""
    import torch
    from executorch.backends.arm.arm_vela import vela_compile
    from executorch.backends.arm.ethosu import EthosUBackend, EthosUCompileSpec, EthosUPartitioner
    from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    exported = torch.export.load(work / "model.pt2")
    calibration = torch.load(work / "calibration.pt", weights_only=True)
    spec = EthosUCompileSpec(target)
    quantizer = EthosUQuantizer(spec)
    quantizer.set_global(get_symmetric_quantization_config())
    with torch.no_grad():
        prepared = prepare_pt2e(exported.module(check_guards=False), quantizer)
        for inputs in calibration:
            prepared(*inputs)
        quantized = torch.export.export(convert_pt2e(prepared), calibration[0], strict=False)

    folders: list[Path] = []

    def compile_in_own_folder(*arguments: Any, **options: Any) -> Any:
        # Vela names its summary after the graph, which has the same name in every subgraph.
        folder = work / f"vela-{len(folders)}"
        folder.mkdir()
        folders.append(folder)
        options["intermediate_path"] = str(folder)
        return vela_compile(*arguments, **options)

    sys.modules[EthosUBackend.__module__].vela_compile = compile_in_own_folder  # type: ignore[attr-defined]
    edge = to_edge_transform_and_lower(
        quantized,
        partitioner=[EthosUPartitioner(spec)],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    return {
        "subgraphs": [_summary(folder) for folder in folders],
        "fallback": _outside(edge.exported_program().graph),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _summary(folder: Path) -> dict[str, str]:
    """Return the one row of the summary that Vela wrote for a subgraph."""
    (path,) = (folder / "output").glob("*summary*.csv")
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


def _outside(graph: Any) -> dict[str, int]:
    """Return the operators that the NPU does not execute, with their counts."""
    names: Counter[str] = Counter()
    for node in graph.nodes:
        name = str(node.target)
        if node.op == "call_function" and "delegate" not in name and not any(part in name for part in _BOUNDARY):
            names[getattr(node.target, "__name__", name).removeprefix("aten.").removesuffix(".default")] += 1
    return dict(names)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    result = predict(folder, sys.argv[2])
    (folder / "prediction.json").write_text(json.dumps(result), encoding="utf-8")
