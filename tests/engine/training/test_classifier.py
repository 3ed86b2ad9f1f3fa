"""Training a classifier on labelled images: what it writes, exact resuming, refusals."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from etui.catalog.find import find_model
from etui.engine.lowering.quantize import Graph
from etui.engine.models.weights import load, resolve
from etui.engine.runtime.execution import LoadedProgram
from etui.engine.training import classifier, lower_checkpoint
from etui.engine.training.augmentation import crop_box
from etui.engine.training.batches import Batches
from etui.engine.training.build_classifier import build_classifier
from etui.engine.training.checkpoints import read_checkpoint
from etui.engine.training.classifier import run_train
from etui.engine.training.initial_weights import adopt, initialize
from etui.engine.training.qat import convert_qat, to_evaluation
from etui.engine.training.training_data import TrainingData
from etui.errors import PreparationError
from etui.events import Event
from etui.jobs import TrainJob
from etui.task_data.digits import make_digits
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.program_metadata import metadata_path, read_metadata
from etui.task_data.reading import open_labelled_images
from etui.task_training import BEST, LAST, PROGRAM, RESULT, TrainedModel, TrainingSettings

_NET = """
import torch
from torch import nn

EXAMPLE = (torch.zeros(1, 3, 16, 16),)

def make():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(16, 10),
    ), EXAMPLE

def other():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 10)), EXAMPLE

def narrow():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7)), EXAMPLE
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "digits"
    make_digits(folder, images=70, size=32, seed=5)
    return folder


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(_NET)
    return path


def _job(net: Path, digits: Path, folder: Path, factory: str = "make", **options: Any) -> TrainJob:
    settings = TrainingSettings(model=f"{net}:{factory}", epochs=2, batch=8, size=16, seed=3, learning_rate=0.05)
    chosen = {name: options.pop(name) for name in list(options) if name in settings.__struct_fields__}
    settings = msgspec.structs.replace(settings, **chosen)
    return TrainJob(
        settings=settings, data=str(digits), folder=str(folder), cache_dir=str(folder / "cache"), threads=1, **options
    )


@pytest.fixture(scope="module")
def trained(net: Path, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return run_train(_job(net, digits, folder), lambda event: None), folder


def test_a_training_writes_checkpoints_a_program_and_its_result(
    trained: tuple[TrainedModel, Path], digits: Path
) -> None:
    result, folder = trained
    assert msgspec.json.decode((folder / RESULT).read_bytes(), type=TrainedModel) == result
    assert [one.epoch for one in result.epochs] == [1, 2]
    assert result.epochs[-1].learning_rate < result.epochs[0].learning_rate < 0.05
    assert result.best == max(one.metric for one in result.epochs)
    assert result.program_metric == pytest.approx(result.best, abs=1e-6)
    assert result.program_bytes == (folder / PROGRAM).stat().st_size
    assert result.validation_sha256 == open_labelled_images(digits, "val").sha256
    assert list((folder / "tensorboard").iterdir())
    metadata = read_metadata(metadata_path(folder / PROGRAM))
    assert (metadata.categories, metadata.preprocessing.size) == (result.categories, (16, 16))
    assert [read_checkpoint(folder / name)[0].kind for name in (BEST, LAST)] == ["multi-label"] * 2


def test_a_trained_checkpoint_is_quantized_without_training(
    trained: tuple[TrainedModel, Path], net: Path, digits: Path, tmp_path: Path
) -> None:
    before, folder = trained
    job = _job(net, digits, tmp_path, initial=str(folder / BEST), calibration=8, epochs=0)
    result = run_train(job, lambda event: None)
    assert result.best == pytest.approx(before.best, abs=1e-6)
    assert result.epochs == []
    image = torch.randn(1, 3, 16, 16)
    exact, integers = (
        program(program.fit((image,)))[0]
        for program in (LoadedProgram(path / PROGRAM, delegate="xnnpack") for path in (folder, tmp_path))
    )
    assert 0 < float((exact - integers).abs().max()) < 0.1 * float(exact.max() - exact.min())
    assert read_metadata(metadata_path(tmp_path / PROGRAM)).categories == before.categories
    assert msgspec.json.decode((tmp_path / RESULT).read_bytes(), type=TrainedModel) == result
    assert not (tmp_path / BEST).exists()


@pytest.mark.slow
@pytest.mark.parametrize("qat", ["lsq", "pt2e"])
def test_the_program_of_a_quantized_training_computes_what_was_trained(
    trained: tuple[TrainedModel, Path],
    net: Path,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qat: str,
) -> None:
    images = torch.randn(6, 3, 16, 16)
    seen: list[torch.Tensor] = []

    def converted(prepared: torch.fx.GraphModule, image: torch.Tensor) -> Graph:
        to_evaluation(prepared)
        with torch.no_grad():
            seen.append(prepared(images))
        return convert_qat(prepared, image)

    monkeypatch.setattr(lower_checkpoint, "convert_qat", converted)
    initial = str(trained[1] / BEST)
    result = run_train(
        _job(net, digits, tmp_path, qat=qat, keep_fp32=(), initial=initial, epochs=1, learning_rate=0.005),
        lambda event: None,
    )
    program = LoadedProgram(tmp_path / PROGRAM, delegate="xnnpack")
    integers = torch.cat([program(program.fit((image.unsqueeze(0),)))[0] for image in images])
    step = float(np.diff(np.unique(seen[0].numpy())).min())
    assert float((integers - seen[0]).abs().max()) <= step * 1.001
    assert float(seen[0].std()) > 3 * step
    assert result.best == pytest.approx(trained[0].best, abs=0.15)  # it begins with the trained weights


@pytest.mark.parametrize(("flags", "warnings"), [(["avx2"], 1), (["avx2", "avx512_bf16"], 0)])
def test_amp_trains_in_bf16_and_warns_on_a_cpu_without_it(
    net: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], warnings: int
) -> None:
    monkeypatch.setattr(classifier, "cpu_flags", lambda: flags)
    events: list[Event] = []
    result = run_train(_job(net, digits, tmp_path, amp=True, epochs=1), events.append)
    assert math.isfinite(result.epochs[0].loss)
    weights = read_checkpoint(tmp_path / BEST)[1]
    assert {value.dtype for name, value in weights.items() if name.endswith("weight")} == {torch.float32}
    assert len([event for event in events if event.kind == "warning"]) == warnings


