"""Accuracy verdict of an output comparison: PASS, FAIL or UNPROVEN against a tolerance, with the reason as text."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.results import AccuracyVerdict, Comparison, Metrics, OutputAccuracy, Tolerance

NO_MAGNITUDE = 1e-6
"""Root mean square below which an output of a model counts as numerically zero."""

OF_ARITHMETIC = "with synthetic weights this verdict is about the arithmetic, not the trained model"

_TOP1 = "top-1 agreement"
_EQUAL = "share of equal elements"
_SHARES = frozenset({_TOP1, _EQUAL})
"""Metrics that are a share over all inputs, and so have no worst output."""

_CLASSES = frozenset({"int32", "int64"})

_EQUAL_MIN = ((60.0, 0.99), (30.0, 0.95), (25.0, 0.85), (15.0, 0.75), (0.0, 0.6))
"""The minimum share of equal elements by the minimum SQNR in dB of a tolerance without one for top-1: those of class
scores in the catalog."""


def is_of_classes(dtype: str) -> bool:
    """Whether the elements of an output are classes, indices or tokens, which are equal or not: class 501 is
    not close to class 500. Narrower integers, such as those of images, are magnitudes."""
    return dtype in _CLASSES


class _LimitedMetric(msgspec.Struct, frozen=True):
    """A metric limited by the tolerance, over the outputs at one position; ``value`` is None if it was not computed."""

    label: str
    value: float | None
    limit: float
    higher_is_better: bool = True
    unit: str = ""

    @property
    def missed(self) -> bool:
        """Whether the value is out of tolerance; NaN is."""
        if self.value is None:
            return False
        return not (self.value >= self.limit if self.higher_is_better else self.value <= self.limit)

    def to_text(self) -> str:
        """Return the value and its limit as text."""
        assert self.value is not None
        if self.missed:
            side = "below" if self.higher_is_better else "above"
            label = self.label if self.label in _SHARES else f"worst {self.label}"
            return f"{label} {self.value:.4g}{self.unit} is {side} the tolerance of {self.limit:g}{self.unit}"
        sign = "≥" if self.higher_is_better else "≤"
        return f"{self.label} {self.value:.4g}{self.unit} {sign} {self.limit:g}{self.unit}"


def judge(
    comparison: Comparison, tolerance: Tolerance | None, weights: str | None = None
) -> tuple[AccuracyVerdict, str]:
    """Return the verdict on one comparison and its reason. ``weights`` is the kind of weights, if known.

    FAIL takes precedence; its causes are checked in this order:

    - A difference of structure or a non-finite value FAILs for every tolerance.
    - An informative output out of tolerance FAILs, independently of the other outputs. SQNR, cosine and MAE must be
      within tolerance on the worst input; top-1 is the share of agreeing classes over all inputs, computed separately
      for each output position. An output of classes, indices or tokens (see ``is_of_classes``) also needs enough equal
      elements.
    - An output without information (constant, the same for every input, or numerically zero) FAILs if it differs from
      the reference: a constant by the tolerance's SQNR, cosine and MAE; a numerically zero output by an error that is
      not numerically zero. Reproducing such an output proves nothing.

    Otherwise the verdict is PASS if at least one output position is informative on half of its inputs or more: a
    constant auxiliary output that agrees (anchors, a logit scale) does not prevent PASS, and the reason names it.
    Without such a position, or without a tolerance, the verdict is UNPROVEN.

    With synthetic weights the reason adds that the verdict is about arithmetic. Class scores of an untrained model are
    so close together that rounding can change the top class; a top-1 agreement out of tolerance, with all other
    metrics within it, is then UNPROVEN: neither evidence of a wrong program nor a PASS.
    """
    verdict, reason = _judge(comparison, tolerance, untrained=weights == "synthetic")
    return verdict, f"{reason}; {OF_ARITHMETIC}" if weights == "synthetic" else reason


def _judge(comparison: Comparison, tolerance: Tolerance | None, *, untrained: bool) -> tuple[AccuracyVerdict, str]:
    problems = [item.problem for item in comparison.outputs if item.problem]
    if problems:
        return "FAIL", problems[0] if len(problems) == 1 else f"{problems[0]} (and {len(problems) - 1} more)"
    positions: dict[int, list[OutputAccuracy]] = {}
    for item in comparison.outputs:
        positions.setdefault(item.output, []).append(item)
    informative = {position: [item for item in rows if item.informative] for position, rows in positions.items()}
    uninformative = [item for item in comparison.outputs if not item.informative]
    figures = {
        position: _limited_metrics(rows, tolerance) for position, rows in informative.items() if rows and tolerance
    }
    missed = [(position, item) for position, metrics in figures.items() for item in metrics if item.missed]
    only_top1 = bool(missed) and all(item.label in _SHARES for _, item in missed)
    if missed and not (untrained and only_top1):
        return "FAIL", ", ".join(_name_prefix(positions, position) + item.to_text() for position, item in missed)
    if tolerance is not None:
        for item in uninformative:
            if difference := _difference(item, tolerance):
                return "FAIL", difference
    if not any(rows and 2 * len(rows) >= len(positions[position]) for position, rows in informative.items()):
        return "UNPROVEN", _without_information(uninformative, comparison.outputs)
    if tolerance is None:
        return "UNPROVEN", "no tolerance is defined for this model and precision"
    if missed:
        listed = ", ".join(_name_prefix(positions, position) + item.to_text() for position, item in missed)
        return "UNPROVEN", (
            f"{listed}; all other metrics are within tolerance, and the classes of an untrained model are so close "
            "together that rounding can change them"
        )
    suffix = ""
    if uninformative:
        share = f"{len(uninformative)} of {len(comparison.outputs)}"
        suffix = f"; {_names(uninformative)}: no information on {share} outputs, which agree"
    if all(item.metrics is not None and item.metrics.exact for rows in informative.values() for item in rows):
        return "PASS", f"every output is identical to the reference{suffix}"
    worst = _worst([item for metrics in figures.values() for item in metrics])
    if unknown := [item for item in worst if item.value is None and item.label != "SQNR"]:
        return "UNPROVEN", f"{unknown[0].label} is required but could not be computed"
    met = [item.to_text() for item in worst if item.value is not None]  # no SQNR means no error at all
    if not met:
        return "UNPROVEN", "none of the required metrics could be computed"
    return "PASS", f"worst output: {', '.join(met)}{suffix}"


def _limited_metrics(rows: Sequence[OutputAccuracy], tolerance: Tolerance | None) -> list[_LimitedMetric]:
    """Return the metrics limited by the tolerance, over the outputs at one position, each at its worst value."""
    if tolerance is None:
        return []
    metrics = [item.metrics for item in rows if item.metrics is not None]
    classes = [item.top1 for item in metrics if item.top1 is not None]
    # Documents of earlier versions have no share of equal elements.
    if classes and all(is_of_classes(item.dtype) for item in rows):
        tolerance = msgspec.structs.replace(tolerance, top1_min=_least_equal(tolerance))
    limited = (
        ("SQNR", min((item.sqnr_db for item in metrics if item.sqnr_db is not None), default=None),
         tolerance.sqnr_db_min, True, " dB"),
        ("cosine", min(map(_cosine, metrics), default=None), tolerance.cosine_min, True, ""),
        (_EQUAL if is_of_classes(rows[0].dtype) else _TOP1, sum(classes) / len(classes) if classes else None, tolerance.top1_min, True, ""),
        ("MAE", max((item.mae for item in metrics if item.mae is not None), default=None),
         tolerance.mae_max, False, ""),
    )  # fmt: skip
    return [
        _LimitedMetric(label, value, limit, higher_is_better, unit)
        for label, value, limit, higher_is_better, unit in limited
        if limit is not None
    ]


def _least_equal(tolerance: Tolerance) -> float | None:
    """Return the minimum share of equal elements of an output of classes, which is needed in addition to SQNR and
    cosine: these find a rare class that is missed, the share finds classes with close numbers that are exchanged."""
    if tolerance.top1_min is not None or (tolerance.sqnr_db_min is None and tolerance.cosine_min is None):
        return tolerance.top1_min
    sqnr_db = tolerance.sqnr_db_min or 0.0
    return next((share for least, share in _EQUAL_MIN if sqnr_db >= least), _EQUAL_MIN[-1][1])


def _cosine(metrics: Metrics) -> float:
    """Return the cosine similarity; 0 if it is undefined, because a vector of zeros has no direction to agree in."""
    if metrics.exact:
        return 1.0
    return metrics.cosine if metrics.cosine is not None else 0.0


def _worst(figures: Sequence[_LimitedMetric]) -> list[_LimitedMetric]:
    """Return each metric once, at the output position with its worst value."""
    worst: dict[str, _LimitedMetric] = {}
    for figure in figures:
        worst[figure.label] = _worse(worst.get(figure.label, figure), figure)
    return list(worst.values())


def _worse(first: _LimitedMetric, second: _LimitedMetric) -> _LimitedMetric:
    if first.value is None or second.value is None:
        return second if first.value is None else first
    return second if (second.value < first.value) == first.higher_is_better else first


def _difference(output: OutputAccuracy, tolerance: Tolerance) -> str | None:
    """Return how an output without information differs from its reference beyond the tolerance; None if it agrees."""
    metrics = output.metrics
    if metrics is None or metrics.exact or metrics.rmse is None:
        return None
    subject = f"{output.name} carries no information in the reference"
    reference_rms = metrics.rmse * 10 ** (metrics.sqnr_db / 20) if metrics.sqnr_db is not None else 0.0
    if reference_rms < NO_MAGNITUDE:
        within = tolerance.mae_max is not None and metrics.mae is not None and metrics.mae <= tolerance.mae_max
        if metrics.rmse <= NO_MAGNITUDE or within:
            return None
        return f"{subject} (numerically zero), but its error is {metrics.rmse:.3g} (RMS) on input {output.input}"
    missed = [figure for figure in _limited_metrics([output], tolerance) if figure.label != _TOP1 and figure.missed]
    return f"{subject}, but differs from it on input {output.input}: {missed[0].to_text()}" if missed else None


def _without_information(uninformative: Sequence[OutputAccuracy], outputs: Sequence[OutputAccuracy]) -> str:
    if not outputs:
        return "no output was compared"
    return (
        f"{len(uninformative)} of {len(outputs)} outputs ({_names(uninformative)}) carry no information: "
        "constant, the same for every input, or numerically zero"
    )


def _names(outputs: Sequence[OutputAccuracy]) -> str:
    return ", ".join(sorted({one.name for one in outputs}))


def _name_prefix(positions: dict[int, list[OutputAccuracy]], position: int) -> str:
    return f"{positions[position][0].name}: " if len(positions) > 1 else ""
