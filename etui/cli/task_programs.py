"""The programs that a command runs on images, named as files or runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etui.cli.context import Settings
from etui.cli.run_selection import selected_runs
from etui.errors import UsageError
from etui.paths import expanded
from etui.text import plain

if TYPE_CHECKING:
    from etui.services.score_images import Program


def programs_of(settings: Settings, targets: Sequence[str], metadata: Path | None, model: str | None) -> list[Program]:
    """Return the programs of files and runs, each once, with different names.

    Raises UsageError if one does not exist, or how it is used is not known.
    """
    found: list[Program] = []
    for target in targets:
        path = expanded(target)
        if path.suffix.lower() == ".pte" or "/" in target or path.is_file():
            found.append(_of_file(path, metadata, model))
        else:
            found += _of_runs(settings, target, metadata, model)
    return _named_apart(list(dict.fromkeys(found)))


def _named_apart(programs: list[Program]) -> list[Program]:
    """Add folders to the names of files until those of different files differ."""
    parts = 1
    most = max((len(one.path.parts) for one in programs), default=1)
    while len({one.name for one in programs}) < len(programs) and parts < most:
        parts += 1
        counts = Counter(one.name for one in programs)
        programs = [
            one._replace(name="/".join(one.path.absolute().parts[-parts:])) if counts[one.name] > 1 else one
            for one in programs
        ]
    return programs


def _of_file(path: Path, metadata: Path | None, model: str | None) -> Program:
    from etui.catalog.precisions import AS_IS
    from etui.services.score_images import Program
    from etui.task_data.program_metadata import metadata_path

    if not path.is_file():
        raise UsageError(f"{plain(str(path))} is not a file", "name a .pte or a run")
    own = metadata or (metadata_path(path) if metadata_path(path).is_file() else None)
    if own is None and model is None:
        raise UsageError(
            f"the categories and the preprocessing of {plain(path.name)} are not known",
            f"write {plain(metadata_path(path).name)} next to it, or name its --model",
        )
    return Program(path.name, path, AS_IS, own, model)


def _of_runs(settings: Settings, target: str, metadata: Path | None, model: str | None) -> list[Program]:
    from etui.paths import cache_dir, program_path
    from etui.services.executorch_only import require_executorch
    from etui.services.score_images import Program

    found = []
    with settings.store_with_runs() as store:
        documents = [store.document(run_id) for run_id in selected_runs(store, [target])]
    for document in documents:
        require_executorch(document, "running on images")
        name = f"{document.id} {document.model.name} {document.configuration}"
        artifact = document.artifact
        path = program_path(cache_dir(), artifact.key) if artifact is not None else None
        if path is None or not path.is_file():
            raise UsageError(
                f"the program of run {document.id} is not in the cache", "measure it again, or name a .pte"
            )
        if metadata is None and model is None and document.weights and document.weights.kind == "synthetic":
            raise UsageError(
                f"run {document.id} has synthetic weights, so that its outputs mean nothing",
                "use a run with --weights pretrained or a checkpoint",
            )
        found.append(Program(name, path, document.delegate, metadata, model or document.model.name))
    return found
