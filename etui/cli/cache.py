"""``etui cache``: what is in the program cache, and removing some of it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from etui import text
from etui.cli.complete import complete_cache_entry
from etui.cli.context import Settings
from etui.cli.fact_columns import NAME_CELLS, fact_cell
from etui.cli.lazy_group import examples
from etui.cli.table import Column, table
from etui.errors import UsageError
from etui.facts import RunSummary
from etui.formats.json_text import printable_json

if TYPE_CHECKING:
    from etui.runner.cache_contents import CacheContents, CacheEntry
    from etui.store.quick_reads import BriefRun

_KEY_CHARACTERS = 12
_COLUMNS = (
    Column("key"),
    Column("kind"),
    Column("model", most=NAME_CELLS),
    Column("contents", most=NAME_CELLS),
    Column("size MB", right=True),
    Column("last used", spare=3),
    Column("in use", spare=2),
    Column("runs", most=NAME_CELLS, spare=4),
)
_SHOWN_RUNS = 3
_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([mhdw])")
_UNITS_S = {"m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


class _Age(click.ParamType[float]):
    """An age in minutes, hours, days or weeks, such as ``30d``; converted to seconds."""

    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        match = _AGE.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not an age; write a number with m, h, d or w, such as 30d", param, ctx)
        return float(match[1]) * _UNITS_S[match[2]]


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "etui cache",
        "etui cache list --json | jq '.entries[] | select(.in_use)'",
        "etui cache clean --older-than 30d",
        "etui cache clean resnet18 --yes",
    )
    + "\n\nThe folder is ETUI_CACHE, else etui in the user's cache folder. Its cap is ETUI_CACHE_GB gigabytes, or 20.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
@click.pass_context
def cache(ctx: click.Context, as_json: bool) -> None:
    """List or clean the program cache: prepared programs, and the weights, inputs and reference outputs of models.

    What is removed is prepared again when it is needed. Runs and their results are in the database, and are not
    affected.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_entries, as_json=as_json)
    elif as_json:
        raise UsageError("--json is before the command", f"write it last: etui cache {ctx.invoked_subcommand} --json")


@cache.command("list", epilog=examples("etui cache list", "etui cache list --json | jq '.size_bytes'"))
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
@click.pass_obj
def list_entries(settings: Settings, as_json: bool) -> None:
    """List the entries, most recently used first, and their total size.

    If the cache exceeds its cap, the entries at the end of the list are removed first, except those in use.
    """
    from etui.paths import cache_dir
    from etui.runner.cache_contents import cache_contents, with_configurations
    from etui.store.quick_reads import runs_of_programs

    contents = cache_contents(cache_dir())
    runs = runs_of_programs(settings.database, [entry.key for entry in contents.entries])
    contents = with_configurations(contents, runs)
    if as_json:
        import msgspec

        listed = msgspec.to_builtins(contents)
        for entry in listed["entries"]:
            entry["runs"] = [run.id for run in runs.get(entry["key"], ())]
        click.echo(printable_json(listed))
        return
    if contents.entries:
        click.echo(table(_COLUMNS, [_row(entry, runs.get(entry.key, [])) for entry in contents.entries]))
        click.echo()
    click.echo(_total(contents))


@cache.command(
    epilog=examples(
        "etui cache clean --older-than 30d",
        "etui cache clean resnet18 3f2a91    a model and the beginning of a key",
        "etui cache clean resnet18 --older-than 2w --yes",
        "etui cache clean --all --yes",
    )
)
@click.argument("names", nargs=-1, metavar="[MODEL|KEY]..", shell_complete=complete_cache_entry)
@click.option("--older-than", "older_than_s", type=_Age(), metavar="AGE",
              help="Only entries that were not used for this time, such as 12h, 30d or 2w.")  # fmt: skip
