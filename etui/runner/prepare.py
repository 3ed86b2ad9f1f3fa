"""Everything before the timing: the bundle, the programs that the cache lacks side by side, and exporting them."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path

from etui.catalog.find import UserModel
from etui.catalog.precisions import keeps, recipe
from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.atomic import copy_file
from etui.host.environment import memory_bytes
from etui.jobs import BundleJob, BundleResult, LowerJob
from etui.runner.program_cache import ProgramCache, installed_versions, machine_for, program_key
from etui.runner.session_context import Run, Session, side_by_side
from etui.runner.settings import prepare_jobs
from etui.spec import program_name

PREPARING_BYTES = 2_000_000_000
"""Memory that preparing one program takes: most take 1 to 3 GB."""


def start_fork_servers(session: Session, cache: ProgramCache) -> None:
    """Begin imports early. Whether a program must be prepared is only known once the bundle's key is; a choice never
    prepared before certainly must be, and its imports go on beside those for measuring."""
    session.children.start("measure")
    if not all(_prepared_mark(session, cache, run).exists() for run in session.runs):
        session.children.start("prepare")


async def make_bundle(session: Session, cache: ProgramCache) -> BundleResult:
    """Have the model, its weights and its inputs made, or found in the cache.

    Raises:
        ChildFailed: the model or its weights cannot be loaded.
        EtuiError: the cache has them damaged, and others use them.
    """
    spec = session.spec
    if not isinstance(session.model, UserModel):
        await session.children.preload(session.model.source)

    async def make() -> BundleResult:
        done = await session.do(
            BundleJob(
                model=spec.model,
                weights=spec.weights,
                seed=spec.seed,
                accuracy_inputs=spec.accuracy_inputs,
                calibration_count=spec.calibration_count,
                cache_dir=str(cache.root),
                allow_pickle=spec.allow_pickle,
            )
        )
        assert done.bundle is not None
        return done.bundle

    return await cache.take_bundle(make, lambda words: session.say("warning", words, stage="load", level="warning"))


async def prepare(session: Session, cache: ProgramCache, bundle: BundleResult) -> None:
    """Find every run's program in the cache, and prepare those it lacks side by side, as many as there are cores
    and memory for. A run whose program cannot be prepared has failed; the others go on."""
    versions = installed_versions()
    missing: list[Run] = []
    for run in session.live():
        family = session.model.family if isinstance(session.model, UserModel) else session.model
        run.key = program_key(
            bundle_key=bundle.key,
            recipe=recipe(family, run.variant.precision, run.variant.delegate),
            delegate=run.variant.delegate,
            calibration_count=session.spec.calibration_count,
            versions=versions,
            keep_fp32=keeps(run.variant.precision, session.spec.keep_fp32),
            machine=machine_for(run.variant.delegate),
        )
        try:
            run.lowered = await cache.take(run.key, partial(_tell_of_damage, session, run))
        except EtuiError as error:
            session.fail(run, error)
            continue
        if run.lowered is None:
            missing.append(run)
        else:
            session.keep(run)
            session.say("log", f"{run.variant.label}: cached, nothing to prepare", run=run, stage="lower")
    slots = asyncio.Semaphore(most_at_once(session.cores, memory_bytes()))
    # Alone, a program's calibration and reference outputs may use every core.
    threads = 1 if len(missing) > 1 else session.cores
    async with side_by_side() as group:
        for run in missing:
            group.create_task(_lower(session, cache, bundle, run, slots, threads))


def most_at_once(cores: int, memory: int | None) -> int:
    """How many programs to prepare side by side: one a core, as far as the memory goes. ETUI_PREPARE_JOBS overrides."""
    if chosen := prepare_jobs():
        return chosen
    return max(1, cores if memory is None else min(cores, memory // PREPARING_BYTES))


def _tell_of_damage(session: Session, run: Run, words: str) -> None:
    session.say("warning", f"{run.variant.label}: {words}", run=run, stage="lower", level="warning")


async def _lower(
    session: Session, cache: ProgramCache, bundle: BundleResult, run: Run, slots: asyncio.Semaphore, threads: int
) -> None:
    async with slots:
        done = await session.do_for(
            run,
            LowerJob(
                bundle=bundle.path,
                model=session.spec.model,
                precision=run.variant.precision,
                delegate=run.variant.delegate,
                calibration_count=session.spec.calibration_count,
                program_key=run.key,
                program_dir=str(cache.program_dir(run.key)),
                run_id=run.id,
                threads=threads,
                keep_fp32=keeps(run.variant.precision, session.spec.keep_fp32),
            ),
        )
    if done is None or done.lowered is None:
        return
    run.lowered = done.lowered
    session.keep(run)
    for note in done.lowered.notes:
        session.say("warning", note, run=run, stage="lower", level="warning")
    mark = _prepared_mark(session, cache, run)
    with contextlib.suppress(OSError):
        private_files.make_folder(mark.parent, own=True)
        mark.touch(private_files.FILE_MODE)


def _prepared_mark(session: Session, cache: ProgramCache, run: Run) -> Path:
    """A file that says this choice has been prepared before, found without knowing the bundle. Only a guess at whether
    the program is still there; what is there decides."""
    spec = session.spec
    key = program_key(
        bundle_key=f"{spec.model} {spec.weights} {spec.seed}",
        recipe=run.variant.precision,
        delegate=run.variant.delegate,
        calibration_count=spec.calibration_count,
        versions=installed_versions(),
        keep_fp32=keeps(run.variant.precision, spec.keep_fp32),
        machine=machine_for(run.variant.delegate),
    )
    return cache.root / "prepared" / key


def export_programs(session: Session, folder: Path) -> None:
    """Copy every run's program to the folder that was named, each whole or not at all."""
    for run in session.live():
        assert run.lowered is not None
        target = folder / program_name(run.model.name, run.variant)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copy_file(Path(run.lowered.path), target, force=True)
        except OSError as error:
            reason = error.strerror or str(error)
            session.fail(run, EtuiError(f"cannot write {target}: {reason}", "choose another folder with -o"))
            continue
        session.say("log", f"exported to {target}", run=run, stage="export")