def test_published_weights_begin_a_training_with_another_last_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    url = models.MobileNet_V2_Weights.DEFAULT.url
    published = models.mobilenet_v2(weights=None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(published.state_dict(), file)
    model = find_model("mobilenet_v2")
    module = build_classifier(model, 10, 0)
    initialize(model, module, "pretrained", ("a",) * 10, tmp_path, lambda event: None)
    own, state = module.state_dict(), published.state_dict()
    differing = [
        name for name in own if own[name].shape != state[name].shape or not torch.equal(own[name], state[name])
    ]
    assert differing == ["classifier.1.weight", "classifier.1.bias"]


class _Stopped(Exception):
    pass


def test_a_training_that_was_stopped_within_an_epoch_ends_with_the_same_weights(
    trained: tuple[TrainedModel, Path], net: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_PROGRESS_S", 0.0)

    def stop(event: Event, at: int) -> None:
        if event.kind == "progress" and event.done == at:
            raise _Stopped

    job = _job(net, digits, tmp_path, checkpoint_batches=1)
    per_epoch = len(open_labelled_images(digits, "train").images) // 8
    for at, resume in ((2, False), (per_epoch + 2, True)):  # in the first and in the second epoch
        with pytest.raises(_Stopped):
            run_train(msgspec.structs.replace(job, resume=resume), functools.partial(stop, at=at))
    resumed = run_train(msgspec.structs.replace(job, resume=True), lambda event: None)
    expected, got = (read_checkpoint(folder / LAST)[1] for folder in (trained[1], tmp_path))
    assert expected.keys() == got.keys()
    assert [name for name in expected if not torch.equal(expected[name], got[name])] == []
    assert [one.loss for one in resumed.epochs] == [one.loss for one in trained[0].epochs]


def test_a_training_does_not_continue_with_other_settings_or_overwrite_another(
    trained: tuple[TrainedModel, Path], net: Path, digits: Path
) -> None:
    with pytest.raises(PreparationError, match="settings"):
        run_train(_job(net, digits, trained[1], resume=True, seed=4), lambda event: None)
    with pytest.raises(PreparationError, match="has the checkpoints"):
        run_train(_job(net, digits, trained[1]), lambda event: None)


def test_a_checkpoint_of_another_architecture_is_refused(
    trained: tuple[TrainedModel, Path], net: Path, digits: Path, tmp_path: Path
) -> None:
    initial = str(trained[1] / BEST)
    with pytest.raises(PreparationError, match="another architecture"):
        run_train(_job(net, digits, tmp_path, "other", initial=initial), lambda event: None)


def test_other_weights_are_adopted_except_a_last_layer_of_another_size(tmp_path: Path) -> None:
    def net(outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, outputs))

    model = find_model("resnet18")
    source, target = net(7), net(10)
    random = target.state_dict()["3.weight"].clone()
    file = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), file)
    initialize(model, target, str(file), ("a",), tmp_path, lambda event: None)
    assert torch.equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])
    assert torch.equal(target.state_dict()["3.weight"], random)
    adopt(same := net(7), source.state_dict(), "weights")
    assert torch.equal(same.state_dict()["3.weight"], source.state_dict()["3.weight"])
    with pytest.raises(PreparationError, match="does not fit"):
        adopt(nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(16, 7)), source.state_dict(), "weights")


