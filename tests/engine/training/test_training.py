"""A short training loop passes for models that train, and names the module of each fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import nn

from etui.catalog.find import UserModel
from etui.engine.models.call_structure import plain_structure
from etui.engine.training.batch import Batch
from etui.engine.training.run import check_training, run_training
from etui.errors import PreparationError, UsageError
from etui.jobs import TrainingJob
from etui.training_check import FALL, Failure, TrainingCheck
from etui.wording import training_check as wording
from tests.engine.tiny import Convolutional, Indexed

MODEL = UserModel(kind="factory", path="/none/net.py", factory="net")


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    torch.manual_seed(0)


def check(module: nn.Module, *inputs: torch.Tensor, labels: torch.Tensor | None = None, **given: Any) -> TrainingCheck:
    facts: dict[str, Any] = {"model": "net", "optimizers": ("adam",), "steps": 16, "seed": 0}
    job = TrainingJob(**(facts | given))
    return check_training(MODEL, module, Batch(inputs, plain_structure(len(inputs)), labels, ""), job)


def failures(checked: TrainingCheck) -> dict[str, Failure]:
    (one,) = checked.optimizers
    assert one.passed is (not one.failures)
    assert checked.passed is one.passed
    return {failure.kind: failure for failure in one.failures}


def linear(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), *more)


def test_a_model_that_trains_passes_with_every_optimizer() -> None:
    names = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
    checked = check(linear(), torch.randn(4, 8), optimizers=names, steps=20)
    assert checked.passed
    assert [one.optimizer for one in checked.optimizers] == list(names)
    assert checked.losses == ["cross entropy of 4 logits"]
    assert (checked.trainable_parameters, checked.trainable_elements) == (4, 8 * 16 + 16 + 16 * 4 + 4)
    for one in checked.optimizers:
        assert one.begin_loss is not None and one.end_loss is not None
        assert one.end_loss < FALL * one.begin_loss
        assert len(one.losses) == len(one.gradient_norms) == 20
        assert one.losses[0] == checked.optimizers[0].losses[0]  # from the same weights
        assert one.changed_parameters == 4
        assert set(one.module_gradient_norms) == {"0", "2"}
        assert all(norm is not None and norm > 0 for norm in one.gradient_norms)
    again = check(linear(), torch.randn(4, 8), optimizers=("adam",))
    assert again.optimizers[0].losses != checked.optimizers[1].losses  # other weights


def test_another_learning_rate_is_tried_only_if_none_is_given() -> None:
    (one,) = check(linear(), torch.randn(4, 8), optimizers=("adam",)).optimizers
    assert one.learning_rate == 3e-3
    assert [each.learning_rate for each in one.tried] == [3e-4]
    (fixed,) = check(linear(), torch.randn(4, 8), learning_rate=1e-6).optimizers
    assert (fixed.learning_rate, fixed.tried) == (1e-6, [])
    assert [each.kind for each in fixed.failures] == ["loss does not fall"]


class Detached(nn.Module):
    """A branch that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(8, 16)
        self.trunk = nn.Linear(8, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(torch.relu(self.trunk(values)) + self.branch(values).detach())
        return result


def test_a_detached_branch_has_no_gradient() -> None:
    found = failures(check(Detached(), torch.randn(4, 8)))
    assert list(found) == ["no gradient"]
    assert found["no gradient"].places == ["branch (Linear): weight, bias"]


def test_a_layer_frozen_by_the_model_is_listed_and_no_failure() -> None:
    module = linear()
    module[0].requires_grad_(False)
    before = module[0].state_dict()["weight"].clone()
    checked = check(module, torch.randn(4, 8))
    assert not failures(checked)
    assert checked.frozen == ["0 (Linear): weight, bias"]
    assert checked.trainable_parameters == 2
    assert torch.equal(module[0].state_dict()["weight"], before)


class Held(nn.Module):
    """A parameter that is so large that a step of the learning rate does not change it."""

    def __init__(self) -> None:
        super().__init__()
        self.held = nn.Parameter(torch.full((8,), 1e30))
        self.rest = linear()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.rest(values * (self.held * 1e-30))
        return result


def test_weights_that_do_not_change_are_named() -> None:
    found = failures(check(Held(), torch.randn(4, 8)))
    assert found["weights do not change"].places == ["the model itself (Held): held"]


def test_a_diverging_learning_rate_is_reported_with_its_step() -> None:
    found = failures(check(linear(), torch.randn(4, 8), optimizers=("sgd",), learning_rate=1e30))
    assert (found["loss not finite"].step or 0) > 1
    rising = failures(check(nn.Linear(8, 1), torch.randn(4, 8), optimizers=("sgd",), learning_rate=20.0, steps=8))
    assert list(rising) == ["loss does not fall"]
    assert (rising["loss does not fall"].step or 0) > 1


class Logarithm(nn.Module):
    """Not finite for negative values."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.log(values)


def test_the_first_layer_that_makes_nan_is_named() -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.Sequential(nn.Identity(), Logarithm()), nn.Linear(16, 4))
    found = failures(check(module, torch.randn(4, 8)))
    assert found["loss not finite"].places == ["1.1 (Logarithm)"]
    assert found["loss not finite"].step == 1


def test_nan_made_by_a_function_belongs_to_the_module_that_calls_it() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 8)
            self.second = nn.Linear(8, 4)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.second(torch.log(self.first(values)))
            return result

    found = failures(check(nn.Sequential(Functional()), torch.randn(4, 8)))
    assert found["loss not finite"].places == ["0 (Functional)"]


def test_weights_that_are_not_finite_are_named() -> None:
    module = linear()
    with torch.no_grad():
        module[2].state_dict()["weight"][0, 0] = float("nan")
    found = failures(check(module, torch.randn(4, 8)))
    assert found["loss not finite"].places == ["2 (Linear): weight"]


def test_a_gradient_that_is_not_finite_is_named() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)
            nn.init.zeros_(self.layer.weight)
            nn.init.zeros_(self.layer.bias)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.sqrt(self.layer(values))

    found = failures(check(Root(), torch.randn(4, 8)))
    assert found["gradient not finite"].places == ["layer (Linear): weight, bias"]
    assert found["gradient not finite"].step == 1


def test_a_dead_relu_is_named() -> None:
    module = linear()
    nn.init.constant_(module[0].state_dict()["bias"], -100.0)
    found = failures(check(module, torch.randn(4, 8)))
    assert found["outputs are zero"].places == ["1 (ReLU)"]
    assert found["zero gradient"].places == ["0 (Linear): weight, bias", "2 (Linear): weight"]


def test_every_output_that_depends_on_parameters_is_trained() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classes = nn.Linear(8, 4)
            self.position = nn.Linear(8, 2)

        def forward(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"classes": self.classes(values), "position": self.position(values), "best": values.argmax(1)}

    checked = check(Heads(), torch.randn(4, 8), steps=40)
    assert not failures(checked)
    assert checked.losses == ["cross entropy of 4 logits", "mean squared error"]


@dataclass
class Scores:
    """An output that torch's pytrees do not know."""

    values: torch.Tensor


class Scoring(nn.Module):
    """Returns a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.body = linear()

    def forward(self, values: torch.Tensor) -> Scores:
        return Scores(self.body(values))


def test_tensors_in_dataclasses_are_trained() -> None:
    checked = check(Scoring(), torch.randn(4, 8))
    assert checked.losses == ["cross entropy of 4 logits"]


@pytest.mark.parametrize(
    ("module", "inputs", "loss", "text"),
    [
        (Convolutional(), (torch.randn(4, 3, 9, 9),), None, "cross entropy of 10 logits"),
        (nn.Sequential(linear(), nn.Softmax(-1)), (torch.randn(4, 8),), None, "cross entropy of 4 probabilities"),
        (nn.Conv2d(3, 5, 3), (torch.randn(2, 3, 6, 6),), "cross-entropy", "cross entropy of 5 logits"),
        (nn.Conv2d(3, 5, 3), (torch.randn(2, 3, 32, 32),), None, "mean squared error"),
        (nn.Linear(8, 1), (torch.randn(4, 8),), None, "mean squared error"),
        (nn.Linear(8, 6), (torch.randn(4, 8),), "bce", "binary cross entropy of logits"),
        (
            nn.Sequential(nn.Linear(8, 6), nn.Sigmoid()),
            (torch.randn(4, 8),),
            "bce",
            "binary cross entropy of probabilities",
        ),
        (Indexed(), (torch.randint(0, 38, (2, 6)),), None, "cross entropy of the next of 40 tokens"),
    ],
)
def test_losses_fit_the_outputs(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], loss: str | None, text: str
) -> None:
    checked = check(module, *inputs, loss=loss, steps=40)
    assert checked.losses[0] == text
    assert not failures(checked)


def test_classes_of_maps_can_be_learnt_by_a_convolution() -> None:
    (one,) = check(
        nn.Conv2d(3, 50, 1), torch.eye(3)[:2].reshape(2, 3, 1, 1).expand(2, 3, 32, 32).clone(),
        loss="cross-entropy", steps=40, learning_rate=0.1,
    ).optimizers  # fmt: skip
    assert (one.losses[-1] or 9.0) < 0.5


def test_logits_between_0_and_1_are_not_probabilities() -> None:
    module = nn.Linear(8, 1)
    nn.init.constant_(module.weight, 1e-3)
    nn.init.constant_(module.bias, 0.5)
    checked = check(module, torch.randn(4, 8), loss="bce", learning_rate=0.3)
    assert checked.losses == ["binary cross entropy of logits"]
    assert not failures(checked)
    squeezed = nn.Sequential(module, nn.Sigmoid(), nn.Flatten(0))
    assert check(squeezed, torch.randn(4, 8), loss="bce").losses == ["binary cross entropy of probabilities"]


def test_parameters_made_in_the_first_call_are_trained() -> None:
    checked = check(nn.Sequential(nn.LazyLinear(4)), torch.randn(4, 8))
    assert checked.trainable_elements == 8 * 4 + 4
    assert not failures(checked)


def test_next_tokens_are_learnt() -> None:
    class Shifted(nn.Module):
        """Predicts the token at its own position: right only if the loss does not shift."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.scale * 50 * nn.functional.one_hot(ids, 8).float()

    (one,) = check(Shifted(), torch.tensor([[1, 2, 3, 4, 5]]), learning_rate=1e-6).optimizers
    assert (one.losses[0] or 0) > 40


@pytest.mark.parametrize(("module", "loss"), [(nn.Linear(8, 1), "cross-entropy"), (linear(), "language-modelling")])
def test_a_loss_that_does_not_fit_is_refused(module: nn.Module, loss: str) -> None:
    with pytest.raises(UsageError, match=f"{loss} does not fit"):
        check(module, torch.randn(4, 8), loss=loss)


def test_labels_are_the_targets_and_are_checked() -> None:
    inputs = torch.eye(8)[:4]
    checked = check(linear(), inputs, labels=torch.tensor([3, 1, 0, 2]), steps=60)
    assert not failures(checked)
    with pytest.raises(UsageError, match="not classes from 0 to 3"):
        check(linear(), inputs, labels=torch.tensor([3, 1, 0, 4]))
    with pytest.raises(UsageError, match="shape"):
        check(linear(), inputs, labels=torch.rand(4, 3))


def test_what_cannot_be_trained_is_one_error() -> None:
    class Best(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layer(values).argmax(-1)
            return result

    class Inplace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result = torch.exp(self.layer(values))
            return result.add_(1) * result.mul_(2)

    for module, cause in [
        (Best(), "not floating-point"),
        (Inplace(), "backward pass"),
        (linear().requires_grad_(False), "all 4 are frozen"),
        (nn.ReLU(), "none at all"),
        (nn.Sequential(nn.Linear(9, 2)), r"in 0 \(Linear\)"),
    ]:
        with pytest.raises(PreparationError, match=cause):
            check(module, torch.randn(4, 8))
    norm = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    with pytest.raises(PreparationError) as raised:
        check(norm, torch.randn(1, 8))
    assert "--batch 2" in raised.value.hint


NET = """
import etui, torch
from torch import nn

def net():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), (torch.randn(1, 8),)

def unbatched():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 4)
        def forward(self, values):
            return self.layer(values.view(1, 8))
    return Flat(), (torch.randn(1, 8),)

def labelled():
    examples = [(torch.randn(1, 8), number % 4) for number in range(6)]
    return etui.Model(net()[0], inputs=examples, labels=True)

def pictures():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 2)), (torch.randn(1, 3, 6, 6),)
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return str(tmp_path / "net.py")


def run(model: str, **given: Any) -> TrainingCheck:
    job = TrainingJob(model=model, optimizers=("adam",), steps=24, seed=0, **given)
    return run_training(job, lambda event: None)


def test_the_batch_is_made_of_the_examples(net: str) -> None:
    assert (run(f"{net}:net").batch, run(f"{net}:net", batch=3).batch) == (4, 3)
    assert run(f"{net}:unbatched").batch == 1
    with pytest.raises(PreparationError, match="batch of 2"):
        run(f"{net}:unbatched", batch=2)
    checked = run(f"{net}:labelled")
    assert checked.targets == "the labels of your examples"
    assert checked.passed


def test_subfolders_of_images_are_classes(net: str, tmp_path: Path) -> None:
    for name, colour in (("bright", 220), ("dark", 30)):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for number in range(3):
            picture = numpy.full((8, 8, 3), colour, dtype=numpy.uint8)
            picture[number] = 128
            Image.fromarray(picture).save(folder / f"{number}.png")
    checked = run(f"{net}:pictures", data=str(tmp_path / "data"), batch=4)
    assert checked.passed
    assert checked.targets.startswith("the 2 subfolders")
    assert run(f"{net}:pictures", data=str(tmp_path / "data"), batch=1).targets.startswith("1 of the 2 subfolders")
    assert run(f"{net}:pictures", data=str(tmp_path / "data" / "dark"), batch=2).targets == "drawn with seed 0"


def test_the_same_seed_gives_the_same_losses(net: str) -> None:
    first, second = run(f"{net}:net"), run(f"{net}:net")
    assert first.optimizers[0].losses == second.optimizers[0].losses


class CachesInBuffers(nn.Module):
    """Registers one buffer in its first call, and enlarges another in each."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 4)
        self.seen: torch.Tensor
        self.register_buffer("seen", torch.zeros(0, 4))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "scale"):
            self.register_buffer("scale", torch.ones(4))
        result: torch.Tensor = self.head(values) * self.scale
        self.seen = torch.cat([self.seen, result.detach()])
        return result


def test_buffers_that_a_call_registers_or_resizes_are_restored_for_the_next_optimizer() -> None:
    module = CachesInBuffers()
    checked = check(module, torch.randn(4, 8), optimizers=("adam", "adam"), learning_rate=0.03)
    first, second = checked.optimizers
    assert checked.passed and first.losses == second.losses
    assert len(module.seen) == 16 * 4  # of the last loop only


def test_a_bias_before_batch_normalization_need_not_change() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    module[0].bias.data.fill_(1.0)  # type: ignore[operator]
    checked = check(module, torch.randn(4, 8), optimizers=("sgd",), learning_rate=0.01)
    assert failures(checked) == {}
    (one,) = checked.optimizers
    assert (one.changed_parameters, one.negligible) == (5, ["0 (Linear): bias"])


class RandomDepth(nn.Module):
    """Drops a branch in the calls of the last quarter, as random depth may, and adds a constant of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.head, self.zeros = nn.Linear(8, 8), nn.Linear(8, 4), nn.Identity()
        self.drop = nn.Dropout()
        self.calls = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.drop.p = 1.0 if self.calls > 12 else 0.0
        result: torch.Tensor = self.head(values + self.drop(self.branch(values))) + self.zeros(torch.zeros(4, 4))
        return result


def test_dropped_values_and_zeros_that_a_layer_was_given_are_not_dead_layers() -> None:
    assert failures(check(RandomDepth(), torch.randn(4, 8), learning_rate=0.03)) == {}


class Overwritten(nn.Module):
    """Sets its first weight to a constant in each call, as code that loads weights in the wrong place may."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 8), nn.Linear(8, 4)
        self.loaded = self.first.weight.detach().clone()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.first.weight.copy_(self.loaded)
        result: torch.Tensor = self.head(torch.relu(self.first(values)))
        return result


def test_weights_that_the_forward_pass_overwrites_are_named() -> None:
    checked = check(Overwritten(), torch.randn(4, 8), learning_rate=0.03)
    found = failures(checked)
    assert list(found) == ["weights are overwritten"]
    assert found["weights are overwritten"].places == ["first (Linear): weight"]
    assert checked.optimizers[0].changed_parameters == 3


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_parameters_in_16_bits_are_blamed_rather_than_the_learning_rate(optimizer: str) -> None:
    module = linear()
    module[0].weight.data.fill_(60.0)  # type: ignore[operator]
    checked = check(module.half(), torch.randn(4, 8).half(), optimizers=(optimizer,), learning_rate=0.001)
    (one,) = checked.optimizers
    assert one.half == "FP16" and one.failures
    for entry in wording.failures(checked):
        assert "FP16" in entry.value and "learning rate" not in entry.value


class SparseEmbedding(nn.Module):
    """Has an embedding whose gradients are sparse, of which most rows are not used."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(100, 16, sparse=True), nn.Linear(16, 4)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.embed(indices).mean(1))
        return result


def test_sparse_gradients_are_refused_by_name_with_optimizers_that_do_not_take_them() -> None:
    indices = torch.randint(0, 20, (4, 6))
    assert check(SparseEmbedding(), indices, optimizers=("sgd", "adagrad"), learning_rate=0.1).passed
    for optimizer in ("adam", "adamw", "rmsprop"):
        with pytest.raises(PreparationError, match=r"embed \(Embedding\): weight"):
            check(SparseEmbedding(), indices, optimizers=(optimizer,))
