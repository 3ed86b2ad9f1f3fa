"""A duel: two runs' programs measured again, interleaved, on this box now. Queued here for the command line and the
screen alike::

    queued = queue_duel(store, run_a, run_b)          # UsageError says why it makes no sense
    (first, _), (second, _) = queued.runs             # new runs; first repeats run_a, second run_b

It is a session like any other: followed, cancelled and stored the same way. Its two runs have blocks in common, so that
``etui.analysis.comparison.compare(store.document(first), [store.document(second)])`` pairs them. Eager is measured with
them where both programs are of the same model with the same weights and shapes of inputs; otherwise there is none that
stands beside both.
"""

from __future__ import annotations

from msgspec.structs import replace

from etui.catalog.find import describe, find_model
from etui.errors import UsageError
from etui.host.cpus import usable_cores
from etui.results import RunDocument
from etui.runner.rebuild_program import Trust, check_rebuildable
from etui.services.request import check_threads, wait_quiet_min
from etui.services.submit import submit
from etui.spec import DEFAULT_TIMEOUT_S, PresetName, SessionSpec, Variant
from etui.store import QueuedSession, Store


def queue_duel(
    store: Store,
    run_a: str,
    run_b: str,
    *,
    preset: PresetName = "rigorous",
    repeat: int | None = None,
    warmup: int | None = None,
    threads: int | None = None,
    timeout_s: float | None = None,
    wait_quiet: float | None = None,
    allow_pickle: bool = False,
    trusted_files: tuple[str, ...] = (),
) -> QueuedSession:
    """Queue a duel of two stored runs and see that a runner is there to take it. Nothing is loaded here.

    ``threads`` None takes those of the runs where both had the same and this box has them, else one a core.
    ``wait_quiet`` is how many minutes to wait at most for a calm machine; None is the default. ``allow_pickle`` lets a
    ``.pt2`` run code that its file brings along, as does its run if that was allowed to. ``trusted_files`` are absolute
    paths that imported runs name and that the user allowed to be used.

    Raises:
        Untrusted: a run was imported and names a file that is not among ``trusted_files``.
        UsageError: no such run, one run twice, a live or failed run, or a program that cannot be had any more.
        EtuiError: the database or the runner's state folder cannot be written.
    """
    documents = [store.document(store.resolve(run_id)) for run_id in (run_a, run_b)]
    first, second = documents
    if first.id == second.id:
        raise UsageError(
            f"run {first.id} cannot meet itself",
            "name two runs; etui run measures one program again by itself",
            screen_hint="choose two runs",
        )
    origins = [
        check_rebuildable(document, Trust(imported=store.is_imported(document.id), files=trusted_files))
        for document in documents
    ]
    origins = [replace(one, allow_pickle=allow_pickle or one.allow_pickle) for one in origins]
    variants = tuple(
        Variant(precision=document.precision, delegate=document.delegate, repeats=origin)
        for document, origin in zip(documents, origins, strict=True)
    )
    spec = SessionSpec(
        model=origins[0].model,
        variants=variants,
        preset=preset,
        repeat=repeat,
        warmup=warmup,
        threads=_threads(first, second) if threads is None else check_threads(threads),
        weights=origins[0].weights,
        timeout_s=timeout_s or DEFAULT_TIMEOUT_S,
        wait_quiet_min=wait_quiet_min(wait_quiet),
        calibration_count=origins[0].calibration_count,
        accuracy_inputs=origins[0].accuracy_inputs,
        seed=origins[0].seed,
        trusted_files=trusted_files,
    )
    models = {variant: describe(find_model(origin.model)) for variant, origin in zip(variants, origins, strict=True)}
    return submit(store, spec, models[variants[0]], models)


def _threads(first: RunDocument, second: RunDocument) -> int | None:
    """The threads both runs had, where they had the same and this process may use so many cores."""
    threads = first.threads
    return threads if threads == second.threads and threads is not None and threads <= usable_cores() else None
