"""Inputs: varied within the valid range shown by the example, and none shared by evaluation and calibration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from PIL import Image

from etui.catalog.models import MODELS, TextRecipe
from etui.engine.measure.accuracy import run_accuracy
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import CallStructure, Inputs
from etui.engine.models.inputs import InputSet, catalog_inputs, example_inputs, photos
from etui.engine.models.sample_sentences import CALIBRATION, EVALUATION, sentence
from etui.engine.models.user_inputs import Examples, content
from etui.errors import PreparationError
from etui.jobs import AccuracyJob
from tests.engine.conftest import TINY, Workshop
from tests.facts import lacking

TOKENS = torch.randint(3, 100, (2, 12), generator=torch.Generator().manual_seed(0))
FLOATS = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)) + 2.0
ONES = torch.ones(2, 12, dtype=torch.long)
POSITIONS = torch.arange(12).expand(2, 12).contiguous()
ADDITIVE = torch.tensor([[0.0, 0.0, float("-inf")], [0.0, float("-inf"), float("-inf")]])


def inputs_of(*example: torch.Tensor, accuracy: int = 8, calibration: int = 8, seed: int = 0) -> InputSet:
    return example_inputs(Examples.of(example, "test"), accuracy, calibration, seed)


def whole(made: InputSet) -> list[Inputs]:
    return [*made.accuracy, *made.calibration]


@pytest.mark.parametrize(
    "example",
    [
        TOKENS,
        torch.arange(8).unsqueeze(0),
        torch.zeros(1, 8, dtype=torch.long),
        torch.randint(0, 256, (3, 8), dtype=torch.uint8),
        FLOATS,
        torch.ones(1, 4),
        torch.zeros(1, 4),
        torch.tensor([[True, False, True, True, False]]),
        ADDITIVE,
    ],
    ids=["tokens", "ordered", "zeros", "bytes", "floats", "ones", "float zeros", "booleans", "a mask"],
)
def test_inputs_varied_from_one_example_all_differ(example: torch.Tensor) -> None:
    made = inputs_of(example, accuracy=4, calibration=3)
    assert torch.equal(made.accuracy[0][0], example)
    assert len({content(one) for one in whole(made)}) == 7 or example is ADDITIVE
    assert not {content(one) for one in made.accuracy} & {content(one) for one in made.calibration}
    for (one,) in whole(made):
        assert (one.shape, one.dtype) == (example.shape, example.dtype)
        assert torch.equal(one.isinf(), example.isinf()) if example.is_floating_point() else True
    assert made.info.split
    again = inputs_of(example, accuracy=4, calibration=3)
    assert [content(one) for one in whole(again)] == [content(one) for one in whole(made)]
    assert inputs_of(example, accuracy=4, calibration=3, seed=1).info.sha256 != made.info.sha256


@pytest.mark.parametrize("example", [TOKENS, FLOATS], ids=["integers", "floats"])
def test_values_stay_within_the_range_of_the_example(example: torch.Tensor) -> None:
    for (one,) in whole(inputs_of(example)):
        assert int(example.min()) <= float(one.min()) and float(one.max()) <= float(example.max())


@pytest.mark.parametrize(
    "constant",
    [
        ONES,
        POSITIONS,
        ADDITIVE,
        torch.tensor([[1, 1, 0, 0]]),
        torch.full((2, 3), 0.5),
        torch.tensor([[0.0, torch.finfo(torch.float32).min, 0.0]]),
        torch.tensor([True, False]),
        torch.tensor(12),
    ],
    ids=["ones", "positions", "infinities", "a mask", "a constant", "the lowest number", "booleans", "a length"],
)
@pytest.mark.parametrize("data", [TOKENS, FLOATS], ids=["tokens", "floats"])
def test_masks_constants_and_positions_are_not_varied(constant: torch.Tensor, data: torch.Tensor) -> None:
    made = inputs_of(constant, data)
    assert all(torch.equal(one[0], constant) for one in whole(made))
    assert len({content(one) for one in whole(made)}) == 16
    assert "input 1 of 2" in made.info.detail


def test_finite_values_next_to_infinities_vary_and_stay_finite() -> None:
    example = torch.randn(4, 8)
    example[1, 2:5] = float("-inf")
    for (one,) in whole(inputs_of(example))[1:]:
        assert torch.equal(one.isinf(), example.isinf()) and not one.isnan().any()
        assert not torch.isclose(one[0], example[0]).any()


def test_edges_of_a_graph_stay_valid() -> None:
    edges = torch.tensor([[0, 1, 4, 2, 3, 0], [1, 0, 2, 4, 0, 3]])
    made = inputs_of(torch.randn(5, 3), edges)
    assert len({content(one[1:]) for one in whole(made)}) > 8
    assert all(int(one[1].min()) >= 0 and int(one[1].max()) <= 4 for one in whole(made))


def test_evaluation_and_calibration_inputs_of_an_example_differ() -> None:
    example = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    made = inputs_of(example)
    for (one,) in made.calibration:
        correlation = float(torch.corrcoef(torch.stack([one.flatten(), made.accuracy[1][0].flatten()]))[0, 1])
        assert correlation < 0.6


def test_integers_are_unchanged_if_the_model_refuses_other_values() -> None:
    columns = torch.tensor([[900, 2, 17, 4]])  # each an index into a separate table

    def accepts(inputs: Inputs, _structure: CallStructure) -> bool:
        return bool((inputs[1] <= columns).all())

    made = example_inputs(Examples.of((FLOATS, columns), "test"), 4, 4, 0, accepts)
    assert all(torch.equal(one[1], columns) for one in whole(made))
    assert len({content(one) for one in whole(made)}) == 8
    alone = example_inputs(
        Examples.of(columns, "test"), 4, 4, 0, lambda inputs, _structure: bool((inputs[0] <= columns).all())
    )
    assert len(alone.accuracy) == 1 and "cannot be varied" in alone.info.detail
    assert alone.info.split.startswith("none")


def numbered(count: int) -> list[tuple[torch.Tensor, ...]]:
    return [(torch.full((1, 2), float(number)), torch.tensor([number])) for number in range(count)]


@pytest.mark.parametrize(
    ("given", "evaluated", "calibrated"), [(2, 1, 1), (5, 2, 3), (8, 4, 4), (16, 8, 8), (40, 8, 8)]
)
def test_several_examples_are_divided_between_evaluation_and_calibration(
    given: int, evaluated: int, calibrated: int
) -> None:
    made = example_inputs(Examples.of(numbered(given), "test"), 8, 8, 0)
    assert (len(made.accuracy), len(made.calibration)) == (evaluated, calibrated)
    assert [int(one[1]) for one in whole(made)] == list(range(evaluated + calibrated))
    assert (made.info.accuracy_count, made.info.calibration_count) == (evaluated, calibrated)
    assert not lacking(made.info.split, f"{evaluated} ", "evaluation")


def test_duplicate_example_is_used_once() -> None:
    made = example_inputs(Examples.of([*numbered(4), *numbered(4)], "test"), 8, 8, 0)
    assert (len(made.accuracy), len(made.calibration)) == (2, 2)


def test_function_creates_the_requested_number_of_inputs() -> None:
    counts: list[int] = []

    def drawn(count: int) -> Iterator[torch.Tensor]:
        counts.append(count)
        while True:
            yield torch.randn(1, 4)

    examples = Examples.of(drawn, "test")
    assert counts == []
    made, again = (example_inputs(examples, 6, 3, 0) for _ in range(2))
    assert counts == [9, 9]
    assert (len(made.accuracy), len(made.calibration)) == (6, 3)
    assert len({content(one) for one in whole(made)}) == 9
    assert made.info.sha256 == again.info.sha256 != example_inputs(examples, 6, 3, 1).info.sha256


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "no example inputs"),
        ((), "no example inputs"),
        ((torch.zeros(1), {1, 2}), "argument 1"),
        ((None, 3), "no example inputs"),
        ([(torch.zeros(1),), ()], "no example inputs"),
        ([(torch.zeros(1),), (torch.zeros(2),)], "differ in number, shape or dtype"),
        (lambda count: [torch.zeros(count), torch.zeros(1)], "differ in number, shape or dtype"),
        (lambda count: torch.zeros(count), "does not return a list"),
        (lambda count: None, "does not return a list"),
        (lambda count: [], "no example inputs"),
    ],
)
def test_invalid_inputs_are_refused(given: object, message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        Examples.of(given, "test").take(4, 0)


@pytest.mark.parametrize(("last", "hint"), [((3, 5), "drop_last"), ((4, 4), "same number")])
def test_a_smaller_last_batch_is_named_as_one(last: tuple[int, int], hint: str) -> None:
    with pytest.raises(PreparationError) as raised:
        Examples.of([(torch.zeros(4, 5),), (torch.zeros(last),)], "test").take(2, 0)
    assert hint in raised.value.hint


@pytest.mark.slow
def test_evaluation_shares_no_pixel_with_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = MODELS["resnet18"].image
    assert recipe is not None
    ordinary = Image.open
    edges = {"china.jpg": 205, "flower.jpg": 304}

    def divided(path: Path) -> Image.Image:
        picture = Image.new("RGB", ordinary(path).size, (255, 255, 255))
        picture.paste((0, 0, 0), (0, 0, edges[path.name], picture.height))
        return picture

    monkeypatch.setattr(Image, "open", divided)
    for stream, colours in (("accuracy", {0.0}), ("calibration", {1.0}), ("settling", {1.0})):
        for photo in photos(recipe, 40, 0, stream):
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            shown = (photo[0] * std.view(3, 1, 1) + mean.view(3, 1, 1)).round(decimals=4).abs()
            assert set(shown.flatten().tolist()) == colours, stream


def test_evaluation_shares_no_sentence_with_calibration() -> None:
    assert not set(EVALUATION) & set(CALIBRATION)
    assert len({*EVALUATION, *CALIBRATION}) == len(EVALUATION) + len(CALIBRATION)
    # CLIP takes four per inference, eight times for each purpose.
    assert min(len(EVALUATION), len(CALIBRATION)) >= 32
    for index in range(100):
        assert not any(other in sentence(index) for other in CALIBRATION)
        assert not any(other in sentence(index, calibration=True) for other in EVALUATION)
    assert len({sentence(index) for index in range(100)}) == 100


class CharacterTokenizer:
    """A tokenizer that returns the character codes of each sentence."""

    pad_token_id = 0

    def __call__(
        self, text: str, *, padding: str = "", truncation: bool = False, max_length: int = 0
    ) -> dict[str, list[int]]:
        ids = [ord(letter) for letter in text]
        if padding:
            ids = (ids + [0] * max_length)[:max_length]
        return {"input_ids": ids, "attention_mask": [int(one > 0) for one in ids]}


@pytest.mark.parametrize("fill", [False, True])
def test_generated_texts_share_no_sentence_with_calibration(monkeypatch: pytest.MonkeyPatch, fill: bool) -> None:
    monkeypatch.setattr("etui.engine.models.inputs._load_tokenizer", lambda _folder: CharacterTokenizer())
    entry = MODELS["gpt2"]
    text = TextRecipe(length=400, vocabulary=256, mask=False, fill=fill)
    made = catalog_inputs(msgspec.structs.replace(entry, text=text), 8, 8, 0, Path())
    texts = ["".join(map(chr, one[0][0].tolist())) for one in made.accuracy]
    assert not any(other in text for text in texts for other in CALIBRATION)
    texts = ["".join(map(chr, one[0][0].tolist())) for one in made.calibration]
    assert not any(other in text for text in texts for other in EVALUATION)
    assert "calibration" in made.info.split


@pytest.mark.slow
def test_integers_of_a_model_vary_and_a_wrong_program_fails(workshop: Workshop) -> None:
    model = f"{TINY}:indexed"
    result = workshop.bundle(model, accuracy_inputs=4)
    bundle = Bundle.open(Path(result.path), model)
    assert len({content(one) for one in [*bundle.inputs(), *bundle.calibration()]}) == 6
    lowered = workshop.lower(model, result, "fp32")

    def judged() -> str:
        job = AccuracyJob(
            bundle=result.path, model=model, program_dir=str(Path(lowered.path).parent), precision="fp32",
            delegate="xnnpack", arithmetic=None, threads=1, limit_s=60.0, run_id="run",
        )  # fmt: skip
        return run_accuracy(job, print).verdict

    assert judged() == "PASS"
    wrong = workshop.lower(f"{TINY}:other_indexed", workshop.bundle(f"{TINY}:other_indexed"), "fp16")
    Path(lowered.path).write_bytes(Path(wrong.path).read_bytes())
    assert judged() == "FAIL"


def test_integers_of_an_exported_program_vary(workshop: Workshop, tmp_path: Path) -> None:
    ids = torch.randint(0, 50, (1, 6))
    exported = torch.export.export(torch.nn.Embedding(50, 4).eval(), (ids,))
    torch.export.save(exported, tmp_path / "mine.pt2")
    result = workshop.bundle(str(tmp_path / "mine.pt2"))
    bundle = Bundle.open(Path(result.path), str(tmp_path / "mine.pt2"))
    inputs = [*bundle.inputs(), *bundle.calibration()]
    assert torch.equal(inputs[0][0], ids) and len({content(one) for one in inputs}) == 5


@pytest.mark.parametrize("factory", ["several", "made"])
def test_factory_returns_inputs_or_a_function(workshop: Workshop, factory: str) -> None:
    result = workshop.bundle(f"{TINY}:{factory}")
    bundle = Bundle.open(Path(result.path), f"{TINY}:{factory}")
    assert (result.inputs.kind, result.inputs.accuracy_count, result.inputs.calibration_count) == ("examples", 3, 2)
    inputs = [*bundle.inputs(), *bundle.calibration()]
    assert len({content(one) for one in inputs}) == 5
    assert torch.equal(bundle.eager()(*inputs[0]), bundle.reference()[0][0])
