from __future__ import annotations

from pathlib import Path

import pytest

from etui.task_data.digits import make_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of handwritten digits, which tests do not change."""
    folder = tmp_path_factory.mktemp("task_data") / "digits"
    make_digits(folder, images=80, size=48, seed=5)
    return folder
