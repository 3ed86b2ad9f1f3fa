"""``etui runs``: the table of runs, newest first."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, get_args

import click

from etui import text
from etui.cli.context import NOTHING_YET, WHAT_TO_START, Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count
from etui.cli.table import Column, table_lines
from etui.formats.json_text import harmless
from etui.results import Status
from etui.summary import RunSummary

if TYPE_CHECKING:
    from etui.store import Condition, Store

DEFAULT_ROWS = 50
_AT_ONCE = 500
_NAME_CELLS = 60
T = TypeVar("T")
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
@click.option("--status", type=click.Choice(get_args(Status)), multiple=True, help="Only runs with this status.")
@click.option(
    "--limit", type=Count(min=0), help=f"Maximum number of runs, 0 for all.  [default: {DEFAULT_ROWS}; all with --json]"
)
@click.option("--json", "as_json", is_flag=True, help="Print summaries as a JSON array.")
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

    A median in parentheses is the mean of a run that was imported without samples.
    """
    from etui.store import Condition

    where = [
        Condition(column, "in", names) if len(names) > 1 else Condition(column, "=", names[0])
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
    store = settings.existing_store()
    if store is None:
        click.echo("[]" if as_json else f"{NOTHING_YET}; {WHAT_TO_START}", err=not as_json)
        return
    with store:
        from etui.cli.stalled_lines import stranded

        for line in stranded(store):
            click.echo(f"etui: {line}", err=True)
        if as_json:
            _put_json(_newest(store, where, limit))
        else:
            _put_table(store, where, limit)


def _newest(store: Store, where: Sequence[Condition], limit: int) -> Iterator[RunSummary]:
    """Return the newest ``limit`` runs that meet the conditions, or all of them (0), read in batches."""
    if 0 < limit <= _AT_ONCE:
        return iter(store.summaries(where, limit=limit))
    return itertools.islice(store.newest(where), limit or None)


def _put_json(found: Iterable[RunSummary]) -> None:
    """Write an array of summaries in batches, so that it need not fit in memory."""
    import msgspec

    before = "["
    for some in _batches(found):
        # Each batch contributes its lines to the whole array.
        click.echo(before + harmless(msgspec.json.format(msgspec.json.encode(some), indent=2)).decode()[1:-2], nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in batches."""
    left = iter(items)
    while some := list(itertools.islice(left, _AT_ONCE)):
        yield some


def _put_table(store: Store, where: Sequence[Condition], limit: int) -> None:
    """Write the table in batches, and report on stderr if there are more runs."""
    from etui.store.run_pages import is_soon_counted

    found = _newest(store, where, limit + 1 if limit else 0)
    newest = next(found, None)
    if newest is None:
        message = "no runs match; see etui runs for all of them" if where else f"{NOTHING_YET}; {WHAT_TO_START}"
        click.echo(message, err=True)
        return
    lines = table_lines(_COLUMNS, map(row, itertools.islice(itertools.chain([newest], found), limit or None)))
    shown = -1
    for some in _batches(lines):
        click.echo("\n".join(some))
        shown += len(some)
    if next(found, None) is not None:
        number = f"{shown} of {store.count(where)} runs" if is_soon_counted(where) else f"the newest {shown} runs"
        click.echo(f"{number}; --limit 0 shows all", err=True)


def row(summary: RunSummary) -> Sequence[str]:
    """Return the cells of a summary in the table of runs."""
    latency, accuracy = summary.latency_ms, summary.accuracy
    # A run imported without samples has a mean but no median.
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


def _names(option: str | None) -> list[str]:
    return [name.strip() for name in (option or "").split(",") if name.strip()]
