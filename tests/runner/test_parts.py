"""Parts of the runner in isolation: plan, runner lock, cache and workers."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.memory_need import needed_bytes
from etui.catalog.models import MODELS
from etui.errors import StoreError
from etui.events import Event
from etui.jobs import Done, LogMessage, MemoryJob
from etui.runner.plan import block_orders, make_plan
from etui.runner.prepare import parallel_preparations
from etui.runner.program_cache import program_key
from etui.runner.runner_lock import RunnerLock
from etui.runner.session_context import side_by_side
from etui.runner.worker import Worker
from etui.spec import SessionSpec, Variant

ONE, TWO = "1" * 32, "2" * 32
"""Keys in the cache's format: 32 hexadecimal digits."""


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.integers(1, 20), st.integers(0, 99))
def test_every_block_contains_every_variant_once(variants: list[str], blocks: int, seed: int) -> None:
    orders = block_orders(variants, blocks, seed)
    assert len(orders) == blocks
    assert all(sorted(order) == sorted(variants) for order in orders)
    assert all(orders[index] == orders[index - 1][::-1] for index in range(1, blocks, 2))


def test_order_differs_between_pairs_of_blocks_and_follows_the_seed() -> None:
    variants = ["a", "b", "c", "d"]
    assert len(set(block_orders(variants, 20, 0))) > 4
    assert block_orders(variants, 20, 7) == block_orders(variants, 20, 7)
    assert block_orders(variants, 20, 7) != block_orders(variants, 20, 8)


@given(st.integers(1, 3000), st.sampled_from(["quick", "default", "rigorous"]))
def test_repeat_is_distributed_over_the_blocks_without_loss(repeat: int, preset: str) -> None:
    spec = msgspec.convert({"model": "m", "variants": [], "preset": preset, "repeat": repeat}, SessionSpec)
    plan = make_plan(spec, ["eager"], repeat=10, warmup=1)
    samples = [count for count in plan.samples if count is not None]
    assert sum(samples) == repeat
    assert len(samples) == plan.blocks and min(samples) >= 1 and max(samples) - min(samples) <= 1


def test_preset_limits_samples_by_time() -> None:
    plan = make_plan(SessionSpec(model="m", variants=(Variant("fp32", "xnnpack"),)), ["eager"], repeat=100, warmup=5)
    assert set(plan.samples) == {None}
    assert plan.min_samples * plan.blocks >= 100


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "at_once"),
    [(2, 8_000_000_000, 2), (64, 16_000_000_000, 8), (64, 1_000_000_000, 1), (4, None, 4)],
)
def test_parallel_preparations_are_limited_by_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory_bytes: int | None, at_once: int
) -> None:
    monkeypatch.delenv("ETUI_PREPARE_JOBS", raising=False)
    assert parallel_preparations(cores, memory_bytes) == at_once
    monkeypatch.setenv("ETUI_PREPARE_JOBS", "3")
    assert parallel_preparations(cores, memory_bytes) == 3


@pytest.mark.parametrize(("memory_bytes", "at_once"), [(24_000_000_000, 1), (64_000_000_000, 3), (None, 4)])
def test_large_models_are_prepared_in_parallel_as_far_as_their_memory_allows(
    monkeypatch: pytest.MonkeyPatch, memory_bytes: int | None, at_once: int
) -> None:
    monkeypatch.delenv("ETUI_PREPARE_JOBS", raising=False)
    assert parallel_preparations(4, memory_bytes, needed_bytes(DIFFUSION["sd15_unet"], "quantize")) == at_once
    assert needed_bytes(MODELS["clip"], "prepare") is None


def test_runner_lock_shows_whether_a_runner_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path))
    database = tmp_path / "etui.db"
    runner, front = RunnerLock(database, "here"), RunnerLock(database, "here")
    assert not front.runner_is_alive()
    assert runner.take()
    assert front.runner_is_alive() and not RunnerLock(database, "here").take()
    assert not RunnerLock(database, "another environment").runner_is_alive()
    assert not RunnerLock(database, "here", "another-host").runner_is_alive()
    # Every process that sees the database sees the lock, whatever its state folder and path to the database.
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "other"))
    (tmp_path / "mounted").symlink_to(tmp_path)
    assert RunnerLock(tmp_path / "mounted" / "etui.db", "here").runner_is_alive()
    runner.drop()
    assert front.state() == "free"


