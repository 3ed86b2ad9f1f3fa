"""The runs that arguments of a command name: by the beginning of an id, or by a filter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from etui.errors import UsageError
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Store
    from etui.task_training import QueuedTraining

_LISTED = 5


def selected_runs(store: Store, names: Iterable[str], *, without: str | None = None) -> list[str]:
    """Return the ids of the runs, each once: in the order of the arguments, those of a filter oldest first.
    A filter leaves out the run ``without``.

    Raises UsageError for an argument without a run, and for the beginning of several ids.
    """
    return list(dict.fromkeys(run_id for name in names for run_id in _runs(store, name, without)))


def selected_run(store: Store, name: str) -> str:
    """Return the id of the only run that an argument names. Raises UsageError if there is no run or more than one."""
    found = _runs(store, name)
    if len(found) > 1:
        runs = [store.summary(run_id) for run_id in found[-_LISTED:][::-1]]
        listed = ", ".join(f"{run.id} ({run.model} {run.configuration})" for run in runs)
        more = " and more" if len(found) > _LISTED else ""
        raise UsageError(f"{plain(name)} matches {len(found):,} runs", f"name one of them: {plain(listed)}{more}")
    return found[0]


def selected_training(store: Store, name: str) -> QueuedTraining | None:
    """Return the training whose id begins with ``name``; None if that is a run, a filter, or neither."""
    try:
        store.resolve(name)
    except UsageError:
        pass
    else:
        return None
    try:
        return store.training(name)
    except UsageError:
        return None


def _runs(store: Store, name: str, without: str | None = None) -> list[str]:
    from etui.store import Condition
    from etui.store.filter_language import is_filter, parse
    from etui.store.saved_filters import load_filters

    # An imported run may have an id that looks like a filter.
    if not is_filter(name) or store.count([Condition("id", "=", name)]):
        return [store.resolve(name)]
    where = parse(name, saved=load_filters() if "@" in name else {})
    if without is not None:
        where.append(Condition("id", "!=", without))
    found = [run.id for run in store.summaries(where, descending=False)]
    if not found:
        raise UsageError(f"no run matches the filter {plain(name)}", "see etui runs")
    return found
