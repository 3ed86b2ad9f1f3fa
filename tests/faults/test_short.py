"""Sixty rounds with every fault among them. A deviation names the command that replays its round."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.plan import FAULTS, plan_rounds

pytestmark = pytest.mark.slow

SEED, ROUNDS, LANES = 11, 60, 2
LIMIT_S = 900.0


def test_nothing_is_lost_hangs_or_is_left_over(tmp_path: Path) -> None:
    assert {plan.cell.fault for plan in plan_rounds(SEED, ROUNDS)} == set(FAULTS)
    # A separate process, because it gets its own mount namespace.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--seed", str(SEED), "--rounds", str(ROUNDS), "--lanes", str(LANES),
         "--group", str(ROUNDS // LANES), "--log", str(tmp_path / "rounds.jsonl")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
