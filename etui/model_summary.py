"""The summary of a model: its modules with their parameters, work and memory, and the totals. Counts are of one
inference on the example inputs."""

from __future__ import annotations

from typing import Literal

import msgspec

CountedOn = Literal["shapes", "values"]
"""How the operators were observed: on tensors that have only a shape and a dtype, or, for a model whose control flow
depends on data, by running it."""


class TensorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Shape and dtype of a tensor."""

    shape: list[int]
    dtype: str


class ModuleSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A module, or the model itself if ``path`` is empty. The list of modules is in depth-first order.

    Figures include the submodules, ``own_`` figures do not. Of several calls the shapes are those of the first.
    ``activation_bytes`` are the bytes that operators allocate for their results, ``traffic_bytes`` those that operators
    read and write if each reads its operands and writes its result once. ``uncounted`` has the operators of this
    module whose work is not known, ``unknown_calls`` the number of their calls, here and in submodules. ``same_as`` is
    the path under which the same object was counted.

    ``own_mac_calls`` is the number of operator calls with multiply-adds, ``weight_values`` the number of values of the
    parameters that they read (here and in submodules, each parameter once). ``io_values`` are the floating-point values
    that a module receives and returns over all calls, as far as its operators read them, ``io_other_bytes`` the bytes
    of its other inputs and outputs.
    """

    path: str
    type: str
    depth: int
    calls: int = 0
    inputs: list[TensorInfo] = []
    outputs: list[TensorInfo] = []
    parameters: int = 0
    trainable: int = 0
    buffers: int = 0
    own_parameters: int = 0
    own_trainable: int = 0
    parameter_bytes: int = 0
    macs: int = 0
    own_macs: int = 0
    activation_bytes: int = 0
    own_activation_bytes: int = 0
    traffic_bytes: int = 0
    own_traffic_bytes: int = 0
    uncounted: dict[str, int] = {}
    unknown_calls: int = 0
    own_mac_calls: int = 0
    weight_values: int = 0
    io_values: int = 0
    io_other_bytes: int = 0
    same_as: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model's totals and its modules.

    ``macs`` counts multiply-adds of convolutions and matrix products, attention included. ``uncounted`` are the
    operators that compute but whose work is not known, with their number of calls. ``estimated_bytes`` are the sizes of
    parameters and buffers by precision. ``forward_bytes`` are the results of all operators of one inference,
    ``peak_bytes`` the largest sum of inputs and results that are needed at the same time, ``backward_bytes`` what a
    training step saves for the backward pass (None: not known, ``backward_note`` says why). Parameters are in none of
    these. ``files`` are the source files that the summary depends on.
    """

    model: str
    title: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    parameters: int
    trainable: int
    buffers: int
    parameter_bytes: int
    buffer_bytes: int
    parameters_by_dtype: dict[str, int]
    estimated_bytes: dict[str, int]
    input_bytes: int
    output_bytes: int
    forward_bytes: int
    peak_bytes: int
    backward_bytes: int | None
    backward_note: str
    macs: int
    uncounted: dict[str, int]
    counted_on: CountedOn
    notes: list[str]
    modules: list[ModuleSummary]
    torch_version: str
    files: list[str] = []


class MeasuredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a summarized model at the same shape: the newest of its machine, precision, delegate, number of threads
    and modules kept in FP32.

    ``machine`` is the name of the machine if it is another than this one, else empty. ``gmacs_per_s`` are the counted
    multiply-adds per second of the median latency in billions, None if nothing is counted; ``size_bytes`` is the size
    of the program, ``keep_fp32`` are the modules excluded from its quantization."""

    run: str
    precision: str
    delegate: str
    threads: int | None
    latency_ms: float
    eager_latency_ms: float | None
    gmacs_per_s: float | None
    size_bytes: int | None
    keep_fp32: list[str] = []
    machine: str = ""
