"""Check a user's model, its weights and its modules before the session is queued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from etui.catalog.find import Model, UserModel, find_model
from etui.catalog.precisions import AS_IS
from etui.engine.explain.layers import describe_failure
from etui.engine.explain.source_lines import model_line
from etui.engine.lowering.keep_fp32 import check_modules
from etui.engine.models import weights
from etui.engine.models.build import Built, build_raw, finish
from etui.engine.models.bundle import target_of
from etui.engine.models.data_folder import read_folder
from etui.engine.models.declared import tolerances_of
from etui.engine.models.exported_program import check_exported
from etui.engine.models.task_metric import metrics_of
from etui.engine.models.torchvision_shim import needs_compiled_torchvision
from etui.engine.models.user_code import source_files
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.files.data_files import data_files
from etui.jobs import CheckJob, CheckResult
from etui.spec import WEIGHTS

Log = Callable[[Event], None]


def run_check(job: CheckJob, log: Log) -> CheckResult:
    """Load a model as a session would, and check what the job names.

    Exceptions of the user's code are not caught.

    Raises:
        PreparationError: the model, its inputs or its modules are invalid (WeightsError: its weights).
    """
    torch.set_num_threads(1)

    def begin(stage: str) -> None:
        log(Event(kind="stage", stage=stage, message=f"checking the {stage}", at=utc_now()))

    begin("model")
    model = find_model(job.model)
    if isinstance(model, UserModel) and model.kind == "pte":
        for method in job.methods:
            _check_program(Path(model.path), method)
        return CheckResult(files=[model.path])
    if isinstance(model, UserModel) and model.kind == "pt2" and not job.allow_pickle:
        check_exported(Path(model.path))
    built = _built(model, job, begin, log)
    if isinstance(model, UserModel):
        if built.declared is not None:
            tolerances_of(built.declared, model.name)
            labels = built.declared.labels
            if job.data is not None and built.declared.metric is not None:
                labels = True  # those of the files
            metrics_of(built.declared.metric, labels, model.name)
        begin("inputs")
        _try_inputs(model, built, job.seed)
        if job.data is not None:
            begin("data")
            read_folder(Path(job.data), target_of(model, built, job.seed), 2, job.seed)
    if job.keep_fp32:
        begin("keep_fp32")
        check_modules(built.module, job.keep_fp32)
    return CheckResult(files=_files(model, job))


def _built(model: Model, job: CheckJob, begin: Callable[[str], None], log: Log) -> Built:
    has_path = job.weights not in WEIGHTS
    if has_path and isinstance(model, UserModel) and model.kind == "factory":
        # The model first, so that an error in the factory is not reported as one of the weights.
        built = weights.load(model, weights.resolve(model, "auto", job.seed, Path(job.cache_dir), log), job.seed)
        begin("weights")
        weights.fit(built.module, Path(job.weights))
        return built
    if isinstance(model, UserModel) or has_path:
        begin("weights")
        resolved = weights.resolve(model, job.weights, job.seed, Path(job.cache_dir), log)
        if isinstance(model, UserModel):
            begin("model")
        return weights.load(model, resolved, job.seed, job.allow_pickle)
    # Only the names of its modules are needed.
    return Built(finish(model, build_raw(model, initialize=False), keep=False), None)


def _try_inputs(model: UserModel, built: Built, seed: int) -> None:
    """Run the model once on its first example. Raises PreparationError if that fails."""
    if built.example is None:
        return
    example = built.example.take(1, seed)[0]
    try:
        with torch.inference_mode():
            example.structure.bound(built.module)(*example.tensors)
    except MemoryError:
        raise
    except Exception as error:
        name = Path(model.path).name + (f":{model.factory}" if model.factory else "")
        if needs_compiled_torchvision(error):
            line = model_line(error)
            raise PreparationError(
                f"{name} calls a compiled operator of torchvision{f' at {line.to_text()}' if line else ''}, but the"
                " installed torchvision is a CUDA build, whose operators do not load with a CPU build of torch",
                "install the CPU build of torchvision from the package index that torch came from",
            ) from error
        shapes = ", ".join(str(list(tensor.shape)) for tensor in example.tensors)
        may_be_label = built.declared is not None and built.declared.labels is None and len(example.tensors) == 2
        raise PreparationError(
            f"{name} does not take its example inputs of shape {shapes}: {describe_failure(error, built.module)}",
            "if the second is a label, give labels=True; otherwise return inputs that the module takes"
            if may_be_label
            else "return inputs that the module takes, or fix the module",
        ) from error


def _check_program(path: Path, requested: str | None) -> None:
    from etui.engine.runtime.execution import LoadedProgram
    from etui.engine.runtime.pte_check import runnable_method

    method = runnable_method(path, requested)
    LoadedProgram(path, delegate=AS_IS, method=method.name)


def _files(model: Model, job: CheckJob) -> list[str]:
    """Return the files that the result depends on, as far as they are known."""
    files = source_files(model) if isinstance(model, UserModel) else []
    if Path(job.weights).is_file():
        files.append(str(Path(job.weights).absolute()))
    if job.data is not None:
        files += map(str, data_files(Path(job.data))[1])
    return files
