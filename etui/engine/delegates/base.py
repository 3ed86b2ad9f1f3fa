"""What a delegate provides to export, quantization, lowering and the runtime; the defaults suit most delegates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from etui.catalog.delegates import RECORDS, DelegateRecord
from etui.errors import EtuiError, PreparationError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.export import ExportedProgram
    from torch.fx import Node


class QuantizerOptions(NamedTuple):
    """What a quantizer depends on. ``recipe`` is the recipe's name without its version, never ``int8-auto``;
    ``exported`` the FP32 graph; ``convolutional`` whether the model contains convolutions; ``keep`` the paths of the
    modules to keep in FP32, and ``is_kept`` whether a node of a graph belongs to one of them or must be kept for
    another reason. ``keeps_any`` is False if no node is kept.

    ``qat`` is whether the model is to be trained with fake quantization, which only some delegates prepare: with that
    of PT2E, or with ``fake_quantize``, a subclass of ``FakeQuantizeBase``."""

    recipe: str
    exported: ExportedProgram
    convolutional: bool
    keep: Sequence[str]
    is_kept: Callable[[Node], bool]
    keeps_any: bool = True
    qat: bool = False
    fake_quantize: type[Any] | None = None


class Quantizer(NamedTuple):
    """A PT2E quantizer. ``fold`` is whether quantized weights are stored instead of computed at run time; ``dynamic``
    whether activations are scaled at run time, so that no calibration is needed."""

    quantizer: Any
    fold: bool = True
    dynamic: bool = False


class DelegateSupport:
    """The implementation of one delegate. Imports of its tools are inside the methods, since measuring needs none."""

    delegates_nodes = True
    """Whether nodes can be delegated at all: false only for ``portable``."""

    prints_while_lowering = False
    """Whether its tools print to standard output or error while lowering, which is then discarded."""

    load_from_memory = False
    """Whether its programs must be loaded from memory instead of by path."""

    convolves_3d = True
    """Whether its programs can have 3D convolutions: ExecuTorch's own kernels have none, and XNNPACK takes none."""

    preloaded: tuple[str, ...] = ()
    """The modules that the fork server for preparing programs imports."""

    def __init__(self, name: str) -> None:
        self.record: DelegateRecord = RECORDS[name]

    @property
    def name(self) -> str:
        """The delegate's name in the catalog."""
        return self.record.name

    def partitioners(self, precision: str) -> list[Any]:
        """Return the partitioners for ``to_edge_transform_and_lower``.

        Raises:
            PreparationError: the delegate's tools are not installed.
        """
        try:
            return self.make_partitioners(precision)
        except ImportError as error:
            raise PreparationError(
                f"the tools for {self.name} cannot be imported: {error}",
                RECORDS[self.name].install or "reinstall ExecuTorch",
            ) from error

    def make_partitioners(self, precision: str) -> list[Any]:
        """Return the partitioners; an ImportError means that the tools are missing."""
        raise NotImplementedError

    def quantizer(self, options: QuantizerOptions) -> Quantizer:
        """Return the quantizer of one of the delegate's own recipes.

        Raises:
            PreparationError: the quantizer is not installed.
        """
        raise NotImplementedError

    def real_arithmetic(self, precision: str) -> str | None:
        """Return the arithmetic that the delegate uses on this machine if it differs from the precision, else None."""
        return None

    def prepare_runtime(self) -> None:
        """Set up this process to load programs of the delegate; called before each load."""

    def serialized_nodes(self, data: bytes) -> list[tuple[str, int]]:
        """Return kind and debug handle of the nodes in a serialized subgraph, in execution order; empty if the format
        is not read. Raises DamagedFile."""
        return []


class BaselineFailure(EtuiError):
    """The runtime of a baseline rejected a program or its inputs."""


