"""Programs made by a plain ExecuTorch script, without etui, and one that needs a backend not available on any test
machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``xnnpack.pte``, ``plain.pte`` (no delegate), ``vulkan.pte``, ``outside.pte`` with
    ``outside.ptd`` (its weights in a separate file) and ``two.pte`` (two methods with a subgraph each)."""
    from etui.engine.process.preload import preload_prepare

    preload_prepare()
    import torch
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.ReLU(), torch.nn.LayerNorm(32)).eval()
    exported = torch.export.export(model, (torch.randn(2, 24),))
    for name, partitioner in (("xnnpack", [XnnpackPartitioner()]), ("plain", []), ("vulkan", [VulkanPartitioner()])):
        to_edge_transform_and_lower(exported, partitioner=partitioner).to_executorch().save(str(folder / f"{name}.pte"))
    outside = to_edge_transform_and_lower(exported).to_executorch(ExecutorchBackendConfig(external_constants=True))
    outside.save(str(folder / "outside.pte"))
    outside.write_tensor_data_to_file(str(folder))
    (data,) = [file for file in folder.iterdir() if file.suffix == ".ptd"]
    data.rename(folder / "outside.ptd")
    encoder = torch.export.export(
        torch.nn.Sequential(torch.nn.Linear(24, 8), torch.nn.Sigmoid()), (torch.randn(2, 24),)
    )
    both = {"forward": exported, "encode": encoder}
    to_edge_transform_and_lower(both, partitioner=[XnnpackPartitioner()]).to_executorch().save(str(folder / "two.pte"))
    return folder
