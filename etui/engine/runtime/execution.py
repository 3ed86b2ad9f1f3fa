"""ExecuTorch's runtime as the measuring passes need it: load a program, feed it, run it, hold its threads.

It talks to the runtime's extension module directly, because ``executorch.runtime`` imports three seconds of
ahead-of-time code that measuring does not need.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from executorch.extension.pybindings import _C

from etui.catalog.precisions import AS_IS
from etui.engine.runtime.input_dtypes import DTYPES
from etui.errors import EtuiError

OPENVINO_BACKEND = "OpenvinoBackend"

TensorTuple = tuple[torch.Tensor, ...]


def _load_quantized_kernels() -> None:
    """Register the kernels of ``quantized_decomposed`` with the runtime: undelegated INT8 programs call them.

    ``executorch.kernels.quantized`` would import torch's ahead-of-time side for the same one library.
    """
    spec = importlib.util.find_spec("executorch.kernels")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for library in Path(place, "quantized").glob("libquantized_ops_aot_lib.*"):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]


_load_quantized_kernels()


class RuntimeFailure(EtuiError):
    """The runtime refused a program or its inputs."""


def set_threads(threads: int, *, cpus: Sequence[int] | None) -> int:
    """Hold this process to ``cpus``, give eager PyTorch and ExecuTorch the same number of threads, and return the
    number read back from both.

    Must come before anything is loaded: threads that exist keep the CPUs they had, and resetting ExecuTorch's pool
    after a load leaves a dangling one. OpenVINO takes neither pool: it starts as many threads of its own as there are
    CPUs that the process is held to. How many threads of any library worked is counted while it is timed.

    Raises:
        RuntimeFailure: a pool did not take the number, or the CPUs are not there.
    """
    if cpus and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            raise RuntimeFailure(
                f"this process cannot be held to CPUs {list(cpus)}: {error.strerror}",
                "were CPUs taken offline, or was a cpuset changed? `etui doctor` says which this process may use",
            ) from error
    torch.set_num_threads(threads)
    _C._unsafe_reset_threadpool(threads)
    eager, program = torch.get_num_threads(), int(_C._threadpool_get_thread_count())
    if eager != threads or program != threads:
        raise RuntimeFailure(
            f"asked for {threads} threads, but eager has {eager} and ExecuTorch {program}",
            "ask for fewer threads: `etui doctor` says how many cores this process may use",
        )
    return threads


def registered_backends() -> list[str]:
    """The backends this build of the runtime holds."""
    return [str(name) for name in _C._get_registered_backend_names()]


def find_openvino_library() -> None:
    """Tell the OpenVINO backend where the pip package keeps its C library, as the runtime's own wrapper would."""
    if os.environ.get("OPENVINO_LIB_PATH"):
        return
    spec = importlib.util.find_spec("openvino")
    for place in (spec.submodule_search_locations or []) if spec else []:
        libraries = sorted(Path(place, "libs").glob("libopenvino_c.so*"))
        if libraries:
            os.environ["OPENVINO_LIB_PATH"] = str(libraries[0])
            return


class LoadedProgram:
    """One method of a program, loaded and ready to run; the times of both loads are kept apart.

    The program's bytes and the program stay referenced as long as the method does: the runtime reads from both.
    """

    def __init__(self, path: Path, *, delegate: str, method: str = "forward", trace: bool = False) -> None:
        """Load ``path``, a program lowered for ``delegate`` ("as-is" where that is not known). ``trace`` has the
        runtime keep an ETDump of what it does.

        Raises:
            RuntimeFailure: the file is no program, or it needs a backend this runtime lacks.
        """
        self._data: bytes | None = None
        from_bytes = runs_openvino(path, delegate)
        start = time.perf_counter()
        try:
            if from_bytes:
                # Loaded by path, an OpenVINO program is a segmentation fault at its first execute.
                find_openvino_library()
                self._data = path.read_bytes()
                self._program = _C._load_program_from_buffer(self._data, enable_etdump=trace)
            else:
                self._program = _C._load_program(str(path), enable_etdump=trace)
            loaded = time.perf_counter()
            names = [self._program.get_method_name(i) for i in range(self._program.num_methods())]
            if method not in names:
                if len(names) != 1:
                    raise RuntimeFailure(f"{path.name} has no method {method!r}, only {', '.join(names)}")
                method = names[0]
            self._method = self._program.load_method(method)
        except RuntimeError as error:
            raise RuntimeFailure(f"ExecuTorch cannot load {path.name}: {error}", _load_hint(str(error))) from error
        done = time.perf_counter()
        self.program_load_ms = (loaded - start) * 1e3
        self.method_load_ms = (done - loaded) * 1e3
        meta = self._method.method_meta()
        self._input_dtypes = [
            DTYPES.get(int(meta.input_tensor_meta(i).dtype()), torch.float32) for i in range(meta.num_inputs())
        ]

    def fit(self, inputs: Sequence[torch.Tensor]) -> TensorTuple:
        """The inputs as this program takes them: its dtypes (FP16 programs take half tensors), contiguous memory.

        The runtime reads a non-contiguous tensor as if it were contiguous and silently answers with wrong numbers.

        Raises:
            RuntimeFailure: another number of inputs than the program takes.
        """
        if len(inputs) != len(self._input_dtypes):
            raise RuntimeFailure(f"the program takes {len(self._input_dtypes)} inputs, but there are {len(inputs)}")
        return tuple(tensor.to(dtype).contiguous() for tensor, dtype in zip(inputs, self._input_dtypes, strict=True))

    def __call__(self, inputs: TensorTuple) -> list[torch.Tensor]:
        """Run once: set the inputs, execute, and clone the outputs out of the program's memory."""
        outputs: list[torch.Tensor] = self._method(inputs)
        return outputs

    def parts_ns(self, inputs: TensorTuple) -> tuple[int, int, int]:
        """Run once as a call does, and return the nanoseconds of its parts: setting the inputs, ``execute``, and
        cloning the outputs."""
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
        """Write what was traced since the program was loaded to a file, and begin afresh.

        Raises:
            RuntimeFailure: this build of the runtime cannot trace, or the file cannot be written.
        """
        if not self._program.has_etdump():
            raise RuntimeFailure("this build of ExecuTorch cannot trace a program", "install executorch from PyPI")
        try:
            self._program.write_etdump_result_to_file(str(path), str(path.with_suffix(".debug")))
        except RuntimeError as error:
            raise RuntimeFailure(f"the ETDump cannot be written: {error}", "free some disk space") from error


def runs_openvino(path: Path, delegate: str) -> bool:
    """Whether OpenVINO computes this program, with its own thread pool: it was lowered for it, or is a finished program
    that names it."""
    return delegate == "openvino" or (delegate == AS_IS and needs_openvino(path))


def needs_openvino(path: Path) -> bool:
    """Whether a program names the OpenVINO backend; the name stands as plain text in the file."""
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(1 << 24):
            if OPENVINO_BACKEND.encode() in tail + chunk:
                return True
            tail = chunk[-len(OPENVINO_BACKEND) :]
    return False


def _load_hint(error: str) -> str:
    if "0x:20" in error:
        return f"it needs a backend this runtime lacks; registered here: {', '.join(registered_backends())}"
    if "0x:14" in error:
        return "an operator it calls has no kernel in this runtime; `etui log RUN --verbose` names it"
    return "check that it is a whole .pte file made for ExecuTorch 1.5"
