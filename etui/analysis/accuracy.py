"""What a comparison of outputs means: PASS, FAIL or UNPROVEN against a tolerance, with the reason in words."""

from __future__ import annotations

from etui.results import AccuracyVerdict, Comparison, Tolerance


def judge(comparison: Comparison, tolerance: Tolerance | None) -> tuple[AccuracyVerdict, str]:
    """The verdict on one comparison, and why.

    A difference of structure or a value that is not finite FAILs whatever the tolerance. An output without
    information (constant, or of no magnitude) proves nothing, however small its error: UNPROVEN. So does a missing
    tolerance. Otherwise every figure that the tolerance names must hold on the worst output.
    """
    problems = [one.problem for one in comparison.outputs if one.problem]
    if problems:
        return "FAIL", problems[0] if len(problems) == 1 else f"{problems[0]} (and {len(problems) - 1} more)"
    silent = [one for one in comparison.outputs if not one.informative]
    if silent:
        names = ", ".join(sorted({one.name for one in silent}))
        return "UNPROVEN", (
            f"{len(silent)} of {len(comparison.outputs)} outputs ({names}) carry no information: "
            "constant, the same for every input, or of no magnitude"
        )
    if tolerance is None:
        return "UNPROVEN", "no tolerance is known for this model and precision"
    worst = comparison.worst
    if worst.exact:
        return "PASS", "every output is exactly the reference"
    met: list[str] = []
    for label, value, limit, higher_is_better, unit in (
        ("SQNR", worst.sqnr_db, tolerance.sqnr_db_min, True, " dB"),
        ("cosine", worst.cosine, tolerance.cosine_min, True, ""),
        ("top-1 agreement", worst.top1, tolerance.top1_min, True, ""),
        ("MAE", worst.mae, tolerance.mae_max, False, ""),
    ):
        if limit is None:
            continue
        if value is None:
            if label == "SQNR":  # no SQNR means no error at all
                continue
            return "UNPROVEN", f"{label} is asked for but could not be computed"
        if (value < limit) if higher_is_better else (value > limit):
            sign = "below" if higher_is_better else "above"
            return "FAIL", f"worst {label} {value:.4g}{unit} is {sign} the tolerance of {limit:g}{unit}"
        sign = "≥" if higher_is_better else "≤"
        met.append(f"{label} {value:.4g}{unit} {sign} {limit:g}{unit}")
    if not met:
        return "UNPROVEN", "the tolerance asks for nothing that could be computed"
    return "PASS", "worst output: " + ", ".join(met)
