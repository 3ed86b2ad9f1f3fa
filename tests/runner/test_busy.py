"""A session on a machine that other programs use: it waits, can be cancelled meanwhile, and records a busy start."""

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
from tests.boxes import Box

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
SHORT = ("--repeat", "20", "--warmup", "2", "--threads", "1")


@pytest.fixture
def hog() -> Iterator[subprocess.Popen[bytes]]:
    """Another program that keeps the core busy on which a session with one thread is measured; on any other core it
    would disturb nothing, and a session would rightly not wait for it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        os.sched_setaffinity(process.pid, measuring_cpus(1))
        yield process
        process.kill()


@pytest.mark.slow
def test_a_session_that_waits_for_a_calm_machine_can_be_cancelled(warm_box: Box, hog: subprocess.Popen[bytes]) -> None:
    (run_id,) = warm_box.detach(MODEL, *SHORT, "--wait-quiet", "60")
    warm_box.wait_for_event(run_id, "the machine is busy, ")
    warm_box.etui("cancel", run_id)
    assert warm_box.wait_for_status(run_id, "cancelled", "done", "failed") == "cancelled"
    assert warm_box.document(run_id).blocks == []


@pytest.mark.slow
def test_a_session_on_a_busy_machine_is_measured_in_the_end_and_says_so(
    warm_box: Box, hog: subprocess.Popen[bytes]
) -> None:
    warm_box.etui("run", MODEL, *SHORT, "--wait-quiet", "0.01", status=None)
    document = warm_box.document(warm_box.summaries()[0]["id"])
    assert document.status == "done"
    assert document.quiet is not None and not document.quiet.calm and document.quiet.waited_s > 0
    # Which programs those are depends on what else the machine does beside the one that was started.
    assert document.quiet.by and all("pid " in one for one in document.quiet.by)
    assert "busy start" in warm_box.summaries()[0]["flags"]
    assert document.quiet.by[0] in warm_box.etui("show", document.id).stdout


@pytest.mark.slow
def test_without_a_wish_to_wait_nobody_looks(warm_box: Box, hog: subprocess.Popen[bytes]) -> None:
    warm_box.etui("run", MODEL, *SHORT, status=None, ETUI_WAIT_QUIET="0")
    document = warm_box.document(warm_box.summaries()[0]["id"])
    assert document.quiet is None and "busy start" not in {flag.name for flag in document.flags}
    # What variants are held to is in each block, and the same for all.
    held = {tuple(block.cpus or ()) for block in (*document.blocks, *document.eager_blocks)}
    assert len(held) == 1 and len(held.pop()) == 1


def test_the_time_limit_does_not_run_while_a_session_waits(monkeypatch: pytest.MonkeyPatch) -> None:
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
