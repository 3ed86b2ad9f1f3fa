"""``etui gap``: where a run's numbers left those of FP32 eager, layer by layer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from etui.cli.context import Settings
from etui.cli.file_path import FILE_PATH
from etui.cli.lazy import examples
from etui.cli.numbers import Count, Number
from etui.cli.trust import trust_option, trusted_files
from etui.errors import EXIT_DONE, EtuiError, UsageError
from etui.files import refuse_existing

if TYPE_CHECKING:
    from etui.analysis.gaps import Order
    from etui.insight import NumericGap

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
@click.argument("run")
@click.option("--inputs", type=Count(1, 1000), metavar="N",
              help="Compare on so many of the run's inputs.  [default: 4]")  # fmt: skip
@click.option("--threshold-db", type=Number(_WORST_DB, _BEST_DB), metavar="X",
              help="The SQNR below which a layer counts as off.  [default: what is asked of the run's outputs, or 20]",
              )  # fmt: skip
@click.option("--sort", "order", type=click.Choice(["depth", "contribution"]), default="depth", show_default=True,
              help="In the order of the graph, or what makes most of the error first.")  # fmt: skip
@click.option("--limit", type=Count(min=0), default=0, show_default=True, help="At most so many, 0 for all.")
@click.option("--again", is_flag=True, help="Compare anew, although that was done.")
@click.option("--timeout", type=Number(min=0.001), default=3600.0, metavar="S", help="Stop after S seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print the layers as JSON.")
@click.option("--csv", "csv_file", type=FILE_PATH, metavar="FILE", help="Write the layers as CSV.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
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
    as_json: bool,
    csv_file: Path | None,
    force: bool,
    trusted: tuple[str, ...],
) -> int:
    """Say where the numbers of RUN moved: how far each layer is from FP32 eager (its numeric gap), the first that is
    off, how much of the error at the output each layer's quantization makes, and which module to keep in FP32 where one
    makes most of it.

    It is found once and kept with the run. An fp32 run is compared too: by what its delegate gives as a whole.
    """
    from etui.cli import gap_output as output
    from etui.cli.follow_pass import have_made
    from etui.spec import DEFAULT_GAP_INPUTS, GapOptions

    refuse_existing(csv_file, force=force)
    with settings.store_with_runs() as store:
        run_id = store.resolve(run)
        document = store.document(run_id, operators=False)
        found = document.gap
        if found is None or again or (inputs is not None and inputs != found.inputs):
            _refuse(document.precision)
            options = GapOptions(
                inputs=inputs or DEFAULT_GAP_INPUTS,
                threshold_db=threshold_db,
                timeout_s=timeout,
                trusted_files=trusted_files(store, [run_id], trusted),
            )
            status = have_made(store, run_id, options, "comparison")
            if status != EXIT_DONE:
                return status
            document = store.document(run_id, operators=False)
            found = document.gap
    if found is None:
        raise EtuiError(f"run {run_id[:6]} has no numeric gap", "make it with --again")
    if threshold_db is not None:
        found = _with_threshold(found, threshold_db)
    if csv_file is not None:
        from etui.store.transfer import write_file

        write_file(csv_file, output.as_csv(found), force=force)
        click.echo(f"wrote {csv_file}", err=True)
    shown = output.as_json(document, found) if as_json else output.as_text(
        document, found, order=cast("Order", order), limit=limit, ascii_only=_ascii_only()
    )  # fmt: skip
    click.echo(shown)
    return EXIT_DONE


def _refuse(precision: str) -> None:
    from etui.catalog.precisions import AS_IS

    if precision == AS_IS:
        raise UsageError(
            "a .pte has no eager model that its numbers could be compared with", "run the model it was made from"
        )


def _with_threshold(found: NumericGap, threshold_db: float) -> NumericGap:
    """The same figures, read with another threshold: nothing has to be run again for it."""
    import msgspec

    from etui.analysis.gaps import first_past

    return msgspec.structs.replace(found, threshold_db=threshold_db, first_past=first_past(found.layers, threshold_db))


def _ascii_only() -> bool:
    return not (sys.stdout.encoding or "").lower().startswith("utf")
