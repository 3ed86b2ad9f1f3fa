"""``etui compare``: runs beside a base, in words, then figure by figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from etui.cli.context import Settings
from etui.cli.lazy import examples

PERCENT = click.FloatRange(min=0.0)


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that ``compare`` and ``gate`` share."""
    for option in reversed(
        (
            click.option(
                "--margin",
                type=click.FloatRange(min=0.0, max=100.0),
                default=2.0,
                show_default=True,
                metavar="PCT",
                help="Within this percentage two count as equally fast.",
            ),
            click.option("--force", is_flag=True, help="Compare what is not comparable; the reasons stay beside it."),
            click.option("--all", "everything", is_flag=True, help="Show also the figures that do not differ."),
            click.option("--json", "as_json", is_flag=True, help="Print everything as JSON."),
            click.option(
                "--fail-if-slower",
                type=PERCENT,
                metavar="PCT",
                help="Status 1 where the whole interval is slower than the base by more than this.",
            ),
            click.option(
                "--fail-if-mae-above",
                type=PERCENT,
                metavar="X",
                help="Status 1 where the mean absolute error is above.",
            ),
            click.option(
                "--fail-if-inconclusive", is_flag=True, help="Status 1 where it cannot be told, or is refused."
            ),
            click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."),
            click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write a Markdown page."),
        )
    ):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        "etui compare 3f2a 91bc",
        "etui compare 3f2a 91bc 07de --all",
        "etui compare 3f2a 91bc --fail-if-slower 5 --fail-if-mae-above 1e-3 --fail-if-inconclusive",
    )
    + "\n\nExit status: 1 where a --fail-if is crossed, 2 where one was asked for and nothing can be compared."
)
@click.argument("base")
@click.argument("others", nargs=-1, metavar="OTHER..")
@reporting
@click.pass_obj
def compare(
    settings: Settings,
    base: str,
    others: tuple[str, ...],
    margin: float,
    force: bool,
    everything: bool,
    as_json: bool,
    fail_if_slower: float | None,
    fail_if_mae_above: float | None,
    fail_if_inconclusive: bool,
    junit: Path | None,
    markdown: Path | None,
) -> int:
    """Say whether runs are faster or slower than BASE, and whether that can be believed.

    Runs of one session are compared block by block. Runs of different sessions are compared only where threads,
    inputs, weights, model, box and CPU governor are the same, unless --force is given.
    """
    with settings.store_with_runs() as store:
        first = store.document(store.resolve(base))
        rest = [store.document(run_id) for run_id in dict.fromkeys(map(store.resolve, others))]
    from etui.analysis.gates import Limits
    from etui.cli import comparison_output as output

    limits = Limits(slower=fail_if_slower, mae=fail_if_mae_above, inconclusive=fail_if_inconclusive)
    compared = [output.Compared.of(first, rest, margin=margin / 100, force=force, limits=limits)]
    output.write_reports(compared, junit=junit, page=markdown, everything=everything)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(output.as_json(compared)[0])))
    else:
        click.echo(output.as_text(compared, everything=everything))
    output.say_what_is_open(compared)
    return output.status_of(compared, limits)
