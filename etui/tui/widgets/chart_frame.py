"""The base of panes with charts: a frame that names its views, and a chart drawn once per size."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from etui.charts.grid import Canvas
from etui.tui.defect_guard import Guarded
from etui.tui.terminal import chart_palette

_KEPT = 20


class ChartFrame(Guarded, Widget):
    """Several views, named on the upper border: the current one in reverse, the others clickable.

    A subclass defines ``views`` and ``draw``, includes in ``state`` what the drawing depends on, and calls ``redraw``
    after other changes.
    """

    DEFAULT_CSS = """
    ChartFrame {
        border: round $border-blurred; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        border-subtitle-align: right; link-style: none; link-color: $text-muted; link-background: transparent;
        height: 1fr; padding: 0 1;
    }
    ChartFrame:focus { border: round $border; border-title-color: $text; }
    """

    views: ClassVar[tuple[str, ...]]
    narrow_below: ClassVar[int] = 0
    """Below this width the names of the other views are omitted, only their numbers are shown."""
    click_action: ClassVar[str] = "screen.view_"
    """The name, without the number, of the action that shows a view."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._drawn: dict[tuple[object, ...], Text] = {}

    @property
    def place(self) -> int:
        """The index of the current view."""
        raise NotImplementedError

    @property
    def view(self) -> str:
        """The name of the current view."""
        return self.views[self.place]

    def draw(self, canvas: Canvas) -> Text:
        """Draw the current view."""
        raise NotImplementedError

    def state(self) -> tuple[object, ...]:
        """Return what the drawing depends on besides its size and data."""
        return (self.place,)

    def label(self, place: int) -> str:
        """Return a view's name on the upper border."""
        return self.views[place]

    def number(self, place: int) -> int:
        """Return the digit that shows a view."""
        return place + 1

    def subject(self) -> str:
        """Return the text of the lower border."""
        return ""

    def redraw(self, *, reset: bool = False) -> None:
        """Draw the current state; ``reset`` drops the cached drawings because the data changed."""
        if reset:
            self._drawn.clear()
        self._write_titles()
        self.refresh()

    def on_mount(self) -> None:
        """Write the titles, and redraw when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self._write_titles()

    def on_resize(self) -> None:
        """Fit the titles to the width; the view may depend on the height."""
        self._write_titles()

    def render(self) -> RenderResult:
        """Return the current view for this size, drawn once."""
        palette = chart_palette(self.app)
        canvas = Canvas(width=self.content_size.width, height=self.content_size.height, palette=palette)
        key = (self.state(), canvas)
        if key not in self._drawn:
            if len(self._drawn) > _KEPT:
                self._drawn.clear()
            self._drawn[key] = self.draw(canvas)
        return self._drawn[key]

    def _write_titles(self) -> None:
        is_narrow = self.size.width < self.narrow_below
        parts: list[str] = []
        cells = 0
        for place in range(len(self.views)):
            number = self.number(place)
            title = f"{number} {self.label(place)}"
            cells += len(title) + 2
            if place == self.place:
                parts.append(f"[bold reverse] {title} [/]")
            else:
                parts.append(f"[@click={self.click_action}{number}]{number if is_narrow else title}[/]")
        # The corners, their blanks and those around the current view are 6 cells.
        is_long = is_narrow or cells - 2 + 6 > self.size.width
        self.border_title = (" " if is_long else "  ").join(parts)
        self.border_subtitle = Content(self.subject())
