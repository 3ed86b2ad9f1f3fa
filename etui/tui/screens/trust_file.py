"""The confirmation before a file named by an imported run is used; the default answer is no."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from etui.runner.rebuild_program import Untrusted


def ask_trust(app: App[object], error: Untrusted, use: Callable[[], object]) -> None:
    """Ask whether to use the files; call ``use`` if the answer is yes."""
    from etui.tui.screens.confirm import ConfirmDialog

    def answered(yes: bool | None) -> None:
        if yes:
            use()

    app.push_screen(ConfirmDialog("File named by an imported run", error.question, "Use it"), answered)
