"""Runs on the command line: chosen by filters, sorted, as CSV, and named by filters in other commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from etui.store.columns import SUMMARY_COLUMNS
from tests.cli.conftest import Etui
from tests.documents import make_document


def _ids(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


@pytest.mark.slow
def test_runs_are_chosen_by_a_filter_and_sorted(etui: Etui, stored: Callable[..., None]) -> None:
    slow = make_document("aaaaaaaaaaa1", median=16.0, created_at="2026-11-01T10:00:00.000Z")
    fast = make_document("aaaaaaaaaaa2", precision="int8", median=5.0, created_at="2026-11-02T10:00:00.000Z")
    failed = make_document("aaaaaaaaaaa3", session_id="5e5510000003", created_at="2026-11-03T10:00:00.000Z")
    failed.status, failed.latency_ms, failed.accuracy = "failed", None, None
    fast.tags = ["release"]
    stored(slow, fast, failed)
    assert _ids(etui("runs", "p50 < 10").stdout) == [fast.id]
    assert _ids(etui("runs", "status:fail", "or", "tag:rel").stdout) == [failed.id, fast.id]
    assert _ids(etui("runs", "not status:failed", "--precision", "fp32").stdout) == [slow.id]
    assert _ids(etui("runs", "-status:failed", "resnet", "-p50<10").stdout) == [slow.id]
    assert _ids(etui("runs", "--since", "2026-11-02").stdout) == [failed.id, fast.id]
    assert _ids(etui("runs", "--sort", "p50").stdout) == [fast.id, slow.id, failed.id]
    assert _ids(etui("runs", "--sort", "p50 ms", "--reverse").stdout) == [slow.id, fast.id, failed.id]
    assert _ids(etui("runs", "--sort", "vs eager", "has:p50").stdout) == [fast.id, slow.id]
    assert _ids(etui("runs", "--reverse").stdout) == [slow.id, fast.id, failed.id]
    assert _ids(etui("runs", "--sort", "p50", "--limit", "1").stdout) == [fast.id]
    for arguments in (["modle:x"], ["--since", "soon"], ["--sort", "modle"], ["p50<10", "("], ["@nothing"]):
        done = etui("runs", *arguments)
        assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1, arguments


def test_runs_as_csv(etui: Etui, stored: Callable[..., None]) -> None:
    run = make_document("aaaaaaaaaaa1", median=16.0)
    run.tags = ["a", "b"]
    stored(run)
    (row,) = csv.DictReader(etui("runs", "--csv").stdout.splitlines())
    assert tuple(row) == SUMMARY_COLUMNS
    assert (row["id"], row["latency_median_ms"], row["tags"]) == (run.id, "16.0", "a, b")
    assert etui("runs", "--csv", "--columns", "id,p50").stdout == f"id,latency_median_ms\n{run.id},16.0\n"
    assert etui("runs", "--csv", "nowhere").stdout.count("\n") == 1
    assert etui("runs", "--csv", "--json").returncode == 2


def test_a_filter_is_saved_under_a_name(etui: Etui, stored: Callable[..., None]) -> None:
    fast, slow = make_document("aaaaaaaaaaa2", median=5.0), make_document("aaaaaaaaaaa1", median=16.0)
    stored(fast, slow)
    assert _ids(etui("runs", "p50<10", "--save", "fast").stdout) == [fast.id]
    assert _ids(etui("runs", "@fast").stdout) == [fast.id]
    assert _ids(etui("runs", "-@fast").stdout) == [slow.id]
    assert "fast" in etui("runs", "@fats").stderr
    for name in ("", "two words", "-x"):
        assert etui("runs", "p50<10", "--save", name).returncode == 2
    assert etui("runs", "--save", "nothing").returncode == 2


@pytest.mark.slow
def test_runs_are_named_by_filters(etui: Etui, stored: Callable[..., None], tmp_path: Path) -> None:
    base = make_document("aaaaaaaaaaa1", created_at="2026-11-01T10:00:00.000Z")
    others = [
        make_document(f"bbbbbbbbbbb{number}", session_id="5e5510000003", created_at=f"2026-11-0{number}T10:00:00.000Z")
        for number in (2, 3)
    ]
    stored(base, *others)
    assert json.loads(etui("show", "id:aaa", "--json").stdout)["id"] == base.id
    several = etui("show", "session:last")
    assert several.returncode == 2 and others[0].id in several.stderr and others[1].id in several.stderr
    assert len(etui("export", "session:last", "-o", "all.json").stdout.splitlines()) == 1
    assert [run["id"] for run in json.loads((tmp_path / "all.json").read_text())] == [run.id for run in others]
    compared = json.loads(etui("compare", "aaa", "resnet or session:last", "--json").stdout)
    assert (compared["base"], compared["others"]) == (base.id, [run.id for run in others])
    assert etui("tag", "session:last", "+seen").returncode == 0
    assert _ids(etui("runs", "tag:seen", "--reverse").stdout) == [run.id for run in others]
    assert etui("export", "model:nowhere").returncode == 2
    assert etui("delete", "session:last", "--yes").returncode == 0
    assert [run["id"] for run in json.loads(etui("runs", "--json").stdout)] == [base.id]
