"""``etui inspect RUN``: what was kept with a run about its lowering, shown also when its file is gone."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cli.conftest import Etui
from tests.documents import make_document
from tests.facts import lacking
from tests.insights import look_inside


def test_a_run_whose_file_is_gone_shows_what_was_kept(etui: Etui, stored: Callable[..., None]) -> None:
    stored(look_inside(make_document("aaaaaaaaaaa1")))
    done = etui("inspect", "a")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "resnet18  fp32/xnnpack  done  aaaaaaaaaaa1"
    assert not lacking(lines[1], "delegat", "94 %", "3 partitions")
    for part in (
        "-20 aten.conv2d.default",
        "encoder.layers.*.norm (LayerNorm) x3",
        "3 layer_norm",
        "cache",
    ):
        assert part in done.stdout
    assert any(line.split()[:4] == ["XnnpackBackend", "0", "46.6", "MB"] for line in lines)
    found = json.loads(etui("inspect", "a", "--json").stdout)
    assert found["program"] is None and found["advice"][0]["cause"] == "never delegated"
    assert [stage["name"] for stage in found["graph_stages"]][:2] == ["aten", "core aten"]


def test_a_run_that_kept_nothing_is_short_and_one_that_is_not_there_is_usage(
    etui: Etui, stored: Callable[..., None]
) -> None:
    stored(make_document("aaaaaaaaaaa1"))
    assert "97 %" in etui("inspect", "a").stdout.splitlines()[1]
    done = etui("inspect", "zzz")
    assert (done.returncode, done.stdout) == (2, "") and "zzz" in done.stderr and done.stderr.count("\n") == 1
