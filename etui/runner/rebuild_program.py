"""A stored run's program and bundle, ready to be used again: found in the cache, or prepared as they were.

For whatever does more with a run that is done: ``check_again`` is for front ends, before anything is queued, and
``program_again`` for the runner::

    document, trust = store.document(run_id), Trust(imported=store.is_imported(run_id), files=trusted_files)
    check_again(document, trust)                            # UsageError says why not
    again = await program_again(document, trust, cache=cache, children=children, say=session.report)
    MeasureJob(bundle=again.bundle.path, model=again.model, program=again.lowered.path, ...)
    AccuracyJob(bundle=again.bundle.path, model=again.model, program_dir=again.program_dir, ...)

It never gives another program than the run's own: where model, weights, inputs or versions changed so that the same
one cannot be had any more, it says what changed.

A run that was imported names its model and weights in words that somebody else wrote. A file among them is neither run
nor read before the user has allowed that file: see ``Trust``.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from etui import __version__
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
from etui.jobs import BundleJob, BundleResult, Done, Job, LowerJob, LowerResult
from etui.paths import absolute, cache_dir
from etui.results import LIVE_STATUSES, RunDocument
from etui.runner.program_cache import VERSIONED, ProgramCache, installed_versions, machine_for, program_key
from etui.spec import WEIGHTS, Repeated, SessionSpec
from etui.text import plain

if TYPE_CHECKING:
    from etui.runner.fork_servers import WorkerPool

Log = Callable[[Event], None]
Do = Callable[[Job], Awaitable[Done]]

_MEASURE_HERE = "measure it again from the main screen"
"""What to do on the screen if a program cannot be rebuilt."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what a run says of its origin is the user's own word. The files that an ``imported`` run names are only
    used if the user allowed them: ``files`` are their absolute paths."""

    imported: bool
    files: tuple[str, ...] = ()


class Untrusted(UsageError):
    """An imported run names ``files`` (absolute paths) that the user has not allowed to be used. ``question`` asks
    for that."""

    def __init__(self, run_id: str, named: Mapping[str, str]) -> None:
        self.files = tuple(named)
        said = " and ".join(f"{path}, {what}" for path, what in named.items())
        message = plain(f"run {run_id} was imported and names {said}")
        self.question = f"{message}. Do you trust {'it' if len(named) == 1 else 'them'}?"
        options = " ".join(f"--trust-file {shlex.quote(path)}" for path in named)
        super().__init__(message, plain(f"if you trust {'it' if len(named) == 1 else 'them'}, allow it with {options}"))


class RebuiltProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A run's program as it was and the bundle it belongs to. ``origin.model`` is what jobs take as ``model``; with
    the bundle it gives the eager model, the inputs and the reference outputs."""

    document: RunDocument
    origin: Repeated
    bundle: BundleResult
    lowered: LowerResult

    @property
    def model(self) -> str:
        """What names the model in jobs."""
        return self.origin.model

    @property
    def program_dir(self) -> str:
        """The folder with ``program.pte`` and, where it is another than eager's, ``reference.safetensors``."""
        return str(Path(self.lowered.path).parent)


def origin_of(document: RunDocument) -> Repeated:
    """What the weights and inputs of a run were made from: its session's specification, or in a duel that of the run
    it repeats; ``run`` is this run.

    Raises UsageError where the document does not say it (imports of another format).
    """
    try:
        spec = msgspec.convert(document.session.spec, SessionSpec)
    except msgspec.ValidationError as error:
        raise _no(document, "how it was made is not known", _measure_it("MODEL"), _MEASURE_HERE) from error
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
    )


def trusted_origin(document: RunDocument, trust: Trust) -> Repeated:
    """What the run was made from, to be used. Whether code that a ``.pt2`` brings along may run is for the user to say,
    not for an imported document.

    Raises:
        Untrusted: the run was imported and names a model or weights file that the user has not allowed.
        UsageError: the document does not say what it was made from.
    """
    origin = origin_of(document)
    if not trust.imported:
        return origin
    named = {}
    if (model := model_file(origin.model)) is not None:
        named[model] = "whose code would be executed" if model.endswith(".py") else "which would be loaded and executed"
    if origin.weights not in WEIGHTS:
        named.setdefault(str(absolute(origin.weights, "the weights")), "which would be read as weights")
    if refused := {path: what for path, what in named.items() if path not in trust.files}:
        raise Untrusted(document.id, refused)
    return msgspec.structs.replace(origin, allow_pickle=False)


