"""Every delegate of the catalog that can be lowered for has an implementation, found by its name or by its backend."""

from __future__ import annotations

import subprocess
import sys

import pytest

from etui.catalog.delegates import RECORDS, RUNNABLE
from etui.catalog.precisions import PRECISIONS, recipe
from etui.engine.delegates import delegate_support, quantizing_support, support_of_backend
from etui.errors import PreparationError

SUPPORTED = [record for record in RECORDS.values() if record.support != "none" and not record.is_baseline]
FAMILIES = ("cnn", "vision-transformer", "text-transformer", "multimodal-transformer", "custom")


@pytest.mark.parametrize("name", [record.name for record in SUPPORTED])
def test_delegate_is_found_by_its_name_and_backend(name: str) -> None:
    support = delegate_support(name)
    assert (support.name, support.record) == (name, RECORDS[name])
    if support.record.backend:
        assert support_of_backend(support.record.backend) is support


@pytest.mark.parametrize("name", ["nnapi", "no such delegate"])
def test_delegate_without_lowering_is_refused(name: str) -> None:
    with pytest.raises(PreparationError, match=name):
        delegate_support(name)


def test_backends_without_an_implementation_have_none() -> None:
    assert support_of_backend("QnnBackend") is None
    assert support_of_backend("") is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name.startswith("int8")])
def test_recipe_is_quantized_by_its_delegate(family: str, precision: str) -> None:
    for record in SUPPORTED:
        name = recipe(family, precision, record.name)
        assert quantizing_support(name).name == (record.name if record.int8_recipe else "xnnpack")


def test_missing_tools_are_reported_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules makes the import fail.
    monkeypatch.setitem(sys.modules, "executorch.backends.vulkan.partitioner.vulkan_partitioner", None)
    with pytest.raises(PreparationError, match=r"vulkan cannot be imported"):
        delegate_support("vulkan").partitioners("fp32")
    assert delegate_support("portable").partitioners("fp32") == []


@pytest.mark.slow
def test_delegates_that_run_here_import_no_ahead_of_time_code() -> None:
    code = (
        "import sys; from etui.engine.delegates import delegate_support;"
        f"[delegate_support(name) for name in {RUNNABLE}];"
        "print([name for name in ('executorch.exir', 'torchao', 'openvino', 'nncf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
