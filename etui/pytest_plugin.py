"""The pytest plugin: its options, the fixture ``etui_run`` that measures a project's own model, and its report.

It is loaded in every pytest run of the environment, so it imports nothing but pytest until the fixture is used or
``pytest --pyargs etui.verify`` runs. ``-p no:etui`` disables it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from etui.results import Tolerance
    from etui.spec import Variant
    from etui.testing import EtuiRun

    Choice = tuple[str, list[Variant], Tolerance | None]

PROPERTY = "etui"
"""The name under which a test's report, and so JUnit XML, holds its measurements."""

VERIFYING: pytest.StashKey[bool] = pytest.StashKey()
CHOICE: pytest.StashKey[Choice] = pytest.StashKey()
_BENCH: pytest.StashKey[EtuiRun] = pytest.StashKey()

_OPTIONS: tuple[tuple[str, bool, dict[str, Any]], ...] = (
    ("db", False, {"metavar": "FILE", "help": "Database for the runs; `user` is that of etui itself."
                   " [default: a temporary one]"}),
    ("preset", True, {"choices": ("quick", "default", "rigorous"), "default": "default",
                      "help": "Preset, unless a test sets one. [default: default]"}),
    ("threads", True, {"type": int, "metavar": "N", "help": "Threads of eager and ExecuTorch. [default: all cores]"}),
    ("timeout", False, {"type": float, "metavar": "S", "help": "Time limit of a session in seconds. [default: 3600]"}),
    ("wait-quiet", True, {"type": float, "metavar": "MIN",
                          "help": "Maximum minutes to wait for an idle machine, 0: none."
                          " [default: 0.5]"}),
    ("model", True, {"metavar": "MODEL", "help": "etui.verify: a name from `etui models`, FILE.py:FACTORY, a .pt2 or a"
                     " .pte."}),
    ("precision", True, {"metavar": "P,..", "help": "etui.verify: one or more precisions. [default: fp32]"}),
    ("delegate", True, {"metavar": "D,..", "help": "etui.verify: one or more delegates. [default: xnnpack]"}),
    ("weights", True, {"default": "auto", "metavar": "W",
                       "help": "etui.verify: auto, pretrained, synthetic or a path. [default: auto]"}),
    ("tolerance", True, {"metavar": "NAME=X,..", "help": "etui.verify: limits for the worst output, instead of the"
                         " model's tolerance: sqnr_db, cosine and top1 (over all inputs) at least, mae at most;"
                         " such as sqnr_db=20,cosine=0.99."}),
)  # fmt: skip
"""Name, whether ``--name`` is also accepted in a session of etui.verify, and the arguments for argparse."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, with names that do not conflict with other plugins."""
    group = parser.getgroup("etui", "etui (measuring PyTorch models on ExecuTorch)")
    for name, _, options in _OPTIONS:
        group.addoption(f"--etui-{name}", dest=_dest(name), **options)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Add short option names in a session of etui.verify, unless a conftest file uses them."""
    result = yield
    if any(_names_verify(word) for word in args):
        early_config.stash[VERIFYING] = True
        group = parser.getgroup("etui")
        for name, short, options in _OPTIONS:
            if not short:
                continue
            try:
                # Without a default, which would override the value of the long name.
                arguments = {key: value for key, value in options.items() if key not in ("default", "help")}
                group.addoption(f"--{name}", dest=_dest(name), help=f"The same as --etui-{name}.", **arguments)
            except ValueError:
                continue
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Check the options of etui.verify before collection."""
    config.pluginmanager.register(_Reporting(config), "etui-reporting")
    if config.stash.get(VERIFYING, False) and not (config.option.help or config.option.version):
        from etui.testing import verified

        config.stash[CHOICE] = verified(config)


@pytest.fixture(scope="session")
def etui_run(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtuiRun]:
    """Measure a model and return the run: ``etui_run("model.py:factory", precision="int8").latency_ms.median``.

    The model is a catalog name, ``FILE.py:FACTORY``, a ``.pt2``, a ``.pte``, or a module-level function that returns
    (module, inputs): one example, a list of several, or a function that makes the requested number.
    """
    from etui.testing import EtuiRun

    chosen = pytestconfig.getoption("etui_db")
    bench = EtuiRun(
        _database(chosen) if chosen else tmp_path_factory.mktemp("etui") / "etui.db",
        temporary=not chosen,
        folders=(pytestconfig.invocation_params.dir, pytestconfig.rootpath),
        preset=pytestconfig.getoption("etui_preset"),
        threads=pytestconfig.getoption("etui_threads"),
        timeout_s=pytestconfig.getoption("etui_timeout"),
        wait_quiet_min=pytestconfig.getoption("etui_wait_quiet"),
    )
    pytestconfig.stash[_BENCH] = bench
    yield bench
    bench.close()


class _Reporting:
    """Passes measurements from the tests, in any process, to the end of the terminal report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: dict[str, None] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, object, object]:
        """Attach the measurements of a test to its report, which may be sent to another process."""
        bench = self._config.stash.get(_BENCH, None)
        if bench is not None:
            item.user_properties += [(PROPERTY, line) for line in bench.take_lines()]
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep each line once, since a test has three reports."""
        self._lines.update((str(value), None) for name, value in report.user_properties if name == PROPERTY)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the measured runs, one per line."""
        if self._lines:
            terminalreporter.section("etui")
            for line in self._lines:
                terminalreporter.write_line(line)


def _dest(name: str) -> str:
    return f"etui_{name.replace('-', '_')}"


def _names_verify(word: str) -> bool:
    name = word.partition("::")[0]
    return name == "etui.verify" or name.replace("\\", "/").endswith("etui/verify.py")


def _database(chosen: str) -> Path:
    from etui.paths import database_path

    return database_path(None if chosen == "user" else chosen)
