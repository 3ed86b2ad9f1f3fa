"""The precisions and delegates that the picker lists, with the reason if one is not available."""

from __future__ import annotations

from collections.abc import Iterable

from etui.catalog.delegates import RUNNABLE, delegates
from etui.catalog.find import Model, impossible
from etui.catalog.precisions import AS_IS, PRECISIONS
from etui.services.request import is_as_is
from etui.tui.widgets.multi_select import Item

FIRST_DELEGATES = RUNNABLE
"""The delegates shown before the check of which ones run on this machine."""

_SHORT = 8


def precision_items(model: Model | None, chosen_delegates: Iterable[str]) -> list[Item]:
    """Return the precisions, those that are supported first, short names first; one that no selected delegate supports
    has a reason."""
    others = tuple(chosen_delegates)
    items = [
        Item(
            name=precision.name,
            about=precision.title,
            reason=_reason(model, [(precision.name, other) for other in others]),
        )
        for precision in sorted(PRECISIONS.values(), key=lambda precision: len(precision.name) > _SHORT)
    ]
    return sorted(items, key=lambda item: item.reason is not None)


def delegate_items(model: Model | None, chosen_precisions: Iterable[str]) -> list[Item]:
    """Return the delegates: first those that can be selected, then others that run on this machine. One that does not
    run here, or supports none of the selected precisions, has a reason. Looks at installed packages."""
    others = tuple(chosen_precisions)
    items = []
    for delegate in sorted(delegates().values(), key=lambda delegate: not delegate.runs_here):
        reason = None
        if not delegate.runs_here:
            reason = f"{delegate.reason} ({delegate.what_to_do})" if delegate.what_to_do else delegate.reason
        items.append(
            Item(
                name=delegate.name,
                about=delegate.title,
                reason=reason or _reason(model, [(other, delegate.name) for other in others]),
            )
        )
    return sorted(items, key=lambda item: item.reason is not None)


def as_is_item() -> Item:
    """Return the only item for a finished program."""
    return Item(name=AS_IS, about="a finished program is measured as it is")


def _reason(model: Model | None, pairs: list[tuple[str, str]]) -> str | None:
    """Return why none of these (precision, delegate) pairs is supported; None if one is, or there are none."""
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
