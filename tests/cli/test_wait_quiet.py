"""--wait-quiet with and without minutes, and the question on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from etui.cli import wait_quiet
from etui.runner.wait_for_idle import LoadReading
from etui.services import busy_start
from etui.store import Store

BUSY = LoadReading(span_s=1.0, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7, user bob) 1.5 cores"])

Ask = Callable[..., Result]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command with the option on a busy machine; it prints the minutes to wait."""
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)

    async def busy(_threads: int | None) -> LoadReading:
        return BUSY

    monkeypatch.setattr(busy_start, "busy_with", busy)

    @click.command()
    @click.argument("model", required=False)
    @wait_quiet.wait_quiet_option
    def command(model: str | None, wait_quiet: float | None) -> None:
        with Store.open(tmp_path / "etui.db") as store:
            click.echo(f"minutes={minutes_to_wait(store, wait_quiet, None)}")

    minutes_to_wait = wait_quiet.minutes_to_wait

    def asked(*words: str, typed: str = "", terminal: bool = True) -> Result:
        monkeypatch.setattr(wait_quiet, "on_terminal", lambda: terminal)
        return CliRunner().invoke(command, words, input=typed)

    return asked


@pytest.mark.parametrize(("typed", "minutes"), [("w\n", "60.0"), ("\n", "60.0"), ("m\n", "0.0"), ("M\n", "0.0")])
def test_the_answer_decides(ask: Ask, typed: str, minutes: str) -> None:
    done = ask(typed=typed)
    assert f"minutes={minutes}" in done.stdout
    assert "stress (pid 7, user bob)" in done.stderr


def test_cancelling_starts_nothing(ask: Ask) -> None:
    done = ask(typed="c\n")
    assert done.exit_code != 0 and "minutes=" not in done.stdout


def test_without_a_terminal_nothing_is_asked(ask: Ask) -> None:
    assert "minutes=None" in ask(terminal=False).stdout


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        (("--wait-quiet", "3"), "3.0"),
        (("resnet18", "--wait-quiet"), "60.0"),
        (("--wait-quiet=0", "resnet18"), "0.0"),
        (("--wait-quiet", "--", "resnet18"), "60.0"),
    ],
)
def test_the_option_answers_in_advance(ask: Ask, words: tuple[str, ...], minutes: str) -> None:
    done = ask(*words)
    assert f"minutes={minutes}" in done.stdout and "busy" not in done.stderr


@pytest.mark.parametrize("value", ["resnet18", "-1", "inf", "nan"])
def test_anything_but_minutes_is_refused(ask: Ask, value: str) -> None:
    done = ask("--wait-quiet", value)
    assert done.exit_code == 2 and "minutes=" not in done.stdout
