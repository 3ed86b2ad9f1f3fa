"""``etui runs``: the table of runs, newest first."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args

import click

from etui import text
from etui.analysis import trust
from etui.cli.complete import (
    complete_columns,
    complete_delegates,
    complete_filter,
    complete_measured_models,
    complete_precisions,
    complete_sort,
)
from etui.cli.context import NOTHING_YET, WHAT_TO_START, Settings
from etui.cli.fact_columns import fact_cell, fact_column
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count
from etui.cli.table import table_lines
from etui.cli.trust_marks import LEGEND, marked
from etui.errors import UsageError
from etui.facts import BY_KEY, BY_SHORT, Fact, RunSummary
from etui.formats.json_text import printable_json
from etui.results import Status

if TYPE_CHECKING:
    from etui.store import Condition, Store

DEFAULT_ROWS = 50
_AT_ONCE = 500
_EXCLUSION = re.compile(r"-[@(]|-[^\W\d_][\w ]*[:=<>~!]")
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


class _FilterCommand(click.Command):
    """A command whose arguments may begin with a dash that excludes runs: ``-status:failed`` is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the dash as ``not``."""
        return super().parse_args(ctx, [f"not {arg[1:]}" if _EXCLUSION.match(arg) else arg for arg in args])


@click.command(
    cls=_FilterCommand,
    epilog=examples(
        "etui runs --model resnet18 --status done",
        "etui runs 'model:mob p50<10' --since 7d",
        "etui runs 'precision:int8 or tag:release' --sort p50 --limit 10",
        "etui runs gpt -status:failed --columns id,model,p50,p90,rss",
        "etui runs @fast --csv > fast.csv    the filter saved as fast",
        "etui runs --json | jq '.[].latency_ms.median'",
    )
    + f"\n\n{LEGEND}",
)
@click.argument("filters", nargs=-1, metavar="[FILTER]", shell_complete=complete_filter)
@click.option("--model", metavar="M,..", shell_complete=complete_measured_models, help="Only these models.")
@click.option("--precision", metavar="P,..", shell_complete=complete_precisions, help="Only these precisions.")
@click.option("--delegate", metavar="D,..", shell_complete=complete_delegates, help="Only these delegates.")
@click.option("--status", type=click.Choice(get_args(Status)), multiple=True, help="Only runs with this status.")
@click.option("--since", metavar="TIME", help="Only runs queued since: 12h, 7d, 4w, today, yesterday or a date.")
@click.option("--sort", metavar="C", shell_complete=complete_sort,
              help="Sort by this column, best or newest first; its key or its heading.")  # fmt: skip
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--limit",
    type=Count(min=0),
    help=f"Maximum number of runs, 0 for all.  [default: {DEFAULT_ROWS}; all with --json or --csv]",
)
@click.option("--columns", metavar="C,..", shell_complete=complete_columns,
              help="Only these columns, such as id,p50,rss; an unknown name lists all.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print summaries as a JSON array.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all columns, or those of --columns, as CSV.")
@click.option("--save", metavar="NAME", help="Save FILTER under a name, which is then written @NAME.")
@click.pass_obj
def runs(
    settings: Settings,
    /,
    filters: tuple[str, ...],
    columns: str | None,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
    save: str | None,
    **options: Any,
) -> None:
    """List the runs in the database that match FILTER, newest first.

    FILTER is written as on the screen, such as 'model:mob p50<10 since:7d' or 'precision:int8 or tag:release'. A median
    in parentheses is the mean of a run that was imported without samples.
    """
    if as_json and (columns is not None or as_csv):
        other = "--columns" if columns is not None else "--csv"
        raise UsageError(f"{other} cannot be used with --json, which always has every field", "remove one of them")
    facts = _chosen(columns)
    query = _query(" ".join(filters), save, **options)
    if limit is None:
        limit = 0 if as_json or as_csv else DEFAULT_ROWS
    store = settings.existing_store()
    if store is None:
        click.echo("[]" if as_json else f"{NOTHING_YET}; {WHAT_TO_START}", err=not as_json)
        return
    with store:
        from etui.cli.stalled_lines import stranded

        for line in stranded(store):
            click.echo(f"etui: {line}", err=True)
        if as_json:
            _put_json(_found(store, query, limit))
        elif as_csv:
            _put_csv(_found(store, query, limit), list(facts) if columns is not None else list(RunSummary.FACTS))
        else:
            _put_table(store, query, limit, facts)


class _Query(NamedTuple):
    """Which runs are listed, and the column of the database they are sorted by; newest first if that is empty."""

    where: list[Condition]
    column: str
    descending: bool


def _query(
    text: str,
    save: str | None,
    *,
    model: str | None,
    precision: str | None,
    delegate: str | None,
    status: tuple[str, ...],
    since: str | None,
    sort: str | None,
    reverse: bool,
) -> _Query:
    """Return the query of the options, and save the filter under a name. Raises UsageError."""
    from etui.catalog.find import spellings
    from etui.store import Condition
    from etui.store.filter_language import parse
    from etui.store.saved_filters import load_filters, save_filter

    where = parse(text, saved=load_filters() if "@" in text else {})
    if save is not None:
        save_filter(save, text)
    if since is not None:
        where += parse(f'since:"{since}"')
    where += [
        Condition(column, "in", names) if len(names) > 1 else Condition(column, "=", names[0])
        for column, names in (
            ("model", [name for text in _names(model) for name in spellings("model", text)]),
            ("precision", [name for text in _names(precision) for name in spellings("precision", text)]),
            ("delegate", [name for text in _names(delegate) for name in spellings("delegate", text)]),
            ("status", list(status)),
        )
        if names
    ]
    column, descending = ("", True) if sort is None and not reverse else _order(sort or "when")
    return _Query(where, column, descending != reverse)


def _order(name: str) -> tuple[str, bool]:
    """Return the column of the database that a name stands for, and whether its best or newest values are its largest.
    Raises UsageError for an unknown name."""
    from etui.store.filter_keys import NAMES, nearest, normalized

    key = NAMES.get(normalized(name))
    if key is None:
        raise UsageError(f"runs have no column {text.plain(name)}", nearest(name))
    descends = any(fact.columns[0] == key.column and fact.better == "higher" for fact in RunSummary.FACTS)
    return key.column, descends or key.kind in ("time", "age", "since", "until")


def _found(store: Store, query: _Query, limit: int) -> Iterator[RunSummary]:
    """Return the first ``limit`` runs of a query, or all of them (0); the newest are read in batches."""
    if query.column:
        order = {"order_by": query.column, "descending": query.descending}
        return iter(store.summaries(query.where, limit=limit or None, **order))  # type: ignore[arg-type]
    if 0 < limit <= _AT_ONCE:
        return iter(store.summaries(query.where, limit=limit))
    return itertools.islice(store.newest(query.where), limit or None)


def _put_json(found: Iterable[RunSummary]) -> None:
    """Write an array of summaries in batches, so that it need not fit in memory."""
    before = "["
    for some in _batches(found):
        # Each batch contributes its lines to the whole array.
        click.echo(
            before + printable_json([run.as_json() for run in some]).decode()[1:-2],
            nl=False,
        )
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _put_csv(found: Iterable[RunSummary], facts: Sequence[Fact[Any]]) -> None:
    """Write a line of the columns' names in the database, and a line per run."""
    from etui.formats.csv_tables import csv_lines

    click.echo(csv_lines([[column for fact in facts for column in fact.columns]]), nl=False)
    for some in _batches(found):
        click.echo(csv_lines([[value for fact in facts for value in _values(fact, run)] for run in some]), nl=False)


def _values(fact: Fact[Any], run: RunSummary) -> Sequence[object]:
    """Return the values of the columns of a fact; a list as its elements with commas between them."""
    value = fact.of(run)
    if value is None:
        return [None] * len(fact.columns)
    if isinstance(value, tuple):
        return value
    if isinstance(value, list):
        return [", ".join(value)]
    return [int(value) if isinstance(value, bool) else value]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in batches."""
    left = iter(items)
    while some := list(itertools.islice(left, _AT_ONCE)):
        yield some


def _put_table(store: Store, query: _Query, limit: int, facts: Mapping[Fact[Any], int]) -> None:
    """Write the table in batches, and report on stderr if there are more runs."""
    from etui.services.own_shape import own_shape_note
    from etui.store.run_pages import is_soon_counted

    where = query.where
    found = _found(store, query, limit + 1 if limit else 0)
    newest = next(found, None)
    if note := own_shape_note(store, where):
        click.echo(note, err=True)
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
        order = "first" if query.column else "newest"
        number = f"{shown} of {store.count(where)} runs" if is_soon_counted(where) else f"the {order} {shown} runs"
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
        return marked(fact_cell(fact, fact.of(summary)), trusted)
    return fact_cell(fact, fact.of(summary))


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
