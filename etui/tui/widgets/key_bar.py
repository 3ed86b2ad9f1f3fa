"""The line at the bottom: the keys that matter where the focus is, as many as fit, and always those for help and quit.

A widget or a screen that has a method ``footer`` says which keys those are; the innermost around the focus decides.
Without one the bindings of the focused widget come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from etui.actions import BY_ID
from etui.text import plain, width

_ALWAYS = ("app.help", "app.quit")
_GAP = 2
_SIGNS = ("slash", "question_mark", "asterisk", "minus", "colon")
"""Keys whose character Textual does not know, so that it lists them in a text field, which takes them as text."""


class Hint(NamedTuple):
    """A key that has no action in the registry, and what it does."""

    key: str
    label: str


class Footer(NamedTuple):
    """The keys to show first: ids of actions, of which those that are active are shown, and hints. ``lead`` is a text
    before them, such as ``2 marked:``."""

    first: Sequence[str | Hint]
    lead: str = ""


@runtime_checkable
class HasFooter(Protocol):
    """A widget or a screen that says which keys matter."""

    def footer(self) -> Footer | None:
        """Return the keys to show; None leaves it to what is around the widget."""


class KeyBar(Widget):
    """Shows the keys that are active for the focused widget."""

    COMPONENT_CLASSES = {"key-bar--key", "key-bar--word"}

    def on_mount(self) -> None:
        """Follow the keys of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> Text:
        """Return keys with their labels; the help lists those that do not fit."""
        return self._line()[0]

    def on_click(self, event: events.Click) -> None:
        """Simulate the key whose label was clicked."""
        for start, end, key in self._line()[1]:
            if start <= event.x < end:
                self.app.simulate_key(key)

    def _line(self) -> tuple[Text, list[tuple[int, int, str]]]:
        key_style, word_style = self._style("key"), self._style("word")
        footer = self._footer()
        active = self._active()
        last = [Hint(active[name].key, BY_ID[name].label) for name in _ALWAYS if name in active]
        line, places = Text(" ", no_wrap=True, overflow="crop"), []
        if footer.lead:
            line.append(f"{plain(footer.lead)} ", word_style)
        room = self.size.width - line.cell_len - sum(self._cells(hint) for hint in last)
        for hint in self._in_order(footer, active):
            room -= self._cells(hint)
            if room < 0:
                break
            places.append(self._append(line, hint, key_style, word_style))
        for hint in last:
            places.append(self._append(line, hint, key_style, word_style))
        return line, places

    def _in_order(self, footer: Footer, active: dict[str, Binding]) -> list[Hint]:
        """Return the footer's keys, then the other labelled actions.

        The keys of a log work without its focus, but are named only there.
        """
        hints = [
            hint if isinstance(hint, Hint) else Hint(active[hint].key, BY_ID[hint].label or BY_ID[hint].title.lower())
            for hint in footer.first
            if isinstance(hint, Hint) or hint in active
        ]
        named = {*footer.first, *_ALWAYS}
        others = [
            Hint(binding.key, binding.description)
            for name, binding in active.items()
            if binding.show and name not in named and BY_ID[name].scope != "log"
        ]
        return hints + others

    def _append(self, line: Text, hint: Hint, key_style: Style, word_style: Style) -> tuple[int, int, str]:
        start = line.cell_len
        line.append(self._display(hint.key), key_style)
        line.append(f" {hint.label}", word_style)
        end = line.cell_len
        line.append(" " * _GAP)
        return start, end, hint.key

    def _footer(self) -> Footer:
        node = self.screen.focused or self.screen
        for one in node.ancestors_with_self:
            if isinstance(one, HasFooter) and (footer := one.footer()) is not None:
                return footer
        return Footer(())

    def _active(self) -> dict[str, Binding]:
        """Return the first key of each active action by its id; of a text field those that it does not take as text."""
        # A text area is known by its name: importing it takes longer than drawing the first screen.
        focused = self.screen.focused
        types = isinstance(focused, Input) or any(each.__name__ == "TextArea" for each in type(focused).__mro__)
        by_id: dict[str, Binding] = {}
        for key, active in self.screen.active_bindings.items():
            if active.enabled and active.binding.id in BY_ID and not (types and key in _SIGNS):
                by_id.setdefault(active.binding.id, active.binding)
        return by_id

    def _display(self, key: str) -> str:
        return self.app.get_key_display(Binding(key, "", ""))

    def _cells(self, hint: Hint) -> int:
        return width(self._display(hint.key)) + 1 + width(hint.label) + _GAP

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"key-bar--{name}", partial=True)
