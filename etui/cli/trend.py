"""``etui trend``: how the latency and accuracy of a configuration changed over its runs, since when and with what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import click

from etui import text
from etui.analysis import trust
from etui.cli.complete import complete_delegates, complete_measured_models, complete_precisions, complete_run
from etui.cli.context import Settings
from etui.cli.fact_columns import ID_CELLS, fact_cell
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.run_selection import selected_run
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.cli.trust_marks import LEGEND, marked
from etui.errors import UsageError
from etui.facts import RunSummary
from etui.formats.json_text import printable_json

if TYPE_CHECKING:
    from etui.analysis.trends import Trend
    from etui.history import Point
    from etui.store import Condition, Store

SCHEMA = "etui.trend/1"
DEFAULT_POINTS = 200
_MOST_EXAMINED = 2_000
_COLUMNS = (
    Column("run", most=ID_CELLS, cut="clean"),
    Column("when"),
    Column("median ms", right=True),
    Column("95 % interval ms", right=True, spare=5),
    Column("MAE", right=True, spare=4),
    Column("verdict", spare=6),
    Column("change", wraps=True),
    Column("versions changed", spare=3),
    Column("flags", spare=9),
)


@click.command(
    epilog=examples(
        "etui trend 3f2a",
        "etui trend --model resnet18 --precision int8 --delegate xnnpack",
        "etui trend 3f2a --json | jq '.changes'",
    )
    + f"\n\n{LEGEND}"
)
@click.argument("run", required=False, metavar="[RUN]", shell_complete=complete_run)
@click.option("--model", metavar="M", shell_complete=complete_measured_models, help="The model, if no RUN is given.")
@click.option(
    "--precision",
    metavar="P",
    shell_complete=complete_precisions,
    help="The precision.  [default: of the model's newest run]",
)
@click.option(
    "--delegate",
    metavar="D",
    shell_complete=complete_delegates,
    help="The delegate.  [default: of the model's newest run]",
)
@click.option(
    "--limit", type=Count(1, 2_000), default=DEFAULT_POINTS, show_default=True, help="Maximum number of runs."
)
@click.option(
    "--margin",
    type=Number(min=0.0, max=100.0),
    default=2.0,
    show_default=True,
    metavar="PCT",
    help="Equivalence margin: levels within this percentage count as equally fast.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def trend(
    settings: Settings,
    run: str | None,
    model: str | None,
    precision: str | None,
    delegate: str | None,
    limit: int,
    margin: float,
    as_json: bool,
) -> None:
    """Show how latency and accuracy changed over the runs of one configuration, and with which versions.

    The configuration is that of RUN: model, precision, delegate, weights, inputs, threads and machine. With --model, it
    is that of the newest run of the model; others are named on stderr.
    """
    options = {"model": model, "precision": precision, "delegate": delegate}
    if run is not None and any(options.values()):
        raise UsageError(
            "RUN and --model, --precision or --delegate cannot be combined", "give either the RUN or the options"
        )
    if run is None and model is None:
        raise UsageError("neither RUN nor --model is given", "see etui runs for the runs")
    with settings.store_with_runs() as store:
        run_id = selected_run(store, run) if run is not None else _newest(store, options)
        history = store.history(run_id, limit)
        others = [] if run is not None else _other_configurations(store, run_id, options)
    from etui.analysis import trends

    found = trends.trend(history, margin / 100)
    click.echo(_as_json(found) if as_json else _as_text(found))
    if others:
        chosen = " and ".join(f"--{name}" for name in ("precision", "delegate") if options[name] is None)
        line = f"etui: this is the configuration of the newest run; other configurations: {', '.join(others)}"
        click.echo(text.plain(f"{line}; choose one with {chosen}"), err=True)


def _newest(store: Store, options: dict[str, str | None]) -> str:
    """The newest done run of these options, else the newest of any status."""
    from etui.store import Condition

    where = _conditions(options)
    for more in ([Condition("status", "=", "done")], []):
        if found := store.summaries([*where, *more], limit=1):
            return found[0].id
    named = " ".join(value for value in options.values() if value)
    raise UsageError(f"no run of {text.plain(named)}", "see etui runs")


def _conditions(options: Mapping[str, str | None]) -> list[Condition]:
    from etui.catalog.find import spellings
    from etui.store import Condition

    columns: tuple[Literal["model", "precision", "delegate"], ...] = ("model", "precision", "delegate")
    return [Condition(column, "in", spellings(column, value)) for column in columns if (value := options[column])]


def _other_configurations(store: Store, run_id: str, options: Mapping[str, str | None]) -> list[str]:
    """Return the precisions and delegates of other runs that the options name, each with its number of runs, the most
    recent first; of a model with very many runs, of the newest ones."""
    shown = store.summary(run_id)
    counts = Counter(
        (run.precision, run.delegate) for run in store.summaries(_conditions(options), limit=_MOST_EXAMINED)
    )
    del counts[shown.precision, shown.delegate]
    return [f"{precision}/{delegate} ({text.counted(count, 'run')})" for (precision, delegate), count in counts.items()]


def _as_text(found: Trend) -> str:
    from etui.wording import trend as trend_wording

    lines = [f"{trend_wording.name(found)}: {trend_wording.circumstances(found)}", "", *trend_wording.sentences(found)]
    lines = list(map(wrapped_to_terminal, lines))
    if found.history.points:
        lines += ["", table(_COLUMNS, rows(found))]
    return "\n".join(lines)


def _interval(point: Point) -> str:
    trusted = trust.of_latency(point.median_ms, point.interval_ms, point.flags)
    return marked(text.interval(point.interval_ms), trusted)


def rows(found: Trend) -> list[list[str]]:
    """The table's rows, oldest first."""
    from etui.wording import trend as trend_wording

    changes = {one.at: trend_wording.changed(one) for one in found.changes}
    made = []
    for place, point in enumerate(found.history.points):
        software = found.software.get(place, [])
        made.append(
            [
                point.run,
                text.local_time(point.at),
                text.number(point.median_ms) if point.status == "done" else point.status,
                _interval(point) if point.status == "done" else text.MISSING,
                fact_cell(RunSummary.mae, point.mae),
                point.verdict or text.MISSING,
                changes.get(place, ""),
                ", ".join(f"{one.name} {one.now or 'removed'}" for one in software),
                ", ".join(point.flags),
            ]
        )
    return made


def _as_json(found: Trend) -> str:
    import msgspec

    from etui.wording import trend as trend_wording

    plain = msgspec.to_builtins(found, str_keys=True)
    document = {"schema": SCHEMA, "words": trend_wording.sentences(found), **plain}
    return printable_json(document).decode()
