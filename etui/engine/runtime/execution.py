"""Load and run a program with ExecuTorch's runtime, and set its number of threads and its CPUs.

It uses the runtime's extension module directly, because ``executorch.runtime`` spends three seconds importing
ahead-of-time code that measuring does not need.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from executorch.extension.pybindings import _C

from etui.catalog.delegates import RECORDS
from etui.catalog.precisions import AS_IS
from etui.engine.delegates import baseline_support, delegate_support
from etui.engine.delegates.base import DelegateSupport, EagerModel, Executable
from etui.engine.explain.known_causes import explain_log, runtime_code
from etui.engine.explain.native_output import output_of
from etui.engine.runtime.input_dtypes import DTYPES
from etui.errors import EtuiError
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import FORWARD, read_program

TensorTuple = tuple[torch.Tensor, ...]


def _load_quantized_kernels() -> None:
    """Register the kernels of ``quantized_decomposed`` with the runtime: undelegated INT8 programs call them.

    ``executorch.kernels.quantized`` loads the same library, but also imports torch's ahead-of-time code.
    """
    spec = importlib.util.find_spec("executorch.kernels")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in Path(folder, "quantized").glob("libquantized_ops_aot_lib.*"):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]


_load_quantized_kernels()


class RuntimeFailure(EtuiError):
    """The runtime rejected a program or its inputs."""


def set_threads(threads: int, *, cpus: Sequence[int] | None) -> int:
    """Restrict this process to ``cpus``, set the number of threads of eager PyTorch and ExecuTorch, and return the
    number read back from both.

    Call it before anything is loaded: existing threads keep their CPUs, and resetting ExecuTorch's thread pool after a
    load leaves a dangling pool. OpenVINO uses neither pool: it starts one thread for each CPU that the process is
    restricted to. The number of busy threads of any library is counted during timing.

    Raises:
        RuntimeFailure: a thread pool did not accept the number, or a CPU is not available.
    """
    if cpus and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            raise RuntimeFailure(
                f"cannot restrict this process to CPUs {list(cpus)}: {error.strerror}",
                "check whether CPUs went offline or a cpuset changed",
            ) from error
    torch.set_num_threads(threads)
    _C._unsafe_reset_threadpool(threads)
    eager, program = torch.get_num_threads(), int(_C._threadpool_get_thread_count())
    if eager != threads or program != threads:
        raise RuntimeFailure(
            f"{threads} threads were requested, but eager uses {eager} and ExecuTorch {program}",
            "use at most as many threads as there are usable cores",
        )
    return threads


def registered_backends() -> list[str]:
    """Return the backends in this build of the runtime."""
    return [str(name) for name in _C._get_registered_backend_names()]


class LoadedProgram:
    """One loaded method of a program. ``program_load_ms`` and ``method_load_ms`` are the times of the two load steps.

    The program and its bytes are referenced as long as the method, because the runtime reads from both.
    """

    def __init__(self, path: Path, *, delegate: str, method: str | None = None, trace: bool = False) -> None:
        """Load ``path``, a program lowered for ``delegate`` ("as-is" if unknown). With ``trace`` the runtime records an
        ETDump. ``method`` is by default the one that the program was prepared for, ``forward`` or its only method.

        Raises:
            RuntimeFailure: the file is not a program, or it needs a backend that this runtime lacks.
        """
        self._data: bytes | None = None
        self._name = path.name
        self._is_own = delegate != AS_IS
        method = method or _requested_method(path) or FORWARD
        from_memory = False
        for support in _supports(path, delegate):
            support.prepare_runtime()
            from_memory = from_memory or support.load_from_memory
        try:
            self._load(path, method, from_memory=from_memory, trace=trace)
        except RuntimeError as error:
            # The reason is only in what the runtime prints, so the load is repeated to read that.
            log = output_of(lambda: self._load(path, method, from_memory=from_memory, trace=trace), RuntimeError)
            raise self._failure(error, f"ExecuTorch cannot load {path.name}", log) from error
        meta = self._method.method_meta()
        self._fixed = {} if self._is_own else _fixed_inputs(path, self._method_name)
        self._input_dtypes = [
            DTYPES.get(int(meta.input_tensor_meta(i).dtype()), torch.float32)
            for i in range(meta.num_inputs())
            if i not in self._fixed
        ]

    def _load(self, path: Path, method: str, *, from_memory: bool, trace: bool) -> None:
        start = time.perf_counter()
        if from_memory:
            self._data = path.read_bytes()
            self._program = _C._load_program_from_buffer(self._data, enable_etdump=trace)
        else:
            self._program = _C._load_program(str(path), enable_etdump=trace)
        loaded = time.perf_counter()
        names = [self._program.get_method_name(i) for i in range(self._program.num_methods())]
        if method not in names:
            if len(names) != 1:
                raise RuntimeFailure(f"{path.name} has no method {method!r}; it has {', '.join(names)}")
            method = names[0]
        self._method_name = method
        self._method = self._program.load_method(method)
        done = time.perf_counter()
        self.program_load_ms = (loaded - start) * 1e3
        self.method_load_ms = (done - loaded) * 1e3

    def _failure(self, error: RuntimeError, doing: str, log: Sequence[str]) -> RuntimeFailure:
        """Return the error to report for one that the runtime raised and what it printed."""
        if (known := explain_log(log)) is not None:
            return RuntimeFailure(f"{doing}: {known.cause}", known.hint)
        meaning = runtime_code(str(error))
        cause = f"{doing}: {str(error).strip()}" + (f" ({meaning})" if meaning else "")
        return RuntimeFailure(cause, _load_hint(str(error), is_own=self._is_own))

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each input tensor; of a program for several shapes, the largest."""
        meta = self._method.method_meta()
        return [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs()) if i not in self._fixed]

    def fit(self, inputs: Sequence[torch.Tensor]) -> TensorTuple:
        """Convert inputs to this program's dtypes (FP16 programs take half-precision tensors) and contiguous memory;
        insert inputs that are None or numbers.

        The runtime reads a non-contiguous tensor as if it were contiguous and silently computes wrong results.

        Raises:
            RuntimeFailure: the number of inputs differs from that of the program.
        """
        if len(inputs) != len(self._input_dtypes):
            raise RuntimeFailure(f"the program takes {len(self._input_dtypes)} inputs, but {len(inputs)} were given")
        fitted: list[Any] = [
            tensor.to(dtype).contiguous() for tensor, dtype in zip(inputs, self._input_dtypes, strict=True)
        ]
        for index, value in sorted(self._fixed.items()):
            fitted.insert(index, value)
        return tuple(fitted)

    def __call__(self, inputs: TensorTuple) -> list[torch.Tensor]:
        """Run once: set the inputs, execute, and clone the outputs out of the program's memory."""
        try:
            outputs: list[torch.Tensor] = self._method(inputs)
        except RuntimeError as error:
            log = output_of(lambda: self._method(inputs), RuntimeError)
            raise self._failure(error, f"ExecuTorch cannot execute {self._name}", log) from error
        return outputs

    def tensors(self, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the outputs of a call."""
        return outputs

    def parts_ns(self, inputs: TensorTuple) -> tuple[int, int, int]:
        """Run once, and return the nanoseconds of setting the inputs, of ``execute``, and of cloning the outputs."""
        clock, method = time.perf_counter_ns, self._method
        start = clock()
        method.set_inputs(inputs)
        inputs_set = clock()
        method.execute()
        executed = clock()
        method.get_outputs()
        end = clock()
        return inputs_set - start, executed - inputs_set, end - executed

    def write_etdump(self, path: Path) -> None:
        """Write the trace recorded since the program was loaded to a file, and reset it.

        Raises:
            RuntimeFailure: this build of the runtime does not support tracing, or the file cannot be written.
        """
        if not self._program.has_etdump():
            raise RuntimeFailure("this build of ExecuTorch does not support tracing", "install executorch from PyPI")
        try:
            self._program.write_etdump_result_to_file(str(path), str(path.with_suffix(".debug")))
        except RuntimeError as error:
            raise RuntimeFailure(f"cannot write the ETDump: {error}", "free some disk space") from error


def load_program(path: Path, delegate: str, threads: int, model: EagerModel | None = None) -> Executable:
    """Load a program with the runtime that it was prepared for. ``threads`` is the number that ``set_threads`` set.
    ``model`` is the bundle's, for baselines that execute its module.

    Raises:
        EtuiError: the runtime cannot load it.
    """
    baseline = baseline_support(delegate)
    if baseline is None:
        return LoadedProgram(path, delegate=delegate)
    if baseline.needs_module:
        assert model is not None
        return baseline.load_module(model)
    return baseline.load(path, threads)


def _supports(path: Path, delegate: str) -> list[DelegateSupport]:
    """Return the delegates of a program: that which it was lowered for, or those that a finished program names."""
    if delegate != AS_IS:
        return [delegate_support(delegate)]
    backends = {
        record.backend: record.name for record in RECORDS.values() if record.support == "run" and record.backend
    }
    return [delegate_support(backends[backend]) for backend in _contained(path, list(backends))]


class _Prepared(msgspec.Struct):
    method: str | None = None


def _requested_method(path: Path) -> str | None:
    """Return the method that a prepared program is measured by, from its description (``LowerResult``) next to it."""
    try:
        return msgspec.json.decode(path.with_name("lowered.json").read_bytes(), type=_Prepared).method
    except (OSError, msgspec.DecodeError):
        return None


def _fixed_inputs(path: Path, method: str) -> dict[int, bool | int | float | None]:
    """Return the inputs of a finished program that are None, numbers or booleans, by index."""
    try:
        with mapped(path) as buffer:
            methods = read_program(buffer).methods
    except (DamagedFile, OSError):  # the runtime has accepted the file
        return {}
    return next((found.fixed for found in methods if found.name == method), {})


def _contained(path: Path, texts: Sequence[str]) -> list[str]:
    """Return which of the texts a file contains; programs name backends in plain text."""
    contained: set[str] = set()
    overlap = max(len(text) for text in texts)
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(1 << 24):
            contained.update(text for text in texts if text.encode() in tail + chunk)
            if len(contained) == len(texts):
                break
            tail = chunk[-overlap:]
    return [text for text in texts if text in contained]


def _load_hint(error: str, *, is_own: bool) -> str:
    if "0x:20" in error:
        return f"it needs a backend that this runtime lacks; available are {', '.join(registered_backends())}"
    if "0x:21" in error or "0x21" in error:
        return "free memory on the machine, or choose a smaller model"
    if is_own:
        return "choose another delegate or precision; the log has what the runtime printed"
    return "check that it is a complete .pte file made for ExecuTorch 1.5, and takes these inputs"
