"""A model's summary as labels and texts, and as cells of a table of its modules; the same for every front end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etui import text
from etui.model_summary import MeasuredRun, ModelSummary, ModuleSummary, TensorInfo
from etui.wording.run_sections import Entry

HEADINGS = (
    "module", "type", "calls", "input", "output", "parameters", "share", "multiply-adds", "share", "activations",
    "share",
)  # fmt: skip
"""The headings of ``cells``."""

COUNTED = (
    "Multiply-adds are those of convolutions and matrix products, attention included; elementwise operators,"
    " normalization, activations and pooling count as zero."
)
_PRECISIONS = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8"}
_MOST_TENSORS = 3


def totals(summary: ModelSummary) -> list[Entry]:
    """Return the figures of the whole model."""
    return list(_totals(summary))


def _totals(summary: ModelSummary) -> Iterator[Entry]:
    yield Entry("input", f"{tensors(summary.inputs, dtypes=True)}; {text.size(summary.input_bytes)}")
    yield Entry("output", f"{tensors(summary.outputs, dtypes=True)}; {text.size(summary.output_bytes)}")
    yield Entry("parameters", _parameters(summary))
    yield Entry("multiply-adds", f"{amount(summary.macs)} per inference{_unknown(summary)}")
    for operator, count in summary.uncounted.items():
        yield Entry("not counted", f"{operator}, {text.counted(count, 'call')}: its work is not known", "warn")
    sizes = [f"{_PRECISIONS.get(name, name)} {text.size(size)}" for name, size in summary.estimated_bytes.items()]
    yield Entry("estimated size", ", ".join(sizes))
    yield Entry(
        "activations",
        f"{text.size(summary.forward_bytes)} per inference, at most {text.size(summary.peak_bytes)} at the same time",
    )
    weights = summary.parameter_bytes + summary.buffer_bytes
    yield Entry("memory", f"{text.size(weights + summary.peak_bytes)} with the weights")
    yield Entry("training", _training(summary, weights))
    for note in summary.notes:
        yield Entry("note", note)


def runs(measured: Sequence[MeasuredRun]) -> list[Entry]:
    """Return the sizes of the saved programs, and one entry per run: latency and achieved multiply-adds per second."""
    sizes = [Entry("saved programs", ", ".join(_saved(measured)))] if any(run.size_bytes for run in measured) else []
    return [*sizes, *(Entry(f"{run.precision}/{run.delegate}", _run(run)) for run in measured)]


def _saved(measured: Sequence[MeasuredRun]) -> list[str]:
    """Return the size of the program of each precision and delegate, in the order of the precisions' sizes."""
    saved: dict[str, int] = {}
    for run in measured:
        if run.size_bytes is not None:
            kept = f" with {text.counted(len(run.keep_fp32), 'module')} in FP32" if run.keep_fp32 else ""
            machine = f" on {run.machine}" if run.machine else ""
            name = f"{_PRECISIONS.get(run.precision, run.precision)}/{run.delegate}{kept}{machine}"
            saved.setdefault(name, run.size_bytes)
    return [f"{name} {text.size(size)}" for name, size in sorted(saved.items(), key=lambda item: -item[1])]


def _run(run: MeasuredRun) -> str:
    parts = [f"measured {text.number(run.latency_ms)} ms"]
    parts += [f"{text.number(run.gmacs_per_s)} GMAC/s"] if run.gmacs_per_s is not None else []
    parts += [f"{text.counted(len(run.keep_fp32), 'module')} in FP32"] if run.keep_fp32 else []
    parts += [text.counted(run.threads, "thread")] if run.threads is not None else []
    parts += [f"on {run.machine}"] if run.machine else []
    return f"{', '.join(parts)} ({run.run[:6]})"


def _parameters(summary: ModelSummary) -> str:
    count = f"{amount(summary.parameters)} ({summary.parameters:,})"
    if summary.trainable == summary.parameters:
        part = "all trainable"
    elif not summary.trainable:
        part = "none trainable"
    else:
        part = f"{summary.trainable:,} trainable"
    others = f"; buffers {summary.buffers:,}" if summary.buffers else ""
    dtypes = sorted(summary.parameters_by_dtype)
    kinds = ", ".join(f"{summary.parameters_by_dtype[name]:,} {name}" if len(dtypes) > 1 else name for name in dtypes)
    return f"{count}, {part}{f', {kinds}' if kinds else ''}{others}"


