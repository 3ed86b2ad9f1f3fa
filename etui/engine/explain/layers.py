"""Find the layer of a model in which an error arose."""

from __future__ import annotations

from types import TracebackType

from torch import nn

from etui.engine.explain.error_text import headline
from etui.engine.explain.source_lines import chain, model_line


def failing_layer(error: BaseException, root: nn.Module) -> str:
    """Return the path and class of the innermost module whose call raised an error, such as ``head.fc (Linear)``; empty
    if that is ``root`` itself or not known."""
    names = {id(module): name for name, module in root.named_modules(remove_duplicate=False)}
    found = ""
    for each in chain(error):
        traceback: TracebackType | None = each.__traceback__
        while traceback is not None:
            owner = traceback.tb_frame.f_locals.get("self")
            if isinstance(owner, nn.Module) and (name := names.get(id(owner))):
                found = f"{name} ({type(owner).__name__})"
            traceback = traceback.tb_next
        if found:
            break
    return found


def describe_failure(error: BaseException, root: nn.Module) -> str:
    """Return the layer, the line of the user's source and the first line of an error that a call of ``root`` raised."""
    layer, line = failing_layer(error, root), model_line(error)
    place = ", ".join([*([f"in {layer}"] if layer else []), *([f"at {line.to_text()}"] if line else [])])
    return f"{place}: {headline(error)}" if place else headline(error)
