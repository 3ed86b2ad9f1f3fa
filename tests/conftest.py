"""Fixtures for all tests: a box of one's own, and one that a module's tests share to find the runner warm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes import Box, box_in


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A fresh box: no runner, empty cache, no database."""
    with box_in(tmp_path) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def warm_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box that the tests of one module share; its runner stays, and what one test prepared is cached for the next."""
    with box_in(tmp_path_factory.mktemp("box")) as shared:
        yield shared
