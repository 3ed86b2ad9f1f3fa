"""The delegates that programs can be lowered for, and the baselines: one module each, found by the name of its catalog
record.

To add a delegate, add a record to ``etui.catalog.delegates.RECORDS`` and a module here with the record's name (``-``
replaced by ``_``) that defines ``DELEGATE``.
"""

from __future__ import annotations

import importlib
from functools import cache

from etui.catalog.delegates import RECORDS
from etui.engine.delegates.base import BaselineSupport, DelegateSupport
from etui.errors import PreparationError

_DEFAULT_QUANTIZER = "xnnpack"


@cache
def delegate_support(name: str) -> DelegateSupport:
    """Return the implementation of a delegate.

    Raises:
        PreparationError: programs cannot be lowered for it.
    """
    record = RECORDS.get(name)
    if record is None or record.support == "none":
        raise PreparationError(f"lowering for {name} is not supported", "choose another delegate")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    support: DelegateSupport = module.DELEGATE
    return support


def baseline_support(name: str) -> BaselineSupport | None:
    """Return the implementation of a baseline; None for the name of a delegate, or ``as-is``."""
    if name not in RECORDS or not RECORDS[name].is_baseline:
        return None
    support = delegate_support(name)
    assert isinstance(support, BaselineSupport)
    return support


def support_of_backend(backend: str) -> DelegateSupport | None:
    """Return the implementation of the delegate with this backend id, None if etui has none."""
    for record in RECORDS.values():
        if backend and record.backend == backend and record.support != "none":
            return delegate_support(record.name)
    return None


def quantizing_support(recipe: str) -> DelegateSupport:
    """Return the delegate whose quantizer implements a recipe (see ``etui.catalog.precisions.recipe``): the one that
    the recipe belongs to, else XNNPACK, whose quantizer all other delegates share."""
    for record in RECORDS.values():
        if record.int8_recipe and recipe.startswith(record.int8_recipe):
            return delegate_support(record.name)
    return delegate_support(_DEFAULT_QUANTIZER)
