"""What Vela, Arm's compiler for Ethos-U, predicts for a model: an estimate of a program that was not run."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.results import InputsInfo, WeightsInfo

NPUS: tuple[str, ...] = (
    "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256",
    "ethos-u65-256", "ethos-u65-512",
    "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048",
)  # fmt: skip
"""The accelerators that Vela compiles for; the number is that of multiply-adds per cycle."""

MemoryName = Literal["SRAM", "DRAM", "on-chip flash", "off-chip flash"]


class MemoryEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """One memory of the predicted system. ``read_bytes`` and ``written_bytes`` are of feature maps and weights in one
    inference; ``traffic_bytes`` also has what else the NPU reads, such as its commands. ``used_bytes`` is what the
    program occupies; None if it has several subgraphs, whose memory may be shared."""

    name: MemoryName
    read_bytes: int
    written_bytes: int
    traffic_bytes: int
    used_bytes: int | None


class NpuPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What Vela predicts for one inference of a model in static INT8.

    ``cycles`` are those of the NPU over all delegated ``subgraphs``, ``time_ms`` is their time at ``clock_hz``. Neither
    includes what the CPU does: the operators of ``fallback`` (name and count) and converting inputs and outputs.
    ``system_config`` and ``memory_mode`` name the parts of Vela's configuration file that describe the assumed system.
    ``macs`` are the multiply-adds on the NPU, ``weight_bytes`` the INT8 weights and ``encoded_weight_bytes`` what Vela
    compressed them to. ``versions`` are those of the tools. ``source`` is the same in every prediction: nothing in it
    was measured.
    """

    source: Literal["predicted"] = "predicted"
    model: str
    title: str
    npu: str
    system_config: str
    memory_mode: str
    clock_hz: float
    cycles: int
    time_ms: float
    macs: int
    memories: list[MemoryEstimate]
    weight_bytes: int
    encoded_weight_bytes: int
    subgraphs: int
    fallback: dict[str, int]
    calibration_count: int
    weights: WeightsInfo
    inputs: InputsInfo
    versions: dict[str, str]
