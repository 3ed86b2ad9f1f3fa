"""Prepare a duel: find or rebuild the programs of two stored runs, or report why one is not available."""

from __future__ import annotations

from etui.errors import EtuiError
from etui.jobs import JobFor, R
from etui.runner.program_cache import ProgramCache
from etui.runner.rebuild_program import Trust, rebuild_program
from etui.runner.session_context import Run, Session


class _Ended(EtuiError):
    """The run of a job has ended and its end was reported."""


async def prepare_duel(session: Session, cache: ProgramCache) -> None:
    """Give each run the program and bundle of the run it repeats. If one is not available, both runs end.

    Raises:
        StoreError: a run that is to be repeated was deleted meanwhile.
    """
    session.workers.start("measure")
    for run in session.live():
        await _take_program(session, cache, run)
    remaining = session.live()
    if len(remaining) == len(session.queued.spec.variants):
        return
    failed = next((run for run in session.runs if not run.live and not run.cancelled), None)
    for run in remaining:
        if failed is None:
            session.end(run, "cancelled", None)
        else:
            session.end(run, "failed", f"not measured: {failed.variant.label} could not be prepared")


async def _take_program(session: Session, cache: ProgramCache, run: Run) -> None:
    assert run.variant.repeats is not None
    repeated = run.variant.repeats.run
    document = session.store.document(repeated)
    trust = Trust(imported=session.store.is_imported(repeated), files=session.spec.trusted_files)

    async def do(job: JobFor[R]) -> R:
        result = await session.do_for(run, job)
        if result is None:
            raise _Ended("the run has ended")
        return result

    try:
        rebuilt = await rebuild_program(
            document,
            trust,
            cache=cache,
            workers=session.workers,
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
    run.bundle, run.lowered = rebuilt.bundle, rebuilt.lowered
