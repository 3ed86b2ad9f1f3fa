"""Find where a program's numbers leave those of FP32 eager, layer by layer, and what each adds at the output."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from etui.analysis.numeric_gap import DEFAULT_THRESHOLD_DB, first_past
from etui.catalog.find import tolerance_for
from etui.catalog.precisions import recipe
from etui.engine.gap.attribution import MOST, Blame, Inputs, OutputError, Suspect, blame, work_s
from etui.engine.gap.debug_buffer import DebugProgram, Logged, TooLarge
from etui.engine.gap.graph_pair import Layer, Pair
from etui.engine.gap.interpreter import GapSums
from etui.engine.lowering.quantize import Graph, export, halve, quantize
from etui.engine.models.bundle import Bundle, flat_outputs, read_reference
from etui.engine.runtime.execution import LoadedProgram, find_openvino_library, set_threads
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.insight import LayerGap, NumericGap, Origin
from etui.jobs import GapJob
from etui.text import counted, number, percent

AGAINST = "FP32 eager PyTorch"

SAME_DB = 60.0
"""Two graphs that are the same agree at least so far: what is left is the order of summation."""

ADDS_UP_WITHIN = 0.1
"""How far the layers' contributions may be from the whole error together without a word about it."""

Log = Callable[[Event], None]


class _Voice:
    """Says what is being done, as events of the run."""

    def __init__(self, say: Log, run_id: str) -> None:
        self._say, self._run_id = say, run_id
        self._said_at = 0.0

    def stage(self, message: str) -> None:
        self._say(Event(kind="stage", stage="gap", message=message, run_id=self._run_id, at=utc_now()))

    def progress(self, done: float, total: float) -> None:
        """At most twice a second."""
        now = time.monotonic()
        if now - self._said_at < 0.5 and done < total:
            return
        self._said_at = now
        self._say(
            Event(
                kind="progress", stage="gap", message="layers tried", done=done, total=total, run_id=self._run_id,
                at=utc_now(),
            )
        )  # fmt: skip


def run_gap(job: GapJob, say: Log) -> NumericGap:
    """Compare a run's program, and the graph that it was lowered from, with eager, on the first of its inputs.

    A quantized or halved program is compared graph with graph, which tells of every layer, also inside of a delegate;
    an FP32 program by ExecuTorch's debug buffer, which holds what undelegated operators and whole delegates give.

    Raises:
        EtuiError: the bundle has no eager side, or the program cannot be run.
    """
    # The kernels that undelegated quantized operators are registered with it.
    import executorch.kernels.quantized  # noqa: F401

    set_threads(job.threads, cpus=job.cpus)
    voice = _Voice(say, job.run_id)
    bundle = Bundle.open(Path(job.bundle), job.model)
    with torch.inference_mode(False), torch.no_grad():
        return _Gap(job, bundle, voice).found()


