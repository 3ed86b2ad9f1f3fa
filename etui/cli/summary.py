"""``etui summary``: the modules of a model with their parameters, work and memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_model
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import OUTPUT_PATH, STDOUT, check_one_on_stdout
from etui.errors import EXIT_DONE
from etui.files.atomic import refuse_existing, write_file

if TYPE_CHECKING:
    from etui.model_summary import MeasuredRun


@click.command(
    epilog=examples(
        "etui summary resnet18",
        "etui summary vit_b_16 --depth 4",
        "etui summary resnet18 --input-size 320 --batch 8",
        "etui summary net.py:make --csv net.csv",
        "etui summary gpt2 --json | jq '.macs'",
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
@click.option("--allow-pickle", is_flag=True, help="Allow a .pt2 file to run code that it contains.")
@click.option("--timeout", type=Number(min=0.1), default=300.0, show_default=True, metavar="S",
              help="Time limit in seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the totals and all modules as JSON.")
@click.option("--csv", "csv_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write all modules as CSV; - for standard output.")  # fmt: skip
@click.option("--markdown", "markdown_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write totals and modules as Markdown; - for standard output.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.pass_obj
def summary(
    settings: Settings,
    model: str,
    depth: int | None,
    input_size: str | None,
    batch: int | None,
    sequence: int | None,
    allow_pickle: bool,
    timeout: float,
    as_json: bool,
    csv_file: Path | None,
    markdown_file: Path | None,
    force: bool,
) -> int:
    """Show the parameters, multiply-adds and memory of MODEL and of each of its modules.

    MODEL is a name of `etui models`, FILE.py:FACTORY, or FILE.pt2. It is called once in a separate process, on tensors
    without values if possible; nothing is measured. The summary is kept until the model's files or the installed
    packages change. Runs of the model at this shape are listed with the multiply-adds per second that they achieved.
    """
    from etui.services.model_runs import measured_runs
    from etui.services.shapes import parse_size
    from etui.services.summarize import Request, summarize
    from etui.spec import Shape

    on_stdout = check_one_on_stdout(json=as_json, csv=csv_file, markdown=markdown_file)
    for path in (csv_file, markdown_file):
        refuse_existing(path, force=force)
    size = parse_size(input_size) if input_size is not None else None
    shape = Shape(input_size=size, batch=batch, sequence=sequence)
    request = Request(model, shape, allow_pickle=allow_pickle)
    made = summarize(request, limit_s=timeout, begin=_begin)
    store = settings.existing_store()
    if store is None:
        runs: list[MeasuredRun] = []
    else:
        with store:
            runs = measured_runs(store, request, made)
    if csv_file is not None:
        from etui.formats.summary_csv import summary_csv

        _write(csv_file, summary_csv(made), force)
    if markdown_file is not None:
        from etui.cli.summary_output import as_markdown

        _write(markdown_file, as_markdown(made, runs, depth).encode(), force)
    if as_json:
        from etui.cli.summary_output import as_json as to_json

        click.echo(to_json(made, runs))
    elif not on_stdout:
        from etui.cli.summary_output import as_text

        click.echo(as_text(made, runs, depth))
    return EXIT_DONE


def _begin(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(line, err=True)


def _write(path: Path, content: bytes, force: bool) -> None:
    write_file(path, content, force=force)
    if path != STDOUT:
        click.echo(f"wrote {path}", err=True)
