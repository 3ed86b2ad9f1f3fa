"""Synthetic profiles for tests."""

from __future__ import annotations

from etui.insight import Operator, OperatorSide, Origin, Profile


def make_operator(name: str, module: str, median_ms: float, share: float, *, delegate: str | None = None) -> Operator:
    """Return an operator of a module, or of an unknown one if ``module`` is empty."""
    origin = Origin(module=module, module_type="Conv2d", stack=[f"net.py:3 in forward: {name}"]) if module else Origin()
    return Operator(
        name=name,
        calls=1,
        median_ms=median_ms,
        p90_ms=median_ms * 1.5,
        share=share,
        delegate=delegate,
        subgraph=None if delegate is None else 0,
        origin=origin,
    )


def make_profile(count: int = 4) -> Profile:
    """Return a profile whose program has ``count`` operators in the modules layer0, layer1 and so on, ten in each, and
    one of an unknown module; eager has one operator per module."""
    program = [
        make_operator(f"Convolution #{index}", f"layer{index // 10}.{index % 10}", 1.0 + index % 7, 1 / count,
                      delegate="XnnpackBackend" if index % 2 else None)
        for index in range(count)
    ]  # fmt: skip
    rest = make_operator("rest of XnnpackBackend", "", 0.5, 0.01, delegate="XnnpackBackend")
    eager = [make_operator("conv2d", f"layer{index}", 2.0, 0.1) for index in range((count + 9) // 10)]
    return Profile(
        created_at="2026-11-21T02:00:00.000Z",
        threads=2,
        program=OperatorSide(
            inferences=20, inference_ms=20.0, operators_ms=19.0, operators=[*program, rest], untraced_ms=19.5
        ),
        eager=OperatorSide(inferences=10, inference_ms=30.0, operators_ms=15.0, operators=eager, untraced_ms=29.0),
        notes=["a note"],
    )
