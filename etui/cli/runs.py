"""``etui runs``: the table of runs, newest first."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from etui import text
from etui.analysis import trust
from etui.cli.complete import complete_columns, complete_delegates, complete_measured_models, complete_precisions
from etui.cli.context import NOTHING_YET, WHAT_TO_START, Settings
from etui.cli.fact_columns import fact_column
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count
from etui.cli.table import table_lines
from etui.cli.trust_marks import LEGEND, marked
from etui.errors import UsageError
from etui.facts import BY_KEY, BY_SHORT, Fact, RunSummary
from etui.formats.json_text import harmless
from etui.results import Status

if TYPE_CHECKING:
    from etui.store import Condition, Store

DEFAULT_ROWS = 50
_AT_ONCE = 500
T = TypeVar("T")
_DEFAULT: dict[Fact[Any], int] = {
    RunSummary.id: 0,
    RunSummary.created_at: 6,
    RunSummary.status: 0,
    RunSummary.model: 0,
    RunSummary.precision: 0,
    RunSummary.delegate: 0,
    RunSummary.latency_median_ms: 0,
    RunSummary.latency_ci95_ms: 5,
    RunSummary.speedup: 1,
    RunSummary.sqnr_db: 4,
    RunSummary.top1: 10,
    RunSummary.verdict: 2,
    RunSummary.size_bytes: 7,
    RunSummary.weights: 8,
    RunSummary.flags: 9,
}
"""The facts of the table without ``--columns``, with their priority for omission on a narrow terminal."""


@click.command(
    epilog=examples(
        "etui runs --model resnet18 --status done",
        "etui runs --precision int8,fp32 --delegate xnnpack --limit 10",
        "etui runs --columns id,model,p50,p90,rss",
        "etui runs --json | jq '.[].latency_ms.median'",
    )
    + f"\n\n{LEGEND}"
)
@click.option("--model", metavar="M,..", shell_complete=complete_measured_models, help="Only these models.")
@click.option("--precision", metavar="P,..", shell_complete=complete_precisions, help="Only these precisions.")
@click.option("--delegate", metavar="D,..", shell_complete=complete_delegates, help="Only these delegates.")
@click.option("--status", type=click.Choice(get_args(Status)), multiple=True, help="Only runs with this status.")
@click.option(
    "--limit", type=Count(min=0), help=f"Maximum number of runs, 0 for all.  [default: {DEFAULT_ROWS}; all with --json]"
)
@click.option("--columns", metavar="C,..", shell_complete=complete_columns,
              help="Only these columns, such as id,p50,rss; an unknown name lists all.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print summaries as a JSON array.")
@click.pass_obj
def runs(
    settings: Settings,
    model: str | None,
    precision: str | None,
    delegate: str | None,
    status: tuple[str, ...],
    limit: int | None,
    columns: str | None,
    as_json: bool,
) -> None:
    """List the runs in the database, newest first.

    A median in parentheses is the mean of a run that was imported without samples.
    """
    from etui.store import Condition

    if columns is not None and as_json:
        raise UsageError("--columns cannot be used with --json, which always has every field", "remove one of them")
    facts = _chosen(columns)
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
            _put_table(store, where, limit, facts)


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
        click.echo(
            before
            + harmless(msgspec.json.format(msgspec.json.encode([run.as_json() for run in some]), indent=2)).decode()[
                1:-2
            ],
            nl=False,
        )
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in batches."""
    left = iter(items)
    while some := list(itertools.islice(left, _AT_ONCE)):
        yield some


def _put_table(store: Store, where: Sequence[Condition], limit: int, facts: Mapping[Fact[Any], int]) -> None:
    """Write the table in batches, and report on stderr if there are more runs."""
    from etui.store.run_pages import is_soon_counted

    found = _newest(store, where, limit + 1 if limit else 0)
    newest = next(found, None)
    if newest is None:
        message = "no runs match; see etui runs for all of them" if where else f"{NOTHING_YET}; {WHAT_TO_START}"
        click.echo(message, err=True)
        return
    shown_runs = itertools.islice(itertools.chain([newest], found), limit or None)
    rows = ([_cell(fact, run) for fact in facts] for run in shown_runs)
    lines = table_lines([fact_column(fact, spare) for fact, spare in facts.items()], rows)
    shown = -1
    for some in _batches(lines):
        click.echo("\n".join(some))
        shown += len(some)
    if next(found, None) is not None:
        number = f"{shown} of {store.count(where)} runs" if is_soon_counted(where) else f"the newest {shown} runs"
        click.echo(f"{number}; --limit 0 shows all", err=True)


def _cell(fact: Fact[Any], summary: RunSummary) -> str:
    if fact is RunSummary.latency_median_ms and summary.latency_median_ms is None and summary.latency_mean_ms:
        # A run imported without samples has a mean but no median.
        return f"({text.number(summary.latency_mean_ms)})"
    flags = summary.flags or ()
    if fact is RunSummary.speedup:
        trusted = trust.of_speedup(summary.speedup, summary.speedup_ci95, summary.speed_verdict, flags)
        return marked(text.speedup(summary.speedup, summary.speed_verdict), trusted)
    if fact is RunSummary.latency_ci95_ms:
        trusted = trust.of_latency(summary.latency_median_ms, summary.latency_ci95_ms, flags)
        return marked(fact.text(fact.of(summary)), trusted)
    return fact.text(fact.of(summary))


def _chosen(option: str | None) -> dict[Fact[Any], int]:
    """Return the facts of the table with their priorities. Raises UsageError for an unknown name."""
    names, known = _names(option), BY_SHORT | BY_KEY
    if unknown := next((name for name in names if name not in known), None):
        near = difflib.get_close_matches(unknown, BY_SHORT, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(BY_SHORT)}"
        raise UsageError(f"runs have no column {unknown}", hint)
    return {known[name]: 0 for name in names} or _DEFAULT


def _names(option: str | None) -> list[str]:
    return [name.strip() for name in (option or "").split(",") if name.strip()]
