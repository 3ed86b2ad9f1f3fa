"""Files of installed packages, found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from etui.errors import PreparationError


def sample_photos() -> list[Path]:
    """Return scikit-learn's two photos, sorted. Importing the package would take a second.

    Raises:
        PreparationError: they are missing.
    """
    photos = sorted(_scikit_learn("datasets", "images").glob("*.jpg"))
    if not photos:
        raise PreparationError("scikit-learn's sample photos are missing", "pip install --force-reinstall scikit-learn")
    return photos


def sample_digits() -> Path:
    """Return scikit-learn's handwritten digits, a compressed table with 64 values from 0 to 16 and the digit per row.

    Raises:
        PreparationError: the file is missing.
    """
    path = _scikit_learn("datasets", "data") / "digits.csv.gz"
    if not path.is_file():
        raise PreparationError("scikit-learn's digits are missing", "pip install --force-reinstall scikit-learn")
    return path


def _scikit_learn(*parts: str) -> Path:
    spec = find_spec("sklearn")
    return Path(spec.origin).parent.joinpath(*parts) if spec is not None and spec.origin else Path("absent")
