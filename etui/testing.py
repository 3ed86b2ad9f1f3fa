"""Measure models in tests: the class behind the pytest fixture ``etui_run``, and the options of ``etui.verify``.

A session that a test requests is queued in a database and executed by the runner like any other. The runner waits for
the machine lock, so tests that run in parallel never measure at the same time.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypedDict, Unpack

import pytest

from etui.analysis.accuracy import judge
from etui.catalog.find import Model, describe
from etui.errors import EtuiError, UsageError
from etui.paths import installation, runner_log_path
from etui.results import Accuracy, RunDocument, Tolerance
from etui.runner.runner_lock import RunnerLock
from etui.services.follow import ProgressPrinter, follow
from etui.services.request import (
    FieldError,
    Options,
    check_model,
    check_preset,
    combine,
    default_configuration,
    specification,
)
from etui.services.submit import submit
from etui.spec import PresetName, Variant
from etui.store import Store
from etui.text import plain
from etui.wording import run as run_wording
from etui.wording.verdict import verdict

ModelReference = str | Path | Callable[[], object]

_TOLERANCES = {"sqnr_db": "sqnr_db_min", "cosine": "cosine_min", "top1": "top1_min", "mae": "mae_max"}
_LEAVING_S, _POLL_S = 20.0, 0.02


class Measuring(TypedDict, total=False):
    """How to measure: the keyword arguments of ``EtuiRun``, each like the option of ``etui run``.

    An argument that is not given has the value of the pytest option (``--etui-preset``, ``--etui-threads``,
    ``--etui-timeout``, ``--etui-wait-quiet``), else the default of ``etui run``. ``repeat`` is the number of timed
    inferences of each variant over all blocks, ``warmup`` that of untimed ones per block. ``timeout_s`` is in seconds,
    ``wait_quiet_min`` in minutes. ``weights`` is ``auto``, ``pretrained``, ``synthetic`` or a path.
    ``calibration_count`` and ``accuracy_inputs`` are numbers of inputs, ``data`` is a folder to make them from.
    ``allow_pickle`` lets a ``.pt2`` run code from its pickled parts.
    """

    preset: PresetName
    repeat: int | None
    warmup: int | None
    threads: int | None
    weights: str
    timeout_s: float | None
    calibration_count: int
    accuracy_inputs: int
    seed: int
    use_cache: bool
    wait_quiet_min: float | None
    allow_pickle: bool
    data: str | None


class EtuiRun:
    """Measures models for tests; the fixture ``etui_run`` is an instance.

    ``runs`` has the document (``etui.results.RunDocument``) of every run measured so far, in order.
    """

    def __init__(
        self,
        database: Path,
        *,
        temporary: bool,
        folders: Sequence[Path],
        preset: str = "default",
        threads: int | None = None,
        timeout_s: float | None = None,
        wait_quiet_min: float | None = None,
    ) -> None:
        """Open the database, or create it.

        ``temporary`` means that no other process uses the database, so that its runner is ended with the tests.
        Relative paths of models are searched for in ``folders``, in order. ``threads`` is a number of threads (None:
        one per usable core), ``timeout_s`` the seconds a session may take, ``wait_quiet_min`` the minutes to wait at
        most for a calm machine.

        Raises:
            StoreError: the database cannot be opened.
            UsageError: there is no such preset.
        """
        self._store = Store.open(database)
        self._temporary = temporary
        self._folders = folders
        self._defaults = Measuring(
            preset=check_preset(preset), threads=threads, timeout_s=timeout_s, wait_quiet_min=wait_quiet_min
        )
        self._lines: list[str] = []
        self.runs: list[RunDocument] = []

    def __call__(
        self,
        model: ModelReference,
        precision: str | None = None,
        delegate: str | None = None,
        *,
        check: bool = True,
        **options: Unpack[Measuring],
    ) -> RunDocument:
        """Measure one variant and the eager baseline, and return the run's document.

        ``model`` is a name from the catalog, ``FILE.py:FACTORY``, a ``.pt2``, a ``.pte``, or a function at the top
        level of a file that returns (module, inputs). ``precision`` and ``delegate`` default to those of ``etui run``.

        The test fails (``pytest.fail``) if the options cannot be used together, and, unless ``check`` is False, if the
        run did not end as ``done``. Accuracy and latency are not judged; the test does that, for example with
        ``run.accuracy.verdict == "PASS"`` or ``run.latency_ms.median < 20``.
        """
        __tracebackhide__ = True
        precisions, delegates = (None if one is None else [one] for one in (precision, delegate))
        (run,) = self.together(model, precisions, delegates, check=check, **options)
        return run

    def together(
        self,
        model: ModelReference,
        precisions: Iterable[str] | None = None,
        delegates: Iterable[str] | None = None,
        *,
        check: bool = True,
        **options: Unpack[Measuring],
    ) -> list[RunDocument]:
        """Measure several variants of one model interleaved in one session, and return a document for each.

        The variants are all combinations of ``precisions`` and ``delegates``, in order of precision, then delegate.
        Their blocks form pairs, so ``etui.analysis.comparison.compare(runs[0], runs[1:])`` decides which is faster.

        The test fails under the same conditions as for a single run.
        """
        __tracebackhide__ = True
        try:
            found = check_model(self._reference(model), allow_pickle=options.get("allow_pickle", False))
            precision, delegate = default_configuration(found)
            variants, refused = combine(found, precisions or [precision], delegates or [delegate])
            for variant, reason in refused.items():
                raise UsageError(f"{found.name} cannot be run as {variant.label}: {reason}")
            runs = self._measure(found, variants, self._defaults | options)
        except EtuiError as error:
            pytest.fail(f"etui: {plain(str(error))}")
        for run in runs:
            if check and run.status != "done":
                sentences = " ".join(one.text for one in verdict(run))
                pytest.fail(f"etui: {_name(run)}: {sentences} Its log was captured.")
        return runs

    def take_lines(self) -> list[str]:
        """Return one line per run measured since the last call, for the report at the end of the tests."""
        lines, self._lines = self._lines, []
        return lines

    def close(self) -> None:
        """Close the database. The runner of a temporary one is ended."""
        path = self._store.path
        self._store.close()
        if self._temporary:
            _end_runner(path)

    def _measure(self, model: Model, variants: Sequence[Variant], options: Measuring) -> list[RunDocument]:
        queued = submit(self._store, specification(model, variants, _session_options(options)), describe(model))
        ids = [run_id for run_id, _ in queued.runs]
        # Written where pytest captures it, so that a failed test shows its run's log.
        talk = ProgressPrinter(sys.stderr, {run_id: variant.label for run_id, variant in queued.runs}, verbose=True)
        try:
            follow(self._store, queued, talk)
        except BaseException:
            self._store.request_cancel(ids)
            raise
        finally:
            talk.close()
        runs = [self._store.document(run_id) for run_id in ids]
        self.runs += runs
        self._lines += [_line(run) for run in runs]
        return runs

    def _reference(self, model: ModelReference) -> str:
        if callable(model):
            file = inspect.getsourcefile(model)
            if file is None or "." in model.__qualname__ or "<" in model.__qualname__:
                raise UsageError(
                    f"{model.__qualname__} is not a function at module level",
                    "worker processes must be able to import it",
                )
            return f"{file}:{model.__name__}"
        text = os.fspath(model)
        path = text.rpartition(":")[0] if ".py:" in text else text
        for folder in self._folders:
            if (folder / path).is_file():
                return str(folder / text)
        return text


def judged(run: RunDocument, tolerance: Tolerance | None) -> Accuracy | None:
    """The accuracy of a run, judged by ``tolerance`` instead of the model's own; None if it was not measured.

    Without a tolerance the run's accuracy is returned as it is. The figures stay; verdict and reason are new.
    """
    if run.accuracy is None or tolerance is None:
        return run.accuracy
    verdict, reason = judge(run.accuracy.end_to_end, tolerance)
    return Accuracy(
        verdict=verdict,
        reason=reason,
        tolerance=tolerance,
        end_to_end=run.accuracy.end_to_end,
        lowering=run.accuracy.lowering,
    )


def _session_options(options: Measuring) -> Options:
    threads = options.get("threads")
    values: dict[str, Any] = {**options, "threads": () if threads is None else (threads,)}
    return Options(**values)


def verified(config: pytest.Config) -> tuple[str, list[Variant], Tolerance | None]:
    """The model's reference, the variants and the tolerance from the options of ``etui.verify``.

    Raises:
        pytest.UsageError: no model is named, or the model cannot be run with these options.
    """
    if not (text := config.getoption("etui_model")):
        _refuse("etui.verify needs a model: --model NAME; see `etui models`")
    try:
        model = check_model(text)
        precision, delegate = default_configuration(model)
        names = [
            [part.strip() for part in (config.getoption(option) or default).split(",") if part.strip()]
            for option, default in (("etui_precision", precision), ("etui_delegate", delegate))
        ]
        variants, refused = combine(model, *names)
        for variant, reason in refused.items():
            _refuse(f"{model.name} cannot be run as {variant.label}: {reason}")
        options = Measuring(weights=config.getoption("etui_weights"), threads=config.getoption("etui_threads"))
        specification(model, variants, _session_options(options))
    except FieldError as error:
        _refuse(f"--{error.field}: {error}")
    except EtuiError as error:
        _refuse(str(error))
    return model.reference, variants, parse_tolerance(config.getoption("etui_tolerance"))


def parse_tolerance(text: str | None) -> Tolerance | None:
    """The tolerance that the text of ``--etui-tolerance`` describes (``sqnr_db=20,cosine=0.99``); None if it is empty.

    ``sqnr_db`` is in dB and, like ``cosine`` and ``top1``, a minimum; ``mae`` is a maximum in the unit of the output.

    Raises:
        pytest.UsageError: a name is unknown, or a value is not a number.
    """
    if not text:
        return None
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in _TOLERANCES:
            _refuse(f"--tolerance accepts {', '.join(_TOLERANCES)}, not {name!r}: write sqnr_db=20,cosine=0.99")
        try:
            limits[_TOLERANCES[name]] = float(value)
        except ValueError:
            _refuse(f"--tolerance: {value!r} is not a number for {name}")
    return Tolerance(source="--tolerance", **limits)


def _refuse(message: str) -> NoReturn:
    raise pytest.UsageError(f"etui: {plain(message)}")


def _name(run: RunDocument) -> str:
    return plain(f"{run.model.name} {run.configuration}")


def _line(run: RunDocument) -> str:
    """A run in one line: latency, speed-up, accuracy verdict, flags and id."""
    sentences = [run_wording.ending(run), run_wording.speed(run), run_wording.accuracy(run)]
    flags = f" Flags: {', '.join(flag.name for flag in run.flags)}." if run.flags else ""
    weights = " Weights are synthetic." if run.weights is not None and run.weights.kind == "synthetic" else ""
    return f"{plain(run.model.name)}: {' '.join(one for one in sentences if one)}{weights}{flags} (run {run.id})"


def _end_runner(database: Path) -> None:
    """End the runner of a database that will be deleted, and remove its lock and log, which would stay forever."""
    lifeline = RunnerLock(database, installation())
    end = time.monotonic() + _LEAVING_S
    while lifeline.runner_is_alive() and time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(lifeline.path.read_text()), signal.SIGTERM)
        time.sleep(_POLL_S)
    with contextlib.suppress(OSError):
        lifeline.clear()
        runner_log_path(database, installation()).unlink()
