"""``etui report`` as a shell sees it: one file, whole, and no other written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.comparisons import measured
from tests.cli.conftest import Etui
from tests.facts import lacking


@pytest.mark.slow
def test_a_page_of_either_kind_is_written_once(etui: Etui, stored: Callable[..., None], tmp_path: Path) -> None:
    stored(measured("aaaaaaaaaaa1", seed=1), measured("bbbbbbbbbbb2", seed=2, median=8.0, precision="int8"))
    for name, beginning in (
        ("out/report.md", "# resnet18: fp32 and int8 on xnnpack\n"),
        ("report.html", "<!doctype html>"),
    ):
        done = etui("report", "a", "b", "-o", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}\n", "")
        page = (tmp_path / name).read_text()
        assert page.startswith(beginning) and not lacking(page, "int8/xnnpack", "fp32/xnnpack", "aaaaaaaaaaa1")
    done = etui("report", "a", "-o", "report.html")
    assert done.returncode == 2 and "--force" in done.stderr
    assert etui("report", "a", "-o", "report.html", "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*.html*")) == ["report.html"]


def test_a_dash_is_markdown_on_standard_output(etui: Etui, stored: Callable[..., None], tmp_path: Path) -> None:
    stored(measured("aaaaaaaaaaa1"))
    done = etui("report", "a", "-o", "-")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("# resnet18 fp32/xnnpack\n")
    assert not (tmp_path / "-").exists()


def test_other_names_and_runs_that_are_not_there_are_usage(
    etui: Etui, stored: Callable[..., None], tmp_path: Path
) -> None:
    stored(measured("aaaaaaaaaaa1"))
    assert etui("report", "a", "-o", "report.pdf").returncode == 2
    assert etui("report", "zzz", "-o", "report.md").returncode == 2
    assert not list(tmp_path.glob("report.*"))
