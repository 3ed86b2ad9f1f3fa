"""The plain single-process script that etui replaces: export, lower, time eager and ExecuTorch, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(target: Path) -> None:
    """Measure ResNet-18 in FP32 on XNNPACK with 10 warm-up and 50 timed inferences of each side."""
    import torch

    from etui.engine.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    import torchvision
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from executorch.runtime import Runtime

    model = torchvision.models.resnet18(weights=None).eval()
    inputs = (torch.randn(1, 3, 224, 224),)
    exported = torch.export.export(model, inputs, strict=False)
    lowered = to_edge_transform_and_lower(
        exported, partitioner=[XnnpackPartitioner()], compile_config=EdgeCompileConfig(_check_ir_validity=False)
    )
    target.write_bytes(lowered.to_executorch().buffer)
    method = Runtime.get().load_program(target).load_method("forward")
    assert method is not None
    with torch.inference_mode():
        calls: dict[str, Callable[[], Any]] = {
            "eager": lambda: model(*inputs),
            "executorch": lambda: method.execute(inputs),
        }
        for name, call in calls.items():
            for _ in range(10):
                call()
            times = []
            for _ in range(50):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            print(name, sum(times) / len(times))
        print("MAE", float((calls["eager"]() - calls["executorch"]()[0]).abs().mean()))


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
