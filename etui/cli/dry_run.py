"""Print what a measuring command would do (``--dry-run``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etui.cli.table import Column, table
from etui.formats.json_text import printable_json
from etui.services.foresee import Basis, Foreseen, foresee
from etui.text import about_seconds, counted, size

if TYPE_CHECKING:
    from etui.cli.context import Settings
    from etui.services.session_config import Planned

_BASIS: dict[Basis, str] = {
    "similar": "from similar runs",
    "size": "by model size",
    "both": "partly by model size",
    "unknown": "",
}
_COLUMNS = [
    Column("model"), Column("precision"), Column("delegate"), Column("shape"), Column("program"),
    Column("time of the session"),
]  # fmt: skip
_SHAPE = 3


def print_plan(settings: Settings, planned: Planned, *, as_json: bool) -> None:
    """Print the programs of the planned sessions, which are cached, and the estimated time."""
    from etui.host.cpus import usable_cores
    from etui.paths import cache_dir
    from etui.store import Store

    is_new = not settings.database.exists()
    cores, cache = usable_cores(), cache_dir()
    if is_new:
        foreseen = foresee(None, planned.sessions, cache, cores, planned.skipped)
    else:
        with Store.open(settings.database, create=False) as store:
            foreseen = foresee(store, planned.sessions, cache, cores, planned.skipped)
    if as_json:
        click.echo(printable_json(foreseen))
    else:
        click.echo(_text(foreseen))


def _text(foreseen: Foreseen) -> str:
    rows: list[tuple[str, ...]] = []
    for session in foreseen.sessions:
        for number, program in enumerate(session.programs):
            state = {True: "cached", False: "to prepare", None: "as it is"}[program.cached]
            time = "" if number else _time(session.estimate_s, session.basis)
            name = (program.variant or "").removeprefix(f"{program.precision}/{program.delegate}").strip()
            rows.append((session.model, program.precision, program.delegate, name, state, time))
    runs = f", {counted(foreseen.runs, 'run')}," if foreseen.runs != foreseen.programs else ""
    total = f"{counted(foreseen.programs, 'program')}{runs} in {counted(len(foreseen.sessions), 'session')}"
    time = "unknown" if foreseen.estimate_s is None else f"about {about_seconds(foreseen.estimate_s)}"
    columns = _COLUMNS
    if not any(row[_SHAPE] for row in rows):
        columns, rows = (
            [*columns[:_SHAPE], *columns[_SHAPE + 1 :]],
            [(*row[:_SHAPE], *row[_SHAPE + 1 :]) for row in rows],
        )
    lines = [f"{total}, {foreseen.cached} cached; time: {time}; nothing was queued"]
    for name, needed in {each.model: each.memory_bytes for each in foreseen.sessions if each.memory_bytes}.items():
        lines.append(f"preparing {name} needs about {size(needed)} of memory (estimated)")
    return f"{table(columns, rows)}\n\n" + "\n".join(lines)


def _time(seconds: float | None, basis: Basis) -> str:
    if seconds is None:
        return "unknown"
    return f"about {about_seconds(seconds)}, {_BASIS[basis]}"
