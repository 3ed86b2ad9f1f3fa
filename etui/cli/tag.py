"""``etui tag``: add tags to runs, remove them, or print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_tag_word, tag_items
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_runs
from etui.cli.undo import show_undo
from etui.errors import UsageError
from etui.formats.json_text import printable_json
from etui.text import plain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _TagCommand(click.Command):
    """A command whose arguments may begin with a dash: ``-old`` removes a tag and is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse only words with two dashes, and ``-h``, as options."""
        end = args.index("--") if "--" in args else len(args)
        options = [word for word in args[:end] if word.startswith("--") or word == "-h"]
        others = [word for word in args[:end] if word not in options]
        return super().parse_args(ctx, [*options, "--", *others, *args[end + 1 :]])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, and the tags that ``-`` removes."""
        found = super().shell_complete(ctx, incomplete)
        return found if incomplete.startswith("--") else [*found, *tag_items(ctx, incomplete)]


@click.command(
    cls=_TagCommand,
    epilog=examples(
        "etui tag 3f2a +release",
        "etui tag 3f2a 91bc +release -candidate    the same for several runs",
        'etui tag 3f2a "+before the fix"',
        "etui tag 3f2a                             print its tags",
        "etui tag session:last +baseline           all runs of the last session",
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="RUN.. [+TAG|-TAG]..", shell_complete=complete_tag_word)
@click.option("--json", "as_json", is_flag=True, help="Print the tags of the runs, and what was changed, as JSON.")
@click.pass_obj
def tag(settings: Settings, words: tuple[str, ...], as_json: bool) -> None:
    """Add (+) tags to runs and remove (-) them, and print the tags that each run has then.

    RUN is an id, or a filter like those of etui runs. The filter tag:NAME finds tagged runs.
    """
    from etui.services.annotations import edited, tag_name

    add = [tag_name(word[1:]) for word in words if word.startswith("+")]
    remove = [tag_name(word[1:]) for word in words if word.startswith("-")]
    runs = [word for word in words if not word.startswith(("+", "-"))]
    if both := [name for name in add if name in remove]:
        raise UsageError(f"the tag {both[0]!a} is both added and removed", f"write either +{both[0]} or -{both[0]}")
    if not runs:
        raise UsageError("no RUN given", "name the runs: etui tag RUN.. +TAG -TAG")
    with settings.store_with_runs() as store:
        try:
            run_ids = selected_runs(store, runs)
        except UsageError as error:
            if not (add or remove) and len(runs) > 1:
                raise UsageError(error.message, f"{error.hint}; to add a tag, write +{plain(runs[-1])}") from error
            raise
        edits = {run_id: edited(store.summary(run_id).tags, add, remove) for run_id in run_ids}
        for run_id, edit in edits.items():
            if edit.added or edit.removed:
                store.annotate(run_id, tags=edit.tags)
    if as_json:
        listed = [{"id": run_id, **edit._asdict()} for run_id, edit in edits.items()]
        click.echo(printable_json(listed))
    else:
        for run_id, edit in edits.items():
            click.echo(f"{run_id[:6]}  {plain(', '.join(edit.tags)) or 'no tags'}")
    for name in remove:
        if not any(name in edit.removed for edit in edits.values()):
            click.echo(f"no run given here has the tag {name}", err=True)
    # One line for all runs in which the same was changed.
    reverse: dict[tuple[str, ...], list[str]] = {}
    for run_id, edit in edits.items():
        if edit.added or edit.removed:
            changes = (*(f"-{name}" for name in edit.added), *(f"+{name}" for name in edit.removed))
            reverse.setdefault(changes, []).append(run_id)
    for changes, changed in reverse.items():
        end = ["--"] if any(word.startswith("--") for word in changes) else []
        show_undo(settings, ["tag", *end, *changed, *changes])
