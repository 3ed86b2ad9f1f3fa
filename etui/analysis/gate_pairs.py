"""Whether a run has the configuration of a baseline's run, so that a gate compares the two."""

from __future__ import annotations

from etui import text
from etui.analysis.comparability import DEFAULT_METHOD
from etui.analysis.keep_fp32 import kept_fp32
from etui.analysis.shape_range import shape_range
from etui.results import RunDocument
from etui.spec import Shape, shape_text


def has_configuration_of(base: RunDocument, run: RunDocument) -> bool:
    """Whether a run has the model, precision, delegate, modules kept in FP32, method, shape and threads of ``base``.

    Shapes and threads are those that were requested or, if only one of the runs requested them, those it was measured
    with: ``--threads 1`` is the configuration of ``--threads 1,2`` with one thread.
    """
    return (
        _program(base) == _program(run)
        and _has_threads_of(base, run)
        and (_requested(base) == _requested(run) or _has_shapes_of(base, run))
    )


def is_other_shape_or_threads(base: RunDocument, run: RunDocument) -> bool:
    """Whether a run differs from ``base`` in shape or threads only."""
    return _program(base) == _program(run) and not has_configuration_of(base, run)


def configuration_text(run: RunDocument) -> str:
    """Return the configuration, such as ``resnet18 int8 xnnpack 128x128 with 2 threads``."""
    model, precision, delegate, kept, method, dynamic = _program(run)
    parts = [model, precision, delegate]
    parts += [f"without {kept}"] if kept else []
    parts += [shape] if (shape := shape_text(_requested(run))) else []
    parts += [f"dynamic ({dynamic})"] if dynamic else []
    parts += [method] if method != DEFAULT_METHOD else []
    parts += [f"with {text.counted(run.threads, 'thread')}"] if run.threads is not None else []
    return text.plain(" ".join(parts))


def _program(run: RunDocument) -> tuple[str, ...]:
    return (
        run.model.name,
        run.precision,
        run.delegate,
        ",".join(kept_fp32(run)),
        run.method or DEFAULT_METHOD,
        shape_range(run.session.spec, is_dynamic=run.dynamic),
    )


def _requested(run: RunDocument) -> Shape:
    return Shape(input_size=run.input_size, batch=run.batch, sequence=run.sequence)


def _has_threads_of(base: RunDocument, run: RunDocument) -> bool:
    """Whether the threads are the same. A run that failed early may not have them: it matches any."""
    return base.threads == run.threads or base.threads is None or run.threads is None


def _has_shapes_of(base: RunDocument, run: RunDocument) -> bool:
    """Whether the inputs have the same shapes, although a part of it was requested for one of the runs only."""
    one, two = _requested(base), _requested(run)
    pairs = ((one.input_size, two.input_size), (one.batch, two.batch), (one.sequence, two.sequence))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return False
    return base.inputs is not None and run.inputs is not None and base.inputs.shapes == run.inputs.shapes
