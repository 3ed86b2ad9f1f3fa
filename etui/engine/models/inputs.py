"""Generate the evaluation and calibration inputs of a model: real photos and sentences if available."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from etui.catalog.models import ImageRecipe, ModelEntry, TextRecipe
from etui.engine.explain.error_text import first_line
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.engine.models.data_folder import Target, mean_and_std, read_folder, read_images, resampling
from etui.engine.models.data_labels import FolderLabels
from etui.engine.models.diffusion_models import step_inputs
from etui.engine.models.input_shapes import batch_count, changed_to, joined
from etui.engine.models.input_variations import Way, to_text, vary, ways
from etui.engine.models.sample_sentences import sentence
from etui.engine.models.user_inputs import NO_LABEL, Example, Examples, content
from etui.engine.runtime.pte_check import NAMED, runnable_method
from etui.errors import PreparationError
from etui.files.package_data import sample_photos
from etui.results import InputsInfo
from etui.spec import OWN_SHAPE, InputSize, Shape, shape_text

INPUTS_VERSION = 2
"""Increase it when the same recipe gives other inputs than before."""

_SMALLEST_CROP = 0.35
_EDGES = {"china.jpg": 0.32, "flower.jpg": 0.475}
"""The position at which a photo is divided, as a share of its width: through its subject, so that both parts show
it."""

_TRIES = 20
_OTHER_BATCH = "the batch size was changed; give a factory a parameter batch"

_STREAMS = {"accuracy": 0, "calibration": 1, "settling": 2}
"""The purposes of inputs. Calibration and settling (estimating BatchNorm statistics of synthetic weights) share no
content with accuracy: they use other regions of the photos, other sentences and other random draws."""


class InputSet(NamedTuple):
    """Accuracy inputs, calibration inputs (with other content), and their description. ``structure`` is that of the
    call (None: positional tensors), ``labels`` has those of the accuracy inputs, if they have labels; ``files`` what
    the files of a folder say about labels of theirs."""

    accuracy: list[Inputs]
    calibration: list[Inputs]
    info: InputsInfo
    structure: CallStructure | None = None
    labels: list[object] | None = None
    files: FolderLabels | None = None

    def structured(self, structure: CallStructure) -> InputSet:
        """Return the inputs of a call with this structure, described with its names."""
        if structure.is_plain:
            return self
        return self._replace(structure=structure, info=msgspec.structs.replace(self.info, names=structure.names()))


def catalog_inputs(
    entry: ModelEntry,
    accuracy: int,
    calibration: int,
    seed: int,
    tokenizer_folder: Path | None,
    shape: Shape = OWN_SHAPE,
) -> InputSet:
    """Generate inputs for a catalog model at the requested shape; by default one item of the model's own size.

    ``tokenizer_folder`` is a Hugging Face folder with a tokenizer; without it a text model gets seeded random tokens.
    """
    tokenizer = _load_tokenizer(tokenizer_folder) if entry.text is not None else None
    text = entry.text
    if text is not None and shape.sequence is not None:
        text = msgspec.structs.replace(text, length=shape.sequence)
    size = shape.input_size or ((entry.image.size, entry.image.size) if entry.image is not None else (0, 0))
    sets: dict[str, list[Inputs]] = {}
    for stream, count in (("accuracy", accuracy), ("calibration", calibration)):
        columns: list[list[Inputs]] = []
        count = batch_count(count, shape.batch) * (shape.batch or 1)
        if text is not None:
            columns.append(_texts(text, count, seed, stream, tokenizer))
        if entry.diffusion is not None:
            columns.append(step_inputs(entry.diffusion, count, _generator(seed, stream)))
        if entry.image is not None:
            columns.append([(photo,) for photo in photos(entry.image, count, seed, stream, size)])
        items = [tuple(tensor for part in parts for tensor in part) for parts in zip(*columns, strict=True)]
        sets[stream] = joined(items, shape.batch)
    kinds: list[str] = []
    details: list[str] = []
    splits: list[str] = []
    if entry.image is not None:
        kinds.append("photos")
        details.append(f"seeded crops of two photos, {size[0]}x{size[1]}")
        splits.append("evaluation uses crops of the left parts of the photos, calibration of the right parts")
    if text is not None:
        kinds.append("sentences" if tokenizer is not None else "tokens")
        source = "sentences with the model's tokenizer" if tokenizer is not None else "seeded random tokens"
        details.append(f"{source}, length {text.length}")
        splits.append(
            "calibration uses other sentences" if tokenizer is not None else "calibration uses other random tokens"
        )
    if entry.diffusion is not None:
        kinds.append("random")
        step = entry.diffusion
        details.append(
            f"seeded normal latents {step.latent_channels}x{step.latent_size}x{step.latent_size} and text embeddings"
            f" {step.text_length}x{step.text_width}, time steps from 0 to {step.train_steps - 1}"
        )
        splits.append("calibration uses other random values")
    if shape.batch is not None:
        details.append(f"batches of {shape.batch}")
    info = _info(" and ".join(kinds), "; ".join(details), "; ".join(splits), sets["accuracy"], sets["calibration"])
    return InputSet(sets["accuracy"], sets["calibration"], info)


def example_inputs(
    examples: Examples,
    accuracy: int,
    calibration: int,
    seed: int,
    accepts: Callable[[Inputs, CallStructure], bool] | None = None,
) -> InputSet:
    """Generate inputs from the examples of a user's model.

    Several examples (or those of a function) are split: the first for accuracy, the others for calibration. A single
    example is for accuracy, and both sets are filled with seeded variations of it. ``accepts`` returns whether the
    model runs on an input: if it rejects drawn integers, integers are kept.

    Raises:
        PreparationError: see ``Examples.take``.
    """
    given = examples.take(accuracy + calibration, seed)
    structure = given[0].structure
    if len(given) > 1:
        return _split(given, accuracy, calibration, examples.kind).structured(structure)
    if given[0].label is not NO_LABEL:
        raise PreparationError(
            f"{examples.source} has labels, but only one distinct example", "give several labelled examples"
        )
    example = given[0].tensors
    input_set = _variations(example, ways(example), accuracy, calibration, seed)
    drawn = any(way == "draw" for way in ways(example))
    if drawn and accepts is not None:
        made = [tensors for inputs in input_set[:2] for tensors in inputs]
        if not all(accepts(tensors, structure) for tensors in made):
            input_set = _variations(example, ways(example, integers=False), accuracy, calibration, seed)
    return input_set.structured(structure)


def at_shape(inputs: InputSet, shape: Shape, source: str) -> InputSet:
    """Return the inputs of a user's model changed to a shape, described as such; see ``changed_to``. The items of a
    changed batch have no labels."""
    if shape == OWN_SHAPE:
        return inputs
    accuracy = changed_to(shape, inputs.accuracy, source)[: batch_count(len(inputs.accuracy), shape.batch)]
    calibration = inputs.calibration and changed_to(shape, inputs.calibration, source)
    calibration = calibration[: batch_count(len(calibration), shape.batch)]
    info = inputs.info
    calibration, split = _separate(accuracy, calibration, info.split)
    detail = f"{info.detail}; changed to {shape_text(shape)}"
    changed = inputs._replace(
        accuracy=accuracy,
        calibration=calibration,
        info=_info(info.kind, detail, split, accuracy, calibration),
        labels=inputs.labels if shape.batch is None else None,
        files=inputs.files if shape.batch is None or inputs.files is None else inputs.files.dropped(_OTHER_BATCH),
    )
    return changed if inputs.structure is None else changed.structured(inputs.structure)


def _separate(accuracy: list[Inputs], calibration: list[Inputs], split: str) -> tuple[list[Inputs], str]:
    """Return the calibration inputs without those that became equal to an evaluation input, such as texts of which only
    the common beginning is left, and how the two differ."""
    evaluated = {content(one) for one in accuracy}
    others = [one for one in calibration if content(one) not in evaluated]
    if len(others) == len(calibration) or split.startswith("none:"):
        return calibration, split
    if others:
        return others, f"{split}; inputs that are equal at this shape are only for evaluation"
    return calibration, "none: calibration and evaluation inputs are equal at this shape"


def _split(examples: list[Example], accuracy: int, calibration: int, kind: str) -> InputSet:
    """Use each of the user's examples for accuracy or for calibration, in the requested proportion."""
    first = _evaluated(len(examples), accuracy, calibration)
    evaluation = [example.tensors for example in examples[:first]]
    calibrating = [example.tensors for example in examples[first : first + calibration]]
    split = f"{len(evaluation)} of your examples for evaluation, {len(calibrating)} for calibration, none for both"
    labels = [example.label for example in examples[:first]]
    info = _info("examples", kind, split, evaluation, calibrating)
    return InputSet(
        evaluation, calibrating, info, labels=None if any(label is NO_LABEL for label in labels) else labels
    )


