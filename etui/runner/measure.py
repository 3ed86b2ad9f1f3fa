"""Time the variants of a session block by block, then measure accuracy and memory."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from etui.analysis import canary
from etui.analysis.latency import latency_stats, relative_half_width
from etui.catalog.delegates import needs_gpu
from etui.events import Event, utc_now
from etui.host.cpus import cpu_sets
from etui.jobs import AccuracyJob, MeasureJob, MemoryJob
from etui.results import Block, Stage
from etui.runner.frequency_watch import Clocks
from etui.runner.plan import REPEAT_SHARE, Plan, make_plan
from etui.runner.session_context import Run, Session, side_by_side
from etui.runner.worker import WorkerFailed
from etui.spec import EAGER
from etui.text import counted, number

ACCURACY_LIMIT_S = 60.0
FEWEST_BLOCKS_FOR_STOPPING = 5


async def measure(session: Session) -> None:
    """Measure the program of every live run and eager, interleaved.

    Raises:
        WorkerFailed: eager cannot be measured.
    """
    await _Blocks(session).measure()


class _Blocks:
    """The blocks of one session, and the time that each variant has used."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._eager = session.baselines()
        self._runs = {run.variant.label: run for run in session.live()}
        eager = list(self._eager)
        models = session.models()
        self._plan: Plan = make_plan(
            session.spec,
            [*eager, *self._runs],
            repeat=max(model.repeat for model in models),
            warmup=max(model.warmup for model in models),
        )
        self._spent_s: dict[str, list[float]] = {variant: [] for variant in (*eager, *self._runs)}
        self._canaries: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
        """By the number of threads, which the canary kernel uses too."""
        self._clocks = Clocks(session.cpus)
        self._repeats_left = math.ceil(REPEAT_SHARE * self._plan.blocks * len(self._spent_s))

    async def measure(self) -> None:
        session, plan = self._session, self._plan
        session.results.threads = session.threads
        session.results.planned_blocks = plan.blocks
        for run in self._runs.values():
            # Stores the threads and the state of the machine before the first block.
            session.keep(run)
            session.outbox.set_status(run.id, "measuring")
        session.report(
            Event(
                kind="stage",
                message=f"measuring {len(self._spent_s)} variants in {counted(plan.blocks, 'block')}",
                at=utc_now(),
                stage="measure",
                total=len(self._spent_s) * plan.blocks,
            )
        )
        for index, order in enumerate(plan.orders):
            for position, variant in enumerate(order):
                if self._is_active(variant):
                    self._progress(index, position)
                    await self._block(index, position, variant)
            if not any(self._is_active(variant) for variant in self._runs):
                break
            if index + 1 < plan.blocks and self._is_precise_enough(index + 1):
                session.results.planned_blocks = index + 1
                session.say(
                    "log",
                    f"every confidence interval is within 1 % after {counted(index + 1, 'block')}",
                    stage="measure",
                )
                break

    def _is_active(self, variant: str) -> bool:
        """Whether a variant is still measured; a baseline is as long as any of its programs is."""
        if variant in self._eager:
            return any(self._is_active(name) for name, run in self._runs.items() if run.variant.eager_label == variant)
        run = self._runs[variant]
        return run.live and not run.stopped_early

    async def _block(self, index: int, position: int, variant: str) -> None:
        session, plan, run = self._session, self._plan, self._runs.get(variant)
        measured = run or self._eager[variant]
        threads = session.threads_of(measured.variant)
        assert measured.bundle is not None
        job = MeasureJob(
            bundle=measured.bundle.path,
            model=measured.reference,
            program=run.lowered.path if run and run.lowered else None,
            delegate=run.variant.delegate if run else EAGER,
            variant=variant,
            index=index,
            position=position,
            threads=threads,
            warmup=plan.warmup,
            samples=plan.samples[index],
            block_s=plan.preset.block_s,
            min_samples=plan.min_samples,
            min_warmup=plan.min_warmup,
            limit_s=plan.block_limit_s,
            canary_ms=canary.typical(self._canaries[threads]),
            cpus=session.cpus_of(measured.variant),
            run_id=run.id if run else None,
        )
        start = time.monotonic()
        async with self._clocks.watching():
            block = await session.do(job) if run is None else await session.do_for(run, job)
        if block is None:
            return
        self._clocks.add_to(block)
        self._spent_s[variant].append(time.monotonic() - start)
        if run is not None:
            # Only the run's own blocks, stored after each: a run that ends early has measured too.
            own = Stage(name="measure", seconds=sum(self._spent_s[variant]))
            run.measured_stages = [*(stage for stage in run.measured_stages if stage.name != "measure"), own]
        if self._must_be_repeated(block, job.canary_ms):
            block.superseded = True
            session.outbox.add_block(block)
            (run.superseded if run else session.results.eager[variant].superseded).append(block)
            session.say(
                "warning",
                f"{variant}: block {index + 1} is measured again: {canary.deviation_text(block, job.canary_ms)}",
                run=run,
                stage="measure",
                level="warning",
            )
            await self._block(index, position, variant)
            return
        if block.canary_ms is not None:
            self._canaries[threads].append(block.canary_ms)
        session.outbox.add_block(block)
        (run.blocks if run else session.results.eager[variant].blocks).append(block)
        session.say(
            "block",
            f"{variant}: block {index + 1} of {plan.blocks}, {number(statistics.median(block.samples_ms), 4)} ms, "
            f"{counted(len(block.samples_ms), 'sample')}",
            run=run,
            stage="measure",
        )
        if run is not None and self._budget_is_spent(variant, index):
            self._stop_early(run)

    def _must_be_repeated(self, block: Block, usual: tuple[float, float] | None) -> bool:
        """Whether a block is repeated: its canary deviated, and the budget has room.

        A block is repeated once, and only a share of a session's blocks: on a machine that is never quiet the warning
        flag must suffice.
        """
        run = self._runs.get(block.variant)
        earlier = run.superseded if run else self._session.results.eager[block.variant].superseded
        if self._repeats_left == 0 or any(other.index == block.index for other in earlier):
            return False
        if self._budget_is_spent(block.variant, block.index) or not canary.deviated(block, usual):
            return False
        self._repeats_left -= 1
        return True

    def _budget_is_spent(self, variant: str, index: int) -> bool:
        """Whether another block of a variant would exceed its budget. Sample counts that the user fixed are measured
        whatever they take, up to the session's time limit."""
        if self._plan.samples[index] is not None or index + 1 >= self._plan.blocks:
            return False
        spent = self._spent_s[variant]
        return sum(spent) + statistics.median(spent) > self._plan.preset.budget_s

    def _stop_early(self, run: Run) -> None:
        run.stopped_early = True
        samples = sum(len(block.samples_ms) for block in run.blocks)
        self._session.say(
            "warning",
            f"{run.variant.label} is slow: stopped after {len(run.blocks)} of {counted(self._plan.blocks, 'block')} "
            f"with {counted(samples, 'sample')}, because its budget of {self._plan.preset.budget_s:g} s is used up",
            run=run,
            stage="measure",
            level="warning",
        )

    def _is_precise_enough(self, blocks: int) -> bool:
        """Whether a preset that may stop early does: the confidence interval of every variant is narrow enough."""
        limit = self._plan.preset.stop_at_relative_ci
        if limit is None or self._session.spec.repeat is not None or blocks < FEWEST_BLOCKS_FOR_STOPPING:
            return False
        series: list[list[Block]] = [run.blocks for name, run in self._runs.items() if self._is_active(name)]
        series += [self._session.results.eager[name].blocks for name in self._eager if self._is_active(name)]
        widths = [relative_half_width(latency_stats(blocks_of)) for blocks_of in series]
        return all(width is not None and width <= limit for width in widths)

    def _progress(self, index: int, position: int) -> None:
        """Report progress. The time left is estimated from the blocks of each variant so far."""
        plan = self._plan
        left: float | None = 0.0
        for variant, spent in self._spent_s.items():
            if not self._is_active(variant):
                continue
            if not spent or left is None:
                left = None
                break
            typical = statistics.median(spent)
            remaining = typical * (plan.blocks - len(spent))
            if plan.samples[index] is None:
                remaining = min(remaining, max(typical, plan.preset.budget_s - sum(spent)))
            left += remaining
        width = len(plan.orders[index])
        self._session.report(
            Event(
                kind="progress",
                message=f"block {index + 1} of {plan.blocks}: {plan.orders[index][position]}",
                at=utc_now(),
                stage="measure",
                done=index * width + position,
                total=plan.blocks * width,
                left_s=left,
            )
        )


