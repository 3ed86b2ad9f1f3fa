"""Traces for Perfetto and Chrome: nested, in order, and without spans too short to be drawn."""

from __future__ import annotations

import json

from etui.formats.chrome_trace import Span, Timeline, chrome_trace


def test_spans_are_nested_and_those_of_zero_length_are_omitted() -> None:
    def span(name: str, start_ns: int, duration_ns: int) -> Span:
        return Span(name=name, start_ns=start_ns, duration_ns=duration_ns)

    one = [span("first", 10, 40), span("gone", 50, 0), span("gone too", 50, 0), span("second", 50, 49)]
    timeline = Timeline(side="ExecuTorch", inferences=[[*one, span("subgraph", 10, 90)], one])
    trace = json.loads(chrome_trace([timeline], title="a run"))
    assert trace["otherData"] == {"title": "a run", "too_short": 4}
    drawn = [(event["name"], event["ts"], event["dur"]) for event in trace["traceEvents"] if event["ph"] == "X"]
    assert drawn == [
        ("inference 0", 0.0, 0.1),
        ("subgraph", 0.01, 0.09),
        ("first", 0.01, 0.04),
        ("second", 0.05, 0.049),
        ("inference 1", 0.1, 0.099),
        ("first", 0.11, 0.04),
        ("second", 0.15, 0.049),
    ]
