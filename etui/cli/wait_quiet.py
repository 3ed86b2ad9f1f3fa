"""The option ``--wait-quiet``, and the question on a terminal what to do if the machine is busy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from etui.cli.number_types import Number

if TYPE_CHECKING:
    from etui.store import Store

WITHOUT_VALUE_MIN = 60
"""The minutes of ``--wait-quiet`` without a value; the answer *wait* to the question is the same."""


class _Minutes(Number):
    """Minutes, with a hint for an argument that is taken for them."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert the value. Fails if it is not a number of minutes."""
        try:
            float(value)
        except ValueError:
            remedy = f"write --wait-quiet {WITHOUT_VALUE_MIN}, or put --wait-quiet last"
            self.fail(f"{value!r} is not a number of minutes; {remedy}", param, ctx)
        return super().convert(value, param, ctx)


wait_quiet_option = click.option(
    "--wait-quiet",
    type=_Minutes(),
    is_flag=False,
    flag_value=WITHOUT_VALUE_MIN,
    metavar="[MIN]",
    envvar="ETUI_WAIT_QUIET",
    help=f"Maximum minutes to wait for an idle machine before the first block (without MIN: {WITHOUT_VALUE_MIN}), 0:"
    " none.  [default: ask on a terminal, else 0.5]",
)


def on_terminal() -> bool:
    """Whether a question can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def minutes_to_wait(store: Store, option: float | None, threads: int | None) -> float | None:
    """Return the minutes to wait for an idle machine: ``option`` if given; on a terminal the answer to the question
    what to do, if the machine is busy; else None for the default.

    Raises click.Abort if the user cancels.
    """
    from etui.services.busy_start import MEASURE_ANYWAY_MIN, WAIT_UNTIL_CALM_MIN, busy_with, is_undecided

    if not on_terminal() or not is_undecided(store, option):
        return option
    import asyncio

    reading = asyncio.run(busy_with(threads))
    if reading is None:
        return option
    click.echo(f"The machine is busy, {reading.to_text()}.", err=True)
    answer = click.prompt(
        "Measurements would be unreliable. Wait until it is calm (w), measure anyway (m), or cancel (c)?",
        type=click.Choice(["w", "m", "c"], case_sensitive=False),
        default="w",
        show_choices=False,
        err=True,
    )
    if answer == "c":
        raise click.Abort
    return WAIT_UNTIL_CALM_MIN if answer == "w" else MEASURE_ANYWAY_MIN
