"""What a factory may return besides ``(module, example)``: a model with its inputs, labels, metric and tolerance.

This module imports nothing, so that a user's file can import it without loading torch or the rest of etui.
"""

from __future__ import annotations


class Args:
    """The arguments of one call of a model: ``Args(image, mask=mask)`` is called as ``module(image, mask=mask)``."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        given = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"Args({', '.join(given)})"


class Model:
    """A module and everything that ``etui`` needs to measure and judge it; a factory returns it.

    ``inputs`` is one of

    - one example: a tensor (the only positional argument), a tuple (the positional arguments), a dict with string keys
      (the keyword arguments), or ``Args`` (both). An argument is a tensor, None, a boolean, a number, a string, or a
      list, tuple or dict of those. Only tensors vary; everything else is a constant of the exported program. A single
      example is varied with noise (see ``docs/own-models.md``).
    - several examples: a list of them, all with the same structure, shapes and dtypes.
    - a dataset: an object with ``__getitem__`` and ``__len__``, of which a seeded sample is used, or any iterable, of
      which the first examples are used. A ``torch.utils.data.DataLoader`` with the wanted batch size is one, too.
    - a function ``inputs(count)``, ``inputs(count, seed)`` or ``inputs(count, generator)`` that returns or yields at
      least ``count`` examples.

    Several examples are used as they are and divided between calibration and evaluation; none is used for both.

    ``labels`` is a list with the label of each example, or True if each example is a pair ``(example, label)``, as in
    most datasets. ``metric`` is a name (``"top1"``, ``"top5"``, ``"f1_macro"``, ``"miou"``, ``"r2"`` or
    ``"neg_mean_absolute_error"``), a function ``metric(outputs, labels)`` that returns a number, larger being better,
    or a list of those; ``outputs`` is a list of what the module returns for each evaluation example, ``labels`` a list
    of its labels. It is computed for eager PyTorch and for each program. Tables show the first one. With ``--data`` the
    labels are those of the files, and ``labels`` may be left out.

    ``tolerance`` replaces the limits that decide PASS and FAIL: a dict with any of ``sqnr_db_min``, ``cosine_min``,
    ``top1_min`` and ``mae_max``, or a dict that has one such dict for each precision.

    ``dynamic_shapes`` is that of ``torch.export.export``: dimensions of the inputs that are ``torch.export.Dim`` with a
    maximum, which programs then take in that range. They are measured at the shape of the examples.
    """

    def __init__(
        self,
        module: object,
        inputs: object,
        dynamic_shapes: object = None,
        labels: object = None,
        metric: object = None,
        tolerance: object = None,
    ) -> None:
        self.module = module
        self.inputs = inputs
        self.dynamic_shapes = dynamic_shapes
        self.labels = labels
        self.metric = metric
        self.tolerance = tolerance
