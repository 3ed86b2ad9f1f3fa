"""The line at the bottom: the active keys, as many as fit, and always those for help and quit."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget

_ALWAYS = ("help", "quit")


class KeyBar(Widget):
    """Shows the bindings that are active for the focused widget."""

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
        shown = self._shown()
        last = [binding for binding in shown if binding.description in _ALWAYS]
        first = [binding for binding in shown if binding.description not in _ALWAYS]
        room = self.size.width - 1 - sum(self._cells(binding) for binding in last)
        line, places = Text(" ", no_wrap=True, overflow="crop"), []
        for binding in first:
            room -= self._cells(binding)
            if room < 0:
                break
            places.append(self._append(line, binding, key_style, word_style))
        for binding in last:
            places.append(self._append(line, binding, key_style, word_style))
        return line, places

    def _append(self, line: Text, binding: Binding, key_style: Style, word_style: Style) -> tuple[int, int, str]:
        start = line.cell_len
        line.append(self.app.get_key_display(binding), key_style)
        line.append(f" {binding.description}", word_style)
        end = line.cell_len
        line.append("   ")
        return start, end, binding.key

    def _shown(self) -> list[Binding]:
        """Return one binding per action, the first of its keys."""
        by_action: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                by_action.setdefault(active.binding.action, active.binding)
        return list(by_action.values())

    def _cells(self, binding: Binding) -> int:
        return len(self.app.get_key_display(binding)) + len(binding.description) + 4

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"key-bar--{name}", partial=True)
