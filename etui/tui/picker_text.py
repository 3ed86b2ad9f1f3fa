"""The picker's texts: about a field, an item, the configurations, and the number of programs."""

from __future__ import annotations

from etui.formats.toml_text import value_text
from etui.services.request import FieldName
from etui.services.time_estimate import by_program
from etui.spec import (
    DEFAULT_ACCURACY_INPUTS,
    DEFAULT_CALIBRATION_COUNT,
    DEFAULT_TIMEOUT_S,
    PRESETS,
    SPLIT_CALIBRATION_COUNT,
)
from etui.text import counted
from etui.tui.picker_form import Checked, FormValues
from etui.tui.widgets.multi_select import Item

BASIS = {"similar": "from similar runs", "size": "by model size", "both": "partly by size"}
"""What an estimate is based on."""

SHORT_BASIS = {"similar": "similar runs", "size": "by model size", "both": "partly by size"}
"""The same where there is less room."""

UNKNOWN_TIME = "time unknown before its first run"
"""Instead of an estimate, if the size of the model is not known and not all configurations have a similar run."""

SHORT_UNKNOWN_TIME = "time unknown"
"""The same where there is less room."""

READING_TIMM = "reading the models of the installed timm"
"""The state of the model's field until timm's models are listed."""

_HINTS: dict[FieldName, str] = {
    "weights": "auto: pretrained if available, else synthetic. Or a path: a Hugging Face folder, a safetensors file"
    " or a state dict.",
    "keep_fp32": "Modules to keep in FP32, with their submodules, separated by commas: conv1,layer4.1. For quantized"
    " precisions.",
    "calibration": "Number of calibration inputs, which static quantization looks at. Empty:"
    f" {DEFAULT_CALIBRATION_COUNT}; {SPLIT_CALIBRATION_COUNT} with data that has splits.",
    "inputs": f"Number of evaluation inputs, on which accuracy is compared. Empty: {DEFAULT_ACCURACY_INPUTS}.",
    "data": "Folder with the calibration and evaluation inputs: images, .npz, .safetensors or JSON lines."
    " Empty: inputs made for the model.",
    "seed": "Seed for synthetic weights, inputs and the order of blocks. Empty: 0.",
    "repeat": "Total timed inferences per variant, spread over the blocks. Empty: as many as fit the preset's seconds.",
    "warmup": "Warm-up inferences in each block. Empty: until the latency is stable.",
    "threads": "Threads of eager and ExecuTorch, separated by commas: 1,2. Each of several is a variant. Empty: all"
    " cores.",
    "input_size": "Sizes of the images in pixels, separated by commas: 128,224 or 160x320 (height x width). Each is a"
    " variant.",
    "sequence": "Lengths of the texts in tokens, separated by commas: 16,64,128. Each is a variant.",
    "batch": "Numbers of items in one inference, separated by commas: 1,4. Each is a variant.",
    "dynamic": "yes: also measure, at each shape, one program that is lowered for the range of the shapes.",
    "priority": "Place in the queue: before the waiting sessions of lower priority. What runs is not interrupted.",
    "timeout": f"Time limit of the session, in seconds. Empty: {DEFAULT_TIMEOUT_S:.0f}.",
}


def about_item(item: Item) -> str:
    """Return what an item is, or why it is not available."""
    return f"{item.name}: {item.about}" if item.reason is None else f"{item.name} is not available: {item.reason}"


def about_field(field: FieldName | None, values: FormValues) -> str:
    """Return what a field takes; empty if it needs no explanation."""
    if field == "preset":
        return PRESETS[values.preset].about if values.preset in PRESETS else ""
    return _HINTS.get(field, "") if field else ""


def about_others(values: FormValues) -> str:
    """Return the options of a session file that the picker has no field for; empty if there are none."""
    shown = ", ".join(f"{key} = {value_text(value)}" for key, value in values.others.items())
    return f"From the saved configuration: {shown}." if shown else ""


def about_configuration(checked: Checked) -> str:
    """Return a skipped configuration with the reason; else the model's title."""
    if checked.refused and checked.variants:
        first, reason = next(iter(checked.refused.items()))
        return f"{first.label} is skipped: {reason}"
    return checked.model.title if checked.model is not None else ""


def programs(checked: Checked) -> str:
    """Return the number of programs, with the number of runs if some have the same program; or the number of invalid
    fields."""
    invalid = len(checked.problems)
    if invalid:
        return f"{counted(invalid, 'field')} to fix"
    skipped = len(checked.refused)
    variants = checked.variants if checked.spec is None else checked.spec.variants
    different = len(by_program(variants))
    count = counted(different, "program")
    runs = counted(len(variants), "run") if different != len(variants) else ""
    return ", ".join(filter(None, (count, runs, f"{skipped} skipped" if skipped else "")))
