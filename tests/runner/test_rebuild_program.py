"""Rebuilding the program of a finished run: what must be unchanged, and what another session takes over from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from etui.catalog.find import describe
from etui.catalog.models import MODELS
from etui.errors import UsageError
from etui.host.environment import cpu_flags
from etui.results import RunDocument, SessionInfo
from etui.runner.program_cache import installed_versions, machine_for
from etui.runner.rebuild_program import Trust, Untrusted, check_rebuildable, trusted_origin
from etui.services.rerun import spec_keeping_fp32
from etui.spec import Repeated, SessionSpec, Variant
from etui.store import Store
from etui.tui.details.analyses import run_again
from tests.documents import ENVIRONMENT, make_document

OWN = Trust(imported=False)


def test_cpu_features_are_part_of_the_key_only_for_delegates_that_depend_on_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    here = machine_for("openvino")
    assert set(cpu_flags()) < set(here) and "ONEDNN_MAX_CPU_ISA=AVX2" in here
    assert not any("OMP" in one for one in here)
    assert machine_for("xnnpack") == machine_for("xnnpack", ENVIRONMENT) == ()
    assert machine_for("openvino", ENVIRONMENT) == ("avx512_bf16",)


def test_openvino_program_of_another_cpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path))
    spec = msgspec.to_builtins(SessionSpec(model="resnet18", variants=(Variant("fp32", "openvino"),)))
    flags = [*cpu_flags(), "amx_fp16"]
    environment = msgspec.structs.replace(ENVIRONMENT, versions=installed_versions(), cpu_flags=flags)
    document = msgspec.structs.replace(
        make_document(delegate="openvino"),
        model=describe(MODELS["resnet18"]),
        environment=environment,
        session=SessionInfo(id="5e5510000001", created_at="", spec=spec),
    )
    with pytest.raises(UsageError, match=r"openvino.*amx_fp16"):
        check_rebuildable(document, OWN)
    check_rebuildable(
        msgspec.structs.replace(document, environment=msgspec.structs.replace(environment, cpu_flags=cpu_flags())),
        OWN,
    )


def _finished(spec: SessionSpec, **fields: Any) -> RunDocument:
    session = SessionInfo(id="5e5510000001", created_at="", spec=msgspec.to_builtins(spec))
    return msgspec.structs.replace(make_document(precision="int8"), session=session, **fields)


def test_run_with_more_threads_than_cores_is_not_queued_again(tmp_path: Path) -> None:
    variants = (Variant("int8", "xnnpack"),)
    spec = SessionSpec(model="resnet18", variants=variants, threads=1, keep_fp32=("fc",), seed=3)
    again = spec_keeping_fp32(_finished(spec), OWN, ["layer4"])
    assert (again.threads, again.keep_fp32, again.seed) == (1, ("fc", "layer4"), 3)
    many = msgspec.structs.replace(spec, threads=4096)
    with pytest.raises(UsageError, match=r"\d+.*4096"):
        spec_keeping_fp32(_finished(many), OWN, ["layer4"])
    # The screen's action.
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([_finished(many)])
        with pytest.raises(UsageError, match="not 4096"):
            run_again(store, _finished(many), ["layer4"])
        assert store.live_run_ids() == []


def test_run_of_a_duel_is_queued_again_with_its_own_model() -> None:
    def side(run: str, model: str, seed: int) -> Variant:
        origin = Repeated(
            run=run, model=model, weights="synthetic", seed=seed, calibration_count=4, accuracy_inputs=2, keep_fp32=()
        )
        return Variant("int8", "xnnpack", repeats=origin)

    variants = (side("first", "resnet18", 1), side("second", "mobilenet_v2", 2))
    duel = SessionSpec(model="resnet18", variants=variants, seed=1)
    again = spec_keeping_fp32(_finished(duel, repeats="second"), OWN, ["features"])
    assert (again.model, again.seed, again.weights, again.calibration_count) == ("mobilenet_v2", 2, "synthetic", 4)
    assert again.variants == (Variant("int8", "xnnpack"),) and again.keep_fp32 == ("features",)


def test_imported_document_does_not_allow_pickled_code(tmp_path: Path) -> None:
    program = tmp_path / "model.pt2"
    spec = SessionSpec(model=str(program), variants=(Variant("int8", "xnnpack"),), allow_pickle=True)
    assert trusted_origin(_finished(spec), OWN).allow_pickle
    assert not trusted_origin(_finished(spec), Trust(imported=True, files=(str(program),))).allow_pickle


def test_folder_that_an_imported_run_names_is_read_only_if_allowed(tmp_path: Path) -> None:
    spec = SessionSpec(model="resnet18", variants=(Variant("int8", "xnnpack"),), data=str(tmp_path))
    assert trusted_origin(_finished(spec), OWN).data == str(tmp_path)
    with pytest.raises(Untrusted) as refused:
        trusted_origin(_finished(spec), Trust(imported=True))
    assert list(refused.value.files) == [str(tmp_path)]
    assert trusted_origin(_finished(spec), Trust(imported=True, files=(str(tmp_path),))).data == str(tmp_path)
