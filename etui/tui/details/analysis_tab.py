"""The common part of the tabs that show the result of an analysis."""

from __future__ import annotations

from typing import ClassVar

from etui.analysis_kinds.kind import AnyKind
from etui.tui.details.loader import Reading


class AnalysisTab:
    """A tab with the result of analyses of the kind ``kind``; the key that starts an analysis starts one of that kind
    there. A subclass is also a widget."""

    kind: ClassVar[AnyKind]

    def show(self, reading: Reading) -> None:
        """Show the result, or how to start the analysis (``missing_page``). Subclasses implement it."""
        raise NotImplementedError
