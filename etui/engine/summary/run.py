"""Summarize a model: build it, call it once on its example inputs, and count what its operators do.

Operators are observed while they run, below autograd, on tensors that have only a shape and a dtype. Composite
operators are decomposed, and attention is computed as matrix products, so that both are counted completely. The
formulas are in ``etui.engine.summary.work``.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

from etui.catalog.find import Model, UserModel, find_model
from etui.engine.explain.layers import describe_failure
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.engine.models.outputs import tensors_in
from etui.engine.models.user_code import source_files
from etui.engine.summary.calls import Calls, info
from etui.engine.summary.example_call import example_call
from etui.engine.summary.graph_calls import ObservedGraph
from etui.engine.summary.recorder import Recorder, size_bytes
from etui.engine.summary.saved import saved_bytes
from etui.engine.summary.tree import Tensors, module_list
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import SummaryJob
from etui.model_summary import CountedOn, ModelSummary

Log = Callable[[Event], None]

_LOOKUPS = (nn.Embedding, nn.EmbeddingBag)
"""Modules whose weights quantization recipes keep in FP32."""


class Observation(NamedTuple):
    """One call of a model."""

    calls: Calls
    recorder: Recorder
    result: Any
    types: dict[str, str] | None


def run_summary(job: SummaryJob, log: Log) -> ModelSummary:
    """Build a model and summarize it.

    Exceptions of the user's code are not caught, except those of calling the module.

    Raises:
        PreparationError: the file does not provide a module, or the module does not take its example inputs.
    """
    torch.set_num_threads(1)

    def begin(stage: str, message: str) -> None:
        log(Event(kind="stage", stage=stage, message=message, at=utc_now()))

    begin("model", "loading the model")
    model = find_model(job.model)
    module, inputs, structure = example_call(model, job.shape, job.seed, allow_pickle=job.allow_pickle)
    begin("count", "counting operators")
    files = source_files(model) if isinstance(model, UserModel) else []
    return summarize(model, module, inputs, structure, files=files)


def summarize(
    model: Model,
    module: nn.Module,
    inputs: Inputs,
    structure: CallStructure | None = None,
    *,
    files: list[str] | None = None,
) -> ModelSummary:
    """Summarize a module in eval mode, called once with ``inputs``, which are arguments of ``structure`` (None: all
    arguments are positional).

    Raises:
        PreparationError: the module raises an error for these inputs; the message has the layer and the error.
    """
    structure = structure or plain_structure(len(inputs))
    notes: list[str] = []
    counted_on: CountedOn = "shapes"
    try:
        seen = _observe(module, inputs, structure, fake=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the same call on values follows, which raises the user's own errors
        # The model reads values (data-dependent control flow), or has an operator that is not defined on shapes.
        counted_on = "values"
        try:
            seen = _observe(module, inputs, structure, fake=False)
        except MemoryError:
            raise
        except Exception as error:
            shapes = ", ".join(str(list(tensor.shape)) for tensor in inputs)
            raise PreparationError(
                f"{model.name} cannot be called with its example inputs of shape {shapes}: "
                f"{describe_failure(error, module)}",
                "return inputs that the module takes, or fix the module",
            ) from error
        notes.append("counted by running the model on its example inputs: with other values it may do other work")
    modules = module_list(module, seen.calls, seen.recorder.work, seen.types)
    whole, everything = modules[0], Tensors(module.parameters(), module.buffers())
    backward, why_not = saved_bytes(module, inputs, structure)
    notes += _shared(module)
    uncounted: Counter[str] = Counter()
    for each in modules:
        uncounted.update(each.uncounted)
    by_dtype: Counter[str] = Counter()
    for parameter in everything.parameters:
        by_dtype[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    outputs = tensors_in(seen.result)
    return ModelSummary(
        model=model.name,
        title=model.title,
        inputs=[info(tensor) for tensor in inputs],
        outputs=[info(tensor) for tensor in outputs],
        parameters=everything.count,
        trainable=everything.trainable,
        buffers=sum(each.numel() for each in everything.buffers),
        parameter_bytes=sum(map(size_bytes, everything.parameters)),
        buffer_bytes=sum(map(size_bytes, everything.buffers)),
        parameters_by_dtype=dict(by_dtype),
        estimated_bytes=_estimated(module, everything),
        input_bytes=sum(map(size_bytes, inputs)),
        output_bytes=sum(map(size_bytes, outputs)),
        forward_bytes=whole.activation_bytes,
        peak_bytes=seen.recorder.peak_bytes(),
        backward_bytes=backward,
        backward_note=why_not,
        macs=whole.macs,
        uncounted=dict(uncounted),
        counted_on=counted_on,
        notes=notes,
        modules=modules,
        torch_version=torch.__version__.partition("+")[0],
        files=files or [],
    )


def _observe(module: nn.Module, inputs: Inputs, structure: CallStructure, *, fake: bool) -> Observation:
    """Call a module once, in inference; with ``fake`` on tensors without values."""
    calls = Calls()
    graph = ObservedGraph(module, calls) if isinstance(module, torch.fx.GraphModule) and _is_exported(module) else None
    recorder = Recorder(calls.place, (*module.parameters(), *module.buffers()))
    with _all_operators_visible(), contextlib.ExitStack() as modes:
        if fake:
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            inputs = tuple(mode.from_tensor(tensor) for tensor in inputs)
            modes.enter_context(mode)
        recorder.add_inputs(inputs)
        if graph is None:
            modes.enter_context(calls.observed(module))
        modes.enter_context(recorder)
        if graph is None:
            result = structure.bound(module)(*inputs)
        else:
            result = graph.run(*tree_leaves(structure.arguments(inputs)), enable_io_processing=False)
    recorder.keep(tensors_in(result))
    if graph is not None:
        calls.count[""] = 1
        calls.inputs[""] = [info(tensor) for tensor in inputs]
        calls.outputs[""] = [info(tensor) for tensor in tensors_in(result)]
        graph.add_up()
    return Observation(calls, recorder, result, graph.types if graph is not None else None)


def _is_exported(module: torch.fx.GraphModule) -> bool:
    return any("nn_module_stack" in node.meta for node in module.graph.nodes)


@contextlib.contextmanager
def _all_operators_visible() -> Iterator[None]:
    """No gradients, and no fused kernels: attention, encoder layers and recurrent layers run as matrix products."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore")
            with torch.backends.mkldnn.flags(enabled=False):
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _estimated(module: nn.Module, everything: Tensors) -> dict[str, int]:
    """Return the bytes of parameters and buffers by precision. INT8 has 8 bits for the weights of convolutions and
    linear layers; the others (embeddings, biases, normalization) stay in FP32. Scales and the program are not
    included."""
    quantized = {
        id(parameter): parameter.numel()
        for layer in module.modules()
        if not isinstance(layer, _LOOKUPS)
        for parameter in layer.parameters(recurse=False)
        if parameter.dim() >= 2 and parameter.is_floating_point()
    }
    for layer in module.modules():
        if isinstance(layer, _LOOKUPS):
            for parameter in layer.parameters(recurse=False):
                quantized.pop(id(parameter), None)
    tensors = [*everything.parameters, *everything.buffers]
    floating = sum(each.numel() for each in tensors if each.is_floating_point())
    other = sum(size_bytes(each) for each in tensors if not each.is_floating_point())
    eight_bits = sum(quantized.values())
    return {
        "fp32": 4 * floating + other,
        "fp16": 2 * floating + other,
        "int8": eight_bits + 4 * (floating - eight_bits) + other,
    }


def _shared(module: nn.Module) -> list[str]:
    """Return a note for each parameter that several modules share."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [f"{' and '.join(each)} are the same parameter, counted once" for each in names.values() if len(each) > 1]
