"""``etui doctor``: check the machine for problems that affect measurements."""

from __future__ import annotations

from collections.abc import Sequence

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Number
from etui.errors import EXIT_CROSSED, EXIT_DONE
from etui.formats.json_text import printable_json
from etui.text import plain

HEADING_EVERY = 20
_MARKS = {"ok": "ok     ", "warn": "WARNING", "bad": "BAD    ", "unknown": "unknown"}


@click.command(
    epilog=examples(
        "etui doctor",
        "etui doctor --json | jq '.[] | select(.status != \"ok\")'",
        "etui doctor --watch --for 60",
    )
)
@click.option("--watch", is_flag=True, help="Show every second what would disturb a measurement, until Ctrl-C.")
@click.option(
    "--for",
    "for_s",
    type=Number(min=1.0),
    metavar="SECONDS",
    help="With --watch: stop after SECONDS.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON; with --watch, one object per line.")
@click.pass_obj
def doctor(settings: Settings, watch: bool, for_s: float | None, as_json: bool) -> int:
    """Check what this machine supports and what affects measurements on it, with advice.

    The exit status is 1 if measuring is impossible, else 0; with --watch it is 0.
    """
    if watch or for_s is not None:
        return _watch(for_s, as_json)
    from etui.doctor import examine

    findings = examine(settings.database)
    if as_json:
        click.echo(printable_json(findings))
    else:
        from etui.host.environment import read_environment

        environment = read_environment()
        click.echo(plain(f"{environment.box}: {environment.cpu}, {environment.os}, Python {environment.python}"))
        longest = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(f"{_MARKS[finding.status]}  {finding.name:<{longest}}  {plain(finding.seen)}")
            if finding.advice and finding.status != "ok":
                click.echo(f"{'':<{longest + 11}}-> {plain(finding.advice)}")
    return EXIT_CROSSED if any(finding.status == "bad" for finding in findings) else EXIT_DONE


def _watch(for_s: float | None, as_json: bool) -> int:
    """Print one line per second; Ctrl-C ends it with status 0."""
    import threading

    from etui.doctor.watch import COLUMNS, blind, row, seconds, troubles

    widths = [max(10, len(column)) for column in COLUMNS]
    stop, printed = threading.Event(), 0
    try:
        for second in seconds(stop, limit_s=for_s):
            if as_json:
                import msgspec

                click.echo(msgspec.json.encode(second))
                continue
            if printed == 0 and (unknown := blind(second)):
                click.echo(f"?: not readable here: {', '.join(unknown)}", err=True)
            if printed % HEADING_EVERY == 0:
                click.echo(_line(COLUMNS, widths))
            found = ", ".join(troubles(second))
            click.echo(plain(f"{_line(row(second), widths)}  {f'! {found}' if found else ''}".rstrip()))
            printed += 1
    except KeyboardInterrupt:
        click.echo("", err=True)
    return EXIT_DONE


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
