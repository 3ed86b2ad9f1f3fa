"""Look at a finished program that a user gave, before it is measured: its method, or why it cannot be run here."""

from __future__ import annotations

from pathlib import Path

from etui.engine.runtime.input_dtypes import DTYPES
from etui.engine.runtime.load_problems import backends_here, obstacle
from etui.errors import PreparationError
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import Method, ProgramFile, read_program
from etui.programs.sections import sections

METHOD = "forward"
"""The method that is measured; a program's only one, where it is called otherwise."""

NAMED = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}
"""The types of inputs that can be made, by ExecuTorch's names, which are torch's."""


def runnable_method(path: Path) -> Method:
    """The method of a program that is measured.

    Raises PreparationError where the file is no program, needs what this box lacks, or takes something else than
    tensors.
    """
    program = _read(path)
    problem, hint = obstacle(program, backends_here(program))
    if problem:
        raise PreparationError(f"{path} cannot be run here: {problem}", hint)
    names = [method.name for method in program.methods]
    if METHOD not in names and len(names) > 1:
        raise PreparationError(
            f"{path} has no method {METHOD!r}, but {', '.join(names)}", f"lower it with one of them as {METHOD!r}"
        )
    method = next((one for one in program.methods if one.name == METHOD), program.methods[0])
    if method.external:
        raise PreparationError(
            f"{path} cannot be run here: its data lies in a .ptd file", "lower it with its data inside the .pte"
        )
    for one in method.inputs:
        if one.shape is None or one.dtype not in NAMED:
            raise PreparationError(
                f"{path} cannot be run here: its input {one.index + 1} is of {one.dtype}, which etui cannot make",
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
        raise PreparationError(f"{path} cannot be read: {error.strerror or error}", "check its permissions") from error
    return program
