"""A summary is kept until the model's files change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from etui.errors import EtuiError, UsageError
from etui.results import ModelInfo
from etui.runner.rebuild_program import Trust
from etui.services.one_job import JobStopped
from etui.services.summarize import Request, request_of_run, summarize
from etui.spec import Shape
from tests.documents import make_document

NET = "import torch\nfrom layers import WIDTH\ndef net():\n    return torch.nn.Linear(4, WIDTH), (torch.randn(1, 4),)\n"


def write(file: Path, content: str) -> None:
    file.write_text(content)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    # As if files were written long ago.
    monkeypatch.setattr("etui.services.kept_result.is_settled", lambda path: True)


@pytest.mark.slow
def test_a_summary_is_made_again_when_an_imported_file_changes(tmp_path: Path) -> None:
    write(tmp_path / "net.py", NET)
    write(tmp_path / "layers.py", "WIDTH = 3\n")
    begun: list[str] = []
    model = f"{tmp_path}/net.py:net"
    first = summarize(Request(model), begin=begun.append)
    assert summarize(Request(model), begin=begun.append) == first
    assert len(begun) == 1
    write(tmp_path / "layers.py", "WIDTH = 5\n")
    os.utime(tmp_path / "layers.py", (time.time() + 5, time.time() + 5))
    assert summarize(Request(model), begin=begun.append).macs == 4 * 5
    assert len(begun) == 2


@pytest.mark.slow
def test_an_error_is_not_kept(tmp_path: Path) -> None:
    write(tmp_path / "net.py", "def net():\n    return 3\n")
    for _ in range(2):
        with pytest.raises(EtuiError, match="does not return a module"):
            summarize(Request(f"{tmp_path}/net.py:net"))


@pytest.mark.slow
def test_a_summary_that_is_no_longer_wanted_is_stopped(tmp_path: Path) -> None:
    write(tmp_path / "net.py", "import signal\ndef net():\n    while True:\n        signal.pause()\n")
    begun: list[str] = []
    with pytest.raises(JobStopped):
        summarize(Request(f"{tmp_path}/net.py:net"), begin=begun.append, stopped=lambda: bool(begun))


def test_shapes_that_a_model_does_not_take_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="takes no images"):
        summarize(Request("distilbert", Shape(input_size=(64, 64))))


def test_a_finished_program_has_no_modules(tmp_path: Path) -> None:
    write(tmp_path / "net.pte", "")
    with pytest.raises(UsageError, match="finished program"):
        summarize(Request(str(tmp_path / "net.pte")))


@pytest.mark.slow
def test_a_model_that_the_catalog_does_not_list_is_found_by_its_whole_name() -> None:
    summary = summarize(Request("torchvision:squeezenet1_1"))
    assert (summary.model, summary.parameters) == ("squeezenet1_1", 1_235_496)


@pytest.mark.parametrize("source", ["pt2:resnet18.pt2", "transformers:/models/resnet18"])
def test_a_run_of_another_model_with_the_name_of_a_catalog_model_is_not_of_the_catalog(source: str) -> None:
    document = make_document(model=ModelInfo(name="resnet18", family="custom", source=source, identity="sha256:0"))
    spec = {"model": "/models/resnet18.pt2", "variants": [{"precision": "fp32", "delegate": "xnnpack"}]}
    document = msgspec.structs.replace(document, session=msgspec.structs.replace(document.session, spec=spec))
    assert request_of_run(document, Trust(imported=False)).model == "/models/resnet18.pt2"
