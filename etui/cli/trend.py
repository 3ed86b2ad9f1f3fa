"""``etui trend``: how a choice's latency and numbers went over its runs, what changed them, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etui import text
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.table import Column, table
from etui.errors import UsageError
from etui.formats.json_text import harmless

if TYPE_CHECKING:
    from etui.analysis.trends import Trend
    from etui.store import Store

SCHEMA = "etui.trend/1"
DEFAULT_POINTS = 200
_COLUMNS = (
    Column("run"),
    Column("when"),
    Column("median ms", right=True),
    Column("95 % interval", right=True, spare=5),
    Column("MAE", right=True, spare=4),
    Column("verdict", spare=6),
    Column("change"),
    Column("versions changed", spare=3),
    Column("flags", spare=9),
)


@click.command(
    epilog=examples(
        "etui trend 3f2a",
        "etui trend --model resnet18 --precision int8 --delegate xnnpack",
        "etui trend 3f2a --json | jq '.changes'",
    )
)
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--model", metavar="M", help="The model, where no RUN is given.")
@click.option("--precision", metavar="P", help="The precision; else that of the model's newest run.")
@click.option("--delegate", metavar="D", help="The delegate; else that of the model's newest run.")
@click.option("--limit", type=Count(1, 2_000), default=DEFAULT_POINTS, show_default=True, help="At most so many runs.")
@click.option(
    "--margin",
    type=Number(min=0.0, max=100.0),
    default=2.0,
    show_default=True,
    metavar="PCT",
    help="Within this percentage two levels count as equally fast.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
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
    """Say what changed over the runs of one choice, and since which versions.

    The choice is RUN's: its model, precision, delegate, weights, inputs, threads and box. Or name a model: then it is
    that of the newest run.
    """
    options = {"model": model, "precision": precision, "delegate": delegate}
    if run is not None and any(options.values()):
        raise UsageError("a RUN has its own model, precision and delegate", "give either the RUN or the options")
    if run is None and model is None:
        raise UsageError("neither a RUN nor a --model is given", "see etui runs for the runs there are")
    with settings.store_with_runs() as store:
        history = store.history(store.resolve(run) if run is not None else _newest(store, options), limit)
    from etui.analysis import trends

    found = trends.trend(history, margin / 100)
    click.echo(_as_json(found) if as_json else _as_text(found))


def _newest(store: Store, options: dict[str, str | None]) -> str:
    """The newest done run of these options, else the newest of any status."""
    from etui.store import Condition

    where = [Condition(column, "=", value) for column, value in options.items() if value]
    for more in ([Condition("status", "=", "done")], []):
        if found := store.summaries([*where, *more], limit=1):
            return found[0].id
    named = " ".join(value for value in options.values() if value)
    raise UsageError(f"there is no run of {text.plain(named)}", "see etui runs")


def _as_text(found: Trend) -> str:
    from etui.wording import trend as trend_words

    lines = [f"{trend_words.name(found)}: {trend_words.circumstances(found)}", "", *trend_words.sentences(found)]
    if found.history.points:
        lines += ["", table(_COLUMNS, rows(found))]
    return "\n".join(lines)


def rows(found: Trend) -> list[list[str]]:
    """The table's rows, oldest first."""
    from etui.wording import trend as trend_words

    changes = {one.at: trend_words.changed(one) for one in found.changes}
    made = []
    for place, point in enumerate(found.history.points):
        software = found.software.get(place, [])
        made.append(
            [
                point.run,
                text.local_time(point.at),
                text.number(point.median_ms) if point.status == "done" else point.status,
                text.interval(point.interval_ms) if point.status == "done" else text.MISSING,
                text.number(point.mae),
                point.verdict or text.MISSING,
                changes.get(place, ""),
                ", ".join(f"{one.name} {one.now or 'removed'}" for one in software),
                ", ".join(point.flags),
            ]
        )
    return made


def _as_json(found: Trend) -> str:
    import msgspec

    from etui.wording import trend as trend_words

    plain = msgspec.to_builtins(found, str_keys=True)
    document = {"schema": SCHEMA, "words": trend_words.sentences(found), **plain}
    return harmless(msgspec.json.format(msgspec.json.encode(document))).decode()
