"""What a user can do with runs from any screen: start, cancel, export, delete, copy, annotate, analyse, duel."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from textual.screen import Screen

from etui.actions import BY_ID
from etui.errors import EtuiError
from etui.results import LIVE_STATUSES, RunDocument
from etui.spec import AnalysisOptions
from etui.store import Condition, QueuedSession, Store
from etui.text import counted
from etui.tui.run_rows import MOST_HIDDEN
from etui.tui.screen_host import ScreenHost
from etui.tui.undo import UNDO_S, Change
from etui.tui.workers import in_daemon_thread, start

if TYPE_CHECKING:
    from etui.analysis_kinds.profile import ProfileOptions
    from etui.catalog.find import Model
    from etui.services.queue_estimate import Ahead
    from etui.services.summarize import Request
    from etui.spec import PresetName, SessionSpec
    from etui.tui.database import Database

T = TypeVar("T")


class RunActions:
    """The actions on runs. Each asks what it needs to know, changes the database, and reports the outcome in a notice.

    Its work belongs to the screen that uses it and is cancelled with that screen. ``done`` is called after a change,
    not after an error or if the user declined.
    """

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._starting: list[object] = []
        self._duels: dict[tuple[str, str], list[str]] = {}

    @property
    def _app(self) -> ScreenHost:
        return cast("ScreenHost", self._screen.app)

    def ask(self, dialog: Screen[T | None], on_result: Callable[[T], object]) -> None:
        """Open a dialog; ``on_result`` is called unless it is closed without a result."""

        def closed(result: T | None) -> None:
            if result is not None:
                on_result(result)

        self._app.push_screen(dialog, closed)

    def menu(self, title: str, action_ids: Sequence[str]) -> None:
        """Let the user choose one of these actions of the screen, or of the panes it forwards to, and run it."""
        from etui.tui.screens.menu import MenuDialog, MenuItem

        actions = [BY_ID[action_id] for action_id in action_ids]
        items = [
            MenuItem(action.id, action.title, self._app.key_names(action), self._app.keys_of(action))
            for action in actions
        ]

        def run(action_id: str) -> None:
            is_own = BY_ID[action_id].scope == getattr(self._screen, "scope", None)
            call = BY_ID[action_id].name if is_own else f"forward('{action_id}')"

            async def work() -> None:
                await self._screen.run_action(call)

            start(self._screen, work, group="menu")

        self.ask(MenuDialog(title, items), run)

    # Start and cancel

    def submit(
        self,
        spec: SessionSpec,
        model: Model,
        done: Callable[[list[str]], object],
        refused: Callable[[EtuiError], object] | None = None,
    ) -> None:
        """Check a session's model, queue the session and make sure that a runner is alive; ``done`` is given the ids of
        its runs, ``refused`` the error if the model would fail. If the machine is busy, ask first whether to wait until
        it is calm."""

        async def queue(minutes: float | None) -> None:
            queued, ahead = await self._queue_session(spec, model, minutes)
            done([run_id for run_id, _ in queued.runs])
            place = f" {ahead.text}." if ahead.sessions else ""
            self._app.say(f"{model.name}: {counted(len(queued.runs), 'run')} queued.{place}")

        self._queue_when_decided(spec, spec.threads, queue, check=partial(self._check, spec, model, refused))

    async def _check(self, spec: SessionSpec, model: Model, refused: Callable[[EtuiError], object] | None) -> bool:
        """Whether the model of a session is valid, as far as can be found out before it is queued."""
        from etui.services.early_check import check_early, needs_process

        if not needs_process(model, spec):
            return True

        def begin(_: str) -> None:
            self._app.call_later(self._app.say, f"Checking {model.name} ..")

        try:
            notice = await in_daemon_thread(partial(check_early, spec, model, begin=begin))
        except EtuiError as error:
            if refused is None:
                raise
            refused(error)
            return False
        if notice:
            self._app.say(f"{notice[0].upper()}{notice[1:]}.", "warning")
        return True

    async def _queue_session(
        self, spec: SessionSpec, model: Model, minutes: float | None
    ) -> tuple[QueuedSession, Ahead]:
        """Queue a session that waits for a calm machine for these minutes; None: for those of ``spec``."""
        if minutes is not None:
            spec = msgspec.structs.replace(spec, wait_quiet_min=minutes)

        def write(store: Store) -> tuple[QueuedSession, Ahead]:
            from etui.catalog.find import describe
            from etui.services.queue_estimate import ahead_of
            from etui.services.submit import submit

            session = submit(store, spec, describe(model))
            return session, ahead_of(store, session.id)

        return await self._app.database.write(write)

    def _queue_when_decided(
        self,
        what: object,
        threads: int | None,
        queue: Callable[[float | None], Coroutine[Any, Any, None]],
        *,
        check: Callable[[], Coroutine[Any, Any, bool]] | None = None,
        title: str = "",
    ) -> None:
        """Call ``queue`` with the minutes to wait for a calm machine: None for the default, else the user's answer to
        the question what to do, which is asked if the machine is busy. Not called if ``check`` returns False, and
        ignored while this is under way for the same ``what``. ``title`` is that of the notice about an error."""

        async def ask_if_busy() -> None:
            from etui.services import busy_start

            # ``write``, since the database of a first start does not exist yet.
            undecided = await self._app.database.write(lambda store: busy_start.is_undecided(store, None))
            load = await busy_start.busy_with(threads) if undecided else None
            if load is None:
                await queue(None)
                return
            from etui.tui.screens.busy_machine import BusyMachineDialog

            self.ask(
                BusyMachineDialog(load.to_text()),
                lambda minutes: start(self._screen, partial(queue, minutes), group="submit", title=title),
            )

        async def once() -> None:
            try:
                if check is None or await check():
                    await ask_if_busy()
            finally:
                self._starting.remove(what)

        # Reading the load takes up to 1.3 seconds, in which the key may be pressed again.
        if what not in self._starting:
            self._starting.append(what)
            start(self._screen, once, group="submit", title=title)

    def cancel(self, run_ids: Sequence[str], done: Callable[[], object]) -> None:
        """Request cancellation of live runs."""

        async def work() -> None:
            live = await self._app.database.write(lambda store: store.request_cancel(run_ids))
            done()
            if live:
                message = f"Cancelling {counted(len(live), 'run')}; completed blocks are kept."
                await self._app.offer_undo(Change(partial(self._queue_again, live, done)), message)

        start(self._screen, work, group="cancel")

    def move_session(self, session_id: str, *, earlier: bool) -> None:
        """Move a waiting session by one place in the queue."""

        async def work() -> None:
            if not await self._app.database.write(lambda store: store.move_session(session_id, earlier=earlier)):
                self._app.say("Only sessions that wait can be moved, among themselves.", "warning")

        start(self._screen, work, group="queue")

    async def _queue_again(self, run_ids: Sequence[str], done: Callable[[], object]) -> None:
        from etui.services.requeue import requeue

        queued = await self._app.database.write(lambda store: requeue(store, run_ids))
        count = sum(len(session.runs) for session in queued)
        self._app.say(
            f"{counted(count, 'run')} queued again." if count else "The runs have ended; none is queued again."
        )
        done()

    def cancel_session(self, session: QueuedSession, run_ids: Sequence[str], done: Callable[[], object]) -> None:
        """Ask whether to cancel a session whose live runs ``run_ids`` are not under the cursor."""
        from etui.tui.screens.confirm import ConfirmDialog

        state = "waits in the queue" if session.claimed_by is None else "is running"
        runs = counted(len(run_ids), "run")
        text = f"No run that could be cancelled is under the cursor. Cancel the session that {state}"
        text = f"{text}: {session.spec.model}, {runs}?"
        self.ask(
            ConfirmDialog("Cancel another session", text, "Cancel it", "Keep it"),
            lambda confirmed: self.cancel(run_ids, done) if confirmed else None,
        )

    # Export, delete, copy

    def export(self, run_ids: Sequence[str]) -> None:
        """Ask for a path and export the runs as JSON."""
        from etui.tui.screens.export import ExportDialog

        def exported(paths: Sequence[Path]) -> None:
            if paths:
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                self._app.say(f"Exported to {paths[0]}{more}", keep=True)

        self.ask(ExportDialog(self._app.database, run_ids), exported)

    def delete(
        self,
        run_ids: Sequence[str],
        name: str,
        *,
        hide: Callable[[], object],
        finished: Callable[[], None],
        restore: Callable[[], object],
    ) -> None:
        """Ask for confirmation and delete the runs, which ``name`` describes.

        They are hidden with ``hide`` and deleted when that cannot be undone any more, after which ``finished`` is
        called; ``restore`` shows them again. If they are more than can be hidden, they are deleted at once.
        """
        from etui.tui.screens.confirm import ConfirmDialog

        is_final = len(run_ids) > MOST_HIDDEN
        count = counted(len(run_ids), "run")

        async def undo() -> None:
            restore()
            self._app.say(f"{count} restored.", keep=True)

        def failed(error: EtuiError) -> None:
            restore()
            self._app.complain(error, "Not deleted")

        async def work() -> None:
            if is_final:
                await self._app.database.write(lambda store: store.delete_runs(run_ids))
                self._app.say(f"{count} deleted.", keep=True)
                hide()
                return
            await self._app.database.read(lambda store: store.check_deletable(run_ids))
            change = Change(undo, lambda store: store.delete_runs(run_ids), finished, failed)
            await self._app.offer_undo(change, f"{count} deleted.")
            hide()

        until = "This cannot be undone." if is_final else f"This can be undone for {UNDO_S:.0f} seconds."
        text = f"Delete {name} with all samples and logs? {until} To keep a copy, export it first."
        title = "Delete a run" if len(run_ids) == 1 else "Delete runs"
        self.ask(
            ConfirmDialog(title, text, "Delete"),
            lambda confirmed: start(self._screen, work, group="delete") if confirmed else None,
        )

    def copy(self, read_markdown: Callable[[Store], str]) -> None:
        """Read Markdown from the database and copy it."""
        from etui.tui.markdown import copy_markdown

        async def work() -> None:
            markdown = await self._app.database.read(read_markdown)
            self._app.say(copy_markdown(self._app, markdown), keep=True)

        start(self._screen, work, group="copy")

    # Notes

    def annotate(self, document: RunDocument) -> None:
        """Ask for the run's note and tags and save them."""
        from etui.tui.screens.annotate import AnnotateDialog

        async def save(note: str, tags: list[str]) -> None:
            await self._app.database.write(lambda store: store.annotate(document.id, note=note, tags=tags))

        self.ask(
            AnnotateDialog(document.note, document.tags),
            lambda result: start(self._screen, partial(save, *result), group="note", title="The note was not saved"),
        )

    # Analyses

    def analyse(self, run_id: str, options: AnalysisOptions) -> None:
        """Queue an analysis; ask first about files that an imported run names."""
        from etui.analysis_kinds.registry import KINDS
        from etui.tui.details import analyses

        async def work(trusted_files: tuple[str, ...]) -> None:
            allowed = msgspec.structs.replace(options, trusted_files=trusted_files)
            queued = await self._app.database.write(lambda store: analyses.submit(store, run_id, allowed))
            self._app.say(analyses.to_text(queued))

        title = KINDS[options.kind_name()].title
        self._start_trusting(work, options.trusted_files, title=f"Cannot queue the {title}")

    def profile_to_files(self, run_id: str) -> None:
        """Ask where to keep a profile's files and queue the profile."""
        from etui.tui.screens.profile_files import ProfileFilesDialog

        def chosen(options: ProfileOptions) -> None:
            self.analyse(run_id, options)

        self.ask(ProfileFilesDialog(), chosen)

    def cancel_analyses(self, run_id: str) -> None:
        """Cancel the run's queued and running analyses."""
        from etui.tui.details import analyses

        async def work() -> None:
            count = await self._app.database.write(lambda store: analyses.cancel(store, run_id))
            self._app.say("Cancelling the analysis." if count else "No analysis of this run is queued or running.")

        start(self._screen, work, group="analysis")

    def summarize_model(self, run_id: str) -> None:
        """Show the summary of a run's model, at the shape of the run, with its roofline."""

        def show(request: Request) -> None:
            self._app.open_model_summary(request, run_id)

        def complain(error: EtuiError) -> None:
            self._app.complain(error, "Cannot summarize the model")

        self.find_model(run_id, self._app.database, show, complain)

    def find_model(
        self,
        run_id: str,
        database: Database,
        use: Callable[[Request], object],
        fail: Callable[[EtuiError], object],
    ) -> None:
        """Call ``use`` with the request for a summary of a run's model, at the shape of the run; ``fail`` if it cannot
        be found. For a file that an imported run names, the user is asked first."""

        async def work(trusted_files: tuple[str, ...]) -> None:
            from etui.runner.rebuild_program import Trust, Untrusted
            from etui.services.summarize import request_of_run

            def read(store: Store) -> Request:
                trust = Trust(imported=store.is_imported(run_id), files=trusted_files)
                return request_of_run(store.document(run_id, operators=False), trust)

            try:
                request = await database.read(read)
            except Untrusted:
                raise
            except EtuiError as error:
                fail(error)
            else:
                use(request)

        self._start_trusting(work, (), title="Cannot summarize the model")

    def draw_model(self, run_id: str) -> None:
        """Show the diagram of a run's model, at the shape of the run and with what it measured."""

        async def draw(request: Request) -> None:
            self._app.open_diagram(request, await self._app.database.read(lambda store: store.document(run_id)))

        def found(request: Request) -> None:
            start(self._screen, partial(draw, request), group="diagram", title="Cannot draw the model")

        def complain(error: EtuiError) -> None:
            self._app.complain(error, "Cannot draw the model")

        self.find_model(run_id, self._app.database, found, complain)

    def check_training(self, run_id: str) -> None:
        """Check whether a run's model trains, with its own shape of inputs."""

        def found(request: Request) -> None:
            self._app.open_training_check(request.model)

        def complain(error: EtuiError) -> None:
            self._app.complain(error, "Cannot check the training")

        self.find_model(run_id, self._app.database, found, complain)

    def predict_model(self, run_id: str) -> None:
        """Predict a run's model on an NPU, at the shape of the run."""

        def complain(error: EtuiError) -> None:
            self._app.complain(error, "Cannot predict")

        self.find_model(run_id, self._app.database, self._app.open_prediction, complain)

    def tag_photos(self, run_id: str) -> None:
        """Tag photos with a run's program."""

        async def work() -> None:
            from etui.services.run_programs import program_of_run
            from etui.services.score_images import Program

            def read(store: Store) -> Program:
                document = store.document(run_id, operators=False)
                return program_of_run(document, imported=store.is_imported(run_id))

            self._app.open_tagging(await self._app.database.read(read))

        start(self._screen, work, group="tagging", exclusive=True, title="Cannot tag photos")

    def evaluate(self, run_ids: Sequence[str]) -> None:
        """Evaluate the programs of runs on labelled images; others are compared with the first."""

        async def work() -> None:
            from etui.services.run_programs import program_of_run
            from etui.services.score_images import Program

            def read(store: Store) -> list[Program]:
                return [
                    program_of_run(store.document(run_id, operators=False), imported=store.is_imported(run_id))
                    for run_id in run_ids
                ]

            self._app.open_evaluation(await self._app.database.read(read))

        start(self._screen, work, group="evaluation", exclusive=True, title="Cannot evaluate")

    # Measuring again

    def keep_in_fp32(self, document: RunDocument, module: str) -> None:
        """Ask for modules to keep in FP32, ``module`` suggested, and queue the run's configuration again with them."""
        from etui.tui.details import analyses
        from etui.tui.screens.keep_fp32 import KeepFp32Dialog

        if not analyses.is_quantized(document):
            self._app.say(f"{document.precision} is not quantized: no module can be kept in FP32.", "warning")
            return

        def answered(modules: list[str]) -> None:
            async def work(trusted_files: tuple[str, ...]) -> None:
                spec, model = await self._app.database.read(
                    lambda store: analyses.run_again(store, document, modules, trusted_files)
                )

                async def queue(minutes: float | None) -> None:
                    queued, _ = await self._queue_session(spec, model, minutes)
                    run, kept = queued.runs[0][0][:6], ", ".join(modules)
                    self._app.say(f"Queued as run {run} with {kept} in FP32. See the top of the runs table.")

                self._queue_when_decided(spec, spec.threads, queue, title="Cannot run again")

            if modules:
                self._start_trusting(work, (), title="Cannot run again")

        self.ask(KeepFp32Dialog(document, module), answered)

    def duel(self, first: str, second: str) -> None:
        """Ask how to measure two runs again, queue it, and open the comparison of its runs, which updates as blocks
        complete. If a duel of these runs that was started here is not finished, open its comparison again."""

        async def work(trusted_files: tuple[str, ...]) -> None:
            from etui.tui.compare.duel import DuelChoice, offer
            from etui.tui.screens.duel_dialog import DuelDialog

            if (under_way := await self._unfinished_duel(first, second)) is not None:
                self._app.open_comparison(under_way, baseline=under_way[0])
                return
            choices = await self._app.database.read(
                lambda store: offer(store, first, second, trusted_files=trusted_files)
            )

            def chosen(choice: DuelChoice) -> None:
                queue = partial(self._queue_duel, first, second, choice.preset, trusted_files)
                self._queue_when_decided((first, second), choices.threads, queue)

            self.ask(DuelDialog(choices), chosen)

        self._start_trusting(work, (), title="")

    async def _queue_duel(
        self, first: str, second: str, preset: PresetName, trusted_files: tuple[str, ...], minutes: float | None
    ) -> None:
        from etui.services.duel import DuelOptions, queue_duel

        options = DuelOptions(preset=preset, trusted_files=trusted_files, wait_quiet_min=minutes)
        queued = await self._app.database.write(lambda store: queue_duel(store, first, second, options))
        run_ids = [run_id for run_id, _ in queued.runs]
        self._duels[first, second] = run_ids
        self._app.say("The duel is queued. Partial results appear here as blocks complete.")
        self._app.open_comparison(run_ids, baseline=run_ids[0])

    async def _unfinished_duel(self, first: str, second: str) -> list[str] | None:
        """Return the runs of the duel of two runs that was started here, if one of them is live."""
        run_ids = self._duels.get((first, second))
        if run_ids is None:
            return None
        conditions = [Condition("id", "in", run_ids), Condition("status", "in", sorted(LIVE_STATUSES))]
        live = await self._app.database.read(lambda store: store.summaries(conditions))
        return run_ids if live else None

    def stop(self, run_ids: Sequence[str], names: str, done: Callable[[], object]) -> None:
        """Ask, and cancel live runs; ``names`` describes them."""
        from etui.tui.screens.confirm import ConfirmDialog

        text = f"Stop measuring {names}? Completed blocks are kept, and are still compared."
        self.ask(
            ConfirmDialog("Stop the measurement", text, "Stop"),
            lambda confirmed: self.cancel(run_ids, done) if confirmed else None,
        )

    def _start_trusting(
        self, work: Callable[[tuple[str, ...]], Any], trusted_files: tuple[str, ...], *, title: str
    ) -> None:
        """Start work that is given the files it may use; if it names others, ask and start it again with these too."""

        def use(files: tuple[str, ...]) -> None:
            self._start_trusting(work, tuple(dict.fromkeys((*trusted_files, *files))), title=title)

        async def asking() -> None:
            from etui.runner.rebuild_program import Untrusted
            from etui.tui.screens.confirm import ConfirmDialog

            try:
                await work(trusted_files)
            except Untrusted as error:
                files = error.files
                self.ask(
                    ConfirmDialog("File named by an imported run", error.question, "Use it"),
                    lambda is_trusted: use(files) if is_trusted else None,
                )

        start(self._screen, asking, group="queue", title=title)
