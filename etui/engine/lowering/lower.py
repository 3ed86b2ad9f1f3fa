"""Prepare one program: export, quantize and lower a bundle's model for one precision and delegate, and write it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch

from etui.catalog.find import UserModel
from etui.catalog.precisions import recipe
from etui.engine.lowering.delegates import delegation, partitioners, real_arithmetic
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.keep_fp32 import check_modules
from etui.engine.lowering.noop_program import NOOP, write_noop
from etui.engine.lowering.quantize import Graph, export, halve, quantize
from etui.engine.lowering.source_map_builder import source_map_of
from etui.engine.lowering.undelegated import undelegated_nodes
from etui.engine.models.bundle import Bundle, flat_outputs, write_reference
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.files.cache_entries import making
from etui.insight import Section
from etui.jobs import LowerJob, LowerResult
from etui.programs.files import sections_of
from etui.programs.flatbuffer import DamagedFile
from etui.programs.source_map import ETRECORD, write_source_map
from etui.results import Artifact, Delegation, Stage
from etui.text import counted

PROGRAM = "program.pte"
DESCRIPTION = "lowered.json"
REFERENCE = "reference.safetensors"

Log = Callable[[Event], None]

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What torch, torchao and the delegates raise for a model they cannot take."""


class _Stages:
    """Tells when a stage begins and how long it took, and names the stage that failed."""

    def __init__(self, say: Log, run_id: str) -> None:
        self._say = say
        self._run_id = run_id
        self.done: list[Stage] = []
        self.graphs = GraphStages()

    @contextlib.contextmanager
    def stage(self, name: str, doing: str) -> Iterator[list[str]]:
        """Time a stage. What is put into the list is said at its end, after the seconds."""
        self._say(Event(kind="stage", stage=name, message=doing, run_id=self._run_id, at=utc_now()))
        start = time.perf_counter()
        details: list[str] = []
        try:
            yield details
        except _FAILURES as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise PreparationError(
                f"{doing} failed: {type(error).__name__}: {line}", "`etui log RUN` has the traceback"
            ) from error
        seconds = time.perf_counter() - start
        self.done.append(Stage(name=name, seconds=seconds))
        text = "; ".join([f"{doing} took {seconds:.1f} s", *details])
        self._say(Event(kind="log", stage=name, message=text, run_id=self._run_id, at=utc_now()))


def run_lower(job: LowerJob, say: Log) -> LowerResult:
    """Prepare the program of a job in ``job.program_dir``, which appears whole or not at all.

    Raises PreparationError saying which stage failed.
    """
    with making(Path(job.program_dir)) as made:
        stages = _Stages(say, job.run_id)
        bundle = Bundle.open(Path(job.bundle), job.model)
        if isinstance(bundle.model, UserModel) and bundle.model.kind == "pte":
            result = _take_over(bundle.model, job, made, stages)
        else:
            result = _prepare(bundle, job, made, stages)
        write_noop(made / NOOP)
        (made / DESCRIPTION).write_bytes(msgspec.json.encode(result))
    return result


def _prepare(bundle: Bundle, job: LowerJob, made: Path, stages: _Stages) -> LowerResult:
    with stages.stage("load", "loading the model"):
        # Registers the quantized operators' out variants, without which no quantized graph can be lowered.
        import executorch.kernels.quantized  # noqa: F401

        module = bundle.eager()
        check_modules(module, job.keep_fp32)
        accuracy = bundle.inputs()
        inputs = accuracy[0]
    graph = _graph(bundle, module, inputs, job, stages)
    if job.precision != "fp32":
        with stages.stage("reference", "running the graph before lowering"), torch.no_grad():
            outputs = [flat_outputs(graph.module(*program_inputs(one, job.precision))) for one in accuracy]
            write_reference(made / REFERENCE, outputs)
    with stages.stage("lower", f"lowering for {job.delegate}") as details, _unheard(job.delegate):
        manager, shared = _lower(graph, job, stages.graphs)
        details.append(_to_text(shared))
    artifact = _write(manager, made / PROGRAM, job, stages)
    write_source_map(source_map_of(manager), made)
    if job.etrecord:
        manager.get_etrecord().save(str(made / ETRECORD))
    arithmetic = real_arithmetic(job.delegate, job.precision)
    notes: list[str] = []
    if arithmetic is not None:
        notes.append(f"{job.delegate} computes this program in {arithmetic} on this CPU")
    if job.delegate != "portable" and shared.delegated_nodes == 0:
        notes.append(f"{job.delegate} took nothing of this graph")
    return LowerResult(
        path=str(Path(job.program_dir) / PROGRAM),
        artifact=artifact,
        stages=stages.done,
        planned_bytes=sum(manager.executorch_program.execution_plan[0].non_const_buffer_sizes),
        delegation=shared,
        arithmetic=arithmetic,
        calibration_count=graph.calibration_count,
        notes=notes,
        graph_stages=stages.graphs.found,
    )


