"""Photos in ``etui tag``: run a program on them, and print their tags and what took the time."""

from __future__ import annotations

import csv as csv_format
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from etui.cli.context import Settings
from etui.cli.status_line import status_line
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.cli.task_programs import programs_of
from etui.errors import EXIT_DONE, EXIT_FAILED, UsageError
from etui.formats.json_text import printable_json
from etui.paths import expanded
from etui.text import plain
from etui.wording.tagging import notes, tags_text

if TYPE_CHECKING:
    from etui.task_data.tagging import Tagging


def tag_photos(
    settings: Settings,
    target: str,
    photos: Sequence[str],
    *,
    as_json: bool,
    top: int | None,
    threshold: float | None,
    csv: bool,
    metadata: Path | None,
    model: str | None,
    outputs: Literal["logits", "probabilities"] | None,
    threads: int | None,
    timeout: float | None,
) -> int:
    """Tag photos with a program, print the result, and return the exit status."""
    from etui.services.score_images import LIMIT_S
    from etui.services.tag_photos import find_photos
    from etui.services.tag_photos import tag_photos as tagged

    if csv and as_json:
        raise UsageError("--csv and --json exclude each other", "choose one")
    if not photos:
        raise UsageError("no photos given", f"name files or folders: etui tag {plain(target)} PHOTO..")
    found = find_photos([expanded(photo) for photo in photos])
    programs = programs_of(settings, [target], metadata, model)
    if len(programs) > 1:
        raise UsageError(f"{plain(target)} matches {len(programs)} runs", "name one run to tag photos with")
    with status_line() as line:
        made = tagged(
            programs[0], found, top=top, threshold=threshold, threads=threads,
            limit_s=LIMIT_S if timeout is None else timeout, outputs=outputs, progress=line.show,
        )  # fmt: skip
    if as_json:
        click.echo(printable_json(made))
    elif csv:
        click.echo(_as_csv(made), nl=False)
    else:
        click.echo(_as_text(made))
    for photo in made.photos:
        if photo.error is not None:
            click.echo(f"etui: {plain(photo.error)}", err=True)
    return EXIT_FAILED if made.unreadable else EXIT_DONE


def _as_text(made: Tagging) -> str:
    rows = [[plain(photo.path), tags_text(photo, made.threshold)] for photo in made.photos if photo.error is None]
    lines = [table([Column("photo", cut="start"), Column("tags", wraps=True)], rows), ""] if rows else []
    return "\n".join([*lines, *map(wrapped_to_terminal, notes(made))])


def _as_csv(made: Tagging) -> str:
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    writer.writerow(("photo", "category", "probability"))
    for photo in made.photos:
        writer.writerows((plain(photo.path), plain(tag.category), tag.probability) for tag in photo.tags)
    return text.getvalue()
