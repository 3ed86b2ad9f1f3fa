"""``etui inspect``: the contents of a program and whether it loads here; for a run, its lowering stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run_or_file
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Number
from etui.cli.path_type import FILE_PATH
from etui.cli.run_selection import selected_run
from etui.cli.status_line import status_line
from etui.errors import EXIT_DONE, EXIT_FAILED
from etui.formats.json_text import printable_json
from etui.paths import expanded
from etui.text import plain

if TYPE_CHECKING:
    from etui.insight import ProgramInfo
    from etui.results import RunDocument

_FILES = (".pte", ".ptd", ".bpte", ".pt2")


@click.command(
    epilog=examples(
        "etui inspect model.pte",
        "etui inspect model.pte --json | jq '.methods[].backends'",
        "etui inspect weightless.pte --data weights.ptd",
        "etui inspect model.pt2",
        "etui inspect 3f2a",
    )
)
@click.argument("target", metavar="FILE|RUN", shell_complete=complete_run_or_file)
@click.option("--data", type=FILE_PATH, metavar="FILE.ptd", help="Data file of the program.")
@click.option("--all", "whole", is_flag=True, help="List all sections, not only the largest.")
@click.option(
    "--timeout",
    type=Number(min=0.1),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Time limit in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def inspect(settings: Settings, target: str, data: Path | None, whole: bool, timeout: float, as_json: bool) -> int:
    """Show the contents of a program and whether it loads on this machine: methods, inputs and outputs, backends,
    operators and the sizes of its sections. The program is not executed.

    For an exported program (.pt2), show its inputs and outputs with dynamic dimensions and their bounds, its operators,
    parameters and sizes; it is not loaded. For a RUN, also show what each stage of lowering changed, and which nodes
    are not delegated and why. The exit status is 2 if FILE is not a program, and 3 if it does not load here.
    """
    file = expanded(target)
    if file.suffix.lower() == ".pt2" and _is_a_file(target, file):
        _print_exported(file, whole=whole, as_json=as_json)
        return EXIT_DONE
    if _is_a_file(target, file):
        info = _inspected(file, data, timeout)
        _print_program(info, whole=whole, as_json=as_json)
        return _status(info)
    with settings.store_with_runs() as store:
        document = store.document(selected_run(store, target))
    from etui.services.executorch_only import require_executorch

    require_executorch(document, "the inspection")
    program = _cached(document)
    found = _inspected(program, data, timeout) if program is not None else None
    _print_run(document, found, whole=whole, as_json=as_json)
    return EXIT_DONE


def _is_a_file(target: str, file: Path) -> bool:
    """Whether the argument is a file: it exists, or is written like one."""
    try:
        there = file.exists()
    except (OSError, ValueError):
        return True
    return there or "/" in target or file.suffix.lower() in _FILES


def _inspected(file: Path, data: Path | None, timeout: float) -> ProgramInfo:
    from etui.services.inspect_program import inspect_program

    with status_line() as line:
        line.begin(f"inspecting {plain(str(file))} ..")
        return inspect_program(file, data=data, limit_s=timeout)


def _cached(document: RunDocument) -> Path | None:
    """Return the run's program if the cache still has it."""
    from etui.paths import cache_dir, program_path

    artifact = document.artifact
    program = program_path(cache_dir(), artifact.key) if artifact is not None else None
    if artifact is None or program is None:
        return None
    try:
        return program if program.stat().st_size == artifact.size_bytes else None
    except OSError:
        return None


def _print_program(info: ProgramInfo, *, whole: bool, as_json: bool) -> None:
    if as_json:
        _print_json(info)
    else:
        from etui.cli.inspection_output import program_text

        click.echo(program_text(info, whole=whole))


def _print_exported(file: Path, *, whole: bool, as_json: bool) -> None:
    from etui.programs.exported import read_exported

    info = read_exported(file)
    if as_json:
        _print_json(info)
    else:
        from etui.cli.inspection_output import exported_text

        click.echo(exported_text(info, whole=whole))


def _print_run(document: RunDocument, info: ProgramInfo | None, *, whole: bool, as_json: bool) -> None:
    from etui.cli.inspection_output import run_as_json, run_text

    if as_json:
        _print_json(run_as_json(document, info))
    else:
        click.echo(run_text(document, info, whole=whole))


def _print_json(value: object) -> None:

    click.echo(printable_json(value))


def _status(info: ProgramInfo) -> int:
    """Return the exit status; print why a program does not load as an error."""
    if info.loads:
        return EXIT_DONE
    click.echo(f"etui: {plain(info.name)} does not load here: {plain(info.problem)}", err=True)
    return EXIT_FAILED