@click.option("--all", "every", is_flag=True, help="All entries.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; required without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the removed and kept entries as JSON.")
@click.pass_obj
def clean(
    settings: Settings, names: tuple[str, ...], older_than_s: float | None, every: bool, yes: bool, as_json: bool
) -> None:
    """Remove entries, and temporary files that killed processes left. An entry in use is never removed."""
    from etui.paths import cache_dir
    from etui.runner.cache_contents import cache_contents, remove_entries, selected, with_configurations
    from etui.store.quick_reads import runs_of_programs

    if not names and older_than_s is None and not every:
        raise UsageError("nothing selected", "name models or keys, or use --older-than or --all")
    if names and every:
        raise UsageError("--all selects every entry, and names select some", "use one of them")
    root = cache_dir()
    contents = cache_contents(root)
    runs = runs_of_programs(settings.database, [entry.key for entry in contents.entries])
    contents = with_configurations(contents, runs)
    chosen = selected(contents, names, older_than_s=older_than_s)
    free = [entry for entry in chosen if not entry.in_use]
    if free and not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                "cannot ask for confirmation without a terminal", "use --yes to remove without confirmation"
            )
        click.echo(table(_COLUMNS[:-1], [_row(entry, [])[:-1] for entry in chosen]), err=True)
        if not click.confirm(f"Remove {_summed(free)}?", err=True):
            click.echo("nothing was removed", err=True)
            return
    removed = remove_entries(root, free) if root.exists() else []
    kept = [entry for entry in chosen if entry not in removed]
    if as_json:
        listed = {"freed_bytes": sum(entry.size_bytes for entry in removed), "removed": removed, "kept": kept}
        click.echo(printable_json(listed))
    for entry in kept:
        state = "in use" if entry.in_use else "in use since it was listed, or not removable"
        click.echo(f"kept {entry.kind} {entry.key[:_KEY_CHARACTERS]} {text.plain(entry.model)}: {state}", err=True)
    click.echo(f"removed {_summed(removed)}" if removed else "nothing was removed", err=True)


def _row(entry: CacheEntry, runs: list[BriefRun]) -> tuple[str, ...]:
    if entry.kind == "program":
        contents = f"{entry.precision}/{entry.delegate}" if entry.precision or entry.delegate else ""
        if entry.keep_fp32:
            contents += f", {', '.join(entry.keep_fp32)} in FP32"
    else:
        contents = ", ".join(part for part in (_weights(entry), entry.inputs) if part)
    more = len(runs) - _SHOWN_RUNS
    return (
        entry.key[:_KEY_CHARACTERS],
        entry.kind,
        entry.model or text.MISSING,
        contents or text.MISSING,
        fact_cell(RunSummary.size_bytes, entry.size_bytes),
        text.local_time(entry.last_used_at),
        {True: "yes", False: "no", None: "unknown"}[entry.in_use],
        (", ".join(run.id[:6] for run in runs[:_SHOWN_RUNS]) + (f" and {more} more" if more > 0 else ""))
        or text.MISSING,
    )


def _weights(entry: CacheEntry) -> str:
    return f"{entry.weights} weights" if entry.weights else ""


def _total(contents: CacheContents) -> str:
    share = contents.size_bytes / contents.cap_bytes if contents.cap_bytes > 0 else 1.0
    total = (
        f"{_summed(contents.entries)}, {text.percent(share)} of the cap of {text.size(contents.cap_bytes)},"
        f" in {text.plain(contents.folder)}"
    )
    if contents.temporary_bytes:
        total += f"\n{text.size(contents.temporary_bytes)} of temporary files"
    return total


def _summed(entries: list[CacheEntry]) -> str:
    """Describe the number of entries of each kind and their size."""
    if not entries:
        return "no entries"
    counts = [
        text.counted(count, kind)
        for kind in ("program", "bundle")
        if (count := sum(entry.kind == kind for entry in entries))
    ]
    return f"{' and '.join(counts)} ({text.size(sum(entry.size_bytes for entry in entries))})"
