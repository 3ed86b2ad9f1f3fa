"""Bundles: built once, opened complete, and what is not available is reported in one line."""

from __future__ import annotations

import os
import py_compile
import shutil
from pathlib import Path

import pytest
import torch

from etui.catalog.find import find_model
from etui.engine.models.bundle import Bundle, read_reference
from etui.engine.training.build_classifier import build_classifier
from etui.engine.training.checkpoints import Position, write_checkpoint
from etui.errors import PreparationError, WeightsError
from etui.jobs import BundleResult
from etui.spec import Shape
from etui.task_training import TrainingSettings
from tests.engine.conftest import TINY, Workshop
from tests.engine.tiny import Convolutional


def test_bundle_is_built_once(workshop: Workshop) -> None:
    first = workshop.bundle(f"{TINY}:convolutional")
    second = workshop.bundle(f"{TINY}:convolutional")
    assert (first.cached, second.cached) == (False, True)
    assert (first.path, first.key) == (second.path, second.key)
    assert all(stage.cached for stage in second.stages)
    assert [x.name for x in (workshop.cache_dir / "models").iterdir()] == [first.key]
    assert workshop.bundle(f"{TINY}:convolutional", seed=1).key != first.key
    assert [event.kind for event in workshop.events[:2]] == ["stage", "log"]


def test_opened_bundle_computes_its_reference(workshop: Workshop) -> None:
    result = workshop.bundle(f"{TINY}:convolutional")
    bundle = Bundle.open(Path(result.path), f"{TINY}:convolutional")
    module, inputs, reference = bundle.eager(), bundle.inputs(), bundle.reference()
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert len(inputs) == len(reference) == 3
    assert len(bundle.calibration()) == 2
    for one, expected in zip(inputs, reference, strict=True):
        assert torch.equal(module(*one), expected[0])
    assert not torch.equal(inputs[0][0], inputs[1][0])
    assert all(not torch.equal(one[0], other[0]) for one in inputs for other in bundle.calibration())
    assert result.weights.kind == "embedded"
    assert result.model.parameters == sum(p.numel() for p in Convolutional().parameters())


def test_tied_weights_stay_tied_and_buffers_are_restored(workshop: Workshop) -> None:
    result = workshop.bundle(f"{TINY}:indexed")
    bundle = Bundle.open(Path(result.path), f"{TINY}:indexed")
    module = bundle.eager()
    assert module.get_parameter("head.weight") is module.get_parameter("table.weight")
    assert torch.equal(module.get_buffer("scale"), torch.full((1,), 2.0))
    outputs = module(*bundle.inputs()[0])
    assert all(torch.equal(a, b) for a, b in zip(outputs, bundle.reference()[0], strict=True))


def test_users_checkpoint_is_loaded(workshop: Workshop, tmp_path: Path) -> None:
    other = Convolutional()
    torch.save({"state_dict": other.state_dict()}, tmp_path / "other.pt")
    result = workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "other.pt"))
    module = Bundle.open(Path(result.path), f"{TINY}:convolutional").eager()
    assert torch.equal(module.get_parameter("head.weight"), other.head.weight)
    assert result.weights.kind == "checkpoint"
    assert result.weights.sha256 is not None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pt", None, "weights not found"),
        ("noise.pt", b"nothing of the kind", "noise.pt"),
        ("noise.safetensors", b"nothing of the kind", "safetensors"),
        ("empty.pt", b"", "empty.pt"),
    ],
)
def test_unreadable_weights_are_refused_in_one_line(
    workshop: Workshop, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message) as refused:
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / name))
    assert "\n" not in str(refused.value)
    assert refused.value.hint
    assert not list((workshop.cache_dir / "models").glob("*"))


def test_weights_that_hold_code_are_not_loaded(workshop: Workshop, tmp_path: Path) -> None:
    torch.save(Convolutional(), tmp_path / "module.pt")
    with pytest.raises(WeightsError, match="more than tensors"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "module.pt"))


