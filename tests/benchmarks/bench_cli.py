"""Start-up of the command line compared with importing click alone."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.figures import Figure, ratio, timed
from tests.documents import make_document
from tests.machines import ETUI, Machine

PAIRS = 15


def figures(folder: Path) -> list[Figure]:
    """Time ``etui --help`` and ``etui runs`` with a database that contains runs."""
    from etui.store import Store

    machine = Machine(folder)
    with Store.open(machine.database) as store:
        store.import_documents([make_document(run_id=f"{number:012x}") for number in range(100)])
    figures = []
    for arguments in (["--help"], ["runs"]):
        ours, click = [], []
        for _ in range(PAIRS):
            click.append(timed([sys.executable, "-c", "import click"], machine.environment))
            ours.append(timed([str(ETUI), *arguments], machine.environment))
        figures.append(ratio(f"etui {' '.join(arguments)}", ours, click, 3.0, "import click"))
    return figures
