"""Write the generated files under ``docs/`` and the examples' output; with ``--picture`` also the README's picture
and with ``--counts`` the multiply-adds of all models."""

from __future__ import annotations

import argparse
import sys

from tests.docs import multiply_adds
from tests.docs.examples import refreshed, sample_database
from tests.docs.files import COUNTS, FILES, PICTURE, pages_with_examples
from tests.docs.picture import picture


def main() -> int:
    """Write every generated file whose content differs. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("--picture", action="store_true", help="also take the picture of the screen")
    parser.add_argument("--counts", action="store_true", help="also count the models' multiply-adds; needs torchinfo")
    options = parser.parse_args()
    contents = {path: make() for path, make in FILES.items()}
    with sample_database():
        contents |= {path: refreshed(path.read_text("utf-8")) for path in pages_with_examples()}
    if options.counts:
        contents[COUNTS] = multiply_adds.page()
    if options.picture:
        contents[PICTURE] = picture()
    for path, text in contents.items():
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