def test_weights_of_another_model_are_refused(workshop: Workshop, tmp_path: Path) -> None:
    torch.save({"head.weight": torch.zeros(10, 8)}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match="missing"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "part.pt"))
    state = Convolutional().state_dict()
    state["head.weight"] = torch.zeros(10, 9)
    torch.save(state, tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match="head"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "wide.pt"))


def test_users_model_has_no_pretrained_weights(workshop: Workshop) -> None:
    with pytest.raises(WeightsError, match="no published weights"):
        workshop.bundle(f"{TINY}:convolutional", weights="pretrained")


@pytest.mark.parametrize("factory", ["not_a_module", "no_inputs", "absent"])
def test_factory_that_returns_no_model_is_refused(workshop: Workshop, factory: str) -> None:
    with pytest.raises(PreparationError):
        workshop.bundle(f"{TINY}:{factory}")


def test_exception_of_the_users_code_is_reported(workshop: Workshop) -> None:
    with pytest.raises(ZeroDivisionError, match="own mistake"):
        workshop.bundle(f"{TINY}:raises")


def test_missing_pretrained_weights_name_the_searched_locations(workshop: Workshop) -> None:
    with pytest.raises(WeightsError, match="checkpoints") as refused:
        workshop.bundle("resnet18", weights="pretrained")
    assert "synthetic" in refused.value.hint


@pytest.mark.slow
def test_auto_falls_back_to_synthetic_weights_with_a_warning(workshop: Workshop) -> None:
    result = workshop.bundle("resnet18")
    assert result.weights.kind == "synthetic"
    assert [event for event in workshop.events if event.kind == "warning"]
    reference = Bundle.open(Path(result.path), "resnet18").reference()
    assert float(reference[0][0].std()) > 0.01
    assert not torch.equal(reference[0][0], reference[1][0])
    workshop.events.clear()
    assert workshop.bundle("resnet18").cached
    assert any("unreachable a few minutes ago" in event.message for event in workshop.events)


def test_incomplete_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="damaged or missing"):
        Bundle.open(tmp_path, f"{TINY}:convolutional")


def test_missing_reference_file_is_none(tmp_path: Path) -> None:
    assert read_reference(tmp_path / "absent.safetensors") is None


def test_factory_that_changes_after_preparation_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    copy = tmp_path / "mine.py"
    copy.write_text(TINY.read_text())
    result = workshop.bundle(f"{copy}:convolutional")
    copy.write_text(TINY.read_text() + "\n")
    with pytest.raises(PreparationError, match="changed"):
        Bundle.open(Path(result.path), f"{copy}:convolutional").eager()
    assert workshop.bundle(f"{copy}:convolutional").key != result.key


def _written(folder: Path, **files: str) -> str:
    """Write Python files into a folder; return the reference to the factory of ``mine``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return f"{folder / 'mine.py'}:make"


def _first_outputs(result: BundleResult, model: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what eager computes now for the first input, and the stored reference."""
    bundle = Bundle.open(Path(result.path), model)
    return bundle.eager()(*bundle.inputs()[0]), bundle.reference()[0][0]


def test_retrained_weights_loaded_by_a_factory_change_the_identity(workshop: Workshop, tmp_path: Path) -> None:
    model = _written(
        tmp_path / "mine",
        mine="""
import torch
from pathlib import Path
def make():
    layer = torch.nn.Linear(4, 4)
    layer.load_state_dict(torch.load(Path(__file__).parent / "w.pt"))
    return layer, (torch.ones(1, 4),)
""",
    )
    results = []
    for value in (0.0, 1.0):
        state = {"weight": torch.full((4, 4), value), "bias": torch.full((4,), value)}
        torch.save(state, tmp_path / "mine" / "w.pt")
        results.append(workshop.bundle(model))
    before, after = results
    assert not after.cached and before.key != after.key
    assert before.weights.sha256 != after.weights.sha256 and before.model.identity == after.model.identity
    eager, reference = _first_outputs(after, model)
    assert eager.tolist() == reference.tolist() == [[5.0] * 4]
    assert workshop.bundle(model).cached


