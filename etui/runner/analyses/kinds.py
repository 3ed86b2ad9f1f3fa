"""The kinds of analysis that the runner can execute. A new kind is one entry of ``KINDS``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from etui.runner.analyses.context import Analysis
from etui.runner.analyses.gap import measure_gap
from etui.runner.analyses.profile import profile
from etui.spec import GapOptions, ProfileOptions


class AnalysisKind(msgspec.Struct, frozen=True):
    """One kind of analysis. ``run`` executes it with its ``options`` and stores the result through the analysis's
    outbox (``Outbox.save_result``)."""

    options: type[msgspec.Struct]
    run: Callable[[Analysis, Any], Awaitable[None]]

    @property
    def name(self) -> str:
        """The name in the database and in messages: the tag of its options."""
        return str(self.options.__struct_config__.tag)


KINDS = {kind.name: kind for kind in (AnalysisKind(ProfileOptions, profile), AnalysisKind(GapOptions, measure_gap))}
"""All kinds by name, which is ``QueuedAnalysis.kind``."""
