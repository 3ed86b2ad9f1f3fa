"""One cache shared by two machines that do not know each other: entries used by one are not removed by the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines import Box, box_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600")
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = pytest.mark.slow


def _keys(cache: Path) -> set[Path]:
    return {path for kind in ("programs", "models") for path in (cache / kind).iterdir()}


def test_size_limit_of_one_machine_does_not_remove_entries_used_by_the_other(box: Box, tmp_path: Path) -> None:
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
