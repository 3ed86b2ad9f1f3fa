"""What the picker says: about a field, an item, the whole choice, and how many programs it comes to."""

from __future__ import annotations

from etui.services.request import FieldName
from etui.spec import DEFAULT_TIMEOUT_S, PRESETS
from etui.text import counted
from etui.tui.picker_form import Checked, Choice
from etui.tui.widgets.multi_select import Item

BASIS = {"past": "as before", "size": "by size", "both": "partly known"}
"""What an estimate rests on."""

_HINTS: dict[FieldName, str] = {
    "weights": "auto: pretrained where they are at hand, else synthetic. A path: a Hugging Face folder, a safetensors"
    " file or a state dict.",
    "repeat": "Timed inferences of each variant in all, dealt over the blocks. Empty: the preset's seconds decide.",
    "warmup": "Warm-up inferences before timing in each block. Empty: until it settles.",
    "threads": "Threads of eager and ExecuTorch alike. Empty: every core.",
    "timeout": f"Seconds the session may take in all. Empty: {DEFAULT_TIMEOUT_S:.0f}.",
}


def about_item(item: Item) -> str:
    """What an item is, or why it cannot be."""
    return f"{item.name}: {item.about}" if item.reason is None else f"{item.name} cannot be: {item.reason}"


def about_field(field: FieldName | None, choice: Choice) -> str:
    """What to write into a field; empty for one that explains itself."""
    if field == "preset":
        return PRESETS[choice.preset].about if choice.preset in PRESETS else ""
    return _HINTS.get(field, "") if field else ""


def about_configuration(checked: Checked) -> str:
    """The combination that is left out, with the reason; else what the model is."""
    if checked.refused and checked.variants:
        first, reason = next(iter(checked.refused.items()))
        return f"{first.label} is left out: {reason}"
    return checked.model.title if checked.model is not None else ""


def programs(checked: Checked) -> str:
    """How many programs a choice comes to, or how many fields are wrong."""
    wrong = len(checked.problems)
    if wrong:
        return f"{counted(wrong, 'field')} to mend"
    count, left_out = len(checked.variants), len(checked.refused)
    words = counted(count, "program")
    return f"{words}, {left_out} left out" if left_out else words
