"""``etui diagram``: the modules of a model and the data flow between them, as a picture or as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from etui.cli.complete import complete_model_or_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import OUTPUT_PATH, STDOUT, check_one_on_stdout
from etui.cli.status_line import status_line
from etui.cli.trust_option import trust_option, trusted_files
from etui.errors import EXIT_DONE, UsageError
from etui.files.atomic import refuse_existing, write_file
from etui.text import plain

if TYPE_CHECKING:
    from etui.model_graph import ModelGraph
    from etui.results import RunDocument
    from etui.services.summarize import Request
    from etui.spec import Shape
    from etui.wording.diagram import Colour

_COLOURS = ("type", "time", "gap", "delegate")


@click.command(
    epilog=examples(
        "etui diagram resnet18",
        "etui diagram resnet18 -o resnet18.svg",
        "etui diagram 3f2a --colour time -o resnet18.html",
        "etui diagram gpt2 --level 5 -o gpt2.png",
        "etui diagram program.pte -o program.svg",
        "etui diagram 3f2a --explorer",
    )
)
@click.argument("target", metavar="MODEL|RUN|FILE", shell_complete=complete_model_or_run)
@click.option("-o", "--output", type=OUTPUT_PATH, metavar="FILE",
              help="Write a picture: FILE.svg, FILE.png or FILE.html. It needs the package pygraphviz.")  # fmt: skip
@click.option("--level", type=Count(min=1), metavar="N",
              help="Fold modules below this level.  [default: the deepest with at most 60 boxes]")  # fmt: skip
@click.option("--colour", type=click.Choice(_COLOURS),
              help="Colour by type of operator, or for a RUN by measured time, numeric gap or delegation.  "
                   "[default: time for a RUN with a profile, delegate for FILE.pte, otherwise type]")  # fmt: skip
@click.option("--input-size", metavar="N|HxW",
              help="Size of the images in pixels, such as 128 or 160x320.  [default: the model's own]")  # fmt: skip
@click.option("--batch", type=Count(min=1), metavar="N",
              help="Number of items in one inference.  [default: the model's own]")  # fmt: skip
@click.option("--sequence", type=Count(min=1), metavar="N",
              help="Length of the texts in tokens.  [default: the model's own]")  # fmt: skip
@click.option("--method", metavar="NAME", help="Method of FILE.pte.  [default: forward, or its only method]")
@click.option("--explorer", is_flag=True,
              help="Open the graph in Model Explorer in the browser, with the measured times of a RUN. It needs the "
                   "package ai-edge-model-explorer.")  # fmt: skip
@click.option("--allow-pickle", is_flag=True, help="Allow a .pt2 file to run code that it contains.")
@click.option("--timeout", type=Number(min=0.1), default=300.0, show_default=True, metavar="S",
              help="Time limit in seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print boxes and edges as JSON.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@trust_option
@click.pass_obj
def diagram(
    settings: Settings,
    target: str,
    output: Path | None,
    level: int | None,
    colour: str | None,
    input_size: str | None,
    batch: int | None,
    sequence: int | None,
    method: str | None,
    explorer: bool,
    allow_pickle: bool,
    timeout: float,
    as_json: bool,
    force: bool,
    trusted: tuple[str, ...],
) -> int:
    """Show the modules of a model and the data flow between them, folded to a level; without -o as text.

    The target is a model (a name of `etui models`, FILE.py:FACTORY or FILE.pt2), which is exported in a separate
    process; a RUN, whose model is shown at the shape of the run with what was measured; or a program (FILE.pte), whose
    partitions and undelegated operators are shown. Every box says in words what its colour says. The files need no
    network.
    """
    from etui.services.model_graph import model_graph
    from etui.services.summarize import Request
    from etui.wording.diagram import check_known
    from etui.wording.diagram import diagram as make

    kind = _kind(output)
    check_one_on_stdout(json=as_json, output=output)
    if explorer and (output is not None or as_json):
        raise UsageError("--explorer opens the browser and writes no file", "omit -o and --json")
    refuse_existing(output, force=force)
    shape = _shape(input_size, batch, sequence)
    chosen = cast("Colour | None", colour)
    found = _model(target)
    document: RunDocument | None = None
    if found is not None:
        request = Request(found, shape, allow_pickle=allow_pickle)
    else:
        request, document = _run(settings, target, trusted, chosen)
        if shape != Request("").shape:
            raise UsageError("a run has a shape of its own", "omit --input-size, --batch and --sequence")
        method = method or document.method
    if chosen is not None and not explorer:
        check_known(chosen, document, program=request.model.endswith(".pte"))
    with status_line() as line:
        graph = model_graph(request, method=method, limit_s=timeout, begin=line.begin)
    if explorer:
        return _explore(graph, document)
    made = make(graph, level=level, colour=chosen, document=document)
    if kind is not None and output is not None:
        from etui.report.diagram_file import diagram_file

        write_file(output, diagram_file(made, kind, limit_s=timeout), force=force)
        if output != STDOUT:
            click.echo(f"wrote {output}", err=True)
    if as_json:
        from etui.cli.diagram_output import as_json as to_json

        click.echo(to_json(made))
    elif output is None:
        from etui.cli.diagram_output import as_text

        click.echo(as_text(made))
    return EXIT_DONE


def _kind(output: Path | None) -> str | None:
    """Return the ending of the file, for standard output that of a picture."""
    from etui.report.diagram_file import SUFFIXES

    if output is None:
        return None
    if output == STDOUT:
        return ".svg"
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write {plain(str(output))}: its ending names no kind of picture", f"use {', '.join(SUFFIXES)}"
        )
    return output.suffix.lower()


def _shape(input_size: str | None, batch: int | None, sequence: int | None) -> Shape:
    from etui.services.shapes import parse_size
    from etui.spec import Shape

    size = parse_size(input_size) if input_size is not None else None
    return Shape(input_size=size, batch=batch, sequence=sequence)


def _model(target: str) -> str | None:
    """Return the target if it is a model; None if it can only be a run. Raises UsageError for a file that is not a
    model."""
    from etui.catalog.find import find_model

    try:
        find_model(target)
    except UsageError:
        if "/" in target or target.endswith((".py", ".pt2", ".pte")) or ".py:" in target:
            raise
        return None
    return target


def _run(
    settings: Settings, target: str, trusted: tuple[str, ...], colour: Colour | None
) -> tuple[Request, RunDocument]:
    """Return what to draw of a run. What its colour shows is checked before its model is looked for."""
    from etui.cli.run_selection import selected_run
    from etui.runner.rebuild_program import Trust, Untrusted
    from etui.services.summarize import request_of_run
    from etui.wording.diagram import check_known

    store = settings.existing_store()
    if store is None:
        raise UsageError(f"{plain(target)} is neither a model nor a run", "see etui models and etui runs")
    with store:
        try:
            run_id = selected_run(store, target)
        except UsageError as error:
            raise UsageError(
                f"{plain(target)} is not a model, and not a run: {error.message}", "see etui models and etui runs"
            ) from error
        document = store.document(run_id)
        if colour in ("time", "gap"):
            check_known(colour, document, program=False)
        imported = store.is_imported(run_id)
        try:
            return request_of_run(document, Trust(imported=imported, files=())), document
        except Untrusted:
            trust = Trust(imported=imported, files=trusted_files(store, [run_id], trusted))
            return request_of_run(document, trust), document


def _explore(graph: ModelGraph, document: RunDocument | None) -> int:
    from etui.services.model_explorer import explore

    explore(graph, document, lambda line: click.echo(line, err=True))
    return EXIT_DONE
