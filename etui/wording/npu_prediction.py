"""The prediction for an NPU as labels and texts, the same for every front end."""

from __future__ import annotations

from etui import text
from etui.npu_prediction import NpuPrediction
from etui.wording.run_sections import Entry, RunSection, SectionTable

NOT_MEASURED = (
    "PREDICTED by Vela's model of the NPU and its memories, not measured: nothing was run. It is never compared with"
    " measurements, and not stored."
)
_HEADINGS = ("memory", "traffic per inference", "read", "written", "used")
_ALWAYS = ("SRAM", "DRAM")


def title(prediction: NpuPrediction) -> str:
    """Return the line above a prediction."""
    return f"{prediction.model} int8 on {prediction.npu}: PREDICTED"


def sections(prediction: NpuPrediction) -> list[RunSection]:
    """Return the estimate, the traffic of the memories, and what was assumed."""
    return [
        RunSection(title="Prediction", entries=_estimate(prediction)),
        RunSection(title="Memory", remark="predicted", table=_memories(prediction)),
        RunSection(title="Assumptions", entries=_assumptions(prediction)),
    ]


def _estimate(prediction: NpuPrediction) -> list[Entry]:
    mhz = prediction.clock_hz / 1e6
    encoded = f"{text.size(prediction.weight_bytes)} in INT8, {text.size(prediction.encoded_weight_bytes)} compressed"
    return [
        Entry("cycles", f"{prediction.cycles:,} per inference, predicted"),
        Entry("time", f"{text.number(prediction.time_ms, 4)} ms per inference at {mhz:,.0f} MHz, predicted"),
        Entry("not included", _not_included(prediction)),
        Entry("fallback", _fallback(prediction), "warn" if prediction.fallback else ""),
        Entry("multiply-adds", f"{prediction.macs:,} on the NPU"),
        Entry("NPU weights", encoded),
    ]


def _assumptions(prediction: NpuPrediction) -> list[Entry]:
    weights, calibrated = prediction.weights, text.counted(prediction.calibration_count, "input")
    caution = "; trained weights may be compressed further, which changes traffic and time"
    return [
        Entry("system", f"{prediction.system_config}, memory mode {prediction.memory_mode}"),
        Entry("weights", f"{weights.kind}: {weights.detail}{caution if weights.kind == 'synthetic' else ''}"),
        Entry("inputs", text.shapes(prediction.inputs.shapes)),
        Entry("quantization", f"static INT8 with Arm's quantizer, calibrated on {calibrated}"),
        Entry("tools", ", ".join(f"{name} {version}" for name, version in prediction.versions.items())),
    ]


def _memories(prediction: NpuPrediction) -> SectionTable:
    """Return the traffic of each memory of the system; of SRAM and DRAM also without any."""
    rows = [
        [
            each.name,
            text.size(each.traffic_bytes),
            text.size(each.read_bytes),
            text.size(each.written_bytes),
            text.size(each.used_bytes),
        ]
        for each in prediction.memories
        if each.traffic_bytes or each.used_bytes or each.name in _ALWAYS
    ]
    return SectionTable(_HEADINGS, rows)


def _not_included(prediction: NpuPrediction) -> str:
    outside = "converting the inputs to INT8 and the outputs back, which the CPU does"
    return f"the operators on the CPU; {outside}" if prediction.fallback else outside


def _fallback(prediction: NpuPrediction) -> str:
    subgraphs = text.counted(prediction.subgraphs, "subgraph")
    if not prediction.fallback:
        return f"none: every operator runs on the NPU, in {subgraphs}"
    names = ", ".join(f"{name} x{count}" for name, count in prediction.fallback.items())
    total = text.counted(sum(prediction.fallback.values()), "operator")
    return f"{total} on the CPU: {names}; the others in {subgraphs} on the NPU"
