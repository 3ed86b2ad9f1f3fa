"""Read the graph of a model in a separate process, or that of a finished program from its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from etui.catalog.find import UserModel, find_model
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.jobs import GraphJob
from etui.model_graph import ModelGraph
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program_graph import read_graph
from etui.services.kept_result import Kind, kept_result
from etui.services.shapes import check_shape
from etui.services.summarize import Request
from etui.text import plain

LIMIT_S = 300.0

_KIND = Kind(ModelGraph, folder="graphs", version=1, doing="reading the graph of", files=lambda graph: graph.files)


class GraphTimedOut(EtuiError):
    """Reading a graph took too long."""

    exit_status = EXIT_TIMED_OUT


def model_graph(
    request: Request,
    *,
    method: str | None = None,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], object] = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> ModelGraph:
    """Return the graph of a model at a shape, or of a ``method`` of a program (None: the one that is measured).

    A model is built and exported as ``kept_result`` describes; ``begin`` and ``stopped`` are those of that function. A
    program is only read.

    Raises:
        UsageError: there is no such model, it does not take the shape, or the file is not a readable program.
        GraphTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: the model cannot be loaded or exported; the message says why.
    """
    model = find_model(request.model)
    if isinstance(model, UserModel) and model.kind == "pte":
        return _program(Path(model.path), plain(request.model), method)
    if method is not None:
        raise UsageError(f"{plain(request.model)} is not a program: only programs have methods", "omit --method")
    check_shape(model, request.shape)
    job = GraphJob(model=model.reference, shape=request.shape, seed=request.seed, allow_pickle=request.allow_pickle)
    return kept_result(
        job, model, _KIND, timed_out=GraphTimedOut, limit_s=limit_s, begin=begin, stopped=stopped
    )  # fmt: skip


def _program(path: Path, name: str, method: str | None) -> ModelGraph:
    try:
        with mapped(path) as buffer:
            return read_graph(buffer, path.name, method)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "name a .pte file") from error
    except DamagedFile as error:
        raise UsageError(f"{name} {plain(error.message)}", plain(error.hint)) from error
