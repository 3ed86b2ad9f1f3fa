"""The functions that perform the jobs, as named by the jobs."""

from __future__ import annotations

from importlib import import_module

import pytest

from etui.analysis_kinds.registry import KINDS
from etui.jobs import SESSION_JOBS, Job


@pytest.mark.parametrize("job", [*SESSION_JOBS, *(kind.job for kind in KINDS.values())])
def test_every_job_names_a_function(job: type[Job]) -> None:
    module, _, function = job.worker.partition(":")
    assert callable(getattr(import_module(module), function))