class _Gap:
    """One comparison under way."""

    def __init__(self, job: GapJob, bundle: Bundle, voice: _Voice) -> None:
        self._job, self._bundle, self._voice = job, bundle, voice
        self._inputs = bundle.inputs()[: job.inputs]
        self._notes: list[str] = []
        self._layers: list[LayerGap] = []
        self._method = ""
        self._suggestion = self._keep = ""

    def found(self) -> NumericGap:
        job = self._job
        if job.precision == "fp32":
            self._by_debug_buffer()
        else:
            self._by_graphs()
        compared = [layer for layer in self._layers if layer.elements]
        if left := len(self._layers) - len(compared):
            self._notes.append(
                f"{counted(left, 'layer')} could not be compared: FP32 eager's own values there are not finite"
            )
            self._layers = compared
        threshold = job.threshold_db
        if threshold is None:
            asked = tolerance_for(job.model, job.precision, job.arithmetic, job.delegate)
            threshold = (asked and asked.sqnr_db_min) or DEFAULT_THRESHOLD_DB
        return NumericGap(
            created_at=utc_now(),
            against=AGAINST,
            method=self._method,
            inputs=len(self._inputs),
            threshold_db=threshold,
            layers=self._layers,
            first_past=first_past(self._layers, threshold),
            suggestion=self._suggestion,
            keep_fp32=self._keep,
            notes=self._notes,
        )

    # FP32: what the runtime logs

    def _by_debug_buffer(self) -> None:
        job = self._job
        self._voice.stage("lowering again with debug handles")
        exported = export(self._bundle.eager(), self._inputs[0])
        if job.delegate == "openvino":
            find_openvino_library()
        logged: list[Logged] = []
        outputs: list[list[torch.Tensor]] = []
        self._method = (
            "ExecuTorch's debug buffer: the value of each operator outside of the delegate, and what the delegate gives"
            " as a whole, against the exported graph in eager PyTorch"
        )
        try:
            program = DebugProgram(exported, job.delegate, job.precision)
        except TooLarge as error:
            self._notes.append(f"{error}; only the outputs are compared")
        else:
            start = work_s()
            for place, one in enumerate(self._inputs):
                self._voice.stage(f"running input {place + 1} of {len(self._inputs)} under the debug buffer")
                outputs.append(program.add(program_inputs(one, job.precision)))
                if self._is_late(start, place + 1):
                    break
            logged = program.logged()
        if not logged:
            if not self._notes:
                self._notes.append(f"{job.delegate} logs no values; only the outputs are compared")
            self._method = "the program's outputs against those of eager PyTorch, as one row"
            outputs = self._program_outputs()
        self._inputs = self._inputs[: len(outputs)]
        self._layers = [_logged_gap(one, job.delegate) for one in logged]
        if not logged:
            sums = _difference(self._bundle.reference(), outputs)
            self._layers = [_layer_gap(f"the whole program ({job.delegate})", sums, Origin(), delegated=True)]

    # Quantized and halved: graph against graph

    def _by_graphs(self) -> None:
        job, voice = self._job, self._voice
        voice.stage("making the graph again that the program was lowered from")
        graph = self._graph(job.keep_fp32)
        pair = self._pair(graph)
        sums = [GapSums() for _ in range(len(pair.layers) + 1)]
        start = work_s()
        for place, one in enumerate(self._inputs):
            voice.stage(f"comparing layers on input {place + 1} of {len(self._inputs)}")
            pair.compare(one, program_inputs(one, job.precision), sums)
            if self._is_late(start, place + 1):
                self._inputs = self._inputs[: place + 1]
                break
        voice.stage("running the program")
        outputs = self._program_outputs()
        self._inputs = self._inputs[: len(outputs)]
        references = [flat_outputs(pair.reference.outputs(one)) for one in self._inputs]
        graph_outputs = [pair.changed.outputs(program_inputs(one, job.precision)) for one in self._inputs]
        self._check_graph(references, graph_outputs)
        error = OutputError(references)
        whole, of_graph = error.of(outputs), error.of(graph_outputs)
        found = Blame({}, None, 0, 0)
        if pair.edges:
            voice.stage("taking the layers' quantization out one by one")
            found = blame(pair, self._inputs, error, outputs, job.budget_s, voice.progress)
            self._suggest(found, error, error.of(graph_outputs[: found.inputs]), len(references[0]))
        self._layers = [
            _layer_gap(layer.name, sums[place], layer.origin, contribution=_part(found, layer))
            for place, layer in enumerate(pair.layers)
        ]
        self._layers.append(
            _layer_gap(
                f"lowering for {job.delegate}",
                _difference(graph_outputs, outputs),
                Origin(),
                delegated=job.delegate != "portable",
                contribution=min(1.0, max(0.0, (whole - of_graph) / whole)) if whole > 0 and pair.edges else None,
            )
        )
        self._method = _graph_method(job, found, len(self._inputs))
        total = sum(layer.contribution or 0.0 for layer in self._layers)
        if found.parts and not found.untried and abs(total - 1) > ADDS_UP_WITHIN:
            self._notes.append(
                f"the contributions add up to {percent(total)} of the error: each is what its layer alone takes with"
                " it, and errors of several layers do not simply add"
            )
        if found.untried:
            self._notes.append(f"{found.untried} layers went untried: the time for it was up")

    def _graph(self, keep: Sequence[str]) -> Graph:
        """The graph the program was lowered from, with these modules kept, made from the bundle as before."""
        job, bundle = self._job, self._bundle
        module = bundle.eager()
        if job.precision == "fp16":
            return halve(module, self._inputs[0])
        return _quantized(job, bundle, module, self._inputs[0], keep)

    def _pair(self, graph: Graph) -> Pair:
        """The graphs as they are compared: where a quantizer annotated its own copy of the FP32 graph, that one."""
        if graph.observed is not None:
            assert isinstance(graph.module, torch.fx.GraphModule)
            return Pair(graph.observed, graph.module)
        return Pair(_unlifted(export(self._bundle.eager(), self._inputs[0])), _unlifted(graph.program))

    def _suggest(self, found: Blame, error: OutputError, before: float, outputs: int) -> None:
        """Name a module to keep in FP32 where that really takes most of the graph's error, which was ``before``:
        quantized again to see it."""
        suspect = found.suspect
        if suspect is None:
            return
        if suspect.part < MOST:
            if suspect.part > 0:
                self._notes.append(
                    f"no single module makes most of the error: the largest part found is {percent(suspect.part)}, in "
                    f"{suspect.module}"
                )
            return
        self._voice.stage(f"quantizing again with {suspect.module} in FP32")
        try:
            graph = self._graph((*self._job.keep_fp32, suspect.module))
        except EtuiError as failure:
            self._notes.append(f"{suspect.module} makes most of the error, but cannot be kept in FP32: {failure}")
            return
        after = error.of([flat_outputs(graph.module(*one)) for one in self._inputs[: found.inputs]])
        if after > (1 - MOST) * before:
            self._notes.append(f"kept in FP32, {suspect.module} brought less than was reckoned; nothing is suggested")
            return
        self._keep = suspect.module
        self._suggestion = _suggestion(
            suspect, 1 - after / before, _error_db(before, outputs), _error_db(after, outputs)
        )

    # The program

    def _program_outputs(self) -> list[list[torch.Tensor]]:
        job = self._job
        program = LoadedProgram(Path(job.program_dir) / "program.pte", delegate=job.delegate)
        outputs: list[list[torch.Tensor]] = []
        start = work_s()
        for one in self._inputs:
            outputs.append([tensor.clone() for tensor in program(program.fit(one))])
            if self._is_late(start, len(outputs)):
                break
        return outputs

    def _is_late(self, start: float, done: int) -> bool:
        """Whether another input would take more than the time there is."""
        spent = work_s() - start
        late = done < len(self._inputs) and spent + spent / done > self._job.budget_s
        if late:
            self._notes.append(f"on {done} of {len(self._inputs)} inputs, because each takes long")
        return late

    def _check_graph(self, references: Sequence[Inputs], graph_outputs: Sequence[Inputs]) -> None:
        """Say so where the graphs compared are not those of the run."""
        eager = _difference(self._bundle.reference(), references).sqnr_db
        if eager is not None and eager < SAME_DB:
            self._notes.append(
                f"the FP32 graph's own outputs differ from eager's (SQNR {number(eager)} dB), so that part of every "
                "layer's gap is not quantization's"
            )
        stored = read_reference(Path(self._job.program_dir) / "reference.safetensors")
        again = _difference(stored, graph_outputs).sqnr_db if stored else None
        if again is not None and again < SAME_DB:
            self._notes.append(
                f"the graph made again is not quite the one that was lowered (SQNR {number(again)} dB between them)"
            )


