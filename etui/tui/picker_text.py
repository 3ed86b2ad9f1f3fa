"""The picker's texts: about a field, an item, the configurations, and the number of programs."""

from __future__ import annotations

from etui.services.request import FieldName
from etui.spec import DEFAULT_TIMEOUT_S, PRESETS
from etui.text import counted
from etui.tui.picker_form import Checked, FormValues
from etui.tui.widgets.multi_select import Item

BASIS = {"similar": "from similar runs", "size": "by model size", "both": "partly by size"}
"""What an estimate is based on."""

_HINTS: dict[FieldName, str] = {
    "weights": "auto: pretrained if available, else synthetic. Or a path: a Hugging Face folder, a safetensors file"
    " or a state dict.",
    "repeat": "Total timed inferences per variant, spread over the blocks. Empty: as many as fit the preset's seconds.",
    "warmup": "Warm-up inferences in each block. Empty: until the latency is stable.",
    "threads": "Threads, for eager and ExecuTorch. Empty: all cores.",
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


def about_configuration(checked: Checked) -> str:
    """Return a skipped configuration with the reason; else the model's title."""
    if checked.refused and checked.variants:
        first, reason = next(iter(checked.refused.items()))
        return f"{first.label} is skipped: {reason}"
    return checked.model.title if checked.model is not None else ""


def programs(checked: Checked) -> str:
    """Return the number of programs, or of invalid fields."""
    invalid = len(checked.problems)
    if invalid:
        return f"{counted(invalid, 'field')} to fix"
    skipped = len(checked.refused)
    count = counted(len(checked.variants), "program")
    return f"{count}, {skipped} skipped" if skipped else count
