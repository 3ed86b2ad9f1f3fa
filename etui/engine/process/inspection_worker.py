"""A child process that looks at one program's file: what it holds, and whether this box's runtime loads it.

``python -m etui.engine.process.inspection_worker FD FILE [DATA]`` writes one JSON line as soon as the file is read and
another when it was loaded, or could not be. Nothing of the program is executed. It may crash, hang or run out of memory
over what the file says: that ends this process and harms nothing else.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.catalog.backends import hint_for
from etui.errors import EtuiError
from etui.insight import BackendNeed, MethodInfo, ProgramInfo
from etui.programs.files import mapped
from etui.programs.inspection_messages import Answer, Here, Loaded, Read, Refused
from etui.programs.program import Method, ProgramFile, read_program
from etui.programs.sections import sections


def main() -> None:
    """Do what the command line says."""
    fd, path = int(sys.argv[1]), Path(sys.argv[2])
    data = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    _be_the_first_to_go()
    with os.fdopen(fd, "wb", buffering=0) as answers:

        def say(answer: Answer) -> None:
            line = memoryview(msgspec.json.encode(answer) + b"\n")
            while line:  # a pipe takes long lines in parts
                line = line[answers.write(line) or 0 :]

        try:
            info, program = read(path)
            say(Read(info=info))
            load(path, data, program, say)
        except EtuiError as error:
            say(Refused(message=error.message, hint=error.hint))
        except OSError as error:
            say(Refused(message=f"cannot be read: {error.strerror or error}"))


def read(path: Path) -> tuple[ProgramInfo, ProgramFile]:
    """What the file alone tells; whether a backend is here and whether it loads is not yet known.

    Raises:
        DamagedFile: it is no program, or damaged.
        OSError: it cannot be read.
    """
    with mapped(path) as buffer:
        program = read_program(buffer)
        parts = sections(program, buffer)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    info = ProgramInfo(
        name=path.name,
        size_bytes=program.size,
        sha256=digest,
        schema_version=program.version,
        methods=[_method(method) for method in program.methods],
        sections=parts,
        notes=_notes(program),
    )
    return info, program


def load(path: Path, data: Path | None, program: ProgramFile, say: Callable[[Answer], None]) -> None:
    """Load every method as the runtime does before an inference, and say what is in the way."""
    from etui.engine.process.silence import quiet

    quiet()
    from etui.engine.runtime.execution import OPENVINO_BACKEND
    from etui.engine.runtime.load_problems import backends_here, needed_backends, obstacle

    here = backends_here(program)
    say(Here(backends=here))
    problem, hint = obstacle(program, here)
    external = [name for method in program.methods for name in method.external]
    if not problem and external and data is None:
        more = f" and {len(external) - 1} more" if len(external) > 1 else ""
        problem, hint = f"the data of {external[0]}{more} lies in a .ptd file", "name that file with --data"
    if not problem:
        problem, hint = _loaded(path, data, program, from_bytes=OPENVINO_BACKEND in needed_backends(program))
    say(Loaded(loads=not problem, problem=problem, hint=hint))


def _loaded(path: Path, data: Path | None, program: ProgramFile, *, from_bytes: bool) -> tuple[str, str]:
    """What the runtime says against a program, and what to do; two empty texts where it loads it."""
    from executorch.extension.pybindings import _C

    _hold_memory()
    verified = _C.Verification.InternalConsistency
    words = {"data_path": str(data)} if data is not None else {}
    try:
        if from_bytes:  # by path, OpenVINO's programs end the process
            whole = path.read_bytes()
            loaded = _C._load_program_from_buffer(whole, False, 0, verified, **words)
        else:
            loaded = _C._load_program(str(path), False, 0, verified, **words)
        for method in program.methods:
            loaded.load_method(method.name)
    except MemoryError:
        return "loading it takes more memory than this box has free", "load it on a box with more memory"
    except RuntimeError as error:
        line = (str(error).strip().splitlines() or [""])[0]
        return f"ExecuTorch refuses it: {line}", "lower the model again with ExecuTorch 1.5"
    return "", ""


def _method(method: Method) -> MethodInfo:
    subgraphs = Counter(delegate.backend for delegate in method.delegates)
    return MethodInfo(
        name=method.name,
        inputs=method.inputs,
        outputs=method.outputs,
        backends=[
            BackendNeed(name=name, subgraphs=count, here=False, hint=hint_for(name))
            for name, count in subgraphs.items()
        ],
        operators=method.operators,
        instructions=method.instructions,
        planned_bytes=sum(method.planned),
    )


def _notes(program: ProgramFile) -> list[str]:
    notes = []
    external = {name for method in program.methods for name in method.external}
    if external:
        plural = "tensor lies" if len(external) == 1 else "tensors lie"
        notes.append(f"The data of {len(external)} {plural} in a .ptd file of its own.")
    return notes


def _hold_memory() -> None:
    """Let reserving fail before the box runs out of memory."""
    from etui.engine.runtime.load_problems import available_bytes

    free = available_bytes()
    if free is None:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # Who started this may have set a lower limit already, which cannot be raised.
    limits = (pages * resource.getpagesize() + free, *resource.getrlimit(resource.RLIMIT_AS))
    limit = min(one for one in limits if one != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _be_the_first_to_go() -> None:
    """Die with the parent, leave no core file, and be what the kernel kills where memory runs out."""
    from etui.engine.process.fork_server import die_with_parent

    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = Path("/proc/self/oom_score_adj")
    if own.exists():
        own.write_text("1000")


if __name__ == "__main__":
    main()
