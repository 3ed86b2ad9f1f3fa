"""Prepare a session: build the bundle, lower the programs that the cache lacks in parallel, and export programs."""

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
"""Memory assumed for preparing one program: most need 1 to 3 GB."""


def start_fork_servers(session: Session, cache: ProgramCache) -> None:
    """Start imports early. Whether a program must be prepared is only known with the bundle's key; a configuration that
    was never prepared must be, and its imports run in parallel with those for measuring."""
    session.workers.start("measure")
    if not all(_prepared_mark(session, cache, run).exists() for run in session.runs):
        session.workers.start("prepare")


async def make_bundle(session: Session, cache: ProgramCache) -> BundleResult:
    """Return the bundle (model, weights and inputs) from the cache, or have it built.

    Raises:
        WorkerFailed: the model or its weights cannot be loaded.
        EtuiError: the bundle in the cache is damaged and in use by others.
    """
    spec = session.spec
    if not isinstance(session.model, UserModel):
        await session.workers.preload(session.model.source)

    async def make() -> BundleResult:
        return await session.do(
            BundleJob(
                model=spec.model,
                weights=spec.weights,
                seed=spec.seed,
                accuracy_inputs=spec.accuracy_inputs,
                calibration_count=spec.calibration_count,
                cache_dir=str(cache.root),
                allow_pickle=spec.allow_pickle,
                data=spec.data,
            )
        )

    return await cache.take_bundle(make, lambda message: session.say("warning", message, stage="load", level="warning"))


async def prepare(session: Session, cache: ProgramCache, bundle: BundleResult) -> None:
    """Take every run's program from the cache, and prepare missing ones in parallel, as far as cores and memory allow.
    A run whose program cannot be prepared fails; the others continue."""
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
            run.lowered = await cache.take(run.key, partial(_report_damage, session, run))
        except EtuiError as error:
            session.fail(run, error)
            continue
        if run.lowered is None:
            missing.append(run)
        else:
            session.keep(run)
            session.say("log", f"{run.variant.label}: cached, nothing to prepare", run=run, stage="lower")
    slots = asyncio.Semaphore(parallel_preparations(session.cores, memory_bytes()))
    # The calibration and reference outputs of a single program may use every core.
    threads = 1 if len(missing) > 1 else session.cores
    async with side_by_side() as group:
        for run in missing:
            group.create_task(_lower(session, cache, bundle, run, slots, threads))


def parallel_preparations(cores: int, memory: int | None) -> int:
    """Number of programs to prepare in parallel: one per core, as far as memory allows; or ``ETUI_PREPARE_JOBS``."""
    if chosen := prepare_jobs():
        return chosen
    return max(1, cores if memory is None else min(cores, memory // PREPARING_BYTES))


def _report_damage(session: Session, run: Run, message: str) -> None:
    session.say("warning", f"{run.variant.label}: {message}", run=run, stage="lower", level="warning")


async def _lower(
    session: Session, cache: ProgramCache, bundle: BundleResult, run: Run, slots: asyncio.Semaphore, threads: int
) -> None:
    async with slots:
        lowered = await session.do_for(
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
    if lowered is None:
        return
    run.lowered = lowered
    session.keep(run)
    for note in lowered.notes:
        session.say("warning", note, run=run, stage="lower", level="warning")
    mark = _prepared_mark(session, cache, run)
    with contextlib.suppress(OSError):
        private_files.make_folder(mark.parent, own=True)
        mark.touch(private_files.FILE_MODE)


def _prepared_mark(session: Session, cache: ProgramCache, run: Run) -> Path:
    """A marker file of a configuration that was prepared before, named without knowing the bundle. It only hints that
    the program may be in the cache."""
    spec = session.spec
    key = program_key(
        bundle_key=f"{spec.model} {spec.weights} {spec.seed}" + (f" {spec.data}" if spec.data else ""),
        recipe=run.variant.precision,
        delegate=run.variant.delegate,
        calibration_count=spec.calibration_count,
        versions=installed_versions(),
        keep_fp32=keeps(run.variant.precision, spec.keep_fp32),
        machine=machine_for(run.variant.delegate),
    )
    return cache.root / "prepared" / key


def export_programs(session: Session, folder: Path) -> None:
    """Copy every run's program to a folder, each atomically."""
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
