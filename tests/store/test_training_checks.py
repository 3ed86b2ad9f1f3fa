"""Training checks are stored with everything, found by model and by the beginning of an id, and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.store import Store
from etui.training_check import Failure, StoredCheck, TrainingOptions
from tests.wording.test_training_check import check, optimizer


def stored(check_id: str, reference: str, *, hour: int, error: str | None = None) -> StoredCheck:
    failure = Failure(kind="no gradient", places=["branch (Linear): weight"])
    return StoredCheck(
        id=check_id,
        created_at=f"2026-11-28T{hour:02}:00:00.000Z",
        model="net",
        reference=reference,
        options=TrainingOptions(optimizers=("sgd", "adam"), loss="mse", data="/data"),
        box="bench-1",
        cpu="a CPU",
        versions={"torch": "2.13.0"},
        check=None if error else check(optimizer(failure, losses=[2.0, None, 1.0])),
        error=error,
    )


def test_checks_are_stored_listed_and_deleted(tmp_path: Path) -> None:
    old, new = stored("aab0", "net.py:net", hour=1), stored("aac0", "net.py:net", hour=2, error="größer")
    other = stored("bbb0", "resnet18", hour=3)
    with Store.open(tmp_path / "etui.db") as store:
        for one in (other, new, old):
            store.add_training_check(one)
        assert [(one.id, one.passed, one.error) for one in store.training_checks("net.py:net")] == [
            ("aac0", None, "größer"),
            ("aab0", False, None),
        ]
        assert [one.id for one in store.training_checks()] == ["bbb0", "aac0", "aab0"]
        assert [store.training_check(prefix) for prefix in ("aab", "aac0", "b")] == [old, new, other]
        for prefix in ("aa", "", "c"):
            with pytest.raises(UsageError):
                store.training_check(prefix)
            with pytest.raises(UsageError):
                store.delete_training_checks(["bbb0", prefix])
        assert store.delete_training_checks(["bbb", "bbb0", "aac0"]) == 2
        assert store.training_checks() == store.training_checks("net.py:net")
