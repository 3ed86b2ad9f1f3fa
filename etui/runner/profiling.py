"""The profile of a run's operators: its program under ETDump and eager, each in a child of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etui.runner.passes import Pass


async def profile(under_way: Pass) -> None:
    """Profile the pass's run and store the result in its document."""
    await under_way.program()
