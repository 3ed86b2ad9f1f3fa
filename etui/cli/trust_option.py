"""The files that imported runs name: which of them the user allows to be used, by an option or when asked."""

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
    help="Allow this model or weights file, which an imported run names, to be used: a model's code is executed.",
)


def trusted_files(store: Store, run_ids: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """The absolute paths that may be used for work on these runs: those ``given``, and what the user allows when asked,
    which is done on a terminal only.

    Raises UsageError if a program cannot be had: Untrusted if a run was imported and names a file that is not allowed.
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
