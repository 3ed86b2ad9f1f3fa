"""Sentences about one run: how it ended, speed against eager, accuracy, size, and hints about slow programs."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.accuracy import OF_ARITHMETIC
from etui.magnitudes import is_ratio
from etui.results import LIVE_STATUSES, Accuracy, Comparison, MetricValue, Ratio, RunDocument, TaskMetric, Tolerance
from etui.wording.caveat import caveat

BYTES_PER_FP32 = 4
MANY_UNDELEGATED = 0.2
"""From this share of undelegated nodes on, a program is hinted to be slow because of them."""

AGREEMENT = 0.01
"""A speed-up and the ratio of the medians that differ by a larger share look like an error next to each other."""


def ending(document: RunDocument) -> str:
    """Return how the run ended, or its progress; an empty text for a run that is done."""
    if document.status == "done":
        if document.summary_only:
            return "Only a summary of this run was imported; it has no samples."
        return ""
    if document.status in LIVE_STATUSES:
        measured = len(document.blocks)
        so_far = f"; {_blocks(measured)} measured so far" if measured else ""
        return f"The run is {document.status}{so_far}."
    stage = next((line.stage for line in reversed(document.log) if line.stage and not line.of_session), None)
    during = f" in the stage {text.plain(stage)}" if stage else ""
    reason = f": {text.plain(document.error)}" if document.error else ""
    ended = {
        "failed": "The run failed",
        "cancelled": "The run was cancelled",
        "timed out": "The run timed out",
        "interrupted": "The run was interrupted",
    }[document.status]
    return _sentence(f"{ended}{during}{reason}")


def speed(document: RunDocument, *, with_caveat: bool = True) -> str:
    """Return the speed of the program against eager PyTorch, with its 95 % interval, the medians in ms, and the caveat:
    what disturbed the measurement. Texts that list the caveats elsewhere are ``with_caveat=False``."""
    stats, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
    if stats is None or stats.median is None:
        return ""
    name = _name(document)
    median = f"{text.number(stats.median)} ms"
    but = caveat(document) if with_caveat else ""
    if ratio is None or not is_ratio(ratio.value):
        interval = f" (95 % interval {text.interval(stats.ci95)})" if stats.ci95 else ""
        why = "there is no eager measurement to compare with"
        if ratio is not None:
            why = f"the stored ratio to eager, {text.bare_ratio(ratio.value)}, is not valid"
        return _with_caveat(f"{name} takes {median} per inference{interval}; {why}.", but)
    medians = f": {median} against {text.number(eager.median)} ms" if eager and eager.median is not None else ""
    behind = _behind(ratio)
    if ratio.verdict == "unreliable":
        return (
            f"The speed of {name} against eager PyTorch is unreliable: {ratio.reason or 'most blocks were disturbed'}. "
            f"Measured ratio: {text.ratio(ratio.value)}{_in_brackets(ratio.ci95, behind)}{medians}. "
            "Measure again on an idle machine."
        )
    after = f", but {but}" if but else ""
    if ratio.verdict == "faster":
        bounds = _in_brackets(ratio.ci95, behind)
        return f"{name} is {_times(ratio.value)} as fast as eager PyTorch{bounds}{medians}{after}."
    if ratio.verdict == "slower":
        bounds = _in_brackets(
            (1 / ratio.ci95[1], 1 / ratio.ci95[0]) if ratio.ci95 and min(ratio.ci95) > 0 else None, behind
        )
        return f"{name} takes {_times(1 / ratio.value)} as long as eager PyTorch{bounds}{medians}{after}."
    if ratio.verdict == "equivalent":
        bounds = _in_brackets(ratio.ci95, behind)
        return f"{name} is as fast as eager PyTorch, within 2 %{bounds}{medians}{after}."
    looks = f"{name} looks {_times(ratio.value)} as fast as eager PyTorch{medians}"
    if ratio.ci95 is None:
        few = "There are too few blocks for a confidence interval, so this is only an indication."
        return _with_caveat(f"{looks}. {few}", but)
    inconclusive = (
        f"This is inconclusive: the 95 % interval is {text.ratio_interval(ratio.ci95)}{behind}; measure more blocks."
    )
    return _with_caveat(f"{looks}. {inconclusive}", but)


def accuracy(document: RunDocument) -> str:
    """Return whether the outputs are within tolerance of the reference, with the deciding metrics."""
    if document.accuracy is None:
        return "" if document.status != "done" else "Its accuracy was not measured."
    sentence = _judged(document.accuracy)
    untrained = document.weights is not None and document.weights.kind == "synthetic"
    # The reason of an older run says it in other words.
    if untrained and "not the trained model" not in sentence:
        sentence += f" {OF_ARITHMETIC.capitalize()}."
    return sentence


def _judged(accuracy: Accuracy) -> str:
    if accuracy.verdict == "FAIL":
        return _sentence(f"Its outputs are out of tolerance (FAIL): {text.plain(accuracy.reason)}")
    if accuracy.verdict == "UNPROVEN":
        return _sentence(f"Its accuracy is UNPROVEN: {text.plain(accuracy.reason)}")
    if accuracy.end_to_end.worst.exact:
        return f"Its outputs are identical to those of {text.plain(accuracy.end_to_end.against)} (PASS)."
    shown = _closeness(accuracy.end_to_end)
    return _sentence(f"Its outputs are within tolerance (PASS){': ' + shown if shown else ''}")


def size(document: RunDocument) -> str:
    """Return the size of the program, compared with its weights in FP32 if the number of parameters is known."""
    if document.artifact is None:
        return ""
    count = document.artifact.size_bytes
    measured = f"The program is {text.size(count)}"
    if not document.model.parameters or not count:
        return f"{measured}."
    full = document.model.parameters * BYTES_PER_FP32
    if full / count >= 1.15:
        return f"{measured}, {_times(full / count)} smaller than its weights in FP32 ({text.size(full)})."
    if count / full >= 1.15:
        return f"{measured}, {_times(count / full)} the size of its weights in FP32 ({text.size(full)})."
    return f"{measured}, the size of its weights in FP32."


def hints(document: RunDocument) -> list[str]:
    """Return possible reasons for a slow program: undelegated nodes, other arithmetic, differing thread counts."""
    reasons = []
    delegation = document.delegation
    if delegation is not None and document.delegate != "portable":
        total = delegation.delegated_nodes + delegation.undelegated_nodes
        if total and delegation.undelegated_nodes / total >= MANY_UNDELEGATED:
            reasons.append(
                f"{delegation.undelegated_nodes} of {total} nodes are not delegated; the others are in "
                f"{text.counted(delegation.subgraphs, 'partition')}: "
                "each transition between delegate and CPU costs time."
            )
    if document.delegate == "portable":
        reasons.append("Without a delegate, convolutions run on reference kernels, which are not optimized.")
    if document.arithmetic:
        reasons.append(f"The program computes in {text.plain(document.arithmetic)}, whatever the precision says.")
    counts = {block.threads for block in (*document.blocks, *document.eager_blocks)}
    if len(counts) > 1:
        reasons.append(
            f"Thread counts differ between blocks ({', '.join(map(str, sorted(counts)))}), so they are not comparable."
        )
    return reasons


def two_errors(accuracy: Accuracy) -> str:
    """Return how the error divides between the precision and lowering; empty if that is not known."""
    if accuracy.lowering is None:
        return ""
    whole, lowered = accuracy.end_to_end.overall, accuracy.lowering.overall
    if lowered.exact:
        return "Lowering adds no error: all of it comes from the precision."
    if whole.rmse and lowered.rmse is not None:
        share = lowered.rmse / whole.rmse
        if share < 0.01:
            return "Over 99 % of the error comes from the precision; lowering adds under 1 %."
        if share > 0.99:
            return "Nearly all of the error (RMSE) comes from lowering."
        part = text.percent(share)
        return f"Lowering adds {part} of the total error (RMSE); the rest comes from the precision."
    return ""


def tolerance(wanted: Tolerance | None) -> str:
    """Return the limits of a tolerance as text."""
    if wanted is None:
        return "none defined for this model and precision"
    parts = [
        f"{label} {sign} {limit:g}{unit}"
        for label, sign, limit, unit in (
            ("SQNR", "at least", wanted.sqnr_db_min, " dB"),
            ("cosine", "at least", wanted.cosine_min, ""),
            ("top-1 agreement", "at least", wanted.top1_min, ""),
            ("MAE", "at most", wanted.mae_max, ""),
            ("loss of mAP", "at most", wanted.map_drop, " points"),
            ("loss of top-1", "at most", wanted.top1_drop, " points"),
        )
        if limit is not None
    ]
    source = f" ({text.plain(wanted.source)})" if wanted.source else ""
    return (", ".join(parts) or "no limits") + source


def task_metrics(task: TaskMetric) -> list[tuple[str, str]]:
    """Return the name of each metric of a model, and its value for the program next to that of eager."""
    inputs = text.counted(task.count, "evaluation input" if task.evaluation is None else "image")
    values: list[TaskMetric | MetricValue] = [task, *task.others]
    return [
        (each.name, f"{text.number(each.program, 4)}, eager {text.number(each.eager, 4)}, on {inputs}")
        for each in values
    ]


def ratios_of_medians(runs: Sequence[tuple[str, RunDocument]]) -> str:
    """Return why the speed-ups of some runs, given with their names, are not the ratios of their medians.

    Empty if all of them agree within ``AGREEMENT``.
    """
    named = []
    for name, document in runs:
        ours, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
        if not (ours and eager and ratio and ours.median and eager.median) or ratio.blocks < 2:
            continue
        of_medians = eager.median / ours.median
        if is_ratio(of_medians) and is_ratio(ratio.value) and abs(of_medians / ratio.value - 1) > AGREEMENT:
            named.append(f"{text.ratio(of_medians)} for {name}")
    if not named:
        return ""
    return (
        "The speed-up compares the program with eager within each block. The medians alone, which a machine whose speed"
        f" changes between blocks moves, would give {', '.join(named)}."
    )


def _closeness(comparison: Comparison) -> str:
    overall, worst = comparison.overall, comparison.worst
    parts = []
    if overall.sqnr_db is not None:
        parts.append(f"SQNR {text.number(overall.sqnr_db)} dB")
    if worst.cosine is not None and overall.sqnr_db is None:
        parts.append(f"cosine {text.number(worst.cosine, 5)} (worst input)")
    if overall.top1 is not None:
        parts.append(
            "top-1 agreement 100 %" if overall.top1 == 1 else f"top-1 agreement {text.agreement(overall.top1)}"
        )
    if not parts and overall.mae is not None:
        parts.append(f"MAE {text.number(overall.mae)}")
    return ", ".join(parts)


def _behind(ratio: Ratio) -> str:
    return f" over {ratio.blocks} pairs of blocks" if ratio.blocks > 1 else ""


def _in_brackets(bounds: tuple[float, float] | None, behind: str) -> str:
    return f" (95 % interval {text.ratio_interval(bounds)}{behind})" if bounds else ""


def _with_caveat(sentence: str, clause: str) -> str:
    """Return a sentence followed by the caveat as another one."""
    return f"{sentence} {_sentence(clause[0].upper() + clause[1:])}" if clause else sentence


def _times(value: float) -> str:
    """Return a ratio before ``as fast``: ``1.85 times``, or a fraction such as ``1/662``."""
    ratio = text.bare_ratio(value)
    return ratio if "/" in ratio else f"{ratio} times"


def _blocks(count: int) -> str:
    return "1 block" if count == 1 else f"{count} blocks"


def _name(document: RunDocument) -> str:
    return text.plain(document.configuration)


def _sentence(clause: str) -> str:
    return clause if clause.endswith((".", "!", "?")) else f"{clause}."