def _evaluated(count: int, accuracy: int, calibration: int) -> int:
    """Return how many of ``count`` inputs are for evaluation, in the requested proportion; with calibration at least
    one is left for it."""
    first = min(accuracy, max(1, round(count * accuracy / (accuracy + calibration))))
    return min(first, count - 1) if calibration else first


def data_inputs(folder: Path, target: Target, accuracy: int, calibration: int, seed: int) -> InputSet:
    """Make a model's inputs from a seeded sample of the files in a folder, and divide them.

    Raises:
        PreparationError: see ``read_folder``.
    """
    found = read_folder(folder, target, accuracy + calibration, seed)
    first = _evaluated(len(found.inputs), accuracy, calibration)
    evaluation, calibrating = found.inputs[:first], found.inputs[first : first + calibration]
    split = f"{len(evaluation)} of your inputs for evaluation, {len(calibrating)} for calibration, none for both"
    info = _info("data", found.detail, split, evaluation, calibrating)
    labels = found.labels._replace(values=found.labels.values[:first])
    return InputSet(evaluation, calibrating, info, files=labels).structured(target.structure)


def split_inputs(
    folder: Path, evaluated: Sequence[str], calibrating: Sequence[str], names: tuple[str, str], target: Target,
    accuracy: int, calibration: int, seed: int,
) -> InputSet:  # fmt: skip
    """Make a model's inputs from a seeded sample of labelled images: the evaluation inputs from those of the evaluated
    split, the calibration inputs from those of another one; ``names`` are those of both splits.

    Raises:
        PreparationError: see ``read_images``.
    """
    inputs = read_images(folder, evaluated, target, accuracy, seed)
    known = {content(one) for one in inputs}
    # One more for each evaluation input: the splits may have images in common.
    others = read_images(folder, calibrating, target, calibration + len(inputs), seed) if calibrating else []
    chosen = [one for one in others if content(one) not in known][:calibration]
    counted_images = f"{len(inputs)} images of the split {names[0]}"
    detail = f"{counted_images} of {folder}"
    split = f"evaluation uses {counted_images}, calibration "
    split += f"{len(chosen)} of the split {names[1]}" if chosen else "has none: there is no other split for training"
    info = _info("data", detail, split, inputs, chosen)
    return InputSet(inputs, chosen, info, files=FolderLabels()).structured(target.structure)


