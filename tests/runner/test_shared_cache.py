"""One cache shared by two machines that do not know each other: entries used by one are not removed by the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines import Machine, machine_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = pytest.mark.slow


def _keys(cache: Path) -> set[Path]:
    return {path for kind in ("programs", "models") for path in (cache / kind).iterdir()}


def test_size_limit_of_one_machine_does_not_remove_entries_used_by_the_other(machine: Machine, tmp_path: Path) -> None:
    with machine_in(tmp_path / "other") as other:
        other.folder.mkdir()
        other.environment |= {"ETUI_CACHE": str(machine.cache), "ETUI_CACHE_GB": "0"}
        (run_id,) = machine.detach(f"{TINY}:convolutional", *LONG)
        machine.wait_for_status(run_id, "measuring")
        until(lambda: machine.jobs())
        used = _keys(machine.cache)
        assert len(used) == 2
        other.etui("run", f"{TINY}:indexed", *SHORT)
        assert used < _keys(machine.cache)
        machine.etui("cancel", run_id)
