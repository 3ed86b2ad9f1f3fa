"""The precisions, delegates, baselines and methods that the picker lists, with the reason if one is not available."""

from __future__ import annotations

from collections.abc import Iterable

from etui.catalog.delegates import BASELINES, RECORDS, RUNNABLE, baselines, delegates, is_listed, needs_gpu
from etui.catalog.find import Model, impossible
from etui.catalog.precisions import AS_IS, PRECISIONS
from etui.programs.program import FORWARD, signature_text
from etui.services.methods import methods_of
from etui.services.request import is_as_is
from etui.tui.widgets.multi_select import Item

FIRST_DELEGATES = RUNNABLE
"""The delegates shown before the check of which ones run on this machine."""

FIRST_BASELINES = tuple(name for name in BASELINES if not needs_gpu(name))
"""The baselines shown before the check of which ones run on this machine."""

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


def baseline_items(model: Model | None, chosen_precisions: Iterable[str], chosen: Iterable[str] = ()) -> list[Item]:
    """Return the other runtimes to measure in the same session; those that need a GPU only if there is one, or they are
    ``chosen``. One that does not run here, or supports neither FP32 nor a selected precision of the model, has a
    reason. Looks at installed packages, at the environment that converts models to LiteRT, and for a GPU."""
    items = []
    kept = set(chosen)
    for one in baselines().values():
        if not is_listed(one.name) and one.name not in kept:
            continue
        reason = f"{one.reason} ({one.what_to_do})" if not one.runs_here else None
        if one.runs_here and model is not None:
            (own, *_) = RECORDS[one.name].precisions or ("fp32",)
            reasons = [impossible(model, precision, one.name) for precision in (*chosen_precisions, own)]
            reason = reasons[-1] if None not in reasons else None
        items.append(Item(name=one.name, about=one.title, reason=reason))
    return items


def method_items(model: Model | None, chosen: Iterable[str]) -> list[Item]:
    """Return the methods of a finished program with their inputs; a chosen one that it does not have has a reason."""
    methods = [] if model is None else methods_of(model)
    names = [method.name for method in methods]
    return [
        *(Item(name=method.name, about=signature_text(method)) for method in methods),
        *(Item(name=name, reason="the model has no method of this name") for name in chosen if name not in names),
    ]


def measured_methods(model: Model | None, chosen: Iterable[str]) -> tuple[str, ...]:
    """Return the methods that are measured if these are chosen: without a choice ``forward``, if the program has it."""
    names = [method.name for method in methods_of(model)] if model is not None else []
    return tuple(chosen) or ((FORWARD,) if FORWARD in names else ())


def chosen_methods(measured: Iterable[str]) -> tuple[str, ...]:
    """Return the choice that measures these methods: none for ``forward`` alone, which is then what is measured."""
    measured = tuple(measured)
    return () if measured == (FORWARD,) else measured


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
