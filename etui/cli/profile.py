"""``etui profile``: the operators of a run and their times, next to those of eager."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH, OUTPUT_PATH, STDOUT, check_one_on_stdout
from etui.cli.run_selection import selected_run
from etui.cli.table import ascii_only
from etui.cli.trust_option import trust_option, trusted_files
from etui.errors import EXIT_DONE, EtuiError, UsageError
from etui.files.atomic import refuse_existing

if TYPE_CHECKING:
    from etui.analysis.profiles import Sort
    from etui.analysis_kinds.profile import ProfileOptions
    from etui.store import Store

DEFAULT_LINES = 25
_SORTS = ("share", "ms", "eager", "p90", "calls", "name", "order")


@click.command(
    epilog=examples(
        "etui profile 3f2a",
        "etui profile 3f2a --module layer1",
        "etui profile 3f2a --by operator --sort calls --limit 0",
        "etui profile 3f2a --trace resnet18.json      open it in ui.perfetto.dev",
        "etui profile 3f2a --keep profiles --etrecord for ExecuTorch's Inspector",
    )
)
@click.argument("run", shell_complete=complete_run)
@click.option("--by", "view", type=click.Choice(["module", "operator", "each"]),
              help="Group by module of the source model, by operator, or list each operator in order.  "
                   "[default: module; operator if modules are not known]")  # fmt: skip
@click.option("--module", default="", metavar="PATH", help="Only this module and its submodules, such as layer1.0.")
@click.option("--sort", type=click.Choice(_SORTS), default="share", show_default=True, help="Sort by this column.")
@click.option("--limit", type=Count(min=0), default=DEFAULT_LINES, show_default=True,
              help="Maximum number of lines, 0 for all.")  # fmt: skip
@click.option("--inferences", type=Count(1, 100_000), metavar="N",
              help="Number of traced inferences.  [default: half a second of them]")  # fmt: skip
@click.option("--no-eager", is_flag=True, help="Do not profile eager.")
@click.option("--again", is_flag=True, help="Profile again, even if the run has a profile.")
@click.option(
    "--timeout", type=Number(min=0.001), default=3600.0, metavar="S", show_default=True, help="Time limit in seconds."
)
@click.option("--detach", is_flag=True, help="Queue it, print the run's id and return immediately.")
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
@click.option("--csv", "csv_file", type=OUTPUT_PATH, metavar="FILE",
              help="Write all operators as CSV; - for standard output.")  # fmt: skip
@click.option("--trace", type=FILE_PATH, metavar="FILE",
              help="Profile again, and write a trace of a few inferences for Perfetto or Chrome.")  # fmt: skip
@click.option("--keep", type=FILE_PATH, metavar="DIR",
              help="Profile again, and write the ETDump, the trace and a CSV file to this folder.")  # fmt: skip
@click.option(
    "--etrecord", is_flag=True, help="With --keep: also write an ETRecord, for which the program is lowered again."
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@trust_option
@click.pass_obj
def profile(
    settings: Settings,
    run: str,
    view: str | None,
    module: str,
    sort: str,
    limit: int,
    inferences: int | None,
    no_eager: bool,
    again: bool,
    timeout: float,
    detach: bool,
    as_json: bool,
    csv_file: Path | None,
    trace: Path | None,
    keep: Path | None,
    etrecord: bool,
    force: bool,
    trusted: tuple[str, ...],
) -> int:
    """Profile the operators of RUN with ExecuTorch's event tracer, inside and outside the delegate, next to those of
    eager PyTorch, grouped by module.

    The profile is made once and stored with the run. It is cancelled if this command ends before, unless --detach is
    given.
    """
    from etui.analysis_kinds.profile import ProfileOptions
    from etui.catalog.precisions import AS_IS
    from etui.cli import profile_output as output
    from etui.cli.follow_analysis import check_detach, detached

    check_detach(detach, json=as_json, csv=csv_file, trace=trace)
    if etrecord and keep is None:
        raise UsageError("--etrecord needs --keep", "add --keep DIR")
    check_one_on_stdout(json=as_json, csv=csv_file)
    for path in (csv_file, trace):
        refuse_existing(path, force=force)
    with settings.store_with_runs() as store:
        run_id = selected_run(store, run)
        document = store.document(run_id, operators=False)
        stored = document.profile
        wanted = again or keep is not None or trace is not None or stored is None
        if stored is not None and inferences is not None and stored.program.inferences != inferences:
            wanted = True
        if stored is not None and stored.eager is None and not no_eager and document.precision != AS_IS:
            wanted = True
        if wanted:
            options = ProfileOptions(
                inferences=inferences,
                eager=not no_eager,
                timeout_s=timeout,
                keep_dir=str(keep.absolute()) if keep else None,
                etrecord=etrecord,
                force=force,
                trusted_files=trusted_files(store, [run_id], trusted),
            )
            _make(store, run_id, options, trace, detach)
        elif detach:
            detached(run_id)
        document = store.document(run_id)
    found = document.profile
    if found is None:
        raise EtuiError(f"run {run_id[:6]} has no profile", "create one with --again")
    if no_eager and found.eager is not None:
        import msgspec

        found = msgspec.structs.replace(found, eager=None)
    if view is None:
        known = any(one.origin.module or one.origin.module_type for one in found.program.operators)
        view = "module" if known or module else "operator"
    shown = output.as_json(document, found) if as_json else output.as_text(
        document, found, view=view, sort=cast("Sort", sort), limit=limit, module=module, ascii_only=ascii_only()
    )  # fmt: skip
    if csv_file is not None:
        from etui.files.atomic import write_file
        from etui.formats.csv_tables import profile_csv

        write_file(csv_file, profile_csv(found), force=force)
        if csv_file == STDOUT:
            return EXIT_DONE
        click.echo(f"wrote {csv_file}", err=True)
    click.echo(shown)
    return EXIT_DONE


def _make(store: Store, run_id: str, options: ProfileOptions, trace: Path | None, detach: bool) -> None:
    """Create the profile, with progress on stderr, and copy the trace to its place. Raises like ``make_analysis``."""
    import msgspec

    from etui.cli.follow_analysis import make_analysis
    from etui.files.atomic import write_file

    if trace is None:
        make_analysis(store, run_id, options, detach=detach)
        return
    with tempfile.TemporaryDirectory(prefix="etui-trace-") as folder:
        kept = Path(options.keep_dir or folder)
        make_analysis(store, run_id, msgspec.structs.replace(options, keep_dir=str(kept)))
        made = max(kept.glob("*.trace.json"), key=lambda path: path.stat().st_mtime_ns)
        write_file(trace, made.read_bytes(), force=options.force)
        click.echo(f"wrote {trace}", err=True)
