"""Make a stored run's program and bundle available again: from the cache, or prepared as they were.

Used by everything that continues from a finished run: front ends call ``check_rebuildable`` before anything is queued,
the runner calls ``rebuild_program``::

    document, trust = store.document(run_id), Trust(imported=store.is_imported(run_id), files=trusted_files)
    check_rebuildable(document, trust)                      # UsageError explains why not
    rebuilt = await rebuild_program(document, trust, cache=cache, workers=workers, say=session.report)
    MeasureJob(bundle=rebuilt.bundle.path, model=rebuilt.model, program=rebuilt.lowered.path, ...)
    AccuracyJob(bundle=rebuilt.bundle.path, model=rebuilt.model, program_dir=rebuilt.program_dir, ...)

It never returns another program than the run's own: if model, weights, inputs or versions changed so that the same
program cannot be rebuilt, the error names the changes.

An imported run names its model and weights in text that somebody else wrote. A file named there is neither executed nor
read before the user has allowed that file: see ``Trust``.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from etui import __version__
from etui.catalog.delegates import needs_gpu
from etui.catalog.find import (
    Model,
    UserModel,
    changed_sources,
    describe,
    find_model,
    impossible,
    is_same_file,
    model_file,
)
from etui.catalog.precisions import keeps, recipe
from etui.errors import UsageError
from etui.events import Event, utc_now
from etui.jobs import BundleJob, BundleResult, DynamicDims, JobFor, LowerJob, LowerResult, R
from etui.paths import absolute, cache_dir
from etui.results import LIVE_STATUSES, RunDocument
from etui.runner.dynamic_range import dynamic_dims, largest
from etui.runner.program_cache import ProgramCache, machine_for, program_key, version_names, versions_for
from etui.spec import WEIGHTS, Repeated, SessionSpec, Shape, Variant
from etui.text import plain

if TYPE_CHECKING:
    from etui.runner.fork_servers import WorkerPool

Log = Callable[[Event], None]


class Do(Protocol):
    """Has a job done and returns its result."""

    def __call__(self, job: JobFor[R], /) -> Awaitable[R]:
        """Run the job in a worker and return its result."""


_MEASURE_HERE = "measure it again"
"""What to do on the screen if a program cannot be rebuilt."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Which files named by a run may be used. Those of an ``imported`` run only if the user allowed them: ``files`` are
    their absolute paths."""

    imported: bool
    files: tuple[str, ...] = ()


class Untrusted(UsageError):
    """An imported run names ``files`` (absolute paths) that the user has not allowed. ``question`` asks the user to
    allow them."""

    def __init__(self, run_id: str, named: Mapping[str, str]) -> None:
        self.files = tuple(named)
        description = " and ".join(f"{path}, {what}" for path, what in named.items())
        message = plain(f"run {run_id} was imported and names {description}")
        self.question = f"{message}. Do you trust {'it' if len(named) == 1 else 'them'}?"
        options = " ".join(f"--trust-file {shlex.quote(path)}" for path in named)
        super().__init__(message, plain(f"if you trust {'it' if len(named) == 1 else 'them'}, allow it with {options}"))


class LoweredWith(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that a program is exported and calibrated with, and the range of shapes that a dynamic one takes."""

    bundle: BundleResult
    dynamic: DynamicDims | None = None


class RebuiltProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A run's own program and its bundle. ``origin.model`` is the ``model`` of jobs; with the bundle it yields the
    eager model, the inputs and the reference outputs. ``lowered_with`` is what the program is lowered with: None for a
    dynamic program that was found in the cache, unless that was requested."""

    document: RunDocument
    origin: Repeated
    bundle: BundleResult
    lowered: LowerResult
    lowered_with: LoweredWith | None = None

    @property
    def model(self) -> str:
        """The ``model`` of jobs."""
        return self.origin.model

    @property
    def program_dir(self) -> str:
        """The folder with the program and, if it differs from the eager reference, ``reference.safetensors``."""
        return str(Path(self.lowered.path).parent)


def origin_of(document: RunDocument) -> Repeated:
    """Return what a run's weights and inputs were made from: its session's specification, or in a duel that of the run
    it repeats; ``run`` is this run.

    Raises UsageError if the document does not contain it (imports of another format).
    """
    try:
        spec = msgspec.convert(document.session.spec, SessionSpec)
    except msgspec.ValidationError as error:
        raise _unavailable(document, "its specification is not known", _rerun_hint("MODEL"), _MEASURE_HERE) from error
    for variant in spec.variants:
        if variant.repeats is not None and variant.repeats.run == document.repeats:
            return msgspec.structs.replace(variant.repeats, run=document.id)
    return Repeated(
        run=document.id,
        model=spec.model,
        weights=spec.weights,
        seed=spec.seed,
        calibration_count=spec.calibration_count,
        accuracy_inputs=spec.accuracy_inputs,
        keep_fp32=spec.keep_fp32,
        allow_pickle=spec.allow_pickle,
        data=spec.data,
        split=spec.split,
        shapes=_shapes_of_program(document, spec),
    )


def _shapes_of_program(document: RunDocument, spec: SessionSpec) -> tuple[Shape, ...]:
    """Return the shapes that a dynamic program was requested for; empty for a static program."""
    like = document.precision, document.delegate
    return tuple(
        dict.fromkeys(
            variant.shape
            for variant in spec.variants
            if document.dynamic and variant.dynamic and (variant.precision, variant.delegate) == like
        )
    )


def trusted_origin(document: RunDocument, trust: Trust) -> Repeated:
    """Return what the run was made from, after checking ``trust``. An imported document cannot allow the code in a
    ``.pt2`` file to run; only the user can.

    Raises:
        Untrusted: the run was imported and names a model, weights or data that the user has not allowed.
        UsageError: the document does not contain what it was made from.
    """
    origin = origin_of(document)
    if not trust.imported:
        return origin
    named = {}
    if (model := model_file(origin.model)) is not None:
        named[model] = "whose code would be executed" if model.endswith(".py") else "which would be loaded and executed"
    if origin.weights not in WEIGHTS:
        named.setdefault(str(absolute(origin.weights, "the weights")), "which would be read as weights")
    if origin.data is not None:
        named.setdefault(str(absolute(origin.data, "the data")), "whose files would be read as inputs")
    if refused := {path: what for path, what in named.items() if path not in trust.files}:
        raise Untrusted(document.id, refused)
    return msgspec.structs.replace(origin, allow_pickle=False)


def check_rebuildable(document: RunDocument, trust: Trust) -> Repeated:
    """Check, without loading anything, whether a run's program can be rebuilt; return the run's origin.

    The run must have a program, its model must be unchanged, its delegate must run here, and the program must be cached
    or reproducible with the installed versions.

    Raises:
        Untrusted: the run was imported and names a file that the user has not allowed.
        UsageError: the program is not available; the message has the reason.
    """
    if document.status in LIVE_STATUSES:
        raise _unavailable(document, f"it is {document.status}", "wait until it is done")
    if document.artifact is None:
        why = f"it {'failed' if document.status == 'failed' else f'was {document.status}'} before producing a program"
        if needs_gpu(document.delegate):
            why = "eager PyTorch has none"
        if document.summary_only:
            why = "it was imported as a summary, without a program"
        raise _unavailable(document, why, "choose another run, or measure it again with etui run", _MEASURE_HERE)
    if document.status == "failed":
        raise _unavailable(document, f"it failed ({document.error})", "choose another run")
    origin = trusted_origin(document, trust)
    model = _same_model(document, origin)
    reason = impossible(model, document.precision, document.delegate)
    if reason is not None:
        raise _unavailable(document, f"{document.delegate} is not available here: {reason}", "choose another run")
    changed = _changed_versions(document)
    machine = _changed_machine(document)
    cached = ProgramCache(cache_dir()).has(document.artifact.key)
    if machine or (changed and not cached):
        raise _changed(document, origin, machine + changed, cached=cached)
    if document.dynamic and not cached and len(origin.shapes) < 2:
        raise _no_range(document)
    return origin


async def rebuild_program(
    document: RunDocument,
    trust: Trust,
    *,
    cache: ProgramCache,
    workers: WorkerPool,
    say: Log,
    do: Do | None = None,
    run_id: str | None = None,
    threads: int = 1,
    allow_pickle: bool = False,
    to_lower_again: bool = False,
) -> RebuiltProgram:
    """Find the run's program and bundle in ``cache``, or have them prepared again there.

    ``say`` receives the workers' events, under ``run_id`` (default: the run itself). ``do`` has a job done, for callers
    that must be able to cancel it (default: ``workers.do``). ``threads`` are used for calibration. ``allow_pickle``
    lets a ``.pt2`` file run code that it contains, as does the run's own setting. ``to_lower_again`` sets
    ``lowered_with`` of a dynamic program even if it is cached, which takes the bundles of all its shapes.

    Raises:
        EtuiError: the program is not available: see ``check_rebuildable``; or a worker failed, or the key changed, with
            the changes.
    """
    origin = check_rebuildable(document, trust)
    artifact, run_id = document.artifact, run_id or document.id
    assert artifact is not None

    async def by_workers(job: JobFor[R]) -> R:
        return await workers.do(job, say)

    do = do or by_workers
    model = find_model(origin.model)
    if not isinstance(model, UserModel):
        await workers.preload(model.source)
    stored, installed = _versions_of(document), versions_for(document.delegate)
    # If the machine was not recorded it is assumed to be the same.
    machine = machine_for(document.delegate, document.environment) or machine_for(document.delegate)

    def key_of(bundle_key: str, versions: dict[str, str], dynamic: DynamicDims | None = None) -> str:
        return program_key(
            bundle_key=bundle_key,
            recipe=recipe(
                model.family if isinstance(model, UserModel) else model, document.precision, document.delegate
            ),
            delegate=document.delegate,
            calibration_count=origin.calibration_count,
            versions=versions,
            keep_fp32=keeps(document.precision, origin.keep_fp32),
            machine=machine,
            threads=document.threads,
            dynamic=dynamic,
        )

    own_shape = variant_of(document).shape

    async def make_bundle(shape: Shape = own_shape) -> BundleResult:
        return await do(
            BundleJob(
                model=origin.model,
                weights=origin.weights,
                seed=origin.seed,
                accuracy_inputs=origin.accuracy_inputs,
                calibration_count=origin.calibration_count,
                cache_dir=str(cache.root),
                # The original bundle may still have weights or files that are no longer available elsewhere.
                key=next((key for key in cache.bundle_keys() if key_of(key, stored) == artifact.key), None),
                allow_pickle=allow_pickle or origin.allow_pickle,
                data=origin.data,
                split=origin.split,
                shape=shape,
                method=document.method,
            )
        )

    def log(message: str) -> None:
        say(Event(kind="log", message=message, at=utc_now(), run_id=run_id, stage="lower"))

    async def find_range() -> LoweredWith:
        """Return what a dynamic program is lowered with, as in its session: without the shapes that the model does not
        take, which failed there too."""
        from etui.runner.worker import WorkerFailed

        bundles = []
        for shape in origin.shapes:
            with contextlib.suppress(WorkerFailed):
                made = bundle if shape == own_shape else await cache.take_bundle(partial(make_bundle, shape), log)
                bundles.append(made)
        if len({each.key for each in bundles}) < 2:
            raise _no_range(document)
        dims = dynamic_dims([each.inputs.shapes for each in bundles])
        return LoweredWith(bundle=largest(bundles), dynamic=dims)

    bundle = await cache.take_bundle(make_bundle, log)
    changed = _changed_content(document, bundle)
    lowered = await cache.take(artifact.key, log)
    lowered_with: LoweredWith | None = LoweredWith(bundle=bundle)
    if document.dynamic:
        lowered_with = await find_range() if lowered is None or to_lower_again else None
    keys = [
        key_of(lowered_with.bundle.key, versions, lowered_with.dynamic) if lowered_with else ""
        for versions in (installed, stored)
    ]
    key, same_key = keys[0], artifact.key in keys
    is_own = lowered is not None and lowered.artifact.sha256 == artifact.sha256
    if lowered is not None and not changed and (same_key or is_own or lowered_with is None):
        log("cached, nothing to prepare")
        if differing := _changed_versions(document):
            log(f"the program was prepared with other package versions than are installed now: {', '.join(differing)}")
        return RebuiltProgram(
            document=document, origin=origin, bundle=bundle, lowered=lowered, lowered_with=lowered_with
        )
    cached = lowered is not None
    changed += _changed_versions(document)
    # A different key alone proves nothing: an earlier etui may have computed it from other parts.
    unchanged = not changed and document.etui_version == __version__
    if key != artifact.key and not unchanged:
        changed = changed or [f"etui {document.etui_version} prepared it differently"]
        raise _changed(document, origin, changed, cached=cached)
    assert lowered_with is not None
    lowered = await cache.take(key, log)
    if lowered is None:
        lowered = await do(
            lower_job(document, origin, lowered_with, key, str(cache.program_dir(key)), run_id=run_id, threads=threads)
        )
    if lowered.artifact.sha256 != artifact.sha256:
        log("prepared again from the same model, weights, recipe and versions, but the bytes differ")
    return RebuiltProgram(document=document, origin=origin, bundle=bundle, lowered=lowered, lowered_with=lowered_with)


def lower_job(
    document: RunDocument, origin: Repeated, lowered_with: LoweredWith, key: str, program_dir: str, *, run_id: str,
    threads: int, etrecord: bool = False,
) -> LowerJob:  # fmt: skip
    """Return the job that prepares a run's program in a folder, as originally requested."""
    return LowerJob(
        bundle=lowered_with.bundle.path,
        model=origin.model,
        precision=document.precision,
        delegate=document.delegate,
        calibration_count=origin.calibration_count,
        program_key=key,
        program_dir=program_dir,
        run_id=run_id,
        threads=threads,
        etrecord=etrecord,
        run_threads=document.threads,
        keep_fp32=keeps(document.precision, origin.keep_fp32),
        dynamic=lowered_with.dynamic,
    )


