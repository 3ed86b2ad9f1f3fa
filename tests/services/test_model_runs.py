"""Runs of a summarized model show what it achieved: the newest of each configuration at the same shape."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from etui.results import RunDocument
from etui.services.model_runs import measured_runs
from etui.services.summarize import Request
from etui.spec import Shape
from etui.store import Store
from etui.store.transfer import read_documents
from etui.wording import model_summary as wording
from tests.model_summaries import made_up

SAMPLES = Path(__file__).parents[2] / "sample_results"


def sample() -> RunDocument:
    return read_documents(SAMPLES / "resnet18_int8_xnnpack.json")[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "etui.db")


def test_the_newest_run_of_each_configuration(store: Store) -> None:
    run = sample()
    older = msgspec.structs.replace(run, id="0ld000000000", created_at="2020-01-01T00:00:00+00:00")
    other = msgspec.structs.replace(run, id="0ther0000000", precision="fp32")
    failed = msgspec.structs.replace(run, id="fa11ed000000", precision="fp16", status="failed")
    store.import_documents([run, older, other, failed])
    found = measured_runs(store, Request("resnet18"), made_up(model="resnet18"))
    assert {each.run for each in found} == {run.id, other.id}
    assert run.latency_ms is not None and run.latency_ms.median is not None
    assert found[0].gmacs_per_s == pytest.approx(7.0e6 / (run.latency_ms.median / 1e3) / 1e9)
    assert found[0].size_bytes == (run.artifact.size_bytes if run.artifact else None)


def test_runs_of_other_machines_are_named_after_those_of_this_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sample()
    assert run.environment is not None
    monkeypatch.setattr("socket.gethostname", lambda: run.environment.box if run.environment else "")
    there = msgspec.structs.replace(run.environment, box="pi5")
    assert run.latency_ms is not None and run.latency_ms.median is not None
    faster = msgspec.structs.replace(run.latency_ms, median=run.latency_ms.median / 2)
    store.import_documents([run, msgspec.structs.replace(run, id="pi5000000000", environment=there, latency_ms=faster)])
    found = measured_runs(store, Request("resnet18"), made_up(model="resnet18"))
    assert [each.machine for each in found] == ["", "pi5"]
    here, other = (entry.value for entry in wording.runs(found)[-2:])
    assert "pi5" in other and "pi5" not in here


def test_programs_with_modules_in_fp32_are_separate(store: Store) -> None:
    run = sample()
    session = msgspec.structs.replace(run.session, id="5e5510000009", spec={**run.session.spec, "keep_fp32": ["fc"]})
    mixed = msgspec.structs.replace(run, id="a11ed0000000", session=session)
    store.import_documents([run, mixed])
    found = measured_runs(store, Request("resnet18"), made_up(model="resnet18"))
    assert {each.run: each.keep_fp32 for each in found} == {run.id: [], mixed.id: ["fc"]}
    (sizes,) = (entry.value for entry in wording.runs(found) if entry.label == "saved programs")
    assert sizes.startswith("INT8/xnnpack") and "with 1 module in FP32" in sizes


def test_runs_on_inputs_of_another_shape_are_not_of_this_summary(store: Store) -> None:
    run = sample()
    assert run.inputs is not None
    batches = msgspec.structs.replace(run.inputs, shapes=[[8, *run.inputs.shapes[0][1:]]])
    session = msgspec.structs.replace(run.session, spec={**run.session.spec, "data": "/data"})
    store.import_documents([msgspec.structs.replace(run, inputs=batches, session=session)])
    assert not measured_runs(store, Request("resnet18"), made_up(model="resnet18"))


def test_runs_at_another_shape_are_not_of_this_summary(store: Store) -> None:
    store.import_documents([sample()])
    summary = made_up(model="resnet18")
    assert measured_runs(store, Request("resnet18"), summary)
    assert not measured_runs(store, Request("resnet18", Shape(batch=4)), summary)


def test_runs_of_a_file_with_other_content_are_not_of_this_model(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("def net(): ...\n")
    run = sample()
    model = msgspec.structs.replace(run.model, name="net-net", identity="sha256:0:net")
    store.import_documents([msgspec.structs.replace(run, model=model)])
    assert not measured_runs(store, Request(f"{file}:net"), made_up(model="net-net"))


def test_runs_of_another_model_of_the_same_name_are_not_of_this_model(store: Store) -> None:
    run = sample()
    model = msgspec.structs.replace(run.model, source="pt2:resnet18.pt2", identity="sha256:0")
    store.import_documents([msgspec.structs.replace(run, model=model)])
    assert not measured_runs(store, Request("resnet18"), made_up(model="resnet18"))
