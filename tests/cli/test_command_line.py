"""The frame round the commands: help, mistakes in one line, statuses, and what is imported to get there."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click
import pytest

from etui import __version__
from etui.actions import ACTIONS
from etui.cli import ascii_streams
from etui.cli.main import COMMANDS
from tests.cli.conftest import Etui
from tests.documents import make_document

INSTALLED = Path(sys.executable).with_name("etui")
HEAVY = {"torch", "textual", "numpy", "pandas", "sqlite_utils", "executorch", "transformers", "scipy", "sklearn"}


@pytest.mark.parametrize("arguments", [["--help"], ["runs"], ["runs", "--json"], ["show", "a"], ["models"]])
def test_reading_imports_nothing_heavy(database: Path, stored: Callable[..., None], arguments: list[str]) -> None:
    stored(make_document())
    code = (
        "import sys\nfrom etui.cli.main import cli\n"
        "try: cli()\nfinally: sys.stderr.write(repr(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--db", database, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert not HEAVY & set(eval(done.stderr))


def test_help_lists_every_command_with_its_line(etui: Etui) -> None:
    for flag in ("--help", "-h"):
        done = etui(flag)
        assert done.returncode == 0
        for name, (_, about) in COMMANDS.items():
            assert f"  {name} " in done.stdout and about in " ".join(done.stdout.split())
        assert "Examples:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(etui: Etui, command: str) -> None:
    done = etui(command, "-h")
    assert done.returncode == 0
    assert f"etui {command}" in done.stdout
    assert "Examples:" in done.stdout


def test_the_version(etui: Etui) -> None:
    assert etui("--version").stdout.split()[-1] == __version__


def test_without_a_command_and_a_terminal_it_says_what_to_do(etui: Etui) -> None:
    done = etui()
    assert (done.returncode, done.stdout) == (2, "")
    assert "terminal" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnus"], " runs"),
        (["zzzzz"], "--help"),
        (["runs", "--jsno"], "--json"),
        (["runs", "--db", "x"], "--db"),
        (["show"], "RUN"),
        (["runs", "--limit", "many"], "--limit"),
        (["runs", "--limit", "9" * 30], "--limit"),
        (["compare", "a", "b", "--fail-if-slower", "nan"], "--fail-if-slower"),
        (["run", "resnet18", "--timeout", "inf"], "--timeout"),
        (["compare", "a", "--fail-if-slower", "5"], "--fail-if"),
        (["run", "resnet18", "--seed", "9" * 30], "--seed"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(etui: Etui, arguments: list[str], words: str) -> None:
    done = etui(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.startswith("etui: ") and done.stderr.count("\n") == 1


TOO_LONG = "n" * 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["--db", TOO_LONG, "runs"],
        ["--db", f"{'n' * 250}", "runs"],
        ["--db", "~nouser/x.db", "runs"],
        ["--db", "d/" * 2_100, "runs"],
        ["export", "a", "-o", TOO_LONG],
        ["report", "a", "-o", f"{TOO_LONG}.html"],
        ["compare", "a", "a", "--junit", TOO_LONG],
        ["compare", "a", "a", "--markdown", TOO_LONG],
        ["gate", "--baseline", TOO_LONG],
        ["profile", "a", "--csv", TOO_LONG],
        ["profile", "a", "--trace", TOO_LONG],
        ["profile", "a", "--keep", TOO_LONG],
        ["gap", "a", "--csv", TOO_LONG],
        ["inspect", f"{TOO_LONG}.pte"],
        ["import", TOO_LONG],
        ["run", "resnet18", "-o", TOO_LONG],
        ["run", "resnet18", "--export-only", "-o", TOO_LONG],
        ["run", "resnet18", "--weights", TOO_LONG],
        ["run", f"{TOO_LONG}.pte"],
        ["run", f"~nouser/{TOO_LONG}.py:make"],
    ],
    ids=lambda words: " ".join(word[:12] for word in words),
)
def test_what_can_be_no_path_is_one_line_and_status_2(
    etui: Etui, stored: Callable[..., None], arguments: list[str]
) -> None:
    stored(make_document())
    done = etui(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("etui: ") and done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ETUI_DB", "ETUI_CACHE", "ETUI_STATE", "ETUI_CONFIG"])
@pytest.mark.parametrize("value", [TOO_LONG, "~nouser/x"], ids=["long", "nobody"])
def test_a_variable_that_can_be_no_path_is_named(
    etui: Etui, stored: Callable[..., None], name: str, value: str
) -> None:
    stored(make_document())
    arguments = {
        "ETUI_DB": ["runs"], "ETUI_CACHE": ["inspect", "a"], "ETUI_STATE": ["run", "resnet18", "--detach"],
        "ETUI_CONFIG": ["config", "show"],
    }[name]  # fmt: skip
    done = etui(*arguments, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"etui: {name}: ") and done.stderr.count("\n") == 1


def test_a_relative_database_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", 'cd "$1" && rmdir "$1" && exec "$0" --db x.db runs', INSTALLED, gone],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("etui: --db: ") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_output_that_cannot_be_written_ends_with_3_and_one_line(database: Path, stored: Callable[..., None]) -> None:
    stored(make_document())
    for redirection, words in ((">/dev/full", "No space left"), ("2>/dev/full", "")):
        done = subprocess.run(
            ["bash", "-c", f'"$0" --db "$1" show a {redirection}; "$0" --db "$1" show zzz {redirection}',
             INSTALLED, database],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert words in done.stderr and "Traceback" not in done.stderr
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([INSTALLED, "--db", database, "show", "a"], stdout=full, text=True, check=False)
    assert done.returncode == 3


@pytest.mark.slow
def test_closed_streams_are_no_defect(database: Path, stored: Callable[..., None]) -> None:
    stored(make_document())
    for redirection in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["bash", "-c", f'"$0" --db "$1" runs {redirection}', INSTALLED, database],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


UNEXPECTED = (
    "from etui.cli.context import Settings\nfrom etui.cli.main import cli\n"
    "def fail(*_, **__): raise {error}\n"
    "Settings.existing_store = fail\ncli()"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("ZeroDivisionError('division by zero')", 3, "a defect in etui"),
        ("RecursionError('too deep')", 3, "a defect in etui"),
        ("EOFError()", 3, "a defect in etui"),
        ("AssertionError()", 3, "a defect in etui"),
        ("MemoryError()", 3, "not enough memory"),
        ("OSError(5, 'Input/output error', 'x.db')", 3, "x.db: Input/output error"),
        ("ModuleNotFoundError('No module named msgspec')", 3, "install etui again"),
        ("KeyboardInterrupt()", 130, "cancelled"),
        ("BrokenPipeError(32, 'Broken pipe')", 0, ""),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_an_error_that_nobody_expected_never_ends_with_1(
    database: Path, stored: Callable[..., None], error: str, status: int, words: str, debug: bool
) -> None:
    stored(make_document())
    options = ["--debug"] if debug else []
    done = subprocess.run(
        [sys.executable, "-c", UNEXPECTED.format(error=error), *options, "--db", database, "runs"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert ("Traceback" in done.stderr) == (debug and status == 3)
    assert debug or len(done.stderr.strip().splitlines()) == (1 if words else 0)


@pytest.mark.slow
def test_debug_shows_the_traceback(etui: Etui, stored: Callable[..., None]) -> None:
    stored(make_document())
    assert "Traceback" not in etui("show", "zzz").stderr
    done = etui("--debug", "show", "zzz")
    assert done.returncode == 2 and "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("etui: ") and "zzz" in done.stderr.splitlines()[-1]
    assert "\x1b" not in etui("--debug", "show", "\x1b[31mzzz").stderr


def test_a_newer_or_broken_database_is_one_line(etui: Etui, database: Path) -> None:
    database.parent.mkdir(parents=True)
    database.write_text("no database " * 100)
    done = etui("runs")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("etui: ") and str(database) in done.stderr


def test_a_reader_that_leaves_is_no_error(database: Path, stored: Callable[..., None]) -> None:
    stored(make_document())
    command = Path(sys.executable).with_name("etui")
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" --db "$1" show a --json | true', command, database],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_old_encoding_does_not_stop_the_table(database: Path, stored: Callable[..., None]) -> None:
    document = make_document()
    document.note = "snow \u2603, SQNR \u2265 20 dB"
    stored(document)
    command = Path(sys.executable).with_name("etui")
    done = subprocess.run(
        [command, "--db", database, "show", "a"],
        capture_output=True, check=False, env={"PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert done.returncode == 0
    assert b"snow ?, SQNR >= 20 dB" in done.stdout


def test_a_terminal_with_ascii_gets_ascii() -> None:
    terminal = Terminal(io.BytesIO(), encoding="ascii")
    ascii_streams.prepare(terminal)
    with contextlib.redirect_stdout(terminal):
        click.echo("SQNR \u2265 20 dB \u00b1 1 \u2603")
    terminal.flush()
    assert cast("io.BytesIO", terminal.buffer).getvalue() == b"SQNR >= 20 dB +- 1 ?\n"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_the_settings_are_printed_as_a_config_file_that_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('theme = "etui-light"\n[keys]\n"bench.run" = "f5"\n"bench.fly" = "f"\n')

    def config(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("etui"), "config", command],
            env=os.environ | {"ETUI_CONFIG": str(path)}, capture_output=True, text=True, check=True,
        )  # fmt: skip

    assert config("path").stdout.strip() == str(path)
    shown = config("show")
    assert "'bench.fly'" in shown.stderr
    kept = tomllib.loads(shown.stdout)
    assert kept["theme"] == "etui-light"
    assert kept["keys"] == {"bench.run": "f5"}
    for action in ACTIONS:
        assert action.about in shown.stdout


def test_the_terminal_ui_imports_no_torch_and_no_numpy() -> None:
    heavy = ("torch", "numpy", "transformers", "executorch", "etui.engine")
    code = (
        "import sys, etui.tui.app, etui.tui.screens.details, etui.tui.widgets.picker;"
        f" print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