HELPER = "from torch import nn\nclass Act(nn.Module):\n    def forward(self, x): return x * {factor}\n"
LAZY = """
import torch
from torch import nn
def make():
    from layers import Act
    return nn.Sequential(nn.Linear(4, 4), Act()), (torch.ones(1, 4),)
"""


def test_changed_helper_module_is_reloaded_and_changes_the_identity(workshop: Workshop, tmp_path: Path) -> None:
    helper = tmp_path / "layers.py"
    model = _written(tmp_path, mine=LAZY, layers=HELPER.format(factor=1))
    before = workshop.bundle(model)
    assert before.model.sources is not None and list(before.model.sources) == ["layers"]
    # Python considers this bytecode current, because the new source has the same size and modification time.
    py_compile.compile(str(helper), doraise=True)
    times = helper.stat()
    helper.write_text(HELPER.format(factor=9))
    os.utime(helper, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = workshop.bundle(model)
    assert not after.cached and before.key != after.key and before.model.identity != after.model.identity
    eager, reference = _first_outputs(after, model)
    old_reference = Bundle.open(Path(before.path), model).reference()[0][0]
    assert torch.equal(eager, reference) and torch.equal(reference, old_reference * 9)
    with pytest.raises(PreparationError, match=r"layers, which .* imports, changed while it was measured"):
        Bundle.open(Path(before.path), model).eager()


def test_same_files_in_another_folder_are_the_same_model(workshop: Workshop, tmp_path: Path) -> None:
    model = _written(tmp_path / "one", mine=LAZY, layers=HELPER.format(factor=1))
    first = workshop.bundle(model)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    second = workshop.bundle(f"{tmp_path / 'two' / 'mine.py'}:make")
    assert second.cached and first.model.identity == second.model.identity


RANDOM = """
import random
import numpy as np
import torch
from torch import nn
class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("buffer", torch.randn(4, 4), persistent=False)
        self.plain = torch.randn(4, 4)
        self.number = random.random() + float(np.random.rand())
        self.layer = nn.Linear(4, 4)
    def forward(self, x): return self.layer(x) @ self.buffer @ self.plain * self.number
def make(): return Noisy(), (torch.ones(1, 4),)
"""


@pytest.mark.parametrize("seed", [0, 5])
def test_eager_agrees_with_the_reference(workshop: Workshop, tmp_path: Path, seed: int) -> None:
    model = _written(tmp_path, mine=RANDOM)
    eager, reference = _first_outputs(workshop.bundle(model, seed=seed), model)
    assert torch.equal(eager, reference)
    assert workshop.bundle(model, seed=seed).cached


def test_state_outside_the_state_dict_is_part_of_the_weights(workshop: Workshop, tmp_path: Path) -> None:
    digests = set()
    for buffer, plain in ((1, 1), (2, 1), (1, 2)):
        text = RANDOM.replace('"buffer", torch.randn(4, 4)', f'"buffer", torch.full((4, 4), {buffer}.0)')
        model = _written(tmp_path, mine=text.replace("plain = torch.randn(4, 4)", f"plain = torch.eye(4) * {plain}"))
        digests.add(workshop.bundle(model).weights.sha256)
    assert len(digests) == 3


def test_shared_tensors_and_memory_formats_are_preserved(workshop: Workshop, tmp_path: Path) -> None:
    text = """
import torch
from torch import nn
class Shared(nn.Module):
    def __init__(self, table):
        super().__init__()
        self.table = table
        self.convolution = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.view = self.convolution.bias.detach()
    def forward(self, x): return self.convolution(x) * self.table + self.view.sum()
def make():
    table = torch.randn(1)
    return nn.Sequential(Shared(table), nn.Conv2d(4, 3, 1), Shared(table)), (torch.ones(1, 3, 9, 9),)
"""
    model = _written(tmp_path, mine=text)
    result = workshop.bundle(model)
    eager = Bundle.open(Path(result.path), model).eager()
    first, last = eager.get_submodule("0"), eager.get_submodule("2")
    assert vars(first)["table"].data_ptr() == vars(last)["table"].data_ptr()
    assert vars(first)["view"].data_ptr() == first.get_parameter("convolution.bias").data_ptr()
    assert {name for name, _ in first.named_parameters()} == {"convolution.weight", "convolution.bias"}
    assert first.get_parameter("convolution.weight").is_contiguous(memory_format=torch.channels_last)
    outputs, reference = _first_outputs(result, model)
    assert torch.equal(outputs, reference)
    (tmp_path / "mine.py").write_text(text.replace(".to(memory_format=torch.channels_last)", ""))
    assert workshop.bundle(model).weights.sha256 != result.weights.sha256


def test_value_read_by_the_factory_is_part_of_the_identity(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RANDOM.replace("random.random() + float(np.random.rand())", 'float(__import__("os").environ["SCALE"])')
    model = _written(tmp_path, mine=text)
    monkeypatch.setenv("SCALE", "1")
    before = workshop.bundle(model)
    monkeypatch.setenv("SCALE", "2")
    after = workshop.bundle(model)
    assert not after.cached and before.key != after.key
    with pytest.raises(PreparationError, match="built a different model than before"):
        Bundle.open(Path(before.path), model).eager()


def test_checkpoint_is_identified_by_its_content(workshop: Workshop, tmp_path: Path) -> None:
    checkpoint = tmp_path / "other.pt"
    torch.save({name: torch.zeros_like(x) for name, x in Convolutional().state_dict().items()}, checkpoint)
    model, times = f"{TINY}:convolutional", checkpoint.stat()
    before = workshop.bundle(model, weights=str(checkpoint))
    os.utime(checkpoint)
    assert workshop.bundle(model, weights=str(checkpoint)).cached
    torch.save({name: torch.ones_like(x) for name, x in Convolutional().state_dict().items()}, checkpoint)
    os.utime(checkpoint, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoint.stat().st_size == times.st_size
    after = workshop.bundle(model, weights=str(checkpoint))
    assert not after.cached and before.weights.sha256 != after.weights.sha256


def test_exported_program_that_changes_after_preparation_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    program = tmp_path / "linear.pt2"

    def save() -> None:
        torch.export.save(torch.export.export(torch.nn.Linear(4, 4), (torch.ones(1, 4),)), program)

    save()
    result = workshop.bundle(str(program))
    os.utime(program)
    Bundle.open(Path(result.path), str(program)).eager()
    save()
    with pytest.raises(PreparationError, match="changed while it was measured"):
        Bundle.open(Path(result.path), str(program)).eager()


def test_a_checkpoint_is_used_at_its_size_or_the_requested_one_also_if_that_is_the_models_own(
    workshop: Workshop, tmp_path: Path
) -> None:
    module = build_classifier(find_model("torchvision:squeezenet1_1"), 3, 0)
    settings = TrainingSettings(model="torchvision:squeezenet1_1", size=48)
    position = Position(
        settings=settings,
        categories=("ant", "bee", "cat"),
        training_sha256="",
        epoch=1,
        batch=0,
        loss_sum=0.0,
        epochs=[],
    )
    weights = str(tmp_path / "best.safetensors")
    write_checkpoint(Path(weights), position, dict(module.state_dict()))
    for given, expected in ((None, 48), (224, 224), (64, 64)):
        shape = Shape(input_size=None if given is None else (given, given))
        found = workshop.bundle("torchvision:squeezenet1_1", weights=weights, shape=shape)
        assert found.inputs.shapes == [[1, 3, expected, expected]]
