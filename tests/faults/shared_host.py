"""The state shared by the rounds of a group: a warm host, a run done on it, and what etui has reported about its
runs."""

from __future__ import annotations

import shutil
from pathlib import Path

from etui.errors import EXIT_DONE
from tests.faults.checks import SAMPLES, KnownRuns, check_command, printed_done
from tests.faults.host import Host
from tests.faults.models import write_model
from tests.faults.results import Deviation

# The check before queueing would call the factories that misbehave, in a process that no fault is aimed at.
MEASURING = ("--preset", "quick", "--repeat", str(SAMPLES), "--warmup", "2", "--timeout", "120", "--json", "--no-check")
BASE = (*MEASURING, "--delegate", "portable")
"""The options for running the cached model."""

NOBODY = 65534
NEXT_S = 90.0
"""Time limit of the next run after a fault."""


class SharedHost:
    """A host whose runner is warm, with a cached model and a run of it. Raises AssertionError if that run fails:
    without a fault, etui must work."""

    def __init__(self, folder: Path, *, mounts: bool) -> None:
        folder.chmod(0o755)  # another user's commands read the models in it
        self.folder = folder
        self.host = Host(folder / "host", mounts=mounts)
        self.known_runs = KnownRuns()
        self.blocks_with_false_times: set[str] = set()
        self.model = write_model(self.host.models / "base.py", "base")
        self.run = ""
        self._other: Host | None = None
        try:
            deviations = self.next_run()
            assert not deviations, deviations
        except BaseException:
            self.close()
            raise

    @property
    def other(self) -> Host:
        """Return another user's host, with the same machine lock."""
        if self._other is None:
            self._other = Host(self.folder / "other", lock=self.host.lock, user=NOBODY)
        return self._other

    @property
    def hosts(self) -> list[Host]:
        """Return the hosts that exist."""
        return [self.host, self._other] if self._other else [self.host]

    def next_run(self) -> list[Deviation]:
        """Run the cached model as the next user command would; later rounds profile this run."""
        front, status = self.host.command("run", self.model, *BASE, limit_s=NEXT_S)
        deviations = check_command(front, status, {EXIT_DONE})
        if not deviations and (done := printed_done(front)):
            self.run = done[0]
            return []
        return [Deviation("next", f"{one.kind}: {one.seen}") for one in deviations] or [
            Deviation("next", "nothing is done")
        ]

    def forget_database(self) -> None:
        """Delete what the fault has left of the database."""
        for file in self.host.database.parent.glob("etui.db*"):
            file.unlink()
        self.known_runs.forget()

    def keep(self, folder: Path) -> None:
        """Copy the files that show the cause of a deviation."""
        for number, host in enumerate(self.hosts):
            target = folder / str(number)
            for name in ("database", "state", "outputs", "models"):
                shutil.copytree(host.folder / name, target / name, dirs_exist_ok=True)

    def close(self) -> None:
        """Stop both hosts."""
        for host in self.hosts:
            host.close()
        shutil.rmtree(self.folder, ignore_errors=True)
