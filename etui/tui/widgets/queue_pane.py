"""The pane with the queue: the running session and those that wait."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from etui.store import QueuedSession
from etui.text import plain, width
from etui.tui.glyphs import glyphs_of
from etui.tui.widgets.progress_line import percent


class QueuePane(Widget):
    """One line per session: ``●`` is running, ``·`` waits."""

    COMPONENT_CLASSES = {"queue--live", "queue--waiting", "queue--empty"}

    DEFAULT_CSS = """
    QueuePane { height: auto; max-height: 6; border: round $border-blurred; border-title-color: $text-muted; }
    QueuePane > .queue--live { text-style: bold; color: $text-success; }
    QueuePane > .queue--waiting, QueuePane > .queue--empty { text-style: dim; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "Queue"
        self._sessions: tuple[QueuedSession, ...] = ()
        self._current: str | None = None
        self._done = ""

    def show(self, sessions: Sequence[QueuedSession], current: str | None, share: float | None = None) -> None:
        """Show the unfinished sessions, oldest first; ``current`` is the id of the running one, ``share`` its
        progress."""
        done = "" if share is None else f" {percent(share)}"
        if (tuple(sessions), current, done) == (self._sessions, self._current, self._done):
            return
        grew = len(sessions) != len(self._sessions)
        self._sessions, self._current, self._done = tuple(sessions), current, done
        waiting = sum(session.id != current for session in sessions)
        self.border_title = f"Queue: {waiting} waiting" if waiting else "Queue"
        self.refresh(layout=grew)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return one line per session."""
        return max(1, len(self._sessions))

    def render(self) -> Text:
        """Return the sessions that fit, and the number of others."""
        cells, height = self.content_size.width, max(1, self.content_size.height)
        if not self._sessions:
            return Text(" empty", self.get_component_rich_style("queue--empty", partial=True), no_wrap=True)
        fits = len(self._sessions) <= height
        shown = self._sessions if fits else self._sessions[: height - 1]
        lines = [self._line(session, cells) for session in shown]
        if not fits:
            more = f"  and {len(self._sessions) - len(shown)} more"
            lines.append(Text(more, self.get_component_rich_style("queue--waiting", partial=True)))
        return Text("\n").join(lines)

    def _line(self, session: QueuedSession, cells: int) -> Text:
        live = session.id == self._current
        style = self.get_component_rich_style("queue--live" if live else "queue--waiting", partial=True)
        signs = glyphs_of(self)
        done = self._done if live else ""
        return Text(
            f"{signs.live if live else signs.waiting} {_description(session, cells - 2 - len(done))}{done}",
            style,
            no_wrap=True,
            overflow="ellipsis",
        )


def _description(session: QueuedSession, cells: int) -> str:
    """Return a session's model, precisions and, if they fit, delegates."""
    variants = [variant for _, variant in session.runs] or list(session.spec.variants)
    precisions = "+".join(dict.fromkeys(variant.precision for variant in variants))
    delegates = "+".join(dict.fromkeys(variant.delegate for variant in variants))
    model = plain(session.spec.model)
    if "/" in model:
        model = model.rpartition("/")[2]
    short = f"{model} {plain(precisions)}"
    full = f"{short} {plain(delegates)}"
    return full if width(full) <= cells else short
