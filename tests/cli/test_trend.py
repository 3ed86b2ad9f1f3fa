"""``etui trend`` as a shell sees it: words, then the runs; by a run or by a choice; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from etui.results import RunDocument
from tests.cli.conftest import Etui
from tests.documents import ENVIRONMENT, make_document, make_stats
from tests.facts import lacking


def past(count: int = 12, step_at: int = 6) -> list[RunDocument]:
    """Runs a day apart, slower by 10 % with another ExecuTorch from ``step_at`` on, the third failed."""
    made = []
    for day in range(count):
        document = make_document(
            f"{day:012x}", session_id=f"5e55{day:08x}", created_at=f"2026-10-{day + 1:02d}T10:00:00.000Z"
        )
        median = (16.0 if day < step_at else 17.6) + 0.01 * (day * 7 % 5)
        versions = {"torch": "2.13.0", "executorch": "1.5.0" if day < step_at else "1.5.1"}
        document = msgspec.structs.replace(
            document,
            latency_ms=make_stats(median),
            environment=msgspec.structs.replace(ENVIRONMENT, versions=versions),
        )
        if day == 2:
            document = msgspec.structs.replace(document, status="failed", error="no kernel", latency_ms=None)
        made.append(document)
    return made


def test_a_step_is_named_and_the_runs_stand_under_it(etui: Etui, stored: Callable[..., None]) -> None:
    stored(*past(), make_document("f" * 12, session_id="5e55f0000000", precision="int8"))
    by_run = etui("trend", "000000000003")
    assert by_run.returncode == 0, by_run.stderr
    assert not lacking(by_run.stdout, "Slower", "10.1 %", "executorch 1.5.1", "2026-10-07 10:00")
    assert not lacking(by_run.stdout, "12 runs", "failed", "2026-10-03 10:00")
    rows = [line for line in by_run.stdout.splitlines() if line.startswith("0000000000")]
    assert len(rows) == 12 and not lacking(rows[6], "10.1 %", "executorch 1.5.1")
    by_choice = etui("trend", "--model", "resnet18", "--precision", "fp32", "--delegate", "xnnpack")
    assert by_choice.stdout == by_run.stdout


def test_other_configurations_of_the_model_are_named(etui: Etui, stored: Callable[..., None]) -> None:
    stored(*past(), make_document("f" * 12, session_id="5e55f0000000", precision="int8"))
    newest = etui("trend", "--model", "ResNet18")
    assert newest.stdout.startswith("resnet18 int8/xnnpack") and "fp32/xnnpack (12 runs)" in newest.stderr
    chosen = etui("trend", "--model", "resnet18", "--precision", "FP32")
    assert chosen.stdout.startswith("resnet18 fp32/xnnpack") and chosen.stderr == ""


def test_json_holds_points_changes_and_the_same_words(etui: Etui, stored: Callable[..., None]) -> None:
    stored(*past())
    found = json.loads(etui("trend", "000000000003", "--json", "--limit", "11").stdout)
    assert found["schema"] == "etui.trend/1"
    assert [one["at"] for one in found["changes"]] == [5]
    assert len(found["history"]["points"]) == 11 and found["history"]["total"] == 12
    assert "11 of 12 runs" in " ".join(found["words"])


def test_what_is_missing_or_double_is_usage(etui: Etui, stored: Callable[..., None]) -> None:
    none = etui("trend", "--model", "resnet18")
    assert none.returncode == 2 and none.stdout == "" and len(none.stderr.splitlines()) == 1
    stored(*past(2))
    for arguments, words in (
        ((), "--model"),
        (("0000", "--model", "resnet18"), "RUN"),
        (("ffff",), "ffff"),
        (("--model", "gpt2"), "gpt2"),
    ):
        done = etui("trend", *arguments)
        assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
