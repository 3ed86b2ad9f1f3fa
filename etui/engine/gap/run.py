"""Compute the numeric gap of a program: its error against FP32 eager per layer, and each layer's contribution."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from etui.analysis.numeric_gap import DEFAULT_THRESHOLD_DB, first_past
from etui.analysis_kinds.gap import GapJob
from etui.catalog.precisions import recipe
from etui.engine.delegates import delegate_support
from etui.engine.gap.attribution import (
    SUGGESTED_SHARE,
    Attribution,
    Candidate,
    Inputs,
    OutputError,
    attribute_error,
    work_s,
)
from etui.engine.gap.debug_buffer import DebugProgram, Logged, TooLarge
from etui.engine.gap.graph_pair import GraphPair, Layer
from etui.engine.gap.interpreter import GapSums
from etui.engine.lowering.flat_export import export
from etui.engine.lowering.quantize import Graph, halve, quantize
from etui.engine.models.bundle import Bundle, read_reference
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.execution import LoadedProgram, set_threads
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.insight import LayerGap, NumericGap, Origin
from etui.text import counted, number, percent

AGAINST = "FP32 eager PyTorch"

SAME_DB = 60.0
"""The minimum SQNR between two equal graphs, which differ only in the order of summation."""

CONTRIBUTION_SUM_TOLERANCE = 0.1
"""The deviation of the sum of contributions from 1 above which a note is added."""

Log = Callable[[Event], None]


class _Reporter:
    """Reports stages and progress as events of the run."""

    def __init__(self, log: Log, run_id: str) -> None:
        self._log, self._run_id = log, run_id
        self._progress_at_s = 0.0

    def stage(self, message: str) -> None:
        self._log(Event(kind="stage", stage="gap", message=message, run_id=self._run_id, at=utc_now()))

    def progress(self, done: float, total: float) -> None:
        """Report progress, at most twice a second."""
        now = time.monotonic()
        if now - self._progress_at_s < 0.5 and done < total:
            return
        self._progress_at_s = now
        self._log(
            Event(
                kind="progress", stage="gap", message="layers tried", done=done, total=total, run_id=self._run_id,
                at=utc_now(),
            )
        )  # fmt: skip


def run_gap(job: GapJob, log: Log) -> NumericGap:
    """Compare a run's program, and the graph that it was lowered from, with FP32 eager on the first inputs.

    For a quantized or half-precision program the graphs are compared, which covers every layer, also inside a delegate.
    For an FP32 program the values in ExecuTorch's debug buffer are compared: the outputs of undelegated operators and
    of whole delegated subgraphs.

    Raises:
        EtuiError: the bundle has no eager model, or the program cannot be run.
    """
    # Registers the kernels of undelegated quantized operators.
    import executorch.kernels.quantized  # noqa: F401

    set_threads(job.threads, cpus=job.cpus)
    reporter = _Reporter(log, job.run_id)
    bundle = Bundle.open(Path(job.bundle), job.model)
    with torch.inference_mode(False), torch.no_grad():
        return _GapAnalysis(job, bundle, reporter).result()


class _GapAnalysis:
    """The numeric gap of one run, while it is computed."""

    def __init__(self, job: GapJob, bundle: Bundle, reporter: _Reporter) -> None:
        self._job, self._bundle, self._reporter = job, bundle, reporter
        self._inputs = bundle.inputs()[: job.inputs]
        self._notes: list[str] = []
        self._layers: list[LayerGap] = []
        self._method = ""
        self._suggestion = self._keep = ""

    def result(self) -> NumericGap:
        """Run the analysis."""
        job = self._job
        if job.precision == "fp32":
            self._by_debug_buffer()
        else:
            self._by_graphs()
        compared = [layer for layer in self._layers if layer.elements]
        if skipped := len(self._layers) - len(compared):
            self._notes.append(
                f"{counted(skipped, 'layer')} could not be compared: the values of FP32 eager are not finite"
            )
            self._layers = compared
        threshold = job.threshold_db
        if threshold is None:
            tolerance = self._bundle.tolerance(job.precision, job.arithmetic, job.delegate)
            threshold = (tolerance and tolerance.sqnr_db_min) or DEFAULT_THRESHOLD_DB
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

    # FP32: values logged by the runtime

    def _by_debug_buffer(self) -> None:
        job = self._job
        self._reporter.stage("lowering again with debug handles")
        exported = export(self._bundle.exportable(), self._inputs[0], self._bundle.structure)
        delegate_support(job.delegate).prepare_runtime()
        logged: list[Logged] = []
        outputs: list[list[torch.Tensor]] = []
        self._method = (
            "ExecuTorch's debug buffer: the output of each undelegated operator and of each delegated subgraph,"
            " compared with the exported graph in eager PyTorch"
        )
        try:
            program = DebugProgram(exported, job.delegate, job.precision)
        except TooLarge as error:
            self._notes.append(f"{error}; only the outputs are compared")
        else:
            start = work_s()
            for index, tensors in enumerate(self._inputs):
                self._reporter.stage(f"running input {index + 1} of {len(self._inputs)} with the debug buffer")
                outputs.append(program.add(program_inputs(tensors, job.precision)))
                if self._is_over_budget(start, index + 1):
                    break
            logged = program.logged()
        if not logged:
            if not self._notes:
                self._notes.append(f"{job.delegate} does not log values; only the outputs are compared")
            self._method = "the program's outputs compared with those of eager PyTorch, as one row"
            outputs = self._program_outputs()
        self._inputs = self._inputs[: len(outputs)]
        self._layers = [_logged_gap(value, job.delegate) for value in logged]
        if not logged:
            sums = _difference(self._bundle.reference(), outputs)
            self._layers = [_layer_gap(f"the whole program ({job.delegate})", sums, Origin(), delegated=True)]

    # Quantized and half precision: graph against graph

    def _by_graphs(self) -> None:
        job, reporter = self._job, self._reporter
        reporter.stage("rebuilding the graph that the program was lowered from")
        graph = self._graph(job.keep_fp32)
        pair = self._pair(graph)
        sums = [GapSums() for _ in range(len(pair.layers) + 1)]
        start = work_s()
        for index, tensors in enumerate(self._inputs):
            reporter.stage(f"comparing layers on input {index + 1} of {len(self._inputs)}")
            pair.compare(tensors, program_inputs(tensors, job.precision), sums)
            if self._is_over_budget(start, index + 1):
                self._inputs = self._inputs[: index + 1]
                break
        reporter.stage("running the program")
        outputs = self._program_outputs()
        self._inputs = self._inputs[: len(outputs)]
        references = [flat_outputs(pair.reference.outputs(tensors)) for tensors in self._inputs]
        graph_outputs = [pair.changed.outputs(program_inputs(tensors, job.precision)) for tensors in self._inputs]
        self._check_graph(references, graph_outputs)
        error = OutputError(references)
        total_error, graph_error = error.of(outputs), error.of(graph_outputs)
        attribution = Attribution({}, None, 0, 0)
        if pair.edges:
            reporter.stage("removing the quantization of one layer at a time")
            attribution = attribute_error(pair, self._inputs, error, outputs, job.budget_s, reporter.progress)
            self._suggest(attribution, error, error.of(graph_outputs[: attribution.inputs]), len(references[0]))
        self._layers = [
            _layer_gap(layer.name, sums[index], layer.origin, contribution=_contribution(attribution, layer))
            for index, layer in enumerate(pair.layers)
        ]
        lowering_error = total_error - graph_error
        self._layers.append(
            _layer_gap(
                f"lowering for {job.delegate}",
                _difference(graph_outputs, outputs),
                Origin(),
                delegated=delegate_support(job.delegate).delegates_nodes,
                contribution=_clamped(lowering_error / total_error) if total_error > 0 and pair.edges else None,
            )
        )
        self._method = _graph_method(job, attribution, len(self._inputs))
        total = sum(layer.contribution or 0.0 for layer in self._layers)
        if attribution.shares and not attribution.untried and abs(total - 1) > CONTRIBUTION_SUM_TOLERANCE:
            self._notes.append(
                f"the contributions add up to {percent(total)} of the error, because the errors of several layers are"
                " not additive"
            )
        if attribution.untried:
            self._notes.append(
                f"the contribution of {counted(attribution.untried, 'layer')} was not measured, because the time budget"
                " was spent"
            )

    def _graph(self, keep: Sequence[str]) -> Graph:
        """Rebuild from the bundle the graph that the program was lowered from, with the modules ``keep`` in FP32."""
        job, bundle = self._job, self._bundle
        module = bundle.exportable()
        if job.precision == "fp16":
            return halve(module, self._inputs[0], bundle.structure)
        return _quantized(job, bundle, module, self._inputs[0], keep)

    def _pair(self, graph: Graph) -> GraphPair:
        """Return the graphs to compare; if a quantizer annotated its own copy of the FP32 graph, that copy."""
        if graph.observed is not None:
            assert isinstance(graph.module, torch.fx.GraphModule)
            return GraphPair(graph.observed, graph.module)
        exported = export(self._bundle.exportable(), self._inputs[0], self._bundle.structure)
        return GraphPair(_unlifted(exported), _unlifted(graph.program))

    def _suggest(self, attribution: Attribution, error: OutputError, before: float, outputs: int) -> None:
        """Suggest a module to keep in FP32 if quantizing again with it in FP32 removes most of the graph's error, which
        was ``before``."""
        candidate = attribution.candidate
        if candidate is None:
            return
        if candidate.share < SUGGESTED_SHARE:
            if candidate.share > 0:
                self._notes.append(
                    f"no single module causes most of the error: the largest share is {percent(candidate.share)}, of "
                    f"{candidate.module}"
                )
            return
        self._reporter.stage(f"quantizing again with {candidate.module} in FP32")
        try:
            graph = self._graph((*self._job.keep_fp32, candidate.module))
        except EtuiError as failure:
            self._notes.append(f"{candidate.module} causes most of the error, but cannot be kept in FP32: {failure}")
            return
        after = error.of([flat_outputs(graph.module(*tensors)) for tensors in self._inputs[: attribution.inputs]])
        if after > (1 - SUGGESTED_SHARE) * before:
            self._notes.append(
                f"keeping {candidate.module} in FP32 reduced the error less than estimated, so it is not suggested"
            )
            return
        self._keep = candidate.module
        self._suggestion = _suggestion(
            candidate, 1 - after / before, _error_db(before, outputs), _error_db(after, outputs)
        )

    # The program

    def _program_outputs(self) -> list[list[torch.Tensor]]:
        job = self._job
        program = LoadedProgram(Path(job.program_dir) / "program.pte", delegate=job.delegate)
        outputs: list[list[torch.Tensor]] = []
        start = work_s()
        for tensors in self._inputs:
            outputs.append([tensor.clone() for tensor in flat_outputs(program(program.fit(tensors)))])
            if self._is_over_budget(start, len(outputs)):
                break
        return outputs

    def _is_over_budget(self, start: float, done: int) -> bool:
        """Return whether another input would exceed the time budget; if so, add a note."""
        spent = work_s() - start
        over = done < len(self._inputs) and spent + spent / done > self._job.budget_s
        if over:
            self._notes.append(f"only {done} of {len(self._inputs)} inputs were used, because of the time budget")
        return over

    def _check_graph(self, references: Sequence[Inputs], graph_outputs: Sequence[Inputs]) -> None:
        """Add a note if the compared graphs are not equal to those of the run."""
        eager_db = _difference(self._bundle.reference(), references).sqnr_db
        if eager_db is not None and eager_db < SAME_DB:
            self._notes.append(
                f"the outputs of the FP32 graph differ from those of eager (SQNR {number(eager_db)} dB), so part of "
                "every layer's gap is not caused by quantization"
            )
        stored = read_reference(Path(self._job.program_dir) / "reference.safetensors")
        rebuilt_db = _difference(stored, graph_outputs).sqnr_db if stored else None
        if rebuilt_db is not None and rebuilt_db < SAME_DB:
            self._notes.append(
                f"the rebuilt graph differs from the one that was lowered (SQNR {number(rebuilt_db)} dB between them)"
            )


def _quantized(job: GapJob, bundle: Bundle, module: nn.Module, inputs: Inputs, keep: Sequence[str]) -> Graph:
    example = tuple(inputs)
    return quantize(
        module,
        None if job.precision == "8da4w" else export(module, example, bundle.structure),
        example,
        bundle.calibration()[: job.calibration_count],
        recipe(bundle.model.family, job.precision, job.delegate),
        structure=bundle.structure,
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


def _logged_gap(value: Logged, delegate: str) -> LayerGap:
    name, operators = value.name, value.delegated_operators
    if operators is not None and operators > 1:
        name += f" (end of {operators} operators in {delegate})"
    return _layer_gap(name, value.sums, value.origin, delegated=operators is not None)


def _contribution(attribution: Attribution, layer: Layer) -> float | None:
    share = attribution.shares.get(layer.node)
    return None if share is None else _clamped(share)


def _clamped(share: float) -> float:
    return min(1.0, max(0.0, share))


def _difference(references: Sequence[Sequence[torch.Tensor]], results: Sequence[Sequence[torch.Tensor]]) -> GapSums:
    """Return the pooled difference over all outputs of the inputs that both have."""
    sums = GapSums()
    for expected, got in zip(references, results, strict=False):
        for reference, result in zip(expected, got, strict=True):
            sums.add(reference, result)
    return sums


def _error_db(error: float, outputs: int) -> float | None:
    """Return the SQNR in dB of an ``OutputError``, averaged over the outputs."""
    return -10 * math.log10(error / outputs) if error > 0 else None


def _suggestion(candidate: Candidate, share: float, before_db: float | None, after_db: float | None) -> str:
    causes = "causes" if candidate.layers == 1 else f"with its {candidate.layers} quantized layers causes"
    return (
        f"{candidate.module} {causes} {percent(share)} of the squared error at the output: with it kept in FP32, the "
        f"output's SQNR is {number(after_db)} dB instead of {number(before_db)} dB. Keep it in FP32."
    )


def _graph_method(job: GapJob, attribution: Attribution, inputs: int) -> str:
    changed = "half-precision" if job.precision == "fp16" else "quantized"
    text = (
        f"the {changed} graph before lowering, compared with the FP32 graph operator by operator on "
        f"{counted(inputs, 'input')}; a layer's error includes that of the layers before it. The last row is the error "
        "of lowering at the output"
    )
    if attribution.shares:
        subset = "" if attribution.inputs == inputs else f", measured on {attribution.inputs} of the inputs"
        text += (
            ". A layer's contribution is the share of the squared error at the program's output that is removed when "
            f"only this layer is not quantized (its weights, and its output or input){subset}; 0 if none is removed"
        )
    return text
