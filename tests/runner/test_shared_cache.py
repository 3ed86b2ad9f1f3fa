"""One cache for two machines that know nothing of each other: what one uses stays, whatever the other sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boxes import Box, box_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600")
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = pytest.mark.slow


def _keys(cache: Path) -> set[Path]:
    return {path for kind in ("programs", "models") for path in (cache / kind).iterdir()}


def test_the_cap_of_one_does_not_take_away_what_the_other_measures(box: Box, tmp_path: Path) -> None:
    with box_in(tmp_path / "other") as other:
        other.folder.mkdir()
        other.environment |= {"ETUI_CACHE": str(box.cache), "ETUI_CACHE_GB": "0"}
        (run_id,) = box.detach(f"{TINY}:convolutional", *LONG)
        box.wait_for_status(run_id, "measuring")
        until(lambda: box.jobs())
        used = _keys(box.cache)
        assert len(used) == 2
        other.etui("run", f"{TINY}:indexed", *SHORT)
        assert used < _keys(box.cache)
        box.etui("cancel", run_id)
