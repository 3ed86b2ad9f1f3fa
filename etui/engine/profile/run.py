"""Profile the side that a job names: a program, or the eager model."""

from __future__ import annotations

from collections.abc import Callable

from etui.analysis_kinds.profile import ProfileJob, ProfileResult
from etui.events import Event

Log = Callable[[Event], None]


def run_side(job: ProfileJob, log: Log) -> ProfileResult:
    """Profile a job's program, or eager if it has none, in this process, which must be fresh.

    Raises:
        EtuiError: the program or the model cannot be loaded, run or traced.
    """
    # Each side imports only what it needs, so that its memory is not changed by the other.
    if job.program is None:
        from etui.engine.profile.eager import run_eager_profile

        return run_eager_profile(job, log)
    from etui.engine.profile.program import run_profile

    return run_profile(job, log)
