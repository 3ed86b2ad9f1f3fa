"""Models that a factory declares with ``etui.Model``: inputs, labels, metric, tolerance; and models with state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim

import etui
from etui.engine.measure.accuracy import run_accuracy
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import flat_call
from etui.engine.models.declared import tolerances_of
from etui.engine.models.declared_dims import declared_dims
from etui.engine.models.inputs import example_inputs
from etui.engine.models.module_state import unchanged, weights_dtype
from etui.engine.models.outputs import flat_outputs
from etui.engine.models.task_metric import metrics_of, value_of_metric
from etui.engine.models.user_inputs import Examples, content
from etui.engine.runtime.execution import LoadedProgram
from etui.errors import PreparationError
from etui.jobs import AccuracyJob
from etui.results import Accuracy
from tests.engine.conftest import Workshop
from tests.models_zoo import zoo

ZOO = Path(zoo.__file__)
POINTS = [torch.randn(1, 8, generator=torch.Generator().manual_seed(number)) for number in range(6)]


def judged(workshop: Workshop, name: str, precision: str = "fp32") -> Accuracy:
    model = f"{ZOO}:{name}"
    bundle = workshop.bundle(model)
    lowered = workshop.lower(model, bundle, precision)
    job = AccuracyJob(
        bundle=bundle.path, model=model, program_dir=str(Path(lowered.path).parent), precision=precision,
        delegate="xnnpack", arithmetic=lowered.arithmetic, threads=1, limit_s=60.0, run_id="run",
    )  # fmt: skip
    return run_accuracy(job, print)


@pytest.mark.parametrize("inputs", [POINTS, zoo.Separable(), iter([(point, 0) for point in POINTS])])
def test_examples_of_a_list_or_dataset_are_used_as_they_are(inputs: Any) -> None:
    labels = None if isinstance(inputs, list) else True
    given = None if isinstance(inputs, zoo.Separable) else POINTS
    made = example_inputs(Examples.of_model(inputs, labels, "test"), 3, 3, 0)
    assert (len(made.accuracy), len(made.calibration), made.info.kind) == (3, 3, "examples")
    contents = [content(one) for one in [*made.accuracy, *made.calibration]]
    assert len(set(contents)) == 6
    if given is not None:
        assert contents == [content((one,)) for one in given]
    assert (made.labels is None) == (labels is None)
    assert made.info.accuracy_sha256 != made.info.calibration_sha256


def test_sample_of_a_dataset_depends_on_the_seed_and_keeps_its_labels() -> None:
    dataset = zoo.Separable()
    examples = Examples.of_model(dataset, True, "test")
    made, again, other = (example_inputs(examples, 8, 4, seed) for seed in (0, 0, 1))
    assert made.info.sha256 == again.info.sha256 != other.info.sha256
    assert made.labels is not None
    assert made.labels == [int(float(one[0].mean()) > 0) for one in made.accuracy] and set(made.labels) == {0, 1}


@pytest.mark.parametrize("second", ["seed", "generator"])
def test_input_function_gets_a_seed_or_a_generator(second: str) -> None:
    got: list[object] = []

    def with_seed(count: int, seed: int) -> Iterator[torch.Tensor]:
        got.append(seed)
        return (torch.full((1, 2), float(number)) for number in range(count))

    def with_generator(count: int, generator: torch.Generator) -> list[torch.Tensor]:
        got.append(generator)
        return [torch.randn(1, 2, generator=generator) for _ in range(count)]

    function = with_seed if second == "seed" else with_generator
    made = example_inputs(Examples.of_model(function, None, "test"), 2, 2, 7)
    assert len(made.accuracy) == 2
    assert got == [7] if second == "seed" else isinstance(got[0], torch.Generator)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (POINTS[0], [1], "only one example"),
        (POINTS, [1, 2], "one for each of its 6 examples"),
        (POINTS, True, "not pairs"),
        (zoo.Separable(), [1], "do not belong to a list"),
        ([], None, "no example inputs"),
        (3, None, "no example inputs"),
        ([(POINTS[0], None), (POINTS[1], 2)], None, "structure or in a constant"),
    ],
)
def test_inputs_and_labels_that_do_not_fit_are_refused(inputs: Any, labels: Any, message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        Examples.of_model(inputs, labels, "test").take(4, 0)


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        (3, "is a int"),
        ({"sqnr": 3}, "unknown limit 'sqnr'"),
        ({"int9": {"sqnr_db_min": 3}}, "unknown precision 'int9'"),
        ({"int8": {"sqnr_db_min": "3"}}, "has '3' as sqnr_db_min"),
        ({"int8": {}}, "has no limit"),
        ({"sqnr_db_min": float("nan")}, "has nan as sqnr_db_min"),
        ({"top1_min": 95}, "at most 1"),
    ],
)
def test_wrong_tolerances_are_refused(tolerance: object, message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        tolerances_of(etui.Model(nn.Identity(), POINTS[0], tolerance=tolerance), "test")


def value(name: object, outputs: list[Any], labels: list[Any]) -> float:
    (metric,) = metrics_of(name, True, "test")
    return value_of_metric(metric, outputs, labels, "test")


def test_named_metrics() -> None:
    scores = torch.tensor([[0.0, 3.0, 1.0], [5.0, 4.0, 0.0]])
    labels = [[1, 1], torch.tensor([0, 0])]
    assert value("top1", [scores, {"scores": scores}], labels) == 0.5
    assert value("accuracy", [scores], [torch.tensor([1, -100])]) == 1.0  # labels below zero are ignored
    picture = torch.zeros(1, 2, 2, 2)
    picture[:, 1, 0] = 1.0  # the upper row is class 1
    assert value("miou", [picture], [torch.tensor([[[1, 255], [0, 1]]])]) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert [name for name, _ in metrics_of(["top1", "top5"], True, "test")] == ["top1", "top5"]


def test_named_metrics_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(4, 8, generator=generator) for _ in range(5)]
    labels = [torch.randint(0, 8, (4,), generator=generator) for _ in range(5)]
    rows, wanted = torch.cat(scores), torch.cat(labels)
    expected = {
        "top1": metrics.accuracy_score(wanted, rows.argmax(1)),
        "top5": metrics.top_k_accuracy_score(wanted, rows, k=5, labels=range(8)),
        "f1_macro": metrics.f1_score(wanted, rows.argmax(1), average="macro"),
    }
    assert {name: value(name, scores, labels) for name in expected} == pytest.approx(expected)
    targets = [one * 0.8 + 0.1 for one in scores]
    truth, guess = torch.cat(targets).reshape(-1), rows.reshape(-1)
    expected = {
        "r2": metrics.r2_score(truth, guess),
        "neg_mean_absolute_error": -metrics.mean_absolute_error(truth, guess),
    }
    assert {name: value(name, scores, targets) for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "outputs", "label", "message"),
    [
        ("top1", torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4), "use miou|classes in the last dimension"),
        ("top1", torch.zeros(1, 3), [0, 1], "1 rows, 2 labels"),
        ("top1", torch.zeros(1, 3), [3], "label 3 is not a class of the output, which has 3: 0 to 2"),
        ("top1", torch.zeros(1, 3), [0.5], "has a fraction"),
        ("f1_macro", torch.zeros(1, 3), [-1], "all are below zero"),
        ("miou", torch.zeros(1, 3), [0], "classes in dimension 1"),
        ("miou", torch.zeros(1, 3, 2, 2), [0], "4 pixels, 1 labels"),
        ("r2", torch.zeros(1, 3), [1, 1, 1], "all labels are equal"),
        ("r2", torch.zeros(1, 3), [1], "3 values, 1 labels"),
    ],
)
def test_labels_that_do_not_fit_a_metric_are_refused(name: str, outputs: Any, label: Any, message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        value(name, [outputs], [label])


def test_wrong_metrics_are_refused() -> None:
    with pytest.raises(PreparationError, match="unknown metric 'map'") as refused:
        metrics_of("map", True, "test")
    assert "f1_macro" in refused.value.hint
    with pytest.raises(PreparationError, match="not different"):
        metrics_of(["top1", "accuracy"], True, "test")
    with pytest.raises(PreparationError, match="not a function"):
        metrics_of(3, True, "test")
    with pytest.raises(PreparationError, match="a metric but no labels"):
        metrics_of("top1", None, "test")
    with pytest.raises(PreparationError, match="returned 'nan'"):
        value(lambda _outputs, _labels: float("nan"), [], [])


def test_state_is_restored_after_calls() -> None:
    module, example = zoo.state()
    with unchanged(module):
        changed = module(example)
    assert torch.equal(module.get_buffer("mean"), torch.ones(4))
    assert torch.equal(module(example), changed)


def test_dtype_of_the_weights_is_recorded() -> None:
    assert weights_dtype(zoo.bfloat16()[0]) == "bf16"
    assert weights_dtype(zoo.unet()[0]) == weights_dtype(nn.ReLU()) == ""


def test_arguments_of_a_bundle_call_the_module(workshop: Workshop) -> None:
    result = workshop.bundle(f"{ZOO}:keywords")
    bundle = Bundle.open(Path(result.path), f"{ZOO}:keywords")
    module = bundle.eager()
    for arguments, reference in zip(bundle.arguments(), bundle.reference(), strict=True):
        assert torch.equal(module(*arguments.args, **arguments.kwargs), reference[0])
    assert arguments.kwargs["scale"] == 0.25 and arguments.kwargs["doubled"] is True
    assert result.inputs.names == ["0", "second"]


def test_changed_tolerance_or_constant_gives_another_bundle(workshop: Workshop, tmp_path: Path) -> None:
    made = "etui.Model(torch.nn.Linear(2, 2), torch.ones(1, 2), tolerance={})"
    source = f"import etui, torch\ndef make():\n    return {made}\n"
    keys = set()
    for limits in ("{'sqnr_db_min': 3}", "{'sqnr_db_min': 4}"):
        (tmp_path / "mine.py").write_text(source.replace("{}", limits))
        keys.add(workshop.bundle(f"{tmp_path / 'mine.py'}:make").key)
    assert len(keys) == 2


@pytest.mark.slow
def test_metric_and_tolerance_of_a_labelled_model_are_used(workshop: Workshop) -> None:
    accuracy = judged(workshop, "labelled", "int8")
    assert accuracy.verdict == "PASS"
    assert accuracy.tolerance is not None and accuracy.tolerance.sqnr_db_min == 10.0
    assert "labelled" in accuracy.tolerance.source
    assert accuracy.task is not None
    assert (accuracy.task.name, accuracy.task.eager, accuracy.task.program, accuracy.task.count) == (
        "top1",
        1.0,
        1.0,
        3,
    )


@pytest.mark.slow
def test_metric_function_gets_the_structure_that_the_module_returns(workshop: Workshop) -> None:
    accuracy = judged(workshop, "judged")
    assert accuracy.task is not None and accuracy.task.name == "spread"
    assert accuracy.task.program == pytest.approx(accuracy.task.eager, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-static"])
def test_program_begins_with_the_state_of_the_module(workshop: Workshop, precision: str) -> None:
    assert judged(workshop, "state", precision).verdict == "PASS"


@pytest.mark.slow
def test_program_of_a_bf16_model_is_judged_as_bf16(workshop: Workshop) -> None:
    accuracy = judged(workshop, "bfloat16")
    assert accuracy.verdict == "PASS" and accuracy.end_to_end.against.startswith("BF16")
    with pytest.raises(PreparationError, match="bf16 weights"):
        judged(workshop, "bfloat16", "int8")


class Flags(nn.Module):
    """Takes None, numbers and a flag between its tensors.

    The first argument is a tensor, since ExecuTorch cannot lower a program whose first input is None.
    """

    def forward(
        self, first: torch.Tensor, absent: Any, count: int, factor: float, second: torch.Tensor, flag: bool
    ) -> Any:
        result = first * factor + second * count
        return (-result if flag else result), None, count


def test_finished_program_with_none_and_numbers_is_run(workshop: Workshop, tmp_path: Path) -> None:
    from executorch.exir import to_edge_transform_and_lower

    example = (torch.ones(2), None, 3, 0.5, torch.ones(2), True)
    program = to_edge_transform_and_lower(torch.export.export(Flags(), example)).to_executorch()
    path = tmp_path / "flags.pte"
    path.write_bytes(program.buffer)
    result = workshop.bundle(str(path))
    inputs = Bundle.open(Path(result.path), str(path)).inputs()
    assert [len(tensors) for tensors in inputs] == [2, 2, 2]
    loaded = LoadedProgram(path, delegate="as-is")
    for first, second in inputs:
        (output,) = flat_outputs(loaded(loaded.fit((first, second))))
        assert torch.allclose(output, -(first * 0.5 + second * 3))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"other": {0: Dim("n", max=8)}}, "names no argument 'other'"),
        ({"input": {5: Dim("n", max=8)}}, "dimension 5 of 2"),
        ({"input": {0: Dim("n")}}, "without an upper bound"),
        ({"input": {0: Dim.AUTO}}, "without an upper bound"),
        ({"input": {0: Dim("n", max=2)}}, "the example has 3"),
        (({}, {}), "2 parts for 1 arguments"),
        ([3], "is a int"),
    ],
)
def test_dynamic_shapes_that_do_not_fit_are_refused(declared: Any, message: str) -> None:
    tensors, structure = flat_call(torch.ones(3, 4), "test")
    with pytest.raises(PreparationError, match=message):
        declared_dims(declared, nn.Linear(4, 2), structure, tensors, "test")


def test_dynamic_shapes_of_nested_arguments() -> None:
    module, example = zoo.dict_input()
    tensors, structure = flat_call(example, "test")
    many = Dim("many", min=1, max=8)
    declared = {"batch": {"nested": {"right": [{0: many}]}, "left": (many, None)}}
    found = declared_dims(declared, module, structure, tensors, "test")
    assert found is not None
    assert [[dim and (dim.name, dim.least, dim.most) for dim in tensor] for tensor in found] == [
        [("many", 1, 8), None], [("many", 1, 8), None],
    ]  # fmt: skip
    assert declared_dims({"batch": None}, module, structure, tensors, "test") is None


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_program_takes_the_declared_range_of_shapes(workshop: Workshop, tmp_path: Path, precision: str) -> None:
    made = "etui.Model(torch.nn.Linear(8, 2), torch.randn(3, 8), dynamic_shapes={'input': {0: Dim('n', min=1, max=6)}})"
    source = f"import etui, torch\nfrom torch.export import Dim\ndef make():\n    return {made}\n"
    (tmp_path / "mine.py").write_text(source)
    model = f"{tmp_path / 'mine.py'}:make"
    result = workshop.bundle(model)
    assert result.inputs.dynamic == ["0[0]: 1 to 6"]
    program = LoadedProgram(Path(workshop.lower(model, result, precision).path), delegate="xnnpack")
    for count in (1, 3, 6):
        (output,) = flat_outputs(program(program.fit((torch.ones(count, 8),))))
        assert output.shape == (count, 2)
