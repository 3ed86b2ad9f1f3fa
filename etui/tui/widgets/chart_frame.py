"""What every pane with charts shares: a frame that names its views, and a chart drawn once for the size there is."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from etui.charts import Canvas
from etui.tui.defect_guard import Guarded
from etui.tui.terminal import chart_palette

_KEPT = 20


class ChartFrame(Guarded, Widget):
    """Views of one thing. The upper line names them, the one shown in reverse, the others to be clicked.

    A subclass names its ``views`` and gives ``draw``; what decides the picture besides the size belongs into ``state``,
    and whatever else changes ends with ``redraw``.
    """

    DEFAULT_CSS = """
    ChartFrame {
        border: round $border-blurred; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        border-subtitle-align: right; link-style: none; link-color: $text-muted; link-background: transparent;
        height: 1fr; padding: 0 1;
    }
    """

    views: ClassVar[tuple[str, ...]]
    narrow_below: ClassVar[int] = 0
    """In fewer columns the other views are numbers without names."""
    click_action: ClassVar[str] = "screen.view_"
    """The action, less its number, that shows a view."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._drawn: dict[tuple[object, ...], Text] = {}

    @property
    def place(self) -> int:
        """The place of the view that is shown."""
        raise NotImplementedError

    @property
    def view(self) -> str:
        """The name of the view that is shown."""
        return self.views[self.place]

    def draw(self, canvas: Canvas) -> Text:
        """The picture of the view that is shown."""
        raise NotImplementedError

    def state(self) -> tuple[object, ...]:
        """What the picture depends on besides its size and what was shown last."""
        return (self.place,)

    def label(self, place: int) -> str:
        """A view's name on the upper line."""
        return self.views[place]

    def subject(self) -> str:
        """What stands on the lower line."""
        return ""

    def redraw(self, *, anew: bool = False) -> None:
        """Show what the state is now; ``anew`` where other things are shown."""
        if anew:
            self._drawn.clear()
        self._write_titles()
        self.refresh()

    def on_mount(self) -> None:
        """Write the titles, and follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self._write_titles()

    def on_resize(self) -> None:
        """Shorten or lengthen the titles; another height may show another view."""
        self._write_titles()

    def render(self) -> RenderResult:
        """The view for the size there is, drawn once."""
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
        for place in range(len(self.views)):
            words = f"{place + 1} {self.label(place)}"
            if place == self.place:
                parts.append(f"[bold reverse] {words} [/]")
            else:
                parts.append(f"[@click={self.click_action}{place + 1}]{place + 1 if is_narrow else words}[/]")
        self.border_title = " ".join(parts) if is_narrow else "  ".join(parts)
        self.border_subtitle = Content(self.subject())
