"""The line at the top: the machine, and the running session with its progress and remaining time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from etui.services.progress_state import left_text, share_text
from etui.text import plain
from etui.tui.glyphs import Glyphs
from etui.tui.machine_facts import machine_facts

if TYPE_CHECKING:
    from etui.tui.feed import LiveSession, Snapshot

_BAR = 12
_ROOM_FOR_BAR = 100


class Header(Widget):
    """Redrawn with each snapshot that changes it, at most once a second during a measurement."""

    COMPONENT_CLASSES = {
        "header--name",
        "header--live",
        "header--problem",
        "header--faint",
        "header--warn",
        "header--bad",
    }

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._snapshot: Snapshot | None = None
        self._drawn = Text()

    def show(self, snapshot: Snapshot) -> None:
        """Show a new state of the machine and the queue."""
        self._snapshot = snapshot
        if self._line() != self._drawn:
            self.refresh()

    def render(self) -> Text:
        """Return the line for the last snapshot."""
        self._drawn = self._line()
        return self._drawn

    def _line(self) -> Text:
        """Return the session at the right, and as many facts about the machine as fit at the left."""
        snapshot = self._snapshot
        if snapshot is None:
            return Text(" etui", style=self._style("name"))
        right = self._right(snapshot)
        line = Text(" etui  ", style=self._style("name"), no_wrap=True, overflow="crop")
        room = self.size.width - right.cell_len - 2
        for index, fact in enumerate(machine_facts(snapshot.host, self._glyphs)):
            dot = f" {self._glyphs.dot} " if index else ""
            if line.cell_len + len(dot) + len(fact.text) > room:
                break
            line.append(dot, self._style("faint"))
            line.append(fact.text, self._style(fact.severity))
        line.append(" " * max(1, self.size.width - line.cell_len - right.cell_len - 1))
        line.append_text(right)
        return line

    def _right(self, snapshot: Snapshot) -> Text:
        if snapshot.problem is not None:
            text = Text(f"{self._glyphs.failed} {plain(snapshot.problem)}", style=self._style("problem"))
            text.truncate(max(10, self.size.width - 8), overflow="ellipsis")
            return text
        current = snapshot.current
        waiting = sum(1 for session in snapshot.sessions if session.waits)
        if current is None:
            state = f"{waiting} waiting for a runner" if waiting else "idle"
            return Text(state, style=self._style("live" if waiting else "faint"))
        progress = current.progress
        step = progress.step if progress is not None else _status(current)
        text = Text(
            f"{self._glyphs.live} {plain(_model(current))} {self._glyphs.dot} {plain(step)}", style=self._style("live")
        )
        if progress is not None:
            share = progress.share_at(datetime.now(UTC))
            if self.size.width >= _ROOM_FOR_BAR:
                full = int(share * _BAR)
                text.append(f" {self._glyphs.bar_full * full}", self._style("live"))
                text.append(self._glyphs.bar_rest * (_BAR - full), self._style("faint"))
            text.append(f" {share_text(share)}", self._style("live"))
            left = left_text(progress)
            if left is not None:
                text.append(f" {self._glyphs.dot} {left}", self._style("live"))
        if waiting:
            text.append(f" {self._glyphs.dot} {waiting} waiting", self._style("faint"))
        return text

    def _style(self, name: str):  # type: ignore[no-untyped-def]
        return self.get_component_rich_style(f"header--{name}", partial=True)


def _model(session: LiveSession) -> str:
    return session.runs[0].model if session.runs else session.session.spec.model.rsplit("/", 1)[-1]


def _status(session: LiveSession) -> str:
    return next((run.status for run in session.runs if run.status in ("preparing", "measuring")), "starting")
