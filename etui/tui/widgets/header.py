"""The line at the top: which box this is, and what is being measured on it now, how far, and how long still."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text
from textual.widget import Widget

from etui.events import Event
from etui.text import counted, moment, plain
from etui.tui.feed import LiveSession, Snapshot
from etui.tui.glyphs import Glyphs

_BAR = 12
_ROOM_FOR_BAR = 100
_EXACT_S, _STEP_S = 10, 5


class Header(Widget):
    """Redrawn with each snapshot, so at most once a second while something is measured."""

    COMPONENT_CLASSES = {"header--name", "header--live", "header--problem", "header--faint"}

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._snapshot: Snapshot | None = None
        self._drawn = Text()

    def show(self, snapshot: Snapshot) -> None:
        """Show another state of the box and the queue."""
        self._snapshot = snapshot
        if self._words() != self._drawn:
            self.refresh()

    def render(self) -> Text:
        """What was seen last."""
        self._drawn = self._words()
        return self._drawn

    def _words(self) -> Text:
        """The live run at the right always fits; of the box as much as there is room for."""
        snapshot = self._snapshot
        if snapshot is None:
            return Text(" etui", style=self._style("name"))
        right = self._right(snapshot)
        line = Text(" etui  ", style=self._style("name"), no_wrap=True, overflow="crop")
        room = self.size.width - right.cell_len - 2
        for index, fact in enumerate(self._facts(snapshot)):
            words = f" {self._glyphs.dot} {fact}" if index else fact
            if line.cell_len + len(words) > room:
                break
            line.append(words, self._style("faint"))
        line.append(" " * max(1, self.size.width - line.cell_len - right.cell_len - 1))
        line.append_text(right)
        return line

    def _facts(self, snapshot: Snapshot) -> list[str]:
        box = snapshot.host
        load = "load not readable" if box.load is None else f"load {box.load:.2f}"
        governor = f"governor {box.governor}" if box.governor else "governor not readable"
        return [plain(box.host), counted(box.cores, "core"), load, plain(governor)]

    def _right(self, snapshot: Snapshot) -> Text:
        if snapshot.problem is not None:
            words = f"{self._glyphs.failed} {plain(snapshot.problem)}"
            text = Text(words, style=self._style("problem"))
            text.truncate(max(10, self.size.width - 8), overflow="ellipsis")
            return text
        current = snapshot.current
        waiting = sum(1 for session in snapshot.sessions if session.waits)
        if current is None:
            word = f"{waiting} waiting for a runner" if waiting else "nothing runs"
            return Text(word, style=self._style("live" if waiting else "faint"))
        words = f"{self._glyphs.live} {plain(_model(current))} {self._glyphs.dot} {_step(current)}"
        text = Text(words, style=self._style("live"))
        progress = current.progress
        if progress is not None and progress.total and self.size.width >= _ROOM_FOR_BAR:
            share = max(0.0, min(1.0, (progress.done or 0.0) / progress.total))
            full = round(share * _BAR)
            text.append(f" {self._glyphs.bar_full * full}", self._style("live"))
            text.append(self._glyphs.bar_rest * (_BAR - full), self._style("faint"))
        left = _left(progress)
        if left is not None:
            text.append(f" {self._glyphs.dot} {left // 60}:{left % 60:02d} left", self._style("live"))
        if waiting:
            text.append(f" {self._glyphs.dot} {waiting} waiting", self._style("faint"))
        return text

    def _style(self, name: str):  # type: ignore[no-untyped-def]
        return self.get_component_rich_style(f"header--{name}", partial=True)


def _model(session: LiveSession) -> str:
    return session.runs[0].model if session.runs else session.session.spec.model.rsplit("/", 1)[-1]


def _step(session: LiveSession) -> str:
    """What is done now, in two words; the figures of a block belong to the log."""
    progress, step = session.progress, session.step
    if progress is not None and progress.total:
        done = int(progress.done or 0)
        return f"{progress.stage or 'measure'} {done}/{int(progress.total)}"
    if step is not None:
        return plain(step.stage or step.message)
    return next((run.status for run in session.runs if run.status in ("preparing", "measuring")), "starting")


def _left(progress: Event | None) -> int | None:
    """The seconds left now, from what was said when progress was last told."""
    if progress is None or progress.left_s is None:
        return None
    said = moment(progress.at)
    if said is None:
        return round(progress.left_s)
    left = max(0, round(progress.left_s - (datetime.now(UTC) - said).total_seconds()))
    # An estimate, and each figure that changes is a redraw beside what is measured.
    return left if left < _EXACT_S else -(-left // _STEP_S) * _STEP_S
