"""Preparing a duel: the programs of two runs as they were, or a plain word on why one cannot be had."""

from __future__ import annotations

from etui.errors import EtuiError
from etui.jobs import Done, Job
from etui.runner.program_cache import ProgramCache
from etui.runner.rebuild_program import Trust, rebuild_program
from etui.runner.session_context import Run, Session


class _Ended(EtuiError):
    """The run a job was for has ended; its end has been told."""


async def prepare_duel(session: Session, cache: ProgramCache) -> None:
    """Give each run the program and bundle of the run it repeats. Where one side cannot be had both end.

    Raises:
        StoreError: a run that is to be repeated was deleted meanwhile.
    """
    session.children.start("measure")
    for run in session.live():
        await _have(session, cache, run)
    others = session.live()
    if len(others) == len(session.queued.spec.variants):
        return
    failed = next((run for run in session.runs if not run.live and not run.cancelled), None)
    for run in others:
        if failed is None:
            session.end(run, "cancelled", None)
        else:
            session.end(run, "failed", f"not measured, because {failed.variant.label} cannot be")


async def _have(session: Session, cache: ProgramCache, run: Run) -> None:
    assert run.variant.repeats is not None
    repeated = run.variant.repeats.run
    document = session.store.document(repeated)
    trust = Trust(imported=session.store.is_imported(repeated), files=session.spec.trusted_files)

    async def do(job: Job) -> Done:
        done = await session.do_for(run, job)
        if done is None:
            raise _Ended("the run has ended")
        return done

    try:
        again = await rebuild_program(
            document,
            trust,
            cache=cache,
            children=session.children,
            say=session.report,
            do=do,
            run_id=run.id,
            threads=session.cores,
            allow_pickle=run.variant.repeats.allow_pickle,
        )
    except _Ended:
        return
    except EtuiError as error:
        session.fail(run, error)
        return
    run.bundle, run.lowered = again.bundle, again.lowered