def variant_of(document: RunDocument) -> Variant:
    """Return the variant of its session that a run was measured as, with its number of threads if that was varied."""
    return Variant(
        precision=document.precision,
        delegate=document.delegate,
        input_size=document.input_size,
        batch=document.batch,
        sequence=document.sequence,
        threads=document.threads if document.variant and " threads " in document.variant else None,
        dynamic=document.dynamic,
        method=document.method,
    )


def _same_model(document: RunDocument, origin: Repeated) -> Model:
    """Return the model the run was made from. Raises UsageError if its file is missing or changed; changes of modules
    that it imports are only found once it is executed."""
    try:
        model = find_model(origin.model)
        identity = describe(model).identity
    except UsageError as error:
        raise _unavailable(document, error.message, "restore it, or choose another run") from error
    if not is_same_file(identity, document.model.identity):
        raise _unavailable(document, f"{origin.model} has changed since", _rerun_hint(origin.model), _MEASURE_HERE)
    return model


def _versions_of(document: RunDocument) -> dict[str, str]:
    """Return the versions in the key of a run's program, as far as its document has them."""
    versions = document.environment.all_versions if document.environment else {}
    return {name: versions[name] for name in version_names(document.delegate) if name in versions}


def _changed_versions(document: RunDocument) -> list[str]:
    stored, installed = _versions_of(document), versions_for(document.delegate)
    return [
        f"{name} was {stored.get(name, 'not installed')} and is now {installed.get(name, 'not installed')}"
        for name in version_names(document.delegate)
        if stored.get(name) != installed.get(name)
    ]


