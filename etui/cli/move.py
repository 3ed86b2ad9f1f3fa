"""``etui move``: change the place of a waiting session in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_run
from etui.errors import UsageError
from etui.formats.json_text import printable_json
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Store

_STEPS = {"first": (True, None), "last": (False, None), "sooner": (True, 1), "later": (False, 1)}
"""Per place: whether the session moves towards the front, and by how many places (None: as far as possible)."""


@click.command(epilog=examples("etui move 3f2a first", "etui move 3f2a later    one place"))
@click.argument("run", metavar="RUN", shell_complete=complete_run)
@click.argument("place", metavar="first|last|sooner|later", type=click.Choice(list(_STEPS)))
@click.option("--json", "as_json", is_flag=True, help="Print the session, and its place in the queue, as JSON.")
@click.pass_obj
def move(settings: Settings, run: str, place: str, as_json: bool) -> None:
    """Move the waiting session of RUN in the queue, and print what is ahead of it then.

    Sessions that change places exchange the times at which they were queued. `etui who` lists the queue.
    """
    from etui.services.queue_estimate import ahead_of

    with settings.store_with_runs() as store:
        summary = store.summary(selected_run(store, run))
        if summary.status != "queued" or summary.session not in _waiting(store):
            raise UsageError(
                f"the run {summary.id[:6]} does not wait in the queue: it is {summary.status}",
                "see the queue: etui who",
            )
        earlier, most = _STEPS[place]
        moved = 0
        while moved != most and store.move_session(summary.session, earlier=earlier):
            moved += 1
        ahead = ahead_of(store, summary.session)
    if as_json:
        answer = {"session": summary.session, "moved": moved, "ahead": ahead.sessions, "starts_in_s": ahead.seconds}
        click.echo(printable_json(answer))
        return
    state = "moved" if moved else "not moved"
    click.echo(f"{summary.id[:6]} ({plain(summary.model)}): {state}; {ahead.text}")


def _waiting(store: Store) -> set[str]:
    return {session_id for session_id, _, _ in store.waiting_sessions()}
