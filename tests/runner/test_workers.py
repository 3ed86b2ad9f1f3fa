"""The processes that work for a runner: what they leave, and the error if they cannot start."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.machines import Machine, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = pytest.mark.slow

BROKEN = "raise OSError('libstrange.so.1: cannot open shared object file')\n"


def test_missing_library_is_reported_and_no_files_are_left(machine: Machine, tmp_path: Path) -> None:
    temporary, broken = tmp_path / "temporary", tmp_path / "broken"
    for folder in (temporary, broken):
        folder.mkdir()
    (broken / "safetensors.py").write_text(BROKEN)
    machine.environment["TMPDIR"] = str(temporary)
    machine.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(broken), os.environ.get("PYTHONPATH")]))
    failed = machine.etui("run", MODEL, *SHORT, status=3)
    assert "OSError: libstrange.so.1: cannot open shared object file" in failed.stderr
    # The same runner tries again.
    (broken / "safetensors.py").unlink()
    runner = machine.runner().pid
    machine.etui("run", MODEL, *SHORT)
    assert machine.runner().pid == runner
    machine.close()
    assert not list(temporary.iterdir())
    assert not (machine.cache / "workers").exists()


def test_interrupt_of_a_starting_fork_server_is_ignored(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *SHORT)
    until(lambda: machine.fork_servers())
    for fork_server in machine.fork_servers():
        fork_server.send_signal(signal.SIGINT)
    assert machine.wait_for_status(run_id, "done", "failed") == "done"
    assert all("Traceback" not in log.read_text() for log in Path(machine.environment["ETUI_STATE"]).glob("*.log"))
