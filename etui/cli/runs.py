"""``etui runs``: the table of runs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import click

from etui import text
from etui.cli.context import NOTHING_YET, WHAT_TO_START, Settings
from etui.cli.lazy import examples
from etui.cli.table import Column, table
from etui.results import Status
from etui.summary import RunSummary

if TYPE_CHECKING:
    from etui.store import Condition

DEFAULT_ROWS = 50
_NAME_CELLS = 60
_COLUMNS = (
    Column("run"),
    Column("when", spare=6),
    Column("status"),
    Column("model", most=_NAME_CELLS),
    Column("precision", most=_NAME_CELLS),
    Column("delegate", most=_NAME_CELLS),
    Column("median ms", right=True),
    Column("95 % interval", right=True, spare=5),
    Column("vs eager", right=True, spare=1),
    Column("SQNR dB", right=True, spare=4),
    Column("top-1", right=True, spare=10),
    Column("accuracy", spare=2),
    Column("size", right=True, spare=7),
    Column("weights", spare=8),
    Column("flags", spare=9),
)


@click.command(
    epilog=examples(
        "etui runs --model resnet18 --status done",
        "etui runs --precision int8,fp32 --delegate xnnpack --limit 10",
        "etui runs --json | jq '.[].latency_ms.median'",
    )
)
@click.option("--model", metavar="M,..", help="Only these models.")
@click.option("--precision", metavar="P,..", help="Only these precisions.")
@click.option("--delegate", metavar="D,..", help="Only these delegates.")
@click.option("--status", type=click.Choice(get_args(Status)), multiple=True, help="Only runs of this status.")
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"At most so many, 0 for all; {DEFAULT_ROWS} unless --json is given."
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of summaries.")
@click.pass_obj
def runs(
    settings: Settings,
    model: str | None,
    precision: str | None,
    delegate: str | None,
    status: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """List the runs in the database, newest first.

    A median in brackets is a mean: the run was imported without samples.
    """
    from etui.store import Condition

    where = [
        Condition(column, "in", names)
        for column, names in (
            ("model", _names(model)),
            ("precision", _names(precision)),
            ("delegate", _names(delegate)),
            ("status", list(status)),
        )
        if names
    ]
    if limit is None:
        limit = 0 if as_json else DEFAULT_ROWS
    found, total = _read(settings, where, limit or None)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    elif found:
        click.echo(table(_COLUMNS, [row(summary) for summary in found]))
        if total > len(found):
            click.echo(f"{len(found)} of {total} runs; --limit 0 shows all", err=True)
    elif where:
        click.echo("no run is like that; see etui runs for all of them", err=True)
    else:
        click.echo(f"{NOTHING_YET}; {WHAT_TO_START}", err=True)


def row(summary: RunSummary) -> Sequence[str]:
    """A summary's cells in the table of runs."""
    latency, accuracy = summary.latency_ms, summary.accuracy
    # A run that was imported without samples has a mean and no median.
    median = (
        f"({text.number(latency.mean)})" if latency.median is None and latency.mean else text.number(latency.median)
    )
    return (
        summary.id,
        text.local_time(summary.created_at),
        summary.status,
        summary.model,
        summary.precision,
        summary.delegate,
        median,
        text.interval(latency.ci95),
        text.speedup(summary.speedup.value, summary.speedup.verdict),
        text.number(accuracy.sqnr_db),
        text.agreement(accuracy.top1),
        accuracy.verdict or text.MISSING,
        text.size(summary.size_bytes),
        summary.weights or text.MISSING,
        ", ".join(summary.flags) or text.MISSING,
    )


def _read(settings: Settings, where: Sequence[Condition], limit: int | None) -> tuple[list[RunSummary], int]:
    store = settings.existing_store()
    if store is None:
        return [], 0
    with store:
        return store.summaries(where, limit=limit), store.count(where)


def _names(option: str | None) -> list[str]:
    return [name.strip() for name in (option or "").split(",") if name.strip()]
