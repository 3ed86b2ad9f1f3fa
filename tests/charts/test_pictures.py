"""Snapshots of the charts as text."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.charts.test_charts import DRAWN, canvas


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", [(40, 6), (76, 10), (120, 16)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", sorted(DRAWN))
def test_picture(name: str, size: tuple[int, int], unicode: bool, snapshot: SnapshotAssertion) -> None:
    assert DRAWN[name](canvas(*size, unicode=unicode)).plain == snapshot