def catalog_target(entry: ModelEntry, tokenizer_folder: Path | None, seed: int, shape: Shape = OWN_SHAPE) -> Target:
    """Return what files become as inputs of a catalog model: single items of a shape."""
    single = msgspec.structs.replace(shape, batch=None)
    example = catalog_inputs(entry, 1, 0, seed, tokenizer_folder, single).accuracy[0]
    tokenizer = _load_tokenizer(tokenizer_folder) if entry.text is not None else None
    tokenize = None
    if tokenizer is not None and entry.text is not None and entry.text.count == 1 and entry.image is None:
        recipe = msgspec.structs.replace(entry.text, length=shape.sequence or entry.text.length)

        def tokenize(text: str) -> Inputs:
            ids, mask = _encoded(recipe, text, tokenizer)
            return (ids.unsqueeze(0), mask.unsqueeze(0)) if recipe.mask else (ids.unsqueeze(0),)

    texts = () if entry.text is None else ("input_ids", "attention_mask") if entry.text.mask else ("input_ids",)
    names = (*texts, *(() if entry.image is None else ("pixel_values",)))
    if entry.diffusion is not None:
        names = ("sample", "timestep", "encoder_hidden_states")
    return Target(
        example, plain_structure(len(example)), entry.name, image=entry.image, resize=entry.resize,
        tokenize=tokenize, names=names,
    )  # fmt: skip