class Executable(Protocol):
    """A loaded program of any runtime, as the measurements use it."""

    @property
    def program_load_ms(self) -> float:
        """The milliseconds of loading the file."""

    @property
    def method_load_ms(self) -> float | None:
        """The milliseconds of loading its method; None for a runtime without this step."""

    def fit(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Convert inputs to what a call takes. Raises EtuiError if the program does not take them."""

    def __call__(self, inputs: Any, /) -> Any:
        """Run once on converted inputs, and return the outputs as the runtime returns them."""

    def tensors(self, outputs: Any) -> list[torch.Tensor]:
        """Return the outputs of a call as tensors."""


class DeviceMemory(NamedTuple):
    """Memory of a device in bytes: allocated for the weights, the peak of what was allocated, and the peak of what was
    reserved for it; None if not known."""

    loaded_bytes: int | None
    peak_bytes: int | None
    reserved_bytes: int | None


class DeviceProgram:
    """An ``Executable`` on another device than the CPU. A call returns when the device is done."""

    program_load_ms: float
    method_load_ms: float | None
    wall_ms: list[float]
    """The time of each ``timed`` call until the device was done, with the clock of the CPU."""

    @property
    def name(self) -> str:
        """The name of the device."""
        raise NotImplementedError

    def fit(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Copy the inputs to the device."""
        raise NotImplementedError

    def __call__(self, inputs: Any, /) -> Any:
        """Run once on inputs on the device, and return the outputs there."""
        raise NotImplementedError

    def tensors(self, outputs: Any) -> list[torch.Tensor]:
        """Copy the outputs of a call to tensors on the CPU."""
        raise NotImplementedError

    def timed(self, inputs: Any) -> float:
        """Run once, and return the milliseconds that the device took, with its own clock."""
        raise NotImplementedError

    def memory(self) -> DeviceMemory:
        """Return the memory of the device that this process used."""
        raise NotImplementedError


class EagerModel(Protocol):
    """The model of a bundle, for baselines that execute its own module."""

    @property
    def structure(self) -> Any:
        """The structure of its arguments; ``arguments(tensors)`` returns positional and keyword arguments."""

    def eager(self) -> nn.Module:
        """Build the module with its weights."""

    def flat(self, outputs: Any) -> list[torch.Tensor]:
        """Return the tensors among its outputs."""


class BaselineWork(NamedTuple):
    """What a baseline makes its program of. ``recipe`` is the common recipe (``fp32``, ``int8-static``, ..) without its
    version, never ``int8-auto``; ``is_kept`` is whether a module path is to be kept in FP32, and ``keep`` the modules
    that are; ``threads`` is the number of threads that the program will be executed with; ``target`` the file to write;
    ``stage`` times and reports one stage (name, description) and yields a list for details. ``exported`` is None for
    one that needs only the module."""

    exported: ExportedProgram | None
    inputs: tuple[torch.Tensor, ...]
    calibration: Sequence[tuple[torch.Tensor, ...]]
    recipe: str
    is_kept: Callable[[str], bool]
    keep: Sequence[str]
    threads: int
    target: Path
    stage: Callable[[str, str], AbstractContextManager[list[str]]]


class BaselineSupport(DelegateSupport):
    """The implementation of a baseline: a runtime that makes and executes its own programs."""

    delegates_nodes = False

    takes_half_precision = False
    """Whether its programs can have weights and inputs of 16 bits, for models whose own weights are."""

    needs_module = False
    """Whether it executes the model's own module, which then need not be exported."""

    def prepare(self, work: BaselineWork) -> int | None:
        """Write the program to ``work.target``; return the number of calibration inputs used, None without calibration.

        Raises:
            PreparationError: its tools are not installed, or the recipe quantizes nothing.
        """
        raise NotImplementedError

    def load(self, path: Path, threads: int) -> Executable:
        """Load a program to be executed with this number of threads, which is read back.

        Raises:
            BaselineFailure: the runtime cannot load it, or uses another number of threads.
        """
        raise NotImplementedError

    def load_module(self, model: EagerModel) -> Executable:
        """Load the module of a model, for a baseline that ``needs_module``.

        Raises:
            BaselineFailure: the runtime cannot load it.
        """
        raise NotImplementedError
