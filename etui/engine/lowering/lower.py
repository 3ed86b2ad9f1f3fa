"""Prepare one program: export, quantize and lower a bundle's model for a precision and a delegate, and write it."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch.export import ExportedProgram

from etui import text
from etui.catalog.find import UserModel
from etui.catalog.precisions import is_quantized, recipe
from etui.engine.delegates import baseline_support, delegate_support
from etui.engine.delegates.base import BaselineSupport, BaselineWork, DelegateSupport
from etui.engine.explain.known_causes import describe, explain
from etui.engine.explain.quantizer_failures import explain_quantizer
from etui.engine.lowering.delegation import delegation_of
from etui.engine.lowering.flat_export import export, mutated_buffers
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.keep_fp32 import check_modules, is_under
from etui.engine.lowering.noop_program import NOOP, write_noop
from etui.engine.lowering.quantize import Graph, convolves, halve, plain_graph, quantize
from etui.engine.lowering.source_map_builder import source_map_of
from etui.engine.lowering.undelegated import undelegated_nodes
from etui.engine.lowering.unsupported import refuse_missing_kernels, refuse_unsupported, unrolled
from etui.engine.models.bundle import Bundle, write_reference
from etui.engine.models.memory_need import check_memory
from etui.engine.models.module_state import unchanged
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import PreparationError
from etui.events import Event, stage_end, utc_now
from etui.files.cache_entries import making
from etui.files.hashing import file_hash
from etui.insight import Section
from etui.jobs import BundleResult, LowerJob, LowerResult
from etui.programs.files import sections_of
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import FORWARD
from etui.programs.source_map import ETRECORD, write_source_map
from etui.results import Artifact, Delegation, ModelInfo, Stage
from etui.text import counted

if TYPE_CHECKING:
    from executorch.exir import ExecutorchBackendConfig

PROGRAM = "program.pte"
DESCRIPTION = "lowered.json"
REFERENCE = "reference.safetensors"

Log = Callable[[Event], None]

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What torch, torchao and the delegates raise for a model they do not support."""


class _Stages:
    """Reports the start and duration of each stage, and which stage failed."""

    def __init__(self, log: Log, run_id: str, delegate: str) -> None:
        self._log = log
        self._run_id = run_id
        self._delegate = delegate
        self.program: ExportedProgram | None = None
        """The exported graph, as soon as there is one."""
        self.done: list[Stage] = []
        self.graphs = GraphStages()

    @contextlib.contextmanager
    def stage(self, name: str, doing: str) -> Iterator[list[str]]:
        """Time a stage. What is put into the yielded list is logged at its end, after the duration."""
        self._log(Event(kind="stage", stage=name, message=doing, run_id=self._run_id, at=utc_now()))
        start = time.perf_counter()
        details: list[str] = []
        try:
            yield details
        except Exception as error:
            # ExecuTorch's pass manager replaces the error of a pass with a plain Exception.
            if not isinstance(error, _FAILURES) and type(error) is not Exception:
                raise
            nodes = self.program.graph.nodes if self.program is not None else ()
            known = explain(error, doing, self._delegate, nodes)
            if known is None and name == "quantize":
                known = explain_quantizer(error, doing, self._delegate, nodes)
            cause, hint = known or (describe(error, doing), "the log has the traceback")
            raise PreparationError(cause, hint) from error
        seconds = time.perf_counter() - start
        self.done.append(Stage(name=name, seconds=seconds))
        self.say(name, stage_end(doing, seconds, details))

    def say(self, name: str, message: str) -> None:
        """Log a message of a stage."""
        self._log(Event(kind="log", stage=name, message=message, run_id=self._run_id, at=utc_now()))


def run_in_worker(job: LowerJob, log: Log) -> LowerResult:
    """Prepare a program like ``run_lower``, with the job's number of threads for the whole process."""
    # Lowering is mostly single-threaded Python, and other cores run other lowering jobs.
    torch.set_num_threads(job.threads)
    return run_lower(job, log)