def _variations(example: Inputs, chosen: Sequence[Way], accuracy: int, calibration: int, seed: int) -> InputSet:
    taken = {content(example)}
    first = [example, *_others(example, chosen, accuracy - 1, _generator(seed, "accuracy"), taken)]
    second = _others(example, chosen, calibration, _generator(seed, "calibration"), taken)
    if calibration and not second and len(first) > 1:
        half = len(first) - len(first) // 2  # so few variations exist that the evaluation has all of them
        first, second = first[:half], first[half:]
    detail = f"the example, then seeded variations of it ({to_text(example, chosen)})"
    if len(first) == 1 and not second:
        detail = "only the example, which cannot be varied"
    if second:
        split = (
            "calibration uses other variations of the example, and the example itself is only for evaluation; because "
            "they are similar, errors may be smaller than on unrelated inputs"
        )
    else:
        second = [example] * min(1, calibration)
        split = "none: calibration and evaluation both use the example, which cannot be varied" if second else ""
    return InputSet(first, second, _info("example", detail, split, first, second))


def _others(
    example: Inputs, chosen: Sequence[Way], count: int, generator: torch.Generator, taken: set[bytes]
) -> list[Inputs]:
    """Return up to ``count`` variations that are not ``taken``, and add them to it; fewer if few exist."""
    variations: list[Inputs] = []
    for _ in range(count * _TRIES):
        variation = vary(example, chosen, generator)
        if content(variation) not in taken:
            taken.add(content(variation))
            variations.append(variation)
        if len(variations) == count or all(way == "keep" for way in chosen):
            break
    return variations


def program_file_inputs(path: Path, accuracy: int, seed: int, method_name: str | None = None) -> InputSet:
    """Generate seeded random inputs with the shapes and dtypes of a finished program's method; see ``runnable_method``
    for which.

    Raises:
        PreparationError: the file is not a program, cannot be run here, or has inputs that are not tensors.
    """
    method = runnable_method(path, method_name)
    generator = _generator(seed, "accuracy")
    inputs = [
        tuple(
            _random(signature.shape or [], NAMED[signature.dtype], generator)
            for signature in method.inputs
            if signature.index not in method.fixed
        )
        for _ in range(accuracy)
    ]
    return InputSet(inputs, [], _info("random", "seeded random values in the program's shapes", "", inputs, []))


