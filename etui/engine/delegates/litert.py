"""LiteRT (TensorFlow Lite): conversion and quantization in an environment with litert-torch, and its interpreter with
XNNPACK."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from etui.engine.delegates import litert_convert
from etui.engine.delegates.base import BaselineFailure, BaselineSupport, BaselineWork, Executable
from etui.engine.explain.error_text import first_line
from etui.errors import PreparationError
from etui.host.litert_converter import converter_problem, converter_python
from etui.text import counted, size

if TYPE_CHECKING:
    import numpy

    Feeds = dict[str, numpy.ndarray[Any, Any]]

_SCRIPT = Path(litert_convert.__file__)


class _LiteRtProgram:
    """An interpreter with one signature. Its number of threads cannot be read back; the busy threads are counted during
    timing."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        start = time.perf_counter()
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            loaded = time.perf_counter()
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BaselineFailure(
                f"LiteRT cannot load {path.name}: {first_line(error)}", "measure without the program cache"
            ) from error
        self.program_load_ms = (loaded - start) * 1e3
        self.method_load_ms: float | None = (time.perf_counter() - loaded) * 1e3
        self._run = self._interpreter.get_signature_runner()
        self._inputs = {name: details["dtype"] for name, details in self._run.get_input_details().items()}
        self._names = sorted(self._inputs, key=_place)

    def fit(self, inputs: Sequence[torch.Tensor]) -> Feeds:
        if len(inputs) != len(self._names):
            raise BaselineFailure(
                f"the LiteRT model takes {counted(len(self._names), 'input')}, but {len(inputs)} were given"
            )
        # The converter narrows 64-bit integers to 32 bits.
        return {
            name: tensor.contiguous().numpy().astype(self._inputs[name], copy=False)
            for name, tensor in zip(self._names, inputs, strict=True)
        }

    def __call__(self, inputs: Feeds) -> dict[str, Any]:
        outputs: dict[str, Any] = self._run(**inputs)
        return outputs

    def tensors(self, outputs: dict[str, Any]) -> list[torch.Tensor]:
        return [torch.from_numpy(outputs[name]) for name in sorted(outputs, key=_place)]


class _LiteRt(BaselineSupport):
    def prepare(self, work: BaselineWork) -> int | None:
        if problem := converter_problem():
            raise PreparationError(*problem)
        python = converter_python()
        assert python is not None
        static = work.recipe.startswith("int8-static")
        if static and not work.calibration:
            raise PreparationError(
                "static quantization needs at least one calibration input", "use a calibration count above zero"
            )
        if work.recipe != "fp32" and work.keep:
            raise PreparationError(
                f"LiteRT programs cannot have modules that are kept in FP32 ({', '.join(work.keep)})",
                "leave out --keep-fp32, or this baseline",
            )
        what = "converting to LiteRT" + ("" if work.recipe == "fp32" else f", quantizing to {work.recipe}")
        with (
            work.stage("convert", what) as details,
            tempfile.TemporaryDirectory(dir=work.target.parent, prefix=".litert-") as folder,
        ):
            assert work.exported is not None
            exported, converted = Path(folder, "model.pt2"), Path(folder, work.target.name)
            torch.export.save(work.exported, exported)
            # Isolated, so that variables and files of the present folder do not decide what is imported.
            command = [python, "-I", str(_SCRIPT), str(exported), str(converted), work.recipe, str(work.threads)]
            if static:
                command.append(str(_write_calibration(work.calibration, Path(folder, "calibration.npz"))))
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode == litert_convert.QUANTIZED_NOTHING:
                raise PreparationError("the recipe quantizes nothing in this model", "choose another precision")
            if done.returncode != 0 or not converted.exists():
                line = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
                raise RuntimeError(line)
            converted.replace(work.target)
            if static:
                details.append(f"calibrated on {counted(len(work.calibration), 'input')}")
            details.append(size(work.target.stat().st_size))
        return len(work.calibration) if static else None

    def load(self, path: Path, threads: int) -> Executable:
        return _LiteRtProgram(path, threads)


def _write_calibration(inputs: Sequence[tuple[torch.Tensor, ...]], path: Path) -> Path:
    """Write the calibration inputs as the converter reads them."""
    import numpy

    arrays: dict[str, Any] = {
        f"{row:05d}_{column:03d}": tensor.contiguous().numpy()
        for row, tensors in enumerate(inputs)
        for column, tensor in enumerate(tensors)
    }
    numpy.savez(path, **arrays)
    return path


def _place(name: str) -> int:
    """Return the number at the end of the name of an input or output, such as ``args_10``."""
    found = re.search(r"\d+$", name)
    return int(found.group()) if found else 0


DELEGATE = _LiteRt("litert")
