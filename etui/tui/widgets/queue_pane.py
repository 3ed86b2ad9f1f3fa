"""The pane with the queue: the running session or training, and those that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from etui.actions import bindings
from etui.services.progress_state import share_text
from etui.store import QueuedSession
from etui.task_training import QueuedTraining
from etui.text import about_seconds, plain, width
from etui.tui.glyphs import glyphs_of
from etui.tui.widgets.key_bar import Footer
from etui.wording.trainings import model_name


class QueuePane(Widget, can_focus=True):
    """One line per session: ``●`` is running, ``·`` waits. With the focus it has a cursor. Trainings are below the
    sessions, without a cursor: they have a screen of their own."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("queue")]
    COMPONENT_CLASSES = {"queue--live", "queue--waiting", "queue--empty"}

    class Cancelled(Message):
        """The user requested the cancellation of a session, of which ``run_ids`` are the runs."""

        def __init__(self, run_ids: list[str]) -> None:
            super().__init__()
            self.run_ids = run_ids

    class Moved(Message):
        """The user requested to move a session by one place."""

        def __init__(self, session_id: str, *, earlier: bool) -> None:
            super().__init__()
            self.session_id = session_id
            self.earlier = earlier

    DEFAULT_CSS = """
    QueuePane { height: auto; max-height: 6; border: round $border-blurred; border-title-color: $text-muted; }
    QueuePane:focus { border: round $border; border-title-color: $text-accent; border-title-style: bold; }
    QueuePane > .queue--live { text-style: bold; color: $text-success; }
    QueuePane > .queue--waiting, QueuePane > .queue--empty { text-style: dim; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "Queue"
        self._sessions: tuple[QueuedSession, ...] = ()
        self._current: str | None = None
        self._cursor: str | None = None
        """The id of the session under the cursor."""
        self._done = ""
        self._starts: dict[str, str] = {}
        self._trainings: tuple[QueuedTraining, ...] = ()

    def show(
        self,
        sessions: Sequence[QueuedSession],
        current: str | None,
        share: float | None = None,
        starts: Mapping[str, float] | None = None,
        trainings: Sequence[QueuedTraining] = (),
    ) -> None:
        """Show the unfinished sessions, oldest first; ``current`` is the id of the running one, ``share`` its progress,
        ``starts`` in how many seconds a waiting one is expected to start, ``trainings`` the unfinished trainings."""
        done = "" if share is None else f" {share_text(share)}"
        texts = {name: about_seconds(start_s) for name, start_s in (starts or {}).items()}
        shown = (self._sessions, self._current, self._done, self._starts, self._trainings)
        if (tuple(sessions), current, done, texts, tuple(trainings)) == shown:
            return
        grew = len(sessions) + len(trainings) != len(self._sessions) + len(self._trainings)
        place = self._place
        self._sessions, self._current, self._done, self._starts = tuple(sessions), current, done, texts
        self._trainings = tuple(trainings)
        if sessions and all(session.id != self._cursor for session in sessions):
            # The cursor stays at its place when its session has ended.
            self._cursor = sessions[min(place, len(sessions) - 1)].id
        waiting = sum(session.id != current for session in sessions) + sum(one.status == "queued" for one in trainings)
        self.border_title = f"Queue: {waiting} waiting" if waiting else "Queue"
        self.refresh(layout=grew)

    @property
    def session(self) -> QueuedSession | None:
        """The session under the cursor."""
        return self._sessions[self._place] if self._sessions else None

    @property
    def _place(self) -> int:
        return next((place for place, session in enumerate(self._sessions) if session.id == self._cursor), 0)

    def footer(self) -> Footer:
        """Return the keys of the queue."""
        names = ["queue.cancel", "queue.earlier", "queue.later"] if self._sessions else []
        return Footer([*names, "bench.back"])

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def action_down(self) -> None:
        """Go to the next session."""
        self._move_cursor(1)

    def action_up(self) -> None:
        """Go to the previous session."""
        self._move_cursor(-1)

    def _move_cursor(self, by: int) -> None:
        if self._sessions:
            self._cursor = self._sessions[max(0, min(self._place + by, len(self._sessions) - 1))].id
            self.refresh()

    def action_earlier(self) -> None:
        """Move the session up."""
        self._request_move(earlier=True)

    def action_later(self) -> None:
        """Move the session down."""
        self._request_move(earlier=False)

    def _request_move(self, *, earlier: bool) -> None:
        if (session := self.session) is not None:
            self._cursor = session.id
            self.post_message(self.Moved(session.id, earlier=earlier))

    def action_cancel(self) -> None:
        """Cancel the session."""
        if (session := self.session) is not None:
            self.post_message(self.Cancelled([run_id for run_id, _ in session.runs]))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return one line per session."""
        return max(1, len(self._sessions) + len(self._trainings))

    def render(self) -> Text:
        """Return the sessions that fit, and the number of others."""
        cells, height = self.content_size.width, max(1, self.content_size.height)
        if not self._sessions and not self._trainings:
            return Text(" empty", self.get_component_rich_style("queue--empty", partial=True), no_wrap=True)
        every: list[QueuedSession | QueuedTraining] = [*self._sessions, *self._trainings]
        fits = len(every) <= height
        first = 0 if fits or not self.has_focus else max(0, self._place - height + 2)
        shown = every if fits else every[first : first + height - 1]
        lines = [
            self._training_line(one) if isinstance(one, QueuedTraining) else self._line(one, cells) for one in shown
        ]
        if not fits:
            more = f"  and {len(every) - len(shown)} more"
            lines.append(Text(more, self.get_component_rich_style("queue--waiting", partial=True)))
        return Text("\n").join(lines)

    def _training_line(self, training: QueuedTraining) -> Text:
        live = training.status == "running"
        style = self.get_component_rich_style("queue--live" if live else "queue--waiting", partial=True)
        signs, settings = glyphs_of(self), training.request.settings
        mark = " " if self.has_focus else ""
        done = f" {len(training.epochs)}/{settings.epochs}" if live and settings.epochs else ""
        return Text(
            f"{mark}{signs.live if live else signs.waiting} train {plain(model_name(settings))}{done}",
            style,
            no_wrap=True,
            overflow="ellipsis",
        )

    def _line(self, session: QueuedSession, cells: int) -> Text:
        live = session.id == self._current
        style = self.get_component_rich_style("queue--live" if live else "queue--waiting", partial=True)
        signs = glyphs_of(self)
        done = self._done if live else ""
        if session.id in self._starts:
            done = f" in {self._starts[session.id]}"
        mark = ""
        if self.has_focus:
            mark = signs.cursor if session is self.session else " "
        description = _description(session, cells - 2 - len(mark) - len(done))
        return Text(
            f"{mark}{signs.live if live else signs.waiting} {description}{done}",
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
