"""A session on a machine used by other programs: it waits, can be cancelled while waiting, and records a busy start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from etui.host.cpus import measuring_cpus
from etui.results import QuietCheck
from etui.runner import session as session_module
from etui.runner.session_context import Session
from tests.machines import Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
SHORT = ("--repeat", "20", "--warmup", "2", "--threads", "1")

pytestmark = pytest.mark.shared_programs


@pytest.fixture
def busy_program() -> Iterator[subprocess.Popen[bytes]]:
    """Start another program that keeps the core busy on which a session with one thread is measured. On another core it
    would not disturb the session, which would rightly not wait."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        os.sched_setaffinity(process.pid, measuring_cpus(1))
        yield process
        process.kill()


@pytest.mark.slow
def test_session_waiting_for_an_idle_machine_can_be_cancelled(
    warm_machine: Machine, busy_program: subprocess.Popen[bytes]
) -> None:
    (run_id,) = warm_machine.detach(MODEL, *SHORT, "--wait-quiet", "60")
    warm_machine.wait_for_event(run_id, "the machine is busy, ")
    warm_machine.etui("cancel", run_id)
    assert warm_machine.wait_for_status(run_id, "cancelled", "done", "failed") == "cancelled"
    assert warm_machine.document(run_id).blocks == []


@pytest.mark.slow
def test_session_on_a_busy_machine_is_measured_with_a_flag(
    warm_machine: Machine, busy_program: subprocess.Popen[bytes]
) -> None:
    warm_machine.etui("run", MODEL, *SHORT, "--wait-quiet", "0.01", status=None)
    document = warm_machine.document(warm_machine.summaries()[0]["id"])
    assert document.status == "done"
    assert document.quiet is not None and not document.quiet.calm and document.quiet.waited_s > 0
    # The names depend on what else the machine does in addition to the started program.
    assert document.quiet.by and all("pid " in one for one in document.quiet.by)
    assert "busy start" in warm_machine.summaries()[0]["flags"]
    assert document.quiet.by[0] in warm_machine.etui("show", document.id).stdout


@pytest.mark.slow
def test_machine_load_is_not_checked_without_waiting(
    warm_machine: Machine, busy_program: subprocess.Popen[bytes]
) -> None:
    warm_machine.etui("run", MODEL, *SHORT, status=None, ETUI_WAIT_QUIET="0")
    document = warm_machine.document(warm_machine.summaries()[0]["id"])
    assert document.quiet is None and "busy start" not in {flag.name for flag in document.flags}
    # The CPUs of each block are recorded, and the same for all variants.
    held = {tuple(block.cpus or ()) for block in (*document.blocks, *document.eager_blocks)}
    assert len(held) == 1 and len(held.pop()) == 1


def test_time_limit_is_suspended_while_a_session_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = QuietCheck(waited_s=5.0, calm=True)

    async def nothing() -> None:
        return None

    async def wait() -> tuple[float | None, float | None]:
        session = SimpleNamespace(
            spec=SimpleNamespace(wait_quiet_min=1.0),
            workers=SimpleNamespace(idle=nothing),
            cpus=[0],
            results=SimpleNamespace(quiet=None),
            say=lambda *_, **__: None,
        )
        limit = asyncio.timeout_at(asyncio.get_running_loop().time() + 1000.0)
        async with limit:
            before = limit.when()

            async def calm(*_: Any, **__: Any) -> QuietCheck:
                assert limit.when() is None
                return quiet

            monkeypatch.setattr(session_module, "wait_until_quiet", calm)
            await session_module._wait_until_quiet(cast("Session", session), limit)
            after = limit.when()
        assert session.results.quiet == quiet
        return before, after

    before, after = asyncio.run(wait())
    assert before is not None and after is not None and after >= before
