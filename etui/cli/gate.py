"""``etui gate``: compare the newest runs with a baseline file, for continuous integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.analysis.gate_pairs import configuration_text, has_configuration_of, is_other_shape_or_threads
from etui.cli.comparison_options import ComparisonOptions, comparison_options
from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.path_type import FILE_PATH
from etui.cli.run_selection import selected_runs
from etui.errors import EXIT_DONE, EXIT_USAGE, UsageError
from etui.results import RunDocument
from etui.text import LINE_CELLS, counted, plain, shortened

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
    modules kept in FP32, shape, threads and method), or with the given RUNs. A newest run that failed or timed out
    fails the gate. Newer runs of other threads or shapes are named. The default limit is --fail-if-slower 5.
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
    if not comparison_options.has_limit:
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


def _named_configuration(document: RunDocument) -> str:
    return shortened(configuration_text(document), LINE_CELLS)


def _newest(store: Store, kept: Sequence[RunDocument]) -> list[tuple[RunDocument, RunDocument]]:
    """Pair each run of the baseline with the newest run of its configuration that was measured or failed; report a
    baseline run without one on stderr."""
    pairs = []
    for base in kept:
        found, passed_over = _newest_of(store, base, kept)
        name = _named_configuration(base)
        if found is not None:
            pairs.append((base, found))
        else:
            click.echo(f"etui: no finished run of {name} other than the baseline", err=True)
        if passed_over:
            newest = _named_configuration(passed_over[0])
            count = counted(len(passed_over), "newer run")
            caution = f"caution: {count} of other threads or shapes not compared with {name}, the newest {newest}"
            click.echo(f"etui: {caution} (run {passed_over[0].id})", err=True)
    return pairs


def _newest_of(
    store: Store, base: RunDocument, kept: Sequence[RunDocument]
) -> tuple[RunDocument | None, list[RunDocument]]:
    """Return the newest ended run of the configuration of ``base``, and the runs of newer sessions that differ from all
    of the baseline in their threads or shape only, the newest first."""
    from etui.store.conditions import Condition

    names = {"model": base.model.name, "precision": base.precision, "delegate": base.delegate}
    where = [Condition(name, "=", value) for name, value in names.items()]
    ended = Condition("status", "in", ["done", "failed", "timed out"])
    passed_over: list[RunDocument] = []
    for summary in store.summaries([*where, ended, Condition("id", "!=", base.id)], limit=_MOST_LOOKED_AT):
        candidate = store.document(summary.id, operators=False)
        if has_configuration_of(base, candidate):
            others = [run for run in passed_over if run.session.id != candidate.session.id]
            return candidate, others
        is_known = any(has_configuration_of(each, candidate) for each in kept)
        if is_other_shape_or_threads(base, candidate) and not is_known:
            passed_over.append(candidate)
    return None, passed_over


def _named(store: Store, kept: Sequence[RunDocument], runs: Sequence[str]) -> list[tuple[RunDocument, RunDocument]]:
    """Pair each given run with the baseline run of its configuration, or with the only one.

    Raises:
        UsageError: there is no such run.
    """
    pairs = []
    for run_id in selected_runs(store, runs):
        candidate = store.document(run_id)
        base = next((each for each in reversed(kept) if has_configuration_of(each, candidate)), None)
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
