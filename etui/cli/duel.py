"""``etui duel``: two runs' programs measured again, interleaved, and the verdict in words."""

from __future__ import annotations

from typing import Any

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.trust_option import trust_option, trusted_files
from etui.errors import EXIT_DONE
from etui.formats.json_text import harmless


@click.command(
    epilog=examples(
        "etui duel 3f2a 91bc",
        "etui duel 3f2a 91bc --preset default     sooner done, wider intervals",
        "etui duel 3f2a 91bc --threads 1 --json | jq .comparisons",
        "etui duel 3f2a 91bc --detach",
    )
    + "\n\nExit status: 0 done and within tolerance, 1 a tolerance was crossed, 2 wrong usage or a program that cannot"
    " be had, 3 a run failed, 4 timed out, 130 cancelled. Whichever is faster, the status is 0: see etui compare"
    " --fail-if-slower."
)
@click.argument("run_a")
@click.argument("run_b")
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
    help="Timed inferences of each program in all, dealt over the blocks, instead of the preset's time.",
)
@click.option(
    "--warmup",
    type=Count(min=0),
    metavar="N",
    help="Warm-up inferences before timing in each block, instead of warming up until it settles.",
)
@click.option(
    "--threads",
    type=Count(min=1),
    metavar="N",
    help="Threads of both.  [default: those of the runs where they are the same, else every core]",
)
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="S",
    help="Seconds it may take in all, waiting for the machine (24 hours at most, or ETUI_WAIT_MACHINE minutes) or for"
    " calm not counted.  [default: 3600]",
)
@click.option(
    "--wait-quiet",
    type=Number(min=0),
    metavar="MIN",
    envvar="ETUI_WAIT_QUIET",
    help="Minutes to wait at most for other programs to leave the cores alone, before the first block; 0 measures at"
    " once.  [default: 0.5]",
)
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Load a .pt2 whose pickled parts hold more than tensors. That runs whatever code they name.",
)
@click.option("--detach", is_flag=True, help="Queue, print the new run ids, and return at once.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the comparison as etui compare --json does; with --detach the runs' summaries.",
)
@click.option("-v", "--verbose", is_flag=True, help="Also tell what the child processes print, and every block.")
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
    """Measure the programs of RUN_A and RUN_B again, interleaved, on this box now, and say which is faster.

    They may be of different sessions, weights or models. The programs come from the cache, or are prepared as they
    were. The answer is stored as two new runs of one session, so that etui compare says the same later. Eager is
    measured too where both are of the same model and weights.
    """  # fmt: skip
    from etui.cli.run_sessions import finish, followed
    from etui.services.duel import queue_duel

    chosen = {name: options[name] for name in ("preset", "repeat", "warmup", "threads", "wait_quiet", "allow_pickle")}
    with settings.store_with_runs() as store:
        chosen["trusted_files"] = trusted_files(store, [store.resolve(run_a), store.resolve(run_b)], trusted)
        ids = followed(store, lambda: [queue_duel(store, run_a, run_b, timeout_s=timeout, **chosen)], options)
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
        import msgspec

        click.echo(harmless(msgspec.json.format(msgspec.json.encode(output.as_json(compared)[0]))))
        return status
    click.echo("")
    for run in (first, second):
        click.echo(f"run {run.id} repeats run {run.repeats}")
    if status == EXIT_DONE or (first.blocks and second.blocks):
        click.echo(output.as_text(compared, everything=False))
    return status
