"""The range of shapes that a dynamic program is lowered for, from the shapes of the inputs of all its bundles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from etui.jobs import BundleResult, DynamicDim, DynamicDims


def dynamic_dims(shapes: Sequence[Sequence[Sequence[int]]]) -> DynamicDims:
    """Return for each tensor and dimension its bounds if it differs between ``shapes``; None for a fixed dimension.
    ``shapes`` are those of the tensors of each bundle.

    Dimensions of different tensors that always have the same size, such as the lengths of token ids and their mask, are
    one dimension; those of one tensor, such as height and width, are not, so that images need not be squares.
    """
    names: dict[tuple[tuple[int, ...], int], str] = {}
    result: list[list[DynamicDim | None]] = []
    for tensors in zip(*shapes, strict=True):
        dims: list[DynamicDim | None] = []
        seen: dict[tuple[int, ...], int] = {}
        for sizes in zip(*tensors, strict=True):
            if len(set(sizes)) == 1:
                dims.append(None)
                continue
            occurrence = seen[sizes] = seen.get(sizes, -1) + 1
            name = names.setdefault((sizes, occurrence), f"size{len(names)}")
            dims.append(DynamicDim(name=name, least=min(sizes), most=max(sizes)))
        result.append(dims)
    return result


def largest(bundles: Sequence[BundleResult]) -> BundleResult:
    """Return the bundle with the largest inputs. A program is exported and calibrated with those, since sizes of 0 and
    1 are special to torch."""
    return max(bundles, key=lambda bundle: sum(map(math.prod, bundle.inputs.shapes)))
