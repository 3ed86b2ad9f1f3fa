"""``etui gate``: the newest runs against a baseline in a file, for continuous integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.context import Settings
from etui.cli.judging import Judging, judging
from etui.cli.lazy import examples
from etui.errors import EXIT_USAGE, UsageError
from etui.results import RunDocument
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Store

DEFAULT_SLOWER = 5.0


@click.command(
    epilog=examples(
        "etui export 3f2a 91bc -o baseline.json",
        "etui gate --baseline baseline.json --fail-if-slower 5",
        "etui gate --baseline baseline.json 07de --fail-if-inconclusive --junit gate.xml",
    )
    + "\n\nExit status: 0 nothing crossed; 1 a --fail-if is crossed; 2 a limit could not be judged."
)
@click.argument("runs", nargs=-1, metavar="[RUN..]")
@click.option(
    "--baseline",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Runs that etui export wrote.",
)
@judging
@click.pass_obj
def gate(settings: Settings, runs: tuple[str, ...], baseline: Path, judging: Judging) -> int:
    """Fail where runs are worse than a baseline.

    Each run of the baseline meets the newest finished run of the same model, precision and delegate, or the RUNs that
    are named. Without any --fail-if it is --fail-if-slower 5.
    """
    from etui.store.transfer import read_documents

    kept = read_documents(baseline)
    with settings.store_with_runs() as store:
        pairs = _named(store, kept, runs) if runs else _newest(store, kept)
    if judging.fail_if_slower is None and judging.fail_if_mae_above is None:
        judging = replace(judging, fail_if_slower=DEFAULT_SLOWER)
    compared = [judging.compared(base, [candidate]) for base, candidate in pairs]
    status = judging.put_out(compared, many=True)
    if not compared:
        click.echo("etui: nothing can be compared: no run is of the baseline's choices; see etui runs", err=True)
        return EXIT_USAGE
    return status


def _choice(document: RunDocument) -> tuple[str, str, str]:
    return document.model.name, document.precision, document.delegate


def _newest(store: Store, kept: Sequence[RunDocument]) -> list[tuple[RunDocument, RunDocument]]:
    """Each run of the baseline with its candidate; one without any is said on stderr."""
    from etui.store.conditions import Condition

    pairs = []
    for base in kept:
        names = ("model", "precision", "delegate")
        where = [Condition(name, "=", value) for name, value in zip(names, _choice(base), strict=True)]
        found = store.summaries([*where, Condition("status", "=", "done"), Condition("id", "!=", base.id)], limit=1)
        if found:
            pairs.append((base, store.document(found[0].id)))
        else:
            click.echo(f"etui: no finished run of {plain(' '.join(_choice(base)))} besides the baseline", err=True)
    return pairs


def _named(store: Store, kept: Sequence[RunDocument], runs: Sequence[str]) -> list[tuple[RunDocument, RunDocument]]:
    """Each named run with the baseline of its choice, or with the only one. Raises UsageError where there is none."""
    by_choice = {_choice(base): base for base in kept}
    pairs = []
    for run_id in dict.fromkeys(map(store.resolve, runs)):
        candidate = store.document(run_id)
        base = by_choice.get(_choice(candidate)) or (kept[0] if len(kept) == 1 else None)
        if base is None:
            raise UsageError(
                f"the baseline holds no run of {' '.join(_choice(candidate))}", "name runs of its choices, or none"
            )
        pairs.append((base, candidate))
    return pairs
