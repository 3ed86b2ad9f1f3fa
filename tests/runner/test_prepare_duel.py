"""Two runs' programs measured again: real exports of small models, real worker processes, the installed command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from etui.results import RunDocument
from etui.services.duel import DuelOptions, queue_duel
from etui.store import Store
from tests.documents import encode_documents, make_document
from tests.facts import lacking
from tests.machines import Machine, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
FEW = ("--repeat", "40", "--warmup", "2")
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(warm_machine: Machine) -> dict[str, RunDocument]:
    """Return finished runs by name: two precisions of one session, one of a later session without cache, one of another
    model."""
    warm_machine.etui("run", MODEL, "--precision", "fp32,int8", *FEW, status=None)
    warm_machine.etui("run", MODEL, *FEW, "--no-cache")
    warm_machine.etui("run", f"{TINY}:indexed", *FEW)
    other, later, *both = [warm_machine.document(one["id"]) for one in warm_machine.summaries()]
    return {run.precision: run for run in both} | {"later": later, "other": other}


def _duel(machine: Machine, first: RunDocument, second: RunDocument, *options: str) -> dict[str, Any]:
    done = machine.etui("duel", first.id, second.id, *FEW, *options, "--json")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_duel_is_a_session_of_two_new_runs_compared_in_pairs(
    warm_machine: Machine, runs: dict[str, RunDocument]
) -> None:
    duel = _duel(warm_machine, runs["fp32"], runs["later"])
    (comparison,) = duel["comparisons"]
    assert comparison["kind"] == "paired" and comparison["verdict"] is not None and comparison["base_blocks"] == 2
    first, second = (warm_machine.document(run_id) for run_id in (duel["base"], *duel["others"]))
    assert (first.repeats, second.repeats) == (runs["fp32"].id, runs["later"].id)
    assert first.session == second.session and first.session.id not in {run.session.id for run in runs.values()}
    # The same configuration twice in one session, but with separate blocks, positioned in every block's order.
    assert {block.variant for block in first.blocks} == {f"fp32/xnnpack@{first.repeats}"}
    for index in range(2):
        blocks = [run.blocks[index] for run in (first, second)] + [first.eager_blocks[index]]
        assert sorted(block.position for block in blocks) == [0, 1, 2]
    assert first.blocks != second.blocks and first.eager_blocks == second.eager_blocks
    assert first.accuracy is not None and first.accuracy.verdict == "PASS" and first.speedup is not None
    assert first.artifact is not None and runs["fp32"].artifact is not None
    assert first.artifact.sha256 == runs["fp32"].artifact.sha256
    later = json.loads(warm_machine.etui("compare", first.id, second.id, "--json").stdout)
    assert later["comparisons"] == duel["comparisons"]


def test_different_models_are_compared_without_eager_and_with_separate_accuracy(
    warm_machine: Machine, runs: dict[str, RunDocument]
) -> None:
    done = warm_machine.etui("duel", runs["int8"].id, runs["other"].id, *FEW)
    assert not lacking(done.stdout, "model differs", "models differ", runs["other"].id)
    assert "times as" in done.stdout or "% " in done.stdout
    second, first = (warm_machine.document(one["id"]) for one in warm_machine.summaries()[:2])
    assert (first.model.name, second.model.name) == ("tiny-convolutional", "tiny-indexed")
    assert first.blocks and second.blocks and not first.eager_blocks and first.speedup is None
    assert first.accuracy is not None and second.accuracy is not None
    assert len(first.accuracy.end_to_end.outputs) == 8 and len(second.accuracy.end_to_end.outputs) == 16


def test_exported_duel_can_be_imported_and_repeated(
    warm_machine: Machine, runs: dict[str, RunDocument], tmp_path: Path
) -> None:
    duel = _duel(warm_machine, runs["int8"], runs["fp32"])
    ids = [duel["base"], *duel["others"]]
    warm_machine.etui("export", *ids, "-o", tmp_path / "duel.json")
    shutil.rmtree(warm_machine.cache / "programs")
    shutil.rmtree(warm_machine.cache / "models")
    elsewhere = Machine(warm_machine.folder)
    elsewhere.database = tmp_path / "other.db"
    elsewhere.environment = {**warm_machine.environment, "ETUI_DB": str(elsewhere.database)}
    try:
        elsewhere.etui("import", tmp_path / "duel.json")
        assert [elsewhere.document(one) for one in ids] == [warm_machine.document(one) for one in ids]
        assert str(TINY) in elsewhere.etui("duel", *ids, *FEW, status=2).stderr
        done = elsewhere.etui("duel", *ids, *FEW, "--trust-file", TINY, "--verbose")
        # The cache is empty: both programs were prepared again with identical bytes.
        assert done.stderr.count("lowering for xnnpack took") == 2 and "bytes differ" not in done.stderr
        again = [elsewhere.document(one["id"]) for one in elsewhere.summaries() if one["id"] not in ids]
        assert {run.repeats for run in again} == set(ids)
        assert {run.artifact and run.artifact.key for run in again} == {
            run.artifact and run.artifact.key for run in (runs["int8"], runs["fp32"])
        }
    finally:
        elsewhere.close()


def test_finished_program_is_compared_with_the_run_that_exported_it(
    warm_machine: Machine, runs: dict[str, RunDocument], tmp_path: Path
) -> None:
    warm_machine.etui("run", MODEL, "--export-only", "-o", tmp_path)
    (program,) = tmp_path.iterdir()
    warm_machine.etui("run", program, *FEW)
    bare = warm_machine.document(warm_machine.summaries()[0]["id"])
    shutil.rmtree(warm_machine.cache / "programs")
    duel = _duel(warm_machine, runs["fp32"], bare)
    second = warm_machine.document(duel["others"][0])
    assert second.blocks and second.accuracy is None and second.artifact is not None and bare.artifact is not None
    assert second.artifact.sha256 == bare.artifact.sha256


def test_cancelling_one_side_cancels_the_duel(warm_machine: Machine, runs: dict[str, RunDocument]) -> None:
    options = (*LONG, "--detach")
    first, second = warm_machine.etui("duel", runs["fp32"].id, runs["int8"].id, *options).stdout.split()
    warm_machine.wait_for_status(first, "measuring")
    warm_machine.etui("cancel", second)
    assert warm_machine.wait_for_status(first, "cancelled", "done", "failed") == "cancelled"
    assert warm_machine.status(second) == "cancelled"
    until(lambda: not warm_machine.jobs())


def test_run_deleted_before_it_is_measured_fails_both_sides(
    warm_machine: Machine, runs: dict[str, RunDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in warm_machine.environment.items():
        monkeypatch.setenv(name, value)
    deleted = msgspec.structs.replace(runs["fp32"], id="abcdef")
    (ahead,) = warm_machine.detach(MODEL, *LONG)
    warm_machine.wait_for_status(ahead, "measuring")
    with Store.open(warm_machine.database) as store:
        store.import_documents([deleted])
        queued = queue_duel(store, runs["int8"].id, "abcdef", DuelOptions(preset="quick"))
        store.delete_runs(["abcdef"])
    warm_machine.etui("cancel", ahead)
    first, second = (run_id for run_id, _ in queued.runs)
    assert warm_machine.wait_for_status(first, "failed", "done") == warm_machine.wait_for_status(
        second, "failed", "done"
    )
    assert "abcdef" in (warm_machine.document(first).error or "")


def test_impossible_duel_is_refused_in_one_line(
    warm_machine: Machine, runs: dict[str, RunDocument], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    shutil.copyfile(TINY, mine)
    warm_machine.etui("run", f"{mine}:convolutional", *FEW)
    warm_machine.etui("run", f"{mine}:raises", *FEW, "--no-check", status=3)
    failed, own = (one["id"] for one in warm_machine.summaries()[:2])
    bare = make_document("summaryonly1")
    bare.artifact, bare.summary_only = None, True
    older = msgspec.structs.replace(runs["fp32"], id="olderrun0001")
    assert older.artifact is not None and older.environment is not None
    precious = warm_machine.folder / "precious"
    precious.mkdir()
    # An imported key must not point anywhere: damaged files under a key are removed.
    older.artifact = msgspec.structs.replace(older.artifact, key="../../precious")
    versions = older.environment.versions | {"executorch": "1.4.0"}
    older.environment = msgspec.structs.replace(older.environment, versions=versions)
    (tmp_path / "runs.json").write_bytes(encode_documents([bare, older]))
    warm_machine.etui("import", tmp_path / "runs.json")
    good = runs["fp32"].id

    def refused(*arguments: str) -> str:
        done = warm_machine.etui("duel", *arguments, status=2)
        assert not done.stdout and done.stderr.count("\n") == 1 and done.stderr.startswith("etui: ")
        return done.stderr

    before = len(warm_machine.summaries())
    assert "with itself" in refused(good, good[:8])
    assert "no run" in refused(good, "fffffffffff0")
    assert "failed" in refused(good, failed)
    assert not lacking(refused("summaryonly1", good), "summary", "program")
    assert not lacking(refused("olderrun0001", good), "executorch", "1.4.0")
    assert precious.is_dir()
    assert "cores" in refused(good, runs["int8"].id, "--threads", "4096")
    mine.write_text(mine.read_text() + "\n# another file now\n")
    assert "changed since" in refused(good, own)
    mine.unlink()
    assert str(mine) in refused(own, good)
    assert len(warm_machine.summaries()) == before
