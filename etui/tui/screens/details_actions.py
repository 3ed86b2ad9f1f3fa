"""What the details' keys do to a run: note and tags, copy, export, passes on it, and running it again otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from textual import work
from textual.screen import Screen

from etui.errors import EtuiError
from etui.results import RunDocument
from etui.spec import AnalysisOptions, GapOptions, ProfileOptions
from etui.store import Store
from etui.tui.defect_guard import Guarded
from etui.tui.details import analyses as passes
from etui.tui.details.analyses import GAP, KINDS, PROFILE, Kind
from etui.tui.details.gap_tab import GapTab
from etui.tui.details.loader import Reading, Source
from etui.tui.screens.trust_file import ask_trust


class DetailsActions(Guarded, Screen[None]):
    """The half of the details screen that does. What touches the disk runs in a thread, and its failure is told in
    words."""

    _database: Path
    _run_id: str
    _source: Source

    @property
    def document(self) -> RunDocument | None:
        """The run, once it was read."""
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
        """Make the pass that the open tab shows: on Numbers the comparison layer by layer, elsewhere the profile."""
        if self.document is not None:
            if self.tab == "Numbers":
                self._submit(GAP, GapOptions())
            else:
                self._submit(PROFILE, ProfileOptions())

    def action_keep_files(self) -> None:
        """Profile again and keep the trace, the ETDump and a CSV for other tools."""
        from etui.tui.screens.profile_files import ProfileFilesDialog

        if self.document is None:
            return

        def chosen(options: ProfileOptions | None) -> None:
            if options is not None:
                self._submit(PROFILE, options)

        self.app.push_screen(ProfileFilesDialog(), chosen)

    def action_keep_fp32(self) -> None:
        """Run this again with a module kept in FP32, after a question."""
        from etui.tui.screens.keep_fp32 import KeepFp32Dialog

        document = self.document
        if document is None:
            return
        if not passes.is_quantized(document):
            words = f"{document.precision} is not quantized: nothing in it can be kept in higher precision"
            self.notify(words, severity="warning", markup=False)
            return

        def answered(modules: list[str] | None) -> None:
            if modules:
                self._run_again(document, modules)

        self.app.push_screen(KeepFp32Dialog(document, self.query_one(GapTab).module), answered)

    def action_cancel(self) -> None:
        """Cancel the pass that waits or is under way."""
        self._cancel()

    def _tell_ends(self, before: Reading | None, now: Reading) -> None:
        """Say how a pass ended that was live when it was last looked at."""
        for kind in KINDS:
            last, one = before.passes.get(kind.name) if before else None, now.passes.get(kind.name)
            if last is None or one is None or not last.live or one.live or last.id != one.id:
                continue
            done = one.status == "done"
            self.notify(passes.to_text(kind, one), severity="information" if done else "error", markup=False)

    @work(group="details-pass")
    async def _submit(self, kind: Kind, options: AnalysisOptions) -> None:
        from etui.runner.rebuild_program import Untrusted

        try:
            queued = await asyncio.to_thread(passes.submit, self._database, self._run_id, options)
        except Untrusted as refused:
            allowed = msgspec.structs.replace(options, trusted_files=refused.files)
            ask_trust(self.app, refused, lambda: self._submit(kind, allowed))
            return
        except EtuiError as error:
            self.notify(str(error), title=f"No {kind.title} can be made", severity="error", markup=False, timeout=10)
            return
        self.notify(passes.to_text(kind, queued), markup=False)
        self._source.nudge()

    @work(group="details-pass")
    async def _cancel(self) -> None:
        try:
            count = await asyncio.to_thread(passes.cancel, self._database, self._run_id)
        except EtuiError as error:
            self.notify(str(error), severity="error", markup=False, timeout=10)
            return
        self.notify("Cancelling." if count else "Nothing is made of this run now.", markup=False)
        self._source.nudge()

    @work(group="details-again")
    async def _run_again(self, document: RunDocument, modules: list[str], trusted: tuple[str, ...] = ()) -> None:
        from etui.runner.rebuild_program import Untrusted

        try:
            run_id = await asyncio.to_thread(passes.run_again, self._database, document, modules, trusted)
        except Untrusted as refused:
            allowed = refused.files
            ask_trust(self.app, refused, lambda: self._run_again(document, modules, allowed))
            return
        except EtuiError as error:
            self.notify(str(error), title="It cannot be run again", severity="error", markup=False, timeout=10)
            return
        words = f"Queued as {run_id[:6]}, with {', '.join(modules)} in FP32. It is the newest run of the table."
        self.notify(words, markup=False)

    @work(group="details-note")
    async def _save_note(self, note: str, tags: list[str]) -> None:
        try:
            await asyncio.to_thread(_annotate, self._database, self._run_id, note, tags)
        except EtuiError as error:
            self.notify(str(error), title="The note was not saved", severity="error", markup=False, timeout=10)
            return
        self._source.nudge()


def _annotate(database: Path, run_id: str, note: str, tags: list[str]) -> None:
    with Store.open(database, create=False) as store:
        store.annotate(run_id, note=note, tags=tags)
