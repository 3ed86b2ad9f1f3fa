"""Evaluate eager and the programs of a session on labelled images, after everything else is measured."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec

from etui.analysis.task_limits import with_task_limits
from etui.jobs import EvaluateJob
from etui.results import Stage
from etui.runner.session_context import Run, Session
from etui.runner.worker import WorkerFailed
from etui.spec import EAGER
from etui.text import plain


async def evaluate(session: Session) -> None:
    """Evaluate eager of each bundle with labelled images, and every live run with it, one after the other. A program
    that cannot be evaluated keeps its other results; its run then has no metric."""
    runs = [run for run in session.live() if run.accuracy is not None and run.bundle is not None]
    evaluated = [run for run in runs if run.bundle is not None and run.bundle.evaluated is not None]
    if evaluated and not session.is_duel:
        assert evaluated[0].bundle is not None and evaluated[0].bundle.evaluated is not None
        data = evaluated[0].bundle.evaluated
        split = f" of the split {plain(data.split)}" if data.split else ""
        session.say("stage", f"evaluating on {data.images:,} images{split}", stage="evaluate")
        with tempfile.TemporaryDirectory(prefix="etui-") as work:
            done: dict[str, bool] = {}
            for number, run in enumerate(evaluated):
                later = len(evaluated) - number - 1
                if not run.live or run.bundle is None:
                    continue
                scores = Path(work) / f"{run.bundle.key}.npy"
                if run.bundle.key not in done:
                    done[run.bundle.key] = await _eager(session, run, scores, later + 1)
                if done[run.bundle.key]:
                    await _program(session, run, scores, later)
    if session.spec.map_drop is not None or session.spec.top1_drop is not None:
        for run in runs:
            _judge(session, run)


def _job(session: Session, run: Run, scores: Path, later: int) -> EvaluateJob:
    assert run.bundle is not None and run.lowered is not None and session.spec.data is not None
    # Nothing is timed: half of the cores run the program, the others read images.
    threads = max(1, session.cores // 2)
    return EvaluateJob(
        bundle=run.bundle.path,
        model=run.reference,
        program=run.lowered.path,
        delegate=run.variant.delegate,
        label=run.variant.label,
        folder=session.spec.data,
        scores=str(scores),
        threads=threads,
        readers=max(1, session.cores - threads),
        run_id=run.id,
        later=later,
    )


async def _eager(session: Session, run: Run, scores: Path, later: int) -> bool:
    """Whether eager of a run's bundle could be evaluated."""
    job = msgspec.structs.replace(
        _job(session, run, scores, later), program=None, delegate=EAGER, label=run.variant.eager_label, run_id=None
    )
    try:
        await session.do(job)
    except WorkerFailed as error:
        session.say(
            "warning",
            f"{job.label} could not be evaluated: {error.without_commands}",
            stage="evaluate",
            level="warning",
        )
        return False
    return True


async def _program(session: Session, run: Run, scores: Path, later: int) -> None:
    start = time.monotonic()
    result = await session.do_for(run, _job(session, run, scores, later), keep_running=True)
    if result is None or result.task is None or run.accuracy is None:
        return
    run.accuracy = msgspec.structs.replace(run.accuracy, task=result.task)
    run.measured_stages.append(Stage(name="evaluate", seconds=time.monotonic() - start))
    session.keep(run)
    task = result.task
    session.say(
        "log",
        f"{task.name} {100 * task.program:.2f} %, eager {100 * task.eager:.2f} %, on {task.count:,} images",
        run=run,
        stage="evaluate",
    )


def _judge(session: Session, run: Run) -> None:
    """Apply the session's limits on the loss to eager to a run's verdict."""
    if not run.live or run.accuracy is None:
        return
    run.accuracy = with_task_limits(run.accuracy, session.spec.map_drop, session.spec.top1_drop)
    session.keep(run)
    session.say("log", f"accuracy {run.accuracy.verdict}: {run.accuracy.reason}", run=run, stage="evaluate")
