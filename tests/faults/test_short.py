"""Every fault once. A round that deviates names the command that plays it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.plan import CELLS

pytestmark = pytest.mark.slow

SEED = 11
LANES = 2
LIMIT_S = 900.0


def test_nothing_is_lost_hangs_or_is_left_behind(tmp_path: Path) -> None:
    # A process of its own, because it gives itself other mounts.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--seed", str(SEED), "--rounds", str(len(CELLS)), "--lanes", str(LANES),
         "--group", str(-(-len(CELLS) // LANES)), "--log", str(tmp_path / "rounds.jsonl")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
