"""``etui duel``: measure the programs of two runs again, interleaved, and print the verdict."""

from __future__ import annotations

from typing import Any

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.run_selection import selected_run
from etui.cli.trust_option import trust_option, trusted_files
from etui.cli.wait_quiet import minutes_to_wait, wait_quiet_option
from etui.errors import EXIT_DONE
from etui.formats.json_text import printable_json


@click.command(
    epilog=examples(
        "etui duel 3f2a 91bc",
        "etui duel 3f2a 91bc --preset default     faster, wider intervals",
        "etui duel 3f2a 91bc --threads 1 --json | jq .comparisons",
        "etui duel 3f2a 91bc --detach",
    )
    + "\n\nExit status: 0 success and within tolerance, 1 a tolerance was crossed, 2 usage error or missing program, 3"
    " a run failed, 4 timed out, 130 cancelled. The verdict does not change the status: see etui compare"
    " --fail-if-slower."
)
@click.argument("run_a", shell_complete=complete_run)
@click.argument("run_b", shell_complete=complete_run)
@click.option(
    "--preset",
    type=click.Choice(["quick", "default", "rigorous"]),
    default="rigorous",
    show_default=True,
    help="quick: 3 blocks of 0.5 s. default: 6 of 1 s. rigorous: up to 20 of 2 s, until within 1 %.",
)
@click.option(
    "--repeat",
    type=Count(min=1),
    metavar="N",
    help="Total timed inferences per program, divided among the blocks.  [default: by the preset's time]",
)
@click.option(
    "--warmup",
    type=Count(min=0),
    metavar="N",
    help="Warm-up inferences per block.  [default: until latency settles]",
)
@click.option(
    "--threads",
    type=Count(min=1),
    metavar="N",
    help="Threads of both.  [default: those of the runs if equal, else all cores]",
)
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="S",
    help="Time limit in seconds, without waiting for the machine (at most 24 hours, or ETUI_WAIT_MACHINE minutes) or"
    " for an idle machine.  [default: 3600]",
)
@wait_quiet_option
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Load a .pt2 with pickled objects other than tensors. This executes code from the file.",
)
@click.option("--detach", is_flag=True, help="Queue the runs, print their ids and return immediately.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the comparison as etui compare --json does; with --detach, the run summaries.",
)
@click.option("-v", "--verbose", is_flag=True, help="Also print worker output and every block.")
@trust_option
@click.pass_obj
def duel(
    settings: Settings,
    /,
    run_a: str,
    run_b: str,
    timeout: float | None,
    trusted: tuple[str, ...],
    **options: Any,
) -> int:
    """Measure the programs of RUN_A and RUN_B again, interleaved, on this machine, and report the faster one.

    They may differ in session, weights, model or batch, but not in input size, sequence length or method. The programs
    come from the cache, or are prepared as before. The result is stored as two new runs of one session, for etui
    compare. Eager is measured too if both have the same model and weights.
    """  # fmt: skip
    from etui.cli.run_sessions import finish, followed
    from etui.services.duel import DuelOptions, queue_duel

    chosen = {name: options[name] for name in ("preset", "repeat", "warmup", "threads", "allow_pickle")}
    with settings.store_with_runs() as store:
        run_a, run_b = selected_run(store, run_a), selected_run(store, run_b)
        duel_options = DuelOptions(
            **chosen,
            timeout_s=timeout,
            trusted_files=trusted_files(store, [run_a, run_b], trusted),
            wait_quiet_min=minutes_to_wait(store, options["wait_quiet"], options["threads"]),
        )
        ids = followed(store, lambda: [queue_duel(store, run_a, run_b, duel_options)], options)
        if options["detach"] or not options["as_json"]:
            status = finish(store, ids, options)
            if options["detach"]:
                return status
        else:
            from etui.services.follow import ended_with

            status = ended_with(store, ids)
        first, second = (store.document(run_id) for run_id in ids)
    from etui.analysis.gates import Limits
    from etui.cli import comparison_output as output

    compared = [output.Compared.of(first, [second], margin=0.02, force=False, limits=Limits())]
    if options["as_json"]:
        click.echo(printable_json(output.as_json(compared)[0]))
        return status
    click.echo("")
    for run in (first, second):
        click.echo(f"run {run.id} repeats run {run.repeats}")
    if status == EXIT_DONE or (first.blocks and second.blocks):
        click.echo(output.as_text(compared, everything=False))
    return status