def run_lower(job: LowerJob, log: Log) -> LowerResult:
    """Prepare the program of a job in ``job.program_dir``, which is created atomically.

    Raises:
        PreparationError: a stage failed; the message names it.
    """
    with making(Path(job.program_dir)) as folder:
        stages = _Stages(log, job.run_id, job.delegate)
        bundle = Bundle.open(Path(job.bundle), job.model)
        baseline = baseline_support(job.delegate)
        if isinstance(bundle.model, UserModel) and bundle.model.kind == "pte":
            result = _copy_program(bundle.model, bundle.result, job, folder, stages)
        elif baseline is not None:
            result = _prepare_baseline(bundle, job, folder, stages, baseline)
        else:
            check_memory(bundle.model, "quantize" if is_quantized(job.precision) else "prepare")
            result = _prepare(bundle, job, folder, stages)
        result = msgspec.structs.replace(
            result, model=bundle.model.name, precision=job.precision, delegate=job.delegate, keep_fp32=job.keep_fp32
        )
        if baseline is None:
            write_noop(folder / NOOP)
        (folder / DESCRIPTION).write_bytes(msgspec.json.encode(result))
    return result


def _prepare(bundle: Bundle, job: LowerJob, folder: Path, stages: _Stages) -> LowerResult:
    with stages.stage("load", "loading the model"):
        # Registers the out variants of quantized operators, which lowering a quantized graph needs.
        import executorch.kernels.quantized  # noqa: F401

        dtype = bundle.result.model.dtype
        if dtype and job.precision not in {"fp32", "fp16"}:
            raise PreparationError(
                f"{bundle.model.name} has {dtype} weights, and quantization needs FP32 weights",
                "convert the module with .float() in its factory",
            )
        module = bundle.exportable()
        check_modules(module, job.keep_fp32)
        accuracy = bundle.inputs()
        inputs = accuracy[0]
    delegate = delegate_support(job.delegate)
    graph = _graph(bundle, module, inputs, job, stages)
    stages.program = graph.program
    refuse_unsupported(graph.program, delegate)
    for notice in unrolled(graph.program):
        stages.say("lower", notice)
    if job.precision != "fp32":
        with stages.stage("reference", "running the graph before lowering"), torch.no_grad():
            with unchanged(graph.module) if isinstance(graph.module, torch.nn.Module) else contextlib.nullcontext():
                outputs = [flat_outputs(graph.module(*program_inputs(tensors, job.precision))) for tensors in accuracy]
            write_reference(folder / REFERENCE, outputs)
    with stages.stage("lower", f"lowering for {job.delegate}") as details, _silenced(delegate):
        manager, delegation = lower_graph(graph, delegate, job.precision, stages.graphs, etrecord=job.etrecord)
        details.append(_to_text(delegation))
    if delegate.record.support == "run":
        refuse_missing_kernels(manager)
    artifact = _write(manager, folder / PROGRAM, job, stages)
    write_source_map(source_map_of(manager), folder)
    if job.etrecord:
        manager.get_etrecord().save(str(folder / ETRECORD))
    arithmetic = delegate.real_arithmetic(job.precision) or _of_weights(bundle.result.model, job.precision)
    notes: list[str] = []
    if arithmetic is not None and arithmetic == bundle.result.model.dtype:
        notes.append(f"the weights of the model are {arithmetic}, and so is this program")
    elif arithmetic is not None:
        notes.append(f"{job.delegate} computes this program in {arithmetic} on this CPU")
    if delegate.delegates_nodes and delegation.delegated_nodes == 0:
        notes.append(f"{job.delegate} delegated no node of this graph")
    return LowerResult(
        path=str(Path(job.program_dir) / PROGRAM),
        artifact=artifact,
        stages=stages.done,
        planned_bytes=sum(manager.executorch_program.execution_plan[0].non_const_buffer_sizes),
        delegation=delegation,
        arithmetic=arithmetic,
        calibration_count=graph.calibration_count,
        notes=notes,
        graph_stages=stages.graphs.stages,
    )


