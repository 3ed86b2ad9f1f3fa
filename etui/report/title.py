"""The title and the subtitle of a report, made from its runs."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.results import RunDocument
from etui.wording.run_sections import variant

_MOST_NAMED = 4
_NAME_CELLS = 60


def title_of(documents: Sequence[RunDocument]) -> str:
    """Return what the runs are: the models and the configurations, and for one configuration when it was measured."""
    models = list(dict.fromkeys(text.shortened(run.model.name, _NAME_CELLS) for run in documents))
    variants = list(dict.fromkeys(text.shortened(variant(run), _NAME_CELLS) for run in documents))
    name = _listed(models, "model")
    if len(models) > 1:
        return f"{name}: {_configurations(documents, variants)}"
    dates = list(dict.fromkeys(text.local_time(run.created_at) for run in documents))
    if len(variants) == 1 and len(dates) > 1:
        days = list(dict.fromkeys(date[:10] for date in dates))
        first, *_, last = days if len(days) > 1 else dates
        return f"{name} {variants[0]}: {last} against {first}"
    return f"{name} {variants[0]}" if len(variants) == 1 else f"{name}: {_configurations(documents, variants)}"


def subtitle_of(documents: Sequence[RunDocument]) -> str:
    """Return how many runs and sessions there are, when they were measured, and on which machines."""
    sessions = list(dict.fromkeys(run.session.id for run in documents))
    machines = [*dict.fromkeys(_machine(run) for run in documents if run.environment is not None)]
    dates = sorted(text.local_time(run.created_at) for run in documents)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    many = f"{text.counted(len(documents), 'run')} in {text.counted(len(sessions), 'session')}"
    on = f" on {_listed(machines, 'machine')}" if machines else ""
    return f"{many}, {when}{on}"


def _machine(run: RunDocument) -> str:
    environment = run.environment
    if environment is None:
        return ""
    cores = text.counted(environment.cores, "core")
    return text.shortened(f"{environment.box} ({environment.cpu}, {cores})", text.LINE_CELLS)


def _configurations(documents: Sequence[RunDocument], variants: Sequence[str]) -> str:
    """Return the configurations; if every precision was measured on every delegate, as ``A and B on C and D``."""
    precisions = list(dict.fromkeys(text.shortened(run.precision, _NAME_CELLS) for run in documents))
    delegates = list(dict.fromkeys(text.shortened(run.delegate, _NAME_CELLS) for run in documents))
    if len(variants) > 1 and len(variants) == len(precisions) * len(delegates):
        return f"{_listed(precisions, 'precision')} on {_listed(delegates, 'delegate')}"
    return _listed(variants, "variant")


def _listed(names: Sequence[str], what: str) -> str:
    if len(names) > _MOST_NAMED:
        return text.counted(len(names), what)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
