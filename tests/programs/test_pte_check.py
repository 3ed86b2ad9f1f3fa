"""A finished program is checked before it is measured: a program that cannot be run is refused with a reason and a
hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from etui.errors import PreparationError


def program(methods: dict[str, tuple[torch.nn.Module, tuple[Any, ...]]]) -> bytes:
    """Return a program without delegates, from its methods' modules and example inputs."""
    from executorch.exir import to_edge

    exported = {name: torch.export.export(module.eval(), inputs) for name, (module, inputs) in methods.items()}
    return bytes(to_edge(exported).to_executorch().buffer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vulkan.pte", "it needs VulkanBackend"),
        ("outside.pte", ".ptd file"),
        ("cut.pte", "is truncated"),
        ("newer.pte", "another file format (ET13"),
        ("several.pte", "has no method 'forward'; it has decode(float32 [2]); encode"),
        ("missing.pte", "No such file"),
    ],
)
def test_program_that_cannot_be_measured_is_refused_with_a_reason(
    made: Path, tmp_path: Path, name: str, message: str
) -> None:
    from etui.engine.runtime.pte_check import runnable_method

    content = (made / "xnnpack.pte").read_bytes()
    bad = tmp_path / name
    match name:
        case "cut.pte":
            bad.write_bytes(content[: len(content) // 2])
        case "newer.pte":
            bad.write_bytes(content[:4] + b"ET13" + content[8:])
        case "several.pte":
            one = (torch.nn.ReLU(), (torch.randn(2),))
            bad.write_bytes(program({"encode": one, "decode": one}))
        case "missing.pte":
            pass
        case _:
            bad = made / name
    with pytest.raises(PreparationError) as refused:
        runnable_method(bad)
    assert message in refused.value.message and str(bad) in refused.value.message
    assert refused.value.hint


@pytest.mark.slow
def test_only_method_is_measured_whatever_its_name(made: Path, tmp_path: Path) -> None:
    from etui.engine.runtime.pte_check import runnable_method

    assert runnable_method(made / "two.pte").name == "forward"
    (tmp_path / "one.pte").write_bytes(program({"encode": (torch.nn.ReLU(), (torch.randn(2, 3),))}))
    method = runnable_method(tmp_path / "one.pte")
    assert (method.name, [one.shape for one in method.inputs]) == ("encode", [[2, 3]])
