"""The common part of the tabs that show the result of an analysis."""

from __future__ import annotations

from typing import ClassVar

from etui.analysis_kinds.kind import AnyKind
from etui.tui.details.analyses import missing_page
from etui.tui.details.loader import Reading
from etui.tui.details.text_view import Writer


class AnalysisTab:
    """A tab with the result of analyses of the kind ``kind``; the key that starts an analysis starts one of that kind
    there. A subclass is also a widget."""

    kind: ClassVar[AnyKind]

    def show(self, reading: Reading) -> None:
        """Show the result, or ``missing`` if the run has none. Subclasses implement it."""
        raise NotImplementedError

    def missing(self, reading: Reading, seconds: float | None = None) -> Writer:
        """Return the text while there is no result: how to start the analysis, which takes about ``seconds``, its
        state, or why there can be none."""
        document, queued = reading.document, reading.analyses.get(self.kind.name)
        return lambda width, styles: missing_page(document, self.kind, queued, seconds, width, styles)