def check_rebuildable(document: RunDocument, trust: Trust) -> Repeated:
    """What can be told at once, without loading anything: whether the run has a program, its model is still the same
    and its delegate runs here, and whether the program is cached or may be prepared again. Gives the run's origin.

    Raises:
        Untrusted: the run was imported and names a file that the user has not allowed.
        UsageError: why its program cannot be had.
    """
    if document.status in LIVE_STATUSES:
        raise _no(document, f"it is {document.status}", "wait until it is done")
    if document.artifact is None:
        why = f"it {'failed' if document.status == 'failed' else f'is {document.status}'} before it had a program"
        if document.summary_only:
            why = "it was imported as a summary, without a program"
        raise _no(document, why, "choose another run, or measure it anew with etui run", _MEASURE_HERE)
    if document.status == "failed":
        raise _no(document, f"it failed ({document.error})", "choose another run")
    origin = trusted_origin(document, trust)
    model = _same_model(document, origin)
    reason = impossible(model, document.precision, document.delegate)
    if reason is not None:
        raise _no(document, f"{document.delegate} cannot measure here: {reason}", "choose another run")
    changed = _changed_versions(document)
    machine = _changed_machine(document)
    cached = ProgramCache(cache_dir()).has(document.artifact.key)
    if machine or (changed and not cached):
        raise _gone(document, origin, machine + changed, cached=cached)
    return origin


async def rebuild_program(
    document: RunDocument,
    trust: Trust,
    *,
    cache: ProgramCache,
    children: WorkerPool,
    say: Log,
    do: Do | None = None,
    run_id: str | None = None,
    threads: int = 1,
    allow_pickle: bool = False,
) -> RebuiltProgram:
    """Find the run's program and bundle in ``cache``, or have them prepared again there.

    ``say`` hears what the children tell, under ``run_id`` (the run itself, unless another one is made of it). ``do``
    has a job done, for callers that must be able to cancel it (else ``children.do``). ``threads`` serve calibration.
    ``allow_pickle`` lets a ``.pt2`` run code of its own, as does the run itself if that was allowed to.

    Raises:
        EtuiError: the program cannot be had: what ``check_again`` finds, a child that failed, or a key that is no
            longer the same, with what changed.
    """
    origin = check_rebuildable(document, trust)
    artifact, run_id = document.artifact, run_id or document.id
    assert artifact is not None

    async def by_children(job: Job) -> Done:
        return await children.do(job, say)

    do = do or by_children
    model = find_model(origin.model)
    if not isinstance(model, UserModel):
        await children.preload(model.source)
    then, now = _versions_of(document), installed_versions()
    # Without a record of it, the machine is taken for the same.
    machine = machine_for(document.delegate, document.environment) or machine_for(document.delegate)

    def key_of(bundle_key: str, versions: dict[str, str]) -> str:
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
        )

    async def make_bundle() -> BundleResult:
        done = await do(
            BundleJob(
                model=origin.model,
                weights=origin.weights,
                seed=origin.seed,
                accuracy_inputs=origin.accuracy_inputs,
                calibration_count=origin.calibration_count,
                cache_dir=str(cache.root),
                # Weights that cannot be fetched any more, or files that are gone, may still lie in the bundle of then.
                key=next((key for key in cache.bundle_keys() if key_of(key, then) == artifact.key), None),
                allow_pickle=allow_pickle or origin.allow_pickle,
            )
        )
        assert done.bundle is not None
        return done.bundle

    def tell(words: str) -> None:
        _tell(say, run_id, words)

    bundle = await cache.take_bundle(make_bundle, tell)
    key = key_of(bundle.key, now)
    changed = _changed_content(document, bundle)
    lowered = await cache.take(artifact.key, tell)
    known = artifact.key in (key, key_of(bundle.key, then))
    if lowered is not None and not changed and (known or lowered.artifact.sha256 == artifact.sha256):
        _tell(say, run_id, "cached, nothing to prepare")
        if older := _changed_versions(document):
            _tell(say, run_id, f"it was prepared with other versions than run it now: {', '.join(older)}")
        return RebuiltProgram(document=document, origin=origin, bundle=bundle, lowered=lowered)
    cached = lowered is not None
    changed += _changed_versions(document)
    # Another key alone proves nothing: an earlier etui may have made it of other parts.
    same = not changed and document.etui_version == __version__
    if key != artifact.key and not same:
        changed = changed or [f"etui {document.etui_version} prepared it in another way"]
        raise _gone(document, origin, changed, cached=cached)
    lowered = await cache.take(key, tell)
    if lowered is None:
        done = await do(
            lower_job(document, origin, bundle, key, str(cache.program_dir(key)), run_id=run_id, threads=threads)
        )
        assert done.lowered is not None
        lowered = done.lowered
    if lowered.artifact.sha256 != artifact.sha256:
        _tell(say, run_id, "prepared again from the same model, weights, recipe and versions; not the same bytes")
    return RebuiltProgram(document=document, origin=origin, bundle=bundle, lowered=lowered)


