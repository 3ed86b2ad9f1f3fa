"""Simulate sessions to find the factors of ``etui.analysis.bootstrap.CALIBRATION``.

For each number of blocks it prints the factor by which the uncalibrated interval must be multiplied to cover the truth
95 times in 100: the median over scenarios and their range. The scenarios cross a drift that both sides share, the size
of the blocks' own effects, and normal or heavy-tailed effects.

To generate the table again, after a change of the estimate in ``etui.analysis.bootstrap``::

    python -m tests.benchmarks.interval_calibration [SIMULATIONS]

SIMULATIONS per scenario are 500 by default; the seeds are fixed, so that the output of the same versions is the same.
Copy the printed medians of 2 to 12 blocks, rounded to two digits, to ``CALIBRATION``, and one factor for the medians of
13, 16 and 20 blocks to ``MANY_BLOCKS``. Then run the tests of coverage, whose scenarios are different ones::

    python -m pytest tests/analysis/test_intervals.py tests/analysis/test_session_variance.py
"""

from __future__ import annotations

import math
import sys
from unittest.mock import patch

import numpy as np

from etui.analysis import bootstrap

DRIFTS = (0.0, 0.01, 0.05)
BLOCK_SDS = (0.0, 0.005, 0.02, 0.1)
BLOCKS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 20)
SAMPLE_SD, SAMPLES, DRAWS = 0.02, 40, 1_000


def factor(blocks: int, drift: float, block_sd: float, tails: bool, simulations: int) -> float:
    """Return the 95th percentile of the error in units of the uncalibrated half width."""
    errors = []
    for seed in range(simulations):
        generator = np.random.default_rng(seed)
        own = generator.standard_t(3, (blocks, 2)) / math.sqrt(3) if tails else generator.normal(size=(blocks, 2))
        logs = generator.normal(0, drift, (blocks, 1)) + block_sd * own
        series = np.exp(logs[:, :, None] + generator.normal(0, SAMPLE_SD, (blocks, 2, SAMPLES)))
        estimate = bootstrap.paired_ratio([(list(one), list(other)) for one, other in series], DRAWS)
        errors.append(abs(estimate.centre) / estimate.half if estimate.half else math.inf)
    return float(np.percentile(errors, 95))


def main(simulations: int) -> None:
    """Print one line per number of blocks."""
    with patch.object(bootstrap, "calibration", return_value=1.0):
        for blocks in BLOCKS:
            factors = [
                factor(blocks, drift, block_sd, tails, simulations)
                for drift in DRIFTS
                for block_sd in BLOCK_SDS
                for tails in (False, True)
            ]
            print(f"{blocks:2} blocks: {np.median(factors):.2f} ({min(factors):.2f} to {max(factors):.2f})", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
