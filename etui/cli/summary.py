"""``etui summary``: the modules of a model with their parameters, work and memory."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_model
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import OUTPUT_PATH, STDOUT, check_one_on_stdout
from etui.cli.status_line import status_line
from etui.cli.trust_option import trust_option, trusted_files
from etui.errors import EXIT_DONE, UsageError
from etui.files.atomic import refuse_existing, write_file

if TYPE_CHECKING:
    from etui.analysis.roofline import Roofline
    from etui.model_summary import MeasuredRun, ModelSummary
    from etui.services.summarize import Request
    from etui.store import Store

_RUN = re.compile(r"[0-9a-z]{2,32}")


@click.command(
    epilog=examples(
        "etui summary resnet18",
        "etui summary vit_b_16 --depth 4",
        "etui summary resnet18 --input-size 320 --batch 8",
        "etui summary net.py:make --csv net.csv",
        "etui summary gpt2 --json | jq '.macs'",
        "etui summary resnet18 --roofline",
        "etui summary 3f2a --roofline                 the model of this run, and its times",
    )
)
@click.argument("model", shell_complete=complete_model)
@click.option("--depth", type=Count(min=0), metavar="N",
              help="Levels of modules to list, 0 for totals only.  [default: as many as fit in 40 lines]")  # fmt: skip
@click.option("--input-size", metavar="N|HxW",
              help="Size of the images in pixels, such as 128 or 160x320.  [default: the model's own]")  # fmt: skip
@click.option("--batch", type=Count(min=1), metavar="N",
              help="Number of items in one inference.  [default: the model's own]")  # fmt: skip
@click.option("--sequence", type=Count(min=1), metavar="N",
              help="Length of the texts in tokens.  [default: the model's own]")  # fmt: skip
@click.option("--roofline", "wants_roofline", is_flag=True,
              help="Compare a run's modules with the measured peaks (`etui peaks`); it needs a profile.")  # fmt: skip
@click.option("--allow-pickle", is_flag=True, help="Allow a .pt2 file to run code that it contains.")
@click.option("--timeout", type=Number(min=0.1), default=300.0, show_default=True, metavar="S",
              help="Time limit in seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the totals and all modules as JSON.")
@click.option("--csv", "csv_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write all modules as CSV; - for standard output.")  # fmt: skip
@click.option("--markdown", "markdown_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write totals and modules as Markdown; - for standard output.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@trust_option
@click.pass_obj
def summary(
    settings: Settings,
    model: str,
    depth: int | None,
    input_size: str | None,
    batch: int | None,
    sequence: int | None,
    wants_roofline: bool,
    allow_pickle: bool,
    timeout: float,
    as_json: bool,
    csv_file: Path | None,
    markdown_file: Path | None,
    force: bool,
    trusted: tuple[str, ...],
) -> int:
    """Show the parameters, multiply-adds and memory of MODEL and of each of its modules.

    MODEL is a name of `etui models`, FILE.py:FACTORY, or FILE.pt2, or a run: then its model, at its shape. The model is
    called once in a separate process, on tensors without values if possible; nothing is measured. The summary is kept
    until the model's files or the installed packages change. Runs of the model at this shape are listed with the
    multiply-adds per second that they achieved.

    --roofline shows the time, the operations and bytes per second of each module in a run that has a profile (that run,
    or else the fastest run of the model), whether computing or memory limits it, and how much of that limit it reaches.
    """
    from etui.services.model_runs import measured_runs
    from etui.services.shapes import parse_size
    from etui.services.summarize import Request, summarize
    from etui.spec import OWN_SHAPE, Shape

    on_stdout = check_one_on_stdout(json=as_json, csv=csv_file, markdown=markdown_file)
    for path in (csv_file, markdown_file):
        refuse_existing(path, force=force)
    size = parse_size(input_size) if input_size is not None else None
    shape = Shape(input_size=size, batch=batch, sequence=sequence)
    with contextlib.ExitStack() as closing:
        store = settings.existing_store()
        if store is not None:
            closing.enter_context(store)
        run_id = _run_named(store, model) if store is not None else None
        if store is not None and run_id is not None:
            if shape != OWN_SHAPE:
                raise UsageError(f"run {run_id} has a shape of its own", "name its model to choose another shape")
            request = _request_of_run(store, run_id, trusted)
        else:
            request = Request(model, shape, allow_pickle=allow_pickle)
        with status_line() as line:
            made = summarize(request, limit_s=timeout, begin=line.begin)
        runs = measured_runs(store, request, made) if store is not None else []
        roofline = _roofline(store, run_id, runs, made) if wants_roofline else None
    if csv_file is not None:
        from etui.formats.summary_csv import summary_csv

        _write(csv_file, summary_csv(made), force)
    if markdown_file is not None:
        from etui.cli.summary_output import as_markdown

        _write(markdown_file, as_markdown(made, runs, depth, roofline).encode(), force)
    if as_json:
        from etui.cli.summary_output import as_json as to_json

        click.echo(to_json(made, runs, roofline))
    elif not on_stdout:
        from etui.cli.summary_output import as_text

        click.echo(as_text(made, runs, depth, roofline))
    return EXIT_DONE


def _run_named(store: Store, name: str) -> str | None:
    """Return the id of the run that the argument names; None if it names a model."""
    from etui.catalog.find import find_model

    try:
        find_model(name)
    except UsageError:
        if _RUN.fullmatch(name):
            with contextlib.suppress(UsageError):  # about the model, which is then reported
                return store.resolve(name)
    return None


def _request_of_run(store: Store, run_id: str, trusted: tuple[str, ...]) -> Request:
    from etui.runner.rebuild_program import Trust, Untrusted
    from etui.services.summarize import request_of_run

    document, imported = store.document(run_id, operators=False), store.is_imported(run_id)
    try:
        return request_of_run(document, Trust(imported=imported))
    except Untrusted:
        return request_of_run(document, Trust(imported=imported, files=trusted_files(store, [run_id], trusted)))


def _roofline(store: Store | None, run_id: str | None, runs: list[MeasuredRun], made: ModelSummary) -> Roofline:
    from etui.services.roofline import roofline_of, run_with_roofline

    if store is not None and run_id is not None:
        document = store.document(run_id)
    else:
        document = run_with_roofline(store, runs, made.model)
    roofline = roofline_of(document, made)
    if roofline is None:
        raise UsageError(f"run {document.id} has no latency", "choose a run that is done")
    return roofline


def _write(path: Path, content: bytes, force: bool) -> None:
    write_file(path, content, force=force)
    if path != STDOUT:
        click.echo(f"wrote {path}", err=True)
