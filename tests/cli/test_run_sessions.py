"""The results that a measuring command prints at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etui.cli.run_sessions import finish
from etui.store import Store
from tests.documents import make_document


def test_as_json_it_prints_the_summaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [make_document(), make_document("aaaaaaaaaaa2", precision="int8")]
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents(documents)
        assert finish(store, [document.id for document in documents], {"as_json": True, "detach": False}) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["precision"]) for one in printed] == [("aaaaaaaaaaa1", "fp32"), ("aaaaaaaaaaa2", "int8")]