async def run_accuracy_and_memory(session: Session) -> None:
    """Measure accuracy and memory of all runs in parallel, after the timing: neither is timed."""
    session.say("stage", "measuring accuracy and memory", stage="accuracy")
    slots = _Slots(session)
    async with side_by_side() as group:
        for run in session.live():
            if run.bundle is not None and run.bundle.has_eager:
                group.create_task(_accuracy(session, run, slots))
            group.create_task(_memory(session, run, slots))
        # Eager comes last: its threads spin while they wait, which slows down parallel workers most.
        for label, run in session.baselines().items():
            group.create_task(_eager_memory(session, label, run, slots))


class _Slots:
    """Slots for parallel workers, one per core, each with a set of CPUs; the sets are disjoint as far as possible. Only
    one worker at a time uses the GPU, whose memory it then has for itself."""

    def __init__(self, session: Session) -> None:
        self._free: asyncio.Queue[list[int]] = asyncio.Queue()
        self._gpu = asyncio.Lock()
        sets = cpu_sets(session.threads)
        for index in range(session.cores):
            self._free.put_nowait(sets[index % len(sets)])

    @asynccontextmanager
    async def slot(self, delegate: str) -> AsyncIterator[list[int]]:
        """Occupy a slot for a delegate's worker within this context; yields its CPUs."""
        async with self._gpu if needs_gpu(delegate) else nullcontext():
            cpus = await self._free.get()
            try:
                yield cpus
            finally:
                self._free.put_nowait(cpus)


