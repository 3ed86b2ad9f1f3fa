"""The roofline of a run uses the peaks of its own machine, and the sizes of values in its own program."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from etui.insight import Profile
from etui.results import RunDocument
from etui.services.roofline import roofline_of
from etui.store.kept_peaks import keep, kept_peaks, peaks_for
from etui.wording import roofline as wording
from tests.documents import make_document
from tests.rooflines import net, peaks, rate, side


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))


def profiled(precision: str = "fp32") -> RunDocument:
    document = make_document(precision=precision, median=25.0)
    document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=2, program=side())
    return document


def texts(document: RunDocument) -> dict[str, str]:
    roofline = roofline_of(document, net())
    assert roofline is not None
    return {entry.label: entry.value for entry in wording.entries(roofline)}


def test_the_newest_peaks_of_each_number_of_threads_are_kept() -> None:
    assert kept_peaks() == []
    keep(peaks(threads=1))
    keep(peaks())
    keep(peaks(rates=[rate("fp32", 120.0)]))
    assert [each.threads for each in kept_peaks("bench-1")] == [1, 2]
    found = peaks_for("bench-1", "A CPU", 2)
    assert found is not None and found.best("fp32") == rate("fp32", 120.0)
    assert kept_peaks("another") == []


@pytest.mark.parametrize("other", [{"cpu": "Another CPU"}, {"host": "bench-2"}, {"threads": 4}])
def test_peaks_of_another_machine_or_number_of_threads_are_not_used(other: dict[str, object]) -> None:
    keep(peaks(**other))
    assert "etui peaks --threads 2" in texts(profiled())["measured peaks"]
    keep(peaks())
    found = roofline_of(profiled(), net())
    assert found is not None and found.points[0].bound == "compute"


@pytest.mark.parametrize("delegate", ["cuda-fp16", "vulkan", "coreml", "qnn", "an imported name"])
def test_peaks_of_the_cpu_are_not_those_of_other_hardware(delegate: str) -> None:
    keep(peaks())
    document = profiled()
    document.delegate = delegate
    found = roofline_of(document, net())
    assert found is not None and found.peaks is None and found.points[0].gbytes_per_s is None
    assert "etui peaks" not in texts(document)["measured peaks"]


def test_model_and_modules_are_compared_with_the_peaks_of_their_number_of_threads() -> None:
    keep(peaks())
    document = profiled()
    document.threads = 4
    found = roofline_of(document, net())
    assert found is not None
    assert found.points[0].of_limit is None and any(point.of_limit is not None for point in found.points[1:])
    assert "4 threads" in texts(document)["note"] and "2 threads" in texts(document)["note"]
    keep(peaks(threads=4, rates=[rate("fp32", 1000.0)]))
    again = roofline_of(document, net())
    assert again is not None and again.points[1:] == found.points[1:]
    assert again.points[0].limit_gops_per_s != found.points[1].limit_gops_per_s


def test_dynamic_quantization_keeps_activations_in_fp32() -> None:
    sizes = {}
    for family, precision in (("cnn", "int8"), ("transformer", "int8"), ("transformer", "fp16")):
        document = profiled(precision)
        document.model = msgspec.structs.replace(document.model, family=family)
        roofline = roofline_of(document, net())
        assert roofline is not None
        sizes[family, precision] = next(point.least_bytes for point in roofline.points if point.path == "head")
    assert sizes == {
        ("cnn", "int8"): 1_002_000,
        ("transformer", "int8"): 1_008_000,
        ("transformer", "fp16"): 2_004_000,
    }


def test_missing_times_and_exceeded_limits_are_reported() -> None:
    keep(peaks())
    document = profiled()
    assert "above the limit" not in texts(document)
    document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=2, program=side(conv_ms=1.0))
    assert "above the limit" in texts(document)
    assert document.latency_ms is not None
    document.latency_ms = msgspec.structs.replace(document.latency_ms, median=60.0)
    assert "24.0 ms" in texts(document)["note"] and "60.0 ms" in texts(document)["note"]
    document.profile = None
    assert f"etui profile {document.id[:6]}" in texts(document)["modules"]
    document.latency_ms = None
    assert roofline_of(document, net()) is None