def _prepare_baseline(
    bundle: Bundle, job: LowerJob, folder: Path, stages: _Stages, baseline: BaselineSupport
) -> LowerResult:
    """Make the program of another runtime from the same exported FP32 graph and the same calibration inputs."""
    runtime = baseline.record.runtime
    with stages.stage("load", "loading the model"):
        dtype = bundle.result.model.dtype
        if dtype and not baseline.takes_half_precision:
            raise PreparationError(
                f"{bundle.model.name} has {dtype} weights, and {runtime} programs need FP32 weights",
                "convert the module with .float() in its factory",
            )
        module = bundle.exportable()
        check_modules(module, job.keep_fp32)
        inputs = bundle.inputs()[0]
    exported = None
    if not baseline.needs_module:
        with stages.stage("export", "exporting"):
            exported = export(module, inputs, bundle.structure)
    if exported is not None and (changed := mutated_buffers(exported)):
        raise PreparationError(
            f"the model changes its buffer {changed[0]} when it runs, which {runtime} programs do not",
            "measure it without this baseline",
        )
    name = recipe(bundle.model.family, job.precision, job.delegate).partition("/")[0]
    name = name.removeprefix(baseline.record.recipe_prefix)
    if name == "int8-auto" and exported is not None:
        name = "int8-static" if convolves(module, exported) else "int8-dynamic"
    target = folder / baseline.record.program
    calibration_count = baseline.prepare(
        BaselineWork(
            exported=exported,
            inputs=inputs,
            calibration=bundle.calibration()[: job.calibration_count],
            recipe=name,
            is_kept=lambda path: is_under(path, job.keep_fp32),
            keep=job.keep_fp32,
            threads=job.run_threads or job.threads,
            target=target,
            stage=stages.stage,
        )
    )
    return LowerResult(
        path=str(Path(job.program_dir) / target.name),
        artifact=_artifact(target, job),
        stages=stages.done,
        arithmetic=baseline.real_arithmetic(job.precision) or _of_weights(bundle.result.model, job.precision),
        calibration_count=calibration_count,
    )


def _of_weights(model: ModelInfo, precision: str) -> str | None:
    """Return the arithmetic of a model whose weights are not FP32: fp32 means that nothing is converted."""
    return model.dtype if model.dtype and precision == "fp32" else None


def _graph(
    bundle: Bundle, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], job: LowerJob, stages: _Stages
) -> Graph:
    """Return the exported graph of the job's precision, and the module that computes the same before lowering."""
    call = bundle.structure
    dynamic = job.dynamic or bundle.result.dynamic
    if job.precision in {"fp32", "fp16"}:
        half = job.precision == "fp16"
        with stages.stage("export", "exporting in half precision" if half else "exporting"):
            program_of = halve if half else plain_graph
            graph = program_of(module, inputs, call, dynamic)
        stages.graphs.add("aten", graph.program.graph_module, stages.done[-1].seconds)
        return graph
    exported = None
    if job.precision != "8da4w":
        with stages.stage("export", "exporting"):
            exported = export(module, inputs, call, dynamic)
        stages.program = exported
        stages.graphs.add("aten", exported.graph_module, stages.done[-1].seconds)
    with stages.stage("quantize", f"quantizing to {job.precision}") as details:
        calibration = bundle.calibration()[: job.calibration_count]
        recipe_id = recipe(bundle.model.family, job.precision, job.delegate)
        graph = quantize(
            module, exported, inputs, calibration, recipe_id, structure=call, keep=job.keep_fp32, dynamic=dynamic
        )
        details.append(graph.detail)
        if job.keep_fp32:
            details.append(f"kept in FP32: {', '.join(job.keep_fp32)}")
    stages.graphs.add("quantized", graph.program.graph_module, stages.done[-1].seconds)
    return graph


