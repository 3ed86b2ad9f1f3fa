"""What a comparison of outputs means: PASS, FAIL or UNPROVEN against a tolerance, with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.results import AccuracyVerdict, Comparison, Metrics, OutputAccuracy, Tolerance

NO_MAGNITUDE = 1e-6
"""Root mean square below which an output of a network is numerically zero."""

OF_ARITHMETIC = "with synthetic weights this verdict is about the arithmetic, not the trained model"

_TOP1 = "top-1 agreement"


class _Figure(msgspec.Struct, frozen=True):
    """A figure that the tolerance names, over the outputs at one position; the ``value`` None was not computed."""

    label: str
    value: float | None
    limit: float
    higher_is_better: bool = True
    unit: str = ""

    @property
    def missed(self) -> bool:
        """Whether it is out of tolerance; a value that is not a number is."""
        if self.value is None:
            return False
        return not (self.value >= self.limit if self.higher_is_better else self.value <= self.limit)

    def to_text(self) -> str:
        """The value against its limit."""
        assert self.value is not None
        if self.missed:
            side = "below" if self.higher_is_better else "above"
            # Top-1 is a share of all inputs, so there is no worst output of it.
            label = self.label if self.label == _TOP1 else f"worst {self.label}"
            return f"{label} {self.value:.4g}{self.unit} is {side} the tolerance of {self.limit:g}{self.unit}"
        sign = "≥" if self.higher_is_better else "≤"
        return f"{self.label} {self.value:.4g}{self.unit} {sign} {self.limit:g}{self.unit}"


def judge(
    comparison: Comparison, tolerance: Tolerance | None, weights: str | None = None
) -> tuple[AccuracyVerdict, str]:
    """The verdict on one comparison, and why. ``weights`` is the kind of the weights, where it is known.

    FAIL wins, in this order:

    - A difference of structure or a value that is not finite FAILs whatever the tolerance.
    - An informative output out of tolerance FAILs, whatever the other outputs are. SQNR, cosine and MAE must hold on
      the worst input; top-1 is the share of agreeing classes over all inputs, at each output position by itself.
    - An output without information (constant, the same for every input, or of no magnitude) FAILs where it differs
      from the reference: a constant by the tolerance's SQNR, cosine and MAE; one of no magnitude by an error that has
      magnitude. Reproducing it proves nothing.

    What is left is PASS if at least one output position is informative on half of its inputs or more: a constant
    auxiliary output that agrees (anchors, a logit scale) does not stand in the way, and the reason names it. Without
    such a position, or without a tolerance, it is UNPROVEN.

    With synthetic weights the reason says that the verdict is about arithmetic. Their classes lie so close together
    that rounding changes them; a top-1 agreement out of tolerance, with every other figure within it, is then
    UNPROVEN: neither evidence of a wrong program nor a PASS.
    """
    verdict, reason = _judge(comparison, tolerance, untrained=weights == "synthetic")
    return verdict, f"{reason}; {OF_ARITHMETIC}" if weights == "synthetic" else reason


def _judge(comparison: Comparison, tolerance: Tolerance | None, *, untrained: bool) -> tuple[AccuracyVerdict, str]:
    problems = [one.problem for one in comparison.outputs if one.problem]
    if problems:
        return "FAIL", problems[0] if len(problems) == 1 else f"{problems[0]} (and {len(problems) - 1} more)"
    positions: dict[int, list[OutputAccuracy]] = {}
    for one in comparison.outputs:
        positions.setdefault(one.output, []).append(one)
    told = {position: [one for one in rows if one.informative] for position, rows in positions.items()}
    silent = [one for one in comparison.outputs if not one.informative]
    figures = {position: _figures(rows, tolerance) for position, rows in told.items() if rows and tolerance}
    missed = [(position, one) for position, found in figures.items() for one in found if one.missed]
    only_classes = bool(missed) and all(one.label == _TOP1 for _, one in missed)
    if missed and not (untrained and only_classes):
        return "FAIL", ", ".join(_named(positions, position) + one.to_text() for position, one in missed)
    if tolerance is not None:
        for one in silent:
            if difference := _difference(one, tolerance):
                return "FAIL", difference
    if not any(rows and 2 * len(rows) >= len(positions[position]) for position, rows in told.items()):
        return "UNPROVEN", _without_information(silent, comparison.outputs)
    if tolerance is None:
        return "UNPROVEN", "no tolerance is defined for this model and precision"
    if missed:
        words = ", ".join(_named(positions, position) + one.to_text() for position, one in missed)
        return "UNPROVEN", (
            f"{words}; all other metrics are within tolerance, and the classes of an untrained model are so close "
            "together that rounding can change them"
        )
    aside = f"; {_names(silent)}: no information on {len(silent)} of {len(comparison.outputs)} outputs, which agree"
    also = aside if silent else ""
    if all(one.metrics is not None and one.metrics.exact for rows in told.values() for one in rows):
        return "PASS", f"every output is identical to the reference{also}"
    worst = _worst([one for found in figures.values() for one in found])
    if unknown := [one for one in worst if one.value is None and one.label != "SQNR"]:
        return "UNPROVEN", f"{unknown[0].label} is required but could not be computed"
    met = [one.to_text() for one in worst if one.value is not None]  # no SQNR means no error at all
    if not met:
        return "UNPROVEN", "none of the required metrics could be computed"
    return "PASS", f"worst output: {', '.join(met)}{also}"


def _figures(rows: Sequence[OutputAccuracy], tolerance: Tolerance | None) -> list[_Figure]:
    """What the tolerance asks of the outputs at one position, each figure at its worst."""
    if tolerance is None:
        return []
    metrics = [one.metrics for one in rows if one.metrics is not None]
    classes = [one.top1 for one in metrics if one.top1 is not None]
    asked = (
        ("SQNR", min((one.sqnr_db for one in metrics if one.sqnr_db is not None), default=None),
         tolerance.sqnr_db_min, True, " dB"),
        ("cosine", min(map(_cosine, metrics), default=None), tolerance.cosine_min, True, ""),
        (_TOP1, sum(classes) / len(classes) if classes else None, tolerance.top1_min, True, ""),
        ("MAE", max((one.mae for one in metrics if one.mae is not None), default=None), tolerance.mae_max, False, ""),
    )  # fmt: skip
    return [
        _Figure(label, value, limit, higher_is_better, unit)
        for label, value, limit, higher_is_better, unit in asked
        if limit is not None
    ]


def _cosine(metrics: Metrics) -> float:
    """A vector of zeros has no direction: beside a reference that has one, nothing of it agrees."""
    if metrics.exact:
        return 1.0
    return metrics.cosine if metrics.cosine is not None else 0.0


def _worst(figures: Sequence[_Figure]) -> list[_Figure]:
    """Each figure once, at the position where it is worst."""
    worst: dict[str, _Figure] = {}
    for one in figures:
        worst[one.label] = _worse(worst.get(one.label, one), one)
    return list(worst.values())


def _worse(one: _Figure, other: _Figure) -> _Figure:
    if one.value is None or other.value is None:
        return other if one.value is None else one
    return other if (other.value < one.value) == one.higher_is_better else one


def _difference(one: OutputAccuracy, tolerance: Tolerance) -> str | None:
    """How an output without information differs from its reference beyond the tolerance; None where it agrees."""
    metrics = one.metrics
    if metrics is None or metrics.exact or metrics.rmse is None:
        return None
    where = f"{one.name} carries no information in the reference"
    reference_rms = metrics.rmse * 10 ** (metrics.sqnr_db / 20) if metrics.sqnr_db is not None else 0.0
    if reference_rms < NO_MAGNITUDE:
        within = tolerance.mae_max is not None and metrics.mae is not None and metrics.mae <= tolerance.mae_max
        if metrics.rmse <= NO_MAGNITUDE or within:
            return None
        return f"{where} (numerically zero), but its error is {metrics.rmse:.3g} (RMS) on input {one.input}"
    found = [figure for figure in _figures([one], tolerance) if figure.label != _TOP1 and figure.missed]
    return f"{where}, but differs from it on input {one.input}: {found[0].to_text()}" if found else None


def _without_information(silent: Sequence[OutputAccuracy], outputs: Sequence[OutputAccuracy]) -> str:
    if not outputs:
        return "no output was compared"
    return (
        f"{len(silent)} of {len(outputs)} outputs ({_names(silent)}) carry no information: "
        "constant, the same for every input, or numerically zero"
    )


def _names(outputs: Sequence[OutputAccuracy]) -> str:
    return ", ".join(sorted({one.name for one in outputs}))


def _named(positions: dict[int, list[OutputAccuracy]], position: int) -> str:
    return f"{positions[position][0].name}: " if len(positions) > 1 else ""
