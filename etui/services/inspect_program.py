"""Look at a program's file in a child process that may crash without harm; no runner and no database is needed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.insight import MethodInfo, ProgramInfo
from etui.programs.inspection_messages import Answer, Here, Loaded, Read, Refused
from etui.text import plain

LIMIT_S = 60.0


class InspectionTimedOut(EtuiError):
    """Reading the file took too long."""

    exit_status = EXIT_TIMED_OUT


def inspect_program(path: Path, *, data: Path | None = None, limit_s: float = LIMIT_S) -> ProgramInfo:
    """What a program's file holds, and whether it loads here; ``problem`` says why not.

    ``data`` is a .ptd file that belongs to it. A program whose loading crashes or takes longer than ``limit_s`` is one
    that does not load.

    Raises:
        UsageError: there is no such file, or it is no program that can be read.
        InspectionTimedOut: reading it took longer than the limit.
        EtuiError: reading it ended the child.
    """
    for one in (path, data):
        if one is not None:
            _must_be_a_file(one)
    name = plain(str(path))
    info: ProgramInfo | None = None
    with _child(path, data) as (child, answers):
        try:
            for line in _lines(answers, time.monotonic() + limit_s):
                match msgspec.json.decode(line, type=Answer):
                    case Refused(message=message, hint=hint):
                        raise UsageError(f"{name} {plain(message)}", plain(hint))
                    case Read(info=read):
                        info = read
                    case Here(backends=here) if info is not None:
                        info = _with_backends(info, frozenset(here))
                    case Loaded() as loaded if info is not None:
                        problem = "; ".join(part for part in (loaded.problem, loaded.hint) if part)
                        return msgspec.structs.replace(info, loads=loaded.loads, problem=problem)
                    case _:
                        pass
        except TimeoutError as error:
            if info is None:
                raise InspectionTimedOut(
                    f"reading {name} took longer than {limit_s:g} s", "give it longer with --timeout"
                ) from error
            return _that_does_not_load(
                info, f"loading it took longer than {limit_s:g} s; give it longer with --timeout"
            )
        status = child.wait()
    ending = _ending(status)
    if info is None:
        raise EtuiError(f"reading {name} {ending}", "lower the model again")
    return _that_does_not_load(info, f"loading it {ending}; lower the model again with ExecuTorch 1.5")


def _must_be_a_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {plain(str(path))}: {error.strerror}", "name a .pte file") from error
    except ValueError as error:  # a name with a null byte
        raise UsageError(f"{plain(str(path))} is no name of a file", "name a .pte file") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{plain(str(path))} is a folder", "name a .pte file in it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{plain(str(path))} is no ordinary file", "copy it into one first")


@contextlib.contextmanager
def _child(path: Path, data: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The child at work and the descriptor its answers come from; killed at the end if it is still there."""
    read, write = os.pipe()
    words = [str(path.absolute()), *([str(data.absolute())] if data is not None else [])]
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "etui.engine.process.inspection_worker", str(write), *words],
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        os.close(read)
        raise EtuiError(
            f"cannot start the process that reads programs: {error.strerror}", "end other programs and try again"
        ) from error
    finally:
        os.close(write)
    try:
        yield child, read
    finally:
        os.close(read)
        child.kill()
        child.wait()


def _lines(answers: int, until: float) -> Iterator[bytes]:
    """The lines that come, until the other end is closed. Raises TimeoutError."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, until - time.monotonic())):
                raise TimeoutError
            chunk = os.read(answers, 1 << 16)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines


def _with_backends(info: ProgramInfo, here: frozenset[str]) -> ProgramInfo:
    """What was read, with which of its backends this box has."""

    def told(method: MethodInfo) -> MethodInfo:
        needs = [
            msgspec.structs.replace(need, here=need.name in here, hint="" if need.name in here else need.hint)
            for need in method.backends
        ]
        return msgspec.structs.replace(method, backends=needs)

    return msgspec.structs.replace(info, methods=[told(method) for method in info.methods])


def _that_does_not_load(info: ProgramInfo, problem: str) -> ProgramInfo:
    return msgspec.structs.replace(info, loads=False, problem=problem)


def _ending(status: int) -> str:
    """How a child ended that should have answered."""
    if status >= 0:
        return f"failed (status {status})"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        words = {"SIGSEGV": "a segmentation fault", "SIGABRT": "an abort", "SIGBUS": "a bus error"}.get(name, name)
        if name == "SIGKILL":
            return "was ended by the system, most likely for its memory"
        return f"crashed with {words}"
    return f"was ended by signal {-status}"
