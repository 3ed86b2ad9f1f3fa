"""Inspect a program file in a separate process that may crash; neither runner nor database is needed."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.insight import MethodInfo, ProgramInfo
from etui.programs.inspection_messages import Answer, Here, LoadResult, Read, Refused
from etui.services.one_job import ending, lines
from etui.text import plain

LIMIT_S = 60.0


class InspectionTimedOut(EtuiError):
    """Reading the file took too long."""

    exit_status = EXIT_TIMED_OUT


def inspect_program(path: Path, *, data: Path | None = None, limit_s: float = LIMIT_S) -> ProgramInfo:
    """Return the content of a program file, and whether it loads here; ``problem`` is the reason why not.

    ``data`` is its .ptd file, if any. A program whose loading crashes or takes longer than ``limit_s`` seconds counts
    as one that does not load.

    Raises:
        UsageError: there is no such file, or it is not a readable program.
        InspectionTimedOut: reading it took longer than the limit.
        EtuiError: the worker crashed while reading it.
    """
    for file in (path, data):
        if file is not None:
            _check_file(file)
    name = plain(str(path))
    info: ProgramInfo | None = None
    with _worker(path, data) as (worker, answers):
        try:
            for line in lines(answers, time.monotonic() + limit_s):
                match msgspec.json.decode(line, type=Answer):
                    case Refused(message=message, hint=hint):
                        raise UsageError(f"{name} {plain(message)}", plain(hint))
                    case Read(info=read):
                        info = read
                    case Here(backends=here) if info is not None:
                        info = _with_backends(info, frozenset(here))
                    case LoadResult() as loaded if info is not None:
                        problem = "; ".join(part for part in (loaded.problem, loaded.hint) if part)
                        return msgspec.structs.replace(info, loads=loaded.loads, problem=problem)
                    case _:
                        pass
        except TimeoutError as error:
            if info is None:
                raise InspectionTimedOut(
                    f"reading {name} took longer than {limit_s:g} s", "set a longer limit with --timeout"
                ) from error
            return _not_loading(info, f"loading it took longer than {limit_s:g} s; set a longer limit with --timeout")
        status = worker.wait()
    end = ending(status)
    if info is None:
        raise EtuiError(f"reading {name} {end}", "lower the model again")
    return _not_loading(info, f"loading it {end}; lower the model again with ExecuTorch 1.5")


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {plain(str(path))}: {error.strerror}", "name a .pte file") from error
    except ValueError as error:  # a name with a null byte
        raise UsageError(f"{plain(str(path))} is not a valid file name", "name a .pte file") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{plain(str(path))} is a folder", "name a .pte file in it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{plain(str(path))} is not a regular file", "copy it to a regular file first")


@contextlib.contextmanager
def _worker(path: Path, data: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running worker and the descriptor of its answers; killed at the end if it is still running."""
    read, write = os.pipe()
    arguments = [str(path.absolute()), *([str(data.absolute())] if data is not None else [])]
    try:
        worker = subprocess.Popen(
            [sys.executable, "-m", "etui.engine.process.inspection_worker", str(write), *arguments],
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        os.close(read)
        raise EtuiError(
            f"cannot start the process that reads programs: {error.strerror}", "close other programs and try again"
        ) from error
    finally:
        os.close(write)
    try:
        yield worker, read
    finally:
        os.close(read)
        worker.kill()
        worker.wait()


def _with_backends(info: ProgramInfo, available: frozenset[str]) -> ProgramInfo:
    """Return ``info`` with the availability of each of its backends on this machine."""

    def updated(method: MethodInfo) -> MethodInfo:
        needs = [
            msgspec.structs.replace(need, here=need.name in available, hint="" if need.name in available else need.hint)
            for need in method.backends
        ]
        return msgspec.structs.replace(method, backends=needs)

    return msgspec.structs.replace(info, methods=[updated(method) for method in info.methods])


def _not_loading(info: ProgramInfo, problem: str) -> ProgramInfo:
    return msgspec.structs.replace(info, loads=False, problem=problem)
