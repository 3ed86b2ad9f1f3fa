"""A child process that looks at one program's file: what it holds, and whether this box's runtime loads it.

``python -m etui.engine.inspecting FD FILE [DATA]`` writes one JSON line as soon as the file is read and another when it
was loaded, or could not be. Nothing of the program is executed. It may crash, hang or run out of memory over what the
file says: that ends this process and harms nothing else.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from etui.catalog.backends import hint_for
from etui.errors import EtuiError
from etui.insight import BackendNeed, MethodInfo, ProgramInfo
from etui.programs.answers import Answer, Here, Loaded, Read, Refused
from etui.programs.files import mapped
from etui.programs.program import Method, ProgramFile, read_program
from etui.programs.sections import sections

MOST_OF_THE_MEMORY = 0.5
"""A program that plans more than this part of the free memory is not loaded: the runtime fills what it reserves, and
others on the box need the rest."""

_OPENVINO = "OpenvinoBackend"


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
    from etui.engine.quiet import quiet

    quiet()
    from executorch.extension.pybindings import _C

    from etui.engine.runtime import find_openvino_library, registered_backends

    needed = list(dict.fromkeys(one.backend for method in program.methods for one in method.delegates))
    if _OPENVINO in needed:
        find_openvino_library()
    registered = set(registered_backends())
    here = [name for name in needed if name in registered and _C._is_available(name)]
    say(Here(backends=here))
    kernels = {name.replace("::", ".") for name in _C._get_operator_names()}
    problem, hint = _obstacle(program, [name for name in needed if name not in here], kernels, data)
    if not problem:
        problem, hint = _loaded(path, data, program, from_bytes=_OPENVINO in needed)
    say(Loaded(loads=not problem, problem=problem, hint=hint))


def _obstacle(
    program: ProgramFile, missing: Sequence[str], kernels: Collection[str], data: Path | None
) -> tuple[str, str]:
    """What stands in the way of loading, seen before trying, and what to do; two empty texts for nothing."""
    if not program.methods:
        return "it has no method that could be loaded", "lower the model again"
    if missing:
        return f"it needs {' and '.join(missing)}, which this box does not have", hint_for(missing[0])
    unknown = sorted({name for method in program.methods for name in method.operators if name not in kernels})
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        words = f"this runtime has no kernel for {', '.join(unknown[:3])}{more}"
        return words, "load it in a runtime built with them"
    planned, free = _planned_bytes(program), _available_bytes()
    if free is not None and planned > free * MOST_OF_THE_MEMORY:
        words = f"it plans {planned / 1e9:,.1f} GB of memory, too much of the {free / 1e9:,.1f} GB that are free here"
        return words, "load it on a box with more memory"
    external = [name for method in program.methods for name in method.external]
    if external and data is None:
        more = f" and {len(external) - 1} more" if len(external) > 1 else ""
        return f"the data of {external[0]}{more} lies in a .ptd file", "name that file with --data"
    return "", ""


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


def _planned_bytes(program: ProgramFile) -> int:
    return max((sum(size for size in method.planned if size > 0) for method in program.methods), default=0)


def _available_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _hold_memory() -> None:
    """Let reserving fail before the box runs out of memory."""
    free = _available_bytes()
    if free is None:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # Who started this may have set a lower limit already, which cannot be raised.
    limits = (pages * resource.getpagesize() + free, *resource.getrlimit(resource.RLIMIT_AS))
    limit = min(one for one in limits if one != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _be_the_first_to_go() -> None:
    """Die with the parent, leave no core file, and be what the kernel kills where memory runs out."""
    from etui.engine.zygote import die_with_parent

    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = Path("/proc/self/oom_score_adj")
    if own.exists():
        own.write_text("1000")


if __name__ == "__main__":
    main()
