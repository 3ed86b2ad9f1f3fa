"""A document comes out of the database as it went in."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.store import Store
from tests.documents import make_document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "etui.db")


def test_a_document_comes_back_whole(store: Store) -> None:
    document = make_document()
    store.save_document(document)
    assert store.document(document.id) == document


def test_two_runs_of_one_session_share_what_is_the_sessions(store: Store) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8", median=8.0)
    assert store.import_documents([first, second]) == ["new", "new"]
    assert store.import_documents([first, second]) == ["known", "known"]
    assert store.document(first.id) == first
    assert store.document(second.id) == second
    assert len(store.blocks(first.session.id)) == 9
    assert len(store.events_after(first.session.id)) == 7
