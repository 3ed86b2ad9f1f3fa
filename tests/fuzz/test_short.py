"""The short form of the harness: a few thousand inputs, identical in every run, without deviation."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import run
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.slow

INPUTS = {
    "import": 110, "stored": 60, "charts": 500, "screen": 1, "filter": 800, "config": 400, "program": 700,
    "events": 250,
    "arguments": 120, "database": 30, "weights": 60, "folder": 30,
}  # fmt: skip
"""About 3,000 inputs in a minute; the long form is ``python -m tests.fuzz``."""


@pytest.mark.parametrize("name", TARGETS)
def test_target_has_no_deviation(name: str) -> None:
    tally = run(TARGETS[name], 20_261_127, range(INPUTS[name]))
    assert tally.inputs == INPUTS[name]
    assert not tally.deviations, (
        tally.deviations[0][1] + f"\nreplay: python -m tests.fuzz --replay {tally.deviations[0][0]}"
    )
    assert tally.refused + tally.accepted == tally.inputs
