"""``etui compare``: compare runs with a base run, as sentences and as a table of metrics."""

from __future__ import annotations

import click

from etui.cli.comparison_options import ComparisonOptions, comparison_options
from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_run, selected_runs
from etui.errors import UsageError


@click.command(
    epilog=examples(
        "etui compare 3f2a 91bc",
        "etui compare 3f2a 91bc 07de --all",
        "etui compare 3f2a session:last",
        "etui compare 3f2a 91bc --fail-if-slower 5 --fail-if-mae-above 1e-3 --fail-if-inconclusive",
    )
    + "\n\nExit status: 1 if a --fail-if limit is crossed, 2 if a limit could not be checked."
)
@click.argument("base", shell_complete=complete_run)
@click.argument("others", nargs=-1, metavar="OTHER..", shell_complete=complete_run)
@comparison_options
@click.pass_obj
def compare(settings: Settings, base: str, others: tuple[str, ...], comparison_options: ComparisonOptions) -> int:
    """Compare runs with BASE, with confidence intervals.

    Runs of one session are compared block by block; those of another batch by the latency per item, those of another
    input size, sequence length or method not at all. Runs of different sessions are compared only if threads, inputs,
    weights, model, machine and CPU governor are the same. --force compares all the same.

    BASE and OTHER are ids, or filters like those of etui runs.
    """
    if comparison_options.limits().asked and not others:
        raise UsageError("--fail-if needs runs to compare with the base", "add them: etui compare BASE RUN")
    with settings.store_with_runs() as store:
        first = store.document(selected_run(store, base))
        rest = [store.document(run_id) for run_id in selected_runs(store, others, without=first.id)]
        levels = store.session_levels(first.environment)
    return comparison_options.put_out([comparison_options.compared(first, rest, levels)], many=False)
