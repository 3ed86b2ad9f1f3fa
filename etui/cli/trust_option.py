"""Permission to use the model and weights files that imported runs name: the option and the question."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from etui.store import Store

trust_option: Callable[[Any], Any] = click.option(
    "--trust-file",
    "trusted",
    multiple=True,
    metavar="FILE",
    help="Allow the use of this file named by an imported run. The code of a model file is executed.",
)


def trusted_files(store: Store, run_ids: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Return the absolute paths that may be used for these runs: those ``given``, and those the user allows when asked
    on a terminal.

    Raises:
        UsageError: a program is not available; Untrusted if an imported run names a file that is not allowed.
    """
    from etui.catalog.find import model_file
    from etui.paths import absolute
    from etui.runner.rebuild_program import Trust, Untrusted, check_rebuildable

    allowed = tuple(model_file(text) or str(absolute(text, "--trust-file")) for text in given)
    for run_id in filter(store.is_imported, run_ids):
        document = store.document(run_id, operators=False)
        try:
            check_rebuildable(document, Trust(imported=True, files=allowed))
        except Untrusted as refused:
            on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
            if not on_terminal or not click.confirm(refused.question, default=False, err=True):
                raise
            allowed += refused.files
    return allowed
