"""Prepare a session: build the bundle, lower the programs that the cache lacks in parallel, and export programs."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import msgspec

from etui.catalog.find import UserModel
from etui.catalog.memory_need import needed_bytes
from etui.catalog.precisions import keeps, recipe
from etui.errors import EtuiError, StoreError
from etui.files import private as private_files
from etui.files.atomic import copy_file
from etui.host.environment import memory_bytes
from etui.jobs import BundleJob, BundleResult, LowerJob
from etui.runner.dynamic_range import dynamic_dims, largest
from etui.runner.program_cache import ProgramCache, machine_for, program_key, versions_for
from etui.runner.session_context import Run, Session, side_by_side
from etui.runner.settings import prepare_jobs
from etui.spec import Shape, program_name, shape_text
from etui.task_data.program_metadata import TaskMetadata, metadata_path, write_metadata

PREPARING_BYTES = 2_000_000_000
"""Memory assumed for preparing one program: most need 1 to 3 GB."""


def start_fork_servers(session: Session, cache: ProgramCache) -> None:
    """Start imports early. Whether a program must be prepared is only known with the bundle's key; a configuration that
    was never prepared must be, and its imports run in parallel with those for measuring."""
    session.workers.start("measure")
    if not all(_prepared_mark(session, cache, run).exists() for run in session.runs):
        session.workers.start("prepare")


async def make_bundles(session: Session, cache: ProgramCache) -> None:
    """Take the bundle (model, weights and inputs) of each shape and method from the cache, or have it built. In a
    session with several, the runs of a shape that the model does not take fail and the others continue.

    Raises:
        WorkerFailed: the model or its weights cannot be loaded.
        EtuiError: the bundle in the cache is damaged and in use by others.
    """
    if not isinstance(session.model, UserModel):
        await session.workers.preload(session.model.source)
    kinds = list(dict.fromkeys((run.variant.shape, run.variant.method) for run in session.live()))
    for shape, method in kinds:
        runs = [run for run in session.live() if (run.variant.shape, run.variant.method) == (shape, method)]
        try:
            bundle = await _make_bundle(session, cache, shape, method)
        except EtuiError as error:
            if len(kinds) == 1:
                raise
            for run in runs:
                session.fail(run, error)
            continue
        for run in runs:
            run.bundle = bundle
            session.keep(run)


async def _make_bundle(session: Session, cache: ProgramCache, shape: Shape, method: str | None) -> BundleResult:
    spec = session.spec

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
                split=spec.split,
                must_evaluate=spec.must_evaluate,
                shape=shape,
                method=method,
            )
        )

    return await cache.take_bundle(make, lambda message: session.say("warning", message, stage="load", level="warning"))


async def prepare(session: Session, cache: ProgramCache) -> None:
    """Take every run's program from the cache, and prepare missing ones in parallel, as far as cores and memory allow.
    A run whose program cannot be prepared fails; the others continue. Runs that differ in threads only have the same
    program, unless it is compiled for a number of threads."""
    missing: dict[str, list[Run]] = {}
    _find_ranges(session)
    for run in session.live():
        bundle = run.prepared_with
        assert bundle is not None
        family = session.model.family if isinstance(session.model, UserModel) else session.model
        run.key = program_key(
            bundle_key=bundle.key,
            recipe=recipe(family, run.variant.precision, run.variant.delegate),
            delegate=run.variant.delegate,
            calibration_count=session.spec.calibration_count,
            versions=versions_for(run.variant.delegate),
            keep_fp32=keeps(run.variant.precision, session.spec.keep_fp32),
            machine=machine_for(run.variant.delegate),
            threads=session.threads_of(run.variant),
            dynamic=run.dynamic,
        )
        try:
            run.lowered = await cache.take(run.key, partial(_report_damage, session, run))
        except EtuiError as error:
            session.fail(run, error)
            continue
        if run.lowered is None:
            missing.setdefault(run.key, []).append(run)
        else:
            session.keep(run)
            session.say("log", f"{run.variant.label}: cached, nothing to prepare", run=run, stage="lower")
    at_once = parallel_preparations(session.cores, memory_bytes(), needed_bytes(session.model, "quantize"))
    slots = asyncio.Semaphore(at_once)
    # The calibration and reference outputs of a single program may use every core.
    threads = 1 if len(missing) > 1 else session.cores
    async with side_by_side() as group:
        for runs in missing.values():
            group.create_task(_lower(session, cache, runs, slots, threads))


def _find_ranges(session: Session) -> None:
    """Set what every live run's program is prepared with: its own bundle, or for a dynamic program that with the
    largest inputs and the range of all shapes."""
    for run in session.live():
        run.prepared_with = run.bundle
    dynamic = [run for run in session.live() if run.variant.dynamic]
    bundles = [run.bundle for run in dynamic if run.bundle is not None]
    if len({bundle.key for bundle in bundles}) == 1:
        for run in dynamic:
            error = EtuiError(
                "no range of shapes is left for a dynamic program", "measure at least two shapes together"
            )
            session.fail(run, error)
        return
    if not bundles:
        return
    base, dims = largest(bundles), dynamic_dims([bundle.inputs.shapes for bundle in bundles])
    for run in dynamic:
        run.prepared_with, run.dynamic = base, dims


def parallel_preparations(cores: int, memory: int | None, needed: int | None = None) -> int:
    """Number of programs to prepare in parallel: one per core, as far as memory allows; or ``ETUI_PREPARE_JOBS``.
    ``needed`` is the estimated memory of one in bytes; None for models that are not large."""
    if chosen := prepare_jobs():
        return chosen
    return max(1, cores if memory is None else min(cores, memory // (needed or PREPARING_BYTES)))


def _report_damage(session: Session, run: Run, message: str) -> None:
    session.say("warning", f"{run.variant.label}: {message}", run=run, stage="lower", level="warning")


async def _lower(
    session: Session, cache: ProgramCache, runs: list[Run], slots: asyncio.Semaphore, threads: int
) -> None:
    """Prepare the program of these runs, for the first of them that is live."""
    run, *others = runs
    bundle = run.prepared_with
    assert bundle is not None
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
                run_threads=session.threads_of(run.variant),
                keep_fp32=keeps(run.variant.precision, session.spec.keep_fp32),
                dynamic=run.dynamic,
            ),
        )
    if lowered is None:
        # Cancelled, or failed: then it fails for each of the others too, with the same reason in its own log.
        if others:
            await _lower(session, cache, others, slots, threads)
        return
    run.lowered = lowered
    session.keep(run)
    for other in others:
        other.lowered = await cache.take(other.key, partial(_report_damage, session, other))
        session.keep(other)
        session.say("log", f"{other.variant.label}: cached, nothing to prepare", run=other, stage="lower")
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
        bundle_key=" ".join(
            filter(
                None, (spec.model, spec.weights, str(spec.seed), spec.data or "", spec.split or "", _shape_mark(run))
            )
        ),
        recipe=run.variant.precision,
        delegate=run.variant.delegate,
        calibration_count=spec.calibration_count,
        versions=versions_for(run.variant.delegate),
        keep_fp32=keeps(run.variant.precision, spec.keep_fp32),
        machine=machine_for(run.variant.delegate),
        threads=session.threads_of(run.variant),
    )
    return cache.root / "prepared" / key


def _shape_mark(run: Run) -> str:
    return f"{shape_text(run.variant.shape)}{' dynamic' if run.variant.dynamic else ''}"


def export_programs(session: Session, folder: Path) -> None:
    """Copy every run's program to a folder, each atomically."""
    for run in session.live():
        assert run.lowered is not None
        target = folder / program_name(run.model.name, run.variant, Path(run.lowered.path).suffix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copy_file(Path(run.lowered.path), target, force=True)
            _write_task(run, target)
        except OSError as error:
            reason = error.strerror or str(error)
            session.fail(run, EtuiError(f"cannot write {target}: {reason}", "choose another folder with -o"))
            continue
        except StoreError as error:
            session.fail(run, error)
            continue
        session.say("log", f"exported to {target}", run=run, stage="export")


def _write_task(run: Run, target: Path) -> None:
    """Write what is needed to use a program next to it. That of an earlier program of the same name is removed."""
    task = run.bundle.task if run.bundle is not None else None
    if target.suffix != ".pte":
        return
    if task is None:
        metadata_path(target).unlink(missing_ok=True)
    else:
        write_metadata(target, msgspec.convert(task, TaskMetadata), force=True)