def test_reading_a_runner_lock_creates_no_file_and_a_regular_end_leaves_none(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    assert RunnerLock(database, "here").state() == "missing"
    assert list(tmp_path.iterdir()) == []
    runner = RunnerLock(database, "here")
    assert runner.take()
    runner.drop(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_lock_of_a_killed_runner_is_cleared_but_not_that_of_a_live_one(tmp_path: Path) -> None:
    database = tmp_path / "etui.db"
    killed = RunnerLock(database, "here")
    assert killed.take()
    RunnerLock(database, "here").clear()
    assert RunnerLock(database, "here").runner_is_alive()
    killed.drop()
    RunnerLock(database, "here").clear()
    assert list(tmp_path.iterdir()) == []


def test_runner_lock_is_taken_in_a_new_file_if_an_ending_runner_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "etui.db"
    leaving, coming = RunnerLock(database, "here"), RunnerLock(database, "here")
    assert leaving.take()
    lock = fcntl.flock

    def leave_first(fd: int, how: int) -> None:
        # The file was opened while the other lock still existed.
        leaving.drop(remove=True)
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", leave_first)
    assert coming.take()
    monkeypatch.undo()
    assert RunnerLock(database, "here").runner_is_alive()
    coming.drop(remove=True)


def test_removed_runner_lock_is_taken_again(tmp_path: Path) -> None:
    first, second = RunnerLock(tmp_path / "etui.db", "here"), RunnerLock(tmp_path / "etui.db", "here")
    assert first.take()
    first.path.unlink()
    assert second.take() and second.runner_is_alive()
    # The first lock does not remove the second one's file.
    first.drop(remove=True)
    assert second.runner_is_alive()
    second.drop(remove=True)


DONE = Done(result=msgspec.Raw(b'{"peak_rss_bytes":1}'))


def _worker(say: Callable[[Event], None]) -> Worker:
    job = MemoryJob(bundle="", model="m", program=None, delegate="eager", threads=1)
    return Worker(1, job, say)


@pytest.mark.asyncio
async def test_incomplete_line_of_a_killed_worker_is_ignored() -> None:
    worker = _worker(lambda event: None)
    os.write(worker.report.write_fd, msgspec.json.encode(DONE) + b'\n{"type":"done","blo')
    worker.release_write_ends()
    worker.exited(0)
    assert await worker.answered() == DONE
    worker.close()


@pytest.mark.asyncio
async def test_lines_that_are_not_an_answer_are_skipped() -> None:
    worker = _worker(lambda event: None)
    lines = (
        b'"\xff\xaa"',
        b"{",
        b"[" * 5_000,
        b'{"type":"said","event":{"kind":"x"}}',
        b"",
        msgspec.json.encode(DONE),
    )
    os.write(worker.report.write_fd, b"\n".join(lines) + b"\n")
    worker.release_write_ends()
    worker.exited(0)
    assert await worker.answered() == DONE
    worker.close()


@pytest.mark.asyncio
async def test_event_of_a_worker_that_cannot_be_stored_fails_its_job() -> None:
    def refuse(_event: Event) -> None:
        raise StoreError("no space is left for the database")

    worker = _worker(refuse)
    message = msgspec.json.encode(LogMessage(event=Event(kind="log", message="on its way"))) + b"\n"
    os.write(worker.report.write_fd, message + msgspec.json.encode(DONE) + b"\n")
    worker.release_write_ends()
    worker.exited(0)
    with pytest.raises(StoreError, match="no space"):
        await worker.answered()
    worker.close()


@pytest.mark.asyncio
async def test_expected_failure_of_parallel_work_keeps_its_type() -> None:
    async def fail() -> None:
        raise StoreError("no space is left for the database")

    with pytest.raises(StoreError, match="no space"):
        async with side_by_side() as group:
            group.create_task(fail())


def test_cache_key_depends_on_everything_that_determines_a_program() -> None:
    base = {
        "bundle_key": "b", "recipe": "int8-static/1", "delegate": "xnnpack", "calibration_count": 8,
        "versions": {"torch": "2.13.0"},
    }  # fmt: skip
    changes: list[dict[str, object]] = [
        {}, {"bundle_key": "c"}, {"recipe": "fp32/1"}, {"delegate": "portable"}, {"calibration_count": 9},
        {"versions": {"torch": "2.13.1"}}, {"machine": ("avx2",)}, {"machine": ("avx2", "avx512_bf16")},
    ]  # fmt: skip
    keys = [program_key(**{**base, **change}) for change in changes]  # type: ignore[arg-type]
    assert max(Counter(keys).values()) == 1
    assert program_key(**{**base, "recipe": "fp32/1", "calibration_count": 9}) == program_key(  # type: ignore[arg-type]
        **{**base, "recipe": "fp32/1"}  # type: ignore[arg-type]
    )
