"""Targets of the command line: its arguments, and databases with changed bytes."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import click

from etui.cli.main import COMMANDS, cli
from etui.store import Store
from tests.documents import make_document
from tests.fuzz import mutate
from tests.fuzz.commands import STATUSES, Ended, checked, environment, problem_of
from tests.fuzz.harness import Deviation, Outcome
from tests.machines import ETUI

_REAL_POPEN = subprocess.Popen
_ENDLESS = frozenset({"--watch", "--for"})
"""Options of commands that run until they are stopped."""
_REFUSED = {"web": ["--host", ""], "peaks": ["--threads", "0"]}
"""Options that are never valid, for commands that serve until they are stopped or measure the machine."""
_INSTALLED = 0.003
"""The share of command lines that are also given to the installed command."""


class Arguments:
    """Command lines of real commands and options with hostile values."""

    name = "arguments"
    share = 5.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Open a database with two runs, restored after each change by a command."""
        with environment(folder):
            time.tzset()
            yield partial(_run_arguments, folder)


class Databases:
    """A database file with some bytes changed: every command prints one line, or reads what is readable."""

    name = "database"
    share = 1.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """A small database whose bytes are changed for each input."""
        with environment(folder):
            time.tzset()
            yield partial(_opened, folder, _database(folder / "sound.db"))


def _database(path: Path) -> bytes:
    """Return the bytes of a database with runs and a queued session, in one file."""
    from tests.insights import look_inside

    with Store.open(path) as store:
        store.import_documents(
            [look_inside(make_document("aaaaaaaaaaa1")), make_document("aaaaaaaaaaa2", precision="int8", median=5.0)]
        )
        store.import_documents(
            [make_document(f"b{number:011d}", session_id=f"5e55{number:08d}") for number in range(4)]
        )
    data = path.read_bytes()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    return data


def _opened(folder: Path, sound: bytes, rng: random.Random) -> Outcome:
    place = folder / "etui.db"
    for file in folder.glob("etui.db*"):
        file.unlink()
    place.write_bytes(mutate.change_bytes(rng, sound, most=rng.choice((1, 2, 8, 40))))
    if rng.random() < 0.05:
        place.with_name("etui.db-wal").write_bytes(rng.randbytes(rng.choice((0, 32, 5000))))
    exported = folder / "exported.json"
    lines = [
        ["runs"], ["runs", "--json"], ["show", "aaaaaaaaaaa1"], ["show", "aaaaaaaaaaa2", "--json"], ["log",
        "aaaaaaaaaaa1"],
        ["compare", "aaaaaaaaaaa1", "aaaaaaaaaaa2"], ["trend", "aaaaaaaaaaa1"], ["export", "aaaaaaaaaaa1",
        "-o", str(exported), "--force"],
        ["report", "aaaaaaaaaaa1", "aaaaaaaaaaa2", "-o", str(folder / "r.html"), "--force"], ["profile",
        "aaaaaaaaaaa1"],
        ["gap", "aaaaaaaaaaa1"], ["inspect", "aaaaaaaaaaa1"], ["cancel", "--all"], ["delete", "aaaaaaaaaaa2",
        "--yes"],
    ]  # fmt: skip
    refused = False
    for line in rng.sample(lines, 3):
        ended = checked(line)
        if ended.status == 3 and ended.err.count("\n") != 1:
            raise Deviation(f"etui {line}: {ended.err.count(chr(10))} lines: {ended.err[:500]!r}")
        refused = refused or ended.status != 0
    return "refused" if refused else "accepted"


@cache
def _commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in commands.items() if command is not None}


