"""A process that inspects one program's file: its content, and whether this machine's runtime loads it.

``python -m etui.engine.process.inspection_worker FD FILE [DATA]`` writes one JSON line when the file has been read, one
with the available backends, and one with the result of loading. The program is not executed. A malicious file can make
this process crash, hang or run out of memory, without effect on other processes.
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
from etui.engine.explain.error_text import first_line
from etui.errors import EtuiError
from etui.insight import BackendNeed, MethodInfo, ProgramInfo
from etui.programs.files import mapped
from etui.programs.inspection_messages import Answer, Here, LoadResult, Read, Refused
from etui.programs.program import Method, ProgramFile, read_program
from etui.programs.sections import sections
from etui.text import counted


def main() -> None:
    """Inspect the file given on the command line."""
    fd, path = int(sys.argv[1]), Path(sys.argv[2])
    data = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    _limit_damage()
    with os.fdopen(fd, "wb", buffering=0) as answers:

        def send(answer: Answer) -> None:
            line = memoryview(msgspec.json.encode(answer) + b"\n")
            while line:  # a pipe accepts long lines in parts
                line = line[answers.write(line) or 0 :]

        try:
            info, program = read(path)
            send(Read(info=info))
            load(path, data, program, send)
        except EtuiError as error:
            send(Refused(message=error.message, hint=error.hint))
        except OSError as error:
            send(Refused(message=f"cannot be read: {error.strerror or error}"))


def read(path: Path) -> tuple[ProgramInfo, ProgramFile]:
    """Return what the file contains, without checking backends and loading.

    Raises:
        DamagedFile: it is not a program, or it is damaged.
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


def load(path: Path, data: Path | None, program: ProgramFile, send: Callable[[Answer], None]) -> None:
    """Send the available backends, load every method as before an inference, and send the result."""
    from etui.engine.process.silence import quiet

    quiet()
    from etui.engine.delegates import support_of_backend
    from etui.engine.runtime.load_problems import available_backends, load_problem, needed_backends

    available = available_backends(program)
    send(Here(backends=available))
    problem, hint = load_problem(program, available)
    external = [name for method in program.methods for name in method.external]
    if not problem and external and data is None:
        more = f" and {len(external) - 1} more" if len(external) > 1 else ""
        problem, hint = f"the data of {external[0]}{more} is in a .ptd file", "give that file with --data"
    if not problem:
        supports = [support_of_backend(name) for name in needed_backends(program)]
        from_memory = any(support is not None and support.load_from_memory for support in supports)
        problem, hint = _loaded(path, data, program, from_memory=from_memory)
    send(LoadResult(loads=not problem, problem=problem, hint=hint))


def _loaded(path: Path, data: Path | None, program: ProgramFile, *, from_memory: bool) -> tuple[str, str]:
    """Return the runtime's error for a program, and what to do; two empty texts if the runtime loads it."""
    from executorch.extension.pybindings import _C

    _limit_memory()
    verification = _C.Verification.InternalConsistency
    options = {"data_path": str(data)} if data is not None else {}
    try:
        if from_memory:
            content = path.read_bytes()
            loaded = _C._load_program_from_buffer(content, False, 0, verification, **options)
        else:
            loaded = _C._load_program(str(path), False, 0, verification, **options)
        for method in program.methods:
            loaded.load_method(method.name)
    except MemoryError:
        return "loading it needs more memory than is free", "use a machine with more memory"
    except RuntimeError as error:
        return f"ExecuTorch cannot load it: {first_line(error)}", "lower the model again with ExecuTorch 1.5"
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
        notes.append(f"The data of {counted(len(external), 'tensor')} is in a separate .ptd file.")
    return notes


def _limit_memory() -> None:
    """Limit the address space, so that an allocation fails before the machine runs out of memory."""
    from etui.engine.runtime.load_problems import available_bytes

    free = available_bytes()
    if free is None:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # A lower limit that is already set cannot be raised.
    limits = (pages * resource.getpagesize() + free, *resource.getrlimit(resource.RLIMIT_AS))
    limit = min(value for value in limits if value != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_damage() -> None:
    """End with the parent, write no core file, and be the first process that the kernel kills when memory runs out."""
    from etui.engine.process.fork_server import die_with_parent

    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    oom_score = Path("/proc/self/oom_score_adj")
    if oom_score.exists():
        oom_score.write_text("1000")


if __name__ == "__main__":
    main()
