"""A sentence about the parts of the time of one inference call."""

from __future__ import annotations

from etui import text
from etui.results import CallTiming


def parts(call: CallTiming) -> str:
    """Return the time of a call and of its parts in ms, and the fixed cost of a call from Python."""
    whole = text.number(call.inputs_ms + call.execute_ms + call.outputs_ms)
    sentence = (
        f"of {whole} ms, {text.number(call.inputs_ms)} copy inputs in, {text.number(call.execute_ms)} execute, "
        f"{text.number(call.outputs_ms)} copy outputs out"
    )
    if call.fixed_ms is not None:
        sentence += f"; fixed cost of a call from Python {text.number(call.fixed_ms)} ms"
    return sentence
