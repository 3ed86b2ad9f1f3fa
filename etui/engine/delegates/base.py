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
    from torch.export import ExportedProgram
    from torch.fx import Node


class QuantizerOptions(NamedTuple):
    """What a quantizer depends on. ``recipe`` is the recipe's name without its version, never ``int8-auto``;
    ``exported`` the FP32 graph; ``convolutional`` whether the model contains convolutions; ``keep`` the paths of the
    modules to keep in FP32, and ``is_kept`` whether a node of a graph belongs to one of them or must be kept for
    another reason. ``keeps_any`` is False if no node is kept."""

    recipe: str
    exported: ExportedProgram
    convolutional: bool
    keep: Sequence[str]
    is_kept: Callable[[Node], bool]
    keeps_any: bool = True


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


class BaselineWork(NamedTuple):
    """What a baseline makes its program of. ``recipe`` is the common recipe (``fp32``, ``int8-static``, ..) without its
    version, never ``int8-auto``; ``is_kept`` is whether a module path is to be kept in FP32, and ``keep`` the modules
    that are; ``threads`` is the number of threads that the program will be executed with; ``target`` the file to write;
    ``stage`` times and reports one stage (name, description) and yields a list for details."""

    exported: ExportedProgram
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