def _graph(
    bundle: Bundle, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], job: LowerJob, stages: _Stages
) -> Graph:
    """The exported graph of the job's precision, and what computes the same before lowering."""
    if job.precision in {"fp32", "fp16"}:
        half = job.precision == "fp16"
        with stages.stage("export", "exporting in half precision" if half else "exporting"):
            graph = halve(module, inputs) if half else Graph(export(module, inputs), module)
        stages.graphs.add("aten", graph.program.graph_module, stages.done[-1].seconds)
        return graph
    exported = None
    if job.precision != "8da4w":
        with stages.stage("export", "exporting"):
            exported = export(module, inputs)
        stages.graphs.add("aten", exported.graph_module, stages.done[-1].seconds)
    with stages.stage("quantize", f"quantizing to {job.precision}") as details:
        calibration = bundle.calibration()[: job.calibration_count]
        chosen = recipe(bundle.model.family, job.precision, job.delegate)
        graph = quantize(module, exported, inputs, calibration, chosen, keep=job.keep_fp32)
        details.append(graph.detail)
        if job.keep_fp32:
            details.append(f"kept in FP32: {', '.join(job.keep_fp32)}")
    stages.graphs.add("quantized", graph.program.graph_module, stages.done[-1].seconds)
    return graph


def _lower(graph: Graph, job: LowerJob, graphs: GraphStages) -> tuple[Any, Delegation]:
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with graphs.watching():
        edge = to_edge_transform_and_lower(
            graph.program,
            partitioner=partitioners(job.delegate, job.precision),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            generate_etrecord=job.etrecord,
        )
    module = edge.exported_program().graph_module
    shared = delegation(module)
    if job.delegate != "portable":
        graphs.add_next("delegated", module)
        shared = msgspec.structs.replace(shared, outside=undelegated_nodes(module))
    manager = edge.to_executorch()
    graphs.add_next("planned", manager.exported_program().graph_module)
    return manager, shared


def _write(manager: Any, path: Path, job: LowerJob, stages: _Stages) -> Artifact:
    with stages.stage("write", "writing the program") as details:
        with path.open("wb") as file:
            manager.write_to_file(file)
        artifact = _artifact(path, job)
        details.append(f"{artifact.size_bytes / 1e6:.1f} MB")
    return artifact


def _take_over(model: UserModel, job: LowerJob, made: Path, stages: _Stages) -> LowerResult:
    """Copy a program that was finished elsewhere, and read from it what it tells."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    with stages.stage("load", "copying the program") as details:
        shutil.copyfile(model.path, made / PROGRAM)
        program: Any = deserialize_pte_binary((made / PROGRAM).read_bytes())
        plan = getattr(program, "program", program).execution_plan[0]
        backends = sorted({delegate.id for delegate in plan.delegates})
        details.append(f"delegates: {', '.join(backends) or 'none'}")
    return LowerResult(
        path=str(Path(job.program_dir) / PROGRAM),
        artifact=_artifact(made / PROGRAM, job),
        stages=stages.done,
        planned_bytes=sum(plan.non_const_buffer_sizes),
        delegation=None,
    )


def _artifact(path: Path, job: LowerJob) -> Artifact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sections: list[Section] = []
    with contextlib.suppress(DamagedFile):  # a finished program that is damaged is for the runtime to refuse
        sections = sections_of(path)
    return Artifact(kind="pte", size_bytes=path.stat().st_size, sha256=digest, key=job.program_key, sections=sections)


def _to_text(shared: Delegation) -> str:
    total = shared.delegated_nodes + shared.undelegated_nodes
    return f"{shared.delegated_nodes} of {total} nodes delegated in {counted(shared.subgraphs, 'subgraph')}"


@contextlib.contextmanager
def _unheard(delegate: str) -> Iterator[None]:
    """OpenVINO's partitioner prints a line for every node it does not take, Core ML draws progress bars."""
    if delegate not in {"openvino", "coreml"}:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
