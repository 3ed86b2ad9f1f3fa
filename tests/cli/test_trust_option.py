"""Imported runs name files; none of them is executed or read before the user has allowed that file by its name."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from etui.analysis_kinds.gap import GapOptions
from etui.analysis_kinds.profile import ProfileOptions
from etui.catalog.find import describe
from etui.catalog.models import MODELS
from etui.results import RunDocument
from etui.spec import AnalysisOptions, Repeated, SessionSpec, Variant
from etui.store import Store
from tests.cli.conftest import Etui
from tests.documents import make_document, make_spec
from tests.imported_runs import IMPORTED, imported_document, planted
from tests.machines import Machine

OTHER = "cafe00000002"
TINY = Path(__file__).parents[1] / "engine" / "tiny.py"


@pytest.fixture
def code(tmp_path: Path, stored: Callable[..., None]) -> Path:
    """The file that an imported run names; the run is stored."""
    planted_code, _ = planted(tmp_path)
    stored(imported_document(planted_code), imported_document(planted_code, OTHER))
    return planted_code


def _waiting(database: Path) -> int:
    with Store.open(database) as store:
        return len(store.live_analyses()) + len(store.live_run_ids())


@pytest.mark.parametrize(
    "words", [("profile", IMPORTED), ("gap", IMPORTED), ("gap", IMPORTED, "--again"), ("duel", IMPORTED, OTHER)]
)
def test_work_on_an_imported_run_names_the_file_and_stops(
    etui: Etui, code: Path, database: Path, words: tuple[str, ...]
) -> None:
    done = etui(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(code) in done.stderr and f"--trust-file {code}" in done.stderr
    assert _waiting(database) == 0
    # Another file is not this one.
    assert etui(*words, "--trust-file", code.with_name("other.py")).returncode == 2
    assert not code.with_name("code-was-executed").exists()


def test_weights_that_an_imported_run_names_are_asked_for_too(
    etui: Etui, tmp_path: Path, stored: Callable[..., None]
) -> None:
    code, _ = planted(tmp_path)
    spec = SessionSpec(model="resnet18", variants=(Variant("int8", "xnnpack"),), weights=str(tmp_path / "weights.pt"))
    document = msgspec.structs.replace(imported_document(code, spec=spec), model=describe(MODELS["resnet18"]))
    stored(document)
    done = etui("profile", IMPORTED)
    assert done.returncode == 2 and f"--trust-file {tmp_path / 'weights.pt'}" in done.stderr


def test_a_run_that_claims_to_be_of_a_session_of_this_machine_is_an_imported_one(
    etui: Etui, code: Path, database: Path
) -> None:
    with Store.open(database) as store:
        own = store.add_session(make_spec(), model=describe(MODELS["resnet18"]), box="elsewhere")
        store.finish_session(own.id)
        claimed = imported_document(code, "cafe00000003")
        claimed = msgspec.structs.replace(claimed, session=msgspec.structs.replace(claimed.session, id=own.id))
        store.import_documents([claimed])
        assert store.is_imported("cafe00000003")
        assert not store.is_imported(own.runs[0][0])
    assert etui("profile", "cafe00000003").returncode == 2


@pytest.mark.parametrize("changed", [{"data": "/etc"}, {"allow_pickle": True}])
def test_a_run_with_other_rights_than_its_session_here_is_an_imported_one(
    database: Path, code: Path, changed: dict[str, object]
) -> None:
    with Store.open(database) as store:
        own = store.add_session(make_spec(), model=describe(MODELS["resnet18"]), box="elsewhere")
        store.finish_session(own.id)
        for run_id, fields in (("cafe00000004", {}), ("cafe00000005", changed)):
            claimed = imported_document(code, run_id)
            spec = msgspec.to_builtins(own.spec) | fields
            session = msgspec.structs.replace(claimed.session, id=own.id, spec=spec, created_at="2026-01-01")
            store.import_documents([msgspec.structs.replace(claimed, session=session)])
        assert not store.is_imported("cafe00000004")
        assert store.is_imported("cafe00000005")


def _terminal(command: list[str | Path], answer: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own and answer its question. Returns its exit status and its output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}, close_fds=True
    )
    os.close(theirs)
    printed = b""
    os.write(ours, answer.encode())
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        printed += part
    os.close(ours)
    return process.wait(60), printed.decode()


def test_on_a_terminal_it_is_asked_and_no_is_the_default(machine: Machine, tmp_path: Path) -> None:
    code, mark = planted(tmp_path)
    with Store.open(machine.database) as store:
        store.import_documents([imported_document(code)])
    command: list[str | Path] = [Path(sys.executable).with_name("etui"), "profile", IMPORTED]
    status, printed = _terminal(command, "\n", machine.environment)
    assert status == 2 and str(code) in printed and "[y/N]" in printed
    assert not mark.exists() and _waiting(machine.database) == 0


def _run_runner(machine: Machine) -> None:
    subprocess.run(
        [sys.executable, "-m", "etui.runner", str(machine.database)],
        env={**machine.environment, "ETUI_LINGER_S": "0"}, check=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("options", [ProfileOptions(), GapOptions()])
def test_the_queue_is_no_way_round_the_question(machine: Machine, tmp_path: Path, options: AnalysisOptions) -> None:
    code, mark = planted(tmp_path)
    with Store.open(machine.database) as store:
        store.import_documents([imported_document(code)])
        queued = store.add_analysis(IMPORTED, options, box="")
        _run_runner(machine)
        ended = store.get_analysis(queued.id)
    assert ended.status == "failed" and ended.error is not None and str(code) in ended.error
    assert not mark.exists()


@pytest.mark.slow
def test_a_duel_in_the_queue_is_refused_by_the_runner(machine: Machine, tmp_path: Path) -> None:
    code, mark = planted(tmp_path)
    document = imported_document(code)
    with Store.open(machine.database) as store:
        store.import_documents([document, imported_document(code, OTHER)])
        variants = tuple(
            Variant("int8", "xnnpack", repeats=Repeated(run=run_id, model=f"{code}:make"))
            for run_id in (IMPORTED, OTHER)
        )
        spec = SessionSpec(model=f"{code}:make", variants=variants, trusted_files=("/another/file.py",))
        queued = store.add_session(spec, model=document.model, box="")
        _run_runner(machine)
        ended = [store.summary(run_id) for run_id, _ in queued.runs]
    assert {run.status for run in ended} == {"failed"}
    assert any(str(code) in (run.error or "") for run in ended)
    assert not mark.exists()


@pytest.mark.slow
def test_a_file_that_was_allowed_is_used(machine: Machine, tmp_path: Path) -> None:
    model = tmp_path / "mine.py"
    model.write_text(TINY.read_text())
    (run_id,) = machine.detach(f"{model}:convolutional", "--preset", "quick", "--repeat", "6", "--warmup", "1")
    assert machine.wait_for_status(run_id, "done", "failed") == "done"
    machine.etui("export", run_id, "-o", tmp_path / "run.json")
    machine.etui("delete", run_id, "--yes")
    machine.etui("import", tmp_path / "run.json")
    assert str(model) in machine.etui("profile", run_id, status=2).stderr
    machine.etui("profile", run_id, "--no-eager", "--inferences", "2", "--trust-file", model)
    document: RunDocument = machine.document(run_id)
    assert document.profile is not None


def test_runs_of_the_catalog_go_without_a_question(etui: Etui, stored: Callable[..., None], tmp_path: Path) -> None:
    code, _ = planted(tmp_path)
    spec = SessionSpec(model="resnet18", variants=(Variant("int8", "xnnpack"),))
    document = msgspec.structs.replace(imported_document(code, spec=spec), model=describe(MODELS["resnet18"]))
    stored(msgspec.structs.replace(document, status="failed", error="it was made to"), make_document())
    # What refuses this run is how it ended.
    assert "--trust-file" not in etui("profile", IMPORTED).stderr
