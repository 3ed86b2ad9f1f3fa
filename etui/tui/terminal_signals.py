"""What the terminal shows outside the screen: its title, a bell and a desktop notification.

The title is OSC 2, and xterm's title stack (CSI 22 and 23) restores it at the end; tmux applies both to its pane. A
desktop notification is OSC 99 in kitty and foot, OSC 9 in iTerm2, WezTerm and Ghostty; other terminals get none. tmux
passes it on in DCS if its option ``allow-passthrough`` is on, and ignores it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etui.facts import RunSummary
from etui.services.progress_state import share_text
from etui.text import number, plain
from etui.tui.glyphs import Glyphs

if TYPE_CHECKING:
    from etui.tui.feed import LiveSession

SAVE_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
BELL = "\a"

_END = "\x1b\\"
_MOST_CELLS = 200
_WITHOUT_OSC = ("linux", "dumb", "vt")
"""The beginnings of ``TERM`` for terminals that would print an OSC sequence."""

_OSC_99 = {"KITTY_WINDOW_ID"}
_OSC_9 = {"ITERM_SESSION_ID", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR"}
"""Variables that a terminal sets. Unlike ``TERM`` and ``TERM_PROGRAM`` they are inherited within tmux."""
_OSC_99_TERMS = ("xterm-kitty", "foot")
_OSC_9_PROGRAMS = {"iTerm.app", "WezTerm", "ghostty"}


class TerminalSignals:
    """Writes to the terminal with ``write``; what is not wanted or not supported by the terminal is omitted."""

    def __init__(
        self,
        write: Callable[[str], None],
        environ: Mapping[str, str],
        glyphs: Glyphs,
        *,
        bell: bool = True,
        notification: bool = True,
        title: bool = True,
    ) -> None:
        self._write = write
        self._environ = environ
        self._glyphs = glyphs
        self._has_bell, self._has_notification, self._has_title = bell, notification, title
        self._title = ""

    def show_progress(self, live: LiveSession | None) -> None:
        """Show the running session in the title, such as ``● resnet18 61 %``; None leaves the title as it is."""
        if live is not None and live.runs:
            progress = live.progress
            share = f" {share_text(progress.share_at(datetime.now(UTC))).strip()}" if progress is not None else ""
            self._show_title(f"{self._glyphs.live} {_model(live.runs)}{share}")

    def session_over(self, runs: Sequence[RunSummary]) -> None:
        """Report the end of a session: title, bell and desktop notification."""
        if not runs:
            return
        text = outcome(runs, self._glyphs)
        self._show_title(text)
        if self._has_bell:
            self._write(BELL)
        if self._has_notification and (sequence := notification(f"etui: {text}", self._environ)):
            self._write(sequence)

    def restore(self) -> str:
        """Return the sequence that restores the title from before etui, empty if it was never changed."""
        return RESTORE_TITLE if self._title else ""

    def _show_title(self, text: str) -> None:
        if not self._has_title or text == self._title or not _has_osc(self._environ):
            return
        save = "" if self._title else SAVE_TITLE
        self._title = text
        self._write(f"{save}\x1b]2;{_payload(text)}{_END}")


def notification(text: str, environ: Mapping[str, str]) -> str:
    """Return the sequence for a desktop notification; empty if the terminal is not known to have one."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if not _has_osc(environ):
        return ""
    if term.startswith(_OSC_99_TERMS) or _OSC_99 & environ.keys():
        sequence = f"\x1b]99;;{_payload(text)}{_END}"
    elif program in _OSC_9_PROGRAMS or _OSC_9 & environ.keys():
        sequence = f"\x1b]9;{_payload(text)}{_END}"
    else:
        return ""
    return through_tmux(sequence) if environ.get("TMUX") else sequence


def through_tmux(sequence: str) -> str:
    """Wrap a sequence so that tmux passes it to the terminal that it runs in."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + _END


def outcome(runs: Sequence[RunSummary], glyphs: Glyphs) -> str:
    """Describe a session that has ended, such as ``✓ resnet18 2.1 ms``: the fastest run, or why there is none."""
    model = _model(runs)
    measured = [run.latency_median_ms for run in runs if run.status == "done" and run.latency_median_ms is not None]
    bad = [run.status for run in runs if run.status not in ("done", "cancelled")]
    if bad:
        return f"{glyphs.failed} {model} {bad[0]}"
    if measured:
        return f"{glyphs.done} {model} {number(min(measured))} ms"
    return f"{glyphs.cancelled} {model} {runs[0].status}"


def _model(runs: Sequence[RunSummary]) -> str:
    return plain(runs[0].model)


def _has_osc(environ: Mapping[str, str]) -> bool:
    term = environ.get("TERM", "")
    return bool(term) and not term.startswith(_WITHOUT_OSC)


def _payload(text: str) -> str:
    """Return a text without control characters, or semicolons, which separate parameters."""
    return plain(text).replace(";", ",")[:_MOST_CELLS]
