"""Run the command line in this process like the installed command, and check how every command ends."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tests.fuzz.harness import Deviation

_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
STATUSES = frozenset({0, 2, 3, 4})
"""Allowed exit statuses; 1 means a crossed tolerance and is allowed only with a gate."""


class Ended(NamedTuple):
    """The exit status and output of a command."""

    status: int
    out: str
    err: str


def invoke(arguments: Sequence[str]) -> Ended:
    """Run ``etui`` with these arguments in this process, without a terminal."""
    from etui.cli.main import cli

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "replace", newline="\n") for _ in range(2))
    status = 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "stdin", io.StringIO()),
    ):
        try:
            cli.main(list(arguments))
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    for stream in (out, err):
        stream.flush()
    return Ended(status, *(stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)))


def checked(arguments: Sequence[str], *, allowed: frozenset[int] = STATUSES) -> Ended:
    """Like ``invoke``, but raise Deviation for a status that is not allowed, a defect, or control characters in the
    output."""
    ended = invoke(arguments)
    problem = problem_of(ended, allowed, debug="--debug" in arguments)
    if problem:
        report = f"etui {list(arguments)!r:.400}: {problem}\nstatus {ended.status}\n{ended.err[-1500:]}"
        if "--debug" in ended.err:
            report = f"{invoke(['--debug', *arguments]).err[-3000:]}\n{report}"
        raise Deviation(report)
    return ended


def problem_of(ended: Ended, allowed: frozenset[int], *, debug: bool = False) -> str:
    """Return what is wrong with the end of a command; empty if nothing is."""
    if ended.status not in allowed:
        return f"status {ended.status}"
    if "defect in etui" in ended.err:
        return "a defect"
    if "Traceback" in ended.err and not debug:
        return "a traceback"
    if ended.status == 3 and "shows where it happened" in ended.err:
        return "an error of the system that no command expected"
    if ended.status in (2, 3) and not ended.err.strip():
        return "no message on stderr"
    for name, text in (("stdout", ended.out), ("stderr", ended.err)):
        if match := _CONTROLS.search(text):
            return f"control character {match.group()!r} on {name}"
    return ""


@contextlib.contextmanager
def environment(folder: Path, **extra: str) -> Iterator[None]:
    """Set separate paths for everything that etui reads and writes."""
    places = {
        "ETUI_DB": str(folder / "etui.db"),
        "ETUI_CACHE": str(folder / "cache"),
        "ETUI_STATE": str(folder / "state"),
        "ETUI_CONFIG": str(folder / "config.toml"),
        "ETUI_BOX_LOCK": str(folder / "box.lock"),
        "ETUI_WAIT_QUIET": "0",
        "HF_HUB_OFFLINE": "1",
        "TZ": "UTC",
    }
    # No runner may be started here: queued runs stay queued.
    refusal = OSError(errno.EAGAIN, "processes cannot be started here")
    with mock.patch.dict(os.environ, {**places, **extra}), mock.patch("subprocess.Popen", side_effect=refusal):
        yield


def some(rng: random.Random, choices: Sequence[Callable[[], None]], count: int) -> None:
    """Execute this number of choices, selected at random."""
    for choice in rng.sample(list(choices), min(count, len(choices))):
        choice()
