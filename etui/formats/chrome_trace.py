"""Traces of inferences as Chrome and Perfetto read them: the Trace Event Format's complete events, as JSON.

The format is described in Google's document "Trace Event Format"; ui.perfetto.dev and chrome://tracing open it.
"""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that took time: when it began, in nanoseconds from the beginning of its inference, and how long."""

    name: str
    start_ns: int
    duration_ns: int
    category: str = "operator"
    module: str = ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a few inferences of one side; spans within one inference lie within each other or apart."""

    side: str
    inferences: list[list[Span]]


def chrome_trace(timelines: list[Timeline], *, title: str) -> bytes:
    """The trace's JSON: a process a side, its inferences one after the other with the gaps between them left out.

    What was too short for its backend's clock is left out: Perfetto draws events of no length that begin together
    within each other. ``otherData`` counts them.
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
                        # The format counts in microseconds; fractions keep the nanoseconds.
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
