"""What the picker offers of precisions and delegates, each with the reason it cannot be chosen where it cannot."""

from __future__ import annotations

from collections.abc import Iterable

from etui.catalog.delegates import RUNNABLE, delegates
from etui.catalog.find import Model, impossible
from etui.catalog.precisions import AS_IS, PRECISIONS
from etui.services.request import is_as_is
from etui.tui.widgets.multi_select import Item

FIRST_DELEGATES = RUNNABLE
"""Those shown before this box was looked at."""

_SHORT = 8


def precision_items(model: Model | None, chosen_delegates: Iterable[str]) -> list[Item]:
    """The precisions, short names first. One is impossible where no chosen delegate takes it."""
    others = tuple(chosen_delegates)
    return [
        Item(
            name=precision.name,
            about=precision.title,
            reason=_reason(model, [(precision.name, other) for other in others]),
        )
        for precision in sorted(PRECISIONS.values(), key=lambda precision: len(precision.name) > _SHORT)
    ]


def delegate_items(model: Model | None, chosen_precisions: Iterable[str]) -> list[Item]:
    """The delegates, those that run here first. One is impossible where it does not run here, or takes none of the
    chosen precisions. Looks at what is installed."""
    others = tuple(chosen_precisions)
    items = []
    for place in sorted(delegates().values(), key=lambda place: not place.runs_here):
        reason = None
        if not place.runs_here:
            reason = f"{place.reason} ({place.what_to_do})" if place.what_to_do else place.reason
        items.append(
            Item(
                name=place.name,
                about=place.title,
                reason=reason or _reason(model, [(other, place.name) for other in others]),
            )
        )
    return items


def as_is_item() -> Item:
    """The one choice there is for a finished program."""
    return Item(name=AS_IS, about="a finished program is measured as it is")


def _reason(model: Model | None, pairs: list[tuple[str, str]]) -> str | None:
    """Why none of these (precision, delegate) pairs can be; None where one can, or there are none."""
    if model is None or is_as_is(model):
        return None
    reasons = []
    for precision, delegate in pairs:
        if delegate not in delegates() or precision not in PRECISIONS:
            continue
        if delegates()[delegate].runs_here:
            reason = impossible(model, precision, delegate)
            if reason is None:
                return None
            reasons.append(reason)
    return reasons[0] if reasons else None