def photos(
    recipe: ImageRecipe, count: int, seed: int, stream: str, size: InputSize | None = None
) -> list[torch.Tensor]:
    """Return ``count`` normalized tensors of shape (1, 3, height, width), by default squares of the recipe's size:
    seeded crops of scikit-learn's two photos.

    The stream ``accuracy`` uses the left parts, other streams the right parts (half of the crops mirrored), so that
    they share no pixels.

    Raises:
        PreparationError: the photos are missing.
    """
    import numpy
    from PIL import Image

    generator = _generator(seed, stream)
    paths = sample_photos()
    pictures = [_region(Image.open(path).convert("RGB"), path.name, left=stream == "accuracy") for path in paths]
    mean, std = mean_and_std(recipe)
    height, width = size or (recipe.size, recipe.size)
    crops = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        share, across, down = torch.rand(3, generator=generator).tolist()
        side = int(min(picture.size) * (_SMALLEST_CROP + (1 - _SMALLEST_CROP) * share))
        across_side, down_side = (side * part // max(height, width) for part in (width, height))
        left, top = int((picture.width - across_side) * across), int((picture.height - down_side) * down)
        box = (left, top, left + across_side, top + down_side)
        crop = picture.resize((width, height), resampling(recipe), box=box)
        if stream != "accuracy" and index // len(pictures) % 2 == 0:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(numpy.array(crop)).permute(2, 0, 1).float() / 255
        crops.append(((pixels - mean) / std).unsqueeze(0).contiguous())
    return crops


def _region(picture: Any, name: str, *, left: bool) -> Any:
    """Return one part of a photo as a separate picture, since resizing a region of the whole photo would also use
    pixels around the region."""
    edge = round(picture.width * _EDGES.get(name, 0.5))
    return picture.crop((0, 0, edge, picture.height) if left else (edge, 0, picture.width, picture.height))


def _texts(recipe: TextRecipe, count: int, seed: int, stream: str, tokenizer: Any) -> list[Inputs]:
    generator = _generator(seed, stream)
    inputs: list[Inputs] = []
    for index in range(count):
        rows = []
        for row in range(recipe.count):
            if tokenizer is not None:
                rows.append(_tokenized(recipe, index * recipe.count + row, tokenizer, stream))
            else:
                rows.append(_seeded_tokens(recipe, generator))
        ids = torch.stack([ids for ids, _ in rows])
        mask = torch.stack([mask for _, mask in rows])
        inputs.append((ids, mask) if recipe.mask else (ids,))
    return inputs


def _tokenized(recipe: TextRecipe, index: int, tokenizer: Any, stream: str) -> Inputs:
    calibration = stream != "accuracy"
    text = sentence(index, calibration=calibration)
    following = index
    while recipe.fill and len(tokenizer(text)["input_ids"]) < recipe.length:
        following += 1
        text += f" {sentence(following, calibration=calibration)}"
    return _encoded(recipe, text, tokenizer)


def _encoded(recipe: TextRecipe, text: str, tokenizer: Any) -> Inputs:
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    encoded = tokenizer(text, padding="max_length", truncation=True, max_length=recipe.length)
    return torch.tensor(encoded["input_ids"]), torch.tensor(encoded["attention_mask"])


def _seeded_tokens(recipe: TextRecipe, generator: torch.Generator) -> Inputs:
    real = recipe.length
    if not recipe.fill:
        real = int(torch.randint(recipe.length // 4, recipe.length + 1, (), generator=generator))
    top = min(x for x in (recipe.start, recipe.end, recipe.vocabulary) if x is not None and x > recipe.vocabulary // 2)
    bottom = max([0, *(x + 1 for x in (recipe.start, recipe.end) if x is not None and x < recipe.vocabulary // 2)])
    ids = torch.full((recipe.length,), recipe.padding)
    ids[:real] = torch.randint(bottom, top, (real,), generator=generator)
    if recipe.start is not None:
        ids[0] = recipe.start
    if recipe.end is not None:
        ids[real - 1] = recipe.end
    mask = torch.zeros(recipe.length, dtype=torch.long)
    mask[:real] = 1
    return ids, mask


def _load_tokenizer(folder: Path | None) -> Any:
    if folder is None or not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        return None
    from etui.engine.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise PreparationError(
            f"cannot read the tokenizer in {folder}: {first_line(error)}", "check the folder"
        ) from error


def _random(shape: list[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    # Only 0 and 1 are certainly valid as an index, a token or a mask.
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def _generator(seed: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed * len(_STREAMS) + _STREAMS[stream])


def _info(kind: str, detail: str, split: str, accuracy: Sequence[Inputs], calibration: Sequence[Inputs]) -> InputsInfo:
    evaluated, calibrated = ([content(inputs) for inputs in part] for part in (accuracy, calibration))
    return InputsInfo(
        kind=kind,
        detail=detail,
        shapes=[list(tensor.shape) for tensor in accuracy[0]],
        dtypes=[str(tensor.dtype).removeprefix("torch.") for tensor in accuracy[0]],
        accuracy_count=len(accuracy),
        calibration_count=len(calibration),
        sha256=_hash([*evaluated, *calibrated]),
        split=split,
        accuracy_sha256=_hash(evaluated),
        calibration_sha256=_hash(calibrated) if calibrated else None,
    )


def _hash(contents: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()
