"""``etui peaks`` and ``etui summary --roofline`` in one process: what is stored, printed and refused."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from etui.catalog.models import MODELS
from etui.cli.main import cli
from etui.insight import Profile
from etui.services.summarize import Request
from etui.store import Store
from etui.store.kept_peaks import keep
from tests.documents import make_document
from tests.rooflines import net, peaks, side

RUN = "a1b2c3d4e5f6"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("ETUI_DB", str(tmp_path / "etui.db"))


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What was summarized; the database has a profiled run."""
    seen: list[Request] = []

    def summarize(request: Request, **options: object) -> object:
        seen.append(request)
        return net()

    monkeypatch.setattr("etui.services.summarize.summarize", summarize)
    document = make_document(RUN, median=25.0)
    document.model = msgspec.structs.replace(document.model, source=MODELS["resnet18"].source)
    document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=2, program=side())
    with Store.open(tmp_path / "etui.db") as store:
        store.save_document(document)
    return seen


def etui(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_peaks_of_this_machine_are_shown() -> None:
    assert etui("peaks", "--show").exit_code == 2
    keep(peaks(host=socket.gethostname()))
    shown = etui("peaks", "--show")
    assert "100 GFLOP/s" in shown.output and "400 GOP/s" in shown.output and "10.0 GB/s" in shown.output
    assert [each["threads"] for each in json.loads(etui("peaks", "--show", "--json").output)] == [2]
    for threads in (("--show", "--threads", "3"), ("--threads", "4000")):
        refused = etui("peaks", *threads)
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


def test_the_roofline_of_a_run(requests: list[Request], tmp_path: Path) -> None:
    keep(peaks())
    shown = json.loads(etui("summary", RUN[:5], "--roofline", "--json").output)
    assert requests == [Request("resnet18")]
    points = {point["path"]: point for point in shown["roofline"]["points"]}
    assert (points["body.conv"]["bound"], points["head"]["bound"]) == ("compute", "memory")
    table = etui("summary", RUN, "--roofline").output
    conv = next(line for line in table.splitlines() if line.strip().startswith("conv "))
    assert "50.0" in conv and "compute" in conv and "50 %" in conv
    etui("summary", RUN, "--roofline", "--markdown", str(tmp_path / "net.md"))
    lines = [line.split() for line in (tmp_path / "net.md").read_text().splitlines()]
    assert [cells[3] for cells in lines if cells[1:2] == ["body.conv"]] == ["Conv2d", "20.0"]
    assert "roofline" not in json.loads(etui("summary", RUN, "--json").output)


def test_what_a_roofline_needs_is_named(requests: list[Request]) -> None:
    for arguments, cause in (
        (("summary", RUN, "--batch", "4"), "shape of its own"),
        (("summary", "gpt2", "--roofline"), "no run of net"),
        (("summary", RUN, "--batch", "4", "--roofline"), "shape of its own"),
    ):
        refused = etui(*arguments)
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
        assert cause in refused.stderr
