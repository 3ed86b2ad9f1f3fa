"""``etui note``: set or print the note of runs."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_runs
from etui.cli.table import Column, table
from etui.cli.undo import show_undo
from etui.errors import UsageError
from etui.formats.json_text import printable_json
from etui.text import MISSING, plain

if TYPE_CHECKING:
    from etui.store import Store

MOST_CHARACTERS = 100_000
_RUN_ID = re.compile(r"[0-9a-f]{4,12}")


@click.command(
    epilog=examples(
        'etui note 3f2a "before the fix of the sampler"',
        'etui note 3f2a 91bc "measured with the new BIOS"    the same for several runs',
        "etui note 3f2a                                      print its note",
        "git log -1 | etui note 3f2a -                       take the text from stdin",
        'etui note 3f2a ""                                   remove the note',
        "etui note has:note                                  print the notes of all runs that have one",
    )
)
@click.argument("words", nargs=-1, required=True, metavar="RUN.. [TEXT]", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print the notes of the runs, now and before, as JSON.")
@click.pass_obj
def note(settings: Settings, words: tuple[str, ...], as_json: bool) -> None:
    """Set the note of runs to TEXT, the last argument, or from stdin if that is -. With a RUN alone, print its note.

    RUN is an id, or a filter like those of etui runs.
    """
    with settings.store_with_runs() as store:
        runs = words if len(words) == 1 else words[:-1]
        run_ids = selected_runs(store, runs)
        before = {run_id: store.summary(run_id).note for run_id in run_ids}
        now = dict(before)
        if len(words) > 1:
            text = _text(store, words[-1])
            for run_id in run_ids:
                if text != before[run_id]:
                    store.annotate(run_id, note=text)
                now[run_id] = text
    if as_json:
        listed = [{"id": run_id, "note": now[run_id], "before": before[run_id]} for run_id in run_ids]
        click.echo(printable_json(listed))
    elif len(words) == 1:
        if len(run_ids) == 1:
            text = now[run_ids[0]]
            click.echo(plain(text, keep_lines=True) if text else f"{run_ids[0][:6]} has no note", err=not text)
        else:
            notes = [(run_id[:6], now[run_id] or MISSING) for run_id in run_ids]
            click.echo(table((Column("run"), Column("note", wraps=True)), notes))
    else:
        for run_id in run_ids:
            outcome = "unchanged" if now[run_id] == before[run_id] else "set" if now[run_id] else "removed"
            click.echo(f"{run_id[:6]}  note {outcome}", err=True)
    # One line for all runs that had the same note.
    reverse: dict[str, list[str]] = {}
    for run_id in run_ids:
        if now[run_id] != before[run_id]:
            reverse.setdefault(before[run_id], []).append(run_id)
    for text, changed in reverse.items():
        end = ["--"] if text.startswith("-") else []
        show_undo(settings, ["note", *end, *changed, text])


def _text(store: Store, word: str) -> str:
    """Return the note that the last argument gives. Raises UsageError if that names a run, or is too long."""
    from etui.store.queue import storable

    if _RUN_ID.fullmatch(word):
        try:
            store.resolve(word)
        except UsageError:
            pass
        else:
            raise UsageError(f"{word} is a run, and no text follows it", 'write the text last: etui note RUN.. "TEXT"')
    text = storable(sys.stdin.read(MOST_CHARACTERS + 1) if word == "-" else word).strip()
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"a note of more than {MOST_CHARACTERS:,} characters is too long", "shorten it")
    return text