def _training(summary: ModelSummary, weights: int) -> str:
    if summary.backward_bytes is None:
        return f"not known: {summary.backward_note}"
    gradients = round(summary.parameter_bytes * summary.trainable / summary.parameters) if summary.parameters else 0
    total = weights + gradients + summary.input_bytes + summary.backward_bytes
    saved = text.size(summary.backward_bytes)
    return f"{text.size(total)} without optimizer; {saved} of activations are saved"


def _unknown(summary: ModelSummary) -> str:
    return ", without the operators below" if summary.uncounted else ""


def cells(summary: ModelSummary, module: ModuleSummary) -> list[str]:
    """Return the texts of one module, below ``HEADINGS``; the name is indented by its depth."""
    return [
        "  " * module.depth + (module.name or summary.model),
        kind(module),
        calls(module),
        tensors(module.inputs),
        tensors(module.outputs),
        parameters(module),
        share(module.parameters, summary.parameters),
        macs(module),
        share(module.macs, summary.macs),
        activations(module),
        share(module.activation_bytes, summary.forward_bytes),
    ]


def kind(module: ModuleSummary) -> str:
    """Return the class of a module, and where the same object was counted if that is elsewhere."""
    return f"{module.type} (is {module.same_as})" if module.same_as is not None else module.type


def calls(module: ModuleSummary) -> str:
    """Return the number of calls; a dash for a container, which is not called."""
    return f"{module.calls:,}" if module.calls else text.MISSING


def parameters(module: ModuleSummary) -> str:
    """Return the number of parameters of a module and its submodules."""
    return amount(module.parameters) if module.parameters else text.MISSING


def activations(module: ModuleSummary) -> str:
    """Return the size of what the operators of a module and its submodules write."""
    return text.size(module.activation_bytes) if module.activation_bytes else text.MISSING


def module_lines(summary: ModelSummary, module: ModuleSummary) -> list[str]:
    """Return path, class and shapes of a module, and what it does itself, as lines below a table."""
    lines = [f"{module.path or summary.model} ({kind(module)}), {text.counted(module.calls, 'call')}"]
    if module.inputs or module.outputs:
        lines.append(f"{tensors(module.inputs, dtypes=True)} to {tensors(module.outputs, dtypes=True)}")
    if module.uncounted:
        lines.append(f"work not known: {', '.join(module.uncounted)}")
    own = [f"{amount(module.own_macs)} multiply-adds"] if module.own_macs else []
    own += [f"{amount(module.own_parameters)} parameters"] if module.own_parameters else []
    own += [f"{text.size(module.own_activation_bytes)} of activations"] if module.own_activation_bytes else []
    if own:
        lines.append(f"without submodules: {', '.join(own)}")
    return lines


def macs(module: ModuleSummary) -> str:
    """Return the multiply-adds of a module; with ``+ ?`` if it, or a submodule, has operators whose work
    is not known."""
    known = amount(module.macs) if module.macs else text.MISSING
    return known if not module.unknown_calls else f"{known} + ?" if module.macs else "?"


def tensors(infos: Sequence[TensorInfo], *, dtypes: bool = False) -> str:
    """Return the shapes of tensors, such as ``1x3x224x224, 1x77``, of many only the first."""
    if not infos:
        return text.MISSING
    parts = [text.shapes([info.shape]) + (f" {info.dtype}" if dtypes else "") for info in infos[:_MOST_TENSORS]]
    more = len(infos) - len(parts)
    return ", ".join(parts) + (f", {more} more" if more else "")


def share(part: int, whole: int) -> str:
    """Return a share in percent; a dash for nothing."""
    return f"{100 * part / whole:.1f} %" if part and whole else text.MISSING


def amount(count: int) -> str:
    """Return a count with three digits and a decimal prefix, such as ``11.7 M`` and ``1.81 G``."""
    value = float(count)
    for unit in ("", " k", " M", " G"):
        if value < 999.5:
            return f"{count:,}" if not unit else f"{text.number(value)}{unit}"
        value /= 1000
    return f"{text.number(value)} T"


def depth_for(summary: ModelSummary, lines: int) -> int:
    """Return the largest depth of which all modules fit in a number of lines, at least 1."""
    deepest = max((module.depth for module in summary.modules), default=0)
    for depth in range(deepest, 1, -1):
        if sum(module.depth <= depth for module in summary.modules) <= lines:
            return depth
    return 1
