"""``etui tag``: tag runs, or name what is in photos with the program of a run or of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from etui.cli.complete import complete_model, complete_tag_word, tag_items
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.run_selection import selected_runs
from etui.cli.undo import show_undo
from etui.errors import EXIT_DONE, UsageError
from etui.formats.json_text import printable_json
from etui.paths import expanded
from etui.text import plain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _TagCommand(click.Command):
    """A command whose arguments may begin with a dash: ``-old`` removes a tag and is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse only words with two dashes, and ``-h``, as options."""
        end = args.index("--") if "--" in args else len(args)
        with_value = {
            name
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        options: list[str] = []
        others: list[str] = []
        for place, word in enumerate(args[:end]):
            is_value = place > 0 and args[place - 1] in with_value
            (options if word.startswith("--") or word == "-h" or is_value else others).append(word)
        return super().parse_args(ctx, [*options, "--", *others, *args[end + 1 :]])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, and the tags that ``-`` removes."""
        found = super().shell_complete(ctx, incomplete)
        return found if incomplete.startswith("--") else [*found, *tag_items(ctx, incomplete)]


_PHOTO_OPTIONS = ("top", "threshold", "csv", "metadata", "model", "outputs", "threads", "timeout")


@click.command(
    cls=_TagCommand,
    epilog=examples(
        "etui tag 3f2a +release",
        "etui tag 3f2a 91bc +release -candidate    the same for several runs",
        'etui tag 3f2a "+before the fix"',
        "etui tag 3f2a                             print its tags",
        "etui tag session:last +baseline           all runs of the last session",
        "etui tag net.pte beach.jpg photos/        tag photos",
        "etui tag 3f2a photos/ --top 3 --json",
    ),
)
@click.argument(
    "words", nargs=-1, required=True, metavar="RUN.. [+TAG|-TAG].. | RUN|FILE.pte PHOTO|DIR..",
    shell_complete=complete_tag_word,
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True,
              help="Print the tags of the runs and what was changed, or those of the photos, as JSON.")  # fmt: skip
@click.option("--top", type=Count(min=1), metavar="K",
              help="Photos: at most K tags each.  [default: 5; no limit for multi-label programs]")  # fmt: skip
@click.option("--threshold", type=Number(min=0.0, max=1.0), metavar="P",
              help="Photos: probability from which a category is a tag, if a photo can have several labels.  [default:"
                   " that of the program's metadata, else 0.5]")  # fmt: skip
@click.option("--csv", is_flag=True, help="Photos: print CSV, one row for each photo and tag.")
@click.option("--metadata", type=FILE_PATH, metavar="FILE",
              help="Photos: metadata of the program.  [default: FILE.task.json next to FILE.pte]")  # fmt: skip
@click.option("--model", metavar="NAME", shell_complete=complete_model,
              help="Photos: model whose classes and preprocessing a program without metadata has.")  # fmt: skip
@click.option("--outputs", type=click.Choice(["logits", "probabilities"]),
              help="Photos: what the program computes.  [default: as its metadata or last operator says]")  # fmt: skip
@click.option("--threads", type=Count(min=1), metavar="N",
              help="Photos: threads of the program.  [default: half of the cores; the others read photos]")  # fmt: skip
@click.option("--timeout", type=Number(min=0.1), metavar="S",
              help="Photos: time limit in seconds.  [default: 3600]")  # fmt: skip
@click.pass_obj
def tag(settings: Settings, /, words: tuple[str, ...], as_json: bool, **photo_options: Any) -> int:
    """Add (+) tags to runs and remove (-) them, and print the tags that each run has then; or tag photos.

    Runs: RUN is an id, or a filter like those of etui runs. The filter tag:NAME finds tagged runs.

    Photos: runs the program of RUN or FILE.pte on photos (files, or folders with all below them) and prints what is in
    them, with probabilities, photos per second and the time of each stage. They are prepared as for etui evaluate:
    rotated as their EXIF data says, resized and normalized as the program's metadata or its model says. Photos that
    cannot be read are named, and the exit status is 3.

    Photos are tagged if the first word is a .pte, or the second is an existing file or folder and no word begins with
    + or -.
    """
    if _is_on_photos(words):
        from etui.cli.tag_photos import tag_photos

        return tag_photos(settings, words[0], words[1:], as_json=as_json, **photo_options)
    if given := [name for name in _PHOTO_OPTIONS if photo_options[name] not in (None, False)]:
        raise UsageError(f"--{given[0]} is for photos", "name a program and photos: etui tag RUN|FILE.pte PHOTO..")
    _tag_runs(settings, words, as_json=as_json)
    return EXIT_DONE


def _is_on_photos(words: Sequence[str]) -> bool:
    first, *others = words
    if first.startswith(("+", "-")) or any(word.startswith(("+", "-")) for word in others):
        return False
    return first.lower().endswith(".pte") or (bool(others) and expanded(others[0]).exists())


def _tag_runs(settings: Settings, words: tuple[str, ...], *, as_json: bool) -> None:
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
