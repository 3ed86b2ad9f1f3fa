"""Examples in the pages: the output of commands about ``sample_results``, run anew and put in place.

An example is a comment with the command, and the block that follows it::

    <!-- output: etui compare 540a01 5e54f1 -->
    <!-- output, 12 lines: etui inspect c20429 -->

Lines that are left out at the end, and the rest of a very long line, are shown as ``..``.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from etui.cli.main import cli
from etui.store import Store
from etui.store.transfer import read_documents
from tests.docs.markdown import block

SAMPLES = Path(__file__).parents[2] / "sample_results"
_EXAMPLE = re.compile(
    r"^(?P<marker><!-- output(?:, (?P<lines>\d+) lines)?: (?P<command>etui [^\n]*) -->)\n```.*?^```", re.M | re.S
)
_LONGEST_LINE = 250


def has_examples(text: str) -> bool:
    """Whether a page has an example."""
    return _EXAMPLE.search(text) is not None


def refreshed(text: str) -> str:
    """A page with the output of its examples as the code prints it now. Needs ``sample_database``."""
    return _EXAMPLE.sub(_example, text)


@contextmanager
def sample_database(folder: Path | None = None) -> Iterator[Path]:
    """A database with all of ``sample_results``, used by commands run meanwhile; folders and time zone are fixed."""
    with tempfile.TemporaryDirectory() as made:
        root = folder or Path(made)
        database = root / "etui.db"
        with Store.open(database) as store:
            for path in sorted(SAMPLES.glob("*.json")):
                store.import_documents(read_documents(path))
        names = {f"ETUI_{name}": str(root / name.lower()) for name in ("STATE", "CACHE", "CONFIG")}
        environment = {**names, "ETUI_DB": str(database), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        with mock.patch.dict(os.environ, environment):
            os.environ.pop("NO_COLOR", None)
            time.tzset()
            try:
                yield database
            finally:
                os.environ.pop("TZ")
        time.tzset()


def _example(match: re.Match[str]) -> str:
    command = match["command"]
    done = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="etui")
    lines = [_cut(line) for line in done.output.splitlines()]
    most = int(match["lines"] or len(lines))
    if len(lines) > most:
        lines[most:] = [".."]
    return f"{match['marker']}\n{block(chr(10).join([f'$ {command}', *lines]))}"


def _cut(line: str) -> str:
    return line.rstrip() if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3].rstrip()} .."
