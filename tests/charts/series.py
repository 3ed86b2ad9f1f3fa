"""Made-up latencies and pasts whose pictures are known."""

from __future__ import annotations

from etui.charts import Past, Series


def spread(middle: float, count: int, blocks: int = 3, drift: float = 0.0) -> list[list[float]]:
    """Blocks of ``count`` samples with a peak at ``middle`` and a tail above it; each block slower by ``drift``."""
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
    Past(at="2026-11-08T10:00:00Z", kind="other", median_ms=7.0, interval_ms=(6.8, 7.3), mae=2e-3, verdict="UNPROVEN"),
    Past(at="2026-11-09T10:00:00Z", median_ms=5.1, interval_ms=(5.0, 5.2), mae=0.4, verdict="FAIL"),
    Past(at="2026-11-20T10:00:00Z", kind="chosen", median_ms=4.96, mae=2.1e-3, verdict="PASS"),
]
