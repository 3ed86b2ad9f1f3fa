"""Queue a duel: a head-to-head comparison that measures the programs of two runs again, interleaved, on this machine.

Example::

    queued = queue_duel(store, run_a, run_b, DuelOptions())    # UsageError explains why it is not possible
    (first, _), (second, _) = queued.runs                      # new runs; first repeats run_a, second run_b

A duel is an ordinary session: followed, cancelled and stored the same way. Its two runs share blocks, so that
``etui.analysis.comparison.compare(store.document(first), [store.document(second)])`` pairs them. Eager is measured with
them if both programs have the same model, weights and input shapes; otherwise they have no common baseline.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from etui.analysis.comparability import different_work
from etui.catalog.find import Model, describe, find_model
from etui.errors import UsageError
from etui.host.cpus import usable_cores
from etui.results import RunDocument
from etui.runner.rebuild_program import Trust, check_rebuildable, variant_of
from etui.services.request import check_threads, wait_quiet_min
from etui.services.submit import submit
from etui.spec import DEFAULT_TIMEOUT_S, PresetName, SessionSpec, Variant
from etui.store import QueuedSession, Store
from etui.text import plain


class DuelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure a duel.

    ``threads`` None uses the threads of the runs if they had the same number and this machine has it, else one per
    core. ``wait_quiet_min`` is the longest wait for a quiet machine in minutes; None is the default. ``allow_pickle``
    lets a ``.pt2`` file run code that it contains, as does the setting of its run. ``trusted_files`` are absolute paths
    that imported runs name and that the user allowed.
    """

    preset: PresetName = "rigorous"
    repeat: int | None = None
    warmup: int | None = None
    threads: int | None = None
    timeout_s: float | None = None
    wait_quiet_min: float | None = None
    allow_pickle: bool = False
    trusted_files: tuple[str, ...] = ()


class DuelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A duel that can be queued: its session, the two runs that it repeats, and the model of each variant."""

    spec: SessionSpec
    runs: tuple[RunDocument, RunDocument]
    models: dict[Variant, Model]


def queue_duel(store: Store, run_a: str, run_b: str, options: DuelOptions) -> QueuedSession:
    """Queue a duel of two stored runs and ensure that a runner is alive. No model is loaded here.

    Raises:
        Untrusted: a run was imported and names a file that is not in ``options.trusted_files``.
        UsageError: unknown run, the same run twice, a live or failed run, or a program that is no longer available.
        EtuiError: the database or the runner's state folder cannot be written.
    """
    plan = plan_duel(store, run_a, run_b, options)
    described = {variant: describe(model) for variant, model in plan.models.items()}
    return submit(store, plan.spec, described[plan.spec.variants[0]], described)


def plan_duel(store: Store, run_a: str, run_b: str, options: DuelOptions) -> DuelPlan:
    """Return the duel that ``queue_duel`` would queue. Raises the same errors, except those of writing."""
    documents = [store.document(store.resolve(run_id)) for run_id in (run_a, run_b)]
    first, second = documents
    if first.id == second.id:
        raise UsageError(
            f"cannot compare run {first.id} with itself",
            "name two runs; etui run measures a single program again",
            screen_hint="choose two runs",
        )
    _check_same_work(first, second, options)
    origins = [
        check_rebuildable(document, Trust(imported=store.is_imported(document.id), files=options.trusted_files))
        for document in documents
    ]
    origins = [replace(origin, allow_pickle=options.allow_pickle or origin.allow_pickle) for origin in origins]
    variants = tuple(
        msgspec.structs.replace(variant_of(document), repeats=origin, threads=None)
        for document, origin in zip(documents, origins, strict=True)
    )
    spec = SessionSpec(
        model=origins[0].model,
        variants=variants,
        preset=options.preset,
        repeat=options.repeat,
        warmup=options.warmup,
        threads=_threads(first, second) if options.threads is None else check_threads(options.threads),
        weights=origins[0].weights,
        timeout_s=options.timeout_s or DEFAULT_TIMEOUT_S,
        wait_quiet_min=wait_quiet_min(options.wait_quiet_min),
        calibration_count=origins[0].calibration_count,
        accuracy_inputs=origins[0].accuracy_inputs,
        seed=origins[0].seed,
        data=origins[0].data,
        trusted_files=options.trusted_files,
    )
    models = {variant: find_model(origin.model) for variant, origin in zip(variants, origins, strict=True)}
    return DuelPlan(spec=spec, runs=(first, second), models=models)


def _check_same_work(first: RunDocument, second: RunDocument, options: DuelOptions) -> None:
    """Raise UsageError if a duel cannot answer which of two runs is faster: their inferences do different work, or they
    are the same program with different threads, of which a duel would measure it with one number."""
    compare = f"etui compare {first.id[:6]} {second.id[:6]} shows them side by side"
    if differing := different_work(first, second):
        raise UsageError(
            plain(f"a duel of runs {first.id} and {second.id} has no answer: {differing}"),
            f"choose runs of one shape and method; {compare}",
            screen_hint="choose runs of one shape and method",
        )
    programs = [document.artifact.sha256 if document.artifact else None for document in (first, second)]
    threads = [first.threads, second.threads]
    same_program = programs[0] is not None and programs[0] == programs[1]
    if options.threads is None and same_program and None not in threads and threads[0] != threads[1]:
        raise UsageError(
            f"runs {first.id} and {second.id} are the same program with {threads[0]} and {threads[1]} threads, and a"
            " duel measures both with the same number",
            f"give it with --threads N, or measure both numbers in one session: etui run --threads"
            f" {threads[0]},{threads[1]}",
            screen_hint="measure both numbers of threads in one session",
        )


def _threads(first: RunDocument, second: RunDocument) -> int | None:
    """The number of threads of both runs, if it is the same and this process may use that number of cores."""
    threads = first.threads
    return threads if threads == second.threads and threads is not None and threads <= usable_cores() else None
