"""``etui gap``: the numeric gap of a run, its per-layer numerical error against FP32 eager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import OUTPUT_PATH, STDOUT, check_one_on_stdout
from etui.cli.run_selection import selected_run
from etui.cli.table import ascii_only
from etui.cli.trust_option import trust_option, trusted_files
from etui.errors import EXIT_DONE, UsageError
from etui.files.atomic import refuse_existing

if TYPE_CHECKING:
    from etui.analysis.numeric_gap import Order
    from etui.insight import NumericGap
    from etui.results import RunDocument

_WORST_DB, _BEST_DB = -300.0, 300.0


@click.command(
    epilog=examples(
        "etui gap 3f2a",
        "etui gap 3f2a --sort contribution --limit 10",
        "etui gap 3f2a --threshold-db 30 --inputs 8",
        "etui gap 3f2a --csv layers.csv",
        "etui run resnet18 --precision int8 --keep-fp32 conv1      what it may suggest",
    )
)
@click.argument("run", shell_complete=complete_run)
@click.option("--inputs", type=Count(1, 1000), metavar="N",
              help="Number of the run's inputs to compare on.  [default: 4]")  # fmt: skip
@click.option("--threshold-db", type=Number(_WORST_DB, _BEST_DB), metavar="X",
              help="SQNR threshold of a layer in dB.  [default: the run's SQNR tolerance, else 20]",
              )  # fmt: skip
@click.option("--sort", "order", type=click.Choice(["depth", "contribution"]), default="depth", show_default=True,
              help="Order of the graph, or largest contribution to the error first.")  # fmt: skip
@click.option("--limit", type=Count(min=0), default=0, show_default=True, help="Maximum number of layers, 0 for all.")
@click.option("--again", is_flag=True, help="Compute the numeric gap again, even if the run has one.")
@click.option(
    "--timeout", type=Number(min=0.001), default=3600.0, metavar="S", show_default=True, help="Time limit in seconds."
)
@click.option("--detach", is_flag=True, help="Queue it, print the run's id and return immediately.")
@click.option("--json", "as_json", is_flag=True, help="Print the layers as JSON.")
@click.option("--csv", "csv_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write the layers as CSV; - for standard output.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing FILE.")
@trust_option
@click.pass_obj
def gap(
    settings: Settings,
    run: str,
    inputs: int | None,
    threshold_db: float | None,
    order: str,
    limit: int,
    again: bool,
    timeout: float,
    detach: bool,
    as_json: bool,
    csv_file: Path | None,
    force: bool,
    trusted: tuple[str, ...],
) -> int:
    """Show the numeric gap of RUN: the error of each layer against FP32 eager, the first layer below the threshold, how
    much the quantization of each layer contributes to the output error, and which module to keep in FP32 if one
    contributes most of it.

    The numeric gap is computed once and stored with the run. It is cancelled if this command ends before, unless
    --detach is given. For an fp32 run, the outputs of its delegated subgraphs
    are compared.
    """
    from etui.analysis_kinds.gap import DEFAULT_INPUTS, GAP, GapOptions
    from etui.cli import gap_output as output
    from etui.cli.follow_analysis import analysed, check_detach

    check_detach(detach, json=as_json, csv=csv_file)
    check_one_on_stdout(json=as_json, csv=csv_file)
    refuse_existing(csv_file, force=force)
    with settings.store_with_runs() as store:
        run_id = selected_run(store, run)

        def options(document: RunDocument) -> GapOptions:
            _refuse(document)
            return GapOptions(
                inputs=inputs or DEFAULT_INPUTS,
                threshold_db=threshold_db,
                timeout_s=timeout,
                trusted_files=trusted_files(store, [run_id], trusted),
            )

        def outdated(stored: NumericGap) -> bool:
            return again or (inputs is not None and inputs != stored.inputs)

        document, found = analysed(store, run_id, GAP, options, outdated, detach=detach)
    if threshold_db is not None:
        found = _with_threshold(found, threshold_db)
    if csv_file is not None:
        from etui.files.atomic import write_file

        write_file(csv_file, output.as_csv(found), force=force)
        if csv_file == STDOUT:
            return EXIT_DONE
        click.echo(f"wrote {csv_file}", err=True)
    shown = output.as_json(document, found) if as_json else output.as_text(
        document, found, order=cast("Order", order), limit=limit, ascii_only=ascii_only()
    )  # fmt: skip
    click.echo(shown)
    return EXIT_DONE


def _refuse(document: RunDocument) -> None:
    from etui.catalog.precisions import AS_IS

    if document.precision == AS_IS:
        raise UsageError("a .pte has no eager model to compare with", "run the model that it was exported from")
    if document.dynamic:
        raise UsageError(
            f"run {document.id} has a program for a range of shapes: its layers are not compared",
            "analyse the static run of the same shape",
        )


def _with_threshold(found: NumericGap, threshold_db: float) -> NumericGap:
    """Return the same numeric gap with another threshold, without computing it again."""
    import msgspec

    from etui.analysis.numeric_gap import first_past

    return msgspec.structs.replace(found, threshold_db=threshold_db, first_past=first_past(found.layers, threshold_db))
