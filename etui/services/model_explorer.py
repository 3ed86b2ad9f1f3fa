"""Open a graph in Google's Model Explorer, which serves a page to the browser until it is stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from etui.errors import EtuiError, UsageError
from etui.model_graph import ModelGraph
from etui.report.model_explorer import graph_json, node_data_json
from etui.results import RunDocument

_PACKAGE = "model_explorer"
_STOPPED = -2
"""The status of a process that Ctrl-C (SIGINT) ended."""


def explore(graph: ModelGraph, document: RunDocument | None, say: Callable[[str], object]) -> None:
    """Serve a graph, with the measured times of a run if it has a profile, until Ctrl-C.

    The server listens on this machine only. ``say`` is called with a line on what is done.

    Raises:
        UsageError: the package is not installed.
        EtuiError: the server ended with an error.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise UsageError(
            "--explorer needs the package ai-edge-model-explorer, which is not installed",
            "install it with: pip install 'etui[explorer]'",
        )
    profile = document.profile if document is not None else None
    with tempfile.TemporaryDirectory(prefix="etui-") as folder:
        # The names of files are separated by commas on the command line of Model Explorer.
        model = Path(folder) / f"{re.sub('[^A-Za-z0-9_.-]', '_', graph.name)}.json"
        model.write_bytes(graph_json(graph, profile))
        command = [sys.executable, "-m", _PACKAGE, str(model), "--host=127.0.0.1"]
        if profile is not None:
            times = Path(folder) / "measured_ms.json"
            times.write_bytes(node_data_json(graph, profile))
            command.append(f"--node_data_paths={times}")
        say("starting Model Explorer; Ctrl-C stops it")
        status = _ended(command)
    if status not in (0, _STOPPED):
        raise EtuiError(f"Model Explorer ended with status {status}", "see its messages above")


def _ended(command: list[str]) -> int:
    """Return the status of a command when it has ended. Ctrl-C stops it, not this process."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(5.0)
        return _STOPPED
    finally:
        process.kill()
        process.wait()
