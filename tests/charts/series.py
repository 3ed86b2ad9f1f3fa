"""Synthetic latencies and past runs whose charts are known."""

from __future__ import annotations

from etui.charts.drawing import Dated, Dot, Overlaid, Past, Series, Step


def spread(middle: float, count: int, blocks: int = 3, drift: float = 0.0) -> list[list[float]]:
    """Return blocks of ``count`` samples with a peak at ``middle`` and a tail above it; each block is slower by
    ``drift``."""
    return [
        [
            middle * (1 + drift * block) * (1 + 0.06 * (step / count) ** 3 - 0.02 * ((step * 7) % count) / count)
            for step in range(count)
        ]
        for block in range(blocks)
    ]


PROGRAM = Series(name="int8/xnnpack", blocks=spread(5.0, 80), numbers=[0, 1, 2], median=4.96, p95=5.2)
EAGER = Series(name="eager", blocks=spread(24.0, 30, drift=0.01), numbers=[0, 1, 2])
EMPTY = Series(name="int8/xnnpack", blocks=[])

PAST = [
    Past(at="2026-11-01T10:00:00Z", median_ms=5.0, interval_ms=(4.9, 5.1), mae=1e-6, verdict="PASS"),
    Past(at="2026-11-03T10:00:00Z", median_ms=5.4, interval_ms=(5.2, 5.6), mae=2e-3, verdict="PASS"),
    Past(at="2026-11-04T10:00:00Z", failed=True),
    Past(at="2026-11-08T10:00:00Z", median_ms=7.0, interval_ms=(6.8, 7.3), mae=2e-3, verdict="UNPROVEN"),
    Past(at="2026-11-09T10:00:00Z", median_ms=5.1, interval_ms=(5.0, 5.2), mae=0.4, verdict="FAIL"),
    Past(at="2026-11-20T10:00:00Z", is_chosen=True, median_ms=4.96, mae=2.1e-3, verdict="PASS"),
]

SIX = [
    Overlaid(
        series=Series(name=name, blocks=spread(middle, 60, drift=0.01 * slot), numbers=[0, 1, 2], median=middle),
        slot=slot,
    )
    for slot, (name, middle) in enumerate(
        [
            ("fp32/xnnpack", 16.0), ("int8/xnnpack", 5.0), ("fp32/openvino", 8.0), ("fp16/xnnpack", 16.1),
            ("int8/openvino", 4.9), ("fp32/portable", 5_800.0),
        ]
    )
]  # fmt: skip

DOTS = [
    Dot(name="int8/openvino", latency_ms=4.9, value=26.0, slot=4, front=True),
    Dot(name="fp32/openvino", latency_ms=8.0, value=47.0, slot=2, front=True),
    Dot(name="int8/xnnpack", latency_ms=5.0, value=24.0, slot=1),
    Dot(name="fp32/xnnpack", latency_ms=16.0, value=126.0, slot=0, front=True),
    Dot(name="fp32/portable", latency_ms=5_800.0, value=126.0, slot=5),
    Dot(name="another", latency_ms=9.0, value=30.0),
]

DATED = [
    Dated(at="2026-11-01T10:00:00Z", value=5.0, interval=(4.9, 5.1)),
    Dated(at="2026-11-03T10:00:00Z", value=5.05, interval=(4.95, 5.15)),
    Dated(at="2026-11-04T10:00:00Z", failed=True),
    Dated(
        at="2026-11-12T10:00:00Z", value=5.5, interval=(5.4, 5.6), software="executorch 1.5.1", change="slower by 9.5 %"
    ),
    Dated(at="2026-11-12T16:00:00Z", value=5.48, interval=(5.4, 5.6), suspect=True),
    Dated(at="2026-11-20T10:00:00Z", value=5.52, interval=(5.4, 5.6)),
]
LEVELS = [Step(first=0, last=1, value=5.02), Step(first=3, last=5, value=5.5)]
