"""Build the session that reruns a finished run with modules kept in FP32."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.catalog.find import find_model
from etui.errors import UsageError
from etui.results import RunDocument
from etui.runner.rebuild_program import Trust, trusted_origin, variant_of
from etui.services.request import check_kept, check_threads, wait_quiet_min
from etui.spec import Repeated, SessionSpec, Variant


def spec_keeping_fp32(document: RunDocument, trust: Trust, modules: Sequence[str]) -> SessionSpec:
    """Return the specification of the run's session for this run's variant alone, with ``modules`` in FP32 in addition
    to those that already were. For a run of a duel it has the model and options of the repeated run. Queue it with
    ``submit(store, spec, describe(find_model(spec.model)))``.

    Raises:
        Untrusted: the run was imported and names a file that the user has not allowed.
        UsageError: the document has no specification, its model is missing, its precision does not quantize, or it had
            more threads than this process may use.
    """
    origin = trusted_origin(document, trust)
    model = find_model(origin.model)
    spec = msgspec.convert(document.session.spec, SessionSpec)
    variants = _variants(document, origin)
    return msgspec.structs.replace(
        spec,
        model=origin.model,
        variants=variants,
        threads=check_threads(spec.threads),
        weights=origin.weights,
        seed=origin.seed,
        calibration_count=origin.calibration_count,
        accuracy_inputs=origin.accuracy_inputs,
        export_only_dir=None,
        trusted_files=(),
        wait_quiet_min=wait_quiet_min(None),
        allow_pickle=origin.allow_pickle,
        data=origin.data,
        split=origin.split,
        keep_fp32=check_kept(model, variants, (*origin.keep_fp32, *modules)),
    )


def _variants(document: RunDocument, origin: Repeated) -> tuple[Variant, ...]:
    """Return the variant of a run; for a dynamic program those of all of its shapes, which are its range."""
    own = variant_of(document)
    if not own.dynamic:
        return (own,)
    if len(origin.shapes) < 2:
        raise UsageError(
            f"run {document.id} has a program for a range of shapes, which this run alone does not determine",
            "choose a run of the session that measured the shapes",
        )
    return tuple(
        msgspec.structs.replace(own, input_size=shape.input_size, batch=shape.batch, sequence=shape.sequence)
        for shape in origin.shapes
    )