async def _accuracy(session: Session, run: Run, slots: _Slots) -> None:
    async with slots.slot(run.variant.delegate) as cpus:
        assert run.lowered is not None and run.bundle is not None
        start = time.monotonic()
        accuracy = await session.do_for(
            run,
            AccuracyJob(
                bundle=run.bundle.path,
                model=run.reference,
                program_dir=str(Path(run.lowered.path).parent),
                precision=run.variant.precision,
                delegate=run.variant.delegate,
                arithmetic=run.lowered.arithmetic,
                threads=session.threads_of(run.variant),
                cpus=cpus,
                limit_s=ACCURACY_LIMIT_S,
                same_inputs=run.has_own_program,
                run_id=run.id,
            ),
        )
    if accuracy is not None:
        run.accuracy = accuracy
        run.measured_stages.append(Stage(name="accuracy", seconds=time.monotonic() - start))
        session.keep(run)
        session.say("log", f"accuracy {accuracy.verdict}: {accuracy.reason}", run=run, stage="accuracy")


async def _memory(session: Session, run: Run, slots: _Slots) -> None:
    async with slots.slot(run.variant.delegate) as cpus:
        assert run.lowered is not None and run.bundle is not None
        start = time.monotonic()
        memory = await session.do_for(
            run,
            MemoryJob(
                bundle=run.bundle.path,
                model=run.reference,
                program=run.lowered.path,
                delegate=run.variant.delegate,
                threads=session.threads_of(run.variant),
                cpus=cpus,
                run_id=run.id,
            ),
        )
    if memory is not None:
        run.memory = memory
        run.measured_stages.append(Stage(name="memory", seconds=time.monotonic() - start))
        session.keep(run)


async def _eager_memory(session: Session, label: str, run: Run, slots: _Slots) -> None:
    async with slots.slot(EAGER) as cpus:
        assert run.bundle is not None
        job = MemoryJob(
            bundle=run.bundle.path,
            model=run.reference,
            program=None,
            delegate=EAGER,
            threads=session.threads_of(run.variant),
            cpus=cpus,
        )
        try:
            session.results.eager[label].memory = await session.do(job)
        except WorkerFailed as error:
            # Eager was timed already; its memory is not a figure of a run.
            session.say("warning", f"the memory of {label} is not available: {error}", stage="memory", level="warning")
