"""Where a call's time goes, in a sentence."""

from __future__ import annotations

from etui import text
from etui.results import CallTiming


def parts(call: CallTiming) -> str:
    """The parts of a call beside their sum, and what a call from Python costs at the least."""
    whole = text.number(call.inputs_ms + call.execute_ms + call.outputs_ms)
    words = (
        f"of {whole} ms, {text.number(call.inputs_ms)} copy inputs in, {text.number(call.execute_ms)} execute, "
        f"{text.number(call.outputs_ms)} copy outputs out"
    )
    if call.fixed_ms is not None:
        words += f"; fixed cost of a call from Python {text.number(call.fixed_ms)} ms"
    return words
