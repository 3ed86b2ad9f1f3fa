"""The question whether a file that an imported run names may be used: no is the answer that stands ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from etui.runner.rebuild_program import Untrusted


def ask_trust(app: App[object], refused: Untrusted, use: Callable[[], object]) -> None:
    """Ask whether to use the files; ``use`` is called where the answer is yes."""
    from etui.tui.screens.confirm import ConfirmDialog

    def answered(yes: bool | None) -> None:
        if yes:
            use()

    app.push_screen(ConfirmDialog("A file that was not chosen here", refused.question, "Use it"), answered)
