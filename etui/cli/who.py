"""``etui who``: who uses the machine, who waits for it, and what the queue of this database has."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from etui import text
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.formats.json_text import printable_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etui.services.machine_use import DatabaseUse, MachineUse, MachineUser, Work

_LABEL_CELLS = 10
_MOST_RUNS = 4


@click.command(epilog=examples("etui who", "etui who --json | jq '.holder.user'"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON; the holder is null if the machine is free.")
@click.pass_obj
def who(settings: Settings, as_json: bool) -> None:
    """Show which process holds the machine lock, which wait for it, and the runner and queue of this database.

    One measurement runs at a time on a machine, of any user and database. The status is 0 whether the machine is free
    or not. A process in another container is shown without its database.
    """
    from etui.services.machine_use import machine_use

    use = machine_use(settings.database)
    if as_json:
        click.echo(printable_json(use))
    else:
        click.echo("\n".join(_lines(use)))


def _lines(use: MachineUse) -> Iterator[str]:
    if use.holder is None:
        yield from _labelled("machine", ["free: nothing is measured"])
    else:
        yield from _labelled("machine", _user(use.holder, "held by"))
    for user in use.waiting:
        yield from _labelled("waiting", _user(user, ""))
    yield from _labelled("database", _database(use.database))


def _labelled(label: str, lines: list[str]) -> Iterator[str]:
    for index, line in enumerate(lines):
        yield f"{label if index == 0 else '':<{_LABEL_CELLS}}{text.shortened(line, text.WHOLE_CELLS)}"


def _user(user: MachineUser, verb: str) -> list[str]:
    process = f"process {user.pid}" if user.pid else "a process that is not visible here"
    line = f"{verb} {f'user {user.user}, ' if user.user else ''}{process}".strip()
    if user.doing:
        line += f": {user.doing}"
    if duration := _since(user.since):
        line += f", for {duration}"
    lines = [line]
    if user.database is not None:
        lines.append(f"database {user.database}")
    lines += [f"{_kind(work)}: {_runs(work)}" for work in user.work]
    return [*lines, user.advice]


def _database(use: DatabaseUse) -> list[str]:
    if not use.exists:
        return [f"{use.path} does not exist yet"]
    states = {
        "held": f"its runner is alive{f', process {use.pid}' if use.pid else ''}",
        "free": "no runner is alive",
        "missing": "no runner is alive",
        "unreadable": "the state of its runner is not readable",
    }
    lines = [f"{use.path}: {states[use.runner]}"]
    if use.other_runners:
        processes = ", ".join(map(str, use.other_runners))
        lines.append(f"runners with other settings, or of another installation: process {processes}")
    for work in use.work:
        place = f" on {work.host}" if work.host not in (None, socket.gethostname()) else ""
        state = "waiting" if work.pid is None else f"begun by process {work.pid}{place}"
        lines.append(f"{_kind(work)}: {_runs(work)}, queued at {text.local_time(work.created_at)}, {state}")
    if not use.work:
        lines.append("nothing is queued or running")
    elif use.runner in ("free", "missing") and not use.other_runners:
        lines.append("the next etui command starts a runner for it")
    return lines


def _kind(work: Work) -> str:
    from etui.analysis_kinds.registry import KINDS

    return KINDS[work.kind].title if work.kind in KINDS else work.kind


def _runs(work: Work) -> str:
    shown = [
        f"{run.id[:6]} ({run.model}{f' {run.precision}/{run.delegate}' if run.precision else ''})"
        for run in work.runs[:_MOST_RUNS]
    ]
    more = len(work.runs) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _since(at: str) -> str:
    try:
        elapsed_s = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    except (ValueError, TypeError):
        return ""
    return text.seconds(max(0.0, elapsed_s))