def lower_job(
    document: RunDocument, origin: Repeated, bundle: BundleResult, key: str, program_dir: str, *, run_id: str,
    threads: int, etrecord: bool = False,
) -> LowerJob:  # fmt: skip
    """The job that prepares a run's program, as it was asked for then, into a folder."""
    return LowerJob(
        bundle=bundle.path,
        model=origin.model,
        precision=document.precision,
        delegate=document.delegate,
        calibration_count=origin.calibration_count,
        program_key=key,
        program_dir=program_dir,
        run_id=run_id,
        threads=threads,
        etrecord=etrecord,
        keep_fp32=keeps(document.precision, origin.keep_fp32),
    )


def _same_model(document: RunDocument, origin: Repeated) -> Model:
    """The model the run was made from. Raises UsageError where its file is gone, or holds something else now; what it
    imports is only known once it has been run."""
    try:
        model = find_model(origin.model)
        identity = describe(model).identity
    except UsageError as error:
        raise _no(document, error.message, "put it back where it was, or choose another run") from error
    if not is_same_file(identity, document.model.identity):
        raise _no(document, f"{origin.model} changed since", _measure_it(origin.model), _MEASURE_HERE)
    return model


def _versions_of(document: RunDocument) -> dict[str, str]:
    """The versions that entered the key of a run's program, as far as its document tells them."""
    found = document.environment.versions if document.environment else {}
    return {name: found[name] for name in VERSIONED if name in found}


def _changed_versions(document: RunDocument) -> list[str]:
    then, now = _versions_of(document), installed_versions()
    return [
        f"{name} was {then.get(name, 'not installed')} and is {now.get(name, 'not installed')}"
        for name in VERSIONED
        if then.get(name) != now.get(name)
    ]


def _changed_machine(document: RunDocument) -> list[str]:
    """What of the machine changed on which the arithmetic of the run's delegate depends."""
    environment = document.environment
    if environment is None or not environment.cpu_flags:
        return []
    now = machine_for(document.delegate)
    if environment.variables is None:
        # The document has the CPU's features alone.
        now = tuple(one for one in now if "=" not in one)
    differing = sorted(set(machine_for(document.delegate, environment)) ^ set(now))
    if not differing:
        return []
    return [f"{document.delegate} computes by the CPU's features, which differ in {', '.join(differing)}"]


def _changed_content(document: RunDocument, bundle: BundleResult) -> list[str]:
    """What of the code, weights and inputs is other than it was."""
    changed = []
    if names := changed_sources(document.model, bundle.model):
        changed.append(f"what its file imports changed: {', '.join(names)}")
    if document.weights is not None and document.weights.sha256 != bundle.weights.sha256:
        was, now = document.weights, bundle.weights
        changed.append(
            f"its weights were {was.kind} ({was.detail}) and are now {now.kind} ({now.detail}), not the same"
        )
    if document.inputs is not None and document.inputs.sha256 != bundle.inputs.sha256:
        changed.append(f"its inputs were {document.inputs.detail} and are now {bundle.inputs.detail}, not the same")
    return changed


def _gone(document: RunDocument, origin: Repeated, changed: list[str], *, cached: bool) -> UsageError:
    lost = "" if cached else "its program is not in the cache any more, and "
    why = f"{lost}it would come out otherwise now: {'; '.join(changed)}"
    hint = _measure_it(f"{origin.model} -p {document.precision} -d {document.delegate}")
    return _no(document, why, hint, _MEASURE_HERE)


def _no(document: RunDocument, why: str, hint: str, screen_hint: str | None = None) -> UsageError:
    message = plain(f"the program of run {document.id} cannot be had: {why}")
    return UsageError(message, plain(hint), screen_hint=screen_hint)


def _measure_it(words: str) -> str:
    return f"measure it anew: etui run {words}"


def _tell(say: Log, run_id: str, message: str) -> None:
    say(Event(kind="log", message=message, at=utc_now(), run_id=run_id, stage="lower"))
