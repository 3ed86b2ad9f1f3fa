"""The wall-clock time of a first run and of its repetition, compared with the plain script that etui replaces."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.figures import Figure, ratio, timed
from tests.machines import ETUI, machine_in, until

PAIRS = 3
RUN = ["run", "resnet18", "--precision", "fp32", "--delegate", "xnnpack", "--warmup", "10", "--repeat", "50"]


def figures(folder: Path) -> list[Figure]:
    """Measure in each round the script, then a first run without cache or runner, then the same run again."""
    scripts, firsts, repetitions = [], [], []
    for number in range(PAIRS):
        scripts.append(timed([sys.executable, "-m", "tests.benchmarks.plain_script", str(folder / "plain.pte")]))
        with machine_in(folder / str(number)) as machine:
            machine.folder.mkdir()
            firsts.append(timed([str(ETUI), *RUN], machine.environment))
            until(lambda: not machine.jobs())
            repetitions.append(timed([str(ETUI), *RUN], machine.environment))
    return [
        ratio("first run of resnet18", firsts, scripts, 1.25, "the plain script"),
        ratio("the same run again", repetitions, scripts, 0.25, "the plain script"),
    ]
