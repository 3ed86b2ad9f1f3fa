"""Traces of inferences for Chrome and Perfetto: JSON of complete events in the Trace Event Format.

The format is described in Google's document "Trace Event Format"; ui.perfetto.dev and chrome://tracing open it.
"""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A timed event: its start, in nanoseconds from the start of its inference, and its duration."""

    name: str
    start_ns: int
    duration_ns: int
    category: str = "operator"
    module: str = ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a few inferences of one side; within an inference, spans are nested or disjoint."""

    side: str
    inferences: list[list[Span]]


def chrome_trace(timelines: list[Timeline], *, title: str) -> bytes:
    """Return the trace's JSON: one process per side, its inferences back to back.

    Spans of zero duration (too short for the backend's clock) are omitted, because Perfetto draws zero-length events
    with the same start as nested; ``otherData.too_short`` counts them.
    """
    events: list[dict[str, object]] = []
    too_short = 0
    for pid, timeline in enumerate(timelines, start=1):
        events.append({"name": "process_name", "ph": "M", "pid": pid, "tid": 1, "args": {"name": timeline.side}})
        events.append({"name": "thread_name", "ph": "M", "pid": pid, "tid": 1, "args": {"name": "inferences"}})
        begin_ns = 0
        for number, spans in enumerate(timeline.inferences):
            end_ns = max((span.start_ns + span.duration_ns for span in spans), default=0)
            whole = Span(name=f"inference {number}", start_ns=0, duration_ns=end_ns, category="inference")
            long = [span for span in spans if span.duration_ns > 0]
            too_short += len(spans) - len(long)
            for span in (whole, *sorted(long, key=lambda span: (span.start_ns, -span.duration_ns))):
                events.append(
                    {
                        "name": span.name,
                        "cat": span.category,
                        "ph": "X",
                        # The format's unit is the microsecond; fractions keep the nanoseconds.
                        "ts": (begin_ns + span.start_ns) / 1e3,
                        "dur": span.duration_ns / 1e3,
                        "pid": pid,
                        "tid": 1,
                        "args": {"module": span.module} if span.module else {},
                    }
                )
            begin_ns += end_ns
    other = {"title": title, "too_short": too_short}
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms", "otherData": other})
