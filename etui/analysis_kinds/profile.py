"""The kind of analysis ``profile``: the time of each operator of a run's program and of eager."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from etui.analysis_kinds.kind import AnalysisKind
from etui.insight import OperatorSide, Profile
from etui.jobs import JobFor
from etui.spec import AnalysisOptions


class ProfileOptions(AnalysisOptions, tag="profile", frozen=True, kw_only=True):
    """How to profile the operators of a finished run.

    ``inferences`` is the number of traced inferences of each side; None derives it from the time they take. ``eager``
    profiles the eager side too. ``keep_dir`` is a folder for the files that other tools read; ``etrecord`` adds an
    ETRecord to the ETDump there, for which the program is lowered again if none was kept.
    """

    inferences: int | None = None
    eager: bool = True
    keep_dir: str | None = None
    etrecord: bool = False
    force: bool = False


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a profile, with notes for its reader."""

    side: OperatorSide
    notes: list[str] = []


class ProfileJob(JobFor[ProfileResult], tag="profile", frozen=True, kw_only=True):
    """Profile the operators of a program, or of eager if ``program`` is None.

    ``inferences`` None traces as many as fit into ``budget_s`` seconds. The ETDump and a timeline of a few inferences
    are written to ``files_dir``, if given.
    """

    worker: ClassVar[str] = "etui.engine.profile.run:run_side"
    doing: ClassVar[str] = "profiling"

    bundle: str
    model: str
    program: str | None
    delegate: str
    threads: int
    inferences: int | None
    budget_s: float
    run_id: str
    files_dir: str | None = None
    cpus: list[int] | None = None


PROFILE = AnalysisKind(
    options=ProfileOptions,
    job=ProfileJob,
    result=Profile,
    title="profile",
    purpose="profile this run: the time of each operator, in the program and in eager",
    tab_title="Operators",
    tab="etui.tui.details.operators_tab:OperatorsTab",
    document_field="profile",
)
