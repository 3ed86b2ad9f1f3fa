"""The base class of dialogs: a frame over the dimmed screen, a status line, and a row of buttons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Static

from etui.actions import bindings
from etui.text import plain
from etui.tui.defect_guard import Guarded

Result = TypeVar("Result")

_FRAME_LINES = 4
"""Lines of the border, the row of buttons and the gap above it."""

CLOSE = "close"
OTHER = "other"
CONFIRM = "confirm"


class Dialog(Guarded, ModalScreen[Result | None], Generic[Result]):
    """A dialog that returns a result, or None if it is closed.

    Subclasses implement ``body`` and ``confirm``. Escape and the first button close the dialog; left and right move
    between the buttons. ``careful``, for destructive actions, focuses the button that closes it. With an
    ``other_label`` there is a button between the two, which calls ``other``.
    """

    BINDINGS = [*bindings("dialog")]

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > .dialog--frame {
        width: 76; max-width: 100%; height: auto; max-height: 100%; border: round $border; padding: 0 1;
        background: $surface; border-title-color: $text-accent; border-title-style: bold;
    }
    Dialog .dialog--body { height: auto; scrollbar-size-vertical: 1; }
    Dialog .dialog--status { height: auto; margin-top: 1; display: none; overflow-y: auto; scrollbar-size-vertical: 1; }
    Dialog .dialog--status.-shown { display: block; }
    Dialog .dialog--status.-problem { color: $text-error; }
    Dialog .dialog--buttons { height: 1; align-horizontal: right; margin-top: 1; }
    Dialog .dialog--buttons Button { margin-left: 2; min-width: 12; }
    Dialog .dialog--buttons Button:focus { text-style: bold reverse; }
    Dialog Input.-textual-compact { background: $panel; }
    Dialog .dialog--choices {
        height: auto; max-height: 14; border: none; padding: 0; background: $surface;
        scrollbar-size-vertical: 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Dialog .dialog--note { color: $text-muted; height: auto; }
    """

    title_text = ""
    confirm_label = "OK"
    close_label = "Cancel"
    other_label = ""
    careful = False

    def __init__(self) -> None:
        super().__init__()
        self._status = Static(classes="dialog--status", markup=False)

    def compose(self) -> ComposeResult:
        """The frame with the body, the status and the buttons."""
        frame = Vertical(classes="dialog--frame")
        frame.border_title = Content(self.title_text)
        with frame:
            with VerticalScroll(classes="dialog--body", can_focus=False):
                yield from self.body()
            yield self._status
            with Horizontal(classes="dialog--buttons"):
                yield Button(self.close_label, compact=True, id=CLOSE)
                if self.other_label:
                    yield Button(self.other_label, compact=True, id=OTHER)
                yield Button(
                    self.confirm_label, compact=True, id=CONFIRM, variant="error" if self.careful else "primary"
                )

    def on_resize(self, event: events.Resize) -> None:
        """Keep the buttons visible in a low terminal; the body scrolls."""
        self._fit(event.size.height)

    def _fit(self, height: int) -> None:
        room = height - _FRAME_LINES
        status = max(1, room // 2) if self._status.has_class("-shown") else 0
        self._status.styles.max_height = max(1, status)
        self.query_one(".dialog--body").styles.max_height = max(1, room - (status + 1 if status else 0))

    def body(self) -> Iterable[Widget]:
        """Return the widgets of the body."""
        raise NotImplementedError

    def confirm(self) -> None:
        """Handle the second button, or Enter in a field."""
        raise NotImplementedError

    def other(self) -> None:
        """Handle the button between the two, if there is one."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Focus the button that closes, if the dialog is ``careful``."""
        if self.careful:
            self.query_one(f"#{CLOSE}", Button).focus()

    def action_close(self) -> None:
        """Close without a result."""
        self.dismiss(None)

    def say(self, message: str, *, problem: bool = False) -> None:
        """Show a message above the buttons; an empty one hides it."""
        self._status.update(Text(("! " if problem else "") + plain(message, keep_lines=True)))
        self._status.set_class(bool(message), "-shown")
        self._status.set_class(problem, "-problem")
        self._fit(self.size.height)

    @property
    def status(self) -> str:
        """The message above the buttons."""
        return str(self._status.content) if self._status.has_class("-shown") else ""

    def relabel(self, button: str, label: str) -> None:
        """Change the label of a button."""
        self.query_one(f"#{button}", Button).label = label

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == CLOSE:
            self.action_close()
        elif event.button.id == OTHER:
            self.other()
        else:
            self.confirm()

    def on_key(self, event: events.Key) -> None:
        """Move between the buttons with left and right."""
        if event.key in ("left", "right") and isinstance(self.focused, Button):
            event.stop()
            buttons = list(self.query(Button))
            step = 1 if event.key == "right" else -1
            buttons[(buttons.index(self.focused) + step) % len(buttons)].focus()