def _quantized(job: GapJob, bundle: Bundle, module: nn.Module, inputs: Inputs, keep: Sequence[str]) -> Graph:
    one = tuple(inputs)
    return quantize(
        module,
        None if job.precision == "8da4w" else export(module, one),
        one,
        bundle.calibration()[: job.calibration_count],
        recipe(bundle.model.family, job.precision, job.delegate),
        keep=keep,
        keep_observed=True,
    )


def _unlifted(program: torch.export.ExportedProgram) -> torch.fx.GraphModule:
    module = program.module(check_guards=False)
    assert isinstance(module, torch.fx.GraphModule)
    return module


def _layer_gap(
    name: str, sums: GapSums, origin: Origin, *, delegated: bool | None = None, contribution: float | None = None
) -> LayerGap:
    return LayerGap(
        name=name,
        elements=sums.count + sums.non_finite,
        mse=sums.mse,
        max_abs=sums.largest,
        sqnr_db=sums.sqnr_db,
        exact=sums.exact,
        non_finite=sums.non_finite,
        delegated=delegated,
        contribution=contribution,
        origin=origin,
    )


def _logged_gap(one: Logged, delegate: str) -> LayerGap:
    name, operators = one.name, one.delegated_operators
    if operators is not None and operators > 1:
        name += f" (end of {operators} operators in {delegate})"
    return _layer_gap(name, one.sums, one.origin, delegated=operators is not None)


def _part(found: Blame, layer: Layer) -> float | None:
    part = found.parts.get(layer.node)
    return None if part is None else min(1.0, max(0.0, part))


def _difference(references: Sequence[Sequence[torch.Tensor]], results: Sequence[Sequence[torch.Tensor]]) -> GapSums:
    """The difference over all outputs of the first so many inputs, pooled."""
    sums = GapSums()
    for expected, got in zip(references, results, strict=False):
        for one, other in zip(expected, got, strict=True):
            sums.add(one, other)
    return sums


def _error_db(error: float, outputs: int) -> float | None:
    """The SQNR that an ``OutputError`` is, the mean over the outputs."""
    return -10 * math.log10(error / outputs) if error > 0 else None


def _suggestion(suspect: Suspect, part: float, before: float | None, after: float | None) -> str:
    makes = "makes" if suspect.layers == 1 else f"with its {suspect.layers} quantized layers makes"
    return (
        f"{suspect.module} {makes} {percent(part)} of the squared error at the output: with it left in FP32, the "
        f"output's SQNR is {number(after)} dB instead of {number(before)} dB. Keep it in higher precision: "
        f"--keep-fp32 {suspect.module}"
    )


def _graph_method(job: GapJob, found: Blame, inputs: int) -> str:
    many = counted(inputs, "input")
    changed = "halved" if job.precision == "fp16" else "quantized"
    words = (
        f"the {changed} graph, before it was lowered, against the FP32 graph, operator by operator on {many}; a "
        "layer's figures hold what the layers before it did. The last row is what lowering did, at the output"
    )
    if found.parts:
        few = "" if found.inputs == inputs else f", on {found.inputs} of them"
        words += (
            ". A layer's contribution is the part of the squared error at the program's output that goes when "
            f"this layer's quantization alone is taken out (its weights, and its output or its input){few}; 0 where "
            "none goes"
        )
    return words