def _changed_machine(document: RunDocument) -> list[str]:
    """Return the changes of the machine that the arithmetic of the run's delegate depends on."""
    environment = document.environment
    if environment is None or not environment.cpu_flags:
        return []
    now = machine_for(document.delegate)
    if environment.variables is None:
        # The document has only the CPU's features.
        now = tuple(fact for fact in now if "=" not in fact)
    differing = sorted(set(machine_for(document.delegate, environment)) ^ set(now))
    if not differing:
        return []
    return [f"the arithmetic of {document.delegate} depends on CPU features, which differ in {', '.join(differing)}"]


def _changed_content(document: RunDocument, bundle: BundleResult) -> list[str]:
    """Return the changes of code, weights and inputs."""
    changed = []
    if names := changed_sources(document.model, bundle.model):
        changed.append(f"modules imported by its file changed: {', '.join(names)}")
    if document.weights is not None and document.weights.sha256 != bundle.weights.sha256:
        was, now = document.weights, bundle.weights
        changed.append(
            f"its weights were {was.kind} ({was.detail}) and are now {now.kind} ({now.detail}) with another content"
        )
    if document.inputs is not None and document.inputs.sha256 != bundle.inputs.sha256:
        changed.append(
            f"its inputs were {document.inputs.detail} and are now {bundle.inputs.detail} with another content"
        )
    return changed


def _no_range(document: RunDocument) -> UsageError:
    return _unavailable(
        document,
        "it takes a range of shapes that is not known, and is no longer in the cache",
        "measure the shapes again: etui run .. --dynamic",
        _MEASURE_HERE,
    )


def _changed(document: RunDocument, origin: Repeated, changed: list[str], *, cached: bool) -> UsageError:
    lost = "" if cached else "it is no longer in the cache, and "
    why = f"{lost}rebuilding it would give a different program: {'; '.join(changed)}"
    hint = _rerun_hint(f"{origin.model} -p {document.precision} -d {document.delegate}")
    return _unavailable(document, why, hint, _MEASURE_HERE)


def _unavailable(document: RunDocument, why: str, hint: str, screen_hint: str | None = None) -> UsageError:
    message = plain(f"cannot rebuild the program of run {document.id}: {why}")
    return UsageError(message, plain(hint), screen_hint=screen_hint)


def _rerun_hint(arguments: str) -> str:
    return f"measure it again: etui run {arguments}"
