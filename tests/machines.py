"""A simulated machine for a test: its own database, cache, state and lock, with the installed ``etui`` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from etui.results import RunDocument
from etui.store import Store

ETUI = Path(sysconfig.get_path("scripts")) / "etui"
PATIENCE_S = 240.0

T = TypeVar("T")


class Machine:
    """A simulated machine in a folder, isolated from the user's runs and from other tests."""

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        """``cache``: a program cache that others use too; else the machine has its own."""
        self.folder = folder
        self.prefix: list[str] = []
        """A prefix for the command, for example to run it as another user."""
        self.database = folder / "etui.db"
        self.cache = cache or folder / "cache"
        self.environment = {
            **os.environ,
            "ETUI_DB": str(self.database),
            "ETUI_CACHE": str(self.cache),
            "ETUI_STATE": str(folder / "state"),
            "ETUI_BOX_LOCK": str(folder / "box.lock"),
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hf"),
            "TORCH_HOME": str(folder / "torch"),
            # Other programs may use the machine during the tests; the tests about waiting set this variable.
            "ETUI_WAIT_QUIET": "0",
        }
        # torch sets this in a process that lowers, as some tests do; etui would take it for a setting of the user.
        self.environment.pop("TORCHINDUCTOR_CACHE_DIR", None)

    def etui(self, *arguments: str | Path, status: int | None = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command to its end and check its exit status (None: any)."""
        done = subprocess.run(
            [*self.prefix, ETUI, *map(str, arguments)],
            env={**self.environment, **extra},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done

    def start(self, *arguments: str | Path, **extra: str) -> subprocess.Popen[str]:
        """Start the installed command in a separate session, as in another terminal."""
        return subprocess.Popen(
            [*self.prefix, ETUI, *map(str, arguments)],
            env={**self.environment, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=restore_signals,
        )

    def detach(self, *arguments: str | Path) -> list[str]:
        """Run ``etui run .. --detach`` and return the run ids."""
        return self.etui("run", *arguments, "--detach").stdout.split()

    def summaries(self) -> list[dict[str, Any]]:
        """Return the output of ``etui runs --json``."""
        summaries: list[dict[str, Any]] = json.loads(self.etui("runs", "--json").stdout)
        return summaries

    def document(self, run_id: str) -> RunDocument:
        """Return a run's document from the database."""
        with Store.open(self.database, create=False) as store:
            return store.document(run_id)

    def status(self, run_id: str) -> str:
        """Return a run's status from the database."""
        with Store.open(self.database, create=False) as store:
            return store.summary(run_id).status

    def wait_for_status(self, run_id: str, *wanted: str) -> str:
        """Wait until a run is in one of these states."""
        until(lambda: self.status(run_id) in wanted)
        return self.status(run_id)

    def wait_for_event(self, run_id: str, text: str) -> None:
        """Wait until the log of a run or its session has a message with this text."""

        def logged() -> bool:
            with Store.open(self.database, create=False) as store:
                session = store.summary(run_id).session
                return any(text in event.message for event in store.events_after(session, 0))

        until(logged)

    def runner(self) -> psutil.Process:
        """Return the runner process of this database, waiting for it to start."""

        def find() -> psutil.Process | None:
            for process in psutil.process_iter(["cmdline"]):
                arguments = process.info["cmdline"] or []
                if "etui.runner" in arguments and str(self.database) in arguments:
                    return process
            return None

        return until(find)

    def fork_servers(self) -> list[psutil.Process]:
        """Return the fork servers."""
        return [
            process
            for process in _offspring(self.runner())
            if "etui.engine.process.fork_server" in _arguments(process)[:3]
        ]

    def jobs(self, role: str = "measure") -> list[psutil.Process]:
        """Return the running workers of one fork server."""
        return [
            worker
            for fork_server in self.fork_servers()
            if role in _arguments(fork_server)
            for worker in _offspring(fork_server, recursive=False)
        ]

    def processes(self) -> list[psutil.Process]:
        """Return all processes: runner, fork servers and workers."""
        processes = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("ETUI_DB") == str(self.database) and process.pid != os.getpid():
                    processes.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return processes

    def close(self) -> None:
        """Stop the runner and wait until all processes have ended."""
        for process in self.processes():
            if "etui.runner" in _arguments(process):
                _signal(process, signal.SIGTERM)
        until(lambda: not self.processes())


def ended(command: subprocess.Popen[str]) -> int:
    """Return the exit status of a started command once it has ended. Reads and closes its pipes, so that it cannot
    block on them."""
    command.communicate(timeout=PATIENCE_S)
    return command.returncode


@contextmanager
def machine_in(folder: Path, cache: Path | None = None) -> Iterator[Machine]:
    """Yield a simulated machine, whose processes are stopped at the end."""
    machine = Machine(folder, cache)
    try:
        yield machine
    finally:
        machine.close()


def restore_signals() -> None:
    """Accept hangups and interrupts like the processes of a terminal. Under nohup, or in the background of a script,
    the tests ignore them, and so would the processes they start."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(probe: Callable[[], T]) -> T:
    """Poll until the result is truthy and return it; fail after a few minutes."""
    end = time.monotonic() + PATIENCE_S
    while True:
        result = probe()
        if result:
            return result
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)  # between two polls; ``probe`` returns what is waited for


def _offspring(process: psutil.Process, *, recursive: bool = True) -> list[psutil.Process]:
    try:
        processes: list[psutil.Process] = process.children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []
    return processes


def _arguments(process: psutil.Process) -> list[str]:
    try:
        arguments: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
    return arguments


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
