"""``etui move``: a waiting session changes its place in the queue, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from etui.spec import SessionSpec, Variant
from etui.store import RunnerIdentity, Store
from tests.cli.conftest import Etui
from tests.documents import MODEL, make_document

SPEC = SessionSpec(model="resnet18", variants=(Variant("fp32", "xnnpack"),))
OWNER = RunnerIdentity(pid=1, host="another-box", user="u", started_at="now")


@pytest.fixture
def queue(database: Path) -> list[tuple[str, str]]:
    """Four sessions of another machine, for which no runner is started here, each with its run; the first is claimed
    by a runner there."""
    with Store.open(database) as store:
        sessions = [store.add_session(SPEC, model=MODEL, box="another-box") for _ in range(4)]
        assert store.claim_next(OWNER) is not None
    return [(session.id, session.runs[0][0]) for session in sessions]


@pytest.mark.parametrize(
    ("place", "order", "ahead"),
    [("first", [3, 1, 2], 1), ("last", [1, 2, 3], 3), ("sooner", [1, 3, 2], 2), ("later", [1, 2, 3], 3)],
)
def test_the_last_one_moves(
    etui: Etui, database: Path, queue: list[tuple[str, str]], place: str, order: list[int], ahead: int
) -> None:
    session, run = queue[3]
    done = etui("move", run[:8], place, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["session"], answer["ahead"], answer["moved"] > 0) == (session, ahead, ahead < 3)
    assert answer["starts_in_s"] > 0
    with Store.open(database) as store:
        assert [waiting for waiting, _, _ in store.waiting_sessions()] == [queue[index][0] for index in order]


def test_the_answer_names_what_is_ahead_and_the_time(etui: Etui, queue: list[tuple[str, str]]) -> None:
    printed = etui("move", queue[2][1], "first").stdout
    assert "1 session ahead in the queue, about " in printed and printed.count("\n") == 1


def test_only_what_waits_can_be_moved(etui: Etui, queue: list[tuple[str, str]], stored: Callable[..., None]) -> None:
    stored(make_document("ccccccccccc1"))
    for run, words in (
        (queue[0][1], ("first",)),
        ("ccccccccccc1", ("first",)),
        (queue[1][1], ("up",)),
        ("zz", ("last",)),
    ):
        done = etui("move", run, *words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
