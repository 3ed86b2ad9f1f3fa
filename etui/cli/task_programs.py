"""The programs, and models in eager PyTorch, that a command runs on images, named as files or runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etui.cli.context import Settings
from etui.cli.run_selection import selected_runs
from etui.errors import UsageError
from etui.paths import expanded
from etui.task_data.checkpoint_header import CHECKPOINT_SUFFIX
from etui.text import plain

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.services.score_images import Program
    from etui.spec import Repeated


def programs_of(
    settings: Settings,
    targets: Sequence[str],
    metadata: Path | None,
    model: str | None,
    *,
    eager: bool = False,
    trusted: Sequence[str] = (),
) -> list[Program]:
    """Return the programs of files and runs and the models of checkpoints, each once, with different names. With
    ``eager``, the model of each run in eager PyTorch is before its program; ``trusted`` are files that imported runs
    may name.

    Raises UsageError if one does not exist, or how it is used is not known.
    """
    found: list[Program] = []
    for target in targets:
        path = expanded(target)
        if path.suffix.lower() == CHECKPOINT_SUFFIX:
            found.append(_of_checkpoint(path, metadata, model))
        elif path.suffix.lower() == ".pte" or "/" in target or path.is_file():
            found.append(_of_file(path, metadata, model))
        else:
            found += _of_runs(settings, target, metadata, model, eager=eager, trusted=trusted)
    return _named_apart(list(dict.fromkeys(found)))


def _named_apart(programs: list[Program]) -> list[Program]:
    """Add folders to the names of files until those of different files differ, and to those of eager models the
    beginning of the weights' hash."""
    taken = Counter(one.name for one in programs)
    programs = [
        one._replace(name=f"{one.name} {one.eager.sha256[:6]}")
        if one.eager is not None and one.eager.sha256 and taken[one.name] > 1
        else one
        for one in programs
    ]
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


def _of_checkpoint(path: Path, metadata: Path | None, model: str | None) -> Program:
    from etui.catalog.find import find_model, model_file
    from etui.catalog.precisions import AS_IS
    from etui.jobs import EagerModel
    from etui.paths import cache_dir
    from etui.services.score_images import Program
    from etui.task_data.checkpoint_header import trained_model

    trained = trained_model(path)
    if model is None and model_file(trained) is not None:
        raise UsageError(
            f"{plain(path.name)} was trained with {plain(trained)}, whose code runs only if you name it",
            f"add --model {plain(trained)}",
        )
    reference = model or trained
    find_model(reference)
    eager = EagerModel(model=reference, weights=str(path.absolute()), cache_dir=str(cache_dir()))
    return Program(path.name, path, AS_IS, metadata, None, path, eager)


def _eager_of_run(document: RunDocument, origin: Repeated, program: Program) -> Program:
    from etui.catalog.find import find_model
    from etui.catalog.models import ModelEntry
    from etui.jobs import EagerModel
    from etui.paths import cache_dir

    if not isinstance(find_model(origin.model), ModelEntry):
        raise UsageError(
            f"the model of run {document.id} is a file, which --eager does not load", "evaluate its checkpoint"
        )
    size = document.inputs.shapes[0][2:] if document.inputs and document.inputs.shapes else []
    weights = "pretrained" if document.weights and document.weights.kind == "pretrained" else origin.weights
    eager = EagerModel(
        model=origin.model, weights=weights, cache_dir=str(cache_dir()), seed=origin.seed,
        size=(size[0], size[1]) if len(size) == 2 else None,
        sha256=document.weights.sha256 if document.weights else None,
    )  # fmt: skip
    name = f"eager {document.model.name}"
    return program._replace(name=name, path=Path(weights), delegate="eager", eager=eager)


def _of_runs(
    settings: Settings,
    target: str,
    metadata: Path | None,
    model: str | None,
    *,
    eager: bool,
    trusted: Sequence[str],
) -> list[Program]:
    from etui.runner.rebuild_program import Trust, trusted_origin
    from etui.services.run_programs import program_of_run

    found = []
    with settings.store_with_runs() as store:
        documents = [store.document(run_id) for run_id in selected_runs(store, [target])]
        imported = {document.id for document in documents if store.is_imported(document.id)}
    for document in documents:
        program = program_of_run(document, imported=document.id in imported, metadata=metadata, model=model)
        if eager:
            origin = trusted_origin(document, Trust(imported=document.id in imported, files=tuple(trusted)))
            found.append(_eager_of_run(document, origin, program))
        found.append(program)
    return found
