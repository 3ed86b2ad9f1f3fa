"""The details screen's actions: note and tags, copy, export, analyses, and running again with modules in FP32."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from textual import work
from textual.screen import Screen

from etui.analysis_kinds.kind import AnyKind
from etui.analysis_kinds.profile import PROFILE, ProfileOptions
from etui.analysis_kinds.registry import KINDS
from etui.errors import EtuiError
from etui.results import RunDocument
from etui.spec import AnalysisOptions
from etui.store import Store
from etui.tui.defect_guard import Guarded
from etui.tui.details import analyses
from etui.tui.details.analysis_tab import AnalysisTab
from etui.tui.details.gap_tab import GapTab
from etui.tui.details.loader import Reading, Source
from etui.tui.screens.trust_file import ask_trust

if TYPE_CHECKING:
    from etui.tui.app import EtuiApp


class DetailsActions(Guarded, Screen[None]):
    """The actions of the details screen. Disk access runs in a thread; its errors are reported in a notice."""

    app: EtuiApp
    _database: Path
    _run_id: str
    _source: Source

    @property
    def document(self) -> RunDocument | None:
        """The run; None until it has been read."""
        raise NotImplementedError

    @property
    def tab(self) -> str:
        """The name of the open tab."""
        raise NotImplementedError

    def action_annotate(self) -> None:
        """Edit the note and the tags."""
        from etui.tui.screens.annotate import AnnotateDialog

        if (document := self.document) is None:
            return

        def save(result: tuple[str, list[str]] | None) -> None:
            if result is not None:
                self._save_note(*result)

        self.app.push_screen(AnnotateDialog(document.note, document.tags), save)

    def action_copy(self) -> None:
        """Copy the run as Markdown."""
        from etui.tui.markdown import copy_markdown, run_markdown

        if (document := self.document) is not None:
            self.notify(copy_markdown(self.app, run_markdown(document)), title="Copied", markup=False)

    def action_export(self) -> None:
        """Write the run as JSON."""
        from etui.tui.screens.export import ExportDialog

        self.app.push_screen(ExportDialog(self._database, [self._run_id]))

    def action_profile(self) -> None:
        """Queue the analysis of the open tab; on a tab without one, a profile."""
        if self.document is not None:
            tab = self.query_one(f"#tab-{self.tab.lower()}")
            kind = tab.kind if isinstance(tab, AnalysisTab) else PROFILE
            self._submit(kind, kind.options())

    def action_keep_files(self) -> None:
        """Profile again and keep the trace, the ETDump and a CSV file for other tools."""
        from etui.tui.screens.profile_files import ProfileFilesDialog

        if self.document is None:
            return

        def chosen(options: ProfileOptions | None) -> None:
            if options is not None:
                self._submit(PROFILE, options)

        self.app.push_screen(ProfileFilesDialog(), chosen)

    def action_keep_fp32(self) -> None:
        """Ask for modules to keep in FP32, and queue the run again with them."""
        from etui.tui.screens.keep_fp32 import KeepFp32Dialog

        document = self.document
        if document is None:
            return
        if not analyses.is_quantized(document):
            self.app.say(f"{document.precision} is not quantized: no module can be kept in FP32.", "warning")
            return

        def answered(modules: list[str] | None) -> None:
            if modules:
                self._run_again(document, modules)

        self.app.push_screen(KeepFp32Dialog(document, self.query_one(GapTab).module), answered)

    def action_cancel(self) -> None:
        """Cancel the analysis that is queued or running."""
        self._cancel()

    def _report_ended(self, before: Reading | None, now: Reading) -> None:
        """Show a notice for each analysis that has ended since the previous reading."""
        for kind in KINDS.values():
            last, current = before.analyses.get(kind.name) if before else None, now.analyses.get(kind.name)
            if last is None or current is None or not last.live or current.live or last.id != current.id:
                continue
            severity: Literal["information", "error"] = "information" if current.status == "done" else "error"
            self.app.say(analyses.to_text(kind, current), severity)

    @work(group="details-analysis")
    async def _submit(self, kind: AnyKind, options: AnalysisOptions) -> None:
        from etui.runner.rebuild_program import Untrusted

        try:
            queued = await asyncio.to_thread(analyses.submit, self._database, self._run_id, options)
        except Untrusted as error:
            allowed = msgspec.structs.replace(options, trusted_files=error.files)
            ask_trust(self.app, error, lambda: self._submit(kind, allowed))
            return
        except EtuiError as error:
            self.app.complain(error, f"Cannot queue the {kind.title}")
            return
        self.app.say(analyses.to_text(kind, queued))
        self._source.nudge()

    @work(group="details-analysis")
    async def _cancel(self) -> None:
        try:
            count = await asyncio.to_thread(analyses.cancel, self._database, self._run_id)
        except EtuiError as error:
            self.app.complain(error)
            return
        self.app.say("Cancelling the analysis." if count else "No analysis of this run is queued or running.")
        self._source.nudge()

    @work(group="details-again")
    async def _run_again(self, document: RunDocument, modules: list[str], trusted: tuple[str, ...] = ()) -> None:
        from etui.runner.rebuild_program import Untrusted

        try:
            run_id = await asyncio.to_thread(analyses.run_again, self._database, document, modules, trusted)
        except Untrusted as error:
            allowed = error.files
            ask_trust(self.app, error, lambda: self._run_again(document, modules, allowed))
            return
        except EtuiError as error:
            self.app.complain(error, "Cannot run again")
            return
        self.app.say(f"Queued as run {run_id[:6]} with {', '.join(modules)} in FP32. See the top of the runs table.")

    @work(group="details-note")
    async def _save_note(self, note: str, tags: list[str]) -> None:
        try:
            await asyncio.to_thread(_annotate, self._database, self._run_id, note, tags)
        except EtuiError as error:
            self.app.complain(error, "The note was not saved")
            return
        self._source.nudge()


def _annotate(database: Path, run_id: str, note: str, tags: list[str]) -> None:
    with Store.open(database, create=False) as store:
        store.annotate(run_id, note=note, tags=tags)
