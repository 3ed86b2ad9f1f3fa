"""A list with multiple selection: as many items per line as fit, unavailable ones greyed out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from etui.actions import bindings
from etui.text import plain, shortened, width
from etui.tui.glyphs import glyphs_of

_MORE_CELLS = 4
_LEAST_DESCRIPTION = 14


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item: its name, a description, and the reason why it is unavailable (None if it is available)."""

    name: str
    about: str = ""
    reason: str | None = None


class MultiSelect(Widget, can_focus=True):
    """Items with check boxes: ``[x]`` selected, ``[ ]`` not, ``[-]`` unavailable, ``[!]`` selected but unavailable.

    At most ``rows`` lines are shown, and they scroll with the cursor. ``one_a_line`` shows one item per line, and
    ``described`` adds to each what it is, or why it is unavailable.
    """

    BINDINGS = [*bindings("picker")]

    COMPONENT_CLASSES = {"multi--chosen", "multi--impossible", "multi--cursor", "multi--more"}

    DEFAULT_CSS = """
    MultiSelect { height: auto; width: 1fr; }
    MultiSelect > .multi--chosen { text-style: bold; color: $text-accent; }
    MultiSelect > .multi--impossible { text-style: dim; }
    MultiSelect > .multi--cursor { text-style: reverse; }
    MultiSelect > .multi--more { text-style: dim; }
    """

    class Changed(Message):
        """The selection changed."""

        def __init__(self, select: MultiSelect, chosen: tuple[str, ...]) -> None:
            super().__init__()
            self.select = select
            self.chosen = chosen

        @property
        def control(self) -> MultiSelect:
            """The list."""
            return self.select

    class Pointed(Message):
        """The cursor moved to an item, or the list gained or lost the focus (then ``item`` is None)."""

        def __init__(self, select: MultiSelect, item: Item | None) -> None:
            super().__init__()
            self.select = select
            self.item = item

        @property
        def control(self) -> MultiSelect:
            """The list."""
            return self.select

    def __init__(
        self,
        items: Iterable[Item] = (),
        chosen: Iterable[str] = (),
        *,
        rows: int = 5,
        one_a_line: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._items = list(items)
        self._chosen = set(chosen)
        self._rows = rows
        self._one_a_line = one_a_line
        self._described = False
        self._cursor = 0
        self._top = 0

    # Selection

    @property
    def items(self) -> Sequence[Item]:
        """The items in their order."""
        return self._items

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the selected items, in their order."""
        return tuple(item.name for item in self._items if item.name in self._chosen)

    @property
    def pointed(self) -> Item | None:
        """The item under the cursor."""
        return self._items[self._cursor] if self._cursor < len(self._items) else None

    def set_items(self, items: Iterable[Item], chosen: Iterable[str] | None = None) -> None:
        """Replace the items; the cursor stays on its item if it is still there."""
        pointed = self.pointed
        lines = len(self._lines(self.content_size.width))
        self._items = list(items)
        if chosen is not None:
            self._chosen = set(chosen)
        names = [item.name for item in self._items]
        self._cursor = names.index(pointed.name) if pointed and pointed.name in names else 0
        self.refresh(layout=lines != len(self._lines(self.content_size.width)))
        if self.has_focus:
            self.post_message(self.Pointed(self, self.pointed))

    def lay_out(self, rows: int, *, described: bool) -> None:
        """Change the maximum number of lines, and whether each item has a line with its description."""
        if (rows, described) != (self._rows, self._described):
            self._rows, self._described, self._one_a_line = rows, described, described
            self.refresh(layout=True)

    def has_room_for_descriptions(self, cells: int) -> bool:
        """Whether a line of this number of cells has room for the beginning of a description."""
        names = max((width(f"[ ] {plain(item.name)} ") for item in self._items), default=0)
        return cells - names >= _LEAST_DESCRIPTION

    def lines_needed(self, cells: int) -> int:
        """Return the number of lines for all items without descriptions in this number of cells."""
        before, self._one_a_line = self._one_a_line, False
        needed = len(self._flowed(cells))
        self._one_a_line = before
        return needed

    def toggle(self, index: int) -> None:
        """Select or deselect an item; an unavailable one can only be deselected."""
        item = self._items[index]
        if item.name in self._chosen:
            self._chosen.discard(item.name)
        elif item.reason is None:
            self._chosen.add(item.name)
        else:
            self.app.bell()
            return
        self.refresh()
        self.post_message(self.Changed(self, self.chosen))

    # Keys and mouse

    def action_choose(self) -> None:
        """Select or deselect the item under the cursor."""
        if self._items:
            self.toggle(self._cursor)

    def action_down(self) -> None:
        """Move to the next line."""
        self._move_line(1)

    def action_up(self) -> None:
        """Move to the previous line."""
        self._move_line(-1)

    def action_right(self) -> None:
        """Move to the next item."""
        self._point(self._cursor + 1)

    def action_left(self) -> None:
        """Move to the previous item."""
        self._point(self._cursor - 1)

    def on_focus(self) -> None:
        """Report the item under the cursor."""
        self.post_message(self.Pointed(self, self.pointed))

    def on_blur(self) -> None:
        """Report that no item is under the cursor."""
        self.post_message(self.Pointed(self, None))

    def on_click(self, event: events.Click) -> None:
        """Toggle the clicked item."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        lines = self._lines(self.content_size.width)
        line = self._top + offset.y
        if line >= len(lines):
            return
        start = 0
        for index in lines[line]:
            end = start + self._cell_width(self._items[index], self.content_size.width)
            if start <= offset.x < end:
                self._point(index)
                self.toggle(index)
                return
            start = end + 1

    def _move_line(self, step: int) -> None:
        lines = self._lines(self.content_size.width)
        for number, line in enumerate(lines):
            if self._cursor in line and 0 <= number + step < len(lines):
                target = lines[number + step]
                self._point(target[min(line.index(self._cursor), len(target) - 1)])
                return

    def _point(self, index: int) -> None:
        if 0 <= index < len(self._items) and index != self._cursor:
            self._cursor = index
            self.refresh()
            self.post_message(self.Pointed(self, self.pointed))

    # Drawing

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of lines for the items, at most ``rows``."""
        return max(1, min(self._rows, len(self._lines(width))))

    def render(self) -> Text:
        """Return the lines around the cursor."""
        cells = self.content_size.width
        lines = self._lines(cells)
        height = max(1, self.content_size.height)
        at = next((number for number, line in enumerate(lines) if self._cursor in line), 0)
        self._top = max(0, min(self._top, len(lines) - height))
        if self.has_focus:
            self._top = min(max(self._top, at - height + 1), at)
        else:
            self._top = 0
        shown = lines[self._top : self._top + height]
        text = Text(no_wrap=True, end="")
        for number, line in enumerate(shown):
            if number:
                text.append("\n")
            drawn = Text(" ").join(self._cell(index, cells) for index in line)
            beyond = len(self._items) - 1 - lines[self._top + height - 1][-1] if number == height - 1 else 0
            if beyond > 0:
                mark = f"+{beyond}"
                drawn.truncate(cells - len(mark), pad=True)
                drawn.append(mark, self.get_component_rich_style("multi--more", partial=True))
            text.append_text(drawn)
        return text

    def _cell(self, index: int, cells: int) -> Text:
        item = self._items[index]
        is_chosen = item.name in self._chosen
        box = ("[!]" if is_chosen else "[-]") if item.reason else ("[x]" if is_chosen else "[ ]")
        style = Style()
        if item.reason is not None:
            style += self.get_component_rich_style("multi--impossible", partial=True)
        elif is_chosen:
            style += self.get_component_rich_style("multi--chosen", partial=True)
        if index == self._cursor and self.has_focus:
            style += self.get_component_rich_style("multi--cursor", partial=True)
        label = self._label(box, item, cells)
        if not self._described:
            return Text(label, style)
        names = max(width(self._label(box, each, cells)) for each in self._items)
        text = Text(f"{label}{' ' * (names - width(label))}", style)
        text.append(f" {plain(item.reason or item.about)}", self.get_component_rich_style("multi--more", partial=True))
        text.truncate(cells, overflow="ellipsis")
        return text

    def _lines(self, cells: int) -> list[list[int]]:
        """Return the indices of the items per line, with room for the number of hidden items if not all lines fit."""
        lines = self._flowed(cells)
        return lines if len(lines) <= self._rows else self._flowed(cells - _MORE_CELLS)

    def _flowed(self, cells: int) -> list[list[int]]:
        lines: list[list[int]] = []
        used = 0
        for index, item in enumerate(self._items):
            wide = self._cell_width(item, cells)
            if lines and not self._one_a_line and used + 1 + wide <= cells:
                lines[-1].append(index)
                used += 1 + wide
            else:
                lines.append([index])
                used = wide
        return lines

    def _cell_width(self, item: Item, cells: int) -> int:
        return width(self._label("[ ]", item, cells))

    def _label(self, box: str, item: Item, cells: int) -> str:
        gap = " " if self._one_a_line else ""
        return box + gap + _short(item.name, cells - len(box + gap), glyphs_of(self).cut)


def _short(name: str, cells: int, cut: str) -> str:
    """Return a name, if too long cut at the start (at a hyphen), since names of one family differ at the end; a name
    with its description is cut at the end."""
    name = plain(name)
    if cells <= 1 or width(name) <= cells:
        return name
    if " " in name:
        return shortened(name, cells, cut)
    end = name[-(cells - 1) :]
    return cut + (end.partition("-")[2] or end)