def lower_graph(
    graph: Graph, delegate: DelegateSupport, precision: str, graphs: GraphStages, *, etrecord: bool = False
) -> tuple[Any, Delegation]:
    """Return the program manager of a graph that was lowered for a delegate, and what was delegated. The graphs between
    are added to ``graphs``."""
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with graphs.watching():
        edge = to_edge_transform_and_lower(
            graph.program,
            partitioner=delegate.partitioners(precision),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            generate_etrecord=etrecord,
        )
    module = edge.exported_program().graph_module
    delegation = delegation_of(module)
    if delegate.delegates_nodes:
        graphs.add_next("delegated", module)
        delegation = msgspec.structs.replace(delegation, outside=undelegated_nodes(module))
    manager = edge.to_executorch(_keeping_state(edge.exported_program()))
    graphs.add_next("planned", manager.exported_program().graph_module)
    return manager, delegation


def _keeping_state(program: ExportedProgram) -> ExecutorchBackendConfig:
    """Return the options of the last step: programs with state begin with that of the module, which ExecuTorch leaves
    out unless it is named."""
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

    signature = program.graph_signature
    changed = set(signature.buffers_to_mutate.values())
    names = [name for name, buffer in signature.inputs_to_buffers.items() if buffer in changed]
    return ExecutorchBackendConfig(passes=[InitializedMutableBufferPass(names)] if names else [])


def _write(manager: Any, path: Path, job: LowerJob, stages: _Stages) -> Artifact:
    with stages.stage("write", "writing the program") as details:
        with path.open("wb") as file:
            manager.write_to_file(file)
        artifact = _artifact(path, job)
        details.append(text.size(artifact.size_bytes))
    return artifact


def _copy_program(model: UserModel, bundle: BundleResult, job: LowerJob, folder: Path, stages: _Stages) -> LowerResult:
    """Copy a finished program, and read the description of the measured method from the file."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    method = bundle.method
    with stages.stage("load", "copying the program") as details:
        shutil.copyfile(model.path, folder / PROGRAM)
        if model.identity_of(file_hash(folder / PROGRAM), {}) != bundle.model.identity:
            # The key of the program, under which it stays in the cache, is that of the file before.
            raise PreparationError(f"{model.reference} changed while it was measured", "run it again")
        program: Any = deserialize_pte_binary((folder / PROGRAM).read_bytes())
        plans = getattr(program, "program", program).execution_plan
        plan = next((each for each in plans if each.name == (method or FORWARD)), plans[0])
        backends = sorted({delegate.id for delegate in plan.delegates})
        details.append(f"delegates: {', '.join(backends) or 'none'}")
    return LowerResult(
        path=str(Path(job.program_dir) / PROGRAM),
        artifact=_artifact(folder / PROGRAM, job),
        stages=stages.done,
        planned_bytes=sum(plan.non_const_buffer_sizes),
        delegation=None,
        method=method,
    )


def _artifact(path: Path, job: LowerJob) -> Artifact:
    sections: list[Section] = []
    if path.name == PROGRAM:
        with contextlib.suppress(DamagedFile):  # the runtime reports a damaged finished program
            sections = sections_of(path)
    kind: Any = path.suffix.removeprefix(".")
    return Artifact(
        kind=kind, size_bytes=path.stat().st_size, sha256=file_hash(path), key=job.program_key, sections=sections
    )


def _to_text(delegation: Delegation) -> str:
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    return f"{delegation.delegated_nodes} of {total} nodes delegated in {counted(delegation.subgraphs, 'partition')}"


@contextlib.contextmanager
def _silenced(delegate: DelegateSupport) -> Iterator[None]:
    """Discard what the delegate's tools print."""
    if not delegate.prints_while_lowering:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