def test_a_checkpoint_has_the_weights_under_the_names_of_the_model(
    trained: tuple[TrainedModel, Path], net: Path, tmp_path: Path
) -> None:
    weights = resolve(find_model(f"{net}:make"), str(trained[1] / BEST), 0, tmp_path, lambda event: None)
    module = load(find_model(f"{net}:make"), weights, 0).module
    assert torch.equal(module.state_dict()["0.weight"], read_checkpoint(trained[1] / BEST)[1]["0.weight"])


def test_a_model_with_another_number_of_outputs_is_refused(net: Path, digits: Path, tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match=r"\[N, 10\]"):
        run_train(_job(net, digits, tmp_path, "narrow"), lambda event: None)


def test_a_loss_that_is_not_finite_ends_the_training(net: Path, digits: Path, tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="not finite in epoch"):
        run_train(_job(net, digits, tmp_path, learning_rate=1e38, epochs=3), lambda event: None)


def test_a_damaged_checkpoint_is_refused(net: Path, digits: Path, tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"\x00" * 100)
    with pytest.raises(PreparationError, match="damaged"):
        run_train(_job(net, digits, tmp_path, resume=True), lambda event: None)


def test_batches_depend_only_on_seed_epoch_and_number(digits: Path) -> None:
    data = open_labelled_images(digits, "train")

    def images(threads: int, epoch: int, first: int) -> list[torch.Tensor]:
        batches = Batches(digits, data, Preprocessing((16, 16)), threads)
        return [one.images for one in batches.training(8, seed=1, epoch=epoch, first=first, flip=True, least_area=0.4)]

    every, later, other = images(1, 0, 0), images(3, 0, 1), images(1, 1, 0)
    assert all(torch.equal(one, two) for one, two in zip(every[1:], later, strict=True))
    assert not torch.equal(every[0], other[0])
    assert len(every) == len(data.images) // 8


def test_a_crop_keeps_the_labelled_objects_of_images_with_several_labels(digits: Path, tmp_path: Path) -> None:
    for place in range(10):
        (tmp_path / "folders" / str(place % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (25 * place, 0, 0)).save(tmp_path / "folders" / str(place % 2) / f"{place}.png")
    several = TrainingData(digits, TrainingSettings(model="net", size=16), 1)
    one = TrainingData(tmp_path / "folders", TrainingSettings(model="net", size=16), 1)
    assert (several.kind, several.least_area, one.kind, one.least_area) == ("multi-label", 0.8, "single-label", 0.4)
    assert TrainingData(digits, TrainingSettings(model="net", size=16, least_area=1.0), 1).least_area == 1.0
    picture = Image.fromarray(np.arange(100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 100, 3))
    for least, smallest in ((1.0, 1.0), (0.8, 0.8), (0.1, 0.1)):
        areas = []
        for index in range(50):
            left, top, right, bottom = crop_box(picture.size, least, np.random.default_rng(index))
            assert 0 <= left < right <= 100 and 0 <= top < bottom <= 100
            areas.append((right - left) * (bottom - top) / 10_000)
        assert smallest - 0.02 <= min(areas) <= smallest + 0.1


def test_the_metric_is_that_of_scikit_learn_on_the_validation_split(digits: Path, tmp_path: Path) -> None:
    from sklearn.metrics import average_precision_score

    data = TrainingData(digits, TrainingSettings(model="net", size=16), 1)
    logits = np.random.default_rng(0).normal(size=(len(data.validation.images), 10)).astype(np.float32)
    labels = np.zeros(logits.shape, dtype=bool)
    for row, image in enumerate(data.validation.images):
        labels[row, list(image.labels)] = True
    having = labels.any(axis=0)
    rest = iter(logits)

    def compute(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.stack([next(rest) for _ in images]))

    expected = average_precision_score(labels[:, having], logits[:, having], average="macro")
    assert data.metric(compute, 4) == pytest.approx(expected, abs=1e-6)
    for place in range(10):
        (tmp_path / str(place % 2)).mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (25 * place, 0, 0)).save(tmp_path / str(place % 2) / f"{place}.png")
    single = TrainingData(tmp_path, TrainingSettings(model="net", size=16), 1)
    truth = [image.labels[0] for image in single.validation.images]
    assert single.metric_name == "top-1"
    assert single.metric(lambda images: torch.zeros(len(images), 2), 4) == 0  # equal logits are not right
    right = torch.nn.functional.one_hot(torch.tensor(truth), 2).float()
    assert single.metric(lambda images: right, len(truth)) == 1
