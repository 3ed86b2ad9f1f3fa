"""What the terminal shows outside the screen: title, bell and desktop notification, byte for byte."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import msgspec
import pytest

from etui.config import Config
from etui.events import Event, utc_now
from etui.services.progress_state import SessionProgress
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, RunnerIdentity, Store
from etui.tui.database import Database
from etui.tui.feed import Feed, LiveSession
from etui.tui.glyphs import ASCII, UNICODE
from etui.tui.terminal_signals import BELL, RESTORE_TITLE, SAVE_TITLE, TerminalSignals, notification, through_tmux
from tests.documents import MODEL, make_document, make_spec
from tests.tui.benches import app_of, make_app, opened
from tests.tui.hosts import until
from tests.tui.summaries import make_summary

XTERM = {"TERM": "xterm-256color"}
KITTY = {"TERM": "xterm-kitty"}
WEZTERM = {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}


def live(share: float) -> LiveSession:
    variant = Variant("fp32", "xnnpack")
    spec = SessionSpec(model="resnet18", variants=(variant,))
    session = QueuedSession(id="s", spec=spec, created_at="", box=None, runs=[("a", variant)])
    progress = SessionProgress(share=share, stage="measure", step="", doing="", at="")
    return LiveSession(session=session, runs=(make_summary("a", status="measuring"),), progress=progress)


class Terminal:
    """Signals whose output is kept."""

    def __init__(self, environ: dict[str, str], **wanted: bool) -> None:
        self.written: list[str] = []
        self.signals = TerminalSignals(self.written.append, environ, UNICODE, **wanted)


def test_the_title_shows_the_progress_then_the_result_and_is_restored() -> None:
    terminal = Terminal(XTERM)
    assert terminal.signals.restore() == ""
    terminal.signals.show_progress(live(0.619))
    terminal.signals.show_progress(live(0.619))
    terminal.signals.show_progress(None)
    terminal.signals.session_over([make_summary("a", latency_median_ms=2.1), make_summary("b", latency_median_ms=9.4)])
    assert terminal.written == [
        f"{SAVE_TITLE}\x1b]2;● resnet18 61 %\x1b\\",
        "\x1b]2;✓ resnet18 2.10 ms\x1b\\",
        BELL,
    ]
    assert terminal.signals.restore() == RESTORE_TITLE


@pytest.mark.parametrize(
    ("statuses", "title"),
    [
        (("done", "failed"), "✗ resnet18 failed"),
        (("cancelled", "done"), "✓ resnet18 16.4 ms"),
        (("cancelled",), "– resnet18 cancelled"),
    ],
)
def test_the_result_is_the_worst_that_needs_attention(statuses: tuple[str, ...], title: str) -> None:
    terminal = Terminal(XTERM, bell=False)
    terminal.signals.session_over([make_summary(f"r{place}", status=status) for place, status in enumerate(statuses)])
    assert terminal.written == [f"{SAVE_TITLE}\x1b]2;{title}\x1b\\"]


def test_each_signal_can_be_switched_off() -> None:
    runs = [make_summary("a")]
    quiet = Terminal(KITTY, bell=False, notification=False, title=False)
    quiet.signals.show_progress(live(0.5))
    quiet.signals.session_over(runs)
    assert quiet.written == [] and quiet.signals.restore() == ""
    bell = Terminal(KITTY, notification=False, title=False)
    bell.signals.session_over(runs)
    assert bell.written == [BELL]


@pytest.mark.parametrize(
    ("environ", "begin"),
    [
        (KITTY, "\x1b]99;;"),
        ({"TERM": "foot"}, "\x1b]99;;"),
        (WEZTERM, "\x1b]9;"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "\x1b]9;"),
        (XTERM, ""),
        ({"TERM": "linux", "TERM_PROGRAM": "WezTerm"}, ""),
        ({"TERM_PROGRAM": "WezTerm"}, ""),
    ],
)
def test_a_notification_has_the_sequence_of_its_terminal(environ: dict[str, str], begin: str) -> None:
    sequence = notification("etui: done", environ)
    assert sequence == (f"{begin}etui: done\x1b\\" if begin else "")


def test_tmux_passes_the_notification_on() -> None:
    inside = {"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "TMUX": "/tmp/tmux-0/default,1,0", "WEZTERM_PANE": "0"}
    assert notification("done", inside) == "\x1bPtmux;\x1b\x1b]9;done\x1b\x1b\\\x1b\\"
    assert through_tmux("\x1ba\x1b") == "\x1bPtmux;\x1b\x1ba\x1b\x1b\x1b\\"


def test_a_name_cannot_end_the_sequence() -> None:
    hostile = make_summary("a", model="net\x1b\\\x07\x1b]0;owned\x9c", status="failed")
    terminal = Terminal(KITTY, bell=False)
    terminal.signals.session_over([hostile])
    for written in terminal.written:
        inner = written.removeprefix(SAVE_TITLE)[1:-2]
        assert not any(sign in inner for sign in ("\x1b", "\x07", "\x9c"))


def test_ascii_terminals_get_ascii() -> None:
    written: list[str] = []
    TerminalSignals(written.append, XTERM, ASCII).session_over([make_summary("a")])
    assert "".join(written).isascii()


@pytest.mark.asyncio
async def test_the_end_of_a_session_is_reported_once(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr("etui.tui.app.EtuiApp._to_terminal", lambda _app, sequence: written.append(sequence))
    monkeypatch.setenv("TERM", "xterm-256color")
    with Store.open(database) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="another-machine")
        run_id = session.runs[0][0]
        feed = Feed(Database(database), lambda _snapshot: None, lambda _error: None)
        async with opened(make_app(database)) as pilot:
            app = app_of(pilot)

            def look() -> None:
                seen = feed.look()
                if seen is not None:
                    app.on_etui_app_snapshot_read(app.SnapshotRead(seen))

            look()
            assert written == []
            assert store.claim_next(RunnerIdentity(pid=1, host="another-machine", user="u", started_at="x")) is not None
            store.set_status(run_id, "measuring")
            store.add_event(session.id, Event(kind="stage", message="loading", stage="load", at=utc_now()))
            look()
            assert any("● resnet18 0 %" in sequence for sequence in written)
            document = make_document(run_id, session_id=session.id)
            store.save_document(msgspec.structs.replace(document, id=run_id))
            store.finish_session(session.id)
            look()
            await until(pilot, lambda: BELL in written)
            assert any("✓ resnet18" in sequence for sequence in written)
            store.annotate(run_id, note="another change")
            look()
            await pilot.pause()
            assert written.count(BELL) == 1
        feed.close()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_is_written_to_what_is_not_a_terminal(
    database: Path, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    app = make_app(database, config=msgspec.convert({}, Config))
    monkeypatch.setenv("TERM", "xterm-256color")
    app._signals.show_progress(live(0.1))
    master, slave = pty.openpty()
    reader, writer = os.pipe()
    kept = os.dup(2)
    try:
        os.dup2(slave if is_terminal else writer, 2)
        app.restore_title()
        os.dup2(kept, 2)
        os.set_blocking(reader, False)
        os.set_blocking(master, False)
        if is_terminal:
            assert os.read(master, 100) == RESTORE_TITLE.encode()
        else:
            with pytest.raises(BlockingIOError):
                os.read(reader, 100)
    finally:
        os.dup2(kept, 2)
        for fd in (master, slave, reader, writer, kept):
            os.close(fd)
