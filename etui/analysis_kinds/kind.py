"""What a kind of analysis declares about itself, for the runner, the database and the front ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from etui.jobs import Job
from etui.results import RunDocument
from etui.spec import AnalysisOptions

O = TypeVar("O", bound=AnalysisOptions)  # noqa: E741
R = TypeVar("R", bound=msgspec.Struct)


class PreparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run whose bundle and program are in the cache, as a job needs it. ``bundle`` and ``program_dir`` are
    folders, ``program`` is the file of the program. ``threads`` and ``cpus`` are those of its measurement."""

    document: RunDocument
    model: str
    bundle: str
    program: str
    program_dir: str
    calibration_count: int
    keep_fp32: tuple[str, ...]
    threads: int
    cpus: list[int]


class AnalysisKind(msgspec.Struct, Generic[O, R], frozen=True, kw_only=True):
    """A kind of analysis: its options, its job in a worker, its result, and its texts.

    ``title`` is its name in messages ("the .. was cancelled"), ``purpose`` completes "Press P to ..".

    ``make_job`` returns the job of a run, whose result is that of the analysis, and ``log_lines`` the lines about a
    result for the run's log. A kind without ``make_job`` needs more than one job; ``etui.runner.analyses.run`` has the
    function that executes it. ``eager_needed_for`` says what a kind that does not work without an eager model needs it
    for ("to compare with"). ``one_shape``: it does not work with a program for a range of shapes.

    ``tab_title`` and ``tab`` are its tab in the details of a run: the title, and the widget as "module:class", which is
    also an ``AnalysisTab``. ``document_field`` is the field of ``RunDocument`` with the result; if empty, it is in
    ``analyses``, by name.
    """

    options: type[O]
    job: type[Job]
    result: type[R]
    title: str
    purpose: str
    tab_title: str
    tab: str
    make_job: Callable[[PreparedRun, O], Job] | None = None
    log_lines: Callable[[R], list[str]] = lambda _result: []
    eager_needed_for: str = ""
    one_shape: bool = False
    document_field: str = ""

    @property
    def name(self) -> str:
        """The name in the database and in the log: the tag of its options."""
        return self.options.kind_name()

    def result_in(self, document: RunDocument) -> R | None:
        """Return the newest result of this kind for a run; None if it has none.

        Raises:
            msgspec.ValidationError: it is something else; not for documents of the database, which are checked.
        """
        if self.document_field:
            return cast("R | None", getattr(document, self.document_field))
        analyses = document.analyses
        if analyses is msgspec.UNSET or self.name not in analyses:
            return None
        return msgspec.convert(analyses[self.name], self.result)


AnyKind = AnalysisKind[Any, Any]
