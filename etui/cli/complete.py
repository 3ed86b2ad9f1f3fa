"""Completion of arguments and options in a shell: models, precisions, delegates, run ids, tags and filters.

The callbacks run at every press of Tab: they import what they need when they are called, only read, and suggest nothing
if that fails. Suggestions can come from imported runs, and a shell inserts them as they are: only those without
characters that are special to a shell are returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SAFE = re.compile(r"[\w.,:=+@%/-]+")


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a run, or a filter if no id begins so."""
    found = _run_items(ctx, incomplete)
    return found if found or not incomplete else complete_filter(ctx, param, incomplete)


def complete_filter(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last term of a filter: a key, a value of a key, or the name of a saved filter."""
    from etui.catalog.delegates import RECORDS
    from etui.catalog.precisions import PRECISIONS
    from etui.errors import EtuiError
    from etui.store.filter_keys import KEYS
    from etui.store.filter_language import completions
    from etui.store.quick_reads import suggested_models, suggested_tags
    from etui.store.saved_filters import load_filters

    try:
        saved = load_filters()
    except EtuiError:
        saved = {}
    if not incomplete:
        return _items([*((f"@{name}", text) for name, text in saved.items()), *((f"{key}:", "") for key in KEYS)])
    known = {"precision": list(PRECISIONS), "delegate": list(RECORDS)}
    if (database := _database(ctx)) is not None:
        known |= {"model": suggested_models(database), "tags": suggested_tags(database)}
    return _items((text, "") for text in completions(incomplete, len(incomplete), known, saved))


def complete_sort(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a column to sort by."""
    from etui.facts import BY_SHORT

    return _items((name, fact.title) for name, fact in BY_SHORT.items() if name.startswith(incomplete))


def _run_items(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the ids in the database that begin so and that the line does not have yet, newest first."""
    from etui.store.quick_reads import suggested_runs
    from etui.text import local_time

    database = _database(ctx)
    if database is None:
        return []
    given = set(_words(ctx))
    return _items(
        (run.id, f"{run.model} {run.precision}/{run.delegate}, {run.status}, {local_time(run.created_at)}")
        for run in suggested_runs(database, incomplete)
        if run.id not in given
    )


def complete_run_or_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a run, or the name of a file if no id begins so."""
    return _run_items(ctx, incomplete) or complete_file(ctx, param, incomplete)


def complete_file(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_tag_word(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument of ``etui tag``: a tag to add after a plus, else the id of a run."""
    return tag_items(ctx, incomplete) if incomplete.startswith("+") else complete_run(ctx, param, incomplete)


def tag_items(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Complete ``+TAG`` with the tags in the database, and ``-TAG`` with those of the runs on the line."""
    from etui.store.quick_reads import suggested_tags

    sign, database = incomplete[:1], _database(ctx)
    if database is None or sign not in ("+", "-"):
        return []
    given = _words(ctx)
    runs = [word for word in given if not word.startswith(("+", "-"))] if sign == "-" else []
    tags = (f"{sign}{tag}" for tag in suggested_tags(database, runs))
    return _items((tag, "") for tag in tags if tag.startswith(incomplete) and tag not in given)


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a supported model, or of a file if no name begins so."""
    from etui.catalog.diffusion_models import DIFFUSION
    from etui.catalog.models import MODELS

    listed = {**MODELS, **DIFFUSION}
    found = _items((name, entry.title) for name, entry in listed.items() if name.startswith(incomplete))
    if incomplete:
        from etui.catalog.torchvision_names import NAMES

        names = ((f"torchvision:{name}", row.task) for name, row in NAMES.items())
        found += _items((name, task) for name, task in names if name.startswith(incomplete))
    if incomplete.startswith("timm:"):
        from etui.catalog.timm_models import known_names

        timm = (f"timm:{name}" for name in known_names())
        found += _items((name, "") for name in timm if name.startswith(incomplete))
    if incomplete.startswith("hf:"):
        from etui.catalog.hf_models import cached_models

        found += _items((f"hf:{name}", "") for name in cached_models() if f"hf:{name}".startswith(incomplete))
    return found or complete_file(ctx, param, incomplete)


def complete_model_or_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a run or the name of a supported model, or of a file if none begins so."""
    return [*_run_items(ctx, incomplete), *complete_model(ctx, param, incomplete)]


def complete_models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of a list of supported models."""
    from etui.catalog.diffusion_models import DIFFUSION
    from etui.catalog.models import MODELS

    listed = {**MODELS, **DIFFUSION}
    return _list_items(((name, entry.title) for name, entry in listed.items()), incomplete)


def complete_measured_models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of a list of models that have runs in the database."""
    from etui.store.quick_reads import suggested_models

    database = _database(ctx)
    return _list_items(((name, "") for name in suggested_models(database)) if database else (), incomplete)


def complete_precisions(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of a list of precisions."""
    from etui.catalog.precisions import PRECISIONS

    return _list_items(((one.name, one.title) for one in PRECISIONS.values()), incomplete)


def complete_columns(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of a list of columns of ``etui runs``."""
    from etui.facts import BY_SHORT

    return _list_items(((name, fact.title) for name, fact in BY_SHORT.items()), incomplete)


def complete_delegates(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of a list of delegates."""
    from etui.catalog.delegates import RECORDS, is_listed

    return _list_items(((name, record.title) for name, record in RECORDS.items() if is_listed(name)), incomplete)


def complete_optimizers(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last of several names of optimizers."""
    from typing import get_args

    from etui.training_check import OptimizerName

    return _list_items(((name, "") for name in get_args(OptimizerName)), incomplete)


def complete_baselines(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete names of baselines separated by commas."""
    from etui.catalog.delegates import BASELINES, RECORDS, is_listed

    return _list_items(((name, RECORDS[name].title) for name in BASELINES if is_listed(name)), incomplete)


def complete_weights(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a kind of weights, or the name of a file or folder if none begins so."""
    from etui.spec import WEIGHTS

    found = _items((name, "") for name in WEIGHTS if name.startswith(incomplete))
    return found or complete_file(ctx, param, incomplete)


def complete_folder(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a folder."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def complete_config(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a saved configuration, or of a file if none begins so."""
    from etui.errors import EtuiError
    from etui.services.session_file import saved_names

    try:
        found = _items((name, "saved configuration") for name in saved_names() if name.startswith(incomplete))
    except EtuiError:
        return []
    return found or complete_file(ctx, param, incomplete)


def complete_cache_entry(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a model or a key of the program cache."""
    from etui.errors import EtuiError
    from etui.paths import cache_dir
    from etui.runner.cache_contents import keys, model_names

    try:
        root = cache_dir()
    except EtuiError:
        return []
    names = [*model_names(root), *(keys(root) if incomplete else ())]
    return _items((name, "") for name in names if name.startswith(incomplete))


def _list_items(named: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """Complete the last of several names separated by commas, with those that are not in the list yet."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return _items(
        (f"{before}{comma}{name}", about)
        for name, about in named
        if name.startswith(last) and (name not in given or name == last)
    )


def _items(suggestions: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    """Make items of texts and their descriptions."""
    from click.shell_completion import CompletionItem

    from etui.text import LINE_CELLS, shortened

    return [
        CompletionItem(text, help=shortened(about, LINE_CELLS) or None)
        for text, about in suggestions
        if _SAFE.fullmatch(text)
    ]


def _words(ctx: click.Context) -> list[str]:
    """The arguments that are on the line already."""
    values = (ctx.params.get(param.name) for param in ctx.command.params if isinstance(param, click.Argument))
    return [word for value in values for word in (value if isinstance(value, tuple) else (value,)) if word]


def _database(ctx: click.Context) -> Path | None:
    """The database that the command would use; None if its path is invalid."""
    from etui.errors import EtuiError
    from etui.paths import database_path

    try:
        return database_path(ctx.find_root().params.get("db"))
    except EtuiError:
        return None