def _run_arguments(folder: Path, rng: random.Random) -> Outcome:
    place = folder / "etui.db"
    if not place.exists() or rng.random() < 0.02:
        for file in folder.glob("etui.db*"):
            file.unlink()
        with Store.open(place) as store:
            store.import_documents([make_document("aaaaaaaaaaa1"), make_document("aaaaaaaaaaa2", precision="int8")])
    line = _line(rng, folder)
    before = Path.cwd()
    try:
        os.chdir(folder)
        # The doctor ends with 1 if nothing can be measured.
        may_cross = "doctor" in line or any(one.startswith("--fail-if") for one in line)
        ended = checked(line, allowed=STATUSES | {1} if may_cross else STATUSES)
        if rng.random() < _INSTALLED and all("\0" not in one and _encodable(one) for one in line):
            _same_installed(line, ended)
    finally:
        os.chdir(before)
    return "refused" if ended.status == 2 else "accepted"


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _same_installed(line: list[str], ended: Ended) -> None:
    """Check that the installed command behaves the same; its output may differ, as the first call may have changed
    files."""
    done = _REAL_POPEN(
        [ETUI, *line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    out, err = done.communicate(timeout=60)
    problem = problem_of(Ended(done.returncode, out, err), STATUSES | {1}, debug="--debug" in line)
    if problem:
        raise Deviation(f"installed etui {line!r}: {problem}\n{err[-1500:]}")


def _line(rng: random.Random, folder: Path) -> list[str]:
    name = rng.choice(list(_commands()))
    command: click.Command = _commands()[name]
    arguments = []
    if rng.random() < 0.1:
        arguments += rng.choice(
            (["--debug"], ["--db", _path(rng, folder)], ["--bogus"], ["--db"], ["-h"], ["--version"])
        )
    if rng.random() < 0.97:
        arguments.append(name)
    else:
        arguments.append(mutate.a_text(rng))
    if isinstance(command, click.Group):
        arguments.append(rng.choice((*command.commands, mutate.a_text(rng))))
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            if rng.random() < 0.9:
                arguments += [
                    _argument(rng, folder) for _ in range(rng.choice((1, 1, 2)) if parameter.nargs < 0 else 1)
                ]
        elif rng.random() < 0.25 and not _ENDLESS & set(parameter.opts):
            arguments += _option(rng, parameter, folder)
    arguments += _REFUSED.get(name, [])
    if rng.random() < 0.05:
        rng.shuffle(arguments)
    return [one for one in arguments if one not in _ENDLESS]


def _option(rng: random.Random, parameter: click.Parameter, folder: Path) -> list[str]:
    name = rng.choice(parameter.opts)
    if getattr(parameter, "is_flag", False):
        return [name]
    kind: Any = parameter.type
    if isinstance(kind, click.Choice) and rng.random() < 0.7:
        return [name, str(rng.choice(list(kind.choices)))]
    value = rng.choice(
        (
            str(mutate.an_integer(rng)), str(mutate.a_float(rng)), mutate.a_text(rng), _path(rng, folder), "1",
            "5", "0", "nan", "inf", "-1",
            "1e400", "resnet18", "int8,fp32", ",".join("a" for _ in range(rng.choice((2, 2, 300)))),
        )
    )  # fmt: skip
    return [name, value] if rng.random() < 0.8 else [f"{name}={value}"]


def _argument(rng: random.Random, folder: Path) -> str:
    return rng.choice(
        (
            "aaaaaaaaaaa1",
            "aaaaaaaaaaa2",
            "a",
            "",
            "b",
            "resnet18",
            mutate.a_text(rng),
            _path(rng, folder),
            "-",
            "--",
            "z" * 300,
        )
    )


def _path(rng: random.Random, folder: Path) -> str:
    """Return a path that is empty, not a file, too long, or not the user's; all writing stays within the folder."""
    return rng.choice(
        (
            "missing.json", str(folder), f"{folder}/x.json", f"{folder}/{'n' * 250}.json",
            f"{folder}/{'n' * 252}.md", "n" * 300 + ".html",
            "d/" * 2100 + "x.json", "~nouser/x.json", "/dev/full", "/dev/null", "/proc/self/mem",
            "/proc/version", f"{folder}/x.pte",
            f"{folder}/x.py:make", f"{folder}/a\nb.json", f"{folder}/\udcff.json", f"{folder}/\x00.json",
            "é.html", "", ".", "..", "./x.md",
        )
    )  # fmt: skip
