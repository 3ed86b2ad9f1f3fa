"""Predict a model on an Arm Ethos-U: export it here, and lower it in the environment with Arm's tools."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch

from etui.engine.delegates import ethos_u_predict
from etui.engine.explain.known_causes import describe, explain
from etui.engine.lowering.flat_export import export, mutated_buffers
from etui.engine.models.bundle import Bundle
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import BundleResult, NpuJob
from etui.npu_prediction import MemoryEstimate, MemoryName, NpuPrediction

Log = Callable[[Event], None]

_SCRIPT = Path(ethos_u_predict.__file__)
_MEMORIES: dict[str, MemoryName] = {
    "sram": "SRAM",
    "dram": "DRAM",
    "on_chip_flash": "on-chip flash",
    "off_chip_flash": "off-chip flash",
}
_KIB = 1024


class Lowered(msgspec.Struct):
    """What the script writes: the rows of Vela's summaries, the operators on the CPU, and the versions of the tools."""

    subgraphs: list[dict[str, str]]
    fallback: dict[str, int]
    versions: dict[str, str]


def run_npu(job: NpuJob, log: Log) -> NpuPrediction:
    """Export the model of a bundle, have it quantized, lowered and compiled for ``job.npu``, and read the estimate.

    Raises:
        PreparationError: the model cannot be exported or lowered, or no operator of it runs on the NPU.
    """

    def begin(stage: str, message: str) -> None:
        log(Event(kind="stage", stage=stage, message=message, at=utc_now()))

    work = Path(job.work)
    begin("export", "exporting")
    bundle = Bundle.open(Path(job.bundle), job.model)
    name = bundle.model.name
    if dtype := bundle.result.model.dtype:
        raise PreparationError(
            f"{name} has {dtype} weights, and quantization needs FP32 weights",
            "convert the module with .float() in its factory",
        )
    module, inputs = bundle.exportable(), bundle.inputs()[0]
    try:
        exported = export(module, inputs, bundle.structure)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        doing = "exporting"
        known = explain(error, doing, "ethos-u", ())
        cause, hint = known or (describe(error, doing), "the log has the traceback")
        raise PreparationError(cause, hint) from error
    if changed := mutated_buffers(exported):
        raise PreparationError(
            f"{name} changes its buffer {changed[0]} when it runs, which the prediction does not support"
        )
    calibration = bundle.calibration()[: job.calibration_count]
    torch.export.save(exported, work / "model.pt2")
    torch.save([tuple(tensors) for tensors in calibration], work / "calibration.pt")
    begin("lower", f"lowering for {job.npu} with Vela")
    # Isolated, so that variables and files of the present folder do not decide what is imported.
    command = [job.python, "-I", str(_SCRIPT), str(work), job.npu]
    with (work / "log").open("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False, cwd=work)
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if done.returncode != 0:
        last = lines[-1] if lines else f"exit status {done.returncode}"
        raise PreparationError(f"{name} cannot be lowered for {job.npu}: {last}")
    lowered = msgspec.json.decode((work / "prediction.json").read_bytes(), type=Lowered)
    if not lowered.subgraphs:
        raise PreparationError(f"no operator of {name} can run on {job.npu}", "predict another model")
    return prediction_of(lowered, job.npu, bundle.result, bundle.model.title, len(calibration))


def prediction_of(
    lowered: Lowered, npu: str, bundle: BundleResult, title: str, calibration_count: int
) -> NpuPrediction:
    """Return the sums over the subgraphs of Vela's summaries, of which there is at least one: they run one after
    another."""
    rows = lowered.subgraphs
    first = rows[0]
    cycles, clock_hz = sum(_count(row, "cycles_total") for row in rows), float(first["core_clock"])
    return NpuPrediction(
        model=bundle.model.name,
        title=title,
        npu=npu,
        system_config=first["system_config"],
        memory_mode=first["memory_mode"],
        clock_hz=clock_hz,
        cycles=cycles,
        time_ms=1e3 * cycles / clock_hz,
        macs=sum(_count(row, "nn_macs") for row in rows),
        memories=[_memory(rows, key, name) for key, name in _MEMORIES.items()],
        weight_bytes=sum(_count(row, "total_original_weights") for row in rows),
        encoded_weight_bytes=sum(_count(row, "total_npu_encoded_weights") for row in rows),
        subgraphs=len(rows),
        fallback=dict(sorted(lowered.fallback.items(), key=lambda pair: -pair[1])),
        calibration_count=calibration_count,
        weights=bundle.weights,
        inputs=bundle.inputs,
        versions=lowered.versions,
    )


def _memory(rows: Sequence[dict[str, str]], key: str, name: MemoryName) -> MemoryEstimate:
    def total(*columns: str) -> int:
        return sum(_count(row, f"{key}_{column}") for row in rows for column in columns)

    # Vela's file has memory in KiB, and traffic in bytes.
    used = round(float(rows[0][f"{key}_memory_used"]) * _KIB) if len(rows) == 1 else None
    return MemoryEstimate(
        name=name,
        read_bytes=total("feature_map_read_bytes", "weight_read_bytes"),
        written_bytes=total("feature_map_write_bytes", "weight_write_bytes"),
        traffic_bytes=total("total_bytes"),
        used_bytes=used,
    )


def _count(row: dict[str, str], column: str) -> int:
    return round(float(row[column]))
