"""``etui gate``: compare the newest runs with a baseline file, for continuous integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.analysis.keep_fp32 import kept_fp32
from etui.analysis.shape_range import shape_range
from etui.cli.comparison_options import ComparisonOptions, comparison_options
from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.path_type import FILE_PATH
from etui.cli.run_selection import selected_runs
from etui.errors import EXIT_DONE, EXIT_USAGE, UsageError
from etui.results import RunDocument
from etui.text import LINE_CELLS, plain, shortened

if TYPE_CHECKING:
    from etui.store import Store

DEFAULT_SLOWER = 5.0
_MOST_LOOKED_AT = 100


@click.command(
    epilog=examples(
        "etui export 3f2a 91bc -o baseline.json",
        "etui gate --baseline baseline.json --fail-if-slower 5",
        "etui gate --baseline baseline.json 07de --fail-if-inconclusive --junit gate.xml",
    )
    + "\n\nExit status: 0 no limit crossed; 1 a --fail-if limit is crossed; 2 a limit could not be checked."
)
@click.argument("runs", nargs=-1, metavar="[RUN..]", shell_complete=complete_run)
@click.option(
    "--baseline",
    required=True,
    type=FILE_PATH,
    metavar="FILE",
    help="A file with runs, written by etui export.",
)
@click.option(
    "--allow-no-baseline",
    is_flag=True,
    help="End with status 0 if FILE does not exist yet, as in the first run of a CI job.",
)
@comparison_options
@click.pass_obj
def gate(
    settings: Settings,
    runs: tuple[str, ...],
    baseline: Path,
    allow_no_baseline: bool,
    comparison_options: ComparisonOptions,
) -> int:
    """Fail if runs are worse than a baseline.

    Each run of the baseline is compared with the newest run of the same configuration (model, precision, delegate,
    modules kept in FP32, requested shape, threads and method), or with the given RUNs. A newest run that failed or timed out fails the gate. The default
    limit is --fail-if-slower 5.
    """
    from etui.store.transfer import read_documents

    if not baseline.exists():
        make = "etui export RUN.. -o FILE writes it"
        if not allow_no_baseline:
            raise UsageError(f"the baseline {plain(str(baseline))} does not exist", f"{make}; see --allow-no-baseline")
        click.echo(f"etui: nothing to compare: {plain(str(baseline))} does not exist yet; {make}", err=True)
        return EXIT_DONE
    kept = read_documents(baseline)
    with settings.store_with_runs() as store:
        pairs = _named(store, kept, runs) if runs else _newest(store, kept)
        levels = [store.session_levels(base.environment) for base, _ in pairs]
    if comparison_options.fail_if_slower is None and comparison_options.fail_if_mae_above is None:
        comparison_options = replace(comparison_options, fail_if_slower=DEFAULT_SLOWER)
    compared = [
        comparison_options.compared(base, [candidate], known)
        for (base, candidate), known in zip(pairs, levels, strict=True)
    ]
    status = comparison_options.put_out(compared, many=True)
    if not compared:
        click.echo(
            "etui: nothing to compare: only the baseline has its configurations; measure them again with etui run",
            err=True,
        )
        return EXIT_USAGE
    return status


def _configuration(document: RunDocument) -> tuple[str, ...]:
    """Return what a run and its baseline have in common: model, precision and delegate first, then the modules kept in
    FP32, and the shape, threads and method if these were requested."""
    kept = ",".join(kept_fp32(document))
    own = f"{document.precision}/{document.delegate}"
    varied = document.configuration.removeprefix(own).strip()
    return (
        document.model.name,
        document.precision,
        document.delegate,
        f"without {kept}" if kept else "",
        varied,
        shape_range(document.session.spec, is_dynamic=document.dynamic),
    )


def _named_configuration(document: RunDocument) -> str:
    return shortened(" ".join(filter(None, _configuration(document))), LINE_CELLS)


def _newest(store: Store, kept: Sequence[RunDocument]) -> list[tuple[RunDocument, RunDocument]]:
    """Pair each run of the baseline with the newest run of its configuration that was measured or failed; report a
    baseline run without one on stderr."""
    from etui.store.conditions import Condition

    pairs = []
    for base in kept:
        names = ("model", "precision", "delegate")
        where = [Condition(name, "=", value) for name, value in zip(names, _configuration(base), strict=False)]
        ended = Condition("status", "in", ["done", "failed", "timed out"])
        for summary in store.summaries([*where, ended, Condition("id", "!=", base.id)], limit=_MOST_LOOKED_AT):
            candidate = store.document(summary.id, operators=False)
            if _configuration(candidate) == _configuration(base):
                pairs.append((base, candidate))
                break
        else:
            name = _named_configuration(base)
            click.echo(f"etui: no finished run of {name} other than the baseline", err=True)
    return pairs


def _named(store: Store, kept: Sequence[RunDocument], runs: Sequence[str]) -> list[tuple[RunDocument, RunDocument]]:
    """Pair each given run with the baseline run of its configuration, or with the only one.

    Raises:
        UsageError: there is no such run.
    """
    by_configuration = {_configuration(base): base for base in kept}
    pairs = []
    for run_id in selected_runs(store, runs):
        candidate = store.document(run_id)
        base = by_configuration.get(_configuration(candidate))
        name = _named_configuration(candidate)
        if base is None and len(kept) == 1:
            base = kept[0]
            caution = f"caution: {name} is compared with another configuration, the only one of the baseline"
            click.echo(f"etui: {caution}: {_named_configuration(base)}", err=True)
        if base is None:
            raise UsageError(
                f"the baseline has no run of {name}",
                "name runs of its configurations, or none",
            )
        pairs.append((base, candidate))
    return pairs
