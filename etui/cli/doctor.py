"""``etui doctor``: what this box can do, and what will spoil measurements on it."""

from __future__ import annotations

import click

from etui.cli.context import Settings
from etui.cli.lazy import examples
from etui.errors import EXIT_CROSSED, EXIT_DONE
from etui.text import plain

_MARKS = {"ok": "ok     ", "warn": "WARNING", "bad": "BAD    ", "unknown": "unknown"}


@click.command(epilog=examples("etui doctor", "etui doctor --json | jq '.[] | select(.status != \"ok\")'"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def doctor(settings: Settings, as_json: bool) -> int:
    """Say what this box can do and what will spoil measurements on it, each with what to do.

    The exit status is 1 where something makes measuring impossible, else 0.
    """
    from etui.doctor import examine

    findings = examine(settings.database)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2))
    else:
        from etui.environment import read_environment

        environment = read_environment()
        click.echo(plain(f"{environment.box}: {environment.cpu}, {environment.os}, Python {environment.python}"))
        longest = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(f"{_MARKS[finding.status]}  {finding.name:<{longest}}  {plain(finding.seen)}")
            if finding.advice and finding.status != "ok":
                click.echo(f"{'':<{longest + 11}}-> {plain(finding.advice)}")
    return EXIT_CROSSED if any(finding.status == "bad" for finding in findings) else EXIT_DONE
