"""The work of one round in progress: the started commands, what they queued, and the moment of the fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from etui.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from tests.faults.checks import check_command
from tests.faults.host import Front, wait_until
from tests.faults.models import write_model
from tests.faults.plan import Plan
from tests.faults.results import Deviation
from tests.faults.shared_host import BASE, MEASURING, SharedHost

REACHED_S = 60.0
QUEUED_S = 10.0
_BEFORE = {
    "queued": frozenset[str](),
    "preparing": frozenset({"queued"}),
    "measuring": frozenset({"queued", "preparing"}),
}


class ActiveRound:
    """One round in progress. The fault sets ``hit`` (whether it reached its target), ``notes`` and ``cold`` (whether
    there was no runner when the work began); ``deviations`` collects what was observed."""

    def __init__(self, shared: SharedHost, plan: Plan) -> None:
        self.shared, self.host, self.plan = shared, shared.host, plan
        self.dice = plan.dice()
        self.fronts: list[Front] = []
        self.other: Front | None = None
        self.hit = False
        self.cold = False
        self.notes: list[str] = []
        self.deviations: list[Deviation] = []
        self._runs_before = set(self.host.runs())
        self._analyses_before = {row[0] for row in self.host.rows("SELECT id FROM passes")}

    @property
    def main(self) -> Front:
        """Return the command that the fault may affect."""
        return self.fronts[0]

    def own_runs(self) -> list[str]:
        """Return the runs that have been queued since the round began."""
        return [run for run in self.host.runs() if run not in self._runs_before]

    def own_analyses(self) -> dict[str, str]:
        """Return the analyses that have been queued since, with their status."""
        rows = self.host.rows("SELECT id, status FROM passes")
        return {one: status for one, status in rows if one not in self._analyses_before}

    def start(
        self,
        *options: str,
        model: str = "",
        environment: Mapping[str, str] | None = None,
        limit: Callable[[], None] | None = None,
    ) -> None:
        """Start the work: with additional options of ``etui run``, another model, other variables, or ``limit`` called
        in the first command's process before it begins."""
        work = self.plan.work
        arguments = ["run", model or self._model(), "--precision", ",".join(work.precisions), *MEASURING]
        arguments += ["--delegate", work.delegate, *options]
        if work.kind == "detached":
            arguments.append("--detach")
        elif work.kind == "profile":
            arguments = ["profile", self.shared.run, "--again", "--inferences", "20", "--json"]
        elif work.kind == "gap":
            arguments = ["gap", self.shared.run, "--again", "--json"]
        self.fronts.append(self.host.launch(*arguments, environment=environment, limit=limit))
        if work.queued:
            if self.plan.moment.phase != "start":
                # After the first, so that it waits while the first is in progress.
                main = self.main.process
                wait_until(lambda: self.own_runs() or self.own_analyses() or main.poll() is not None, QUEUED_S)
            waiting = self.host.launch("run", self.shared.model, *BASE, "--detach", environment=environment)
            self.fronts.append(waiting)

    def over(self) -> bool:
        """Whether the work has ended."""
        return all(front.process.poll() is not None for front in self.fronts) and not self.host.live()

    def wait_for(self, condition: Callable[[], object], limit_s: float = REACHED_S) -> None:
        """Wait until the condition holds or the work has ended."""
        wait_until(lambda: condition() or self.over(), limit_s)

    def wait_for_moment(self) -> None:
        """Wait for the moment of the fault, or for the end of the work if that is earlier."""
        moment = self.plan.moment
        self.wait_for(lambda: self._reached(moment.phase))
        time.sleep(moment.delay_s)

    def list_runs(self, expected: set[int]) -> None:
        """List the runs while the fault lasts."""
        front, status = self.host.command("runs")
        self.deviations += check_command(front, status, expected)

    def use_damaged_database(self) -> None:
        """Use a database that the fault may have destroyed: every command prints one line and no traceback."""
        for arguments in (("runs", "--json"), ("show", self.shared.run), ("log", self.shared.run), ("runs",)):
            front, status = self.host.command(*arguments)
            self.deviations += check_command(front, status, {EXIT_DONE, EXIT_USAGE, EXIT_FAILED})

    def _reached(self, phase: str) -> bool:
        if phase == "start":
            return True
        states = {status for run, status in self.host.runs().items() if run not in self._runs_before}
        states |= {"measuring" if status == "running" else status for status in self.own_analyses().values()}
        return bool(states - _BEFORE[phase])

    def _model(self) -> str:
        name = f"round{self.plan.number}"
        return write_model(self.host.models / f"{name}.py", name) if self.plan.work.fresh else self.shared.model
