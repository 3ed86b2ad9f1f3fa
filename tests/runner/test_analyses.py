"""A kind of analysis that only this module declares, from the queue to the database, a file and back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import msgspec
import pytest

from etui.analysis_kinds.kind import AnalysisKind
from etui.analysis_kinds.registry import KINDS
from etui.errors import ImportRefused, StoreError
from etui.host.user import user_name
from etui.jobs import JobFor
from etui.runner import unsaved_results
from etui.runner.abandoned_work import end_abandoned
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.run import run_analysis
from etui.runner.fork_servers import WorkerPool
from etui.runner.program_cache import ProgramCache
from etui.runner.unsaved_results import UnsavedAnalysis
from etui.spec import AnalysisOptions
from etui.store import QueuedAnalysis, RunnerIdentity, Store
from etui.store.transfer import encode_document, read_documents
from tests.documents import make_document
from tests.insights import make_gap
from tests.profiles import make_profile

RUN = "aaaaaaaaaaa1"
RUNNER = RunnerIdentity(
    pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="2026-11-20T10:00:00.000Z"
)


class CountOptions(AnalysisOptions, tag="count", frozen=True, kw_only=True):
    most: int = 3


class Count(msgspec.Struct, frozen=True, kw_only=True):
    modules: dict[str, int]
    share: float | None = None


class CountJob(JobFor[Count], tag="count", frozen=True, kw_only=True):
    worker: ClassVar[str] = "nowhere:count"

    bundle: str
    most: int


COUNT = AnalysisKind(
    options=CountOptions,
    job=CountJob,
    result=Count,
    title="count",
    purpose="count",
    tab_title="Count",
    tab="nowhere:Count",
    make_job=lambda run, options: CountJob(bundle=run.bundle, most=options.most),
    log_lines=lambda count: [f"{len(count.modules)} modules"],
    eager_needed_for="to count in",
)


class Workers:
    """Answer the job with the number of modules that it requests."""

    async def do(self, job: CountJob, _say: object) -> Count:
        return Count(modules={f"{job.bundle}.{number}": number for number in range(job.most)})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "box.lock"))
    monkeypatch.setitem(KINDS, "count", COUNT)
    with Store.open(tmp_path / "etui.db") as opened:
        opened.save_document(make_document(RUN))
        yield opened


def _claimed(store: Store, options: AnalysisOptions) -> QueuedAnalysis:
    store.add_analysis(RUN, options, box="")
    claimed = store.claim_next(RUNNER)
    assert isinstance(claimed, QueuedAnalysis)
    return claimed


async def _run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: AnalysisOptions, *, has_eager: bool = True
) -> QueuedAnalysis:
    async def program(_analysis: Analysis) -> Any:
        return SimpleNamespace(
            bundle=SimpleNamespace(path="bundle", has_eager=has_eager),
            lowered=SimpleNamespace(path="program.pte"),
            origin=SimpleNamespace(calibration_count=8, keep_fp32=()),
            model="m",
            program_dir="program",
        )

    monkeypatch.setattr(Analysis, "program", program)
    queued = _claimed(store, options)
    await run_analysis(store, cast("WorkerPool", Workers()), ProgramCache(tmp_path / "cache"), queued)
    return store.get_analysis(queued.id)


@pytest.mark.asyncio
async def test_kind_with_one_job_is_stored_in_the_document(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.document(RUN)
    assert COUNT.result_in(before) is None and b"analyses" not in encode_document(before)
    ended = await _run(store, tmp_path, monkeypatch, CountOptions(most=2))
    assert (ended.kind, ended.status, ended.options) == ("count", "done", CountOptions(most=2))
    after = store.document(RUN)
    assert COUNT.result_in(after) == Count(modules={"bundle.0": 0, "bundle.1": 1})
    assert "2 modules" in [event.message for event in store.events_after(ended.session)]
    await _run(store, tmp_path, monkeypatch, CountOptions(most=1))
    assert COUNT.result_in(store.document(RUN)) == Count(modules={"bundle.0": 0})


@pytest.mark.asyncio
async def test_kind_that_needs_eager_refuses_a_finished_program(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await _run(store, tmp_path, monkeypatch, CountOptions(), has_eager=False)
    assert ended.status == "failed" and ended.error is not None and "eager model to count in" in ended.error
    assert COUNT.result_in(store.document(RUN)) is None


def test_results_of_several_kinds_survive_export_and_import(store: Store, tmp_path: Path) -> None:
    count, gap, profile = Count(modules={"a": 1}, share=0.5), make_gap(), make_profile()
    for result in (count, gap, profile):
        store.save_result(RUN, result)
    document = store.document(RUN)
    assert (COUNT.result_in(document), document.gap, document.profile) == (count, gap, profile)
    file = tmp_path / "run.json"
    file.write_bytes(encode_document(document))
    with Store.open(tmp_path / "other.db") as other:
        other.import_documents(read_documents(file))
        assert encode_document(other.document(RUN)) == file.read_bytes()


def test_results_of_unknown_kinds_are_kept_and_damaged_ones_are_refused(store: Store, tmp_path: Path) -> None:
    document = make_document(RUN)
    document.analyses = {"of a newer etui": {"x": [1]}, "count": {"modules": {"a": 1}}}
    file = tmp_path / "run.json"
    file.write_bytes(encode_document(document))
    with Store.open(tmp_path / "other.db") as other:
        other.import_documents(read_documents(file))
        assert other.document(RUN).analyses == document.analyses
    document.analyses = {"count": {"modules": {"a": "one"}}}
    file.write_bytes(encode_document(document))
    with pytest.raises(ImportRefused, match=r"\$\.analyses\.count\.modules"):
        read_documents(file)
    store.save_document(document)
    with pytest.raises(StoreError, match="damaged"):
        store.document(RUN)


def _unsaved(store: Store, changes: dict[str, object]) -> str:
    """Write the file of an analysis that has ended and whose result was not stored; return the analysis id."""
    queued = _claimed(store, KINDS[str(changes.pop("kind"))].options())
    unsaved = UnsavedAnalysis(analysis_id=queued.id, run=RUN, session=queued.session, status="done")
    file = unsaved_results.keep(store.path, unsaved)
    value = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    assert value.pop("pass_id") == queued.id
    file.write_bytes(msgspec.json.encode({"pass_id": queued.id, **value, **changes}))
    return queued.id


@pytest.mark.parametrize(
    ("kind", "field", "result"),
    [
        ("count", "result", Count(modules={"a": 1})),
        ("gap", "result", make_gap()),
        ("gap", "gap", make_gap()),  # as earlier versions wrote it
        ("profile", "profile", make_profile()),
    ],
)
def test_result_saved_in_a_file_is_stored(store: Store, kind: str, field: str, result: msgspec.Struct) -> None:
    analysis_id = _unsaved(store, {"kind": kind, field: result})
    with Store.open(store.path) as front:
        end_abandoned(front)
        assert front.get_analysis(analysis_id).status == "done"
        assert KINDS[kind].result_in(front.document(RUN)) == result
    assert not unsaved_results.has_unsaved(store.path)


def test_file_with_a_result_of_another_kind_is_kept(store: Store) -> None:
    _unsaved(store, {"kind": "count", "result": make_gap()})
    with Store.open(store.path) as front:
        end_abandoned(front)
        assert COUNT.result_in(front.document(RUN)) is None
    assert unsaved_results.has_unsaved(store.path)
