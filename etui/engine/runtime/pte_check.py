"""Check a user's finished program before it is measured: choose its method, or explain why it cannot be run."""

from __future__ import annotations

from pathlib import Path

from etui.engine.runtime.input_dtypes import DTYPES
from etui.engine.runtime.load_problems import available_backends, load_problem
from etui.errors import PreparationError
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import FORWARD, Method, ProgramFile, read_program, signature_text
from etui.programs.sections import sections

NAMED = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}
"""The dtypes of inputs that can be generated, by their names in ExecuTorch, which equal torch's."""


def runnable_method(path: Path, requested: str | None = None) -> Method:
    """Return the method of a program to measure: the requested one, else ``forward``, else the only one.

    Raises:
        PreparationError: the file is not a program, needs something this machine lacks, or has inputs that are not
            tensors.
    """
    program = _read(path)
    problem, hint = load_problem(program, available_backends(program))
    if problem:
        raise PreparationError(f"{path} cannot be run here: {problem}", hint)
    names = [method.name for method in program.methods]
    wanted = requested or FORWARD
    if wanted not in names and (requested is not None or len(names) > 1):
        listed = "; ".join(signature_text(method) for method in program.methods)
        raise PreparationError(f"{path} has no method {wanted!r}; it has {listed}", "choose one with --method NAME")
    method = next((candidate for candidate in program.methods if candidate.name == wanted), program.methods[0])
    if method.external:
        raise PreparationError(
            f"{path} cannot be run here: its data is in a .ptd file", "lower it with its data inside the .pte"
        )
    for signature in method.inputs:
        if signature.index in method.fixed:
            continue
        if signature.shape is None or signature.dtype not in NAMED:
            raise PreparationError(
                f"{path} cannot be run here: etui cannot generate its input {signature.index + 1} of type"
                f" {signature.dtype}",
                f"give a program that takes tensors of {', '.join(NAMED)}",
            )
    return method


def _read(path: Path) -> ProgramFile:
    try:
        with mapped(path) as buffer:
            program = read_program(buffer)
            sections(program, buffer)
    except DamagedFile as error:
        hint = error.hint or "copy it again, or lower the model again"
        raise PreparationError(f"{path} {error.message}", hint) from error
    except OSError as error:
        raise PreparationError(f"cannot read {path}: {error.strerror or error}", "check its permissions") from error
    return program
