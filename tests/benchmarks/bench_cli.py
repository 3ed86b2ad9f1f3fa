"""Start-up of the command line against importing click alone."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.figures import Figure, ratio, timed
from tests.boxes import ETUI, Box
from tests.documents import make_document

PAIRS = 15


def figures(folder: Path) -> list[Figure]:
    """``etui --help`` and ``etui runs`` over a database with runs in it."""
    from etui.store import Store

    box = Box(folder)
    with Store.open(box.database) as store:
        store.import_documents([make_document(run_id=f"{number:012x}") for number in range(100)])
    found = []
    for words in (["--help"], ["runs"]):
        ours, click = [], []
        for _ in range(PAIRS):
            click.append(timed([sys.executable, "-c", "import click"], box.environment))
            ours.append(timed([str(ETUI), *words], box.environment))
        found.append(ratio(f"etui {' '.join(words)}", ours, click, 3.0, "import click"))
    return found
