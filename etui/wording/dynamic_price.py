"""What a program for a range of shapes costs at each shape, compared with the program for that shape alone."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.comparison import compare
from etui.results import RunDocument
from etui.wording import comparison as comparison_wording


def dynamic_prices(documents: Sequence[RunDocument]) -> list[str]:
    """Return a sentence for each dynamic run with a latency whose session has the static run of the same shape: the
    latencies, and the planned memory of both."""
    static = {_shape(run): run for run in documents if not run.dynamic and run.latency_ms is not None}
    sentences = []
    for run in documents:
        own = static.get(_shape(run)) if run.dynamic and run.latency_ms is not None else None
        if own is None:
            continue
        (found,) = compare(own, [run])
        sentence = comparison_wording.sentences(found, {one.id: one.configuration for one in (own, run)})[0]
        planned = [one.memory.planned_bytes if one.memory else None for one in (run, own)]
        if None not in planned:
            sentence += f" Planned memory: {text.size(planned[0])} against {text.size(planned[1])}."
        sentences.append(text.plain(sentence))
    return sentences


def _shape(run: RunDocument) -> tuple[object, ...]:
    return run.session.id, run.precision, run.delegate, run.input_size, run.batch, run.sequence, run.threads
